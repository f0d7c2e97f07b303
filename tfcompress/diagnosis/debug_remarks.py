"""What the figures of a debugging mean: one line a fault, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator

from tfcompress.diagnosis.kernel_faults import KernelDifference
from tfcompress.reports.debug_facts import DebugFacts, TensorRow
from tfcompress.reports.remark import Gravity, Remark, by_gravity

CLIPPED = 0.005
"""Least fraction of values beyond the grid that is a fault; a calibrator gives up fewer on purpose."""
SELDOM_USED = 0.25
"""Fraction of the grid that the float values take, below which it is a risk: two bits are lost."""
LOSS_DB = 10.0
"""Least loss within one op that is reported."""
GOOD_DB = 20.0
"""Ratio of what goes into an op from which on its loss is its own."""
FINE_DB = 30.0
"""Ratio that is fine for 8 bits, whatever was lost."""
LOW_DB = 15.0
"""Ratio below which a loss is a fault: a sixth of the signal is error."""
_FIXED = frozenset({"SOFTMAX", "LOGISTIC", "TANH", "LOG_SOFTMAX", "L2_NORMALIZATION"})
"""Ops whose grid the runtime fixes, whatever the samples."""
_FACTORS = (255.0, 127.5, 256.0, 128.0)
"""What images are scaled by."""


def remarks(facts: DebugFacts) -> tuple[Remark, ...]:
    """Return what is wrong, faults first."""
    return by_gravity([*_kernels(facts), *_ranges(facts), *_losses(facts), *_unmatched(facts)])


def _kernels(facts: DebugFacts) -> Iterator[Remark]:
    if facts.culprit is None:
        return
    computed = [row for row in facts.rows if row.op != "input"]
    wrong = [row for row in computed if _kernel_is_wrong(row)]
    for row in wrong:
        apart = f"{row.kernel_steps:,.0f} steps" if row.kernel_steps is not None else f"{row.kernel_db:.0f} dB"
        yield Remark(
            "fault",
            f"{row.label} ({row.op})",
            f"XNNPACK computes it otherwise than the reference kernel, {apart} apart on the same inputs",
            _REMEDIES[row.right_kernel],
        )
    if not wrong:
        ratio = f"{facts.outputs_db:.1f} dB" if facts.outputs_db is not None else "far"
        yield Remark(
            "risk",
            f"op {facts.culprit}",
            f"XNNPACK's outputs are {ratio} from the reference kernels', most of it from here on, yet each op alone "
            "agrees: rounding that depth amplifies",
            "measure accuracy with both (tfcompress evaluate)",
        )


_REPLACE = "replace the layer, or choose another --quantize"
_REMEDIES = {
    "XNNPACK": f"XNNPACK is near the float model, the reference kernel is not: {_REPLACE}, where XNNPACK is not",
    "reference": f"the reference kernel is near the float model, XNNPACK is not: {_REPLACE}, or run without XNNPACK",
    "": f"one of them is wrong: {_REPLACE}",
}


def _kernel_is_wrong(row: TensorRow) -> bool:
    return row.kernel_db is not None and KernelDifference(row.kernel_steps, row.kernel_db).wrong


def _ranges(facts: DebugFacts) -> Iterator[Remark]:
    inputs = [row for row in facts.rows if row.op == "input"]
    wrong = [remark for row in inputs if (remark := _range(row))]
    yield from wrong
    if any(remark.gravity == "fault" for remark in wrong):
        return  # what comes behind follows from it
    for row in facts.rows:
        if row.op not in _FIXED and row not in inputs and (remark := _range(row)):
            yield remark


def _range(row: TensorRow) -> Remark | None:
    if row.grid is None or row.reached is None:
        return None
    told = _scaled(row) or _CALIBRATE
    if row.clipped is not None and row.clipped >= CLIPPED:
        what = f"{row.clipped:.1%} of the float model's values {_span(row.reached)} lie beyond its {_span(row.grid)}"
        return Remark("fault", row.label, what, told)
    part = (row.reached[1] - row.reached[0]) / (row.grid[1] - row.grid[0])
    if part < SELDOM_USED and row.dtype in ("int8", "uint8"):
        what = f"the float model's values {_span(row.reached)} take {part:.1%} of its grid {_span(row.grid)}"
        return Remark("fault" if _scaled(row) else "risk", row.label, what, told)
    return None


_CALIBRATE = "calibrate on samples like these (more of them, or another --calibration)"


def _scaled(row: TensorRow) -> str:
    """Say where an input was scaled otherwise in calibration than here, by a factor that images are scaled by."""
    if row.op != "input" or row.grid is None or row.reached is None:
        return ""
    here, there = max(map(abs, row.reached)), max(map(abs, row.grid))
    for factor in _FACTORS:
        for ratio, said in ((here / there, f"{factor:g} times"), (there / max(here, 1e-9), f"1/{factor:g} of")):
            if abs(ratio / factor - 1) < 0.1:
                return f"these samples are {said} what the file was calibrated on: mend --scale there or here"
    return ""


def _span(pair: tuple[float, float]) -> str:
    return f"[{pair[0]:.3g}, {pair[1]:.3g}]"


def _losses(facts: DebugFacts) -> Iterator[Remark]:
    """Name ops that spoil what was good; what follows from it says nothing new."""
    for row in facts.rows:
        if row.loss_db is None or row.snr_db is None or row.loss_db < LOSS_DB or _is_told(row):
            continue
        before = row.snr_db + row.loss_db
        if before < GOOD_DB or row.snr_db >= FINE_DB:
            continue
        gravity: Gravity = "fault" if row.snr_db < LOW_DB else "risk"
        what = f"{before:.0f} dB go into this op ({row.op}), {row.snr_db:.0f} dB come out"
        if row.how == "place":
            what += "; its layer was found by its place, for its values are like no layer's"
        yield Remark(
            gravity, row.label, what, "keep it in 16 bits or float, or look at its weights (tfcompress doctor)"
        )


def _is_told(row: TensorRow) -> bool:
    """Whether another remark says why a row's values are lost."""
    return (row.clipped or 0.0) >= CLIPPED or _kernel_is_wrong(row)


def _unmatched(facts: DebugFacts) -> Iterator[Remark]:
    computed = [row for row in facts.rows if row.op != "input"]
    lost = [row for row in computed if not row.how]
    if computed and len(lost) > len(computed) / 2:
        yield Remark(
            "note",
            facts.file,
            f"{len(lost)} of {len(computed)} tensors are like no layer's values",
            "give the --model that the file was made from, or export it again with --keep-names",
        )
