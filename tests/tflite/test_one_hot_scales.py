"""tfcompress.tflite.one_hot_scales: the two values of an integer ONE_HOT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.tflite.make_files import cnn
from tfcompress.recipe import Export
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.lower import lower
from tfcompress.tflite.one_hot_scales import OP, with_one_hot_scales


def values(flat: FlatModel) -> list[tuple[float, float, float]]:
    """Return what each ONE_HOT has as its two values, as its output reads them, and the output's step."""
    graph, found = flat.subgraphs[0], []
    for op in graph.ops:
        if op.name == OP:
            output = graph.tensors[op.outputs[0]]
            (scale,), (zero,) = output.scales, output.zero_points
            stored = [np.frombuffer(graph.tensors[n].data, output.dtype)[0] for n in op.inputs[2:4]]
            on, off = ((int(value) - zero) * scale for value in stored)
            found.append((on, off, scale))
    return found


def chooser(keras: Any, axis: int, behind: bool) -> Any:
    """Return a model that says which of four numbers is the largest, perhaps with arithmetic behind it."""
    given = keras.Input((6, 4), name="x")
    scores = keras.layers.Dense(4, kernel_initializer="identity")(given)
    one_hot = keras.ops.one_hot(keras.ops.argmax(scores, axis=-1), 4, axis=axis)
    return keras.Model(given, one_hot * scores if behind else one_hot)


@pytest.mark.slow
@pytest.mark.parametrize(("axis", "behind"), [(-1, False), (1, False), (-1, True)])
def test_one_hot_of_integers_is_one_and_zero(keras, tmp_path, axis: int, behind: bool) -> None:
    model = chooser(keras, axis, behind)
    x = np.random.default_rng(0).uniform(-1, 1, (32, 6, 4)).astype(np.float32)
    lowered = lower(model, tmp_path / "saved")
    with ConverterProcess() as converter:
        content = converter.convert(lowered.folder, Export(quantize="int8"), {"x": x})
    (found,) = values(read_model_file(content))
    assert found[:2] == pytest.approx((1.0, 0.0), abs=found[2])
    assert with_one_hot_scales(content) == content
    name = read_model_file(content).outputs[0].name
    with InterpreterProcess(content) as interpreter:
        outputs = interpreter.run({"x": x})
    expected = np.asarray(model(x))
    near = np.abs(outputs[name].reshape(expected.shape) - expected) < 0.05  # all but where two numbers tie
    assert near.mean() > 0.97


@pytest.mark.slow
def test_a_file_without_one_stays_as_it_is(keras, tmp_path) -> None:
    with ConverterProcess() as converter:
        content = converter.convert(lower(cnn(keras), tmp_path / "saved").folder, Export(), None)
    assert with_one_hot_scales(content) is content
