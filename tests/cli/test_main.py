"""What becomes of an error on the command line: one line on stderr, and the exit code of its class."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from tests.test_errors import classes_of
from tfcompress import errors
from tfcompress.cli import recipes
from tfcompress.cli.main import group, run_command
from tfcompress.cli.options import new_file, parse_size, refuse_loading_flags, refuse_lonely_flags
from tfcompress.cli.overview import COMMANDS
from tfcompress.errors import LONGEST_MESSAGE, InfeasibleError, OutputError, UsageError

CLASSES = classes_of(errors.TfcompressError)

Ending = tuple[int, str]


@pytest.fixture
def ended_by(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[BaseException], Ending]:
    """Return what a command that ends by an error gives: its exit code, and what it writes to stderr."""

    def ended(error: BaseException) -> Ending:
        def fail() -> None:
            raise error

        monkeypatch.setattr(recipes, "named", fail)
        code = run_command(["recipes"])
        return code, capsys.readouterr().err

    return ended


def made(kind: type[errors.TfcompressError], message: str) -> errors.TfcompressError:
    return kind(message, {"max_size": 1.0}) if issubclass(kind, InfeasibleError) else kind(message)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_of_errors_ends_with_its_line_and_its_code(
    kind: type[errors.TfcompressError], ended_by: Callable[[BaseException], Ending]
) -> None:
    assert ended_by(made(kind, "where must be what, got it")) == (
        kind.exit_code,
        "tfcompress: where must be what, got it\n",
    )


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("two\nlines\r\nand\ttabs", "two lines and tabs"),
        ("\x1b[2J cleared", r"\x1b[2J cleared"),
        ("a\udce9.h5", r"a\udce9.h5"),
        ("net[/b].h5", "net[/b].h5"),
        ("100 % {braces} %s", "100 % {braces} %s"),
        ("", ""),
    ],
)
def test_whatever_a_message_quotes_it_is_one_line_that_any_terminal_shows(
    kind: type[errors.TfcompressError], message: str, line: str, ended_by: Callable[[BaseException], Ending]
) -> None:
    code, said = ended_by(made(kind, message))
    assert said == f"tfcompress: {line}\n"
    assert code == kind.exit_code


def test_a_message_that_never_ends_is_cut(ended_by: Callable[[BaseException], Ending]) -> None:
    _, said = ended_by(UsageError("word " * LONGEST_MESSAGE))
    assert len(said) == len("tfcompress: ") + LONGEST_MESSAGE + len("\n")
    assert said.endswith("…\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_is_said_and_has_the_code_of_a_shell(
    error: BaseException, ended_by: Callable[[BaseException], Ending]
) -> None:
    code, said = ended_by(error)
    assert code == 128 + 2
    assert said.lstrip("\n").startswith("tfcompress: interrupted; no file was finished")  # behind the terminal's ^C
    assert said.strip().count("\n") == 0


@pytest.mark.parametrize("error", [ValueError("a\nb"), RuntimeError(), AssertionError("no"), KeyError("key")])
def test_a_bug_of_ours_is_one_line_with_a_log_that_has_the_rest(
    error: Exception, ended_by: Callable[[BaseException], Ending]
) -> None:
    code, said = ended_by(error)
    assert code == 1
    assert said.count("\n") == 1
    assert type(error).__name__ in said
    found = re.search(r"the details are in (\S+)\)", said)
    assert found is not None
    log = Path(found[1])
    text = log.read_text()
    log.unlink()
    assert "Traceback" in text
    assert type(error).__name__ in text


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_there_is_not_is_refused_with_the_way_to_the_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([name, "--no-such-thing"]) == 2
    said = capsys.readouterr().err
    assert "--no-such-thing" in said
    assert said.endswith(f"(see tfcompress {name} --help)\n")
    assert said.count("\n") == 1


LONG = [
    (name, max(option.opts, key=len))
    for name in COMMANDS
    for command in [group.get_command(click.Context(group), name)]
    if command is not None
    for option in command.params
    if isinstance(option, click.Option) and len(max(option.opts, key=len)) > 7
]


@pytest.mark.parametrize(("name", "flag"), LONG[:: max(1, len(LONG) // 60)])
def test_a_flag_with_a_letter_too_many_gets_the_right_one(
    name: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([name, f"{flag}e"]) == 2
    assert flag in capsys.readouterr().err.replace(f"{flag}e", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_with_a_letter_missing_gets_the_right_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([name[:-1]]) == 2
    assert f"(did you mean {name!r}?)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("512MB", 512 * 10**6),
        ("16GiB", 16 * 2**30),
        ("1.5k", 1500),
        ("2 KiB", 2048),
        (" 1t ", 10**12),
        ("3B", 3),
        ("0.25GiB", 2**28),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text, "--load-memory") == size


@pytest.mark.parametrize("text", ["", "0", "0GB", "-1GB", "1e3", "1PB", "GB", "1,5GB", "1 G B", "nan", "5i", "5iB"])
def test_what_is_no_size_is_refused_with_the_flag(text: str) -> None:
    with pytest.raises(UsageError, match="--load-memory must be a size such as 512MB or 16GiB") as caught:
        parse_size(text, "--load-memory")
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("suffixes", [(".html", ".htm"), (".csv",)])
@pytest.mark.parametrize("any_case", [True, False])
def test_a_new_file_has_the_ending_of_what_is_written(
    suffixes: tuple[str, ...], any_case: bool, tmp_path: Path
) -> None:
    for suffix in suffixes:
        assert new_file(tmp_path / f"a{suffix}", suffixes, "a page", force=False) == tmp_path / f"a{suffix}"
    for name, fine in ((f"a{suffixes[0].upper()}", any_case), ("a", False), ("a.json", False), (suffixes[0], False)):
        if fine:
            new_file(tmp_path / name, suffixes, "a page", force=False, any_case=any_case)
            continue
        with pytest.raises(UsageError, match=rf"--table must end in {suffixes[0]}.*: a page is written"):
            new_file(tmp_path / name, suffixes, "a page", force=False, any_case=any_case, flag="--table")


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    target = tmp_path / "a.html"
    target.write_text("mine")
    with pytest.raises(OutputError, match=r"exists already; give --force to replace it, or choose another place"):
        new_file(target, (".html",), "a page", force=False)
    assert new_file(target, (".html",), "a page", force=True) == target
    assert target.read_text() == "mine"


@pytest.mark.parametrize(
    ("loading", "flag"),
    [
        ({"trust": True, "custom": (), "limits": None}, "--trust"),
        ({"trust": False, "custom": ("a:b",), "limits": None}, "--custom"),
        ({"trust": False, "custom": (), "limits": object()}, "--load-seconds and --load-memory"),
    ],
)
def test_how_a_model_is_loaded_means_nothing_for_a_file_that_is_not(loading: dict[str, Any], flag: str) -> None:
    refuse_loading_flags({"trust": False, "custom": (), "limits": None}, Path("net.tflite"))
    with pytest.raises(
        UsageError, match=f"{flag} says how a Keras model is loaded, and has no meaning for 'net.tflite'"
    ):
        refuse_loading_flags(loading, Path("net.tflite"))


@pytest.mark.parametrize(
    "flag", ["label", "window", "skip_corrupt", "scale", "mean", "preprocess", "task", "windows_of"]
)
def test_a_flag_about_data_without_data_is_refused(flag: str) -> None:
    from tfcompress.cli.options import DATA_FLAGS

    nothing: dict[str, Any] = dict.fromkeys(DATA_FLAGS)
    refuse_lonely_flags(nothing)
    refuse_lonely_flags({**nothing, flag: "x", "data": "d.npz"})
    with pytest.raises(
        UsageError, match=f"--{flag.replace('_', '-')} says something about data, but there is no --data"
    ):
        refuse_lonely_flags({**nothing, flag: "x"})
