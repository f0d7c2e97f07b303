"""tfcompress.tflite.micro.npu_rewrites: each form is equal to what it stands for, and the NPU takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tfcompress.errors import ContractError
from tfcompress.recipe import Export
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.export import export
from tfcompress.tflite.micro.npu_rewrites import REWRITES, npu_rewrite
from tfcompress.tflite.micro.record import FallenBack
from tfcompress.tflite.micro.vela import compile_for

SIDE, CHANNELS = 6, 8
Form = Callable[[Any, Any], Any]


def by_kernel(kernel: np.ndarray) -> Form:
    """Return a 1 x 1 convolution of a fixed kernel (channels, filters)."""

    def form(keras: Any, x: Any) -> Any:
        made = keras.layers.Conv2D(kernel.shape[1], 1, use_bias=False)
        made.build(x.shape)
        made.set_weights([kernel[np.newaxis, np.newaxis].astype(np.float32)])
        return made(x)

    return form


KERNEL = np.random.default_rng(1).normal(size=(3, 3, 4, CHANNELS)).astype(np.float32)


def transposed(keras: Any, x: Any) -> Any:
    made = keras.layers.Conv2DTranspose(4, 3, strides=3, use_bias=False)
    made.build(x.shape)
    made.set_weights([KERNEL])
    return made(x)


def rearranged(keras: Any, x: Any) -> Any:
    flat = KERNEL.transpose(3, 0, 1, 2).reshape(CHANNELS, 36)
    blocks = keras.layers.Reshape((SIDE, SIDE, 3, 3, 4))(by_kernel(flat)(keras, x))
    return keras.layers.Reshape((3 * SIDE, 3 * SIDE, 4))(keras.layers.Permute((1, 3, 2, 4, 5))(blocks))


def sloping(keras: Any, x: Any) -> Any:
    made = keras.layers.PReLU(shared_axes=[1, 2])
    made.build(x.shape)
    made.set_weights([np.linspace(0.1, 0.8, CHANNELS, dtype=np.float32).reshape(1, 1, -1)])
    return made(x)


FORMS: dict[str, tuple[Form, Form]] = {
    "MEAN": (
        lambda keras, x: keras.ops.mean(x, axis=-1, keepdims=True),
        by_kernel(np.full((CHANNELS, 1), 1 / CHANNELS)),
    ),
    "STRIDED_SLICE": (lambda keras, x: keras.ops.flip(x, axis=-1), by_kernel(np.eye(CHANNELS)[::-1])),
    "GATHER": (lambda keras, x: keras.ops.take(x, [1, 3], axis=-1), by_kernel(np.eye(CHANNELS)[:, [1, 3]])),
    "SELECT": (lambda keras, x: keras.ops.where(x > 0, x, 0.3 * x), lambda keras, x: keras.layers.LeakyReLU(0.3)(x)),
    "GREATER": (
        lambda keras, x: keras.ops.where(x > 0, x, x * np.linspace(0.1, 0.8, CHANNELS, dtype=np.float32)),
        sloping,
    ),
    "SQRT": (
        lambda keras, x: keras.ops.sqrt(keras.ops.abs(x) + 1.0),
        lambda keras, x: (keras.ops.abs(x) + 1.0) * keras.ops.rsqrt(keras.ops.abs(x) + 1.0),
    ),
    "DIV": (
        lambda keras, x: x / (keras.ops.abs(x) + 1.0),
        lambda keras, x: x * keras.ops.rsqrt(keras.ops.abs(x) + 1.0) * keras.ops.rsqrt(keras.ops.abs(x) + 1.0),
    ),
    "TRANSPOSE_CONV": (transposed, rearranged),
}
"""An op -> a form that holds it and stays on the CPU, and the form that is advised."""


def left_on_the_cpu(keras: Any, form: Form, converter: ConverterProcess) -> tuple[Any, tuple[FallenBack, ...]]:
    """Return what a form gives for fixed numbers, and the ops of its int8 file that Vela leaves to the CPU."""
    keras.utils.set_random_seed(0)
    given = keras.Input((SIDE, SIDE, 4))
    inner = keras.layers.Conv2D(CHANNELS, 3, padding="same")(given)
    model = keras.Model(given, form(keras, inner))
    x = np.random.default_rng(0).normal(size=(32, SIDE, SIDE, 4)).astype(np.float32)
    settings = Export(quantize="int8", calibration="minmax")
    content = export(model, settings, data=x, converter=converter, progress=False).content
    return np.asarray(model(x)), compile_for(content, "ethos-u55-128").estimate.cpu_ops


def test_every_rewrite_has_a_form_that_is_tried() -> None:
    assert all(each.ops & set(FORMS) for each in REWRITES)


def test_a_look_up_has_none() -> None:
    assert npu_rewrite("GATHER", "Unsupported opType", constants={0}) == ""
    assert npu_rewrite("TRANSPOSE_CONV", "another reason", constants={0, 1}) == ""


@pytest.mark.slow
@pytest.mark.parametrize("op", FORMS)
def test_a_rewrite_is_equal_and_runs_on_the_npu(keras, vela, converter, op: str) -> None:
    expected, left = left_on_the_cpu(keras, FORMS[op][0], converter)
    said = {each.op: each.rewrite for each in left}
    assert said[op] == next(each.advice for each in REWRITES if op in each.ops)
    found, stays = left_on_the_cpu(keras, FORMS[op][1], converter)
    assert found == pytest.approx(expected, abs=1e-5)
    assert stays == ()


@pytest.mark.slow
def test_weights_of_few_bits_are_refused_before_vela_dies_of_them(keras, vela, converter) -> None:
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64)])
    x = np.random.default_rng(0).normal(size=(32, 64)).astype(np.float32)
    settings = Export(quantize="int8", weight_bits=4, min_agreement_db=0.0)
    content = export(model, settings, data=x, converter=converter, progress=False).content
    with pytest.raises(ContractError, match="weights of 8 bits, and 1 tensor has fewer in this file"):
        compile_for(content, "ethos-u55-128")
