"""``tf.data.Dataset`` objects, read from front to back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcompress.data.elements import stored, unpacked
from tfcompress.data.raw import Stored
from tfcompress.data.repetition import Repetition
from tfcompress.errors import DataError

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature

CHUNK = 128
"""Samples that are taken together from a data set that is not batched."""

LENGTH = "tf.data.experimental.assert_cardinality"
"""How a ``tf.data.Dataset`` says how long it is, where TensorFlow cannot tell."""


def is_tf_dataset(value: Any) -> bool:
    """Tell a ``tf.data.Dataset`` without importing TensorFlow: whoever made one has imported it."""
    return hasattr(value, "element_spec") and hasattr(value, "as_numpy_iterator")


@dataclass(frozen=True)
class TfSplit:
    """A ``tf.data.Dataset`` of ``x``, ``(x, y)`` or ``(x, y, sample_weight)``, of batches or of single samples.

    It must come in the same order each time it is read, and end.

    Attributes:
        dataset: the ``tf.data.Dataset``.
        name: what messages call it.
        resize: resize images to the model's input, for data sets whose images have many sizes.
    """

    dataset: Any
    name: str
    resize: bool = False

    @property
    def x_name(self) -> str:
        """What messages call the inputs."""
        return f"x of {self.name}"

    @property
    def y_name(self) -> str:
        """What messages call the labels."""
        return f"y of {self.name}"

    def fit(self, signature: Signature) -> TfStream:
        """Tell batches from single samples by the model's first input.

        Raises:
            DataError: a data set that never ends, or gives something else than ``(x, y, sample_weight)``.
        """
        import tensorflow as tf

        if self.dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
            msg = f"data: {self.name} repeats for ever; give one pass over the samples (without repeat())"
            raise DataError(msg)
        first = _first_input(unpacked(self.dataset.element_spec, self.name)[0], signature)
        if not isinstance(first, tf.TensorSpec) or first.shape.rank is None:
            msg = f"data: {self.name} must give dense tensors of known rank, it gives {first}"
            raise DataError(msg)
        wanted = signature.inputs[0].shape
        dataset = self.dataset
        if self.resize and len(wanted) == 3 and None not in wanted:
            dataset = dataset.map(lambda x, y: (tf.image.resize(x, wanted[:2]), y), num_parallel_calls=tf.data.AUTOTUNE)
        batched = is_batched(tuple(first.shape), wanted)
        ends = bool(self.dataset.cardinality() >= 0)  # else it is not known
        return TfStream((dataset if batched else dataset.batch(CHUNK)).prefetch(2), self.name, signature, ends)


def _first_input(x: Any, signature: Signature) -> Any:
    if isinstance(x, dict):
        return x.get(signature.inputs[0].name, next(iter(x.values())))
    return x[0] if isinstance(x, tuple) else x


def is_batched(element: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    """Whether elements of shape *element* are batches of samples for an input of shape *wanted*."""
    if len(element) != len(wanted):
        return len(element) > len(wanted)
    # As many axes: a sample, or a batch of samples that lack the axis of one channel.
    alike = all(None in pair or pair[0] == pair[1] for pair in zip(element[1:], wanted[:-1], strict=True))
    return wanted[-1:] == (1,) and element[-1] != 1 and alike


def reason_of(error: Any) -> str:
    """Return the first line of a ``tf.errors.OpError`` without TensorFlow's own nodes, and where they were made.

    Where TensorFlow quotes bytes of a file that are no text, Python gets a UnicodeDecodeError instead of its message.
    """
    if isinstance(error, UnicodeDecodeError):
        return f"TensorFlow's reason quotes bytes that are no text ({error.object[:200]!r})"
    about = re.compile(r"Graph execution error|Detected at node|<stack traces|\s*File \"|\s*$|\[\[\{\{")
    lines = (line for line in str(error.message).splitlines() if not about.match(line))
    line = next(lines, type(error).__name__)
    return re.sub(r"\{\{[^}]*\}\} ?| \[Op:.*", "", line)


@dataclass(frozen=True)
class TfStream:
    """A batched ``tf.data.Dataset`` as arrays.

    Attributes:
        dataset: gives ``x``, ``(x, y)`` or ``(x, y, sample_weight)``.
        name: what messages call it.
        signature: the model's, which names parts that come in a list.
        ends: whether it is known to end, however often its samples come again.
    """

    dataset: Any
    name: str
    signature: Signature
    ends: bool = False

    def chunks(self) -> Iterator[Stored]:
        """Yield the batches, copied.

        Raises:
            DataError: TensorFlow cannot read on: a damaged record, images of several sizes, an error of the user's map,
                what never ends.
        """
        import tensorflow as tf

        repetition, given = None if self.ends else Repetition(self.name, LENGTH), 0
        first = self.signature.inputs[0].name
        try:
            for element in self.dataset:
                part = stored(element, self.signature, self.name)
                x = part.x.get(first, next(iter(part.x.values())))
                given += len(x)
                if repetition is not None:
                    repetition.check(x, given)
                yield part
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            msg = f"data: {self.name} cannot be read on: {reason_of(error)}"
            raise DataError(msg) from error
