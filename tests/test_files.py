import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tfcompress import files
from tfcompress.errors import OutputError


def write_half(target: Path, name: str, text: str, *, force: bool = False) -> None:
    """Write one file into the folder to be, then fail."""
    with files.output_folder(target, key="k", force=force) as folder:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        raise FileNotFoundError


def test_a_hash_is_the_same_for_bytes_and_for_a_file_of_them(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert files.sha256(tmp_path / "f") == files.sha256(b"abc")
    assert files.sha256(b"abc").startswith("ba7816bf")


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full; free some space or choose another place with -o"):
        files.write_atomic(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_has_the_rights_of_any_new_file_and_the_umask_is_never_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(_: int) -> int:
        raise AssertionError

    for mask, rights in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        before = os.umask(mask)
        try:
            with monkeypatch.context() as patched:
                patched.setattr(os, "umask", touched)
                files.write_atomic(tmp_path / "f", b"x")
        finally:
            os.umask(before)
        assert (tmp_path / "f").stat().st_mode & 0o777 == rights


def test_text_that_is_no_utf_8_is_written_as_json_has_it(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xc3\xa9.h5")
    files.write_atomic(tmp_path / "f.json", json.dumps({"name": name}, ensure_ascii=False))
    assert (tmp_path / "f.json").read_bytes() == b'{"name": "caf\\udce9 \xc3\xa9.h5"}'
    assert json.loads((tmp_path / "f.json").read_bytes()) == {"name": name}


def test_a_name_as_long_as_names_may_be_is_written(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / ("f" * 255), b"x")
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


def test_a_folder_gets_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with files.output_folder(target, key="k") as folder:
        (folder / "report.json").write_text("{}")
        assert not target.exists()
    assert [p.name for p in target.iterdir()] == ["report.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_error_leaves_nothing_and_the_old_folder_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with files.output_folder(target, key="k") as folder:
        (folder / "report.json").write_text("old")
    with pytest.raises(FileNotFoundError):
        write_half(target, "report.json", "new", force=True)
    assert (target / "report.json").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_was_trained_outlives_an_error_and_is_found_by_the_same_run_only(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(FileNotFoundError):
        write_half(target, f"{files.WORK}/epoch-1", "weights")
    with pytest.raises(FileNotFoundError):
        write_half(target, f"{files.WORK}/epoch-2", "better weights")
    kept = tmp_path / ".out.partial" / files.WORK
    assert sorted(p.name for p in kept.iterdir()) == ["epoch-1", "epoch-2"]
    with files.output_folder(target, key="other") as folder:
        assert not (folder / files.WORK).exists()
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda t: t.write_text("x"), "is a file, not a folder"),
        (lambda t: t.symlink_to(t.parent), "is a file, not a folder"),
        (lambda t: (t.mkdir(), (t / "report.json").touch()), "exists already; give --force to replace it"),
    ],
)
def test_an_existing_target_is_refused(tmp_path: Path, prepare: object, message: str) -> None:
    assert callable(prepare)
    prepare(tmp_path / "out")
    with pytest.raises(OutputError, match=message), files.output_folder(tmp_path / "out", key="k"):
        pass


def test_force_does_not_replace_a_folder_that_somebody_else_made(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with (
        pytest.raises(OutputError, match=r"holds no report\.json: tfcompress did not write it"),
        files.output_folder(tmp_path / "photos", key="k", force=True),
    ):
        pass
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_a_part_of_the_path_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with (
        pytest.raises(OutputError, match="a part of the path is a file"),
        files.output_folder(tmp_path / "f" / "out", key="k"),
    ):
        pass


def test_two_runs_do_not_write_the_same_folder(tmp_path: Path) -> None:
    partial = tmp_path / ".out.partial"
    partial.mkdir()
    with (partial / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (
            pytest.raises(OutputError, match="another run is writing"),
            files.output_folder(tmp_path / "out", key="k"),
        ):
            pass


def test_a_killed_run_leaves_nothing_that_looks_finished_and_the_next_one_works(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from tfcompress import files
        with files.output_folder(Path(sys.argv[1]), key="k") as folder:
            (folder / "half.tflite").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    target = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    with files.output_folder(target, key="another") as folder:
        (folder / "report.json").touch()
    assert [p.name for p in target.iterdir()] == ["report.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_the_cache_lies_where_the_user_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / "tfcompress" / "sensitivity"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / ".cache" / "tfcompress" / "sensitivity"
