"""Which op XNNPACK computes otherwise than the reference kernels.

Two correct kernels differ by a step here and there, and depth makes much of it: so outputs that differ accuse nobody.
Every op is therefore run alone, on the same inputs in both; and bisection asks from which op on XNNPACK's own outputs
are still as far off as they are from the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tfcompress.tflite.agreement import CAP_DB
from tfcompress.tflite.interpret import InterpreterProcess, RuntimeName
from tfcompress.tflite.slices import FileSlice, Slicer

MOST_STEPS = 2.5
"""Steps of its output's grid that an op alone may differ by."""
LEAST_DB = 30.0
"""Least ratio of an op's values in float to their difference; of the outputs of the whole file, too."""
_HALF_DB = 6.0  # with less of the error gone, the op that makes it is still among those that XNNPACK runs

RunSlice = Callable[[FileSlice, Mapping[int, np.ndarray], bool], dict[int, np.ndarray]]
"""Runs a slice on tensors by number, in the reference kernels or not; gives its outputs by number."""


@dataclass(frozen=True)
class KernelDifference:
    """One output of an op, in XNNPACK against the reference kernels, on the same inputs.

    Attributes:
        steps: largest difference in steps of its grid; None: it has none.
        ratio_db: power of the values against that of the difference, in decibels.
    """

    steps: float | None
    ratio_db: float

    @property
    def wrong(self) -> bool:
        """Whether it is more than rounding."""
        return self.ratio_db < LEAST_DB if self.steps is None else self.steps > MOST_STEPS


def runner(runtime: RuntimeName, child: str) -> RunSlice:
    """Return a function that runs slices in child processes.

    Args:
        runtime: the interpreter.
        child: module that serves it.
    """

    def run(part: FileSlice, given: Mapping[int, np.ndarray], reference: bool) -> dict[int, np.ndarray]:
        inputs = {name: given[number] for name, number in part.inputs.items()}
        with InterpreterProcess(
            part.content, runtime=runtime, reference_kernels=reference, whole=True, workers=1, child=child
        ) as interpreter:
            outputs = interpreter.run(inputs)
        return {number: outputs[name] for name, number in part.outputs.items()}

    return run


def ratio_db(reference: np.ndarray, other: np.ndarray) -> float:
    """Return the power of *reference* against that of the difference, in decibels, at most CAP_DB.

    NaN is like NaN, and infinity like itself: kernels that both give it do not differ.
    """
    exact, got = reference.astype(np.float64), other.astype(np.float64)
    apart = ~((exact == got) | (np.isnan(exact) & np.isnan(got)))
    error = float(np.mean(np.subtract(got, exact, out=np.zeros(exact.shape), where=apart) ** 2))
    power = float(np.mean(np.where(np.isfinite(exact), exact, 0.0) ** 2))
    if not math.isfinite(error):
        return -CAP_DB
    if not error:
        return CAP_DB
    return 10 * math.log10(power / error) if power else -CAP_DB


def op_differences(
    slicer: Slicer, given: Mapping[int, np.ndarray], run: RunSlice
) -> tuple[dict[int, KernelDifference], dict[int, np.ndarray]]:
    """Run every op alone, in XNNPACK and in the reference kernels.

    Args:
        slicer: of the file.
        given: real values of all tensors, of shape (runs, *shape), by number.
        run: runs a slice.

    Returns:
        By the number of a tensor that an op gives: how much the two differ; and, where that is more than rounding, what
        XNNPACK gives.
    """
    part, ops = slicer.alone()
    if not ops:
        return {}, {}
    plain, fast = (run(part, given, reference) for reference in (True, False))
    tensors = slicer.model.subgraphs[0].tensors
    found = {}
    for number, values in plain.items():
        scales = tensors[number].scales
        steps = float(np.abs(fast[number] - values).max()) / scales[0] if len(scales) == 1 else None
        found[number] = KernelDifference(steps, ratio_db(values, fast[number]))
    return found, {number: fast[number] for number, each in found.items() if each.wrong}


def outputs_db(slicer: Slicer, given: Mapping[int, np.ndarray], run: RunSlice, first: int = 0) -> float:
    """Return the worst ratio of an output to XNNPACK's difference, the ops before *first* done by the reference."""
    part = slicer.rest(first)
    if not part.outputs:
        return CAP_DB
    fast = run(part, given, False)
    return min(ratio_db(given[number], values) for number, values in fast.items())


def bisect_ops(slicer: Slicer, given: Mapping[int, np.ndarray], run: RunSlice, whole_db: float) -> int:
    """Return the number of the op that parts XNNPACK's outputs from the reference kernels'.

    Args:
        slicer: of the file.
        given: the reference kernels' values of all tensors, by number.
        run: runs a slice.
        whole_db: :func:`outputs_db` of the whole file.
    """
    count = len(slicer.model.subgraphs[0].ops)
    cuts = [place for place in range(count) if slicer.can_be_cut(place)]
    low, high = 0, len(cuts)  # from cuts[low] on it is as bad; from cuts[high] on it is not
    while high - low > 1:
        middle = (low + high) // 2
        if outputs_db(slicer, given, run, cuts[middle]) < whole_db + _HALF_DB:
            low = middle
        else:
            high = middle
    return cuts[low]
