"""A report of every task, of one output and of several, whole and with holes: written, read, printed, drawn, carded."""

from __future__ import annotations

import csv
import dataclasses
import html as html_entities
import io
import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from tests.reports.test_layer_changes import report_of
from tfcompress.reports import html, printing, wording
from tfcompress.reports import report as r
from tfcompress.reports.layer_changes import LAYER_COLUMNS, layers_csv
from tfcompress.reports.model_card import front_matter, model_card
from tfcompress.reports.nesting import branches
from tfcompress.reports.score_rows import score_rows
from tfcompress.tasks.figures import FIGURES, FigureKind, figure_kind
from tfcompress.tasks.score import Difference, Figure, Score, untested
from tfcompress.tasks.task_table import TASKS

HOSTILE = (
    "<b>out</b>",
    "a|b",
    "`x`",
    "naïve 模型",
    "out[/x]",
    "a\udce9b",
    "--- \n# title",
    "'\"&",
    "-",
    "\x85\x7f\u2028",
)


def kind_of(name: str) -> FigureKind:
    return figure_kind(name)


def score_of(task: str, value: float, half: float | None, outputs: tuple[str, ...] = ()) -> Score:
    """Return a score with every figure of a task."""
    found = TASKS[task]
    figures = {
        name: Figure(
            value / (place + 1), *((None, None) if half is None or place else (value - half, value + half)),
            kind_of(name).unit, kind_of(name).better,
        )
        for place, name in enumerate(found.figures)
    }  # fmt: skip
    score = Score(task=task, samples=1234, main=next(iter(found.figures)), figures=figures)
    return dataclasses.replace(score, outputs=dict.fromkeys(outputs, score)) if outputs else score


def report_with(before: Score | None, after: Score | None, name: str = "net") -> r.Report:
    report = report_of()
    source = dataclasses.replace(report.source, name=f"{name}.keras")
    result = dataclasses.replace(report.result, score=after, name=f"{name}.tflite")
    baseline = r.Baseline(size_bytes=4000, gzip_bytes=3000, score=before)
    main = untested(before, after)
    outputs = dict.fromkeys(after.outputs, main) if after and main else {}
    compared = r.comparison_of(source, baseline, result, main=main, outputs=outputs)
    return dataclasses.replace(report, source=source, result=result, baseline=baseline, comparison=compared)


def printed(report: r.Report) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=200, highlight=False)
    printing.print_report(report, console)
    printing.print_comparison([report, report], console)
    printing.print_metrics(report, console)
    return stream.getvalue()


CASES = list(itertools.product(TASKS, (None, 0.03125), ((), ("first", "second"), ("a", "b", "c"))))


@pytest.mark.parametrize(("task", "half", "outputs"), CASES)
def test_every_figure_of_every_task_is_written_read_printed_and_drawn(
    task: str, half: float | None, outputs: tuple[str, ...]
) -> None:
    before, after = score_of(task, 0.75, half, outputs), score_of(task, 0.5, half, outputs)
    report = report_with(before, after)
    assert r.from_json(report.to_json()) == report
    shown, page = printed(report), html_entities.unescape(html.to_html(report).replace("<wbr>", ""))
    for name, figure in after.figures.items():
        for text in (figure_kind(name).title, wording.figure(figure), wording.figure(before.figures[name])):
            assert text in shown, (name, text)
            assert text in page, (name, text)
    assert (wording.interval(after.main_figure) in page) == (half is not None) or half is None
    for output in outputs:
        assert f"{output}" in shown
        assert f"{output}" in page


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("before", "after"), [(None, 0.5), (0.5, None), (None, None)])
def test_a_side_that_was_not_scored_is_a_dash_and_no_difference(
    task: str, before: float | None, after: float | None
) -> None:
    pair = [None if value is None else score_of(task, value, 0.01) for value in (before, after)]
    report = report_with(*pair)
    assert r.from_json(report.to_json()) == report
    rows = list(score_rows(report))
    assert (rows[0].before == "-", rows[0].after == "-") == (before is None, after is None)
    assert rows[0].change == ("no test data" if before is after is None else "-")
    printed(report)
    html.to_html(report)
    if after is not None:
        assert f"{1234:,} samples" in rows[0].name


