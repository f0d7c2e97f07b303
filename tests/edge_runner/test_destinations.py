"""edge_runner.destinations: nothing that is read, or that somebody else wrote, is written over."""

import errno
import os
import zipfile
from pathlib import Path

import pytest

from edge_runner import destinations
from edge_runner.arguments import Options


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("m.tflite", "eval.npz", "labels.npy"):
        Path(name).write_bytes(b"precious")
    return tmp_path


def problem(**asked):
    paths = {name: Path(value) if isinstance(value, str) else value for name, value in asked.items()}
    options = {"data": Path("eval.npz"), "labels": Path("labels.npy"), **paths}
    return destinations.problem(Options(models=(Path("m.tflite"),), **options))


@pytest.mark.parametrize("flag", ["output", "outputs"])
@pytest.mark.parametrize("name", ["m.tflite", "eval.npz", "labels.npy", "./m.tflite", "soft", "hard"])
def test_what_is_read_is_not_written_over_even_by_force(place, flag, name):
    Path("soft").symlink_to("eval.npz")
    os.link("m.tflite", "hard")
    assert "which is to be read" in problem(**{flag: name}, force=True)


@pytest.mark.parametrize(
    ("flag", "name"),
    [("output", "new.tflite"), ("output", "new.NPZ"), ("outputs", "new.json"), ("outputs", "new.npy")],
)
def test_a_suffix_of_something_else_is_refused(place, flag, name):
    assert f"{name!r} is called a {Path(name).suffix}; choose another name" in problem(**{flag: name})


@pytest.mark.parametrize("content", [b"notes", b"{", b'{"tool": "other"}', b"[" * 100_000, b"{" * 100_000, b"\xff\xfe"])
def test_a_file_of_somebody_else_is_replaced_only_by_force(place, content):
    Path("e.json").write_bytes(content)
    assert "was not written by edge_runner; give --force" in problem(output="e.json")
    assert problem(output="e.json", force=True) is None


def test_a_document_of_ours_and_an_empty_file_are_replaced(place):
    Path("e.json").write_text('{"format": 1, "tool": "edge_runner"}')
    Path("empty.json").touch()
    assert problem(output="e.json") is problem(output="empty.json") is problem(output="none.json") is None


@pytest.mark.parametrize(("member", "ours"), [("0.scores.npy", True), ("x.npy", False), ("0.scores.txt", False)])
def test_raw_outputs_of_ours_are_replaced_and_data_are_not(place, member, ours):
    with zipfile.ZipFile("raw.npz", "w") as archive:
        archive.writestr(member, b"")
    assert (problem(outputs="raw.npz") is None) == ours


def test_what_is_no_plain_file_is_refused(place):
    os.mkfifo("pipe")
    assert "'pipe' is no plain file" in problem(output="pipe")
    assert "no plain file; name a file" in problem(outputs=str(place))


def test_both_results_in_one_file_are_refused(place):
    Path("a").touch()
    assert problem(output="a", outputs="a") == "-o and --outputs name the same file, 'a'"


def test_a_folder_that_is_not_there_and_a_name_too_long_are_refused(place):
    assert problem(output="none/e.json") == "'none' is no folder to write 'e.json' into"
    assert "File name too long" in problem(output="e" * 300)
    assert problem(output="e" * 250) is None


def test_a_folder_without_permission_is_refused_before_anything_is_measured(place, monkeypatch):
    def forbidden(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(destinations, "new_file_beside", forbidden)  # root may write everywhere
    assert problem(output="e.json") == "-o: cannot write into '.': Permission denied; choose another place"


def test_looking_leaves_nothing_behind(place):
    assert problem(output="e.json", outputs="raw.npz") is None
    assert sorted(path.name for path in place.iterdir()) == ["eval.npz", "labels.npy", "m.tflite"]


def test_a_file_is_replaced_whole_with_the_rights_of_any_new_file(tmp_path):
    path, other = tmp_path / "e.json", tmp_path / "other"
    path.write_text("old")
    path.chmod(0o600)
    other.touch()
    destinations.write_whole(path, b"new")
    assert path.read_text() == "new"
    assert path.stat().st_mode == other.stat().st_mode
    assert sorted(tmp_path.iterdir()) == [path, other]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "e.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        destinations.write_whole(tmp_path / "e.json", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["e.json"]
