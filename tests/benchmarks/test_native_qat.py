"""The tables about native quantization-aware training are only as good as this arithmetic and reading."""

from __future__ import annotations

import argparse
import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import native_qat, qat_child, qat_cost, qat_networks, qat_training
from benchmarks.native_qat import Results, Row

OURS: Row = {
    "ops": 12,
    "float_ops": ["ELU at 'a'", "ELU at 'b'", "NEG at 'c'"],
    "sqnr_db": 41.6,
    "same_top1": 0.998,
    "within_2_steps": 0.9996,
    "size_bytes": 25_400,
    "float_size_bytes": 99_900,
    "attach_s": 1.24,
    "exact_equal": 0.99994,
    "exact_samples": 1000,
    "exact_unknown": ["Lambda"],
}


class Known(Results):
    """Results that were measured before."""

    def __init__(self, figures: dict[str, Row]) -> None:
        self.figures = figures

    def of(self, *words: str) -> Row:
        return self.figures[words[-1]]


def test_a_row_names_what_is_left_in_float_once() -> None:
    text = native_qat.converted("network", ["Net"], Known({"tfmot": {"accepted": False}, "native": OURS}))
    head, _, row = text.splitlines()
    equal = "99.99 % of 1,000 samples, not exact in Lambda"
    assert (
        row == f"| Net | no | yes | 9 / 12 | ELU, NEG | {equal} | 99.8 % (42 dB) | 99.96 % | 25 kB / 100 kB | 1.2 s |"
    )
    assert head.count("|") == row.count("|")


def test_what_failed_says_why() -> None:
    figures: dict[str, Row] = {"tfmot": {"accepted": True}, "native": {"error": "took longer than 3 s"}}
    *_, row = native_qat.converted("layer", ["Net"], Known(figures)).splitlines()
    assert row == "| Net | yes | no: took longer than 3 s | - | - | - | - | - | - | - |"


def test_accuracies_stand_side_by_side_with_their_sizes() -> None:
    file: Row = {"top1": 0.8825, "size_bytes": 97_200}
    figures = {"samples": 10_000, "native": file, "ptq": {**file, "rewritten": True}}
    row = native_qat.accuracies("Net", Known({"x": figures}), "x")
    assert row == ["Net (10,000 test samples)", "-", "-", "88.25 %, 97,200 B\\*", "88.25 %, 97,200 B", "-"]


def test_a_network_is_measured_once(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    words = ("json.tool", "--json-lines", "--compact", str(tmp_path / "in.json"))
    (tmp_path / "in.json").write_text('{"a": 1}\n')
    assert Results(path, 60).of(*words) == {"a": 1}
    (tmp_path / "in.json").write_text('{"a": 2}\n')
    assert Results(path, 60).of(*words) == {"a": 1}
    path.unlink()
    assert Results(path, 60).of(*words) == {"a": 2}


def test_a_child_that_fails_or_takes_too_long_is_a_result_too(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    assert "No such file" in Results(path, 60).of("json.tool", str(tmp_path / "absent"))["error"]
    assert Results(path, 0.01).of("json.tool", "-")["error"] == "took longer than 0 s"
    assert [set(json.loads(line)) for line in path.read_text().splitlines()] == [{"key", "figures"}] * 2


def test_every_table_has_markers_of_its_own() -> None:
    text = "".join(f"<!-- native QAT: {s} -->\nold\n<!-- end of native QAT: {s} -->\n" for s in ("zoo", "layers"))
    new = native_qat.update(text, "layers", "new")
    assert new == text.replace("layers -->\nold", "layers -->\nnew")
    with pytest.raises(ValueError, match="must hold the lines <!-- native QAT: fashion -->"):
        native_qat.update(text, "fashion", "new")


def test_every_show_has_a_flag() -> None:
    options = native_qat.arguments([])
    assert [show for show in native_qat.SHOWS if not hasattr(options, show.replace("-", "_"))] == []


def test_resnet8_needs_its_file() -> None:
    options = argparse.Namespace(model=None)
    with pytest.raises(SystemExit, match="--resnet8 needs --model"):
        native_qat.resnet8(Known({}), options)


def test_agreement_is_told_in_decibels_classes_and_steps() -> None:
    reference = np.array([[3.0, 4.0], [5.0, 0.0]])
    output = np.array([[4.0, 4.0], [5.0, 2.5]])
    # signal 9 + 16 + 25 = 50, noise 1 + 6.25
    assert math.isclose(qat_child.sqnr(reference, output), 10 * math.log10(50 / 7.25))
    assert qat_child.sqnr(reference, reference) == 200.0
    assert qat_child.same_top1(reference, output) == 1.0  # a tie is no difference
    assert qat_child.same_top1(reference, output[:, ::-1]) == 0.5
    assert qat_child.within(reference, output, 1.0) == 0.75
    assert qat_child.within(reference, output, None) is None


def test_ratios_are_taken_turn_by_turn() -> None:
    assert qat_cost.ratio([2.0, 30.0, 6.0], [1.0, 10.0, 4.0]) == 2.0


def test_fashion_mnist_is_read_from_its_own_format(tmp_path: Path) -> None:
    for prefix, count in (("train", 2), ("t10k", 1)):
        pixels = bytes(range(256))[:196] * 4 * count
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + pixels))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + bytes([7] * count)))
    data = qat_networks.fashion(tmp_path)
    assert data["x_train"].shape == (2, 28, 28, 1)
    assert data["x_test"][0, 0, 3, 0] == np.float32(3 / 255)
    assert data["y_train"].tolist() == [7, 7]


def test_sequences_are_padded_to_the_longest(tmp_path: Path) -> None:
    (tmp_path / "JapaneseVowels_TRAIN.ts").write_text("# note\n@data\n1,2:3,4:1\n")
    (tmp_path / "JapaneseVowels_TEST.ts").write_text("@data\n5,6,7:8,9,10:9\n")
    data = qat_training.vowels(tmp_path)
    assert data["x_train"].tolist() == [[[1, 3], [2, 4], [0, 0]]]
    assert data["x_test"].tolist() == [[[5, 8], [6, 9], [7, 10]]]
    assert (data["y_train"].tolist(), data["y_test"].tolist()) == ([0], [8])


@pytest.mark.parametrize(("name", "low", "high"), [("MobileNetV2", -1, 1), ("EfficientNetB0", 0, 255)])
def test_pictures_come_as_a_network_takes_them(name: str, low: float, high: float) -> None:
    data = qat_networks.pictures(name)
    size, _ = qat_networks.ZOO[name]
    assert data["x_test"].shape == (2000, size, size, 3)
    assert (data["x_test"].min(), data["x_test"].max()) == (low, high)
    assert data["y_train"].shape == (4000,)


@pytest.mark.parametrize(("name", "inputs"), [("Embedding", 1), ("slices", 1), ("models of models", 2)])
def test_a_tiny_model_is_fed_what_it_takes(name: str, inputs: int) -> None:
    import keras

    model = qat_networks.LAYERS[name](keras)
    data = qat_networks.noise(model, 3)
    assert len(data) == inputs
    assert len(model(data if inputs > 1 else data[0])) == 3
