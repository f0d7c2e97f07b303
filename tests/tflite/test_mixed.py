"""Mixed precision from the model to the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tfcompress.errors import DataError, RecipeError, UnsupportedError, UsageError
from tfcompress.recipe import Export
from tfcompress.reports.mixed_precision import choice_rows, mixed_sentences, mixed_tables, plan_rows, planned_floats
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.export import TFLiteModel, export
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.weights import kernels

MIXED = Export(quantize="int8", mixed=True, calibration="minmax", samples=24, plans=2)


@pytest.fixture(scope="module")
def nested() -> Any:
    """Return a net of two outputs with depthwise layers in a nested model, one of them normalized."""
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    block = keras.Sequential(
        [
            layers.Input((8, 8, 16)),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.Conv2D(64, 1, activation="relu"),
        ],
        name="block",
    )
    image = layers.Input((8, 8, 3), name="image")
    x = block(layers.Conv2D(16, 3, padding="same")(image))
    x = layers.GlobalAveragePooling2D()(x)
    outputs = [layers.Dense(3, activation="softmax", name="class")(x), layers.Dense(2, name="box")(x)]
    return keras.Model(image, outputs, name="net")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(60, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def wide(nested: Any, images: np.ndarray, converter: ConverterProcess) -> TFLiteModel:
    """Allow more than int8 takes, and count time."""
    settings = dataclasses.replace(MIXED, max_size="1.3x", max_latency="1000x")
    return export(nested, settings, data=images, converter=converter, progress=False)


@pytest.fixture(scope="module")
def narrow(nested: Any, images: np.ndarray, converter: ConverterProcess, wide: TFLiteModel) -> TFLiteModel:
    """Allow less than int8 takes."""
    record = wide.verification.mixed
    assert record is not None
    settings = dataclasses.replace(MIXED, max_size=f"{record.plans[0].size_bytes - 60}", io="float32")
    return export(nested, settings, data=images, converter=converter, progress=False)


def test_within_a_larger_file_layers_become_float_and_are_named(wide: TFLiteModel, images: np.ndarray) -> None:
    record = wide.verification.mixed
    assert record is not None
    kept = next(plan for plan in record.plans if plan.chosen)
    assert kept.size_bytes <= record.largest_bytes
    assert wide.size_bytes == kept.size_bytes
    chosen = {layer.layer: layer.chosen for layer in record.layers if layer.chosen != "int8"}
    assert chosen == dict(kept.layers)
    assert len(wide.verification.float_ops) == sum(name == "float" for name in chosen.values())
    assert kept.agreement_db is not None
    assert kept.agreement_db >= (record.plans[0].agreement_db or 0.0)
    assert abs(kept.predicted_db - kept.agreement_db) < 6
    with InterpreterProcess(wide.content) as process:
        assert set(process.run({"image": images[:2]})) == {"class", "box"}


def test_ops_are_timed_where_time_is_limited(wide: TFLiteModel) -> None:
    record = wide.verification.mixed
    assert record is not None
    assert record.largest_ms is not None
    for layer in record.layers:
        assert set(layer.latency_ms) == set(layer.noise) == {"int8", "int4", "float", "int16"} - set(layer.refused)
    assert all(plan.latency_ms and plan.latency_ms < record.largest_ms for plan in record.plans)


def fronts(keras: Any) -> dict[str, list[Any]]:
    """Return what may stand before a network's first kernel, and be folded into it, or not."""
    layers = keras.layers
    return {
        "rescaling": [layers.Rescaling(1 / 16)],
        "shifted rescaling": [layers.Rescaling(1 / 2, -1.0)],
        "normalization": [layers.Normalization(mean=[0.5, 1.0, -1.0], variance=[1.0, 2.0, 3.0])],
        "batch normalization": [layers.BatchNormalization()],
        "separable convolution": [layers.SeparableConv2D(4, 3), layers.Rescaling(0.25)],
    }


