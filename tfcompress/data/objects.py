"""What a user holds in Python, as splits: arrays in tuples, lists and dicts, ``tf.data``, ``PyDataset``, generators."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcompress.data import iterators
from tfcompress.data.arrays import ALL, SPLITS, WEIGHTS, ArraySplit, flattened, splits_of
from tfcompress.data.elements import by_name, is_listed, unpacked
from tfcompress.data.raw import RawSplit
from tfcompress.data.streams import TfSplit, is_tf_dataset
from tfcompress.errors import DataError

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
}
"""Names (of folders, files and keys) that mean a split."""

MEMBERS = tuple(f"{part}{split}" for part in ("x", "y", WEIGHTS) for split in ("", "_train", "_test", "_val"))
"""Keys that a dict of arrays may have, each also with ``.NAME`` behind it."""

ALIKE = 0.85
"""A key as like one of :data:`MEMBERS` as this is a slip of the pen, not the name of an input."""


@dataclass(frozen=True, repr=False)
class ListedSplit:
    """Arrays in lists, which the model's inputs and outputs put in order; or inputs by their names, without labels.

    Attributes:
        x: one array, a dict by input name, or a list of arrays.
        y: likewise by output, or None.
        sample_weight: as *y*.
        x_name: what messages call the inputs.
        y_name: what messages call the labels.
        strict: whether the names in *x* must be those of the model's inputs.
    """

    x: Any
    y: Any
    sample_weight: Any
    x_name: str
    y_name: str
    strict: bool = False

    def __repr__(self) -> str:
        """Say what was given, without what is in it."""
        count = len(self.x) if is_listed(self.x) or isinstance(self.x, Mapping) else 1
        return f"ListedSplit({self.x_name}: {count} arrays)"

    def fit(self, signature: Signature) -> ArraySplit:
        """Give each array the name of the input or output that it is for.

        Raises:
            DataError: not one array for each input, or what :class:`ArraySplit` refuses.
        """
        if self.strict:
            self._check_names(signature)
        weights_name = f"{WEIGHTS}{self.x_name.removeprefix('x')}"
        parts: dict[str, Any] = {}
        for where, value, specs in (
            (self.x_name, self.x, signature.inputs),
            (self.y_name, self.y, signature.outputs),
            (weights_name, self.sample_weight, signature.outputs),
        ):
            named = {} if value is None else by_name(value, specs, where, batched=True)
            parts |= {f"{where}.{name}" if name else where: part for name, part in named.items()}
        split = splits_of(flattened(parts), "arrays in memory")
        return next(iter(split.values())).fit(signature)  # type: ignore[return-value]  # arrays stay what they are

    def _check_names(self, signature: Signature) -> None:
        wanted = [spec.name for spec in signature.inputs]
        if sorted(self.x) != sorted(wanted):
            msg = f"data must hold an array for each input ({', '.join(wanted)}), got {', '.join(map(str, self.x))}"
            raise DataError(msg)


def splits_of_object(value: Any, source: str) -> dict[str, RawSplit]:
    """Return the splits that *value* holds.

    Args:
        value: ``x``; ``(x, y)`` or ``(x, y, sample_weight)``; a pair of those for train and test; a dict of splits, of
            arrays called ``x_train``, ``y_train``, …, or of inputs by name; a ``tf.data.Dataset``; a ``PyDataset``; a
            function without arguments that gives any of these, or an iterator of batches each time.
        source: what messages call it.

    Raises:
        DataError: it is none of these.
    """
    value = made(value, source)
    if isinstance(value, Mapping):
        return _splits_of_mapping(value, source)
    if _is_pair_of_splits(value):
        value = dict(zip(("train", "test"), value, strict=True))
        return _splits_of_mapping(value, source)
    return {ALL: _split_of(value, ALL, source)}


def made(value: Any, where: str) -> Any:
    """Return what a function gives, else *value*; of one that gives an iterator, a split that calls it for each pass.

    Raises:
        DataError: the function fails.
    """
    if not callable(value) or hasattr(value, "__array__") or iterators.split_of(value, where) is not None:
        return value
    try:
        given = value()
    except Exception as error:  # the user's code may fail in any way
        msg = f"data {where!r} failed: {type(error).__name__}: {error}"
        raise DataError(msg) from error
    return iterators.PythonSplit(value, where) if isinstance(given, Iterator) else given


def _is_pair_of_splits(value: Any) -> bool:
    """Tell ``((x, y), (x, y))`` from ``(x, y)`` of tuples: there all are as long, and samples are of other shapes."""
    if not (isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(part, tuple) for part in value)):
        return False
    shapes = [[getattr(part, "shape", (None,)) for part in split if part is not None] for split in value]
    lengths = {shape[:1] for split in shapes for shape in split}
    return len(lengths) > 1 or [shape[1:] for shape in shapes[0][:2]] == [shape[1:] for shape in shapes[1][:2]]


def _splits_of_mapping(value: Mapping[Any, Any], source: str) -> dict[str, RawSplit]:
    keys = [str(key) for key in value]
    if keys and all(key in SPLIT_NAMES for key in keys):
        return {SPLIT_NAMES[key]: _split_of(part, SPLIT_NAMES[key], source) for key, part in value.items()}
    stems = {key.partition(".")[0] for key in keys}
    if keys and "labels" not in stems and not any(_is_member(stem) for stem in stems):
        return {ALL: ListedSplit(value, None, None, "x", "y", strict=True)}
    listed = _listed_splits(value, source)
    taken = {f"{part}{suffix}" for suffix in map(_suffix, listed) for part in ("x", "y", WEIGHTS)}
    rest = {str(key): part for key, part in value.items() if key not in taken}
    if listed and not any(_is_member(key.partition(".")[0]) for key in rest):
        return listed
    return listed | splits_of(flattened(rest), source)


def _listed_splits(value: Mapping[Any, Any], source: str) -> dict[str, RawSplit]:
    """Return the splits whose inputs, labels or weights come as lists of arrays."""
    found: dict[str, RawSplit] = {}
    for name in (*SPLITS, ALL):
        x, *others = (value.get(f"{part}{_suffix(name)}") for part in ("x", "y", WEIGHTS))
        if x is not None and any(is_listed(part) for part in (x, *others)):
            found[name] = _arrays((x, *others), _suffix(name), source)
    return found


def _suffix(name: str) -> str:
    return "" if name == ALL else f"_{name}"


def _is_member(stem: str) -> bool:
    """Whether a key is one of :data:`MEMBERS`, or meant to be."""
    return bool(difflib.get_close_matches(stem, MEMBERS, n=1, cutoff=ALIKE))


def _split_of(value: Any, name: str, source: str) -> RawSplit:
    where = source if name == ALL else f"{source} {name}"
    value = made(value, where)
    if isinstance(value, iterators.PythonSplit):
        return value
    if is_tf_dataset(value):
        return TfSplit(value, where)
    return iterators.split_of(value, where) or _arrays(value, _suffix(name), source)


def _arrays(value: Any, suffix: str, source: str) -> RawSplit:
    x, y, weights = unpacked(value, source)
    if isinstance(x, str | bytes | int | float | None) or not (
        hasattr(x, "__array__") or isinstance(x, list | tuple | Mapping)
    ):
        msg = (
            f"data must be arrays (x, y), a dict of them (x_train, y_train, ...) or of splits, a tf.data.Dataset, "
            f"a PyDataset or a generator function, got {type(value).__name__} from {source}"
        )
        raise DataError(msg)
    if any(is_listed(part) for part in (x, y, weights)):
        return ListedSplit(x, y, weights, f"x{suffix}", f"y{suffix}")
    parts = {f"x{suffix}": x, f"y{suffix}": y, f"{WEIGHTS}{suffix}": weights}
    given = {name: part for name, part in parts.items() if part is not None}
    return next(iter(splits_of(flattened(given), source).values()))
