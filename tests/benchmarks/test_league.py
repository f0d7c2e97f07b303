"""benchmarks.league: what is kept, what is told, and where it stands."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import league, league_peers
from benchmarks.league_tables import league_page, ratio_text
from tests.tflite.make_files import FOLDER

DOCS = Path(__file__).parents[2] / "docs" / "league.md"


def place(folder: Path) -> league.Place:
    return league.Place("net", folder, Path("net.keras"))


def test_every_peer_can_be_made_and_tells_its_versions() -> None:
    assert set(league.PEERS) == set(league_peers.MAKERS) == set(league_peers.VERSIONS)


def test_what_a_peer_made_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / "mnn.json").write_text(json.dumps({"rows": [{"name": "kept"}]}))
    assert league.made_by("mnn", place(tmp_path), tmp_path) == {"rows": [{"name": "kept"}]}


def test_a_peer_that_fails_is_named_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = league.made_by("float", place(tmp_path / "empty"), tmp_path)
    assert "float.tflite" in found["refusal"]
    assert not (tmp_path / "empty" / "float.json").exists()
    page = league_page({"float": "as it is"}, {"net": {"float": found}})
    assert "*float* is not in the table: " in page


def test_packages_that_are_not_there_are_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        failed = "pip" in command
        return subprocess.CompletedProcess(command, int(failed), "", "notice\nERROR: no such thing" if failed else "")

    monkeypatch.setattr(league.subprocess, "run", run)
    with pytest.raises(RuntimeError, match="pip cannot install no-such-thing: ERROR: no such thing"):
        league.environment_of("none", ("no-such-thing",), tmp_path)
    assert league.environment_of("here", (), tmp_path) == Path(sys.executable)


def test_a_file_is_scored_in_its_runtime_and_served_with_its_times(tmp_path: Path) -> None:
    content = (FOLDER / "none.tflite").read_bytes()
    (tmp_path / "float.tflite").write_bytes(content)
    images = np.random.default_rng(0).normal(size=(6, 8, 8, 3)).astype(np.float32)
    run = league_peers.tflite_runner(tmp_path / "float.tflite")
    labels = np.array([run(image[np.newaxis]).argmax() for image in images])
    labels[0] += 1
    np.save(tmp_path / "test.npy", images)
    np.save(tmp_path / "labels.npy", labels)
    league_peers.make("float", tmp_path, "")
    made = json.loads((tmp_path / "float.made.json").read_text())
    assert made["rows"][0]["top1"] == pytest.approx(5 / 6)
    assert made["rows"][0]["bytes"] == len(content)
    assert made["versions"] == {"ai-edge-litert": importlib.metadata.version("ai-edge-litert")}
    found = {"float": made}
    league.latencies(place(tmp_path), found, tmp_path, 2, again=False)
    assert found["float"]["rows"][0]["ratio"] == 1.0
    assert ratio_text(found["float"]["rows"][0]) == "1.00 (1.00 to 1.00)"
    page = league_page({"float": "as it is"}, {"net": found})
    assert f"| float | float | 83.33 % | {len(content):,} B | 1.00 (1.00 to 1.00) | - |" in page


def test_the_tables_have_their_place_in_the_docs() -> None:
    text = DOCS.read_text("utf-8")
    assert "<!-- league: tables -->" in text
    assert "<!-- end of league: tables -->" in text
    assert "python -m benchmarks.league" in text
