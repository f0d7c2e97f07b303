"""Training data that is looked at before the training begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Samples:
    """Training data for what looks at some before the training begins: activation ranges, criteria by gradient.

    Attributes:
        inputs: an array of shape (samples, ...) for each of the model's inputs by name, preprocessed.
        labels: what goes with them: one array, one for each output by name, or None where there are none.
    """

    inputs: Mapping[str, np.ndarray]
    labels: Any = None
