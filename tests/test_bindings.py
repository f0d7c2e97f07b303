"""The data of a workbench at the size of the model's pictures, and at others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tests.pictures import network, write_pictures
from tfcompress.bindings import Bindings, size_of
from tfcompress.errors import DataError, UnsupportedError, UsageError
from tfcompress.models.picture_size import at_size
from tfcompress.models.signature import signature_of
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.stages.stage import InputSize
from tfcompress.train_settings import Train

keras = pytest.importorskip("keras")

TRAIN = Train()
SMALL = InputSize("image", 8, 12)


def signature(*shapes: tuple[int | None, ...], output: tuple[int, ...] = (2,)) -> Signature:
    named = zip(("image", "other"), shapes, strict=False)
    return Signature(
        tuple(TensorSpec(name, s, "float32") for name, s in named), (TensorSpec("out", output, "float32"),)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), {"train": 5, "test": 3})


def test_data_at_a_size_is_what_the_source_gives_a_model_of_that_size(folder: Path) -> None:
    dataset = tfc.load_data(folder)
    bindings = Bindings(dataset, signature((16, 16, 3)), "test")
    found = bindings.data(TRAIN, SMALL)
    there = dataset.bind(signature((8, 12, 3)))
    for split, expected in zip(found.splits.values(), there.splits.values(), strict=True):
        (x, y), (their_x, their_y) = (next(each.batches(100)) for each in (split, expected))
        np.testing.assert_array_equal(x["image"], their_x["image"])
        np.testing.assert_array_equal(y, their_y)
    assert bindings.data(TRAIN).signature.inputs[0].shape == (16, 16, 3)
    assert bindings.data(TRAIN, SMALL) is found
    assert found.tasks == bindings.data(TRAIN).tasks


def test_samples_of_all_sizes_are_divided_alike(folder: Path) -> None:
    bindings = Bindings(tfc.load_data(folder / "train"), signature((16, 16, 3)), "test")
    train = Train(holdout=0.4, seed=3)
    own, small = bindings.data(train), bindings.data(train, SMALL)
    assert own.test is not None
    assert small.test is not None
    np.testing.assert_array_equal(own.test.rows, small.test.rows)  # type: ignore[union-attr]


def test_arrays_are_of_one_size() -> None:
    x, y = np.zeros((4, 16, 16, 3), np.float32), np.array([0, 1, 0, 1])
    bindings = Bindings(tfc.load_data({"x_train": x, "y_train": y}), signature((16, 16, 3)), "test")
    line = r"does not come in the size 8x12 of input 'image' \(.*\(16, 16, 3\).*\); a folder of images is read at any"
    with pytest.raises(DataError, match=line):
        bindings.data(TRAIN, SMALL)


def test_labels_that_lie_in_the_pixels_are_refused_by_the_name_of_their_task() -> None:
    x, y = np.zeros((4, 16, 16, 3), np.float32), np.zeros((4, 16, 16), np.int64)
    masks = Bindings(
        tfc.load_data({"x_train": x, "y_train": y}, task="segmentation"),
        signature((16, 16, 3), output=(16, 16, 2)),
        "test",
    )
    with pytest.raises(UnsupportedError, match=r"output 'out' is of task segmentation, whose truth lies in the pixels"):
        masks.data(TRAIN, SMALL)
    same = Bindings(
        tfc.load_data({"x_train": x}, task="autoencoder"), signature((16, 16, 3), output=(16, 16, 3)), "test"
    )
    with pytest.raises(UnsupportedError, match=r"is of task autoencoder, whose truth lies in the pixels"):
        same.data(TRAIN, SMALL)


def test_a_model_without_a_picture_is_refused() -> None:
    data = tfc.load_data({"x_train": np.zeros((4, 8), np.float32), "y_train": np.array([0, 1, 0, 1])})
    with pytest.raises(
        UnsupportedError, match=r"one input \(height, width, channels\) of a fixed size, it has 'image' \(8"
    ):
        Bindings(data, signature((8,)), "test").data(TRAIN, SMALL)


def test_the_size_of_what_was_made_is_read_from_it(tmp_path: Path) -> None:
    model = network()
    own = signature_of(model)
    small = at_size(model, InputSize("image", 8, 12))
    assert size_of(model, own) is None
    assert size_of(small, own) == SMALL
    broken: list[Any] = [b"no file", tmp_path / "missing.tflite"]
    assert [size_of(each, own) for each in broken] == [None, None]
    assert size_of(small, signature((8,))) is None


@pytest.mark.slow
def test_the_size_of_a_file_is_read_from_it(tmp_path: Path) -> None:
    model = network()
    file = tfc.export(at_size(model, InputSize("image", 8, 12)))
    (tmp_path / "small.tflite").write_bytes(file.content)
    for made in (file.content, tmp_path / "small.tflite"):
        assert size_of(made, signature_of(model)) == SMALL


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Write a network and its pictures; return their paths."""
    folder = tmp_path_factory.mktemp("problem")
    write_pictures(folder / "data", {"train": 40, "test": 60}, seed=1)
    network().save(folder / "model.keras")
    return str(folder / "model.keras"), str(folder / "data")


SIZED = tfc.Recipe(
    stages=(tfc.Layout(changes=("image=8x12",)), tfc.Distill()),
    export=tfc.Export(quantize="int8"),
    train=Train(epochs=1, batch_size=32),
)