@pytest.mark.slow
@pytest.mark.parametrize("calibration", ["minmax", "mse"])
@pytest.mark.parametrize("name", fronts(pytest.importorskip("keras")))
def test_every_kernel_takes_part_whatever_is_folded_into_it(
    name: str, calibration: str, images: np.ndarray, converter: ConverterProcess
) -> None:
    """With mse our rules write the model anew, with an op and a rounded tensor for what the float file folds."""
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    front = fronts(keras)[name]
    body = [layers.Conv2D(8, 3, padding="same", activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(4)]
    net = keras.Sequential([keras.Input((8, 8, 3)), *front, *body, layers.Softmax()])
    settings = dataclasses.replace(MIXED, calibration=calibration, max_size="3x", min_agreement_db=-100.0)
    found = export(net, settings, data=images, converter=converter, progress=False)
    record = found.verification.mixed
    assert record is not None
    assert record.notes == ()
    assert {"int4", "float"} <= set(record.layers[-2].noise)  # the convolution
    kernels_of = kernels(read_model_file(found.content).subgraphs)
    assert len(record.layers) == len(list(kernels_of))
    for layer in record.layers:  # what is scaled by an op of its own has a weight a channel, which hardly pays
        if "int4" in layer.noise:
            assert layer.size_bytes["int4"] < 0
        else:
            assert layer.refused["int4"] == "the file is no smaller for it"
    best = next(plan for plan in record.plans if plan.chosen)
    assert best.agreement_db is not None
    assert best.agreement_db >= (record.plans[0].agreement_db or 0.0)
    assert abs(best.predicted_db - best.agreement_db) < 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("calibration", "correct", "rounding"),
    [
        ("auto", (), "gptq"),
        ("auto", (), "nearest"),
        ("minmax", ("bias",), "gptq"),
        ("mse", ("equalize", "bias"), "gptq"),
        ("percentile", ("equalize-weights",), None),
        ("auto", ("bias-once",), "nearest"),
    ],
)
def test_ranges_corrections_and_rounding_are_in_the_mixed_file(
    calibration: str,
    correct: tuple[str, ...],
    rounding: str | None,
    nested: Any,
    images: np.ndarray,
    converter: ConverterProcess,
) -> None:
    fields: Any = {"calibration": calibration, "correct": correct, "rounding": rounding, "min_agreement_db": -100.0}
    asked = Export(quantize="int8", samples=24, **fields)
    plain = export(nested, asked, data=images, converter=converter, progress=False)
    settings = dataclasses.replace(MIXED, max_size=f"{plain.size_bytes - 60}", **fields)
    found = export(nested, settings, data=images, converter=converter, progress=False)
    assert (found.route, found.verification.calibration) == (plain.route, plain.verification.calibration)
    record = found.verification.mixed
    assert record is not None
    assert record.notes == ()
    assert "int4" in {layer.chosen for layer in record.layers}
    stored = {each.tensor.dtype for each in kernels(read_model_file(found.content).subgraphs)}
    assert stored >= {"int8", "int4"}


@pytest.mark.slow
def test_kernels_of_4_bits_are_rounded_to_the_nearest_where_that_is_asked_for(
    nested: Any, images: np.ndarray, converter: ConverterProcess
) -> None:
    def noise(rounding: str | None) -> dict[str, float]:
        settings = dataclasses.replace(MIXED, rounding=rounding, min_agreement_db=-100.0)
        record = export(nested, settings, data=images, converter=converter, progress=False).verification.mixed
        assert record is not None
        return {layer.layer: layer.noise["int4"] for layer in record.layers if "int4" in layer.noise}

    nearest, towards = noise("nearest"), noise(None)
    assert len(nearest) >= 2
    assert nearest.keys() == towards.keys()
    assert sum(nearest.values()) > sum(towards.values())
    both = noise("gptq")  # in another int8 file, in which fewer of them may pay
    assert {name: both[name] for name in towards.keys() & both.keys()} == pytest.approx(
        {name: towards[name] for name in towards.keys() & both.keys()}, rel=0.1
    )
    assert towards.keys() & both.keys()


class Elsewhere:
    """A machine on which float takes ten times as long as integers, and 4 bits do not run."""

    name = "pi5"

    def __init__(self) -> None:
        self.visits: list[tuple[bool, int]] = []

    def seconds(self, contents: Sequence[bytes], *, in_turns: bool) -> tuple[float | str, ...]:
        self.visits.append((in_turns, len(contents)))
        return tuple(map(self._seconds, contents))

    @staticmethod
    def _seconds(content: bytes) -> float | str:
        flat = read_model_file(content)
        if any(kernel.tensor.dtype == "int4" for kernel in kernels(flat.subgraphs)):
            return "int4 is not supported"
        floats = [op for op in flat.subgraphs[0].ops if flat.subgraphs[0].tensors[op.outputs[0]].dtype == "float32"]
        return 1e-3 * (len(flat.subgraphs[0].ops) + 9 * len(floats))


