"""Splits as their source gives them, before they meet a model.

A source gives one :class:`RawSplit` for each split. Once the model is known, ``fit`` makes it readable: by row where
the source allows it (:class:`RowSplit`: arrays, ``.npz``, images, CSV), else from front to back (:class:`Stream`:
TFRecord, ``tf.data``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature

RawInputs = dict[str, np.ndarray]
"""Arrays by name, samples along the first axis; ``""`` names the only input of data that has no names."""

Labels = np.ndarray | dict[str, np.ndarray] | None
"""An array, one by output name, or None where there are no labels."""

SampleWeights = np.ndarray | dict[str, np.ndarray] | None
"""How much each sample counts in training: shape (samples, ...), one array or one by output name; None: all alike."""


class Stored(NamedTuple):
    """Some samples as their source holds them.

    Attributes:
        x: inputs by name, shape (samples, ...).
        y: labels.
        weights: sample weights.
    """

    x: RawInputs
    y: Labels = None
    weights: SampleWeights = None


class Told(NamedTuple):
    """What is said of how samples were read, one line each.

    Attributes:
        notes: for the report.
        warnings: for a user to see, and the report.
    """

    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


NOTHING_TOLD = Told()
"""There is nothing to say."""


@runtime_checkable
class RowSplit(Protocol):
    """A split that can be read by row."""

    @property
    def size(self) -> int:
        """Number of samples."""

    def read(self, rows: np.ndarray) -> Stored:
        """Return the samples of *rows* (int64 indices, any order), copied."""

    def labels(self, rows: np.ndarray) -> Labels:
        """Return the labels of *rows* without touching the inputs."""

    def weights(self, rows: np.ndarray) -> SampleWeights:
        """Return the sample weights of *rows* without touching the inputs."""

    def doubtful(self, rows: np.ndarray, *, changed: bool) -> np.ndarray:
        """Return those of *rows* whose inputs must be read before any work to know that they are good.

        Args:
            rows: int64 indices.
            changed: whether a function, or a dtype that cannot hold everything, may spoil what is good as stored.
        """

    def groups(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the group (a session, a person) of each of *rows*, numbers or text; None where they have none."""

    def called(self, row: int) -> str:
        """Return what messages call a sample: its file, or its number."""

    @property
    def told(self) -> Told:
        """What is to be said of how the samples were read: padded, cut, left out."""


class Stream(Protocol):
    """A split that can only be read from front to back, in the same order each time."""

    def chunks(self) -> Iterator[Stored]:
        """Yield pieces of some tens to hundreds of samples, each a fresh copy."""


class RawSplit(Protocol):
    """A split before the model is known."""

    @property
    def x_name(self) -> str:
        """What messages call the inputs: ``x_train``."""

    @property
    def y_name(self) -> str:
        """What messages call the labels: ``y_train``."""

    def fit(self, signature: Signature) -> RowSplit | Stream:
        """Make it readable for a model of this signature (sizes of images, which columns).

        Raises:
            DataError: the data cannot serve such a model.
        """
