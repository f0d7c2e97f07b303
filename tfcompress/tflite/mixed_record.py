"""What mixed precision measured and chose, as frozen values for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class LayerChoices:
    """One op whose numbers could be chosen.

    Attributes:
        layer: name of the tensor that it makes, without what was fused into it.
        op: its name.
        chosen: its precision in the file that was kept: int8, int4, float, int16.
        noise: precision -> noise of the outputs where this op alone has it and all else is float, as a fraction of
            what the outputs vary by, summed over the outputs; of a softmax, that of what it takes.
        size_bytes: precision -> what it adds to the plain int8 file.
        latency_ms: precision -> what it adds to the plain int8 file's latency, measured with one op by itself; empty:
            no limit asked for it.
        refused: precision -> why it was not to be had.
    """

    layer: str
    op: str
    chosen: str
    noise: Mapping[str, float]
    size_bytes: Mapping[str, int]
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MixedPlan:
    """One plan that was made into a file.

    Attributes:
        layers: name of each op that is not int8 -> its precision; empty: the plain int8 file.
        predicted_db: agreement with the float file on the samples held back, as the single layers predict it; of
            outputs of a softmax that of what it takes.
        agreement_db: the same, measured; None: the file does not run.
        predicted_top1: fraction of these samples whose top-1 should be the same, by the predicted noise and the margins
            of the float file's answers; None: no output has classes.
        top1: the same, measured, the lowest over the outputs; None: no output has classes.
        predicted_bytes: size of the file, as the single layers predict it.
        size_bytes: of the file.
        predicted_ms: latency, as one-op files predict it; None: no limit asked for it.
        latency_ms: measured on the record's device, one thread; None: no limit asked for it.
        refusal: the limit that it does not keep; empty: it keeps all.
        chosen: whether it is the one that was kept.
    """

    layers: Mapping[str, str]
    predicted_db: float
    agreement_db: float | None
    top1: float | None
    predicted_bytes: int
    size_bytes: int
    predicted_top1: float | None = None
    predicted_ms: float | None = None
    latency_ms: float | None = None
    refusal: str = ""
    chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class MixedRecord:
    """What became of mixed precision.

    Attributes:
        layers: every op whose numbers could be chosen, in the order in which they run.
        plans: the plain int8 file, and the plans that were made into files, the cheapest by prediction first.
        largest_bytes: most that the file may have.
        largest_ms: most that its latency may be; None: it was not limited.
        limit: where the limits come from, in words.
        device: where times were measured, as the user called it; empty: none were.
        held_back: samples that noise and agreement were measured on.
        seconds: that measuring and trying took.
        notes: ops that had to stay as they are, and why.
    """

    layers: tuple[LayerChoices, ...]
    plans: tuple[MixedPlan, ...]
    largest_bytes: int
    largest_ms: float | None
    limit: str
    held_back: int
    seconds: float
    device: str = ""
    notes: tuple[str, ...] = ()
