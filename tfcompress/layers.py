"""The layers that tfcompress puts into Keras 3 models, registered with Keras by importing this module.

``tfcompress.load_model(path).native`` needs no help. Who loads a model saved in the middle of a training with Keras
itself writes::

    import tfcompress.layers
    from keras.saving import load_model

    model = load_model("trained.keras")
"""

from __future__ import annotations

from tfcompress.safety.allowed_classes import import_our_layers

import_our_layers("keras3")
