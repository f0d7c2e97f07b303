"""What ``tfcompress doctor`` finds in a model before any work, as plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from tfcompress.reports.remark import Remark


@dataclass(frozen=True)
class LayerCheck:
    """One layer.

    Attributes:
        layer: its path.
        kind: its class.
        output_shape: sizes without the batch axis; None: any size.
        parameters: weights in it.
        engine: who would train it: ``native`` or ``tfmot``; ``none``: nobody.
        int8: whether the runtime has an int8 kernel for it, or for all that it is rewritten into; None: not known.
        becomes: what it is rewritten into, classes of layers and operations, in the order of computation; empty: it
            stays as it is.
        reason: why it stays in float, or why nothing is known; empty: it does not.
        kernel_kurtosis: fourth moment of the kernel's values about their mean over their variance squared (3: a
            Gaussian); None: it has no kernel.
        kernel_spread: largest over median of its output channels' largest weights, a normalization behind it folded in;
            None: it has no kernel.
        value_kurtosis: the same of what it gives on samples; None: there are none.
        value_spread: largest over median of how far its channels reach: of what it gives on samples; without them, of a
            normalization, by |beta| + 3 |gamma|; None: not known.
    """

    layer: str
    kind: str
    output_shape: tuple[int | None, ...]
    parameters: int
    engine: str
    int8: bool | None
    becomes: tuple[str, ...] = ()
    reason: str = ""
    kernel_kurtosis: float | None = None
    kernel_spread: float | None = None
    value_kurtosis: float | None = None
    value_spread: float | None = None


@dataclass(frozen=True)
class RewriteOffer:
    """A rewrite that changes no number.

    Attributes:
        layer: what it takes away.
        what: what is done.
        difference: largest difference of an output on random samples, as a fraction of the outputs' largest value.
        proven: that is no more than rounding.
    """

    layer: str
    what: str
    difference: float
    proven: bool


@dataclass(frozen=True, kw_only=True)
class TargetCheck:
    """What a draft of the file would be on the target: exported with quick settings, only to be looked at.

    Attributes:
        name: the target's.
        quantize: numbers of the draft, as ``--quantize`` calls them.
        schemes: numbers that files for the target may have.
        file_bytes: of the draft, packed; what Vela made of it where that was asked.
        most_file_bytes: that the target has for it; None: not limited.
        arena_bytes: memory of its tensors; None: the target plans none, or it cannot be known.
        arena_by: who says so: ``planned`` from the file, ``TensorFlow Lite Micro`` measured, ``Vela`` estimated.
        most_arena_bytes: that the target has for them; None: not limited.
    """

    name: str
    quantize: str
    schemes: tuple[str, ...]
    file_bytes: int
    most_file_bytes: float | None
    arena_bytes: int | None = None
    arena_by: str = ""
    most_arena_bytes: float | None


@dataclass(frozen=True)
class CheckupFacts:
    """All of it.

    Attributes:
        model: name of the file.
        writer: whose model it is: ``keras2`` or ``keras3``.
        data: where samples come from; empty: there are none.
        layers: in the order of the calls.
        rewrites: what can be rewritten without changing a number.
        remarks: what was found, faults first.
        written: the rewritten model; empty: none was asked for.
        target: what the target would make of it; None: none was named, or no file could be made.
    """

    model: str
    writer: str
    data: str
    layers: tuple[LayerCheck, ...]
    rewrites: tuple[RewriteOffer, ...]
    remarks: tuple[Remark, ...]
    written: str = ""
    target: TargetCheck | None = None
