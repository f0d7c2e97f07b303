"""The cross-entropy of masks of which some pixels don't count; Keras's own takes every one."""

from __future__ import annotations

from typing import Any

LEAST = 1e-7
"""Probabilities are not taken for less, nor for more than one minus this, since their logarithm is used."""


def mask_crossentropy(void: int, *, from_logits: bool, keras: Any) -> Any:
    """Return the loss of yes and no for each pixel, the mean over those that count.

    Args:
        void: the label of pixels that don't count.
        from_logits: whether outputs are logits and no probabilities.
        keras: the module ``keras`` or ``tf_keras``.
    """
    import tensorflow as tf

    class MaskCrossentropy(keras.losses.Loss):  # type: ignore[misc]  # of either Keras
        def call(self, y_true: Any, y_pred: Any) -> Any:
            """Return a value a sample, (samples,), whose mean is that over the pixels that count."""
            y_pred = tf.convert_to_tensor(y_pred)
            counted = tf.cast(tf.not_equal(y_true, tf.cast(void, y_true.dtype)), y_pred.dtype)
            truth = tf.cast(tf.equal(y_true, tf.cast(1, y_true.dtype)), y_pred.dtype)
            each = counted * _each(truth, y_pred, from_logits)
            axes = list(range(1, len(y_pred.shape)))
            pixels = tf.reduce_sum(counted, axis=axes)
            return tf.math.divide_no_nan(tf.reduce_sum(each, axis=axes), tf.reduce_mean(pixels))

    return MaskCrossentropy(name="binary_crossentropy")


def _each(truth: Any, outputs: Any, from_logits: bool) -> Any:
    import tensorflow as tf

    if from_logits:
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=truth, logits=outputs)
    p = tf.clip_by_value(outputs, LEAST, 1.0 - LEAST)
    return -(truth * tf.math.log(p) + (1.0 - truth) * tf.math.log(1.0 - p))
