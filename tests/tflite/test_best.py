"""tfcompress.tflite.best: which of several ways to int8 is kept."""

from __future__ import annotations

import dataclasses
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.quantization.scaled import network, rescaled
from tfcompress.errors import ContractError, ConversionError
from tfcompress.export_choices import TRIALS
from tfcompress.progress import SILENT
from tfcompress.recipe import Export
from tfcompress.tflite.agreement import OutputAgreement
from tfcompress.tflite.attempt import Attempt, Request
from tfcompress.tflite.best import best_int8_of
from tfcompress.tflite.export import export
from tfcompress.tflite.routes import ConverterInput, Made
from tfcompress.tflite.shares import Shares
from tfcompress.tflite.verify import Verification

BEST = sys.modules["tfcompress.tflite.best"]
LABELS = [trial.label for trial in TRIALS]


class Samples:
    """A source of so many samples; each holds its number."""

    def __init__(self, count: int) -> None:
        self.count = count

    def representative(self, count: int, seed: int) -> dict[str, np.ndarray]:
        return {"x": np.arange(min(count, self.count), dtype=np.float32)[:, np.newaxis]}


def verification() -> Verification:
    blank = {field.name: None for field in dataclasses.fields(Verification) if field.default is dataclasses.MISSING}
    return Verification(**{**blank, "notes": ()})


