"""How far a file's outputs are from the Keras model's own, on the same samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_runner.graph import Operator
from tfcompress.errors import ContractError, ModelError
from tfcompress.tflite.flatbuffer import FlatModel

CAP_DB = 200.0
"""What an exact match counts as: float32 itself resolves about 150 dB."""
NEAR_STEPS = 2.0
"""Steps of an output's scale that count as near: what rounding in one or two other places makes of it."""
_SLACK = 0.01  # of a step: values on the same grid differ by whole steps, but for the rounding of float32
_LEAST_DIFFERENCE = 1e-5  # of the largest value: samples that differ by less are alike to most of the model's own ops
_FIXED_SCALE = {"SOFTMAX", "LOGISTIC", "TANH", "LOG_SOFTMAX", "L2_NORMALIZATION"}
_UNPACK = {"DEQUANTIZE", "QUANTIZE", "RESHAPE"}


@dataclass(frozen=True)
class OutputAgreement:
    """One output, compared on all samples.

    Attributes:
        name: of the output.
        sqnr_db: signal-to-quantization-noise ratio, 10 log10(sum(reference^2) / sum((reference - output)^2)), at most
            :data:`CAP_DB`; None: the reference is zero throughout, or holds whole numbers.
        max_abs_error: largest difference.
        rms_error: root of the mean squared difference.
        top1: fraction of samples whose largest value is at the same place (ties count as the same), for outputs of
            two or more classes; for whole numbers, the fraction of equal values; None: neither.
        step: quantization step of the output; None: it is not quantized.
        near: fraction of the values that are at most :data:`NEAR_STEPS` steps apart; None: it is not quantized.
        spread_db: the same ratio about the mean of each channel, 10 log10(sum((reference - mean)^2) /
            sum((reference - output)^2)): what a constant adds to the signal does not count; None: nothing varies.
        stuck: the file gives every sample the same values, and the reference does not.
        cosine: mean over the samples of the cosine between the two vectors; None: whole numbers, fewer than two values
            a sample, or vectors of zeros alone.
        distinct: different values that the file gives, of the channel (last axis) with the fewest; None: it is not
            quantized.
    """

    name: str
    sqnr_db: float | None
    max_abs_error: float
    rms_error: float
    top1: float | None
    step: float | None
    near: float | None = None
    spread_db: float | None = None
    stuck: bool = False
    cosine: float | None = None
    distinct: int | None = None

    @property
    def ratio_db(self) -> float | None:
        """The ratio by which ways are judged: about the mean where anything varies, else the plain one."""
        return self.spread_db if self.spread_db is not None else self.sqnr_db

    def is_worse_than(self, other: OutputAgreement, tolerance_db: float) -> bool:
        """Say whether another file's same output agrees better: in the top-1, or by more than so many dB."""
        own, theirs = self.ratio_db, other.ratio_db
        farther = own is not None and theirs is not None and own < theirs - tolerance_db
        return farther or (self.top1 or 0.0) < (other.top1 or 0.0)


def any_worse(found: Sequence[OutputAgreement], than: Sequence[OutputAgreement], tolerance_db: float) -> bool:
    """Say whether any output of a file agrees worse than the same output of another one.

    Args:
        found: one entry an output.
        than: of the other file; outputs are told apart by their names.
        tolerance_db: a ratio that is lower by no more counts as the same.
    """
    others = {each.name: each for each in than}
    return any(each.is_worse_than(others[each.name], tolerance_db) for each in found if each.name in others)


def compare_outputs(name: str, reference: np.ndarray, output: np.ndarray, step: float | None) -> OutputAgreement:
    """Compare an output with its reference.

    Args:
        name: of the output.
        reference: values of the Keras model, or of the float file, shape (samples, …).
        output: the file's real values, of the same shape.
        step: quantization step of the output.

    Raises:
        ContractError: the file's values are not finite, or of another shape.
        ModelError: the model's own values are not finite.
    """
    if not np.isfinite(reference).all():
        msg = f"output {name!r} of the model must be finite, it holds NaN or infinity; mend the model or the data"
        raise ModelError(msg)
    if not np.isfinite(output).all():
        msg = f"output {name!r} of the file must be finite, it holds NaN or infinity; quantize in another way"
        raise ContractError(msg)
    if reference.shape != output.shape:
        msg = f"output {name!r} of the file must have the model's shape {reference.shape}, it has {output.shape}"
        raise ContractError(msg)
    if reference.dtype.kind != "f":
        return _compare_whole(name, reference, output)
    signal, noise = reference.astype(np.float64), output.astype(np.float64) - reference
    power, error = float(np.mean(signal**2)), float(np.mean(noise**2))
    sqnr, spread = _decibels(power, error), _decibels(_spread(signal), error)
    near = float(np.mean(np.abs(noise) <= (NEAR_STEPS + _SLACK) * step)) if step else None
    top1, stuck = _same_top(reference, output), _tells_apart(signal, _LEAST_DIFFERENCE) and not _tells_apart(output, 0)
    largest, cosine = float(np.abs(noise).max()), _mean_cosine(signal, signal + noise)
    distinct = _fewest_values(output, step) if step else None
    return OutputAgreement(name, sqnr, largest, math.sqrt(error), top1, step, near, spread, stuck, cosine, distinct)


