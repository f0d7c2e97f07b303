"""A finished file looked at for a microcontroller, without the model that it was made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import DataError
from tfcompress.targets.target import Target
from tfcompress.tflite.flatbuffer import FlatModel, IOTensor, read_model_file
from tfcompress.tflite.micro.proof import measure, sample_count
from tfcompress.tflite.micro.record import MicroRecord, NpuEstimate
from tfcompress.tflite.micro.vela import compile_for

SAMPLES = 256
"""Samples that TFLM's answers are compared on, at most."""
_LEAST = 4
_SPREAD = 1.0  # of random values for inputs without a scale


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What was found of a file.

    Attributes:
        target: for which target, by its name.
        ops: how often each op occurs.
        micro: what TFLM's interpreter found; None: it was not asked, only Vela.
        npu: what Vela estimates; None: the target has no accelerator.
        round_to: widths that are multiples of it use the target's kernels whole.
        round_to_source: what says so; empty: nobody said.
    """

    target: str
    ops: Mapping[str, int]
    micro: MicroRecord | None
    npu: NpuEstimate | None
    round_to: int = 1
    round_to_source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold; there is no latency, which neither measures."""
        return {**dataclasses.asdict(self), "latency_ms": None}


def examine(
    content: bytes,
    target: Target,
    *,
    samples: Mapping[str, np.ndarray] | None = None,
    run: bool = True,
    seed: int = 0,
) -> Examination:
    """Run a file in TFLM beside the reference kernels, and compile it where the target has an accelerator.

    Args:
        content: the file.
        target: a microcontroller.
        samples: by input name, arrays of shape (samples, *shape), real values; None: random ones over each input's
            range.
        run: whether TFLM is asked; without, only Vela is.
        seed: draws what is random.

    Raises:
        ModelError: not a TFLite file.
        ContractError: TFLM or Vela refuses the file, or the file takes more than the target has.
        MissingDependencyError: what is asked is not installed.
    """
    flat = read_model_file(content)
    record, npu = None, None
    if run:
        count = sample_count(flat, SAMPLES, _LEAST)
        inputs = random_samples(flat, count, seed) if samples is None else _first(samples, count)
        found = measure(content, target, inputs=inputs, real_samples=samples is not None)
        record, npu = found.record, found.record.npu
    elif target.accelerator:
        npu = compile_for(content, target.accelerator).estimate
    return Examination(
        target=target.name,
        ops=flat.op_counts,
        micro=record,
        npu=npu,
        round_to=target.round_to,
        round_to_source=target.round_to_source,
    )


def _first(samples: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    return {name: values[:count] for name, values in samples.items()}


def random_samples(flat: FlatModel, count: int, seed: int) -> dict[str, np.ndarray]:
    """Draw samples for a file: evenly over the range of quantized inputs, whole numbers 0 or 1.

    Args:
        flat: the file.
        count: how many.
        seed: draws them.

    Returns:
        By input name an array of shape (count, *shape), real values.
    """
    generator = np.random.default_rng(seed)
    return {tensor.name: _drawn(tensor, count, generator) for tensor in flat.inputs}


def _drawn(tensor: IOTensor, count: int, generator: np.random.Generator) -> np.ndarray:
    shape = (count, *(abs(size) for size in tensor.shape[1:]))
    dtype = np.dtype(tensor.dtype)
    if tensor.scale:
        limits = np.iinfo(dtype)
        steps = generator.integers(limits.min, limits.max + 1, shape) - (tensor.zero_point or 0)
        return (steps * tensor.scale).astype(np.float32)
    if dtype.kind == "f":
        return generator.normal(0.0, _SPREAD, shape).astype(dtype)
    return generator.integers(0, 2, shape).astype(dtype)


def samples_by_input(content: Mapping[str, np.ndarray], flat: FlatModel, source: str) -> dict[str, np.ndarray]:
    """Return the inputs that a file of test samples holds (``x.NAME``, as an export writes them, or ``NAME``).

    Args:
        content: its arrays by name.
        flat: the file that is to take them.
        source: how messages call it.

    Raises:
        DataError: an input is missing.
    """
    found = {}
    for tensor in flat.inputs:
        names = (f"x.{tensor.name}", tensor.name, *(["x", "x_test"] if len(flat.inputs) == 1 else []))
        name = next((name for name in names if name in content), None)
        if name is None:
            held = ", ".join(content) or "nothing"
            msg = f"{source} must hold samples for input {tensor.name!r} (as x.{tensor.name}), it holds {held}"
            raise DataError(msg)
        found[tensor.name] = np.asarray(content[name])
    return found
