"""Batches out of Python: ``PyDataset`` and ``Sequence`` of either Keras, generators, and what has a length."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.data.elements import stored
from tfcompress.data.pieces import Piece, joined
from tfcompress.data.raw import Labels, Stored
from tfcompress.data.repetition import Repetition
from tfcompress.data.streams import CHUNK, is_batched
from tfcompress.errors import DataError, TfcompressError

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature

KEPT_BYTES = 512 << 20
"""Most bytes that are kept of an iterator, which can be read only once."""


def split_of(value: Any, name: str) -> PythonSplit | None:
    """Return *value* as a split that is read batch by batch, or None where it is something else.

    Args:
        value: a ``PyDataset`` or ``Sequence``; an object with a length that can be iterated again and again; a function
            that gives an iterator each time; or an iterator, which is read once and kept. What has a length is read so
            far and no further.
        name: what messages call it.
    """
    if _is_sequence(value):
        return PythonSplit(lambda: _Batches(value, name), name, batched=True)
    if isinstance(value, Iterator):
        kept = _Kept(value, name)
        return PythonSplit(lambda: kept, name)
    if hasattr(value, "__iter__") and hasattr(value, "__len__") and _is_foreign(value):
        return PythonSplit(lambda: value, name)
    return None


def _length(value: Any) -> int | None:
    """Return how many elements *value* says that it has; None where it does not say, or cannot tell."""
    try:
        return len(value)
    except (NotImplementedError, TypeError, AttributeError):
        return None


def _is_sequence(value: Any) -> bool:
    # One of them can only exist once its Keras has been imported.
    homes = [getattr(sys.modules.get(package), "utils", None) for package in ("keras", "tf_keras")]
    kinds = [getattr(home, kind, None) for home in homes for kind in ("PyDataset", "Sequence")]
    return isinstance(value, tuple(kind for kind in kinds if isinstance(kind, type)))


def _is_foreign(value: Any) -> bool:
    return not isinstance(value, list | tuple | dict | str | bytes | set | frozenset) and not hasattr(
        value, "__array__"
    )


class _Batches:
    """The batches of a ``PyDataset`` or ``Sequence``, as many as ``fit`` takes of it."""

    def __init__(self, sequence: Any, name: str) -> None:
        self._sequence = sequence
        self._count = self._said()
        if self._count is None:
            kind = type(sequence).__name__
            msg = f"data: {name} must say how many batches it has (num_batches or __len__), {kind} does not"
            raise DataError(msg)

    def __len__(self) -> int:
        return self._count or 0

    def __iter__(self) -> Iterator[Any]:
        for number in range(len(self)):
            element = self._sequence[number]
            yield tuple(element) if isinstance(element, list) else element  # as Keras unpacks it

    def _said(self) -> int | None:
        try:
            count = self._sequence.num_batches  # of a PyDataset, which Keras asks; it asks for the length by itself
        except (NotImplementedError, TypeError, AttributeError):
            return _length(self._sequence)
        return None if count is None else int(count)


class _Kept:
    """The elements of an iterator, which gives them once, for every pass."""

    def __init__(self, iterator: Iterator[Any], name: str) -> None:
        self._count = _length(iterator)
        self._iterator = islice(iterator, self._count)
        self._name = name
        self._elements: list[Any] = []
        self._held = 0

    def __len__(self) -> int:
        if self._count is None:
            msg = "nobody knows how many there will be"
            raise TypeError(msg)
        return self._count

    def __iter__(self) -> Iterator[Any]:
        number = 0
        while number < len(self._elements) or self._take():
            yield self._elements[number]
            number += 1

    def _take(self) -> bool:
        for element in self._iterator:
            kept = _copy(element)
            self._held += _size_bytes(kept)
            if self._held > KEPT_BYTES:
                msg = (
                    f"data: {self._name} is an iterator, which can be read only once, and gives more than the "
                    f"{KEPT_BYTES:,} bytes that are kept of one; give the function that makes it, which must end"
                )
                raise DataError(msg)
            self._elements.append(kept)
            return True
        return False


def _copy(element: Any) -> Any:
    """Return a copy: a generator may give one array again and again, filled anew."""
    if isinstance(element, dict):
        return {name: _copy(part) for name, part in element.items()}
    if isinstance(element, tuple | list):
        return type(element)(map(_copy, element)) if type(element) in (tuple, list) else tuple(map(_copy, element))
    return np.array(element) if hasattr(element, "__array__") else element


def _size_bytes(element: Any) -> int:
    if isinstance(element, dict):
        return sum(map(_size_bytes, element.values()))
    if isinstance(element, tuple | list):
        return sum(map(_size_bytes, element))
    return int(getattr(element, "nbytes", 32))


@dataclass(frozen=True)
class PythonSplit:
    """Elements ``x``, ``(x, y)`` or ``(x, y, sample_weight)`` out of Python, batches or single samples.

    They must come in the same order each time, and end. What shuffles between epochs (``on_epoch_end``) is not asked
    to: training shuffles by its own seed.

    Attributes:
        elements: begins a pass.
        name: what messages call it.
        batched: whether each element is a batch; None: the first one decides, by the shape of the model's first input.
    """

    elements: Callable[[], Iterable[Any]]
    name: str
    batched: bool | None = None

    @property
    def x_name(self) -> str:
        """What messages call the inputs."""
        return f"x of {self.name}"

    @property
    def y_name(self) -> str:
        """What messages call the labels."""
        return f"y of {self.name}"

    def fit(self, signature: Signature) -> PythonStream:
        """Name what comes in lists by the model's inputs and outputs."""
        return PythonStream(self, signature)


