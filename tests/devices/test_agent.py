"""The agent by itself: it stays in its folder, and believes no file that is not what its name says."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.devices import agent
from tfcompress.devices.agent import Agent, RefusedError

ONE = hashlib.sha256(b"one").hexdigest()


def talk(*requests: dict[str, Any] | bytes) -> list[dict[str, Any]]:
    """Send requests (and bytes as they are) to an agent; return its answers after the marker."""
    sent = b"".join(r if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in requests)
    heard = io.BytesIO()
    Agent(io.BytesIO(sent), heard).serve()
    first, *answers = map(json.loads, heard.getvalue().splitlines())
    assert first == {"marker": agent.MARKER}
    return answers


@pytest.fixture
def hello(tmp_path: Path) -> dict[str, Any]:
    return {"do": "hello", "folder": str(tmp_path / "box")}


PUT = {"do": "put", "sha256": ONE, "size": 3}


def test_it_is_written_for_the_oldest_python_and_needs_nothing_installed() -> None:
    source = Path(agent.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    imported = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    imported += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in imported} <= {*sys.stdlib_module_names, "__future__"}


def test_it_says_what_the_machine_is(hello: dict[str, Any]) -> None:
    (answer,) = talk(hello)
    assert answer["python"] == sys.version.split()[0]
    assert "numpy" in answer["modules"]
    assert answer["free_bytes"] > 0
    assert Path(answer["folder"]).stat().st_mode & 0o777 == 0o700


def test_a_file_is_kept_by_its_hash_and_asked_for_once(hello: dict[str, Any], tmp_path: Path) -> None:
    ask = {"do": "missing", "hashes": [ONE]}
    answers = talk(hello, ask, PUT, b"one", ask)
    assert [answer.get("missing") for answer in answers[1:]] == [[ONE], None, []]
    assert (tmp_path / "box" / "store" / ONE).read_bytes() == b"one"


def test_a_file_that_arrives_damaged_is_refused_and_the_talk_goes_on(hello: dict[str, Any], tmp_path: Path) -> None:
    answers = talk(hello, PUT, b"two", {"do": "missing", "hashes": [ONE]})
    assert answers[1]["error"] == "a file arrived damaged; try again"
    assert answers[2] == {"missing": [ONE]}
    assert list((tmp_path / "box" / "store").iterdir()) == []


def test_a_file_that_ends_early_leaves_nothing(hello: dict[str, Any], tmp_path: Path) -> None:
    talk(hello, PUT, b"on")
    assert list((tmp_path / "box" / "store").iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a//b", "", ".", "a\0b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(hello: dict[str, Any], tmp_path: Path, name: str) -> None:
    before = talk(hello, PUT, b"one")
    assert before[1] == {}
    (answer,) = talk(hello, {"do": "tree", "sha256": ONE, "files": {name: ONE}})[1:]
    assert answer["error"].startswith("a file's name must stay inside its folder, got ")
    assert [path.name for path in tmp_path.iterdir()] == ["box"]
    assert list((tmp_path / "box" / "trees").iterdir()) == []


@given(st.text())
def test_no_name_leads_out(name: str) -> None:
    try:
        parts = agent.name_parts(name)
    except RefusedError:
        return
    folder = Path("/box")
    assert folder in folder.joinpath(*parts).parents


@pytest.mark.parametrize("request_", ["clean", "cancel", "follow", "fetch"])
def test_a_run_that_is_not_named_by_a_hash_is_refused(hello: dict[str, Any], request_: str) -> None:
    (answer,) = talk(hello, {"do": request_, "run": "../../home"})[1:]
    assert answer["error"] == "a SHA-256 must be 64 hexadecimal digits, got '../../home'"


def test_a_tree_is_made_once_of_stored_files(hello: dict[str, Any], tmp_path: Path) -> None:
    ask = {"do": "tree", "sha256": ONE, "files": {"a/b.py": ONE}}
    assert talk(hello, PUT, b"one", ask, ask)[-1] == {}
    assert (tmp_path / "box" / "trees" / ONE / "a" / "b.py").read_bytes() == b"one"


def test_a_file_system_without_hard_links_gets_copies(
    hello: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(agent.os, "link", no_link)
    talk(hello, PUT, b"one", {"do": "tree", "sha256": ONE, "files": {"b.py": ONE}})
    assert (tmp_path / "box" / "trees" / ONE / "b.py").read_bytes() == b"one"


def test_what_was_not_used_for_a_month_goes(
    hello: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(hello, PUT, b"one", {"do": "tree", "sha256": ONE, "files": {"b.py": ONE}})
    now = time.time()
    monkeypatch.setattr(agent.time, "time", lambda: now + 31 * 86400)
    talk(hello, {"do": "clean", "run": ONE})
    assert list((tmp_path / "box" / "store").iterdir()) == list((tmp_path / "box" / "trees").iterdir()) == []


def test_a_run_that_nobody_started_is_lost(hello: dict[str, Any]) -> None:
    (answer,) = talk(hello, {"do": "follow", "run": ONE})[1:]
    assert (answer["state"], answer["said"]) == ("lost", "")


def test_what_a_terminal_shows_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "said").write_bytes(b"first\r\x1b[2Ka.tflite: timing, turn 2 of 5\r\x1b[2K")
    assert agent.last_said(tmp_path / "said") == "a.tflite: timing, turn 2 of 5"


def test_a_machine_without_terminals_measures_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_there() -> None:
        raise FileNotFoundError

    monkeypatch.setattr(agent.os, "openpty", none_there)
    said = io.BytesIO()
    assert agent.run_on_terminal([sys.executable, "-c", "import sys; sys.exit('so')"], tmp_path, said) == 1
    assert said.getvalue() == b"so\n"
