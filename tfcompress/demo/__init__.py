"""The demo: a small Fashion-MNIST classifier and a part of its data, shipped with the package.

``tools/make_demo.py`` in the repository made the files. The images are by Zalando SE, under the MIT licence that lies
beside them.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

_FOLDER = Path(str(resources.files(__name__)))

MODEL = _FOLDER / "fashion_cnn.h5"
"""The trained network as Keras 2 wrote it: (28, 28, 1) in [0, 1] -> probabilities of 10 classes."""

MODEL_KERAS3 = _FOLDER / "fashion_cnn.keras"
"""The same network, with the same weights, as Keras 3 wrote it."""

DATA = _FOLDER / "fashion.npz"
"""``x_train`` (4000, 28, 28, 1) and ``x_test`` (2000, 28, 28, 1), uint8, with ``y_train`` and ``y_test``."""

SCALE = "1/255"
"""What the images are multiplied by before the network sees them."""

LICENSE = _FOLDER / "LICENSE-fashion-mnist"
"""The licence of the images."""

LABELS = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
"""What the classes 0 to 9 are."""
