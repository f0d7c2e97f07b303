"""Post-training quantization by the rules of our quantization-aware training: rewritten and calibrated, not trained.

The converter's own has no integer form for NEG (in every LayerNormalization of Keras 3), loops, volumes and more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfcompress.quantization.calibration import calibrate_
from tfcompress.quantization.calibrators import Calibrator
from tfcompress.quantization.transform import Quantized, quantize
from tfcompress.recipe import QAT


def calibrated(model: Any, inputs: Mapping[str, np.ndarray], calibrator: Calibrator | None = None) -> Quantized:
    """Return *model* with fake quantization whose ranges are those of samples; the argument stays as it is.

    Args:
        model: a functional or sequential Keras 3 model that is built.
        inputs: for each input by name an array of shape (samples, *shape), preprocessed as in training.
        calibrator: chooses each range; None: from the least to the largest value.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model; or one without a layer to quantize.
    """
    made = quantize(model, QAT())
    calibrate_(made.model, inputs, calibrator=calibrator)
    return made
