"""What a failure says: how many samples would prove it, where it is lost, what to try."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.recipe import QAT, Export, Prune, Recipe, Train
from tfcompress.reports.debug_facts import DebugFacts, TensorRow
from tfcompress.reports.rungs import RungRecord
from tfcompress.search.shortfall import listed_losses, remedies, samples_needed

KERAS: Any = SimpleNamespace(has_layers=True)


def test_half_the_way_to_the_limit_needs_four_times_the_samples() -> None:
    assert samples_needed(1000, 0.25, 0.75, 0.5) == 4000  # (0.75 - 0.25) / (0.5 - 0.25) is 2


@given(st.integers(10, 10_000), st.floats(-1, 0.4), st.floats(0.6, 5))
def test_more_samples_are_needed_where_the_interval_reaches_beyond_the_limit(
    samples: int, points: float, high: float
) -> None:
    assert samples_needed(samples, points, high, 0.5) > samples


def best(points: float, high: float) -> RungRecord:
    return RungRecord(name="rounded", outcome="missed", points=points, high=high, samples=500)


def asked(*stages: object, if_needed: bool = False, **export: object) -> Recipe:
    settings = Export(max_drop=0.5, **export)  # type: ignore[arg-type]  # what a test asks for
    return Recipe(stages=stages, export=settings, train=Train(if_needed=if_needed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recipe", "points", "said"),
    [
        (asked(quantize="int8"), 0.2, ["more test samples", "--epochs N, which allows training", "--quantize int16x8"]),
        (asked(quantize="int8", if_needed=True), 0.9, ["more than 2 epochs (--epochs), or another --learning-rate"]),
        (asked(quantize="int8", weight_bits=4), 0.9, ["--epochs N, which allows training", "--weight-bits 8"]),
        (asked(Prune(), quantize="none"), 0.9, ["more than 2 epochs (--epochs), or another --learning-rate"]),
        (asked(quantize="dynamic"), 0.9, ["--quantize float16", "--max-drop 1.24, which rounded keeps"]),
    ],
)
def test_what_may_help_comes_first(recipe: Recipe, points: float, said: list[str]) -> None:
    assert remedies(recipe, best(points, 1.234), KERAS)[: len(said)] == said


def test_a_stage_may_be_asked_for_less_but_its_numbers_stay() -> None:
    found = remedies(asked(Prune(), QAT(), quantize="int8"), best(0.9, 1.0), KERAS)
    assert "less of --prune" in found
    assert not any(words.startswith("--quantize") for words in found)


def test_the_layers_that_lose_most_are_named_with_their_loss() -> None:
    losses = {"stem": 5.4, "a": None, "dw": 12.2, "pw": 2.9, "": 40.0, "head": 3.0, "last": 7.0}
    rows = tuple(
        TensorRow(number=n, op="CONV_2D", layer=layer, how="name", dtype="int8", shape=(1,), loss_db=loss)
        for n, (layer, loss) in enumerate(losses.items())
    )
    facts = DebugFacts("f", "m", "d", 1, "litert", None, None, rows, (), ())
    assert listed_losses(facts) == "dw (12 dB), last (7 dB), stem (5 dB)"
