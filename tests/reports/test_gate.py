"""Conditions that a pipeline fails on, as laws: what holds of every condition and every pair of reports."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reports.test_changes import a_report, a_run, a_score
from tfcompress.errors import UsageError
from tfcompress.reports import report as r
from tfcompress.reports.changes import Change, changes
from tfcompress.reports.gate import NAMES, Condition, Judged, read_condition

KINDS = {
    "bytes": ("B", "KB", "MB", "KiB", "MiB", "GB", ""),
    "count": ("", "K", "M", "G"),
    "milliseconds": ("ms", "us", "s"),
    "joules": ("J", "mJ", "uJ"),
    "decibels": ("dB", ""),
    "fraction": ("%", "pt"),
    "number": ("",),
}
"""Units that a quantity of a kind may be compared in."""

FACTORS = {
    "B": 1,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "KiB": 2**10,
    "MiB": 2**20,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "ms": 1,
    "us": 1e-3,
    "s": 1e3,
    "J": 1,
    "mJ": 1e-3,
    "uJ": 1e-6,
    "dB": 1,
    "%": 0.01,
    "pt": 0.01,
    "": 1,
}

values = st.floats(0.001, 1e6)
signs = st.sampled_from([">", ">=", "<", "<="])
OPPOSITE = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}


def change(before: float | None, after: float | None, kind: str = "bytes", **more: Any) -> Change:
    return Change(name="size", title="file", before=before, after=after, words=str, kind=kind, **more)


def judge(text: str, found: Change) -> Judged:
    return read_condition(text).judge([found])


@given(values, values, signs, st.floats(0, 1e6))
def test_a_condition_and_its_opposite_never_agree(before: float, after: float, sign: str, level: float) -> None:
    for unit in ("B", "x"):
        one = judge(f"size {sign} {level:.6f}{unit}", change(before, after)).outcome
        other = judge(f"size {OPPOSITE[sign]} {level:.6f}{unit}", change(before, after)).outcome
        assert {one, other} == {"fails", "passes"}


@given(values, values, st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), st.sampled_from(["B", "x"]))
def test_a_stricter_condition_fails_wherever_a_laxer_one_does(
    before: float, after: float, levels: tuple[float, float], unit: str
) -> None:
    strict, lax = sorted(levels)
    found = change(before, after)
    if judge(f"size > {lax:.6f}{unit}", found).outcome == "fails":
        assert judge(f"size > {strict:.6f}{unit}", found).outcome == "fails"
    if judge(f"size < {strict:.6f}{unit}", found).outcome == "fails":
        assert judge(f"size < {lax:.6f}{unit}", found).outcome == "fails"


@given(values, values, st.floats(-1e6, 1e6), st.booleans())
def test_a_drop_is_how_much_worse_it_became_whichever_way_is_better(
    before: float, after: float, level: float, lower_is_better: bool
) -> None:
    found = change(before, after, lower_is_better=lower_is_better)
    worse = after - before if lower_is_better else before - after
    expected = "fails" if worse > float(f"{level:.3f}") else "passes"
    assert judge(f"size_drop > {level:.3f}B", found).outcome == expected


@given(values, values, values, values)
def test_an_interval_around_the_level_is_indistinguishable_and_one_beside_it_is_not(
    one: float, two: float, middle: float, level: float
) -> None:
    low, high = sorted((one, two))
    found = change(1.0, middle, ratio=(low, high), chance=True)
    outcome = judge(f"size > {level:.6f}x", found).outcome
    level = float(f"{level:.6f}")
    if low <= level < high:
        assert outcome == "indistinguishable"
    else:
        assert outcome == ("fails" if middle > level else "passes")


@pytest.mark.parametrize("kind", KINDS)
@given(value=st.floats(0.01, 100))
def test_one_value_in_any_of_its_units_is_judged_alike(kind: str, value: float) -> None:
    found = change(1.0, value, kind)
    for unit in KINDS[kind]:
        for times, outcome in ((0.99, "fails"), (1.01, "passes")):
            text = f"size > {value * times / FACTORS[unit]:.9e}{unit}"
            assert judge(text, found).outcome == outcome, text


@pytest.mark.parametrize(("kind", "unit"), [(k, u) for k in KINDS for u in sorted({*FACTORS} - {*KINDS[k]})])
def test_a_unit_of_another_kind_is_refused_with_those_there_are(kind: str, unit: str) -> None:
    if kind == "bytes" and unit == "":
        return
    with pytest.raises(UsageError, match="the unit must be one of ") as caught:
        judge(f"size > 1{unit}", change(1.0, 2.0, kind))
    assert f"got {unit!r}" in str(caught.value)
    for allowed in KINDS[kind]:
        assert (repr(allowed) if allowed else "no unit") in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("before", "after"), [(0.0, 0.0), (5.0, 5.0)])
def test_what_did_not_change_is_neither_more_nor_less_nor_worse(kind: str, before: float, after: float) -> None:
    """A model without kernels has none afterwards, either: 0 bytes of 0 are as many, and no gate fails."""
    found = change(before, after, kind)
    unit = KINDS[kind][0]
    for text in ("size > 1x", "size < 1x", f"size_drop > 0{unit}", f"size_drop < 0{unit}"):
        assert judge(text, found).outcome == "passes", text
    assert judge("size >= 1x", found).outcome == "fails"


def test_something_where_there_was_nothing_is_infinitely_more() -> None:
    assert judge("size > 1000000x", change(0.0, 1.0)) == Judged(read_condition("size > 1000000x"), "fails", "infx")


@pytest.mark.parametrize("text", ["size > 1B", "size > 1x", "size_drop > 1B"])
@pytest.mark.parametrize("pair", [(None, None), (1.0, None)])
def test_what_is_not_known_of_the_new_run_is_not_measured(text: str, pair: tuple[float | None, float | None]) -> None:
    assert judge(text, change(*pair)).outcome == "not measured"


def test_a_level_needs_no_old_run_but_a_ratio_and_a_drop_do() -> None:
    found = change(None, 2.0)
    outcomes = [judge(text, found).outcome for text in ("size > 1B", "size > 1x", "size_drop > 1B")]
    assert outcomes == ["fails", "not measured", "not measured"]


@given(
    st.sampled_from([*NAMES, "accuracy", "top1", "mae"]),
    signs,
    st.floats(-1e6, 1e6).map(lambda value: f"{value:.4f}"),
    st.sampled_from(sorted(FACTORS)),
    st.booleans(),
    st.sampled_from(["", " ", "  "]),
)
def test_a_condition_is_read_with_any_spaces_and_written_as_it_was_typed(
    name: str, sign: str, number: str, unit: str, drop: bool, space: str
) -> None:
    whole = f"{name}{'_drop' if drop else ''}"
    text = f"{space}{whole}{space}{sign}{space}{number}{space}{unit}{space}"
    assert read_condition(text) == Condition(text.strip(), name, drop, sign, float(number), unit)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be NAME OP NUMBER[UNIT]"),
        ("size >", "must be NAME OP NUMBER[UNIT]"),
        ("> 3", "must be NAME OP NUMBER[UNIT]"),
        ("size == 3", "must be NAME OP NUMBER[UNIT]"),
        ("size != 3", "must be NAME OP NUMBER[UNIT]"),
        ("size > nan", "must be NAME OP NUMBER[UNIT]"),
        ("size > 1 000", "must be NAME OP NUMBER[UNIT]"),
        ("size > 3; macs > 2", "must be NAME OP NUMBER[UNIT]"),
        ("size > ...", "'...' is no number"),
        ("sizes > 3", "no quantity 'sizes' (did you mean 'size'?)"),
        ("Size > 3", "no quantity 'Size' (did you mean 'size'?)"),
        ("acuracy_drop > 1pt", "no quantity 'acuracy' (did you mean 'accuracy'?)"),
        ("p95_latency > 3ms", "(did you mean 'p99_latency'?)"),
        ("_drop > 3", "must be NAME OP NUMBER[UNIT]"),
        ("top1_drop > 1.1x", "a drop is a difference; for a ratio write top1 without _drop"),
    ],
)
def test_what_is_no_condition_is_refused_and_quoted(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        read_condition(text)
    assert repr(text) in str(caught.value)


def test_a_figure_of_the_users_own_is_known_where_a_report_has_it() -> None:
    with pytest.raises(UsageError, match="no quantity 'hits'"):
        read_condition("hits > 3")
    assert read_condition("hits_drop > 3pt", ["hits"]).name == "hits"


@pytest.mark.parametrize("main", ["top1", "mae", "mean_iou", "perplexity", "own_figure"])
def test_accuracy_stands_for_the_main_figure_of_any_task(main: str) -> None:
    score = a_score(0.5, name=main)
    other = dataclasses.replace(score, figures={**score.figures, "another": r_figure(0.1)})
    found = changes(a_report(score=other), a_report(score=other))
    assert read_condition("accuracy > 40%").judge(found).outcome == "fails"
    assert read_condition("accuracy < 40%").judge(found).outcome == "passes"


def r_figure(value: float) -> Any:
    from tfcompress.tasks.score import Figure

    return Figure(value)


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_changes_are_mirrored_when_the_reports_are_exchanged(one: int, two: int, before: float, after: float) -> None:
    first = a_report(one, a_score(before, 0.005), [a_run([1.0, 1.1, 0.9])])
    second = a_report(two, a_score(after, 0.005), [a_run([2.0, 2.1, 1.9])])
    mirrored = {"better": "worse", "worse": "better"}
    there, back = changes(first, second), changes(second, first)
    assert [change.name for change in there] == [change.name for change in back]
    for forth, again in zip(there, back, strict=True):
        assert (forth.before, forth.after) == (again.after, again.before)
        assert forth.verdict == mirrored.get(again.verdict, again.verdict)
        if forth.difference:
            assert again.difference is not None
            assert forth.difference == pytest.approx((-again.difference[1], -again.difference[0]), abs=1e-9)
        if forth.ratio:
            assert again.ratio is not None
            assert forth.ratio == pytest.approx((1 / again.ratio[1], 1 / again.ratio[0]))


@given(st.integers(2, 10**9), st.floats(0, 1), st.none() | st.floats(0, 0.2))
def test_a_report_beside_itself_is_the_same_in_everything(size: int, top1: float, half: float | None) -> None:
    report = a_report(size, a_score(top1, half), [a_run([1.0, 1.2, 0.8])])
    for change in changes(report, report):
        assert change.verdict == ("same" if change.known else ""), change.name
        text = {"fraction": "+0.00 pt", "number": "+0", "decibels": "+0"}.get(change.kind, "1x")
        assert change.text == (text if change.known else ""), change.name
        if change.ratio:
            assert change.ratio[0] <= 1 <= change.ratio[1]
        if change.difference:
            assert change.difference[0] <= 0 <= change.difference[1]


def test_what_chance_may_have_made_is_called_so_only_where_the_interval_has_zero() -> None:
    known = {"kind": "fraction", "lower_is_better": False, "chance": True}
    assert change(0.5, 0.6, difference=(-0.01, 0.2), **known).verdict == "indistinguishable"
    assert change(0.5, 0.6, difference=(0.01, 0.2), **known).verdict == "better"
    assert change(0.6, 0.5, difference=(-0.2, -0.01), **known).verdict == "worse"
    assert change(0.5, 0.6, **known).verdict == "indistinguishable"  # nothing is known of its chance
    assert change(0.5, 0.5, **known).verdict == "same"


def test_agreement_is_the_worst_output_and_rises_to_the_better() -> None:
    def with_outputs(*ratios: float | None) -> r.Report:
        report = a_report()
        rows = [{"name": str(place), "sqnr_db": db} for place, db in enumerate(ratios)]
        verification = {"agreement": [*rows, "not a row"]}
        return dataclasses.replace(report, result=dataclasses.replace(report.result, verification=verification))

    found = {each.name: each for each in changes(with_outputs(30.0, 41.5, None), with_outputs(33.5, 50.0))}
    agreement = found["agreement"]
    assert (agreement.before, agreement.after, agreement.verdict, agreement.text) == (30.0, 33.5, "better", "+3.5")
    assert agreement.words(33.5) == "33.5 dB"
    assert "agreement" not in {each.name for each in changes(with_outputs(None), with_outputs())}


def test_an_infinite_ratio_is_no_bound_that_anything_keeps() -> None:
    assert read_condition("size > 1e308x").level == 1e308
    assert math.isinf(read_condition("size > 1e999B").level)
    assert judge("size > 1e999B", change(1.0, 1e300)).outcome == "passes"
