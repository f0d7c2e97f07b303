"""Fake quantization of activations: float tensors rounded to the grid that the integer runtime will use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.errors import UsageError

MOMENTUM = 0.99
"""Weight of the past in a range's moving average, once it has seen enough batches."""
PRIOR = 32.0
"""Batches that a calibrated range counts for."""
WARM_UP = PRIOR + 100.0
"""Batches in which a range grows to whatever comes."""
LEAST_SPAN = 1.25e-6
"""Of a range; of one below 1e-6 the converter makes another one."""


@keras.saving.register_keras_serializable("tfcompress")
class FakeQuant(keras.layers.Layer):  # type: ignore[misc]
    """Rounds a tensor to ``2**bits`` evenly spaced values between *low* and *high*, zero among them.

    The grid is that of ``tf.quantization.fake_quant_with_min_max_vars``, which the TFLite converter turns into the
    tensor's scale and zero point (Jacob et al. 2018, arXiv:1712.05877, eq. 12); gradients pass as if nothing were
    rounded, see :func:`trained_on_grid`. 16 bits have a grid that is symmetric around zero, as TFLite's int16
    activations do.

    A range follows the least and largest value of each training batch: the first batch sets it, it grows at once, and
    shrinks by a moving average, in which the weight of the past grows with every batch to :data:`MOMENTUM`. Until it
    has seen a batch the layer changes nothing. Called on several tensors, one instance gives all of them one scale.

    Attributes:
        bits: 8 or 16.
        fixed: the range (low, high), where the runtime knows only one (softmax, tanh …); None: it is measured.
        learn: train the range by gradient, once it is measured; see :func:`learnt`.
        nonnegative: every tensor that it is called on comes out of a ReLU or ReLU6: the range begins at zero.
        inverted: an inverse root is taken of what is rounded: in training nothing of it becomes zero.
        observing: the layer only measures, and changes nothing; see :mod:`tfcompress.quantization.calibration`.
        counter: what counts the values while it is observing, in place of the range; None: nothing does.
        low: least value, shape ().
        high: largest value, shape ().
        seen: how many batches the range comes from, shape ().
        frozen: 1.0: the range stays as it is; 0.0: it does not; shape ().
    """

    def __init__(
        self,
        *,
        bits: int = 8,
        fixed: Sequence[float] | None = None,
        learn: bool = False,
        nonnegative: bool = False,
        inverted: bool = False,
        **options: Any,
    ) -> None:
        """Create the layer; see the class.

        Raises:
            UsageError: bits that are neither 8 nor 16.
        """
        options.setdefault("dtype", "float32")
        super().__init__(autocast=False, **options)
        if bits not in (8, 16):
            msg = f"FakeQuant bits must be 8 or 16, got {bits!r}; choose one of them"
            raise UsageError(msg)
        self.bits, self.learn = bits, learn and fixed is None
        self.nonnegative = nonnegative and bits == 8 and not learn
        self.inverted = inverted
        self.fixed = None if fixed is None else (float(fixed[0]), float(fixed[1]))
        self.supports_masking = True
        self.observing = False
        self.counter: Any = None
        if self.fixed is None:
            kind = {"shape": (), "initializer": "zeros", "dtype": "float32"}
            ends = {**kind, "trainable": True} if self.learn else {**kind, "trainable": False, "aggregation": "mean"}
            self.low = self.add_weight(name="low", **ends)
            self.high = self.add_weight(name="high", **ends)
            self.seen = self.add_weight(name="seen", trainable=False, aggregation="mean", **kind)
            self.frozen = self.add_weight(name="frozen", trainable=False, aggregation="mean", **kind)
        self.built = True

    @property
    def step(self) -> float | None:
        """Distance between two values of the grid as it is now; None: nothing was seen yet."""
        low, high = self.fixed or (float(self.low), float(self.high))
        if self.fixed is None and not float(self.seen):
            return None
        return (high - low) / 255.0 if self.bits == 8 else max(-low, high) / 32767.0

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        """Return what comes out: the same shape and dtype."""
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Round *inputs*, of any shape, and follow their range when *training*."""
        x = tf.cast(inputs, tf.float32)
        if self.observing:
            self._observe_(x)
            return inputs
        if self.fixed is not None:
            return tf.cast(trained_on_grid(x, *self.fixed, self.bits), inputs.dtype)
        if not training:
            rounded = on_grid if self.learn else trained_on_grid  # the one has gradients of the range
            quantized = rounded(x, self.low.value, self.high.value, self.bits)
            return tf.cast(tf.where(self.seen.value > 0.0, quantized, x), inputs.dtype)
        return tf.cast(self._trained_(x, inputs), inputs.dtype)

    def _trained_(self, x: Any, inputs: Any) -> Any:
        """Return *x* rounded as in a training step."""
        if self.nonnegative:
            x, largest, kind = _before_relu(inputs)
            return trained_on_grid(x, *self._follow_(None, largest), self.bits, kind)
        ends = self._begin_(x) if self.learn else self._follow_(*_span(x))
        rounded = (learnt if self.learn else trained_on_grid)(x, *ends, self.bits)
        if not self.inverted:
            return rounded
        # The runtime's RSQRT gives its largest number for zero; here it would be infinite, and so would its range.
        return tf.maximum(rounded, tf.stop_gradient((ends[1] - ends[0]) / (2.0 * (2**self.bits - 1))))

    def _follow_(self, least: Any | None, largest: Any) -> tuple[Any, Any]:
        """Move the range towards that of this batch; without *least* its lower end stays at zero.

        It grows at once, and shrinks by the moving average. A range that lags behind weights that move cuts off what
        they learn. After the first batches it grows at most to twice its span, so that outliers are forgotten again.
        """
        seen, free = tf.convert_to_tensor(self.seen.value), 1.0 - self.frozen.value
        pace = tf.maximum(1.0 / (seen + 1.0), 1.0 - MOMENTUM)
        self.seen.assign(seen + 1.0)
        low, high = 0.0 if least is None else self.low.value, tf.convert_to_tensor(self.high.value)
        span = tf.where(seen < WARM_UP, np.inf, high - low)
        beyond = largest - high
        new_high = high + free * tf.where(beyond > 0.0, tf.minimum(beyond, span), pace * beyond)
        self.high.assign(new_high)
        if least is None:
            return 0.0, new_high
        beyond = low - least
        new_low = low - free * tf.where(beyond > 0.0, tf.minimum(beyond, span), pace * beyond)
        self.low.assign(new_low)
        return new_low, new_high

    def _begin_(self, x: Any) -> tuple[Any, Any]:
        """Return the learnt range; the first batch sets one that was not calibrated."""
        least, largest = _span(x)
        known = self.seen.value > 0.0
        free = 1.0 - self.frozen.value
        low = tf.where(known, self.low.value, least)
        high = tf.where(known, self.high.value, largest)
        self.low.assign(low)
        self.high.assign(high)
        self.seen.assign(tf.maximum(self.seen.value, 1.0))
        return free * low + (1.0 - free) * tf.stop_gradient(low), free * high + (1.0 - free) * tf.stop_gradient(high)

    def _observe_(self, x: Any) -> None:
        if self.counter is not None:
            self.counter.add_(x)
        elif self.fixed is None:
            least, largest = _span(x)
            self.low.assign(tf.minimum(self.low.value, least))
            self.high.assign(tf.maximum(self.high.value, largest))
            self.seen.assign(PRIOR)

    def get_config(self) -> dict[str, Any]:
        """Describe the layer."""
        names = ("bits", "fixed", "learn", "nonnegative", "inverted")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("tfcompress")
class ConstantFakeQuant(keras.layers.Layer):  # type: ignore[misc]
    """Rounds a tensor to a grid that never changes: what becomes of :class:`FakeQuant` in a model made for export.

    Attributes:
        low: least value.
        high: largest value.
        bits: 8 or 16.
    """

    def __init__(self, low: float, high: float, bits: int = 8, **options: Any) -> None:
        super().__init__(autocast=False, **options)
        self.low, self.high, self.bits = low, high, bits
        self.supports_masking = True
        self.built = True

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return what comes out: the same shape and dtype."""
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def call(self, inputs: Any) -> Any:
        """Round *inputs*, of any shape."""
        return tf.cast(on_grid(tf.cast(inputs, tf.float32), self.low, self.high, self.bits), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Describe the layer."""
        return {**super().get_config(), "low": self.low, "high": self.high, "bits": self.bits}


def on_grid(x: Any, low: Any, high: Any, bits: int) -> Any:
    """Round *x* to the grid of *bits* between *low* and *high*, moved so that zero is on it.

    Args:
        x: float32, any shape.
        low: at most zero.
        high: at least zero.
        bits: 8; or 16, where the grid is symmetric and spans the larger of the two.
    """
    if bits == 8:
        return tf.quantization.fake_quant_with_min_max_vars(x, low, high, num_bits=8)
    bound = tf.maximum(-low, high)
    return tf.quantization.fake_quant_with_min_max_vars(x, -bound, bound, num_bits=bits, narrow_range=True)


def trained_on_grid(x: Any, low: Any, high: Any, bits: int, relu: str = "") -> Any:
    """Round as :func:`on_grid`, and have the gradient pass as if nothing were rounded or cut off.

    Rounding counts as the identity (the straight-through estimator: Bengio et al. 2013, arXiv:1308.3432), also for the
    few values beyond a range that follows the batches' largest: finding them takes as long as all the rest of rounding.

    Args:
        x: float32, any shape.
        low: at most zero.
        high: at least zero.
        bits: 8 or 16.
        relu: ``Relu`` or ``Relu6``, whose input *x* is: what is cut off is cut off by it, and has its gradient.
    """
    low, high = tf.convert_to_tensor(low), tf.convert_to_tensor(high)
    backwards = {"Relu": tf.raw_ops.ReluGrad, "Relu6": tf.raw_ops.Relu6Grad}.get(relu)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def straight_through(x: Any) -> tuple[Any, Any]:
        def gradient(upstream: Any) -> Any:
            return upstream if backwards is None else backwards(gradients=upstream, features=x)

        return on_grid(x, low, high, bits), gradient

    return straight_through(x)


def learnt(x: Any, low: Any, high: Any, bits: int) -> Any:
    """Round *x* to a grid whose two ends are trained with the weights.

    The gradient of the step is that of learnt step size quantization (LSQ: Esser et al. 2020, arXiv:1902.08153, eq. 3),
    with an offset as in LSQ+ (Bhalgat et al. 2020, arXiv:2004.09576): rounding counts as the identity, and the gradient
    of the ends is scaled by ``1 / sqrt(elements * 2**bits)`` (LSQ, section 2.2).

    Args:
        x: float32, any shape.
        low: shape (), at most zero.
        high: shape (), at least zero.
        bits: 8 or 16.
    """
    if bits != 8:
        high = tf.maximum(-low, high)
        low = -high
    steps = 2.0**bits - 1.0
    weight = 1.0 / tf.sqrt(tf.cast(tf.size(x), tf.float32) * steps)
    low, high = _scaled_gradient(tf.minimum(low, 0.0), weight), _scaled_gradient(tf.maximum(high, 0.0), weight)
    step = tf.maximum(high - low, LEAST_SPAN) / steps
    offset = _rounded(-low / step)
    return (tf.clip_by_value(_rounded(x / step) + offset, 0.0, steps) - offset) * step


def _rounded(x: Any) -> Any:
    return x + tf.stop_gradient(tf.floor(x + 0.5) - x)


def _scaled_gradient(x: Any, weight: Any) -> Any:
    return weight * x + tf.stop_gradient((1.0 - weight) * x)


def _span(x: Any) -> tuple[Any, Any]:
    """Return least and largest value, widened to hold zero and not to be the same."""
    x = tf.stop_gradient(x)
    least = tf.minimum(tf.reduce_min(x), 0.0)
    return least, tf.maximum(tf.maximum(tf.reduce_max(x), 0.0), least + LEAST_SPAN)


def _before_relu(x: Any) -> tuple[Any, Any, str]:
    """Return what to round for the output *x* of a ReLU, as float32, its largest value, and which ReLU is left out.

    A grid that begins at zero cuts off what a ReLU would. In a traced function, which knows what made *x*, it gets the
    ReLU's input: the ReLU, a pass over the tensor, is not computed.
    """
    op: Any = getattr(x, "op", None)
    kind = "" if op is None or op.type not in ("Relu", "Relu6") else str(op.type)
    source = tf.cast(op.inputs[0] if kind else x, tf.float32)
    largest = tf.maximum(tf.reduce_max(tf.stop_gradient(source)), LEAST_SPAN)
    return source, tf.minimum(largest, 6.0) if kind == "Relu6" else largest, kind
