"""The best int8 file without training: several ways are tried, and judged by samples that were held back.

The first way of :data:`tfcompress.export_choices.TRIALS` is the converter's own. Where it agrees with the float model
already, nothing else is tried. Otherwise each of the others is converted, run on the samples held back, and the best is
kept: of those that are better than the first in the output that agrees worst, and in no output worse, by the ratio of
signal to noise or in the top-1, the one whose worst output has the highest ratio.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import ContractError, ConversionError, TfcompressError, UnsupportedError
from tfcompress.export_choices import Trial
from tfcompress.models.kinds import has_layers
from tfcompress.models.signature import call
from tfcompress.recipe import Export
from tfcompress.tflite.agreement import OutputAgreement, agreements, any_worse
from tfcompress.tflite.attempt import Request, converted
from tfcompress.tflite.calibrated import is_correctable, ranged
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.routes import ConverterInput, Made, fusible, made_as_asked, source_of
from tfcompress.tflite.shares import NONE_HELD_BACK, shares
from tfcompress.tflite.verify import SAMPLES, TrialRecord

ENOUGH_DB = 30.0
"""Agreement of the first way from which on nothing else is tried, if it also has"""
ENOUGH_TOP1 = 0.99
"""the same top-1 in this fraction of the samples."""
LEAST_GAIN_DB = 0.1
"""What another way must agree better by in its worst output, and may agree worse by in any other."""
BUDGET_S = 60.0
"""CPU seconds that all other ways may take together, about: after them none is begun.

