"""Weights of two files side by side: which kernels are paired, what they are called, how they are counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfcompress.gallery import kernel_counts as module
from tfcompress.gallery.kernel_counts import kernel_counts
from tfcompress.reports.pictures import ValueCounts
from tfcompress.reports.sections import FileLayer, Layer
from tfcompress.tflite.kernel_values import KernelValues


def kernel(
    values: Any, tensor: str = "", op: str = "CONV_2D", distinct: int | None = None, place: int | None = None
) -> KernelValues:
    array = None if values is None else np.asarray(values, np.float32).ravel()
    shape = (4,) if array is None else (array.size,)
    return KernelValues(op, tensor, shape, array, distinct, place)


def layer(name: str, parameters: int, macs: int | None = 10) -> Layer:
    return Layer(name=name, type="Conv2D", output_shape=(None, 4), parameters=parameters, macs=macs)


def counted(
    before: list[KernelValues], after: list[KernelValues], *layers: Layer, rows: tuple[FileLayer, ...] = ()
) -> tuple[tuple[ValueCounts, ...], str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "kernel_values", {b"before": before, b"after": after}.__getitem__)
        return kernel_counts(b"before", b"after", layers, rows)


def test_the_values_of_a_pair_are_counted_side_by_side() -> None:
    (found,), note = counted([kernel([0.0, 1.0])], [kernel([0.0, 0.0, 1.0], distinct=2)])
    assert note == ""
    assert (sum(found.before), sum(found.after)) == (2, 3)
    assert (found.zeros_before, found.zeros_after, found.distinct_after) == (1 / 2, 2 / 3, 2)


def test_weights_that_are_all_alike_have_a_width_to_be_drawn_in() -> None:
    (found,), _ = counted([kernel([2.0, 2.0])], [kernel([2.0])])
    assert (found.low, found.high) == (1.5, 2.5)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_files_of_other_numbers_of_kernels_are_not_paired(count: int) -> None:
    found, note = counted([kernel([1.0])] * 2, [kernel([1.0])] * count)
    assert found == ()
    assert note == f"the result has {count} kernels and the float file 2, so none can be compared"


def row(name: str, *places: int) -> FileLayer:
    return FileLayer(name=name, tensor="", ops=("CONV_2D",) * len(places), places=places)


def test_where_one_file_has_more_kernels_those_of_one_layer_are_paired() -> None:
    ones = [kernel([1.0, 2.0], "a"), kernel([3.0, 4.0], "b"), kernel([5.0, 6.0], "c")]
    layers = (layer("a", 2), layer("b", 2), layer("c", 2))
    scaled = [kernel([9.0], place=0), kernel([1.0, 1.0], place=1), kernel([2.0], place=2), kernel([3.0, 3.0], place=3)]
    rows = (row("", 0), row("a", 1), row("b", 2), row("c", 3))
    found, note = counted(ones, scaled, *layers, rows=rows)
    assert [(one.name, sum(one.before), sum(one.after)) for one in found] == [("a", 2, 2), ("b", 2, 1), ("c", 2, 2)]
    assert note == ""
    factors = (row("a", 0), row("b", 1, 2), row("c", 3))
    found, note = counted(ones, scaled, *layers, rows=factors)
    assert [one.name for one in found] == ["a", "c"]
    assert note == "the result has 4 kernels and the float file 3; 1 of the latter are not compared"


def test_kernels_without_numbers_are_left_out_and_said() -> None:
    ones = [kernel([1.0]), kernel(None), kernel([]), kernel([3.0])]
    others = [kernel(None), kernel([1.0]), kernel([1.0]), kernel([2.0], "a/last/op")]
    found, note = counted(ones, others)
    assert [each.name for each in found] == ["CONV_2D 4"]
    assert note == "the weights of 3 kernels cannot be read as numbers"
    assert counted([], []) == ((), "")


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        ("net/conv_1/Conv2D;net/bias", "conv_1"),
        ("conv_1", "conv_1"),
        ("a/b/c/d", "c"),
        ("/a//b/", "a"),
        ("", "CONV_2D 1"),
        (";", "CONV_2D 1"),
    ],
)
def test_a_kernel_without_a_sure_layer_is_called_by_what_its_tensor_tells(tensor: str, name: str) -> None:
    (found,), _ = counted([kernel([1.0, 2.0], tensor)], [kernel([1.0, 2.0])])
    assert found.name == name


@pytest.mark.parametrize(
    ("parameters", "name", "sure"),
    [
        (4, "conv", True),  # as many as its kernel has
        (8, "conv", True),  # and a bias
        (9, "conv", False),
        (3, "conv", False),
        (4, "net/conv", True),  # in a nested model
        (4, "dense", False),  # another name
    ],
)
def test_a_kernel_is_a_layers_where_name_and_number_of_weights_fit(parameters: int, name: str, sure: bool) -> None:
    given_kernel = kernel([1.0, 2.0, 3.0, 4.0], "x/conv_1/Conv2D")
    (found,), _ = counted([given_kernel], [given_kernel], layer("in", 0), layer(name, parameters), layer("pool", 0))
    assert found.name == (name if sure else "conv_1")


def test_layers_that_multiply_nothing_are_not_counted_among_the_kernels() -> None:
    kernels = [kernel([1.0] * 4, "first/a/x"), kernel([1.0] * 6, "second/b/x")]
    layers = (layer("first", 4), layer("norm", 8, macs=None), layer("idle", 8, macs=0), layer("second", 6))
    found, _ = counted(kernels, kernels, *layers)
    assert [each.name for each in found] == ["first", "second"]
    swapped, _ = counted(kernels, kernels, layers[3], layers[0])
    assert [each.name for each in swapped] == ["a", "b"]
