"""What a tf_keras model needs in Keras 3 and Keras 3 has not: an activation of another formula, TensorFlow operations.

Imported only when a model crosses the bridge, or when a file that holds one of these is loaded.
"""

from __future__ import annotations

import functools
from typing import Any

import keras  # noqa: TID253
import tensorflow as tf  # noqa: TID253

from tfcompress.errors import UntrustedCodeError
from tfcompress.models.call_template import Template, leaves
from tfcompress.models.keras_private import in_safe_mode
from tfcompress.safety.pure_functions import is_pure_function


@keras.saving.register_keras_serializable("tfcompress")
class TensorFlowOperation(keras.layers.Layer):  # type: ignore[misc]
    """One TensorFlow function as a Keras 3 layer.

    Attributes:
        symbol: the function's public name without ``tf.``, e.g. ``math.reduce_variance``; for one of tf_keras with
            ``keras.`` before it.
        template: its positional and keyword arguments, tensors replaced by slots.
    """

    def __init__(self, symbol: str, template: Template, **options: Any) -> None:
        super().__init__(autocast=False, **options)
        self.symbol = symbol
        self.template = template

    @property
    def function(self) -> Any:
        """The TensorFlow function, or that of tf_keras."""
        first, *rest = self.symbol.split(".")
        if first == "keras":  # as Keras 2 computes it; TensorFlow's own attribute may be the other Keras
            import tf_keras

            return functools.reduce(getattr, rest, tf_keras)
        return functools.reduce(getattr, rest, getattr(tf, first))

    def call(self, tensors: Any) -> Any:
        """Run the function."""
        args, kwargs = self.template.fill(leaves(tensors))
        return self.function(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Describe function and arguments."""
        return {
            **super().get_config(),
            "symbol": self.symbol,
            "template": keras.saving.serialize_keras_object([self.template.args, self.template.kwargs]),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TensorFlowOperation:
        """Build the layer from what :meth:`get_config` gave.

        Raises:
            UntrustedCodeError: the function is not known as pure arithmetic, and Keras's safe mode is on.
        """
        symbol = config["symbol"]
        if not is_pure_function(symbol) and in_safe_mode() is not False:
            msg = f"layer {config.get('name')!r} calls tf.{symbol}, which is not known as arithmetic on tensors"
            raise UntrustedCodeError(msg)
        template = Template(*keras.saving.deserialize_keras_object(config["template"]))
        return cls(**{**config, "template": template})


@keras.saving.register_keras_serializable("tfcompress")  # type: ignore[untyped-decorator]
def keras2_hard_sigmoid(x: Any) -> Any:
    """Return ``clip(0.2 x + 0.5, 0, 1)``: what tf_keras calls hard_sigmoid (Keras 3's is ``relu6(x + 3) / 6``)."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)
