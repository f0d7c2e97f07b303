"""Integers without training and without the converter's own quantization: by the rules of quantization-aware training.

The model is rewritten, and its ranges are chosen on samples (:mod:`tfcompress.quantization.post_training`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError, UnsupportedError, UsageError
from tfcompress.export_choices import CALIBRATORS
from tfcompress.models.kinds import keras_of
from tfcompress.models.loading import load_model
from tfcompress.tflite.attempt import Request, activation_bits, check_wrappers

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from tfcompress.quantization.calibrators import Calibrator
    from tfcompress.quantization.transform import Quantized


def by_calibrator(model: Any, request: Request) -> Quantized:
    """Rewrite a model, its ranges chosen by the calibrator that the export asks for.

    Args:
        model: a Keras 3 or tf_keras model, or the path of a SavedModel.
        request: what is asked.

    Raises:
        DataError: there are no samples.
        UsageError: a model that was trained with ranges of its own.
        ContractError: a model that still wears wrappers of its training.
        UnsupportedError: a model without layers, or one that cannot be rewritten.
    """
    name = request.settings.calibration
    if request.data is None:
        msg = f"calibration {name!r} needs samples; give --data"
        raise DataError(msg)
    if keras_of(model) == "savedmodel":
        msg = f"calibration {name!r} needs the model's layers, and a SavedModel holds none; give a .keras"
        raise UnsupportedError(msg)
    check_wrappers(model)
    bits = activation_bits(model)
    if bits:
        msg = f"calibration {name!r} would do nothing: the model was trained for {bits} bits, with its ranges"
        raise UsageError(msg)
    drawn = request.data.representative(request.settings.samples, request.seed)
    return _rewritten(model, drawn, CALIBRATORS[name].load()())


def in_place_of_the_converter(model: Any, request: Request) -> Quantized | None:
    """Rewrite a model that the converter cannot quantize to int8; None: it cannot be rewritten, either."""
    if request.settings.quantize != "int8" or request.data is None:
        return None
    if keras_of(model) == "savedmodel" or load_model(model).refusal:
        return None
    drawn = request.data.representative(request.settings.samples, request.seed)
    request.progress.note("the converter cannot quantize this model; trying it by the rules of --qat, without training")
    try:
        return _rewritten(model, drawn, None)
    except UnsupportedError:
        return None


def _rewritten(model: Any, drawn: Mapping[str, np.ndarray], calibrator: Calibrator | None) -> Quantized:
    from tfcompress.models.bridge import to_keras3
    from tfcompress.quantization.post_training import calibrated

    plain = model if keras_of(model) == "keras3" else to_keras3(model)
    return calibrated(plain, drawn, calibrator)