@pytest.mark.parametrize("task", TASKS)
def test_a_figure_that_could_not_be_computed_is_a_dash_everywhere(task: str) -> None:
    whole = score_of(task, 0.5, None)
    holed = dataclasses.replace(
        whole, figures={name: dataclasses.replace(figure, value=None) for name, figure in whole.figures.items()}
    )
    report = report_with(holed, holed)
    assert [(row.before, row.after) for row in score_rows(report)] == [("-", "-")] * len(whole.figures)
    assert r.from_json(report.to_json()) == report
    printed(report)
    html.to_html(report)
    assert front_matter(report, title="net")["model-index"][0]["results"][0]["metrics"] == []


@pytest.mark.parametrize("task", TASKS)
def test_several_outputs_have_rows_of_their_own_the_main_one_first(task: str) -> None:
    outputs = ("b", "a")
    report = report_with(score_of(task, 0.75, 0.01, outputs), score_of(task, 0.5, 0.01, outputs))
    title = figure_kind(next(iter(TASKS[task].figures))).title
    heads = [row for row in score_rows(report) if row.name.endswith("1,234 samples")]
    assert [row.name for row in heads] == [f"b (main output): {title}, 1,234 samples", f"a: {title}, 1,234 samples"]
    change = report.comparison.main
    assert change is not None
    assert [row.change for row in heads] == [wording.figure_difference(change)] * 2
    assert change.value == 0.5 - 0.75


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_hostile_names_are_text_in_every_rendering(task: str, name: str) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the front matter")
    score = score_of(task, 0.5, 0.01, (name, "other"))
    report = dataclasses.replace(report_with(score, score, name.replace("/", "")), recipe_name=name, warnings=(name,))
    assert r.from_json(report.to_json()) == report
    printed(report)
    page = html.to_html(report)
    assert "<b>out</b>" not in page
    card = model_card(report, title=name, license_id="mit")
    start, front, body = card.split("---\n", 2)
    assert start == ""
    read = yaml.safe_load(front.encode("utf-8", "backslashreplace").decode())
    expected = front_matter(report, title=name, license_id="mit")
    if "\udce9" not in name:
        assert read == json.loads(json.dumps(expected))
    tables = [line for line in body.splitlines() if line.startswith("|")]
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in tables}
    assert bars <= {5, 7}
    assert body.count("\n# ") == 1  # the title's


@given(st.text(max_size=30))
@settings(max_examples=30)
def test_the_title_of_a_card_is_read_back_from_its_yaml(title: str) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the front matter")
    report = report_with(None, score_of("regression", 0.5, None))
    if any("\ud800" <= sign <= "\udfff" for sign in title):
        return
    front = model_card(report, title=title).split("---\n", 2)[1] if "---\n" not in title else ""
    if front:
        assert yaml.safe_load(front)["model-index"][0]["name"] == title


def test_a_layer_table_is_read_back_as_csv_whatever_layers_are_called() -> None:
    names = ["a,b", 'say "c"', "d\ne", "=1+1", "模型", "", "f\rg"]
    layers = tuple(
        r.Layer(name=name, type="Dense", output_shape=(None, 4), parameters=20, nonzero=10) for name in names
    )
    report = report_of()
    report = dataclasses.replace(
        report,
        source=dataclasses.replace(report.source, layers=layers),
        result=dataclasses.replace(report.result, layers=tuple(r.FileLayer(name=name) for name in names)),
    )
    rows = list(csv.DictReader(io.StringIO(layers_csv(report), newline="")))
    assert list(rows[0]) == [column.name for column in LAYER_COLUMNS]
    assert [row["layer"] for row in rows] == names
    assert {row["parameters_before"] for row in rows} == {"20"}


