"""The layers that tfcompress puts into Keras 3 models, registered with Keras by importing this module.

``tfcompress.load_model(path).native`` needs no help. Who loads a model saved in the middle of a training with Keras
itself writes::

    import tfcompress.layers
    from keras.saving import load_model

    model = load_model("trained.keras")
"""

from __future__ import annotations

import importlib

MODULES = (
    "tfcompress.models.fake_quant.activations",
    "tfcompress.models.fake_quant.batch_norm",
    "tfcompress.models.fake_quant.four_bits",
    "tfcompress.models.fake_quant.weights",
    "tfcompress.models.keras3_layers",
    "tfcompress.techniques.native.lookup",
)
"""Where they are."""

for _module in MODULES:
    importlib.import_module(_module)
