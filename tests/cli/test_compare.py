"""``tfcompress compare``: tables, Markdown, JSON, and exit codes."""

import json
import re

import pytest

from tests.reports.test_changes import a_report, a_run, a_score, data_free_report
from tfcompress.cli.main import run_command


@pytest.fixture
def runs(tmp_path):
    for name, size, value in (("old", 1000, 0.9), ("new", 1100, 0.8)):
        folder = tmp_path / name
        folder.mkdir()
        a_report(size, a_score(value, 0.01)).save(folder / "report.json")
    return [str(tmp_path / "old"), str(tmp_path / "new")]


def test_without_conditions_it_shows_what_changed(runs, capfd):
    assert run_command(["compare", *runs]) == 0
    shown = capfd.readouterr().out
    assert "1.1x" in shown
    assert "-10.00 pt" in shown
    assert "worse" in shown


def test_a_condition_that_holds_has_an_exit_code_of_its_own(runs, capfd):
    assert run_command(["compare", *runs, "--fail-if", "accuracy_drop > 0.5pt", "--fail-if", "size > 2x"]) == 12
    caught = capfd.readouterr()
    assert "✓ size > 2x: 1.1x (passes)" in caught.out
    assert caught.err == "tfcompress: accuracy_drop > 0.5pt: 10.00 pt (fails)\n"


def test_what_was_not_measured_fails_only_when_strict(runs):
    words = ["compare", *runs, "--fail-if", "median_latency > 1.05x"]
    assert run_command(words) == 0
    assert run_command([*words, "--strict"]) == 12


def test_markdown_is_a_table_and_a_list(runs, capfd):
    assert run_command(["compare", *runs, "--md", "--fail-if", "size > 2x"]) == 0
    first, second, *rows = capfd.readouterr().out.splitlines()
    assert first.startswith("| | ")
    assert second == "| --- | ---: | ---: | ---: | --- |"
    assert all(row.count(" | ") == 4 for row in rows if row.startswith("|"))
    assert rows[-1] == r"- ✓ size \> 2x: 1.1x (passes)"


def test_json_holds_the_numbers(runs, capfd):
    assert run_command(["compare", *runs, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    (size,) = [change for change in told["changes"] if change["name"] == "size"]
    assert (size["before"], size["after"], size["verdict"]) == (1000, 1100, "worse")


def test_a_data_free_side_is_named(runs, tmp_path, capfd):
    data_free_report(a_score(0.8, 0.01)).save(tmp_path / "new" / "report.json")
    told = "data-free: the model alone, inputs in [0, 1]"
    assert run_command(["compare", *runs]) == 0
    assert f"\nnew is {told}\n" in capfd.readouterr().out
    assert run_command(["compare", *runs, "--md"]) == 0
    assert "\n- new is data-free: the model alone" in capfd.readouterr().out
    assert run_command(["compare", *runs, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["data_free"] == {"new": told}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--md", "--json"], "choose one"),
        (["--strict"], "--strict would do nothing"),
        (["--fail-if", "sise > 1"], "did you mean 'size'?"),
    ],
)
def test_a_mistake_is_one_line(runs, words, said, capfd):
    assert run_command(["compare", *runs, *words]) == 2
    assert said in capfd.readouterr().err


HOSTILE = "\x1b]0;gone\x07 <b>|`[x]"


@pytest.fixture
def hostile(tmp_path):
    for name, value in (("old", 0.9), ("new", 0.8)):
        folder = tmp_path / name
        folder.mkdir()
        score = a_score(value, 0.01, name=HOSTILE)
        a_report(1000, score, [a_run([1.0, 1.1], device=HOSTILE)]).save(folder / "report.json")
    return [str(tmp_path / "old"), str(tmp_path / "new")]


@pytest.mark.parametrize("form", [[], ["--md"], ["--json"]])
def test_names_out_of_a_report_are_no_commands_to_the_terminal(hostile, form, capfd):
    assert run_command(["compare", *hostile, *form]) == 0
    shown = capfd.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    if form == ["--json"]:
        assert HOSTILE in [change["name"] for change in json.loads(shown)["changes"]]
    else:
        assert shown.count("x1b]0;gone" if not form else "x1b\\]0;gone") == 3  # the figure, and two latencies


def test_a_table_of_markdown_is_read_back_whatever_stands_in_it(hostile, capfd):
    assert run_command(["compare", *hostile, "--md"]) == 0
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in capfd.readouterr().out.splitlines()]
    assert {len(row) for row in rows} == {5}
    read = [re.sub(r"\\([\\`*_<>|\[\]])", r"\1", row[0]).strip() for row in rows[2:]]
    escaped = HOSTILE.replace("\x1b", r"\x1b").replace("\x07", r"\x07")
    assert escaped in read
    assert {f"{name} latency on {escaped}" for name in ("median", "p90")} <= set(read)
