"""What a dry run says of the time, by a bench that takes a known one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.search.toy_search import toy_space
from tfcompress.errors import PromiseError
from tfcompress.recipe import QAT, Export, Recipe, Train
from tfcompress.search.estimate import training_costs
from tfcompress.search.space import Candidate
from tfcompress.search.trial import StepResult, TrialStep

SAMPLES = 1000


class Bench:
    """Takes 2 s to begin and 0.5 s a batch, if nothing else is said."""

    def __init__(self, starts: tuple[float, ...] = (2.0,), batch: float = 0.5, size: int = SAMPLES) -> None:
        self.starts, self.batch, self.size = itertools.cycle(starts), batch, size

    def run(self, step: TrialStep) -> StepResult:
        train = step.candidate.recipe.train
        batches = -(-min(train.limit or self.size, self.size) // train.batch_size)
        return StepResult(trained_seconds=next(self.starts) + self.batch * batches)


@pytest.mark.parametrize(("batch_size", "expected"), [(32, (2.0, 0.5)), (128, (2.0, 0.5)), (500, (3.0, 0.0))])
def test_few_samples_make_fewer_batches_than_are_asked_for(batch_size: int, expected: tuple[float, float]) -> None:
    recipe = Recipe(stages=(QAT(),), export=Export(quantize="int8"), train=Train(batch_size=batch_size))
    bench: Any = Bench()  # 1,000 samples are 32, 8 or 2 batches
    assert training_costs(bench, Candidate(recipe), SAMPLES) == pytest.approx(expected)


@pytest.mark.parametrize("batch", [0.003, 0.02, 0.3])
def test_starts_that_differ_do_not_hide_what_a_batch_costs(batch: float) -> None:
    recipe = Recipe(stages=(QAT(),), export=Export(quantize="int8"), train=Train(batch_size=10))
    bench: Any = Bench(starts=(15.0, 14.0, 16.0), batch=batch, size=50_000)  # the second one begins a second sooner
    start, cost = training_costs(bench, Candidate(recipe), 50_000)
    assert start == pytest.approx(15.0, abs=1.5)
    assert cost == pytest.approx(batch, rel=0.4)


def test_what_is_refused_is_not_timed() -> None:
    class Refusing:
        """Refuses."""

        def run(self, step: TrialStep) -> StepResult:
            return StepResult(refusal="UnsupportedError: no")

    bench: Any = Refusing()
    with pytest.raises(PromiseError, match=r"a first candidate \(float32\) fails: UnsupportedError: no"):
        training_costs(bench, toy_space().candidate({}), SAMPLES)
