"""Samples for an export, out of whatever a user gives: arrays, pairs with labels, streams, data that was opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.data.arrays import SPLITS
from tfcompress.data.dataset import Dataset
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError
from tfcompress.models.signature import signature_of
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.models.tflite_source import TFLiteSource
from tfcompress.tflite.shares import SampleSource

_NUMBERS = "biufVO"
"""Kinds of arrays that hold numbers: V is bfloat16, and objects may be."""


def samples_of(data: Any, model: Any) -> SampleSource | None:
    """Return data that can be drawn from.

    Args:
        data: bound data; an array of shape (samples, *shape) for each input by name, or one array for a model of one
            input; or what :func:`tfcompress.load_data` takes or gives. None: there are no samples.
        model: the model that is fed with them.

    Raises:
        DataError: samples that do not fit the model.
    """
    if data is None or hasattr(data, "representative"):
        found: SampleSource | None = data
        return found
    signature = model.signature if isinstance(model, TFLiteSource) else signature_of(model)
    if isinstance(data, tuple) and len(data) == 2 and not any(isinstance(part, tuple) for part in data):
        data = data[0]  # samples and their labels, which an export has no use for
        if hasattr(data, "__array__") and len(signature.inputs) > 1:
            names = ", ".join(spec.name for spec in signature.inputs)
            msg = (
                "data: a tuple of two is samples and their labels; give the arrays of the model's inputs as a list, or "
                f"as a dict by name ({names})"
            )
            raise DataError(msg)
    if hasattr(data, "__array__"):
        return _Arrays({signature.inputs[0].name: np.asarray(data)}, signature)
    if isinstance(data, Mapping) and not (_names_splits(data) and set(data) != {s.name for s in signature.inputs}):
        return _Arrays(data, signature)
    opened = data if isinstance(data, Dataset) else load_data(data)
    return opened.bind(signature, holdout=None)


def _names_splits(data: Mapping[Any, Any]) -> bool:
    """Say whether keys are those of a data set, such as ``x_train`` or ``test``, and not the names of inputs."""
    plain = {f"{kind}{split}" for kind in "xy" for split in ("", *(f"_{name}" for name in SPLITS))}
    return all(str(key).partition(".")[0] in {*plain, *SPLITS} for key in data)


@dataclass(frozen=True)
class _Arrays:
    """Arrays by input name."""

    arrays: Mapping[str, Any]
    signature: Signature

    def __post_init__(self) -> None:
        names = [spec.name for spec in self.signature.inputs]
        if sorted(self.arrays) != sorted(names):
            msg = f"data must hold an array for each input ({', '.join(names)}), got {', '.join(self.arrays)}"
            raise DataError(msg)
        sizes = {name: _size(values, name) for name, values in self.arrays.items()}
        if min(sizes.values()) == 0 or min(sizes.values()) != max(sizes.values()):
            msg = f"data must hold the same number of samples for every input, at least one, got {sizes}"
            raise DataError(msg)

    def representative(self, count: int, seed: int) -> dict[str, np.ndarray]:
        """Draw up to *count* samples by *seed*."""
        total = len(next(iter(self.arrays.values())))
        chosen = np.random.default_rng(seed).permutation(total)[:count]
        return {s.name: _as_input(self.arrays[s.name], chosen, s) for s in self.signature.inputs}


def _as_input(values: Any, chosen: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Return samples as the numbers that an input takes.

    Raises:
        DataError: words, say, or lists of different lengths; fractions where it takes whole numbers.
    """
    try:
        drawn = np.asarray(values)[chosen]
        if drawn.dtype.kind not in _NUMBERS:
            raise _no_numbers(spec, f"they are {drawn.dtype}")
        cast: np.ndarray = drawn.astype(spec.dtype)
    except (TypeError, ValueError) as error:
        raise _no_numbers(spec, str(error)) from error
    if cast.dtype.kind in "iu" and drawn.dtype.kind == "f" and not np.array_equal(cast, drawn):
        msg = f"data: input {spec.name!r} takes whole numbers of {spec.dtype}, got {drawn[cast != drawn][0]}"
        raise DataError(msg)
    if cast.dtype.kind == "f" and not np.isfinite(cast).all():
        row = chosen[~np.isfinite(cast.reshape(len(cast), -1)).all(axis=1)].min()
        msg = f"data: input {spec.name!r} holds NaN or Inf at sample {row:,}; leave such samples out"
        raise DataError(msg)
    return cast


def _no_numbers(spec: TensorSpec, why: str) -> DataError:
    return DataError(
        f"data: input {spec.name!r} takes numbers of {spec.dtype}, which these samples are not ({why}); give them as "
        "the model takes them, behind what looks words up"
    )


def _size(values: Any, name: str) -> int:
    try:
        return len(values)
    except TypeError as error:
        msg = f"data: input {name!r} needs an array with an axis of samples, got {values!r}"
        raise DataError(msg) from error