def _decibels(power: float, error: float) -> float | None:
    if power == 0:
        return None
    return min(CAP_DB, 10 * math.log10(power / error)) if error else CAP_DB


def _spread(signal: np.ndarray) -> float:
    """Return the mean squared distance of the values from the mean of their channel, the last axis."""
    rows = signal.reshape(-1, signal.shape[-1] if signal.ndim > 1 else 1)
    spread = float(rows.var(axis=0).mean())
    return spread if spread > 1e-12 * float(np.mean(signal**2)) else 0.0  # less is what rounding of float32 leaves


def _fewest_values(output: np.ndarray, step: float) -> int:
    """Return how many different steps the values of a channel lie on, of the channel with the fewest."""
    rows = np.sort(
        np.round(output.astype(np.float64).reshape(-1, output.shape[-1] if output.ndim > 1 else 1) / step), 0
    )
    return int((np.diff(rows, axis=0) > 0).sum(axis=0).min()) + 1


def _tells_apart(values: np.ndarray, least: float) -> bool:
    """Say whether samples differ in any value, by more than *least* of the largest one."""
    return float(np.abs(values - values[:1]).max()) > least * float(np.abs(values).max())


def _mean_cosine(reference: np.ndarray, output: np.ndarray) -> float | None:
    one, two = reference.reshape(len(reference), -1), output.reshape(len(output), -1)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    known = lengths > 0
    if one.shape[1] < 2 or not known.any():
        return None
    return float(np.mean((one[known] * two[known]).sum(axis=1) / lengths[known]))


def _compare_whole(name: str, reference: np.ndarray, output: np.ndarray) -> OutputAgreement:
    difference = output.astype(np.float64) - reference.astype(np.float64)
    rms = math.sqrt(float(np.mean(difference**2)))
    return OutputAgreement(name, None, float(np.abs(difference).max()), rms, float(np.mean(difference == 0)), None)


def _same_top(reference: np.ndarray, output: np.ndarray) -> float | None:
    if reference.ndim != 2 or reference.shape[1] < 2:
        return None
    best = reference.argmax(axis=1)[:, np.newaxis]
    return float(np.mean(np.take_along_axis(output, best, axis=1)[:, 0] == output.max(axis=1)))


def output_step(model: FlatModel, name: str) -> tuple[float | None, bool]:
    """Return the quantization step of an output, looking through a final DEQUANTIZE, and whether its op fixes it.

    Softmax and its like have the one range they can have, whatever the calibration saw.
    """
    graph = model.subgraphs[0]
    producers: dict[int, Operator] = {number: op for op in graph.ops for number in op.outputs}
    tensor = graph.tensors[next(o.index for o in model.outputs if o.name == name)]
    step: float | None = None
    for _ in range(8):
        if step is None and len(tensor.scales) == 1:
            step = tensor.scales[0]
        op = producers.get(tensor.index)
        if op is None or op.name not in _UNPACK or not op.inputs or op.inputs[0] < 0:
            return step, op is not None and op.name in _FIXED_SCALE
        tensor = graph.tensors[op.inputs[0]]
    return step, False


def within_steps(reference: np.ndarray, found: OutputAgreement, *, fixed: bool) -> bool:
    """Say whether the error is no more than the output's own rounding, which no file of this dtype could avoid.

    That is so when its root mean square is at most one step, and the step is no coarser than the values ask for: either
    the op fixes it, or 255 steps span at most four times the largest value. (A range that was calibrated on samples
    scaled wrongly is coarser than that, and does not count.)
    """
    if found.step is None or found.rms_error > found.step:
        return False
    return fixed or 255 * found.step <= 4 * float(np.abs(reference).max())


def agreements(
    model: FlatModel, references: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> tuple[OutputAgreement, ...]:
    """Compare all outputs; see :func:`compare_outputs`."""
    return tuple(compare_outputs(n, r, outputs[n], output_step(model, n)[0]) for n, r in references.items())
