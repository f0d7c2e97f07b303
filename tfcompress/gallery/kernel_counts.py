"""The weights of a file beside those of the float file, kernel by kernel."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tfcompress.gallery.value_counts import value_counts
from tfcompress.reports.pictures import ValueCounts
from tfcompress.reports.sections import FileLayer, Layer
from tfcompress.tflite.kernel_values import KernelValues, kernel_values


def kernel_counts(
    before: bytes, after: bytes, layers: Sequence[Layer], rows: Sequence[FileLayer] = ()
) -> tuple[tuple[ValueCounts, ...], str]:
    """Count the weights of two files of one model.

    Args:
        before: the float file.
        after: the other.
        layers: the model's, that kernels are called by.
        rows: the ops of the other file by the layer that they compute.

    Returns:
        A count for each kernel, in the file's order, and what is to be said about those that are not there; kernels
        are matched by their order, where the files have not as many by the layers that have one kernel in both.
    """
    ones, others = kernel_values(before), kernel_values(after)
    names = _names(ones, layers)
    pairs = list(zip(names, ones, others, strict=False))
    alone = ""
    if len(ones) != len(others):
        pairs = _of_one_layer(names, ones, others, rows)
        alone = _alone(len(ones), len(others), len(pairs))
    found, unreadable = [], 0
    for name, one, other in pairs:
        if one.values is None or other.values is None or not one.values.size or not other.values.size:
            unreadable += 1
        else:
            found.append(value_counts(name, one.values, other.values, other.distinct))
    unread = f"the weights of {unreadable} kernels cannot be read as numbers" if unreadable else ""
    return tuple(found), "; ".join(filter(None, (alone, unread)))


def _alone(ones: int, others: int, pairs: int) -> str:
    if pairs == ones:
        return ""
    counts = f"the result has {others} kernels and the float file {ones}"
    rest = f"; {ones - pairs} of the latter are not compared" if pairs else ", so none can be compared"
    return counts + rest


def _of_one_layer(
    names: Sequence[str], ones: Sequence[KernelValues], others: Sequence[KernelValues], rows: Sequence[FileLayer]
) -> list[tuple[str, KernelValues, KernelValues]]:
    """Pair kernels of the layers that have one in each file; a layer that was taken apart has several."""
    owners = {place: row.name for row in rows if row.name for place in row.places}
    named: dict[str, list[KernelValues]] = {}
    for other in others:
        if other.place in owners:
            named.setdefault(owners[other.place], []).append(other)
    return [
        (name, one, named[name][0])
        for name, one in zip(names, ones, strict=True)
        if names.count(name) == 1 and len(named.get(name, ())) == 1
    ]


def _names(found: Sequence[KernelValues], layers: Sequence[Layer]) -> list[str]:
    """Return the names of the layers that kernels are of, or of their tensors where that is not sure.

    The converter renumbers the names of layers (``conv2d`` becomes ``conv2d_1``), so they are matched by their order:
    each must have as many weights as its layer, or fewer by a bias.
    """
    multiplying = [layer for layer in layers if layer.macs and layer.parameters]
    if len(multiplying) == len(found) and all(map(_may_be_of, found, multiplying)):
        return [layer.name for layer in multiplying]
    return [_tensor_name(kernel, number) for number, kernel in enumerate(found, start=1)]


def _may_be_of(kernel: KernelValues, layer: Layer) -> bool:
    size, parts = kernel.elements, re.split(r"[/;]", kernel.tensor)
    own = layer.name.split("/")[-1]
    named = parts == [""] or any(part == own or part.startswith(f"{own}_") for part in parts)
    return named and size <= layer.parameters <= size + max(kernel.shape, default=0)


def _tensor_name(kernel: KernelValues, number: int) -> str:
    """Return the part of a tensor's name that says most: the last but one, before that of the op."""
    parts = [part for part in kernel.tensor.split(";")[0].split("/") if part]
    return parts[-2] if len(parts) > 1 else parts[0] if parts else f"{kernel.op} {number}"
