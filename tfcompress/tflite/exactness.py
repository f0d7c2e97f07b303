"""Whether a file computes what was trained, number by number.

Rounding is chaotic: two kernels that differ in one value of 100,000 differ in many outputs of a deep network. So
agreement within a tolerance says little of a model under quantization-aware training. Here the model itself, its
layers, ranges and weights, is computed in the integers of TFLite's reference kernels
(:mod:`tfcompress.quantization.exact`)
and compared with the file in those kernels: where every op is known, all numbers are equal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tfcompress.errors import ContractError
from tfcompress.models.kinds import graph_of, keras_of
from tfcompress.tflite.agreement import OutputAgreement, agreements
from tfcompress.tflite.flatbuffer import FlatModel
from tfcompress.tflite.interpret import InterpreterProcess

BUDGET_S = 20.0
"""Seconds that the comparison may take, about: it gets fewer samples of a network that is slow."""
LEAST_TOP1 = 0.995
"""Least fraction of samples with the same top-1."""
LEAST_NEAR = 0.999
"""Least fraction of values at most 2 steps apart."""
_FIRST, _MOST = 8, 256  # samples at a time: to find out how long one takes, and then


class IntegerModel(Protocol):
    """A model computed in integers, such as :class:`tfcompress.quantization.exact.emulator.Emulator`."""

    rounded: set[str]

    def on_grid(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Round inputs to the numbers that a device is given."""

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the model on samples; real values by the name of the output."""


@dataclass(frozen=True)
class Exactness:
    """What the model gives in the integers of the reference kernels, against what the file gives in them.

    Attributes:
        samples: how many were compared.
        equal: fraction of all output values that are the same; None: no output is quantized.
        agreement: one entry an output.
        rounded: classes of layers that were computed in float and rounded, since their arithmetic is not known; where
            there are any, rounding may differ.
        kernels: the reference kernels' outputs for these samples against XNNPACK's, one entry an output: how much two
            correct kernels differ.
        near: every output keeps to :data:`LEAST_TOP1` and :data:`LEAST_NEAR`.
    """

    samples: int
    equal: float | None
    agreement: tuple[OutputAgreement, ...]
    rounded: tuple[str, ...]
    kernels: tuple[OutputAgreement, ...]
    near: bool


def near(found: tuple[OutputAgreement, ...]) -> bool:
    """Say whether every output keeps to :data:`LEAST_TOP1` and :data:`LEAST_NEAR`, as far as they were measured."""
    return all(
        (item.top1 is None or item.top1 >= LEAST_TOP1) and (item.near is None or item.near >= LEAST_NEAR)
        for item in found
    )


def in_integers(model: Any) -> IntegerModel | None:
    """Return a model under our own quantization-aware training, to be computed in integers; None: it is no such model.

    One with activations of 16 bits is none: its file takes its ranges from the export's samples.
    """
    if keras_of(graph_of(model)) != "keras3":
        return None
    from tfcompress.quantization.exact.emulator import Emulator, can_emulate

    return Emulator(model) if can_emulate(model) else None


def compare_exactly(
    trained: IntegerModel,
    flat: FlatModel,
    reference: InterpreterProcess,
    inputs: Mapping[str, np.ndarray],
    fast: Mapping[str, np.ndarray],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Exactness:
    """Compare a model in integers with its file, on as many samples as fit into :data:`BUDGET_S`.

    Args:
        trained: the model.
        flat: the file.
        reference: has the file open in the reference kernels.
        inputs: samples by input name, arrays of shape (samples, *shape), real values.
        fast: what the file gives for them under XNNPACK, arrays of shape (samples, *shape) by output name.
        clock: returns the time in seconds.

    Raises:
        ContractError: the runtime refuses the file, or dies on it.
    """
    total, done, size, begin = len(next(iter(inputs.values()))), 0, _FIRST, clock()
    ours: list[dict[str, np.ndarray]] = []
    theirs: list[dict[str, np.ndarray]] = []
    with ThreadPoolExecutor(1) as pool:
        while done < total and size:
            part = {name: values[done : done + size] for name, values in inputs.items()}
            job = pool.submit(reference.run, part)  # in a child: the two overlap
            ours.append(trained.run(part))
            theirs.append(job.result())
            done += len(next(iter(part.values())))
            spent = clock() - begin
            size = min(_MOST, int((BUDGET_S - spent) / (spent / done))) if spent < BUDGET_S else 0
    expected, got = (
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} for parts in (ours, theirs)
    )
    found = agreements(flat, expected, got)
    kernels = agreements(flat, got, {name: values[:done] for name, values in fast.items()})
    return Exactness(
        done, _equal(found, expected, got), found, tuple(sorted(trained.rounded)), kernels, near=near(found)
    )


def _equal(
    found: tuple[OutputAgreement, ...], expected: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]
) -> float | None:
    same = [np.abs(expected[i.name] - got[i.name]).reshape(-1) < 0.5 * i.step for i in found if i.step]
    return float(np.mean(np.concatenate(same))) if same else None


def _no_further(found: tuple[OutputAgreement, ...], kernels: tuple[OutputAgreement, ...]) -> bool:
    return all(
        (a.near or 0.0) >= (b.near or 0.0) and (a.top1 or 0.0) >= (b.top1 or 0.0)
        for a, b in zip(found, kernels, strict=True)
    )


def check_exact(found: Exactness, plain: tuple[OutputAgreement, ...]) -> None:
    """Check that the file computes what was trained.

    It does where the integers agree, or the model as it was trained does. Where an op's arithmetic is not known, or the
    model differs from the file by no more than the runtime's own kernels do from each other, nothing is refused:
    rounding alone can part the two.

    Args:
        found: the comparison in integers.
        plain: that of the model as it was trained, in floating-point numbers.

    Raises:
        ContractError: with the numbers of the worst output.
    """
    if found.rounded or found.near or near(plain) or _no_further(found.agreement, found.kernels):
        return
    worst = min(found.agreement, key=lambda item: (item.near or 0.0, item.top1 or 0.0))
    top1 = "" if worst.top1 is None else f"the same top-1 on {worst.top1:.1%} of {found.samples} samples and "
    msg = (
        f"output {worst.name!r} of the file must be what was trained (the same top-1 on {LEAST_TOP1:.1%}, "
        f"{LEAST_NEAR:.1%} of the values at most 2 steps apart, computed in integers), got {top1}"
        f"{worst.near or 0.0:.1%} of the values; train again from a calibrated start, or accept it with "
        f"--min-agreement-db"
    )
    raise ContractError(msg)
