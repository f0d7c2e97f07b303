"""tfcompress: any Keras model in, the best possible TFLite file out, proven on the device.

Three ways in, one implementation::

    import tfcompress as tfc

    # 1. inside an existing fit loop
    job = tfc.attach(model, tfc.Prune(sparsity=0.8), tfc.QAT())
    job.model.compile(...)
    job.model.fit(x, y, epochs=3, callbacks=[*mine, *job.callbacks])
    tflite = tfc.export(job.finish(), tfc.Export(quantize="int8"), data=x)

    # 2. one call
    result = tfc.compress("model.h5", "qat-int8", tfc.load_data("data.npz"))

    # ... and several on one model: it is loaded, and its float file made and scored, once
    with tfc.Workbench("model.h5", "data.npz") as bench:
        results = [bench.run(name) for name in ("int8", "qat-int8")]

    # 3. the command line
    #    tfcompress export --qat model.h5 --data data.npz

Importing this package imports neither TensorFlow nor numpy; what needs them is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tfcompress._version import __version__ as __version__

if TYPE_CHECKING:
    # ``X as X`` and ``*`` tell type checkers what is passed on.
    from tfcompress.data.dataset import Dataset as Dataset
    from tfcompress.data.preprocessing import Preprocessing as Preprocessing
    from tfcompress.data.sources import load_data as load_data
    from tfcompress.errors import ContractError as ContractError
    from tfcompress.errors import ConversionError as ConversionError
    from tfcompress.errors import DataError as DataError
    from tfcompress.errors import MissingDependencyError as MissingDependencyError
    from tfcompress.errors import ModelError as ModelError
    from tfcompress.errors import OutputError as OutputError
    from tfcompress.errors import PromiseError as PromiseError
    from tfcompress.errors import RecipeError as RecipeError
    from tfcompress.errors import TfcompressError as TfcompressError
    from tfcompress.errors import UnsupportedError as UnsupportedError
    from tfcompress.errors import UntrustedCodeError as UntrustedCodeError
    from tfcompress.errors import UsageError as UsageError
    from tfcompress.job import Job as Job
    from tfcompress.job import attach as attach
    from tfcompress.models.first_load import LoadLimits as LoadLimits
    from tfcompress.models.loading import load_model as load_model
    from tfcompress.recipe import Export as Export
    from tfcompress.recipe import Recipe as Recipe
    from tfcompress.recipe import Train as Train
    from tfcompress.recipe import load_recipe as load_recipe
    from tfcompress.reports.report import Report as Report
    from tfcompress.search.automatic import AutoResult as AutoResult
    from tfcompress.search.automatic import auto as auto
    from tfcompress.search.compression import compress as compress
    from tfcompress.stages.stage import Stage
    from tfcompress.stages.stage_table import *  # noqa: F403  every stage of the table, whichever they are
    from tfcompress.streaming.streaming_model import StreamingModel as StreamingModel
    from tfcompress.streaming.streaming_model import to_streaming as to_streaming
    from tfcompress.tflite.export import TFLiteModel as TFLiteModel
    from tfcompress.tflite.export import export as export
    from tfcompress.tracking.tracker import Tracker as Tracker
    from tfcompress.workbench import Result as Result
    from tfcompress.workbench import Workbench as Workbench

    __all__: list[str]

_WHERE = {
    "AutoResult": "search.automatic",
    "ContractError": "errors",
    "ConversionError": "errors",
    "DataError": "errors",
    "Dataset": "data.dataset",
    "Export": "recipe",
    "Job": "job",
    "LoadLimits": "models.first_load",
    "MissingDependencyError": "errors",
    "ModelError": "errors",
    "OutputError": "errors",
    "Preprocessing": "data.preprocessing",
    "PromiseError": "errors",
    "Recipe": "recipe",
    "RecipeError": "errors",
    "Report": "reports.report",
    "Result": "workbench",
    "StreamingModel": "streaming.streaming_model",
    "TFLiteModel": "tflite.export",
    "TfcompressError": "errors",
    "Tracker": "tracking.tracker",
    "Train": "recipe",
    "UnsupportedError": "errors",
    "UntrustedCodeError": "errors",
    "UsageError": "errors",
    "Workbench": "workbench",
    "attach": "job",
    "auto": "search.automatic",
    "compress": "search.compression",
    "export": "tflite.export",
    "load_data": "data.sources",
    "load_model": "models.loading",
    "load_recipe": "recipe",
    "to_streaming": "streaming.streaming_model",
}
"""Public name -> the module that holds it; stages are in their table."""


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562); ``__all__`` as well, since it takes the table of stages."""
    if name == "__all__":
        value: Any = sorted(["__version__", *_WHERE, *_stages()])
    elif name in _WHERE:
        value = getattr(importlib.import_module(f"tfcompress.{_WHERE[name]}"), name)
    elif not name.startswith("_") and name in _stages():
        value = _stages()[name]
    else:
        msg = f"module 'tfcompress' has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = value
    return value


def _stages() -> dict[str, type[Stage]]:
    """Return the classes of the stages by name."""
    from tfcompress.stages.stage_table import STAGES

    return {stage.__name__: stage for stage in STAGES.values()}


def __dir__() -> list[str]:
    return __getattr__("__all__")  # type: ignore[no-any-return]  # a list of names
