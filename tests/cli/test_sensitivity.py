"""``tfcompress sensitivity`` from the command line to the page."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tfcompress.cli.main import run_command

keras = pytest.importorskip("keras")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Stand in a folder with a model and data of which the model knows every label."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(16, activation="relu", name="hidden"), keras.layers.Dense(3, name="logits")]
    model = keras.Sequential([keras.Input((6,), name="vector"), *layers])
    model.save("model.keras")
    x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    y = model.predict(x, verbose=0).argmax(1)
    np.savez("data.npz", x_train=x, y_train=y, x_test=x[:3], y_test=y[:3])
    return tmp_path


def test_the_page_the_table_and_the_second_run_from_the_cache(here, capfd):
    words = ["sensitivity", "model.keras", "--data", "data.npz"]
    assert run_command(words) == 0
    out = capfd.readouterr().out
    assert "hidden" in out
    assert "written: model-sensitivity.html" in out
    assert "100.00 % on 64 samples" in (here / "model-sensitivity.html").read_text()
    assert run_command([*words, "-o", "again.html", "--json"]) == 0
    text = capfd.readouterr()
    assert "8 points were measured by an earlier run" in text.err
    found = json.loads(text.out)
    assert found["baseline"] == 1.0
    assert [len(curve["points"]) for curve in found["curves"]] == [7]
    assert found["pinned"][0][0] == "logits"


def test_a_name_that_ends_in_svg_asks_for_the_chart_alone(here, capfd):
    assert run_command(["sensitivity", "model.keras", "--data", "data.npz", "--split", "test", "-o", "chart.svg"]) == 0
    assert "written: chart.svg" in capfd.readouterr().out
    image = (here / "chart.svg").read_text()
    assert image.startswith("<svg xmlns=")
    assert "100.00 % on 3 samples of data.npz (test split)" in image


@pytest.mark.parametrize("criterion", ["l2", "taylor"])
@pytest.mark.parametrize(("more", "figure"), [([], "MAE"), (["--task", "classification"], "accuracy")])
def test_without_labels_it_is_the_models_own_outputs_that_count(here, capfd, more, figure, criterion):
    np.savez("x.npz", x=np.random.default_rng(1).normal(size=(32, 6)).astype("float32"))
    words = ["sensitivity", "model.keras", "--data", "x.npz", *more, "--criterion", criterion, "--json"]
    assert run_command(words) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["baseline"] == (1.0 if figure == "accuracy" else 0.0)
    assert found["metric"].endswith("beside the model's own outputs")
    scores = [score for _, score in found["curves"][0]["points"]]
    assert min(scores) < found["baseline"]


@pytest.mark.parametrize("name", ["s.png", "page", "model.keras"])
def test_a_name_that_promises_something_else_is_refused_before_anything_is_loaded(here, capfd, name):
    before = (here / "model.keras").read_bytes()
    assert run_command(["sensitivity", "model.keras", "--data", "data.npz", "-o", name, "--force"]) == 2
    assert "-o must end in .html, .htm, .svg" in capfd.readouterr().err
    assert (here / "model.keras").read_bytes() == before


def test_a_page_that_is_there_is_replaced_by_force_only(here, capfd):
    (here / "model-sensitivity.html").write_text("mine")
    words = ["sensitivity", "model.keras", "--data", "data.npz", "--criterion", "taylor", "--cache", "kept"]
    assert run_command(words) == 8
    assert "exists already" in capfd.readouterr().err
    assert run_command([*words, "--force"]) == 0
    assert "<h1>" in (here / "model-sensitivity.html").read_text()
    assert len(list((here / "kept").iterdir())) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "sensitivity needs data to score on: give --data"),
        (["--data", "data.npz", "--split", "val"], 2, "--split must be one of train, test"),
    ],
)
def test_missing_data_and_splits_are_refused(here, capfd, words, code, said):
    assert run_command(["sensitivity", "model.keras", *words]) == code
    assert said in capfd.readouterr().err


def test_a_model_without_channels_is_refused(here, capfd):
    keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, name="only")]).save("single.keras")
    assert run_command(["sensitivity", "single.keras", "--data", "data.npz"]) == 5
    assert "has no channels that can be removed (only: " in capfd.readouterr().err