def test_time_of_another_machine_decides_and_what_it_cannot_run_is_named(converter: ConverterProcess) -> None:
    import keras

    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(24, activation="relu") for _ in range(3)]
    net = keras.Sequential([keras.Input((12,)), *layers, keras.layers.Dense(3)])
    net.layers[-1].bias.assign([4.0, 5.0, 6.0])  # so that the outputs' range is no symmetric one
    data = np.random.default_rng(0).normal(size=(60, 12)).astype(np.float32)
    settings = dataclasses.replace(MIXED, max_size="4x", max_latency="1.5x", device="pi5")
    with pytest.raises(UsageError, match="an export by itself needs a stopwatch"):
        export(net, settings, data=data, converter=converter, progress=False)
    there = Elsewhere()
    found = export(net, settings, data=data, converter=converter, progress=False, stopwatch=there)
    record = found.verification.mixed
    assert record is not None
    assert (record.device, len(there.visits)) == ("pi5", 3)  # ops and casts, the plain file, the plans
    assert there.visits[1:] == [(False, 1), (True, len(record.plans))]  # the plain file among them
    for layer in record.layers:
        assert layer.refused == {"int4": "pi5: int4 is not supported"}
        assert layer.latency_ms["float"] > 9
    assert record.plans[0].latency_ms == pytest.approx(4.0)
    assert all(plan.latency_ms is None or plan.latency_ms <= 6.0 or plan.refusal for plan in record.plans)
    assert found.verification.float_ops == ()


def test_within_a_smaller_file_some_kernels_get_4_bits(narrow: TFLiteModel) -> None:
    record = narrow.verification.mixed
    assert record is not None
    assert "bytes of" in record.plans[0].refusal  # the plain file
    kept = next(plan for plan in record.plans if plan.chosen)
    assert "int4" in kept.layers.values()
    stored = {kernel.tensor.dtype for kernel in kernels(read_model_file(narrow.content).subgraphs)}
    assert "int4" in stored
    assert narrow.size_bytes <= record.largest_bytes


def test_the_report_says_what_was_planned_and_what_came_of_it(wide: TFLiteModel) -> None:
    found = wide.verification.to_dict()
    rows = plan_rows(found)
    assert rows[0][0] == "all int8"
    assert sum(row[-1] == "kept" for row in rows) == 1
    assert len(choice_rows(found)) == len(wide.verification.mixed.layers) if wide.verification.mixed else False
    assert planned_floats(found) == len(wide.verification.float_ops)
    assert "samples held back" in next(mixed_sentences(found))
    page = mixed_tables(found)
    assert page.count("<table>") == 2
    assert list(mixed_sentences({})) == plan_rows({}) == choice_rows({}) == []
    assert mixed_tables({}) == ""


def test_without_data_or_with_too_few_samples_it_is_refused_with_the_reason(nested: Any, images: np.ndarray) -> None:
    with pytest.raises(DataError, match="measured on some that are held back, and a data-free file has none"):
        export(nested, MIXED, progress=False)
    with pytest.raises(DataError, match="takes at least 4"):
        export(nested, MIXED, data=images[:3], progress=False)


def test_a_model_without_layers_is_refused(images: np.ndarray, tmp_path: Any) -> None:
    import keras

    small = keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    small.export(tmp_path / "saved", verbose=False)
    with pytest.raises(UnsupportedError, match="a SavedModel holds none"):
        export(tmp_path / "saved", MIXED, data=images, progress=False)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"mixed": True}, "export.mixed must be false with quantize 'none'"),
        ({"quantize": "int8", "max_size": "60KB"}, "export.max_size must be empty without mixed"),
        ({"quantize": "int8", "mixed": True, "max_size": "60 apples"}, "above 0 with one of B, KB, KiB, MB, MiB, or"),
        ({"quantize": "int8", "mixed": True, "max_latency": "0ms"}, "above 0 with one of us, ms, s, or with x"),
        ({"quantize": "int8", "mixed": True, "weight_bits": 4}, "left out with mixed, which chooses the bits of each"),
        ({"quantize": "int8", "mixed": True, "plans": 0}, "export.plans must be at least 1, got 0"),
        ({"quantize": "int8", "plans": 9}, "export.plans must be 4 without mixed, got 9"),
        (
            {"quantize": "int8", "weight_bits": 4, "runtimes": ("tflite-runtime>=2.14",)},
            "one that computes kernels of 4 bits rightly with weight_bits 4",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_before_any_work(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        Export(**fields)
