"""What a file takes beside the values of some of its kernels, found by making it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from edge_runner.graph import read_graph
from tfcompress.recipe import Recipe
from tfcompress.settings import ANY_AGREEMENT_DB
from tfcompress.stages.decisions import FileRest
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.export import TFLiteModel, export
from tfcompress.tflite.packaging import make_package
from tfcompress.tflite.tensors import with_values
from tfcompress.tflite.weights import kernels


def measured_file(
    model: Any,
    sizes: Mapping[int, int],
    *,
    recipe: Recipe,
    data: Any,
    metadata: Mapping[str, Any],
    converter: ConverterProcess,
) -> FileRest:
    """Measure the file that a recipe's export makes of a model without any training.

    Args:
        model: a Keras 3 model.
        sizes: as for :func:`rest_bytes`.
        recipe: what is asked; its file with look-up tables is meant where there is one, else its package.
        data: samples to calibrate on.
        metadata: what is stored in the file.
        converter: the converter's process.

    Raises:
        TfcompressError: the model cannot be exported like that.
    """
    asked = recipe.export
    settings = dataclasses.replace(
        asked,
        lookup=False,
        c_array=False,
        target="linux",
        max_arena="",
        max_flash="",
        max_drop=None,
        calibration="minmax",
        float_ops="allow",
        min_agreement_db=ANY_AGREEMENT_DB,
    )
    about: dict[str, Any] = {"data": data, "metadata": metadata, "converter": converter}
    made = export(model, settings, progress=False, seed=recipe.train.seed, **about)
    return FileRest(rest_bytes(made.content, sizes, packed=not asked.lookup), made.size_bytes)


def size_remarks(recipe: Recipe, file: TFLiteModel) -> Iterator[str]:
    """Yield what the stages of a recipe have to say of a file's size."""

    def size_bytes() -> int:
        # a target may have had a file with tables made that nobody asked for: the budget is then the package's
        if recipe.export.lookup and file.lookup is not None:
            return len(file.lookup.content)
        return len(make_package(file.content).content)

    yield from filter(None, (stage.remark_on(size_bytes, file.size_bytes) for stage in recipe.stages))


def rest_bytes(content: bytes, sizes: Mapping[int, int], *, packed: bool) -> int:
    """Return the bytes of a file without the values of some kernels.

    Args:
        content: a ``.tflite`` file.
        sizes: number of a kernel's elements -> how many kernels of that size are meant; the first ones of the file.
        packed: whether the bytes of its package (.tfz) are meant.

    Raises:
        ModelError: not a TFLite file, or a malformed one.
    """
    graph = read_graph(content)
    wanted, blank, taken = Counter(sizes), bytearray(content), 0
    for kernel in kernels(with_values(graph, content)):
        if wanted[kernel.tensor.elements] > 0:
            wanted[kernel.tensor.elements] -= 1
            start, size = graph.buffers[kernel.tensor.buffer]
            blank[start : start + size] = bytes(size)
            taken += size
    return len(make_package(bytes(blank)).content) if packed else len(content) - taken
