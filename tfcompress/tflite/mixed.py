"""Mixed precision: an int8 file in which the ops that cost most, or least, have other numbers.

The int8 file is made first, in the best way that is known (:mod:`tfcompress.tflite.best`). What each op costs in each
precision is measured (:mod:`tfcompress.tflite.mixed_costs`), an integer programme chooses, and the best plans are
written and measured: what is kept is what measured best, the plain int8 file among them.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.errors import DataError, ModelError, UnsupportedError, UsageError
from tfcompress.export_choices import AFTER_ROUNDING, CORRECTIONS, MIXED_WITHOUT_DATA, PACKINGS
from tfcompress.models.kinds import keras_of
from tfcompress.recipe import Export
from tfcompress.settings import ANY_AGREEMENT_DB
from tfcompress.tflite.attempt import Mixed, Request
from tfcompress.tflite.best import best_int8_of
from tfcompress.tflite.calibrated import is_correctable, prepared_by, with_few_bits, written_out
from tfcompress.tflite.contract import float_ops
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.layer_noise import HeldBack, weights_at
from tfcompress.tflite.means import correct_
from tfcompress.tflite.mixed_costs import CostMeasurements
from tfcompress.tflite.mixed_plans import PlanTrials
from tfcompress.tflite.mixing import Mixer, Precision, codes_of
from tfcompress.tflite.op_trials import OpTrials
from tfcompress.tflite.recurrent_forms import float_file
from tfcompress.tflite.routes import Made, made_as_asked
from tfcompress.tflite.shares import shares
from tfcompress.tflite.sites import RealWeights, Site, is_rounded_of, sites_of
from tfcompress.tflite.verify import SAMPLES

_ON_GRID = 1e-3  # of a step


def made_mixed(model: Any, request: Request) -> Made:
    """Make an int8 file in which ops have other numbers where that pays.

    Args:
        model: a Keras 3 or tf_keras model.
        request: what is asked; its settings ask for mixed precision.

    Raises:
        DataError: no samples, or too few.
        UnsupportedError: a model whose layers are not known; or no op whose numbers can be chosen.
        UsageError: a model that was trained with ranges of its own.
        InfeasibleError: limits that nothing keeps.
        TfcompressError: what making the int8 file raised.
    """
    asked = request.settings
    if request.data is None:
        raise DataError(MIXED_WITHOUT_DATA)
    _check(model)
    drawn = shares(request.data, request.seed, calibration=asked.sample_count, compared=SAMPLES, hold_back=True)
    if not len(next(iter(drawn.held_back.values()))):
        msg = "mixed precision judges by samples held back from calibration, which takes at least 4; give more --data"
        raise DataError(msg)
    bare = Export()  # what is said of mixed files would mean nothing to a plain one
    lenient = dataclasses.replace(
        asked,
        mixed=False,
        max_size=bare.max_size,
        max_latency=bare.max_latency,
        device=bare.device,
        plans=bare.plans,
        min_agreement_db=ANY_AGREEMENT_DB,
    )
    plain_request = dataclasses.replace(request, settings=lenient, shares=drawn)
    plain = best_int8_of(model, plain_request) if lenient.tries else made_as_asked(model, plain_request)
    chosen = plain.settings or lenient
    found = plain.attempt.verification
    final = dataclasses.replace(
        request,
        settings=dataclasses.replace(chosen, min_agreement_db=asked.min_agreement_db),
        shares=drawn,
        float_size_bytes=found.float_size_bytes,
    )
    choice = _Choice(model, final, asked, found.size_bytes)
    made = made_as_asked(model, dataclasses.replace(final, mixer=choice), plain.source)
    verification = dataclasses.replace(
        made.attempt.verification, trials=found.trials, held_back=found.held_back, calibration=found.calibration
    )
    return dataclasses.replace(made, attempt=dataclasses.replace(made.attempt, verification=verification))


def _check(model: Any) -> None:
    if keras_of(model) == "savedmodel":
        msg = "mixed precision needs the model's layers, and a SavedModel holds none; give a .keras"
        raise UnsupportedError(msg)
    if not is_correctable(model):
        msg = "mixed precision is for models without training for int8; this one was trained with ranges of its own"
        raise UsageError(msg)


class _Choice:
    """Chooses for an int8 file once it is converted: a :data:`tfcompress.tflite.attempt.FileMixer`."""

    def __init__(self, model: Any, request: Request, asked: Export, plain_bytes: int) -> None:
        self._model, self._request, self._asked, self._plain_bytes = model, request, asked, plain_bytes

    def __call__(self, content: bytes, rewritten: bool) -> Mixed | None:
        """Return the best file by plan; None: the converter's own is to be refused anyway."""
        request, started = self._request, time.perf_counter()
        if request.settings.float_ops == "refuse" and float_ops(read_model_file(content)):
            return None
        model = self._prepared()
        in_float = self._float_file(model, rewritten=rewritten)
        sites, notes = sites_of(content, in_float)
        if not sites:
            msg = f"mixed precision finds no op to choose for: {'; '.join(notes) or 'none has a kernel'}"
            raise UnsupportedError(msg)
        mixer = Mixer(content, sites, {site.number: on_four_bits(site, None) for site in sites})
        runtimes, in_tensorflow = request.settings.runtimes, request.converter.try_in_tensorflow
        with OpTrials(mixer, runtimes, in_tensorflow, request.seed, request.stopwatch) as trials:
            if not all(trials.refusal(site, "int4") for site in sites):
                few_bits = self._few_bits(model, rewritten=rewritten)
                mixer.four_bits.update({site.number: on_four_bits(site, few_bits) for site in sites})
            with request.progress.task("correcting biases"):
                correct_(mixer, content, request.drawn().calibration)
            measurements = CostMeasurements(
                mixer=mixer,
                in_float=in_float,
                float_bytes=request.float_size_bytes or len(self._float_file(model, rewritten=False)),
                held=HeldBack.of(in_float, request.drawn().held_back),
                size=self._size,
                trials=trials,
                precisions=_precisions(self._asked),
                timed=bool(self._asked.max_latency),
                progress=request.progress,
            )
            found = PlanTrials(measurements, content, self._plain_bytes, self._asked).best()
        record = dataclasses.replace(found.record, seconds=time.perf_counter() - started, notes=notes)
        return dataclasses.replace(found, record=record)

    def _size(self, content: bytes) -> int:
        """Return the size that a file will have, packed."""
        for name in self._asked.packings:
            content = PACKINGS[name].load()(content, keep_names=self._asked.keep_names)
        return len(content)

    def _as_prepared(self) -> Request:
        """Return the request for the model whose float weights are taken.

        What makes up for the rounding to 8 bits is not asked of it: it would be wrong where nothing is rounded so.
        """
        settings = self._request.settings
        scales = tuple(name for name in settings.correct if CORRECTIONS[name].family != AFTER_ROUNDING)
        plain = dataclasses.replace(settings, correct=scales, rounding="nearest", calibration="minmax")
        return dataclasses.replace(self._request, settings=plain)

    def _prepared(self) -> Any:
        request = self._as_prepared()
        return prepared_by(self._model, request) if request.settings.prepares else self._model

    def _few_bits(self, model: Any, *, rewritten: bool) -> bytes | None:
        """Return the float file of kernels on a grid of 4 bits, rounded for the outputs; None: there is none."""
        if self._asked.rounding == "nearest":
            return None
        with self._request.progress.task("rounding to 4 bits"):
            try:
                few = with_few_bits(written_out(model) if rewritten else model, self._as_prepared(), 4)
            except (ModelError, UnsupportedError) as refusal:
                self._request.progress.note(f"kernels of 4 bits are rounded to the nearest step, as {refusal}")
                return None
        return self._float_file(few, rewritten=rewritten)

    def _float_file(self, model: Any, *, rewritten: bool) -> bytes:
        """Return the float file of a model, or of the layers that our rules make of it, each with its own kernel."""
        source = written_out(model, seams=True) if rewritten else model
        select_ops = self._request.settings.select_ops
        with tempfile.TemporaryDirectory(prefix="tfcompress-") as scratch:
            return float_file(source, Path(scratch), self._request.converter, select_ops=select_ops)


