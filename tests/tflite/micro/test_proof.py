"""tfcompress.tflite.micro.proof: the whole line, from a Keras model to a file that runs on a microcontroller."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tests.tflite.make_files import cnn
from tfcompress.errors import ContractError, UnsupportedError
from tfcompress.recipe import Export, Recipe
from tfcompress.reports.report import read_report
from tfcompress.tflite.export import export
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.micro.arena import ArenaUse
from tfcompress.tflite.micro.proof import check_limits, op_places_of
from tfcompress.tflite.micro.record import MicroRecord, NpuEstimate

ARENA = ArenaUse(total_bytes=56_080, head_bytes=49_152, tail_bytes=6_928)
RECORD = MicroRecord(
    target="tflm",
    runtime="tflite-micro",
    version="1",
    arena=ARENA,
    least_arena_bytes=56_096,
    planned_arena_bytes=49_152,
    flash_bytes=87_104,
    samples=4,
    equal=4,
    kernel_steps=0.0,
    kernel_error=0.0,
    kernel_note="",
    agreement_db=25.0,
    real_samples=True,
    most_arena_bytes=None,
    most_flash_bytes=None,
)
NPU = NpuEstimate(
    accelerator="ethos-u55-128",
    version="5",
    system_config="a",
    memory_mode="b",
    clock_hz=1e9,
    sram_bytes=50_000,
    dram_bytes=0,
    flash_bytes=60_000,
    file_bytes=90_000,
    cycles=10,
    npu_cycles=5,
    inference_ms=1e-5,
    npu_ops=3,
    cpu_ops=(),
)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({}, ""),
        ({"most_arena_bytes": 56_096.0, "most_flash_bytes": 87_104.0}, ""),
        (
            {"most_arena_bytes": 56_095.0},
            r"at most 56,095 bytes, the file takes 56,096 \(and keeps head 49,152, tail 6",
        ),
        ({"most_flash_bytes": 87_103.0}, "the file must be at most 87,103 bytes, it has 87,104"),
        ({"most_arena_bytes": 50_000.0, "npu": NPU}, ""),
        ({"most_arena_bytes": 49_999.0, "npu": NPU}, "SRAM must be at most 49,999 bytes, Vela estimates 50,000"),
        ({"most_flash_bytes": 89_999.0, "npu": NPU}, "the file must be at most 89,999 bytes, it has 90,000"),
    ],
)
def test_limits_hold_to_the_byte_of_what_is_on_the_chip(limits: dict[str, Any], words: str) -> None:
    record = dataclasses.replace(RECORD, **limits)
    if words:
        with pytest.raises(ContractError, match=words):
            check_limits(record)
    else:
        check_limits(record)


@pytest.mark.slow
def test_an_export_for_an_ethos_runs_in_tflm_and_is_compiled(tflm, vela, keras, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(420, 8, 8, 3)).astype(np.float32), np.arange(420) % 10
    data = {"x_train": x[:200], "y_train": y[:200], "x_test": x[200:], "y_test": y[200:]}
    settings = Export(quantize="int8", calibration="minmax", target="ethos-u55-128", max_arena="64KB")
    result = tfc.compress(cnn(keras), Recipe(export=settings), data, output=tmp_path / "out", progress=False)
    found = result.tflite.verification.micro
    assert found is not None
    assert found.samples == 64
    assert found.equal >= 60  # a dense layer rounds some ties otherwise
    tested, score = found.tested, result.report.result.score
    assert tested is not None
    assert tested.equal is not None
    assert score is not None
    assert (tested.samples, tested.figure) == (220, "top1")
    assert tested.equal >= 210
    assert tested.value == pytest.approx(score.main_figure.value, abs=0.02)
    assert found.most_arena_bytes == 64_000
    compiled = next((tmp_path / "out").glob("*.vela.tflite")).read_bytes()
    assert {op.name for op in read_model_file(compiled).ops} == {"ethos-u"}
    assert found.npu is not None
    assert found.npu.file_bytes == len(compiled)
    told = read_report(tmp_path / "out").result.verification["micro"]
    assert told["arena"]["total_bytes"] == found.arena.total_bytes
    assert "kernels are stored dense" in result.tflite.verification.sparse


@pytest.mark.slow
def test_a_model_of_any_size_is_refused_before_it_is_converted(tflm, keras) -> None:
    entry = keras.Input((None, None, 3), name="photo")
    outputs = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(entry))
    with pytest.raises(UnsupportedError, match=r"input 'photo' has axes of any size \(any, any, 3\); give the model a"):
        tfc.compress(keras.Model(entry, outputs), Recipe(export=Export(target="tflm")), progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["sort", "argsort"])
def test_an_operation_of_keras_is_named_as_a_layer_is(keras, tflm, operation: str) -> None:
    given = keras.Input((8,), name="x")
    worked = keras.ops.cast(
        getattr(keras.ops, operation)(keras.layers.Dense(8, name="before")(given), axis=-1), "float32"
    )
    model = keras.Model(given, keras.layers.Dense(2, name="after")(worked))
    (name,) = (each.name for each in model.operations if type(each).__name__.lower() == operation)
    file = export(model, Export(), progress=False)
    places = op_places_of(file.content, model, file.verification.tensor_names)
    assert any(f"layer {name!r}" in places.all_of(op) for op in places.flat.op_counts)


def taken_apart(keras, kind: str) -> Any:
    """Return a layer that reaches int8 as several others, under a name of the user's."""
    layers = keras.layers
    return {
        "Conv3D": lambda: layers.Conv3D(3, 2, padding="same", activation="relu", name="mine"),
        "LayerNormalization": lambda: layers.LayerNormalization(name="mine"),
        "GRU": lambda: layers.GRU(3, return_sequences=True, name="mine"),
        "Bidirectional": lambda: layers.Bidirectional(layers.GRU(2, return_sequences=True), name="mine"),
        "MultiHeadAttention": lambda: layers.MultiHeadAttention(2, 4, name="mine"),
        "Conv1DTranspose": lambda: layers.Conv1DTranspose(3, 2, strides=2, name="mine"),
    }[kind]()


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["Conv3D", "LayerNormalization", "GRU", "Bidirectional", "MultiHeadAttention", "Conv1DTranspose"]
)
@pytest.mark.parametrize("last", [True, False])
def test_ops_of_a_layer_that_is_taken_apart_are_called_by_its_name(keras, kind: str, last: bool) -> None:
    keras.utils.set_random_seed(0)
    shape = (4, 4, 4, 2) if kind == "Conv3D" else (4, 4)
    given = keras.Input(shape)
    inner = taken_apart(keras, kind)(*[given] * (2 if kind == "MultiHeadAttention" else 1))
    outputs = inner if last else keras.layers.Dense(3, name="head")(keras.layers.Flatten(name="flat")(inner))
    model = keras.Model(given, outputs)
    x = np.random.default_rng(0).normal(size=(20, *shape)).astype(np.float32)
    settings = Export(quantize="int8", calibration="mse", min_agreement_db=0.0)
    file = export(model, settings, data=x, float_size_bytes=1_000_000, progress=False)
    places = op_places_of(file.content, model, file.verification.tensor_names)
    called = [places.of(number).partition(" at ")[2] for number in range(len(places.flat.subgraphs[0].ops))]
    assert "layer 'mine'" in called
    known = (
        {"layer 'mine'"} if last else {"layer 'mine'", "layer 'head'", "layer 'flat'", "layer 'mine' or layer 'flat'"}
    )
    assert set(called) <= known, called


@pytest.mark.slow
def test_kernels_of_four_bits_answer_in_every_bit_as_the_reference_kernels_do(keras, tflm) -> None:
    keras.utils.set_random_seed(0)
    given = keras.Input((8, 8, 3))
    inner = keras.layers.Conv2D(8, 3, activation="relu")(given)
    inner = keras.layers.DepthwiseConv2D(3, activation="relu")(inner)
    model = keras.Model(given, keras.layers.Dense(10)(keras.layers.Flatten()(inner)))
    x = np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype(np.float32)
    settings = Export(quantize="int8", weight_bits=4, target="tflm", min_agreement_db=5.0)
    found = export(model, settings, data=x, progress=False)
    few = [tensor for tensor in read_model_file(found.content).subgraphs[0].tensors if tensor.dtype == "int4"]
    assert len(few) == 2  # depthwise kernels keep 8 bits
    micro = found.verification.micro
    assert micro is not None
    assert micro.equal == micro.samples > 0
    unpacked = sorted(-(-tensor.elements // 16) * 16 for tensor in few)  # a byte a weight while the op runs
    assert sorted(each.size_bytes for each in micro.scratch or ()) == unpacked
    assert micro.scratch_bytes == unpacked[-1]
