"""Bias correction: rounding moves the mean of what a layer gives; the bias takes that back.

For each output channel the mean of a layer's sums over samples and places is taken in the float model and in the
rounded one, and the difference added to the bias (Nagel et al. 2019, arXiv:1906.04721, section 4.2; with samples: its
appendix D). Samples need no labels, and few will do: they only give means.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfcompress.models.copies import model_copy
from tfcompress.models.graph import leaf_layers
from tfcompress.quantization.post_training import Conditions, calibrated
from tfcompress.quantization.stepwise import Flow, SideBySide, Visited


def sequential(model: Any, conditions: Conditions) -> Any:
    """Correct each layer behind the corrected ones before it: what those still pass on is made good, too.

    Args:
        model: a functional or sequential Keras 3 model that is built; it is only read.
        conditions: samples, ranges and bits that the biases are to make up for.

    Returns:
        A copy of *model* with other biases.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model; or one without a layer to quantize.
    """
    return _corrected(model, conditions, onwards=True)


def one_pass(model: Any, conditions: Conditions) -> Any:
    """Correct each layer behind ones that are not corrected; see :func:`sequential`."""
    return _corrected(model, conditions, onwards=False)


def _corrected(model: Any, conditions: Conditions, *, onwards: bool) -> Any:
    made = calibrated(model, conditions.inputs, conditions.calibrator, conditions.stage)
    new = model_copy(model)
    own = dict(leaf_layers(new))
    targets = {id(layer): own[path] for path, layer in made.layers.items() if path in own}

    def visit(seen: Visited) -> Flow:
        variable = bias_of(targets.get(id(seen.holder)))
        if variable is None:
            return seen.sums
        made_good = corrected_by(variable, seen.sums)
        return made_good if onwards else seen.sums

    SideBySide(made.model, conditions.inputs).run(visit)
    return new


def corrected_by(variable: Any, sums: Flow) -> Flow:
    """Move a bias by what the means of a layer's sums are off, and return the sums with it.

    Args:
        variable: what :func:`bias_of` gave; shape (channels,).
        sums: shape (samples, …, channels) each.
    """
    off = tf.reduce_mean(sums.exact - sums.rounded, axis=list(range(len(sums.exact.shape) - 1)))
    variable.assign_add(off)
    return Flow(sums.exact, sums.rounded + off)


def bias_of(layer: Any) -> Any | None:
    """Return the variable that a layer adds to each channel of its sums; None: it has none."""
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return None
    if hasattr(layer, "center"):
        return layer.beta if layer.center else None
    return layer.bias if getattr(layer, "use_bias", False) else None
