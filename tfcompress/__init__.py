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

from tfcompress._version import __version__

if TYPE_CHECKING:
    from tfcompress.data.dataset import Dataset
    from tfcompress.data.preprocessing import Preprocessing
    from tfcompress.data.sources import load as load_data
    from tfcompress.errors import (
        ContractError,
        ConversionError,
        DataError,
        MissingDependencyError,
        ModelError,
        OutputError,
        RecipeError,
        TfcompressError,
        UnsupportedError,
        UntrustedCodeError,
        UsageError,
    )
    from tfcompress.job import Job, attach
    from tfcompress.models.first_load import LoadLimits
    from tfcompress.models.loading import load as load_model
    from tfcompress.recipe import QAT, Channels, Cluster, Distill, Export, Prune, Recipe, Train
    from tfcompress.recipe import load as load_recipe
    from tfcompress.reports.report import Report
    from tfcompress.tflite.export import TFLiteModel, export
    from tfcompress.workbench import Result, Workbench, compress

_WHERE = {
    "Channels": "recipe",
    "Cluster": "recipe",
    "ContractError": "errors",
    "ConversionError": "errors",
    "DataError": "errors",
    "Dataset": "data.dataset",
    "Distill": "recipe",
    "Export": "recipe",
    "Job": "job",
    "LoadLimits": "models.first_load",
    "MissingDependencyError": "errors",
    "ModelError": "errors",
    "OutputError": "errors",
    "Preprocessing": "data.preprocessing",
    "Prune": "recipe",
    "QAT": "recipe",
    "Recipe": "recipe",
    "RecipeError": "errors",
    "Report": "reports.report",
    "Result": "workbench",
    "TFLiteModel": "tflite.export",
    "TfcompressError": "errors",
    "Train": "recipe",
    "UnsupportedError": "errors",
    "UntrustedCodeError": "errors",
    "UsageError": "errors",
    "Workbench": "workbench",
    "attach": "job",
    "compress": "workbench",
    "export": "tflite.export",
    "load_data": "data.sources:load",
    "load_model": "models.loading:load",
    "load_recipe": "recipe:load",
}
"""Public name -> the module that holds it (and its name there, where that differs)."""

__all__ = [
    "QAT",
    "Channels",
    "Cluster",
    "ContractError",
    "ConversionError",
    "DataError",
    "Dataset",
    "Distill",
    "Export",
    "Job",
    "LoadLimits",
    "MissingDependencyError",
    "ModelError",
    "OutputError",
    "Preprocessing",
    "Prune",
    "Recipe",
    "RecipeError",
    "Report",
    "Result",
    "TFLiteModel",
    "TfcompressError",
    "Train",
    "UnsupportedError",
    "UntrustedCodeError",
    "UsageError",
    "Workbench",
    "__version__",
    "attach",
    "compress",
    "export",
    "load_data",
    "load_model",
    "load_recipe",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _WHERE:
        msg = f"module 'tfcompress' has no attribute {name!r}"
        raise AttributeError(msg)
    module, _, alias = _WHERE[name].partition(":")
    value = getattr(importlib.import_module(f"tfcompress.{module}"), alias or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
