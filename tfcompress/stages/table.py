"""Stages: what can be done to a Keras model, as frozen values that refuse to contradict themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from tfcompress.schema import check, check_literals

Engine = Literal["auto", "tfmot", "native"]


@dataclass(frozen=True, kw_only=True)
class Prune:
    """Set the smallest weights to zero while training (Zhu & Gupta 2017, arXiv:1710.01878).

    Attributes:
        sparsity: fraction of each chosen kernel that is zero at the end, in (0, 1).
        schedule: ``polynomial`` rises from *initial_sparsity* to *sparsity* between the two epochs; ``constant`` prunes
            to *sparsity* at *begin_epoch*.
        begin_epoch: epochs of training before the first pruning step (fractions allowed).
        end_epoch: epoch at which *sparsity* is reached; None: after three quarters of the training.
        begin_step: the same as *begin_epoch* in training steps; only one of the two may be given.
        end_step: the same as *end_epoch* in training steps; only one of the two may be given.
        initial_sparsity: where the polynomial schedule starts, in [0, sparsity).
        power: exponent of the polynomial.
        frequency: training steps between two updates of the masks.
        pattern: ``unstructured``; ``2:4`` and ``4:8`` (two zeros in any four neighbours along the input channels, four
            in any eight; *sparsity* is then 0.5); ``block`` (whole blocks of *block_shape*, in the two last axes of the
            kernel).
        block_shape: rows and columns of a block; only with ``pattern="block"``.
        criterion: what makes a weight dispensable: a small ``magnitude``; a ``movement`` towards zero while training
            (Sanh et al. 2020, arXiv:2005.07683); little change of the loss without it, by the gradient (``taylor``) or
            by the diagonal of the Hessian (``hessian``). All but ``magnitude`` need the native engine.
        threshold: ``layer`` prunes every kernel to *sparsity*; ``global`` all chosen kernels together, so that kernels
            with less to lose give more (native engine).
        types: class names of layers to prune (``Conv2D``); empty: all. Both *types* and *scope* must match.
        scope: names of layers to prune, ``*`` and ``?`` allowed; empty: every layer with a kernel.
        engine: who does the work: ``native`` (Keras 3), ``tfmot`` (Keras 2), or ``auto``.
    """

    kind: ClassVar[str] = "prune"
    sparsity: float = 0.5
    schedule: Literal["polynomial", "constant"] = "polynomial"
    begin_epoch: float = 0.0
    end_epoch: float | None = None
    begin_step: int | None = None
    end_step: int | None = None
    initial_sparsity: float = 0.0
    power: float = 3.0
    frequency: int = 20
    pattern: Literal["unstructured", "2:4", "4:8", "block"] = "unstructured"
    block_shape: tuple[int, ...] = (1, 1)
    criterion: Literal["magnitude", "movement", "taylor", "hessian"] = "magnitude"
    threshold: Literal["layer", "global"] = "layer"
    types: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_literals(self, self.kind)
        check("prune.sparsity", "in (0, 1)", self.sparsity, ok=0 < self.sparsity < 1)
        check("prune.begin_epoch", "at least 0", self.begin_epoch, ok=self.begin_epoch >= 0)
        check("prune.power", "above 0", self.power, ok=self.power > 0)
        check("prune.frequency", "at least 1 (steps)", self.frequency, ok=self.frequency >= 1)
        self._check_span()
        allowed = f"in [0, prune.sparsity = {self.sparsity})"
        check("prune.initial_sparsity", allowed, self.initial_sparsity, ok=0 <= self.initial_sparsity < self.sparsity)
        if self.pattern in ("2:4", "4:8"):
            check("prune.sparsity", f"0.5 with pattern {self.pattern!r}", self.sparsity, ok=self.sparsity == 0.5)
            check(
                "prune.threshold",
                f"'layer' with pattern {self.pattern!r}",
                self.threshold,
                ok=self.threshold == "layer",
            )
        two_positive = len(self.block_shape) == 2 and min(self.block_shape) >= 1
        check("prune.block_shape", "two whole numbers of at least 1", self.block_shape, ok=two_positive)
        if self.pattern != "block":
            check(
                "prune.block_shape", "given with pattern 'block' only", self.block_shape, ok=self.block_shape == (1, 1)
            )

        if self.engine == "tfmot":
            plain = self.criterion == "magnitude" and self.threshold == "layer" and self.pattern != "4:8"
            asked = f"criterion {self.criterion!r}, threshold {self.threshold!r}, pattern {self.pattern!r}"
            allowed = "'native' (or 'auto') for anything but magnitude, a threshold a layer and 2:4 or block patterns"
            check("prune.engine", f"{allowed} (here: {asked})", self.engine, ok=plain)

    def _check_span(self) -> None:
        begin, end = self.begin_step, self.end_step
        both = "given in epochs or in steps, not in both"
        check("prune.begin_step", both, begin, ok=begin is None or self.begin_epoch == 0)
        check("prune.end_step", both, end, ok=end is None or self.end_epoch is None)
        check("prune.begin_step", "at least 0", begin, ok=begin is None or begin >= 0)
        allowed = f"above prune.begin_step ({begin or 0})"
        check("prune.end_step", allowed, end, ok=end is None or end > (begin or 0))
        if self.end_epoch is not None:
            allowed = f"above prune.begin_epoch ({self.begin_epoch})"
            check("prune.end_epoch", allowed, self.end_epoch, ok=self.end_epoch > self.begin_epoch)

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        named = {"2:4": "prune2of4", "4:8": "prune4of8"}
        return named.get(self.pattern, f"prune{self.sparsity:g}")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Let each kernel hold at most *clusters* different values (Han et al. 2016, arXiv:1510.00149, section 3).

    Attributes:
        clusters: values allowed in a kernel, at least 2.
        init: how the first centroids are placed.
        per_channel: cluster each output channel of a convolution apart (per-channel int8 scales then keep the count).
        scope: names of layers to cluster, ``*`` and ``?`` allowed; empty: every layer with a kernel.
        engine: who does the work: ``native`` (Keras 3), ``tfmot`` (Keras 2), or ``auto``.
    """

    kind: ClassVar[str] = "cluster"
    clusters: int = 16
    init: Literal["kmeans++", "linear", "density", "random"] = "kmeans++"
    per_channel: bool = False
    scope: tuple[str, ...] = ()
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_literals(self, self.kind)
        check("cluster.clusters", "between 2 and 256", self.clusters, ok=2 <= self.clusters <= 256)

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        return f"cluster{self.clusters}"