def _precisions(asked: Export) -> tuple[Precision, ...]:
    """Return what an op may be beside int8; what is slow everywhere only where time is limited, and so measured."""
    return ("int4", "float", "int16") if asked.max_latency else ("int4", "float")


def on_four_bits(site: Site, few_bits: bytes | None) -> RealWeights:
    """Return the weights of an op on a grid of 4 bits: those that were rounded for the sake of the outputs, if any.

    Else the grid of each channel ends where the squared error of its weights is least.

    Args:
        site: the op.
        few_bits: the float file of the rounded kernels; None: there is none.
    """
    from tfcompress.quantization.weight_fake_quant import least_squares_scale

    axis = site.axis if site.per_channel else None
    found = None if few_bits is None else weights_at(few_bits, site)
    kernel = site.exact.kernel
    if found is not None and _is_on_grid(found.kernel, axis) and is_rounded_of(found.kernel, kernel):
        return found
    columns = kernel.reshape(-1, 1) if axis is None else np.moveaxis(kernel, axis, -1).reshape(-1, kernel.shape[axis])
    scale = least_squares_scale(columns.astype(np.float64), 7.0)
    rounded = np.clip(np.rint(columns / scale), -7, 7) * scale
    if axis is None:
        return RealWeights(rounded.reshape(kernel.shape).astype(np.float32), site.exact.bias)
    moved = rounded.reshape(*(size for n, size in enumerate(kernel.shape) if n != axis), kernel.shape[axis])
    return RealWeights(np.moveaxis(moved, -1, axis).astype(np.float32), site.exact.bias)


def _is_on_grid(kernel: np.ndarray, axis: int | None) -> bool:
    """Say whether a kernel is what 4 bits hold."""
    codes, steps = codes_of(kernel, 4, axis)
    shape = [1] * kernel.ndim
    if axis is not None:
        shape[axis] = len(steps)
    scale = steps.reshape(shape)
    return bool((np.abs(codes * scale - kernel) <= _ON_GRID * scale).all())
