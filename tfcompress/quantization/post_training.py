"""Post-training quantization by the rules of our quantization-aware training: rewritten and calibrated, not trained.

The converter's own has no integer form for NEG (in every LayerNormalization of Keras 3), loops, volumes and more. What
is corrected before (:func:`corrected`) is an ordinary model again, which goes through either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.export_choices import AFTER_ROUNDING, CORRECTIONS, ROUNDINGS
from tfcompress.quantization.calibration import calibrate_
from tfcompress.quantization.calibrators import Calibrator
from tfcompress.quantization.transform import Quantized, quantize
from tfcompress.recipe import QAT


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a model is corrected for.

    Attributes:
        inputs: samples: for each input by name an array of shape (samples, *shape), preprocessed as in training.
        calibrator: chooses each range; None: from the least to the largest value.
        stage: bits of weights.
    """

    inputs: Mapping[str, np.ndarray]
    calibrator: Calibrator | None = None
    stage: QAT = QAT()  # noqa: RUF009 - a frozen value


Correct = Callable[[Any, Conditions], Any]
"""A correction: takes a functional or sequential Keras 3 model, which it only reads; gives a changed copy."""


def calibrated(
    model: Any,
    inputs: Mapping[str, np.ndarray],
    calibrator: Calibrator | None = None,
    stage: QAT | None = None,
    *,
    round_weights: bool = True,
) -> Quantized:
    """Return *model* with fake quantization whose ranges are those of samples; the argument stays as it is.

    Args:
        model: a functional or sequential Keras 3 model that is built.
        inputs: for each input by name an array of shape (samples, *shape), preprocessed as in training.
        calibrator: chooses each range; None: from the least to the largest value.
        stage: bits; None: 8 for all.
        round_weights: ranges are those of the rounded weights; False: of weights as they are.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model; or one without a layer to quantize.
    """
    made = quantize(model, stage or QAT())
    calibrate_(made.model, inputs, calibrator=calibrator, round_weights=round_weights)
    return made


def corrected(model: Any, names: Sequence[str], conditions: Conditions, rounding: str = "nearest") -> Any:
    """Return a copy of *model* whose weights are prepared for rounding, or rounded.

    Args:
        model: a functional or sequential Keras 3 model that is built; it is only read.
        names: lines of :data:`tfcompress.export_choices.CORRECTIONS`, done in the table's order.
        conditions: samples, ranges and bits.
        rounding: a line of :data:`tfcompress.export_choices.ROUNDINGS`.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model; or one without a layer to quantize.
    """
    chosen = [line for name, line in CORRECTIONS.items() if name in names]
    before = [line for line in chosen if line.family != AFTER_ROUNDING]
    after = [line for line in chosen if line.family == AFTER_ROUNDING]
    for line in (*before, ROUNDINGS[rounding], *after):
        change: Correct = line.load()
        model = change(model, conditions)
    return model