@dataclass(frozen=True, kw_only=True)
class QAT:
    """Train with the int8 rounding in the forward pass (Jacob et al. 2018, arXiv:1712.05877).

    Attributes:
        weight_bits: bits of a weight: 8, or 4 (native engine).
        activation_bits: bits of an activation: 8, or 16 (native engine).
        learn_ranges: train the ranges' steps together with the weights (LSQ, Esser et al. 2020, arXiv:1902.08153)
            instead of following what is seen (native engine).
        freeze: last fraction of the training steps in which ranges stand still, in [0, 1) (native engine).
        freeze_statistics: the same for BatchNormalization, which then trains with its moving statistics
            (Krishnamoorthi 2018, arXiv:1806.08342, section 3.2.1); only for small learning rates: at large ones the
            training diverges (native engine).
        scope: names of layers to quantize, ``*`` and ``?`` allowed; empty: every layer.
        engine: who does the work: ``native`` (Keras 3), ``tfmot`` (Keras 2), or ``auto``.
    """

    kind: ClassVar[str] = "qat"
    weight_bits: Literal[8, 4] = 8
    activation_bits: Literal[8, 16] = 8
    learn_ranges: bool = False
    freeze: float = 0.25
    freeze_statistics: float = 0.0
    scope: tuple[str, ...] = ()
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_literals(self, self.kind)
        for name, share in (("freeze", self.freeze), ("freeze_statistics", self.freeze_statistics)):
            check(f"qat.{name}", "in [0, 1)", share, ok=0 <= share < 1)
        allowed = "'native' (or 'auto') for other than 8 bits, and for learn_ranges and freeze_statistics"
        check("qat.engine", allowed, self.engine, ok=not self.needs_native or self.engine != "tfmot")

    @property
    def needs_native(self) -> bool:
        """Whether it asks for what tfmot does not have."""
        plain = (self.weight_bits, self.activation_bits, self.learn_ranges) == (8, 8, False)
        return not plain or self.freeze_statistics > 0

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        bits = (
            "" if (self.weight_bits, self.activation_bits) == (8, 8) else f"w{self.weight_bits}a{self.activation_bits}"
        )
        return f"qat{bits}"


