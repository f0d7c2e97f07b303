"""Tensors of a file find their layers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("keras")

from tfcompress.diagnosis.layer_values import LayerValue
from tfcompress.diagnosis.tensor_match import FileValue, is_named, match_tensors

DRAW = np.random.default_rng(0)
CONV, OTHER = (DRAW.normal(size=(4, 5, 3)).astype("float32") for _ in range(2))
RELU = np.maximum(CONV, 0)
LAYERS = [
    LayerValue("conv", "Conv2D", CONV, (), 27),
    LayerValue("norm", "BatchNormalization", 2 * CONV, (0,)),
    LayerValue("relu", "ReLU", 2 * RELU, (1,)),
    LayerValue("flat", "Flatten", 2 * RELU.reshape(4, 15), (2,)),
    LayerValue("other", "Conv2D", OTHER, (3,), 9),
]


def tensor(number: int, values: np.ndarray, op: str = "CONV_2D", name: str = "", **more) -> FileValue:
    return FileValue(number, name, values[:, np.newaxis], op, **more)


def paths(*tensors: FileValue) -> dict[int, tuple[str, str]]:
    return {number: (LAYERS[m.place].path, m.how) for number, m in match_tensors(tensors, LAYERS).items()}


def noisy(values: np.ndarray) -> np.ndarray:
    return values + DRAW.normal(0, 0.02, values.shape).astype("float32")


def test_values_tell_and_the_nearest_of_those_that_only_scale() -> None:
    found = paths(tensor(1, noisy(2 * RELU), op="ANY"), tensor(2, noisy(2 * CONV), op="ANY"), tensor(3, noisy(OTHER)))
    assert found == {1: ("relu", "values"), 2: ("norm", "values"), 3: ("other", "values")}


def test_of_equal_values_the_shape_tells() -> None:
    found = paths(tensor(1, noisy(2 * RELU.reshape(4, 15)), op="ANY"))
    assert found == {1: ("flat", "values")}


def test_names_come_before_values() -> None:
    spoilt = DRAW.normal(size=CONV.shape).astype("float32")
    found = paths(tensor(1, spoilt, name="model/other_1/BiasAdd;model/else"))
    assert found == {1: ("other", "name")}


def test_an_output_is_known_by_its_name() -> None:
    assert paths(tensor(1, noisy(RELU), output="other")) == {1: ("other", "name")}


def test_where_values_are_spoilt_kernels_in_the_same_order_tell_with_what_is_fused_behind_them() -> None:
    spoilt = DRAW.normal(size=CONV.shape).astype("float32")
    found = paths(tensor(1, spoilt, kernel_size=27), tensor(2, noisy(OTHER), kernel_size=9))
    assert found == {1: ("relu", "place"), 2: ("other", "values")}


def test_kernels_of_other_sizes_tell_nothing() -> None:
    spoilt = DRAW.normal(size=CONV.shape).astype("float32")
    assert paths(tensor(1, spoilt, kernel_size=26), tensor(2, noisy(OTHER), kernel_size=9)) == {2: ("other", "values")}


def test_an_op_whose_kind_is_known_is_found_between_its_neighbours() -> None:
    spoilt = DRAW.normal(size=(4, 15)).astype("float32")
    found = paths(tensor(1, noisy(2 * RELU)), tensor(2, spoilt, op="RESHAPE"), tensor(3, noisy(OTHER)))
    assert found[2] == ("flat", "place")


def test_an_addition_ends_at_the_relu_behind_it() -> None:
    first, relu = LayerValue("sum", "Add", CONV), LayerValue("relu", "ReLU", RELU, (0,))
    layers = [first, relu, LayerValue("other", "Conv2D", OTHER)]
    found = match_tensors([tensor(1, noisy(RELU), op="ADD"), tensor(2, noisy(CONV), op="ADD")], layers)
    assert [(layers[found[n].place].path, found[n].how) for n in (1, 2)] == [("relu", "values"), ("sum", "values")]


def test_a_tensor_of_another_size_has_no_layer() -> None:
    assert paths(tensor(1, np.ones((4, 7), "float32"))) == {}


@pytest.mark.parametrize("name", ["", "model/conv/BiasAdd"])
@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_a_tensor_of_no_numbers_is_found_by_name_or_kernel_and_like_nothing_by_its_values(
    name: str, spoilt: float
) -> None:
    values = CONV.copy()
    values[0, 0] = spoilt
    assert paths(tensor(1, values, op="ANY")) == {}
    found = paths(tensor(1, values, name=name, kernel_size=27), tensor(2, noisy(OTHER), kernel_size=9))
    assert found[1] == (("conv" if name else "relu"), "name" if name else "place")
    assert found[2] == ("other", "values")


def test_a_layer_of_no_numbers_is_passed_over() -> None:
    broken = LayerValue("broken", "Conv2D", np.full_like(CONV, np.nan))
    (match,) = match_tensors([tensor(1, noisy(CONV), op="ANY")], [broken, LayerValue("conv", "Conv2D", CONV)]).values()
    assert (match.place, match.how) == (1, "values")


def test_the_sign_of_values_tells_two_layers_apart() -> None:
    layers = [LayerValue("minus", "Lambda", -CONV), LayerValue("plus", "Lambda", CONV)]
    found = match_tensors([tensor(1, noisy(CONV), op="ANY"), tensor(2, noisy(-CONV), op="ANY")], layers)
    assert {number: match.place for number, match in found.items()} == {1: 1, 2: 0}


@pytest.mark.parametrize(
    ("name", "path", "speaks"),
    [
        ("model/conv_1/Relu;model/bn", "conv", True),
        ("model/conv_1/Relu;model/bn", "inner/bn", True),
        ("model/conv_1/Relu", "conv (before relu)", True),
        ("model/conv_one/Relu", "conv", False),
        ("model/conv2/Relu", "conv", False),
        ("", "conv", False),
        ("a.b", "a?b", False),
    ],
)
def test_names_of_the_converter_speak_of_whole_parts(name: str, path: str, speaks: bool) -> None:
    assert is_named(name, path) is speaks
