"""Whole channels removed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal

from tfcompress.schema import check_value
from tfcompress.stages.option import option
from tfcompress.stages.stage import Gains, RewritingStage


@dataclass(frozen=True, kw_only=True)
class Channels(RewritingStage):
    """Remove whole channels, so that every layer that made or used them becomes smaller.

    Attributes:
        remove: fraction of *of* that goes, in (0, 1).
        of: what is to shrink: multiply-accumulates (``macs``), ``parameters``, ``bytes`` of the file, or the measured
            ``latency`` on this machine.
        criterion: what makes a channel dispensable: a small ``l1`` or ``l2`` norm of its weights; a small scale in the
            BatchNormalization behind it (``bn_gamma``; Liu et al. 2017, arXiv:1708.06519); little change of the loss
            without it (``taylor``; Molchanov et al. 2019, arXiv:1906.10771); a small mean ``activation``. ``auto``:
            ``l2``, and ``bn_gamma`` after slimming.
        round_to: widths become multiples of this (8 or 16 suit NPUs; 1 for none), where a layer is wide enough.
        at_most: largest fraction of one layer's channels that may go, in (0, 1).
        cycles: how often a part is removed and the rest fine-tuned, until everything is removed.
        spare: percentage points of the task's main figure (hundredths of an area; of an error so much of it, in its own
            unit) that no group of channels may cost by itself, by a sensitivity analysis on a part of the data; None:
            no such limit.
        scope: names of layers whose channels may go, ``*`` and ``?`` allowed; empty: every layer.
        regularize: what drives channels towards zero while the model trains before any go: network ``slimming`` (Liu
            et al. 2017), or the ``group-norm`` of DepGraph (Fang et al. 2023, arXiv:2301.12900); ``none``: nothing.
        regularize_strength: factor of that penalty at the end of such a training, above 0; it grows from nothing.
            None: 1e-3 for slimming, 1e-4 for the group norm.
        regularize_epochs: how many of the training's epochs come before the first channel goes; None: a half of what
            *tune_epochs* leaves.
    """

    kind: ClassVar[str] = "channels"
    about: ClassVar[str] = "Remove whole channels, with every weight that made or used them"
    gains: ClassVar[Gains] = Gains("yes", "yes", "yes")
    learning_rate: ClassVar[float] = 1e-3
    implementation: ClassVar[str] = "tfcompress.channels.removal:rewrite"
    checks: ClassVar[str] = "tfcompress.channels.removal:check_removable"
    prepares: ClassVar[str] = "tfcompress.channels.group_sparsity:penalize_"
    renamed: ClassVar[Mapping[str, str]] = MappingProxyType({"max_drop": "spare"})
    remove: float = field(
        default=0.5,
        metadata=option(
            "Remove channels until this fraction of the multiply-accumulates is gone (see --of).",
            flag="--channels",
            metavar="FRACTION",
            asks=True,
            tries=(0.5, 0.25, 0.7, 0.1),
        ),
    )
    of: Literal["macs", "parameters", "bytes", "latency"] = field(
        default="macs",
        metadata=option("What is counted; latency is measured here.", flag="--of", tries=("macs", "bytes")),
    )
    criterion: Literal["auto", "l1", "l2", "bn_gamma", "taylor", "activation"] = field(
        default="auto",
        metadata=option(
            "What makes a channel dispensable",
            flag="--criterion",
            default="auto: l2, and bn_gamma with --regularize slimming",
        ),
    )
    round_to: int = field(
        default=8, metadata=option("Leave widths that are multiples of N.", flag="--round-to", metavar="N")
    )
    at_most: float = field(
        default=0.9, metadata=option("Largest part of one layer's channels that may go.", metavar="FRACTION")
    )
    spare: float | None = field(
        default=None,
        metadata=option(
            "Spare what costs more accuracy than this by itself (measured first, group by group).",
            flag="--spare",
            metavar="POINTS",
        ),
    )
    scope: tuple[str, ...] = field(
        default=(), metadata=option("Layers whose channels may go, * and ? allowed.", metavar="NAME", default="all")
    )

    regularize: Literal["none", "slimming", "group-norm"] = field(
        default="none",
        metadata=option("Drive channels towards zero in the training before they go.", flag="--regularize"),
    )
    regularize_strength: float | None = field(
        default=None,
        metadata=option(
            "Factor of that penalty, to which it grows.",
            flag="--regularize-strength",
            metavar="FACTOR",
            default="slimming 1e-3, group-norm 1e-4",
        ),
    )
    regularize_epochs: int | None = field(
        default=None,
        metadata=option(
            "Train with it for N of the epochs before the first channel goes.",
            flag="--regularize-epochs",
            metavar="N",
            default="half of them",
        ),
    )

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        super().__post_init__()
        check_value("channels.remove", "in (0, 1)", self.remove, ok=0 < self.remove < 1)
        check_value("channels.round_to", "at least 1", self.round_to, ok=self.round_to >= 1)
        check_value("channels.at_most", "in (0, 1)", self.at_most, ok=0 < self.at_most < 1)
        check_value("channels.spare", "above 0", self.spare, ok=self.spare is None or self.spare > 0)
        self._check_regularize()

    def _check_regularize(self) -> None:
        strength, epochs, method = self.regularize_strength, self.regularize_epochs, self.regularize
        check_value("channels.regularize_strength", "above 0", strength, ok=strength is None or strength > 0)
        check_value("channels.regularize_epochs", "at least 1", epochs, ok=epochs is None or epochs >= 1)
        if method == "none":
            for name, value in (("strength", strength), ("epochs", epochs)):
                allowed = "left out without regularize ('slimming' or 'group-norm')"
                check_value(f"channels.regularize_{name}", allowed, value, ok=value is None)
        allowed = "'auto', 'bn_gamma', 'taylor' or 'activation' with regularize 'slimming', which only lowers scales"
        blind = method == "slimming" and self.criterion in ("l1", "l2")
        check_value("channels.criterion", allowed, self.criterion, ok=not blind)

    @property
    def judged_by(self) -> str:
        """The criterion; for ``auto`` that which goes with :attr:`regularize`."""
        by_itself = "bn_gamma" if self.regularize == "slimming" else "l2"
        return by_itself if self.criterion == "auto" else self.criterion

    @property
    def strength(self) -> float:
        """The factor of the penalty at the end of its training; 0 without one."""
        return self.regularize_strength or {"none": 0.0, "slimming": 1e-3, "group-norm": 1e-4}[self.regularize]

    @property
    def preparation(self) -> str:
        """What asks for a training before the first part."""
        return "" if self.regularize == "none" else f"{self.kind}.regularize {self.regularize!r}"

    def preparing_epochs(self, epochs: int) -> int:
        """Return how many of the epochs come before the first channel goes."""
        if not self.preparation:
            return 0
        return self.regularize_epochs or max(1, (epochs - self.tune_epochs) // 2)

    @property
    def unprepared(self) -> Channels:
        """The stage without the training before it."""
        return dataclasses.replace(self, regularize="none", regularize_strength=None, regularize_epochs=None)

    @property
    def parts(self) -> tuple[Channels, ...]:
        """The stage of each cycle: how much of the ORIGINAL is gone after it; each leaves the same part of the rest.

        Example:
            >>> [round(part.remove, 3) for part in Channels(remove=0.75, cycles=2).parts]
            [0.5, 0.75]
        """
        left = 1.0 - self.remove
        shares = (1.0 - left ** ((number + 1) / self.cycles) for number in range(self.cycles))
        return tuple(dataclasses.replace(self, remove=share) for share in shares)

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        prepared = "" if self.regularize == "none" else f"-{self.regularize}"
        return f"channels{self.remove:g}" + ("" if self.of == "macs" else f"-{self.of}") + prepared
