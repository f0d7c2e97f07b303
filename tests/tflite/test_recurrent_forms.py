"""Recurrent layers through real conversions: one op where it can be, right in every runtime at hand, and told."""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np
import pytest

from edge_runner.cursor import Source
from tfcompress.errors import ConversionError
from tfcompress.models.fused_lstm import OP, RecurrentForms
from tfcompress.progress import SILENT
from tfcompress.recipe import Export
from tfcompress.tflite import attempt as attempts
from tfcompress.tflite.attempt import Request, attempt
from tfcompress.tflite.export import export
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.lower import Lowered, lower
from tfcompress.tflite.lstm_scales import CELL, HIDDEN, STATE, with_state_scales
from tfcompress.tflite.recurrent_forms import check_fused, check_loops, float_file
from tfcompress.tflite.slim import slim

pytestmark = pytest.mark.slow

STEPS = 6
ONCE = {"int8": Export(quantize="int8", calibration="minmax", samples=40, packings=())}
"""int8 without the other ways to it, and with scales that no two tensors share."""


@pytest.fixture(scope="module")
def network(keras) -> Any:
    """Two inputs; an LSTM on another, and one both ways whose steps are concatenated with other numbers."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    a, b = keras.Input((STEPS, 3), name="b_first"), keras.Input((4, 2), name="a_second")
    x = layers.LSTM(4, return_sequences=True, name="lower")(a)
    x = layers.LSTM(4, name="upper", bias_initializer="random_normal")(x)
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True, name="side"), name="both")(b)
    y = layers.Concatenate()([layers.Flatten()(y), x])
    return keras.Model([a, b], layers.Dense(3, name="answer")(y))


@pytest.fixture(scope="module")
def samples() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "b_first": generator.normal(size=(60, STEPS, 3)).astype("f"),
        "a_second": generator.normal(size=(60, 4, 2)).astype("f"),
    }


@pytest.fixture(scope="module")
def files(network, samples, converter) -> dict[str, Any]:
    settings = {"none": Export(), "float16": Export(quantize="float16"), **ONCE}
    return {name: export(network, each, data=samples, converter=converter) for name, each in settings.items()}


@pytest.mark.parametrize(("scheme", "least_db"), [("none", 100), ("float16", 60), ("int8", 30)])
def test_lstms_are_one_op_each_and_compute_what_keras_does(files, scheme, least_db) -> None:
    found = files[scheme].verification
    assert found.ops[OP] == 4
    assert not {"WHILE", "REVERSE_V2"} & set(found.ops)
    assert sum(count for op, count in found.ops.items() if op != "DEQUANTIZE") < 20  # of weights, in float16
    assert found.agreement[0].sqnr_db > least_db
    assert files[scheme].route == "converter"
    (note,) = files[scheme].notes
    about, names, what = re.fullmatch(r"LSTM as one op \((\w+)\): ([\w, ]+); (.*)", note).groups()
    assert (about, what) == (OP, "whoever runs the file must reset its variables before each sample")
    assert sorted(names.split(", ")) == ["backward_side", "forward_side", "lower", "upper"]
    if scheme == "int8":
        assert found.float_ops == ()
        assert found.kernel_steps == 0  # LiteRT's fast kernels and its reference kernels agree


def test_of_tf_keras_too_it_is_known_that_lstms_are_one_op_each(tf_keras, converter) -> None:
    """Or a way to int8 that writes them out would be tried beside one that does not."""
    steps = tf_keras.Input((3, 2), name="steps")
    for layer, fused in ((tf_keras.layers.LSTM(2), ("its LSTMs",)), (tf_keras.layers.Flatten(), ())):
        request = Request(
            settings=Export(packings=()),
            data=None,
            metadata=None,
            converter=converter,
            float_model=None,
            float_size_bytes=None,
            progress=SILENT,
            seed=0,
        )
        model = tf_keras.Model(steps, layer(steps))
        assert attempt(model, request, model).fused == fused


def test_the_same_network_gives_the_same_bytes(network, samples, converter, files) -> None:
    assert export(network, Export(), data=samples, converter=converter).content == files["none"].content


def test_state_and_output_of_an_integer_lstm_have_one_scale_and_the_cell_one_that_kernels_know(files) -> None:
    """Behind a Concatenate the converter breaks that, and the output is off by the ratio of the scales."""
    content = files["int8"].content
    (graph,) = read_model_file(content).subgraphs
    scales = []
    for op in (op for op in graph.ops if op.name == OP):
        same = [graph.tensors[n] for n in (op.outputs[0], op.inputs[STATE], op.intermediates[HIDDEN])]
        assert len({(tensor.scales, tensor.zero_points) for tensor in same}) == 1
        scales += [same[1], graph.tensors[op.inputs[CELL]]]
        assert 2.0**-15 <= scales[-1].scales[0] <= 2.0**-9  # tanh of what has 0 to 6 bits before the point
    assert with_state_scales(content) == content
    broken = bytearray(content)
    for place, tensor in enumerate(scales):
        table = Source(memoryview(content)).root().tables(2)[0].tables(0)[tensor.index].table(4)
        assert table is not None
        struct.pack_into("<f", broken, table.vector(2, 4)[0], (2.0**-17, 1.0)[place // 2 % 2])
    assert bytes(broken) != content
    mended = read_model_file(with_state_scales(bytes(broken))).subgraphs[0]
    found = [mended.tensors[tensor.index].scales[0] for tensor in scales]
    assert found[::2] == [tensor.scales[0] for tensor in scales[::2]]
    assert found[1::2] == [2.0**-15, 2.0**-9, 2.0**-15, 2.0**-9]
    assert with_state_scales(files["none"].content) == files["none"].content


def test_a_gru_and_a_masked_lstm_are_written_out_in_int8_and_the_reason_is_told(keras, converter) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    x = inputs = keras.Input((3, 2), name="steps")
    x = layers.GRU(2, name="gated", return_sequences=True)(x)
    x = layers.LSTM(2, name="padded")(layers.Masking()(x))
    model = keras.Model(inputs, layers.Dense(2)(x))
    data = np.random.default_rng(0).normal(size=(40, 3, 2)).astype("f")
    made = export(model, ONCE["int8"], data=data, converter=converter)
    assert made.route == "calibrated by our rules"
    assert OP not in made.verification.ops
    assert made.notes[0] == (
        "the converter cannot quantize the loops of recurrent layers to int8: gated (TFLite has no op for GRU), padded "
        "(its steps are masked): so the model was rewritten as for --qat, and calibrated without training"
    )


def test_dynamic_files_have_the_smaller_of_the_two_forms(keras, converter) -> None:
    """The converter leaves kernels below 1,024 values in float, and one op has four where a loop has one."""
    keras.utils.set_random_seed(0)
    for units, fused in ((16, False), (33, True)):
        inputs = keras.Input((4, 33), name="steps")
        model = keras.Model(inputs, keras.layers.LSTM(units, name="only")(inputs))
        made = export(model, Export(quantize="dynamic"), converter=converter)
        assert (OP in made.verification.ops) == fused
        assert made.notes[-1].startswith("LSTM as one op" if fused else "LSTM layers are loops in the file: as one op")
        assert made.size_bytes < 4 * 4 * units * (33 + units)


def test_sequences_of_any_length_are_taken(keras, converter) -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, 3), name="steps")
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.LSTM(3)(inputs)))
    data = np.random.default_rng(0).normal(size=(200, 9, 3)).astype("f")
    made = export(model, ONCE["int8"], data=data, converter=converter)
    assert made.verification.ops[OP] == 1
    assert (made.verification.agreement[0].sqnr_db or 0) > 30


def test_the_float_file_that_others_are_compared_with_has_lstms_as_one_op_each(
    network, files, converter, tmp_path, monkeypatch
) -> None:
    assert OP in {op.name for op in read_model_file(float_file(network, tmp_path / "a", converter)).ops}
    recurrent = float_file.__globals__

    def refuse(content: bytes, lowered: Lowered) -> None:
        msg = "not one op"
        raise ConversionError(msg)

    monkeypatch.setitem(recurrent, "check_fused", refuse)
    assert OP not in {op.name for op in read_model_file(float_file(network, tmp_path / "b", converter)).ops}


def gru(layers: Any, given: Any) -> Any:
    return layers.GRU(4)(layers.GRU(4, return_sequences=True, go_backwards=True)(given))


def masked(layers: Any, given: Any) -> Any:
    return layers.LSTM(4)(layers.Masking()(given))


def begun(layers: Any, given: Any) -> Any:
    state = layers.Dense(4, activation="tanh")(layers.Flatten()(given))
    return layers.LSTM(4)(given, initial_state=[state, state])


@pytest.mark.parametrize("build", [gru, masked, begun])
def test_what_is_written_out_is_a_loop_in_the_file_and_no_bit_is_another(build, keras, converter, monkeypatch) -> None:
    keras.utils.set_random_seed(0)
    given = keras.Input((16, 3), name="steps")
    model = keras.Model(given, keras.layers.Dense(2)(build(keras.layers, given)))
    data = np.random.default_rng(0).normal(size=(60, 16, 3)).astype("f")
    data[:30, 9:] = 0.0
    made = export(model, ONCE["int8"], data=data, converter=converter)
    found = made.verification
    assert found.ops["WHILE"] == (2 if build is gru else 1)
    assert found.float_ops == ()
    assert (found.agreement[0].sqnr_db or 0) > 20
    assert found.macs
    said = next(note for note in made.notes if note.startswith("recurrent layers are loops in the file: "))
    assert "outputs bit-equal in LiteRT, LiteRT's reference kernels" in said
    monkeypatch.setattr(attempts, "rolled_and_proven", lambda content, *_: (content, ""))
    steps = export(model, ONCE["int8"], data=data, converter=converter)
    assert found.macs >= (steps.verification.macs or 0)
    assert sum(found.ops.values()) < 0.5 * sum(steps.verification.ops.values())
    assert len(slim(made.content)) < 0.6 * len(slim(steps.content))
    for each in (False, True):
        with (
            InterpreterProcess(made.content, reference_kernels=each) as one,
            InterpreterProcess(steps.content, reference_kernels=each) as other,
        ):
            answers = [process.run({"steps": data}) for process in (one, other)]
        assert all(answers[0][name].tobytes() == values.tobytes() for name, values in answers[1].items())


def test_what_is_no_op_is_refused_by_name(network, files, tmp_path) -> None:
    lowered = lower(network, tmp_path / "plain")
    assert lowered.recurrent == RecurrentForms()
    asked = Lowered(lowered.folder, lowered.signature, 1, False, RecurrentForms(["x"] * 5, {"r": "it is stateful"}))
    with pytest.raises(ConversionError, match=r"made 4 of 5 LSTMs one op \(x\); give --quantize dynamic or float16"):
        check_fused(files["none"].content, asked)
    with pytest.raises(ConversionError, match=r"to int8: r \(it is stateful\); train with --qat, .* unroll=True"):
        check_loops(asked, Export(quantize="int8"))
    check_loops(asked, Export(quantize="dynamic"))
