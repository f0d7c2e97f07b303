"""Layers taken apart into factors of low rank."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from tfcompress.schema import check_value
from tfcompress.stages.option import option
from tfcompress.stages.stage import Gains, RewritingStage


@dataclass(frozen=True, kw_only=True)
class LowRank(RewritingStage):
    """Replace layers by several smaller ones in a row, whose product has a lower rank than the layer's kernel.

    Attributes:
        target: fraction of *of* that is to be left, in (0, 1); ranks are chosen over the whole model.
        of: what is counted: multiply-accumulates (``macs``), ``parameters``, ``bytes`` of a float32 file, or the
            measured ``latency`` on this machine. Embeddings have parameters and bytes to give only.
        method: how convolutions are taken apart. ``svd``: a convolution with fewer filters, then 1x1 (Zhang et al.
            2016, arXiv:1505.06798); ``spatial``: k x 1, then 1 x k (Jaderberg et al. 2014, arXiv:1405.3866);
            ``tucker``: 1x1, k x k, 1x1 (Kim et al. 2016, arXiv:1511.06530); ``cp``: 1x1, depthwise k x 1, depthwise
            1 x k, 1x1 (Lebedev et al. 2015, arXiv:1412.6553); ``auto``: whichever of the first three loses least, layer
            by layer. What has no window (Dense, Embedding, convolutions of 1x1) is two factors by any of them, and
            ``spatial`` of what has a window along one axis only is ``svd``.
        round_to: ranks are multiples of this, where a layer is large enough for that; 1: any rank.
        cycles: how often ranks are lowered by a part and the model fine-tuned, until the target is reached.
        scope: names of layers that may be taken apart, ``*`` and ``?`` allowed; empty: every layer.
    """

    kind: ClassVar[str] = "low_rank"
    about: ClassVar[str] = "Take layers apart into smaller ones in a row, of low rank"
    gains: ClassVar[Gains] = Gains("yes", "yes", "where layers are wide; by the layer's size")
    learning_rate: ClassVar[float] = 1e-4
    implementation: ClassVar[str] = "tfcompress.low_rank.factoring:rewrite"
    checks: ClassVar[str] = "tfcompress.low_rank.factoring:check_factorable"
    target: float = field(
        default=0.5,
        metadata=option(
            "Take layers apart until this fraction of the multiply-accumulates is LEFT (see --low-rank-of).",
            flag="--low-rank",
            metavar="TARGET",
            asks=True,
            tries=(0.5, 0.75),
        ),
    )
    of: Literal["macs", "parameters", "bytes", "latency"] = field(
        default="macs",
        metadata=option("What is counted; latency is measured here.", flag="--low-rank-of"),
    )
    method: Literal["auto", "svd", "spatial", "tucker", "cp"] = field(
        default="auto",
        metadata=option(
            "How convolutions are taken apart; auto: by svd, spatial or tucker, whichever loses least.",
            flag="--low-rank-method",
        ),
    )
    round_to: int = field(
        default=4, metadata=option("Choose ranks that are multiples of N.", flag="--low-rank-round-to", metavar="N")
    )
    scope: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "Layers that may be taken apart, * and ? allowed.", flag="--low-rank-scope", metavar="NAME", default="all"
        ),
    )

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        super().__post_init__()
        check_value("low_rank.target", "in (0, 1)", self.target, ok=0 < self.target < 1)
        check_value("low_rank.round_to", "at least 1", self.round_to, ok=self.round_to >= 1)

    @property
    def parts(self) -> tuple[LowRank, ...]:
        """The stage of each cycle: each leaves the same part of what the cycle is GIVEN.

        Example:
            >>> [part.target for part in LowRank(target=0.25, cycles=2).parts]
            [0.5, 0.5]
        """
        part = dataclasses.replace(self, target=self.target ** (1.0 / self.cycles))
        return (part,) * self.cycles

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        return f"lowrank{self.target:g}" + ("" if self.of == "macs" else f"-{self.of}")
