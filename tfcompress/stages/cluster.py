"""Clustering: each kernel holds few different values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from tfcompress.schema import check_value
from tfcompress.stages.option import option
from tfcompress.stages.stage import ENGINE, EngineName, Gains, TrainingStage


@dataclass(frozen=True, kw_only=True)
class Cluster(TrainingStage):
    """Let each kernel hold at most *clusters* different values (Han et al. 2016, arXiv:1510.00149, section 3).

    Attributes:
        clusters: values allowed in a kernel, at least 2.
        init: how the first centroids are placed.
        per_channel: cluster each output channel of a convolution apart (per-channel int8 scales then keep the count).
        scope: names of layers to cluster, ``*`` and ``?`` allowed; empty: every layer with a kernel.
        engine: who does the work: ``native`` (Keras 3), ``tfmot`` (Keras 2), or ``auto``.
    """

    kind: ClassVar[str] = "cluster"
    about: ClassVar[str] = "Let each kernel hold few different values"
    gains: ClassVar[Gains] = Gains("no", "yes", "no")
    clusters: int = field(
        default=16,
        metadata=option(
            "Let each kernel hold at most K different values.", flag="--cluster", metavar="K", asks=True, tries=(16, 32)
        ),
    )
    init: Literal["kmeans++", "linear", "density", "random"] = field(
        default="kmeans++", metadata=option("How the first centroids are placed.")
    )
    per_channel: bool = field(default=False, metadata=option("Cluster each output channel of a convolution by itself."))
    scope: tuple[str, ...] = field(
        default=(), metadata=option("Layers to cluster, * and ? allowed.", metavar="NAME", default="all")
    )
    engine: EngineName = field(default="auto", metadata=ENGINE)

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        super().__post_init__()
        check_value("cluster.clusters", "between 2 and 256", self.clusters, ok=2 <= self.clusters <= 256)

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        return f"cluster{self.clusters}"
