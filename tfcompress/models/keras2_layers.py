"""What a Keras 3 model needs in tf_keras and tf_keras has not: its activations, and single operations as layers.

Imported only when a model crosses the bridge, or when a file that holds one of these is loaded.
"""

from __future__ import annotations

import inspect
from typing import Any

import keras  # noqa: TID253
import tf_keras  # noqa: TID253

from tfcompress.models.call_template import Template, leaves

FOREIGN_PREFIX = "keras3_"


@tf_keras.saving.register_keras_serializable("tfcompress")
class KerasOperation(tf_keras.layers.Layer):  # type: ignore[misc]
    """One operation of Keras 3 (``keras.ops``) as a tf_keras layer.

    Attributes:
        operation: the Keras 3 operation.
        template: its positional and keyword arguments, tensors replaced by slots.
    """

    def __init__(self, operation: Any, template: Template, **options: Any) -> None:
        super().__init__(**options)
        self.operation = operation
        self.template = template

    def call(self, tensors: Any) -> Any:
        """Run the operation."""
        args, kwargs = self.template.fill(leaves(tensors))
        return self.operation(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Describe operation and arguments in Keras 3's own format."""
        return {
            **super().get_config(),
            "operation": keras.saving.serialize_keras_object(self.operation),
            "template": keras.saving.serialize_keras_object([self.template.args, self.template.kwargs]),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> KerasOperation:
        """Build the layer from what :meth:`get_config` gave."""
        operation = keras.saving.deserialize_keras_object(config["operation"])
        template = Template(*keras.saving.deserialize_keras_object(config["template"]))
        return cls(**{**config, "operation": operation, "template": template})


def foreign_activation(name: str) -> Any:
    """Return Keras 3's activation *name* as a function that tf_keras can save and load by its name.

    Needed where tf_keras has no such activation, or computes something else under the same name.
    """
    full = f"{FOREIGN_PREFIX}{name}"
    known = tf_keras.saving.get_registered_object(f"tfcompress>{full}")
    if known is not None:
        return known
    original = getattr(keras.activations, name)

    def activation(x: Any) -> Any:
        return original(x)

    activation.__name__ = activation.__qualname__ = full
    return tf_keras.saving.register_keras_serializable("tfcompress", full)(activation)


for _name, _item in vars(keras.activations).items():
    if inspect.isfunction(_item) and _name not in ("get", "serialize", "deserialize"):
        foreign_activation(_name)  # registered at once, so that a saved model can be loaded
