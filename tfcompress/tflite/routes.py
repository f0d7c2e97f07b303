"""The two routes to integers without training: the converter's own, and the rules of our quantization-aware training.

The second is taken where the first fails, or another calibrator is asked for (:mod:`tfcompress.tflite.calibrated`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edge_runner.flatbuffer import DATA_FREE
from tfcompress.errors import ContractError, ConversionError, InfeasibleError, TfcompressError
from tfcompress.input_ranges import InputRange, ranges_text
from tfcompress.models.fused_lstm import has_recurrent
from tfcompress.models.signature import signature_of
from tfcompress.models.specs import random_inputs
from tfcompress.recipe import Export
from tfcompress.tflite.attempt import Attempt, Request, activation_bits, attempt
from tfcompress.tflite.calibrated import asked_of, in_place_of_the_converter, prepared_by, ranged, ranged_without_data
from tfcompress.tflite.contract import FloatOpsError
from tfcompress.tflite.shares import Shares

Route = Literal["converter", "trained ranges", "calibrated by our rules", "data-free", "litert-quantizer"]
"""How a file's numbers came about: by the converter alone, by training for it, or by its rules without training: with
samples, or from the model alone; or by litert-quantizer, of a float file."""

WITHOUT_SAMPLES = (
    f"{DATA_FREE}: no sample was seen, ranges follow from BatchNormalization and from bounds; "
    "with --data they would be measured, and the file compared on real samples"
)
"""What every report of such a file says."""

_RANDOM = 64  # random inputs that such a file is compared on


@dataclass(frozen=True)
class Made:
    """A file, and how it came about.

    Attributes:
        attempt: the file that kept its contract.
        route: how its numbers came about.
        notes: what was done on the way that was not asked for; sentences for the report.
        settings: what it was made with, of several ways that were tried the one that was kept; None: without data.
        source: what was converted in the model's place; None: without data.
        compiled: the file for an accelerator, made of the one that kept its contract; empty: none was asked for.
        ranges: least and largest value of each input, by name, where no sample was seen; empty: elsewhere.
    """

    attempt: Attempt
    route: Route
    notes: tuple[str, ...] = ()
    settings: Export | None = None
    source: ConverterInput | None = None
    compiled: bytes = b""
    ranges: Mapping[str, InputRange] = field(default_factory=dict)

    def noted(self, note: str) -> Made:
        """Return the same with one more sentence for the report."""
        return dataclasses.replace(self, notes=(*self.notes, note))

    def described(self, calibration: str) -> Made:
        """Return the same with words on how its ranges and weights were chosen, for the report."""
        found = dataclasses.replace(self.attempt.verification, calibration=calibration)
        return dataclasses.replace(self, attempt=dataclasses.replace(self.attempt, verification=found))


@dataclass(frozen=True)
class ConverterInput:
    """What is converted in a model's place.

    Attributes:
        model: the model itself, or one with corrected weights, with ranges where it was rewritten.
        rewritten: whether it was rewritten by our rules, with the ranges that a calibrator chose.
        notes: what the rewriting left as it was; sentences for the report.
    """

    model: Any
    rewritten: bool = False
    notes: tuple[str, ...] = ()


def source_of(model: Any, request: Request) -> ConverterInput:
    """Correct the weights of a model and choose its ranges, as the settings ask for; without either, it is its own.

    Args:
        model: a Keras 3 or tf_keras model, or the path of a SavedModel.
        request: what is asked; ``auto`` among its settings stands for ``minmax``.

    Raises:
        TfcompressError: one of its classes.
    """
    settings = request.settings
    if settings.calibrator != "minmax" or settings.weight_bits == 4:
        with request.progress.task("calibrating"):
            rewritten = ranged(prepared_by(model, request), request)
        return ConverterInput(rewritten.model, rewritten=True, notes=tuple(rewritten.notes))
    if not settings.prepares:
        return ConverterInput(model)
    with request.progress.task("correcting"):
        return ConverterInput(prepared_by(model, request))


def made_as_asked(model: Any, request: Request, source: ConverterInput | None = None) -> Made:
    """Make a file in the one way that the settings ask for.

    Args:
        model: as for :func:`source_of`; the file is compared with it.
        request: what is asked.
        source: what :func:`source_of` gave for them before; None: it is made now.

    Raises:
        TfcompressError: one of its classes.
    """
    source = source or source_of(model, request)
    return dataclasses.replace(_made_from(source, model, request), settings=request.settings, source=source)


def _made_from(source: ConverterInput, model: Any, request: Request) -> Made:
    settings = request.settings
    if source.rewritten:
        made = Made(attempt(source.model, request, model), "calibrated by our rules", source.notes)
        return made.described(f"{asked_of(settings)}, by the rules of --qat, without training")
    try:
        found = _attempted(source.model, request, model)
    except InfeasibleError:
        raise  # limits that no file of any route keeps better
    except (ConversionError, ContractError) as refusal:
        if not isinstance(refusal, ConversionError | FloatOpsError) and not fusible(model, settings):
            raise
        made = _by_our_rules(source.model, model, request, refusal)
    else:
        made = Made(found, "trained ranges" if found.qat else "converter")
    return made.described(f"{asked_of(settings)}, without training") if settings.prepares else made


def fusible(model: Any, settings: Export) -> bool:
    """Say whether LSTM layers of a model may be one op each in such a file.

    Args:
        model: a Keras 3 or tf_keras model, or the path of a SavedModel.
        settings: how it is to be exported.
    """
    return settings.quantize != "int16x8" and not activation_bits(model) and has_recurrent(model)


def _attempted(model: Any, request: Request, reference: Any) -> Attempt:
    """Make a file with LSTMs as one op each where that can be and is smallest, else as they come."""
    quantize = request.settings.quantize
    fused = fusible(model, request.settings)
    if not fused or quantize == "int8":  # of loops in int8 the converter dies
        return attempt(model, request, reference, fused=fused)
    try:
        found = attempt(model, request, reference, fused=True)
    except (ConversionError, ContractError) as refusal:
        return attempt(model, request, reference).noted(f"LSTM layers are loops in the file: as one op each, {refusal}")
    if quantize != "dynamic" or not found.fused:
        return found
    # weights of one op are four kernels, of a loop one: the converter leaves small ones in float
    other = attempt(model, request, reference)
    if found.size_bytes <= other.size_bytes:
        return found
    return other.noted(f"LSTM layers are loops in the file: as one op each it would have {found.size_bytes:,} bytes")


def made_without_data(model: Any, request: Request) -> Made:
    """Make an int8 file whose ranges follow from the model alone.

    It is compared with the model on random inputs that each fill the range of their input evenly.

    Args:
        model: a Keras 3 or tf_keras model.
        request: what is asked; there are no data.

    Raises:
        UsageError: the range of an input is not known.
        UnsupportedError: a layer whose outputs nothing bounds.
        TfcompressError: one of its classes.
    """
    with request.progress.task("finding ranges without data"):
        rewritten, ranges = ranged_without_data(model, request)
    drawn = random_inputs(signature_of(model), _RANDOM, request.seed, ranges=ranges)
    told = f"{DATA_FREE}: the model alone, {ranges_text(ranges)}"
    given = dataclasses.replace(request, shares=Shares({}, {}, drawn), metadata=marked(request.metadata, told))
    notes = (WITHOUT_SAMPLES, *rewritten.notes)
    return Made(attempt(rewritten.model, given, model), "data-free", notes, ranges=ranges).described(told)


def marked(metadata: Mapping[str, Any] | None, calibration: str) -> dict[str, Any]:
    """Return what is stored in a file whose ranges saw no sample: whoever opens it is told, asked for or not.

    Args:
        metadata: what else is stored; None: nothing is.
        calibration: how the ranges were chosen.
    """
    return {**(metadata or {}), "calibration": calibration}


def _by_our_rules(source: Any, model: Any, request: Request, refusal: TfcompressError) -> Made:
    """Return the file of a model with the ranges of our own quantization-aware training, untrained.

    Raises:
        TfcompressError: *refusal*, where our rules cannot do it either.
    """
    try:
        rewritten = in_place_of_the_converter(source, request)
        if rewritten is None:
            raise refusal
        found = attempt(rewritten.model, request, model)
    except TfcompressError as second:
        if second is refusal:
            raise
        request.progress.note(f"they cannot, either: {second}")
        raise _neither(refusal, second) from None
    why = f"{_why(refusal)}: so the model was rewritten as for --qat, and calibrated without training"
    return Made(found, "calibrated by our rules", (why, *rewritten.notes))


def _neither(refusal: TfcompressError, second: TfcompressError) -> TfcompressError:
    """Return the refusal of a model that neither the converter nor our rules can do, without advising what failed."""
    if "--qat" not in str(refusal):
        return refusal
    return ConversionError(f"{str(refusal).partition('; ')[0]}; the rules of --qat cannot do it, either: {second}")


def _why(refusal: TfcompressError) -> str:
    """Return in half a sentence what the converter could not do."""
    ops = getattr(refusal, "ops", ())
    if not ops:
        return str(refusal).partition("; ")[0]
    kinds = ", ".join(sorted({op.op for op in ops}))
    return f"the converter would leave {len(ops)} op{'s' if len(ops) > 1 else ''} in float ({kinds})"
