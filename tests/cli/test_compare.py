"""``tfcompress compare``: tables, Markdown, JSON, and exit codes."""

import json

import pytest

from tests.reports.test_changes import a_report, a_score
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
