"""What the figures of a debugging mean: one line a fault, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator

from tfcompress.diagnosis.kernel_faults import KernelDifference
from tfcompress.reports.debug_facts import DebugFacts, TensorRow
from tfcompress.reports.remark import Remark, by_gravity

CLIPPED = 0.005
"""Least fraction of values beyond the grid that is a fault; a calibrator gives up fewer on purpose."""
SELDOM_USED = 0.25
"""Largest fraction of the grid in use that is a risk: two bits are lost."""
LOSS_DB = 10.0
"""Least loss within one op that is told."""
LOW_DB = 15.0
"""Ratio below which a loss is a fault: a sixth of the signal is error."""
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
            "run it without XNNPACK, or replace or rewrite the layer; the file itself is as its ops say",
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


def _kernel_is_wrong(row: TensorRow) -> bool:
    return row.kernel_db is not None and KernelDifference(row.kernel_steps, row.kernel_db).wrong


def _ranges(facts: DebugFacts) -> Iterator[Remark]:
    for row in facts.rows:
        if row.grid is None or row.reached is None or row.how == "place":
            continue
        scaled = _scaled(row)
        if row.clipped is not None and row.clipped >= CLIPPED:
            what = f"{row.clipped:.1%} of the float model's values {_span(row.reached)} lie beyond its {_span(row.grid)}"
            yield Remark("fault", row.label, what, scaled or _CALIBRATE)
        elif row.used is not None and row.used < SELDOM_USED and row.dtype in ("int8", "uint8"):
            what = f"uses {row.used:.0%} of its grid {_span(row.grid)}, {row.distinct} different values"
            yield Remark("risk", row.label, what, scaled or _CALIBRATE)


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
    for row in facts.rows:
        if row.loss_db is None or row.snr_db is None or row.loss_db < LOSS_DB or (row.clipped or 0) >= CLIPPED:
            continue
        gravity = "fault" if row.snr_db < LOW_DB else "risk"
        what = f"loses {row.loss_db:.0f} dB in this op ({row.op}), {row.snr_db:.0f} dB are left"
        if row.how == "place":
            what += "; its layer was found by its place alone, for its values are like no layer's"
        yield Remark(gravity, row.label, what, "keep it in 16 bits or float, or look at its weights (tfcompress doctor)")


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
