"""Clustering: each kernel holds few different values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tfcompress.schema import check, check_literals
from tfcompress.stages.stage import EngineName, TrainingStage


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
    clusters: int = 16
    init: Literal["kmeans++", "linear", "density", "random"] = "kmeans++"
    per_channel: bool = False
    scope: tuple[str, ...] = ()
    engine: EngineName = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_literals(self, self.kind)
        check("cluster.clusters", "between 2 and 256", self.clusters, ok=2 <= self.clusters <= 256)

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        return f"cluster{self.clusters}"
