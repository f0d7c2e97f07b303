"""Saving a model in the format of its own Keras that loads again with everything it holds."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from tfcompress.files import output_errors
from tfcompress.models.kinds import keras_of


def save(model: Any, folder: Path, name: str) -> Path:
    """Write *model* into *folder*, as ``<name>.keras``, or as ``<name>.h5`` where it is a tf_keras model.

    Args:
        model: a Keras 3 or tf_keras model.
        folder: where; it is there already.
        name: the file's name without its ending.

    Returns:
        The file's path.

    Raises:
        OutputError: it cannot be written.
    """
    path = folder / (f"{name}.keras" if keras_of(model) == "keras3" else f"{name}.h5")
    with output_errors(path), warnings.catch_warnings():
        # .h5 is legacy to tf_keras, but a quantization-aware model saved as .keras cannot be loaded again.
        warnings.filterwarnings("ignore", "You are saving your model as an HDF5 file")
        model.save(path)
    return path
