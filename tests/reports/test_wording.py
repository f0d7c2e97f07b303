"""Numbers as people read them: each can be read back, none has a power of ten behind it, and more never looks less."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runner.wording import digits
from tfcompress.reports import wording
from tfcompress.tasks.figures import FIGURES
from tfcompress.tasks.score import Difference, Figure, Score

UNITS = {
    "B": 1.0,
    "MB": 1e6,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "": 1.0,
    "%": 0.01,
    "x": 1.0,
    "ms": 1.0,
    "µs": 1e-3,
    "mJ": 1e-3,
    "pt": 0.01,
    "points": 1.0,
}


def read_back(text: str) -> float:
    """Return the number that a text says, in the unit that has 1 above."""
    found = re.fullmatch(r"([-+]?[0-9,]+(?:\.[0-9]+)?) ?([^0-9.,]*)", text)
    assert found is not None, text
    return float(found[1].replace(",", "")) * UNITS[found[2].strip()]


RELATIVE = {
    wording.duration: (0.01, 1e12, 0.005),
    wording.times: (0.001, 1e12, 0.005),
    wording.joules: (1e-5, 1e9, 0.005),
}
"""Writers that keep three digits: the least and largest value that is tried, and the error that is allowed."""


@pytest.mark.parametrize("write", RELATIVE, ids=lambda write: write.__name__)
@given(data=st.data())
def test_three_digits_are_kept_whatever_the_size(write: Callable[[float], str], data: st.DataObject) -> None:
    least, largest, error = RELATIVE[write]
    value = data.draw(st.floats(least, largest))
    text = write(value)
    assert "e" not in text
    assert read_back(text) == pytest.approx(value, rel=error)


@given(st.integers(0, 10**14))
def test_a_count_is_exact_below_a_million_and_has_four_digits_above(value: int) -> None:
    text = wording.count(value)
    assert "e" not in text
    assert read_back(text) == pytest.approx(value, rel=0 if value < 10**6 else 5e-4)


@given(st.integers(0, 10**12))
def test_a_size_is_exact_below_ten_megabytes(value: int) -> None:
    assert read_back(wording.size(value)) == pytest.approx(value, rel=0, abs=0 if value < 10**7 else 5e4)


@pytest.mark.parametrize("write", [wording.duration, wording.times, wording.joules, wording.percent])
@given(pair=st.tuples(st.floats(0.01, 1e7), st.floats(0.01, 1e7)))
def test_more_never_looks_less(write: Callable[[float], str], pair: tuple[float, float]) -> None:
    low, high = sorted(pair)
    assert read_back(write(low)) <= read_back(write(high)) * (1 + 1e-12)


@given(pair=st.tuples(st.integers(0, 10**13), st.integers(0, 10**13)))
def test_more_counts_or_bytes_never_look_fewer(pair: tuple[int, int]) -> None:
    low, high = sorted(pair)
    assert read_back(wording.count(low)) <= read_back(wording.count(high)) * (1 + 1e-12)
    assert read_back(wording.size(low)) <= read_back(wording.size(high)) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (59.96, "60.0 s"),
        (119.94, "119.9 s"),
        (119.96, "2 min 0 s"),
        (120.0, "2 min 0 s"),
        (179.4, "2 min 59 s"),
        (179.7, "3 min 0 s"),  # and not 2 min 60 s
        (3599.9, "60 min 0 s"),
        (7325.0, "122 min 5 s"),
    ],
)
def test_a_minute_has_sixty_seconds_and_none_more(seconds: float, text: str) -> None:
    assert wording.seconds(seconds) == text


@given(st.floats(0, 1e6))
def test_a_time_is_read_back_to_its_second(value: float) -> None:
    text = wording.seconds(value)
    found = re.fullmatch(r"(?:(\d+) min (\d+)|(\d+\.\d)) s", text)
    assert found is not None, text
    if found[3]:
        assert float(found[3]) == pytest.approx(value, abs=0.051)
        assert float(found[3]) < 120
    else:
        assert int(found[2]) < 60
        assert int(found[1]) * 60 + int(found[2]) == pytest.approx(value, abs=0.501)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.duration(1234.5), "1,230 ms"),
        (wording.duration(999.9), "1,000 ms"),
        (wording.duration(0.1), "0.1 ms"),
        (wording.duration(0.0999), "99.9 µs"),
        (wording.joules(1.5), "1,500 mJ"),
        (wording.joules(0.00025), "0.25 mJ"),
        (wording.times(1234.0), "1,230x"),
        (wording.times(0.5), "0.5x"),
        (wording.count(999_999), "999,999"),
        (wording.count(1_000_000), "1 M"),
        (wording.count(12_345_678), "12.35 M"),
        (wording.count(10**13), "10,000 G"),
        (wording.size(9_999_999), "9,999,999 B"),
        (wording.size(10_000_000), "10.0 MB"),
        (wording.size(12_345_678_901), "12,345.7 MB"),
        (wording.of_unit(0.125, "points"), "0.12 points"),
        (wording.of_unit(2047.6, "bytes"), "2,048 B"),
        (wording.of_unit(2.5, "ms"), "2.5 ms"),
        (wording.at_least(5), "5 at least"),
        (wording.percent(0.98765), "98.77 %"),
        (wording.percent(0.98765, 0), "99 %"),
        (wording.probability(0.0009), "p < 0.001"),
        (wording.probability(0.001), "p = 0.001"),
        (wording.probability(0.5), "p = 0.5"),
    ],
)
def test_numbers_in_words(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    "write",
    [
        wording.size,
        wording.count,
        wording.at_least,
        wording.percent,
        wording.times,
        wording.duration,
        wording.joules,
        wording.seconds,
        wording.probability,
        wording.figure,
        wording.main_figure,
        wording.figure_difference,
    ],
)
def test_what_was_not_measured_is_a_dash(write: Callable[[None], str]) -> None:
    assert write(None) == "-"


@pytest.mark.parametrize("unit", ["points", "bytes", "ms"])
def test_what_a_search_did_not_measure_is_a_dash(unit: str) -> None:
    assert wording.of_unit(None, unit) == "-"


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_written_in_its_unit_with_its_interval_and_its_difference(name: str) -> None:
    kind = FIGURES[name]
    figure = Figure(0.875, 0.75, 0.9375, kind.unit, kind.better)
    difference = Difference(figure=name, value=-0.25, low=-0.5, high=0.125, unit=kind.unit, better=kind.better)
    score = Score(task="any", samples=8, main=name, figures={name: figure})
    if kind.unit == "fraction":
        assert wording.figure(figure) == wording.main_figure(score) == "87.50 %"
        assert wording.interval(figure) == "75.0..93.8"
        assert wording.figure_difference(difference) == "-25.00 pt"
        assert wording.difference_interval(difference) == "-50.00 and +12.50 pt"
    else:
        assert wording.figure(figure) == "0.875"
        assert wording.main_figure(score) == f"{kind.title} 0.875"
        assert wording.interval(figure) == "0.75..0.9375"
        assert wording.figure_difference(difference) == "-0.25"
        assert wording.difference_interval(difference) == "-0.5 and +0.125"


def test_errors_in_dollars_are_written_in_full() -> None:
    """A mean absolute error of a price of houses is a number, and no power of ten."""
    error = Figure(45_678.9, 44_000.0, 47_250.0, "label", "lower")
    change = Difference(figure="mae", value=12_345.6, low=-1_234.5, high=25_000.0, unit="label", better="lower")
    assert wording.figure(error) == "45,680"
    assert wording.interval(error) == "44,000..47,250"
    assert wording.figure_difference(change) == "+12,350"
    assert wording.difference_interval(change) == "-1,234 and +25,000"


@pytest.mark.parametrize("ends", [(None, None), (0.5, None), (None, 0.5)])
def test_half_an_interval_is_none(ends: tuple[float | None, float | None]) -> None:
    assert wording.interval(Figure(0.5, *ends)) == ""
    assert wording.difference_interval(Difference(figure="top1", value=0.5, low=ends[0], high=ends[1])) == ""
    assert wording.interval(None) == ""


def test_a_score_whose_main_figure_could_not_be_computed_is_a_dash() -> None:
    score = Score(task="regression", samples=3, main="r2", figures={"r2": Figure(None, unit="number")})
    assert wording.main_figure(score) == "-"
    assert wording.figure(score.main_figure) == "-"


@given(st.floats(-1e14, 1e14, allow_subnormal=False), st.integers(1, 6))
def test_rounded_digits_are_those_of_scientific_notation(value: float, places: int) -> None:
    text = digits(value, places)
    assert float(text.replace(",", "")) == float(f"{value:.{places}g}")
    assert "e" not in text or abs(value) < 1e-4
    assert digits(value, places, sign="+") == (text if text.startswith("-") else f"+{text}")