@pytest.fixture
def contest(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that has ways compete: by the label of each its agreement and top-1, or what it raises."""
    seen = SimpleNamespace(settings=[], notes=[], prepared=[], fused=[])

    def run(
        results: dict[str, Any], data: Any = None, fused: tuple[str, ...] = (), drawn: Shares | None = None
    ) -> Made:
        def file_of(_: Any, request: Request, *, fused: bool = False) -> bytes:
            seen.fused.append(fused)
            label = " + ".join((request.settings.calibrator, *request.settings.correct))
            seen.settings.append(request.settings)
            if isinstance(results[label], Exception):
                raise results[label]
            return label.encode()

        def source(_: Any, request: Request) -> ConverterInput:
            seen.prepared.append(request.settings)
            return ConverterInput("prepared")

        def made(model: Any, request: Request, ready: ConverterInput | None = None) -> Made:
            assert (ready is None) is (request.settings.correct == ()), "what was tried is made from what is there"
            content = file_of(model, request, fused=bool(fused))
            return Made(Attempt(content, None, verification(), qat=False, fused=fused), "converter")  # type: ignore[arg-type]

        def agreement(_: Any, content: bytes) -> tuple[OutputAgreement, ...]:
            found = results[content.decode()]
            found = found if isinstance(found, list) else [found]
            return tuple(
                OutputAgreement(f"y{n}", db, 0.0, 0.0, top1, None, None, db) for n, (db, top1) in enumerate(found)
            )

        monkeypatch.setattr(BEST, "made_as_asked", made)
        monkeypatch.setattr(BEST, "converted", file_of)
        monkeypatch.setattr(BEST, "source_of", source)
        monkeypatch.setattr(BEST, "ranged", lambda model, _: SimpleNamespace(model=model))
        monkeypatch.setattr(BEST, "is_correctable", lambda _: True)
        monkeypatch.setattr(BEST, "fusible", lambda *_: bool(fused))
        monkeypatch.setattr(BEST, "call", lambda *_: {})
        monkeypatch.setattr(BEST.Contest, "agreement", agreement)
        progress = SimpleNamespace(task=SILENT.task, note=seen.notes.append)
        request = Request(
            settings=Export(quantize="int8"),
            data=data or Samples(1000),
            metadata=None,
            converter=SimpleNamespace(cpu_seconds=None),  # type: ignore[arg-type]
            float_model=None,
            float_size_bytes=None,
            progress=progress,  # type: ignore[arg-type]
            seed=0,
            shares=drawn,
        )
        found = best_int8_of("the model", request)
        run.notes, run.prepared, run.fused = seen.notes, seen.prepared, seen.fused  # type: ignore[attr-defined]
        return found

    return run


def results(*pairs: Any) -> dict[str, Any]:
    return dict(zip(LABELS, pairs, strict=True))


def kept(made: Made) -> str:
    records = made.attempt.verification.trials
    chosen = [record.name for record in records if record.chosen]
    assert chosen == [made.attempt.content.decode()]
    return chosen[0]


def test_the_way_that_agrees_best_is_kept_and_said_so_in_a_line(contest) -> None:
    made = contest(results((20.0, 0.9), (25.0, 0.95), (28.0, 0.9), (22.0, 1.0)))
    assert kept(made) == "minmax + equalize + bias"
    assert [record.agreement_db for record in made.attempt.verification.trials] == [20.0, 25.0, 28.0, 22.0]
    assert made.attempt.verification.held_back == 100
    assert contest.notes == ["int8 by minmax + equalize + bias: 28.0 dB on 100 samples held back, minmax alone 20.0 dB"]
    assert len(contest.prepared) == len(TRIALS) - 1  # each once, the one that is kept, too


@pytest.mark.parametrize("others", [(19.0, 1.0), (29.0, 0.89), (20.05, 0.9)])
def test_what_is_worse_than_plain_in_anything_or_hardly_better_is_not_kept(contest, others) -> None:
    made = contest(results((20.0, 0.9), others, others, others))
    assert kept(made) == "minmax"
    assert "none of 3 other ways agrees better on 100 samples" in contest.notes[0]


@pytest.mark.parametrize(
    "other",
    [[(25.0, 0.9), (39.0, 1.0)], [(25.0, 0.9), (20.5, 1.0)], [(25.0, 0.9), (45.0, 0.95)], [(25, 0.8), (45, 1.0)]],
)
def test_no_output_pays_for_what_the_worst_one_gains(contest, other) -> None:
    made = contest(results([(20.0, 0.9), (40.0, 1.0)], other, other, other))
    assert kept(made) == "minmax"


@pytest.mark.parametrize("other", [[(25.0, 0.9), (40.0, 1.0)], [(22.0, 0.95), (39.95, 1.0)], [(25, 0.9), (50, 1.0)]])
def test_the_worst_output_gains_where_no_other_loses(contest, other) -> None:
    made = contest(results([(20.0, 0.9), (40.0, 1.0)], [(60.0, 1.0), (5.0, 0.1)], other, [(20.0, 0.9), (40.0, 1.0)]))
    assert kept(made) == "minmax + equalize + bias"


def test_an_output_of_whole_numbers_may_not_have_fewer_equal_ones(contest) -> None:
    first = [(20.0, None), (None, 0.9)]
    fewer, same = [(30.0, None), (None, 0.8)], [(25.0, None), (None, 0.9)]
    assert kept(contest(results(first, fewer, same, fewer))) == "minmax + equalize + bias"


def test_what_would_write_an_lstm_out_that_is_one_op_is_not_tried(contest) -> None:
    made = contest(results((20.0, 0.9), (25.0, 0.95), (22.0, 1.0), RuntimeError()), fused=("first", "second"))
    assert kept(made) == "minmax + bias"
    assert made.attempt.verification.trials[3].refusal == "not tried: it would write first, second out step by step"
    assert contest.fused == [True] * len(contest.fused)


def test_lstms_are_one_op_in_the_other_ways_where_plain_gives_no_file_to_show_it(contest) -> None:
    made = contest(results(ContractError("too far"), (25.0, 0.95), (22.0, 1.0), (20.0, 0.9)), fused=("only",))
    assert kept(made) == "minmax + bias"
    assert contest.fused == [True] * (len(TRIALS) + 1)


def test_samples_that_were_drawn_already_are_not_drawn_again(contest) -> None:
    held = {"x": np.zeros((7, 1), np.float32)}
    made = contest(results((20.0, 0.9), *[(25.0, 0.95)] * 3), drawn=Shares({}, held, {}))
    assert made.attempt.verification.held_back == 7


def test_of_whole_numbers_the_way_with_the_most_equal_ones_is_kept(contest) -> None:
    assert kept(contest(results((None, 0.8), (None, 0.8), (None, 0.9), (None, 0.7)))) == "minmax + equalize + bias"
    assert kept(contest(results((None, 1.0), *[RuntimeError()] * 3))) == "minmax"


def test_nothing_else_is_tried_where_plain_agrees(contest) -> None:
    made = contest(results((30.0, 1.0), *[RuntimeError()] * 3))
    assert kept(made) == "minmax"
    assert len(made.attempt.verification.trials) == 1
    assert contest.notes == []


def test_where_plain_breaks_the_contract_a_way_that_keeps_it_is_taken(contest) -> None:
    made = contest(results(ContractError("too far from float; train"), (15.0, 0.7), (40.0, 1.0), (3.0, 0.1)))
    assert kept(made) == "minmax + equalize + bias"
    assert made.attempt.verification.trials[0].refusal == "too far from float; train"


def test_where_no_way_works_the_first_refusal_is_raised(contest) -> None:
    with pytest.raises(ContractError, match="the first"):
        contest(results(ContractError("the first"), *[ConversionError("another")] * 3))


def test_no_way_is_begun_once_the_time_is_up(contest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BEST, "BUDGET_S", -1.0)
    made = contest(results((20.0, 0.9), *[(40.0, 1.0)] * 3))
    assert kept(made) == "minmax"
    assert all("not tried" in record.refusal for record in made.attempt.verification.trials[1:])


def test_one_sample_cannot_be_held_back(contest) -> None:
    made = contest(results((5.0, 0.1), *[RuntimeError()] * 3), Samples(1))
    assert made.attempt.verification.trials == ()
    assert made.notes == (
        "int8 is minmax alone, no other way was tried: too few samples to hold any back, which takes at least 4",
    )


def test_of_a_saved_model_one_way_is_made_and_a_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BEST, "made_as_asked", lambda *_: Made(SimpleNamespace(), "converter"))  # type: ignore[arg-type]
    request: Any = SimpleNamespace(data=Samples(1000), settings=Export(quantize="int8"))
    said = "int8 is minmax alone, no other way was tried: a SavedModel holds no Keras layers"
    assert best_int8_of("a SavedModel", request).notes == (said,)


@pytest.mark.slow
def test_channels_of_uneven_size_are_mended_in_the_file(converter) -> None:
    model = rescaled(network(7), 7)
    samples = np.random.default_rng(0).normal(size=(120, 8, 8, 3)).astype(np.float32)
    settings = Export(quantize="int8", min_agreement_db=-100.0)
    found = export(model, settings, data=samples, converter=converter).verification
    by_name = {record.name: record for record in found.trials}
    (chosen,) = [record for record in found.trials if record.chosen]
    assert chosen.name == "minmax + equalize + bias"
    assert (chosen.agreement_db or 0) > (by_name["minmax"].agreement_db or 0) + 6
    assert (found.agreement[0].sqnr_db or 0) > 20