@dataclass(frozen=True)
class PythonStream:
    """A :class:`PythonSplit` for a model.

    Attributes:
        split: where the elements come from.
        signature: the model's.
    """

    split: PythonSplit
    signature: Signature
    _seen: list[int] = field(default_factory=list, compare=False, repr=False)

    def chunks(self) -> Iterator[Stored]:
        """Yield batches, copied.

        Raises:
            DataError: the user's code fails, gives no arrays, nothing on a second pass, or never ends.
        """
        batched, given = self.split.batched, 0
        waiting: list[Stored] = []
        elements, ends = self._elements()
        repetition = None if ends else Repetition(self.split.name, "__len__")
        for element in self._read(elements):
            part = stored(element, self.signature, self.split.name)
            if batched is None:
                batched = is_batched(self._first(part).shape, self.signature.inputs[0].shape)
            given += _check_batch(part, self.split.name) if batched else 1
            if repetition is not None:
                repetition.check(self._first(part), given)
            if batched:
                yield part
                continue
            waiting.append(_as_batch(part))
            if len(waiting) == CHUNK:
                yield _stacked(waiting)
                waiting = []
        if waiting:
            yield _stacked(waiting)
        self._check_pass(given)

    def _first(self, part: Stored) -> np.ndarray:
        return part.x.get(self.signature.inputs[0].name, next(iter(part.x.values())))

    def _elements(self) -> tuple[Iterable[Any], bool]:
        """Return what gives the elements, no more than its length says, and whether that says when it ends."""
        with self._failing():
            elements = self.split.elements()
            count = _length(elements)
            return islice(elements, count), count is not None

    def _read(self, elements: Iterable[Any]) -> Iterator[Any]:
        with self._failing():
            yield from elements

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Say in a line what the user's code raises."""
        try:
            yield
        except TfcompressError:
            raise
        except Exception as error:  # the user's code may fail in any way
            msg = f"data: {self.split.name} failed: {type(error).__name__}: {error}"
            raise DataError(msg) from error

    def _check_pass(self, given: int) -> None:
        if self._seen and self._seen[0] and not given:
            msg = (
                f"data: {self.split.name} gave {self._seen[0]:,} samples once and none the second time; "
                "give a function that makes a new iterator each time it is called"
            )
            raise DataError(msg)
        if not self._seen:
            self._seen.append(given)


def _check_batch(part: Stored, name: str) -> int:
    """Return the batch's samples, where all its arrays have as many."""
    sizes = {f"x.{key}" if key else "x": len(value) if value.ndim else 0 for key, value in part.x.items()}
    for kind, labels in (("y", part.y), ("sample_weight", part.weights)):
        named = labels if isinstance(labels, dict) else {} if labels is None else {"": labels}
        sizes |= {f"{kind}.{key}" if key else kind: len(value) if value.ndim else 0 for key, value in named.items()}
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{where} has {size:,}" for where, size in sizes.items())
        msg = f"data: {name} must give batches of as many inputs as labels: {counts}"
        raise DataError(msg)
    return next(iter(sizes.values()))


def _as_batch(part: Stored) -> Stored:
    def one(labels: Labels) -> Labels:
        if isinstance(labels, dict):
            return {name: value[np.newaxis] for name, value in labels.items()}
        return None if labels is None else labels[np.newaxis]

    return Stored({name: value[np.newaxis] for name, value in part.x.items()}, one(part.y), one(part.weights))


def _stacked(parts: list[Stored]) -> Stored:
    together = joined([Piece(part.x, part.y, np.zeros(1, np.int64), part.weights) for part in parts])
    return Stored(together.x, together.y, together.weights)
