"""Integers without training: weights that are prepared for rounding, and ranges by the rules of our own training.

A model whose weights are corrected is an ordinary one, and goes to the converter. One whose ranges are chosen by
another calibrator than the converter's, or that the converter cannot quantize, is rewritten with these ranges in it
(:mod:`tfcompress.quantization.post_training`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError, UnsupportedError, UsageError
from tfcompress.export_choices import CALIBRATORS
from tfcompress.input_ranges import InputRange, read_input_ranges
from tfcompress.models.kinds import keras_of
from tfcompress.models.loading import load_model
from tfcompress.recipe import QAT
from tfcompress.tflite.attempt import Request, activation_bits, check_wrappers

if TYPE_CHECKING:
    from tfcompress.quantization.post_training import Conditions
    from tfcompress.quantization.transform import Quantized
    from tfcompress.recipe import Export


def prepared_by(model: Any, request: Request) -> Any:
    """Return a Keras 3 model with the weights that the export's corrections give it.

    Args:
        model: a Keras 3 or tf_keras model, or the path of a SavedModel.
        request: what is asked.

    Raises:
        DataError: there are no samples.
        UsageError: a model that was trained with ranges of its own.
        ContractError: a model that still wears wrappers of its training.
        UnsupportedError: a model without layers, or one that cannot be rewritten.
    """
    _check(model, request)
    plain = _keras3(model)
    settings = request.settings
    if not settings.prepares:
        return plain
    from tfcompress.quantization.post_training import corrected

    return corrected(plain, settings.correct, _conditions(request), settings.rounds)


def with_few_bits(model: Any, request: Request, bits: int) -> Any:
    """Return a Keras 3 model whose kernels lie on a grid of few bits, each as if it alone had so few.

    Args:
        model: a Keras 3 or tf_keras model.
        request: what is asked; what else it asks of weights is not done.
        bits: of each kernel.

    Raises:
        UnsupportedError: a model that cannot be rewritten.
    """
    from tfcompress.quantization.gptq import each_by_itself

    return each_by_itself(_keras3(model), _conditions(request), bits)


def ranged(model: Any, request: Request) -> Quantized:
    """Return a Keras 3 model rewritten with the ranges that the export's calibrator chooses.

    Args:
        model: what :func:`prepared_by` gave.
        request: what is asked.

    Raises:
        UnsupportedError: a model that cannot be rewritten.
    """
    from tfcompress.quantization.post_training import calibrated

    conditions = _conditions(request)
    return calibrated(model, conditions.inputs, conditions.calibrator, conditions.stage)


def ranged_without_data(model: Any, request: Request) -> tuple[Quantized, dict[str, InputRange]]:
    """Return a Keras 3 model rewritten with ranges that follow from the model alone, and those of its inputs, by name.

    Args:
        model: a Keras 3 or tf_keras model.
        request: what is asked; there are no data.

    Raises:
        UsageError: the range of an input is not known.
        UnsupportedError: a model that cannot be rewritten, or a layer whose outputs nothing bounds.
        ContractError: a model that still wears wrappers of its training.
    """
    from tfcompress.quantization.data_free import without_data
    from tfcompress.quantization.known_inputs import ranges_of_inputs

    check_wrappers(model)
    plain = _keras3(model)
    ranges = ranges_of_inputs(plain, read_input_ranges(request.settings.input_range))
    return without_data(plain, ranges), ranges


def in_place_of_the_converter(model: Any, request: Request) -> Quantized | None:
    """Rewrite a model that the converter cannot quantize to int8; None: there is nothing to rewrite it by.

    Raises:
        UnsupportedError: it cannot be rewritten, either.
    """
    if request.settings.quantize != "int8" or request.data is None:
        return None
    if keras_of(model) == "savedmodel" or load_model(model).refusal:
        return None
    request.progress.note("the converter cannot quantize this model; trying it by the rules of --qat, without training")
    return ranged(_keras3(model), request)


def check_input_range(model: Any, settings: Export, *, has_data: bool) -> None:
    """Refuse ranges of inputs that would do nothing.

    Args:
        model: a Keras 3 or tf_keras model, or the path of a SavedModel.
        settings: how it is to be exported.
        has_data: there are samples.

    Raises:
        UsageError: saying why.
    """
    if not settings.input_range:
        return
    why = ""
    if has_data:
        why = "ranges are measured on the samples of --data; leave one of the two out"
    elif keras_of(model) == "savedmodel":
        why = "a SavedModel holds no layers that ranges could follow from; give a .keras, or --data instead"
    elif activation_bits(model):
        why = "the model was trained with ranges of its own; leave it out"
    if why:
        msg = f"--input-range (export.input_range) would do nothing: {why}"
        raise UsageError(msg)


def asked_of(settings: Export) -> str:
    """Return in a few words what an export asks for beyond the converter's own: ``mse``, ``minmax + bias``."""
    bits = ("weights of 4 bits",) if settings.weight_bits == 4 else ()
    rounding = () if settings.rounds == "nearest" else (settings.rounds,)
    return " + ".join((settings.calibrator, *bits, *rounding, *settings.correct))


def is_correctable(model: Any) -> bool:
    """Say whether weights and ranges of a model can be changed: it has layers, and was not trained with ranges."""
    return keras_of(model) != "savedmodel" and not activation_bits(model)


def _check(model: Any, request: Request) -> None:
    settings = request.settings
    what = _first_asked(settings)
    if request.data is None:
        msg = f"{what} needs samples; give --data"
        raise DataError(msg)
    if keras_of(model) == "savedmodel":
        msg = f"{what} needs the model's layers, and a SavedModel holds none; give a .keras"
        raise UnsupportedError(msg)
    check_wrappers(model)
    bits = activation_bits(model)
    if bits:
        msg = f"{what} would do nothing: the model was trained for {bits} bits, with its ranges"
        raise UsageError(msg)


def _first_asked(settings: Export) -> str:
    """Return the first setting that the converter's own quantization does not have."""
    for name in ("correct", "rounding", "weight_bits"):
        value = getattr(settings, name)
        if value not in ((), None, "nearest", 8):
            return f"{name} {(value[0] if isinstance(value, tuple) else value)!r}"
    return f"calibration {settings.calibration!r}"


def _conditions(request: Request) -> Conditions:
    from tfcompress.quantization.post_training import Conditions

    name = request.settings.calibrator
    calibrator = None if name == "minmax" else CALIBRATORS[name].load()()
    stage = QAT(weight_bits=request.settings.weight_bits)
    return Conditions(inputs=request.drawn().calibration, calibrator=calibrator, stage=stage)


def _keras3(model: Any) -> Any:
    from tfcompress.models.bridge import to_keras3

    return model if keras_of(model) == "keras3" else to_keras3(model)
