"""A limit on what may be lost, from Python and from the command line, on tiny models that are really converted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tests.quantization.scaled import network, rescaled
from tfcompress import execution
from tfcompress.cli.main import run_command
from tfcompress.reports.report import read_report

pytestmark = pytest.mark.slow

TEST = 1500


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model whose channels are of unlike range, and data that it is right about."""
    folder = tmp_path_factory.mktemp("limit")
    model = rescaled(network(3), 3)
    images = np.random.default_rng(0).normal(size=(TEST + 200, 8, 8, 3)).astype(np.float32)
    head = model.get_layer("scores")
    kernel, bias = head.get_weights()
    head.set_weights([kernel, bias - model.predict(images, verbose=0).mean(axis=0)])  # or one class would be all
    model.save(folder / "wide.keras")
    labels = model.predict(images, verbose=0).argmax(axis=1)
    parts = {"x_train": images[TEST:], "y_train": labels[TEST:], "x_test": images[:TEST], "y_test": labels[:TEST]}
    np.savez(folder / "data.npz", **parts)
    np.savez(folder / "unlabelled.npz", x_train=images[:200])
    return folder


@pytest.fixture(autouse=True)
def here(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def exported(folder: Path, *words: str, data: str = "data.npz") -> int:
    return run_command(["export", str(folder / "wide.keras"), "--data", str(folder / data), "-o", "out", *words])


def test_the_ladder_ends_where_the_limit_is_kept_and_the_report_says_how(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert exported(folder, "--quantize", "int8", "--max-drop", "10") == 0
    report = read_report(Path("out"))
    rungs = report.result.verification["promise"]["rungs"]
    kept = next(rung for rung in rungs if rung["outcome"] == "kept")
    assert {rung["outcome"] for rung in rungs[: rungs.index(kept)]} <= {"missed", "refused"}
    assert rungs.index(kept) > 0
    assert report.comparison.main is not None
    assert kept["high"] == pytest.approx(-100 * (report.comparison.main.low or 0.0))
    assert tfc.load_recipe("out/recipe.toml").export.max_drop == 10.0
    assert "drop: at most 10 may be lost:" in " ".join(capfd.readouterr().out.split())


def test_a_limit_that_nothing_keeps_writes_nothing_and_names_layers(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--quantize",
        "int8",
        "--calibration",
        "minmax",
        "--min-agreement-db",
        "-99",
        "--max-drop",
        "0.5",
        "--json",
    ]
    assert exported(folder, *words) == 11
    said = capfd.readouterr()
    assert [rung["outcome"] for rung in json.loads(said.out)["promise"]["rungs"][:2]] == ["missed", "not tried"]
    assert "what binds: the drop itself" in said.err
    assert "layers that lose most: " in said.err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "data", "code", "line"),
    [
        (["--quantize", "dynamic"], "unlabelled.npz", 4, "max_drop is proven on test samples: data"),
        (["--quantize", "float16", "--epochs", "2"], "data.npz", 2, "--epochs: train.if_needed must be false with"),
    ],
)
def test_what_nothing_could_prove_is_refused_before_any_work(
    words: list[str], data: str, code: int, line: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert exported(folder, *words, "--max-drop", "0.5", data=data) == code
    assert line in capfd.readouterr().err
    assert list(Path().iterdir()) == []


def test_another_export_of_what_was_trained_trains_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Any] = []

    def counted(*given: Any) -> Any:
        trained.append(execution.run_stages(*given))
        return trained[-1]

    monkeypatch.setattr("tfcompress.workbench.run_stages", counted)
    wide = tfc.Export(quantize="float16", max_drop=100.0, packings=())
    recipe = tfc.Recipe(stages=(tfc.Prune(),), export=wide, train=tfc.Train(epochs=1, batch_size=100))
    with tfc.Workbench(folder / "wide.keras", folder / "data.npz", progress=False) as bench:
        first = bench.run(recipe)
        again = bench.run(dataclasses.replace(recipe, export=dataclasses.replace(wide, quantize="none")))
    assert len(trained) == 1
    assert again.model is first.model
    assert again.report.training == first.report.training


def test_an_export_by_itself_has_nothing_to_prove_a_limit_on(folder: Path) -> None:
    with pytest.raises(tfc.TfcompressError, match=r"max_drop is proven on test samples with labels, which an export"):
        tfc.export(folder / "wide.keras", tfc.Export(max_drop=1.0))
