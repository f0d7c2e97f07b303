"""Names, shapes and types of what goes into a model and what comes out.

One rule of names holds everywhere (Keras 3, tf_keras, SavedModel, TFLite signature, npz files, report): an input is
called like its input layer and an output like the layer it comes from (the one inside a training wrapper), with every
character that a signature cannot hold replaced by ``_``, and with ``_1``, ``_2`` … behind a name that is there already.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from tfcompress.errors import UnsupportedError
from tfcompress.input_ranges import InputRange
from tfcompress.tasks.traits import NO_TRAITS, OutputTraits


@dataclass(frozen=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: its name, as described above.
        shape: sizes WITHOUT the batch axis; None: any size.
        dtype: NumPy's name of its type, e.g. ``float32``.
        traits: what the model says about an output.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    traits: OutputTraits = field(default=NO_TRAITS, compare=False, repr=False)


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a model, in the model's order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def with_traits(self, traits: Mapping[str, OutputTraits]) -> Signature:
        """Return the same, with what the model says about its outputs, by name."""
        told = tuple(replace(spec, traits=traits.get(spec.name, spec.traits)) for spec in self.outputs)
        return Signature(self.inputs, told)


def no_picture(inputs: Iterable[tuple[str, tuple[int | None, ...]]]) -> UnsupportedError:
    """Return the error for a size of pictures where a model takes none, from its inputs' names and shapes."""
    listed = ", ".join(f"{name!r} {shape}" for name, shape in inputs)
    return UnsupportedError(
        f"a size of pictures is for a model with one input (height, width, channels) of a fixed size, it has {listed}"
    )


def unique_names(names: Iterable[str]) -> list[str]:
    """Make every name valid in a signature (letters, digits, ``_``; no leading ``_``) and different from the others.

    Example:
        >>> unique_names(["block/out", "dense", "dense"])
        ['block_out', 'dense', 'dense_1']
    """
    counts: dict[str, int] = {}
    taken: dict[str, None] = {}
    for name in names:
        valid = re.sub(r"\W", "_", name, flags=re.ASCII)
        valid = valid_once = valid if valid[:1].isalnum() else f"t{valid}"
        while valid in taken:
            counts[valid_once] = counts.get(valid_once, 0) + 1
            valid = f"{valid_once}_{counts[valid_once]}"
        taken[valid] = None
    return list(taken)


def _floats(generator: np.random.Generator, shape: tuple[int, ...], within: InputRange | None) -> np.ndarray:
    """Draw from the standard normal distribution, or evenly from a range."""
    if within is None:
        return generator.standard_normal(shape, dtype=np.float32)
    return generator.uniform(within[0], within[1], shape)


def _whole_ends(spec: TensorSpec, ends: InputRange) -> tuple[int, int]:
    """Return the least and the largest whole number of a range that an input of whole numbers can hold."""
    if spec.dtype == "bool":
        return 0, 1
    kind = np.iinfo(spec.dtype)
    low = min(max(math.ceil(ends[0]), int(kind.min)), int(kind.max))
    return low, max(low, min(math.floor(ends[1]), int(kind.max)))


def random_inputs(
    signature: Signature,
    count: int,
    seed: int,
    *,
    padding: float | None = None,
    ranges: Mapping[str, InputRange] = MappingProxyType({}),
) -> dict[str, np.ndarray]:
    """Draw *count* samples by *seed*: floats from the standard normal distribution, whole numbers 0 or 1.

    Axes of any size get 96 (32 where a sample has more than three axes). Whole numbers stay that small because they are
    mostly indices into a table (token ids) of unknown length.

    Args:
        signature: of the model.
        count: how many samples.
        seed: draws them.
        padding: what marks a step of a sequence as none: the last steps of every sequence of floats hold it, one
            to a tenth of them, where it lies in the input's range; None: no step does.
        ranges: least and largest value of inputs that are drawn evenly from between the two, by name.

    Raises:
        UnsupportedError: an input that is not numeric.
    """
    generator = np.random.default_rng(seed)
    drawn: dict[str, np.ndarray] = {}
    for spec in signature.inputs:
        size = 96 if len(spec.shape) <= 3 else 32
        shape = (count, *(size if s is None else s for s in spec.shape))
        if spec.dtype.startswith(("float", "bfloat")):
            values = _floats(generator, shape, ranges.get(spec.name))
            low, high = ranges.get(spec.name, (-math.inf, math.inf))
            if padding is not None and low <= padding <= high and len(spec.shape) > 1:
                lengths = shape[1] - generator.integers(1, max(1, shape[1] // 10) + 1, count)
                values[np.arange(shape[1]) >= lengths[:, None]] = padding
            drawn[spec.name] = values.astype(spec.dtype)
        elif spec.dtype.startswith(("int", "uint", "bool")):
            low, high = _whole_ends(spec, ranges.get(spec.name, (0.0, 1.0)))
            drawn[spec.name] = generator.integers(low, high + 1, shape).astype(spec.dtype)
        else:
            msg = f"input {spec.name!r} must hold numbers, it holds {spec.dtype}"
            raise UnsupportedError(msg)
    return drawn