@dataclass(frozen=True, kw_only=True)
class Distill:
    """Let the model learn from its own uncompressed self (Hinton et al. 2015, arXiv:1503.02531, section 2).

    The loss becomes ``(1 - weight) * task + weight * T**2 * KL(teacher || student)`` over outputs softened by the
    temperature T; for outputs that are no class scores, the mean squared difference stands in for the divergence.

    Attributes:
        temperature: T, above 0; higher ones show more of what the teacher thinks of the wrong classes.
        weight: share of the teacher in the loss, in (0, 1].
        engine: who does the work: only ``native`` can.
    """

    kind: ClassVar[str] = "distill"
    temperature: float = 4.0
    weight: float = 0.5
    engine: Literal["auto", "native"] = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_literals(self, self.kind)
        check("distill.temperature", "above 0", self.temperature, ok=0 < self.temperature < math.inf)
        check("distill.weight", "in (0, 1]", self.weight, ok=0 < self.weight <= 1)

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        return "distill"


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Remove whole channels, so that every layer that made or used them becomes smaller.

    Attributes:
        remove: fraction of *of* that goes, in (0, 1).
        of: what is to shrink: multiply-accumulates (``macs``), ``parameters``, ``bytes`` of the file, or the measured
            ``latency`` on this machine.
        criterion: what makes a channel dispensable: a small ``l1`` or ``l2`` norm of its weights; a small scale in the
            BatchNormalization behind it (``bn_gamma``; Liu et al. 2017, arXiv:1708.06519); little change of the loss
            without it (``taylor``; Molchanov et al. 2019, arXiv:1906.10771); a small mean ``activation``.
        round_to: widths become multiples of this (8 or 16 suit NPUs; 1 for none), where a layer is wide enough.
        at_most: largest fraction of one layer's channels that may go, in (0, 1).
        cycles: how often a part is removed and the rest fine-tuned, until everything is removed.
        tune_epochs: how many of the training's epochs the whole model is tuned for first, at a twentieth of the
            learning rate; channels are then taken from the tuned model, and :class:`Distill` learns from it.
        max_drop: percentage points of accuracy that no group of channels may cost by itself, by a sensitivity analysis
            on a part of the data; None: no such limit.
        scope: names of layers whose channels may go, ``*`` and ``?`` allowed; empty: every layer.
    """

    kind: ClassVar[str] = "channels"
    engine: ClassVar[str] = "auto"
    remove: float = 0.5
    of: Literal["macs", "parameters", "bytes", "latency"] = "macs"
    criterion: Literal["l1", "l2", "bn_gamma", "taylor", "activation"] = "l2"
    round_to: int = 8
    at_most: float = 0.9
    cycles: int = 1
    tune_epochs: int = 0
    max_drop: float | None = None
    scope: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_literals(self, self.kind)
        check("channels.remove", "in (0, 1)", self.remove, ok=0 < self.remove < 1)
        check("channels.round_to", "at least 1", self.round_to, ok=self.round_to >= 1)
        check("channels.at_most", "in (0, 1)", self.at_most, ok=0 < self.at_most < 1)
        check("channels.cycles", "at least 1", self.cycles, ok=self.cycles >= 1)
        check("channels.tune_epochs", "at least 0", self.tune_epochs, ok=self.tune_epochs >= 0)
        check("channels.max_drop", "above 0", self.max_drop, ok=self.max_drop is None or self.max_drop > 0)

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        return f"channels{self.remove:g}" + ("" if self.of == "macs" else f"-{self.of}")


Stage = Prune | Cluster | QAT | Distill | Channels
STAGES: dict[str, type[Prune] | type[Cluster] | type[QAT] | type[Distill] | type[Channels]] = {
    s.kind: s for s in (Channels, Prune, Cluster, Distill, QAT)
}
"""Every kind of stage by its name."""

IN_TRAINING = ("prune", "cluster", "distill", "qat")
"""Kinds of stages that work during a training; the others rewrite the model before it."""