paths = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), max_size=12)


@given(paths)
def test_the_indented_list_of_nested_layers_gives_every_path_back(names: list[str]) -> None:
    stack: list[str] = []
    read: list[str] = []
    for branch in branches(names):
        del stack[branch.depth :]
        assert len(stack) == branch.depth
        label = branch.label
        assert branch.indented == "  " * branch.depth + label
        if branch.is_layer:
            read.append("/".join([*stack, label]))
            assert branch.members == range(len(read) - 1, len(read))
        else:
            assert label.endswith("/")
            stack.append(label.removesuffix("/"))
            prefix = "/".join(stack) + "/"
            assert len(branch.members) >= 1
            assert all(names[number].startswith(prefix) for number in branch.members)
    assert read == names


@given(st.floats(-100, 100), st.floats(-100, 100), st.sampled_from(sorted(FIGURES)))
def test_a_difference_turns_its_sign_with_its_sides_and_is_a_gain_on_one_of_them(
    one: float, two: float, name: str
) -> None:
    kind = FIGURES[name]
    scores = [
        Score(task="t", samples=1, main=name, figures={name: Figure(value, unit=kind.unit, better=kind.better)})
        for value in (one, two)
    ]
    there, back = untested(*scores), untested(scores[1], scores[0])
    assert there is not None
    assert back is not None
    assert there.value == -back.value
    assert (there.unit, there.better, there.verdict, there.p) == (kind.unit, kind.better, None, None)
    if one != two:
        assert there.gain != back.gain
        assert there.gain == ((two > one) == (kind.better == "higher"))


@pytest.mark.parametrize("change", [{"main": "other"}, {"value": None}])
def test_scores_of_different_figures_have_no_difference(change: dict[str, Any]) -> None:
    one = Score(task="t", samples=1, main="top1", figures={"top1": Figure(0.5), "other": Figure(0.5)})
    figures = {"top1": Figure(change.get("value", 0.5)), "other": Figure(0.5)}
    two = Score(task="t", samples=1, main=change.get("main", "top1"), figures=figures)
    assert untested(one, two) is None
    assert untested(two, one) is None
    assert untested(None, two) is None
    assert untested(one, None) is None


def test_a_score_says_in_a_line_what_is_known_of_it() -> None:
    figures = {"top1": Figure(0.92899), "top5": Figure(None), "mae": Figure(12.0)}
    score = Score(task="classification", samples=2000, main="top1", figures=figures)
    assert repr(score) == "Score(classification, 2,000 samples: top1 0.929, mae 12)"
    with pytest.raises(ValueError, match="main must be one of top1, top5, mae, got 'f1'"):
        dataclasses.replace(score, main="f1")
    with pytest.raises(ValueError, match="main must be one of no figures, got 'top1'"):
        Score(task="t", samples=0, main="top1", figures={})


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(-1, 1), st.sampled_from(["higher", "lower"]))
def test_a_figure_beats_a_level_with_its_whole_interval(
    value: float, below: float, above: float, level: float, better: Any
) -> None:
    figure = Figure(value, value - below, value + above, better=better)
    worst = figure.low if better == "higher" else figure.high
    assert worst is not None
    assert figure.beats(level) == (worst > level if better == "higher" else worst < level)
    if figure.beats(level):
        assert Figure(value, better=better).beats(level)  # without an interval the value itself is asked
    assert Figure(None, better=better).beats(level) is None
    assert figure.merit == (value if better == "higher" else -value)


def test_a_difference_that_was_tested_is_kept_as_it_is() -> None:
    tested = Difference(figure="top1", value=-0.01, low=-0.02, high=0.0, p=0.04, test="McNemar", verdict="worse")
    report = dataclasses.replace(report_with(None, None), comparison=r.Comparison(main=tested, outputs={"a": tested}))
    assert r.from_json(report.to_json()).comparison.outputs == {"a": tested}
