"""``tfcompress doctor`` from the command line to its lines and the rewritten model, with a fault planted each."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tfcompress.cli.main import run_command

keras = pytest.importorskip("keras")
L = keras.layers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a model that has a saturated layer, and with data: as in training, and 255 times that."""
    folder = tmp_path_factory.mktemp("doctor")
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    x = L.BatchNormalization(name="seen")(L.Conv2D(8, 3, name="conv")(L.RandomFlip(name="flip")(image)))
    x = L.Conv2D(8, 1, activation="tanh", name="saturated")(L.ReLU(name="relu")(x))
    model = keras.Model(image, L.Dense(3, name="logits")(L.GlobalAveragePooling2D(name="pool")(x)))
    images = np.random.default_rng(0).random((60, 8, 8, 3)).astype("float32")
    values = np.asarray(model.get_layer("conv")(images))
    norm, full = model.get_layer("seen"), model.get_layer("saturated")
    norm.set_weights([*norm.get_weights()[:2], values.mean((0, 1, 2)), values.var((0, 1, 2))])
    full.set_weights([np.full((1, 1, 8, 8), 3.0), np.full(8, 4.0)])
    model.save(folder / "model.keras")
    labels = np.arange(60) % 2  # of three classes
    parts = {"x_train": images[:40], "y_train": labels[:40], "x_test": images[30:], "y_test": labels[30:]}
    np.savez(folder / "data.npz", **parts)
    np.savez(folder / "wide.npz", **{**parts, "x_train": images[:40] * 255})
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def said(words, capfd) -> str:
    assert run_command(["doctor", "model.keras", *words]) == 0
    return capfd.readouterr().out


def test_a_saturated_layer_missing_classes_and_shared_samples_are_told(capfd) -> None:
    out = said(["--data", "data.npz"], capfd)
    assert "fault saturated: it is saturated: 100% of its values stand at the ends of tanh" in out
    assert "no sample of 1 of 3 classes (2)" in out
    assert "10 of 40 calibration samples are test samples, too" in out
    assert "255 times" not in out
    assert "can be rewritten: flip: RandomFlip goes" in out


def test_samples_255_times_too_large_are_told_with_what_mends_them(capfd) -> None:
    out = said(["--data", "wide.npz"], capfd)
    assert "fault input image: what the samples make of the input of seen is far from" in out
    assert "if they are 255 times too large (mend --scale: 1/255)" in out
    assert "1/255 as far; scale both alike" in out  # the test split is as in training
    mended = said(["--data", "wide.npz", "--scale", "1/255"], capfd)
    assert "times too large" not in mended


def test_without_data_the_model_alone_is_looked_at(capfd) -> None:
    found = json.loads(said(["--json"], capfd))
    assert [row["layer"] for row in found["layers"]] == ["flip", "conv", "seen", "relu", "saturated", "pool", "logits"]
    assert found["remarks"] == []
    assert found["data"] == ""


def test_the_rewritten_model_computes_the_same_and_is_replaced_by_force_only(folder, capfd) -> None:
    out = said(["--rewrite", "-o", "lean.keras"], capfd)
    assert "written: lean.keras" in out
    before, after = (keras.saving.load_model(folder / name) for name in ("model.keras", "lean.keras"))
    assert [layer.name for layer in after.layers][:2] == ["image", "conv"]
    x = np.random.default_rng(1).random((5, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(before(x, training=False), after(x, training=False), atol=1e-6)
    assert run_command(["doctor", "model.keras", "--rewrite", "-o", "lean.keras"]) == 8
    assert "exists already" in capfd.readouterr().err
    assert run_command(["doctor", "model.keras", "--rewrite", "-o", "lean.keras", "--force"]) == 0
    assert sorted(path.name for path in folder.iterdir() if "partial" in path.name) == []


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["model.keras", "--rewrite"], 2, "--rewrite and -o OUT.keras belong together"),
        (["model.keras", "-o", "x.keras"], 2, "--rewrite and -o OUT.keras belong together"),
        (["model.keras", "--rewrite", "-o", "x.h5"], 2, "-o must end in .keras"),
        (["model.keras", "--scale", "2"], 2, "there is no --data"),
        (["absent.keras"], 3, "absent.keras"),
        (["model.keras", "--data", "absent.npz"], 4, "absent.npz"),
    ],
)
def test_mistakes_are_one_line(capfd, words, code, message) -> None:
    assert run_command(["doctor", *words]) == code
    assert message in capfd.readouterr().err