By the clock, what else the machine does would decide which file comes out.
"""


@dataclass(frozen=True)
class _Judged:
    """One way that was tried.

    Attributes:
        trial: which.
        agreement: one entry an output, on the samples held back; empty: no file came of it.
        seconds: that it took.
        refusal: why no file came of it.
        source: what was converted, from which its file is made should it be the best; None: no file came of it.
    """

    trial: Trial
    agreement: tuple[OutputAgreement, ...] = ()
    seconds: float = 0.0
    refusal: str = ""
    source: ConverterInput | None = None

    @property
    def db(self) -> float:
        """Lowest ratio over the outputs."""
        return min((each.ratio_db for each in self.agreement if each.ratio_db is not None), default=-np.inf)

    @property
    def top1(self) -> float | None:
        """Lowest agreement in the top-1 over the outputs; None: none has classes."""
        return min((each.top1 for each in self.agreement if each.top1 is not None), default=None)

    def beats(self, first: _Judged) -> bool:
        """Say whether it is better than the first way in its worst output, and worse in none."""
        if not self.agreement or any_worse(self.agreement, first.agreement, LEAST_GAIN_DB):
            return False
        if np.isinf(self.db) and np.isinf(first.db):  # whole numbers: only how many are equal is known
            return (self.top1 or 0.0) > (first.top1 or 0.0)
        return self.db >= first.db + LEAST_GAIN_DB

    @property
    def enough(self) -> bool:
        """Whether it agrees so well that nothing else need be tried."""
        near = np.isinf(self.db) or self.db >= ENOUGH_DB
        return bool(self.agreement) and near and (self.top1 is None or self.top1 >= ENOUGH_TOP1)

    def record(self, chosen: Trial) -> TrialRecord:
        """Return what the report holds of it."""
        db = None if np.isinf(self.db) else self.db
        kept = self.trial is chosen
        return TrialRecord(self.trial.label, db, self.top1, self.seconds, self.refusal, chosen=kept)


def best_int8_of(model: Any, request: Request) -> Made:
    """Make the int8 file that agrees best with the float model.

    Args:
        model: a Keras 3 or tf_keras model, or the path of a SavedModel.
        request: what is asked.

    Raises:
        TfcompressError: one of its classes: what the first way raised, where no other works.
    """
    if request.data is None or not is_correctable(model):
        made = made_as_asked(model, request)
        no_layers = _untried(request.settings, "a SavedModel holds no Keras layers")
        return made if has_layers(model) else made.noted(no_layers)
    drawn = request.shares or shares(
        request.data, request.seed, calibration=request.settings.sample_count, compared=SAMPLES, hold_back=True
    )
    if not len(next(iter(drawn.held_back.values()))):
        return made_as_asked(model, request).noted(_untried(request.settings, NONE_HELD_BACK))
    return Contest(model, dataclasses.replace(request, shares=drawn)).result()


def _untried(settings: Export, reason: str) -> str:
    return f"int8 is {settings.trials[0].label} alone, no other way was tried: {reason}"


class Contest:
    """The ways to one file, against each other."""

    def __init__(self, model: Any, request: Request) -> None:
        self._model, self._request = model, request
        self._held = {} if request.shares is None else request.shares.held_back
        self._expected = call(model, self._held)
        self._by_our_rules = False
        self._fused: tuple[str, ...] = ()
        self._trials = request.settings.trials

    def result(self) -> Made:
        """Try, choose, and make the file."""
        plain = self._made(self._trials[0])
        first = self._judged_first(plain)
        judged = [first]
        if not first.enough:
            judged += self._others()
        better = sorted(
            (each for each in judged[1:] if each.beats(first)), key=lambda each: (-each.db, -(each.top1 or 0))
        )
        for each in better:
            made = self._made(each.trial, each.source)
            if isinstance(made, Made):
                return self._told(made, each.trial, judged)
        if isinstance(plain, TfcompressError):
            raise plain
        return self._told(plain, self._trials[0], judged)

    def _made(self, trial: Trial, source: ConverterInput | None = None) -> Made | TfcompressError:
        try:
            return made_as_asked(self._model, self._asked(trial), source)
        except (ContractError, ConversionError, UnsupportedError) as refusal:
            return refusal

    def _asked(self, trial: Trial) -> Request:
        settings: Export = dataclasses.replace(
            self._request.settings, calibration=trial.calibration, correct=trial.correct, rounding=trial.rounding
        )
        return dataclasses.replace(self._request, settings=settings)

    def _judged_first(self, plain: Made | TfcompressError) -> _Judged:
        if isinstance(plain, TfcompressError):
            return _Judged(self._trials[0], refusal=str(plain))
        self._by_our_rules = plain.route == "calibrated by our rules"
        self._fused = plain.attempt.fused
        size = plain.attempt.verification.float_size_bytes  # a rewritten model has no float file of its own
        self._request = dataclasses.replace(self._request, float_size_bytes=size)
        return _Judged(self._trials[0], self.agreement(plain.attempt.content))

    def _others(self) -> list[_Judged]:
        started, found = self._spent(), []
        with self._request.progress.task("trying ways to int8", len(self._trials) - 1) as task:
            for trial in self._trials[1:]:
                task.describe(trial.label)
                if self._spent() - started > BUDGET_S:
                    found.append(_Judged(trial, refusal=f"not tried: the others took {BUDGET_S:.0f} s of CPU time"))
                else:
                    found.append(self._tried(trial))
                task.advance()
        return found

    def _spent(self) -> float:
        """Return the CPU time of this process, its children and the converter so far; else the clock's."""
        converter, own = self._request.converter.cpu_seconds, os.times()
        if converter is None:
            return time.perf_counter()
        return own.user + own.system + own.children_user + own.children_system + converter

    def _tried(self, trial: Trial) -> _Judged:
        started, request = time.perf_counter(), self._asked(trial)
        if self._fused and request.settings.calibrator != "minmax":
            return _Judged(trial, refusal=f"not tried: it would write {', '.join(self._fused)} out step by step")
        try:
            source = source_of(self._model, request)
            by_us = self._by_our_rules and not source.rewritten
            model = ranged(source.model, request).model if by_us else source.model
            agreement = self.agreement(converted(model, request, fused=fusible(model, request.settings)))
        except (ContractError, ConversionError, UnsupportedError) as refusal:
            return _Judged(trial, (), time.perf_counter() - started, str(refusal))
        return _Judged(trial, agreement, time.perf_counter() - started, source=source)

    def agreement(self, content: bytes) -> tuple[OutputAgreement, ...]:
        """Return how near a file's outputs are to the Keras model's on the samples held back."""
        with InterpreterProcess(content) as interpreter:
            outputs: Mapping[str, np.ndarray] = interpreter.run(self._held)
        return agreements(read_model_file(content), self._expected, outputs)

    def _told(self, made: Made, chosen: Trial, judged: list[_Judged]) -> Made:
        """Return the file with the record of the choice, and say it in a line."""
        found = made.attempt.verification
        records = tuple(each.record(chosen) for each in judged)
        held = len(next(iter(self._held.values())))
        how = found.calibration or f"{chosen.label}, by the converter"
        attempt = dataclasses.replace(
            made.attempt,
            verification=dataclasses.replace(found, calibration=how, trials=records, held_back=held),
        )
        if len(judged) > 1:
            self._request.progress.note(_sentence(chosen, judged, held))
        return dataclasses.replace(made, attempt=attempt)


def _sentence(chosen: Trial, judged: list[_Judged], held: int) -> str:
    by = {each.trial: each for each in judged}
    first, kept = judged[0], by[chosen]
    if kept is first:
        others = f"none of {len(judged) - 1} other ways agrees" if len(judged) > 2 else "another way does not agree"
        return f"int8 stays {chosen.label}: {others} better on {held} samples held back"
    before = f"{first.db:.1f} dB" if first.agreement else "no file"
    return f"int8 by {chosen.label}: {kept.db:.1f} dB on {held} samples held back, {first.trial.label} alone {before}"
