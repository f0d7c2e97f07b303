"""tfcompress.tflite.rearrange: order, batches and names; and that every conversion has them."""

from __future__ import annotations

import dataclasses
import struct
from collections import Counter

import numpy as np
import pytest

from edge_runner.cursor import Source
from tests.tflite.make_files import SCHEMES
from tfcompress.models.signature import call
from tfcompress.recipe import Export
from tfcompress.tflite.export import export
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.rearrange import for_any_batch, in_order, with_unique_names


def interpreter(content: bytes, batch: int):
    """Open a file for a number of samples at a time."""
    from ai_edge_litert.interpreter import Interpreter

    found = Interpreter(model_content=content)
    for tensor in found.get_input_details():
        found.resize_tensor_input(tensor["index"], [batch, *tensor["shape"][1:]])
    found.allocate_tensors()
    return found


@pytest.fixture(scope="module")
def crossed(keras):
    """Return a model whose inputs and outputs are in no alphabetical order."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    wide, narrow = keras.Input((6,), name="wide"), keras.Input((4,), name="narrow")
    joined = layers.Concatenate()([wide, narrow])
    outputs = [layers.Dense(3, name="z")(joined), layers.Dense(2, name="m")(joined), layers.Dense(5, name="q")(joined)]
    return keras.Model([wide, narrow], outputs)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["none", "int8"])
def test_inputs_and_outputs_come_in_the_models_order_by_index_and_by_name(crossed, converter, scheme) -> None:
    generator = np.random.default_rng(0)
    data = {name: generator.normal(size=(40, size)).astype("f") for name, size in (("narrow", 4), ("wide", 6))}
    result = export(crossed, Export(quantize=scheme), data=data, converter=converter)
    file = read_model_file(result.content)
    assert [tensor.name for tensor in file.inputs] == ["wide", "narrow"]
    assert [tensor.name for tensor in file.outputs] == ["z", "m", "q"]
    opened = interpreter(result.content, 1)
    assert [int(tensor["shape"][1]) for tensor in opened.get_input_details()] == [6, 4]
    assert [int(tensor["shape"][1]) for tensor in opened.get_output_details()] == [3, 2, 5]
    runner = opened.get_signature_runner("serving_default")
    assert {name: details["shape"][1] for name, details in runner.get_output_details().items()} == {
        "z": 3, "m": 2, "q": 5,
    }  # fmt: skip


@pytest.mark.slow
def test_the_board_is_fed_by_name_whatever_the_order(crossed, converter, tmp_path) -> None:
    from edge_runner.flatbuffer import read_facts as read_on_the_board

    content = export(crossed, Export(), converter=converter).content
    (tmp_path / "crossed.tflite").write_bytes(content)
    on_the_board = read_on_the_board(content)
    assert on_the_board is not None
    data = {"wide": np.ones((3, 6), "f"), "narrow": np.zeros((3, 4), "f")}
    with InterpreterProcess(content) as process:
        outputs = process.run(data)
    for name, expected in call(crossed, data).items():
        assert outputs[name] == pytest.approx(expected, abs=1e-5)


def test_a_file_of_other_names_stays_as_it_is(file) -> None:
    content = file("none")
    assert in_order(content, ["picture"], ["scores"]) == content
    assert in_order(content, ["image"], ["scores"]) == content


@pytest.mark.slow
@pytest.mark.parametrize("flavour", ["keras", "tf_keras"])
def test_a_file_takes_any_batch_that_keras_takes(flavour, request, converter) -> None:
    made = request.getfixturevalue(flavour)
    made.utils.set_random_seed(0)
    layers = made.layers
    image = made.Input((4, 4, 3), name="image")
    flat = layers.Flatten()(layers.Conv2D(4, 3)(image))
    attended = layers.MultiHeadAttention(2, 3)(*[layers.Reshape((4, 4))(flat)] * 2)
    model = made.Model(image, layers.Dense(2, name="scores")(layers.Flatten()(attended)))
    images = np.random.default_rng(0).normal(size=(4, 4, 4, 3)).astype("f")
    opened = interpreter(export(model, Export(), converter=converter).content, 4)
    opened.set_tensor(opened.get_input_details()[0]["index"], images)
    opened.invoke()
    got = opened.get_tensor(opened.get_output_details()[0]["index"])
    assert got == pytest.approx(call(model, {"image": images})["scores"], abs=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_sample_is_computed_as_before(file, images, scheme) -> None:
    content = file(scheme)
    changed = for_any_batch(content)
    with InterpreterProcess(content) as before, InterpreterProcess(changed) as after:
        for name, values in before.run(images).items():
            assert np.array_equal(values, after.run(images)[name])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_tensors_of_one_name_are_told_apart(file, scheme) -> None:
    content = file(scheme)
    assert with_unique_names(content) == content
    twice = _with_a_name_twice(content)
    assert max(Counter(t.name for t in read_model_file(twice).subgraphs[0].tensors).values()) == 2
    found = read_model_file(with_unique_names(twice))
    names = [tensor.name for tensor in found.subgraphs[0].tensors]
    assert len(set(names)) == len(names)
    plain = [dataclasses.replace(tensor, name="") for tensor in read_model_file(twice).subgraphs[0].tensors]
    assert [dataclasses.replace(tensor, name="") for tensor in found.subgraphs[0].tensors] == plain


def _with_a_name_twice(content: bytes) -> bytes:
    """Let one tensor refer to the name of another."""
    tables = Source(memoryview(content)).root().tables(2)[0].tables(0)
    at, target = next(
        (a.at(3, 4), b.target(3))
        for a in tables
        for b in tables
        if a is not b and a.at(3, 4) and b.target(3) > a.at(3, 4)
    )
    made = bytearray(content)
    struct.pack_into("<I", made, at, target - at)
    return bytes(made)