@pytest.mark.slow
def test_a_run_at_another_size_is_compared_with_the_model_at_its_own(problem: tuple[str, str], tmp_path: Path) -> None:
    with tfc.Workbench(*problem) as bench:
        made = bench.run(SIZED, output=tmp_path / "out").report
        baseline, small = bench.float_baseline(SIZED.train), bench.data(SIZED.train, SMALL)
        assert baseline is not None
        assert baseline.score is not None
        assert made.baseline is not None
        assert made.baseline.score == baseline.score.score == bench.score(baseline.content).score
        assert made.result.score == bench.score(tmp_path / "out" / made.result.name).score
        plain = bench.run(tfc.Recipe(export=tfc.Export(quantize="int8"))).report
    assert made.data is not None
    assert made.data["inputs"]["image"]["shape"] == [8, 12, 3]
    assert made.result.macs == 27 * 4 * 4 * 6 + 4 * 2
    assert plain.result.macs == 27 * 4 * 8 * 8 + 4 * 2
    assert any("takes pictures of 8x12 instead of 16x16: 6,920 → 2,600" in line for line in made.warnings)
    assert small is not None
    assert small.test is not None
    with np.load(tmp_path / "out" / "test-samples.npz") as written:
        x, _ = next(small.test.batches(1000))
        np.testing.assert_array_equal(np.sort(written["x.image"], axis=None), np.sort(x["image"], axis=None))
        assert written["x.image"].shape == (120, 8, 12, 3)
    command = [sys.executable, "-m", "edge_runner", str(tmp_path / "out" / made.result.name), "--runs", "5"]
    command += ["--data", str(tmp_path / "out" / "test-samples.npz"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout


@pytest.mark.slow
def test_the_recipe_that_was_written_makes_the_same_file(problem: tuple[str, str], tmp_path: Path) -> None:
    first = tfc.compress(problem[0], SIZED, problem[1], output=tmp_path / "out", progress=False)
    again = tfc.compress(problem[0], tmp_path / "out" / "recipe.toml", problem[1], progress=False)
    assert again.tflite.content == first.tflite.content


@pytest.mark.slow
def test_without_scores_each_file_is_asked_with_pictures_of_its_own_size(
    problem: tuple[str, str], tmp_path: Path
) -> None:
    folder = write_pictures(tmp_path, {"train": 20})
    made = tfc.compress(problem[0], SIZED, str(folder), progress=False).report
    assert made.result.score is None
    assert made.result.verification["likeness"]["split"] == "train"


@pytest.mark.slow
def test_without_labels_the_float_model_is_asked_with_pictures_of_its_own_size(
    problem: tuple[str, str], tmp_path: Path
) -> None:
    import tensorflow as tf

    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 20, 3), np.uint8)
    with tf.io.TFRecordWriter(str(tmp_path / "train.tfrecord")) as writer:
        for each in pixels:
            kept = tf.train.Feature(bytes_list=tf.train.BytesList(value=[tf.io.encode_png(each).numpy()]))
            writer.write(tf.train.Example(features=tf.train.Features(feature={"image": kept})).SerializeToString())
    (tmp_path / "features.toml").write_text('[features.image]\nkind = "image"\n')
    data = tfc.load_data(tmp_path, features=tmp_path / "features.toml")
    made = tfc.compress(problem[0], SIZED, data, progress=False)
    assert made.model.input_shape == (None, 8, 12, 3)
    assert made.report.result.score is None
    assert made.report.result.verification["likeness"]["samples"] == 24


@pytest.mark.slow
def test_rewriting_and_tuning_go_on_at_the_size(problem: tuple[str, str]) -> None:
    stages = (
        tfc.Layout(changes=("image=8x8", "conv=3"), cycles=2, tune_epochs=1),
        tfc.Channels(remove=0.2, round_to=1, cycles=2, tune_epochs=1),
        tfc.QAT(),
    )
    recipe = tfc.Recipe(stages=stages, export=tfc.Export(quantize="int8"), train=Train(epochs=3, limit=32))
    made = tfc.compress(problem[0], recipe, problem[1], progress=False)
    assert made.model.input_shape == (None, 8, 8, 3)
    assert made.report.baseline is not None
    assert made.report.baseline.score is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "data", "error", "line"),
    [
        ("picture=8x8", "data", UsageError, "must name the input 'image' of model"),
        ("image=8x8", "arrays", DataError, "does not come in the size 8x8 of input 'image'"),
    ],
)
def test_what_cannot_be_had_is_refused_before_any_training(
    change: str, data: str, error: type[Exception], line: str, problem: tuple[str, str]
) -> None:
    arrays = {"x_train": np.zeros((8, 16, 16, 3), np.float32), "y_train": np.arange(8) % 2}
    recipe = tfc.Recipe(stages=(tfc.Layout(changes=(change,)),))
    with (
        tfc.Workbench(problem[0], problem[1] if data == "data" else arrays) as bench,
        pytest.raises(error, match=line),
    ):
        bench.check(recipe)


def test_a_loop_of_ones_own_reads_its_own_pictures() -> None:
    with pytest.raises(UsageError, match=r"layout with a size of pictures \(8x8\) is for compress and export"):
        tfc.attach(network(), tfc.Layout(changes=("image=8x8",)))
