"""A stage, task, metric, calibrator, packing or chart is one module and one line of a table, then seen everywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import toys
from tfcompress.cli import export
from tfcompress.cli.main import run_command
from tfcompress.export_choices import CALIBRATORS, PACKINGS, Choice, Packing
from tfcompress.recipe import Export, Recipe, from_toml
from tfcompress.reports.charts import CHARTS, Chart
from tfcompress.stages.stage_table import STAGES
from tfcompress.tasks import figures
from tfcompress.tasks import task_table as tasks
from tools import docs_tables


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a module each; their lines are in the tables."""
    monkeypatch.chdir(tmp_path)
    behead, interval, *_ = (toys.module(name, tmp_path, monkeypatch) for name in toys.TEXTS)
    calibrator = Choice(about="Twice as wide as it has to be.", implementation="wide:Wide")
    packing = Packing(about="Takes away what the file says of itself.", implementation="mute:mute")
    toys.add_line(STAGES, "behead", behead.Behead, monkeypatch)
    toys.add_line(tasks.TASKS, "interval", interval.Interval(), monkeypatch)
    toys.add_line(figures.FIGURES, "inside", interval.INSIDE, monkeypatch)
    toys.add_line(CALIBRATORS, "wide", calibrator, monkeypatch)
    toys.add_line(PACKINGS, "mute", packing, monkeypatch)
    chart = Chart("Bytes in a word", lambda report: f"<p>{report.result.size_bytes} of them</p>")
    toys.add_line(CHARTS, "bytes", chart, monkeypatch)
    monkeypatch.setattr(export, "command", export.make_command())  # as at the next start
    return tmp_path


def printed(words: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    assert run_command(words) == 0
    return " ".join(capfd.readouterr().out.split())


def test_the_help_has_them(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = printed(["export", "--help"], capfd)
    assert "Behead: take the last layers away: --behead N" in text
    assert re.search(
        r"--calibration \[minmax\|percentile\|mse\|wide\|auto\] .* wide: twice as wide as it has to be\.", text
    )
    assert re.search(r"--packing \[slim\|mute\] .* mute: takes away what the file says of itself\.", text)


def test_recipes_have_them(folder: Path) -> None:
    written = """
        stages = [{kind = "behead", layers = 2}]
        [export]
        quantize = "int8"
        calibration = "wide"
        packings = ["mute"]
    """
    recipe = from_toml(written)
    chosen = Export(quantize="int8", calibration="wide", packings=("mute",))
    assert recipe == Recipe(stages=(STAGES["behead"](layers=2),), export=chosen)  # type: ignore[call-arg]  # the toy's
    assert from_toml(recipe.to_toml()) == recipe


def test_lists_and_tables_in_the_docs_have_them(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    listed = printed(["stages"], capfd)
    assert "--behead N Take the last layers away." in listed
    assert "task interval: inside" in listed
    assert "| `Behead` | `--behead N` | Take the last layers away |" in docs_tables.stages_table()
    assert "| `wide` | Twice as wide as it has to be. |" in docs_tables.calibrators_table()
    assert "| `mute` | Takes away what the file says of itself. | no |" in docs_tables.packings_table()


@pytest.mark.slow
def test_a_run_uses_them_and_its_report_says_so(folder: Path, keras: Any, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--behead", "1", "--calibration", "wide", "--packing", "mute", "--quantize", "int8"]
    text = printed(["export", write_model(keras), "--data", write_data(), "-o", "out", *words], capfd)
    report = json.loads((folder / "out" / "report.json").read_text("utf-8"))
    assert [stage["kind"] for stage in report["recipe"]["stages"]] == ["behead"]
    assert "1 layers went gently" in text
    for score in (report["baseline"]["score"], report["result"]["score"]):
        assert (score["task"], score["main"]) == ("interval", "inside")
        assert list(score["figures"]) == ["inside"]
    assert re.search(r"inside, \d+ samples [\d.]+ % [\d.]+ %", text)
    assert "ranges: chosen by wide, by the rules of --qat, without training" in text
    slim, mute = report["result"]["verification"]["packings"]
    assert (slim["name"], mute["name"], mute["dropped"]) == ("slim", "mute", "")
    assert mute["before_bytes"] > mute["after_bytes"] == report["result"]["size_bytes"]
    assert re.search(r"bytes: mute took \d+ of [\d,]+ bytes \([\d.]+ %\) away; outputs bit-equal in LiteRT", text)
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert "outputs that lie inside their intervals" in page
    assert f"<h2>Bytes in a word</h2><p>{report['result']['size_bytes']} of them</p>" in page


def write_model(keras: Any) -> str:
    """Write a model of which the last layer does nothing that the one before it could not."""
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    keras.Sequential([keras.Input((4,), name="x"), dense(8, "relu"), dense(1), dense(1)]).save("model.keras")
    return "model.keras"


def write_data() -> str:
    x = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
    middle = x.sum(axis=1, keepdims=True)
    np.savez("data.npz", x=x, y=np.concatenate([middle - 1, middle + 1], axis=1))
    return "data.npz"
