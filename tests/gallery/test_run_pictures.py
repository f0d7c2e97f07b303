"""A run, and what it leaves to be looked at; then the page that shows it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress import file_scores
from tfcompress.gallery.kernel_counts import kernel_counts
from tfcompress.reports.pictures import Pictures, read_pictures
from tfcompress.reports.run_page import to_run_page
from tfcompress.reports.run_records import read_runs

TEST = 60


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """An int8 export of a small network on 60 test samples, and its folder."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((8, 8, 1), name="picture")
    x = layers.Flatten(name="flat")(layers.Conv2D(4, 3, activation="relu", name="conv")(inputs))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="scores")(x))
    rng = np.random.default_rng(0)
    data = {
        "x_train": rng.normal(size=(80, 8, 8, 1)).astype(np.float32),
        "y_train": rng.integers(0, 3, 80),
        "x_test": rng.normal(size=(TEST, 8, 8, 1)).astype(np.float32),
        "y_test": rng.integers(0, 3, TEST),
    }
    folder = tmp_path_factory.mktemp("runs") / "int8"
    result = tfc.compress(model, "int8", tfc.load_data(data, classes=("a", "b", "<c>")), output=folder)
    return result, folder


@pytest.fixture(scope="module")
def pictures(exported: tuple[Any, Path]) -> Pictures:
    result, folder = exported
    found = read_pictures(folder, result.report.result.sha256)
    assert found is not None
    return found


def test_the_weights_of_every_kernel_are_counted_by_layer(pictures: Pictures) -> None:
    assert [(one.name, sum(one.before), sum(one.after)) for one in pictures.weights] == [
        ("conv", 3 * 3 * 4, 3 * 3 * 4),
        ("scores", 6 * 6 * 4 * 3, 6 * 6 * 4 * 3),
    ]
    assert all(2 <= (one.distinct_after or 0) <= 255 for one in pictures.weights)


def test_what_comes_out_of_every_layer_is_counted_on_both_sides(pictures: Pictures) -> None:
    counts = {one.name: one for one in pictures.activations}
    conv, scores = counts["conv"], counts["scores"]
    assert (sum(conv.before), sum(conv.after)) == (16 * 6 * 6 * 4,) * 2
    assert (sum(scores.before), sum(scores.after)) == (16 * 3,) * 2
    assert scores.grid == pytest.approx((-0.5 / 256, 255.5 / 256))  # a softmax of int8: scale 1/256, zero point -128
    assert 0 < conv.zeros_before < conv.zeros_after < 1  # a ReLU, whose small values are rounded to 0
    assert pictures.activations_on == "16 samples of 'train'"
    assert not any("comes out" in note for note in pictures.notes)


def test_confusion_counts_every_sample_once(pictures: Pictures) -> None:
    assert pictures.samples == TEST
    assert pictures.confusions is not None
    for matrix in (pictures.confusions.before, pictures.confusions.after):
        assert sum(map(sum, matrix)) == TEST


def test_the_score_and_the_matrix_agree(exported: tuple[Any, Path], pictures: Pictures) -> None:
    assert pictures.confusions is not None
    right = sum(row[number] for number, row in enumerate(pictures.confusions.after))
    assert exported[0].report.result.score.main_figure.value == pytest.approx(right / TEST)


def test_the_page_shows_them(exported: tuple[Any, Path]) -> None:
    page = to_run_page(read_runs([exported[1]]))
    assert "Weights before and after" in page
    assert "Activations before and after" in page
    assert "&lt;c&gt; taken for a" in page or "&lt;c&gt;: " in page
    assert not re.search(r"https?:", page)


def test_a_file_with_other_kernels_is_not_paired(exported: tuple[Any, Path]) -> None:
    content = exported[0].tflite.content
    other = (Path(__file__).parents[1] / "data" / "segmentation_int8.tflite").read_bytes()
    counts, said = kernel_counts(other, content, ())
    assert counts == ()
    assert "none can be compared" in said


def test_only_the_first_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_scores, "KEPT_BYTES", 50)
    kept = file_scores.AnswerKeeper(lambda inputs: {"y": inputs["x"]})
    for size in (8, 4, 1):
        kept({"x": np.zeros(size, np.float32)})
    assert len(kept.answers()["y"]) == 8 + 4  # 48 bytes; another 4 are beyond 50


def test_changed_answers_are_of_samples_that_are_there(pictures: Pictures) -> None:
    assert pictures.changed is not None
    assert len(pictures.answers) == min(12, pictures.changed)
    assert all(0 <= answer.number < TEST for answer in pictures.answers)
    assert all(answer.shown[0].png for answer in pictures.answers)


@pytest.mark.slow
def test_a_layer_whose_normalization_was_folded_is_compared_with_what_that_gave(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1), name="picture")
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Flatten(name="flat")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="scores")(x))
    gamma, beta, mean, variance = (np.full(4, value, np.float32) for value in (20.0, 50.0, 0.0, 1.0))
    model.get_layer("norm").set_weights([gamma, beta, mean, variance])
    rng = np.random.default_rng(0)
    data = {
        part: value
        for split, size in (("train", 64), ("test", 32))
        for part, value in (
            (f"x_{split}", rng.normal(size=(size, 8, 8, 1)).astype(np.float32)),
            (f"y_{split}", rng.integers(0, 3, size)),
        )
    }
    recipe = tfc.Recipe(stages=(tfc.QAT(),), export=tfc.Export(quantize="int8"), train=tfc.Train(epochs=1, limit=16))
    result = tfc.compress(model, recipe, tfc.load_data(data), output=tmp_path / "qat")
    found = read_pictures(tmp_path / "qat", result.report.result.sha256)
    assert found is not None
    conv = next(one for one in found.activations if one.name.startswith("conv"))
    middles = [
        conv.low + (conv.high - conv.low) * (np.dot(counts, np.arange(48)) / sum(counts) + 0.5) / 48
        for counts in (conv.before, conv.after)
    ]
    assert middles == pytest.approx([50.0, 50.0], abs=5.0)  # of the convolution alone it is about 0
