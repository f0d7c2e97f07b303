"""Clustering: each kernel holds few different values."""

from __future__ import annotations

import dataclasses
import fnmatch
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tfcompress.limits import SIZE_UNITS, read_limit
from tfcompress.schema import check_value
from tfcompress.stages.option import option
from tfcompress.stages.stage import ENGINE, EngineName, Gains, TrainingStage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcompress.recipe import Recipe
    from tfcompress.settings import Export

_PER: dict[str, bool | None] = {"auto": None, "kernel": False, "channel": True}


def read_per(text: str) -> dict[str, Any]:
    """Read ``channel``, ``kernel`` or ``auto``.

    Raises:
        ValueError: anything else.
    """
    if text not in _PER:
        msg = f"must be one of {', '.join(sorted(_PER))}, got {text!r}"
        raise ValueError(msg)
    return {"per_channel": _PER[text]}


@dataclass(frozen=True, kw_only=True)
class Cluster(TrainingStage):
    """Let each kernel hold at most *clusters* different values (Han et al. 2016, arXiv:1510.00149, section 3).

    Attributes:
        clusters: values allowed in a kernel, at least 2; with a *budget* the most that a layer may get.
        init: how the first centroids are placed: ``exact`` by dynamic programming, with the least squared error that
            there is; the others by Lloyd's algorithm from there.
        scheme: ``kmeans``: any values; ``power_of_two``: 0 and a trained scale times +-1, +-1/2, +-1/4 and so on
            (Miyashita et al. 2016, arXiv:1603.01025; Zhou et al. 2017, arXiv:1702.03044).
        per_channel: cluster each output channel of a convolution apart (per-channel int8 scales then keep the count),
            or the kernel whole; None: as the target stores it best, else what is measured to be better.
        layers: ``NAME=K``: values allowed in layers of that name, ``*`` and ``?`` allowed, in the place of *clusters*;
            of several that match, the first counts.
        budget: most bytes of the file with look-up tables, where the export writes one, else of its package (.tfz):
            layers get as many values as cost the outputs least within it; in bytes (``40KB``), or relative to the file
            without tables (``0.5x``); empty: *clusters* each.
        scope: names of layers to cluster, ``*`` and ``?`` allowed; empty: every layer with a kernel.
        engine: who does the work: ``native`` (Keras 3), ``tfmot`` (Keras 2), or ``auto``.
    """

    kind: ClassVar[str] = "cluster"
    about: ClassVar[str] = "Let each kernel hold few different values"
    gains: ClassVar[Gains] = Gains("no", "yes", "no")
    planning: ClassVar[str] = "tfcompress.weights.code_book_plan:planned"
    clusters: int = field(
        default=16,
        metadata=option(
            "Let each kernel hold at most K different values.",
            flag="--cluster",
            metavar="K",
            asks=True,
            tries=(16, 32, 8),
        ),
    )
    init: Literal["exact", "kmeans++", "linear", "density", "random"] = field(
        default="exact", metadata=option("How the first centroids are placed.")
    )
    scheme: Literal["kmeans", "power_of_two"] = field(
        default="kmeans", metadata=option("Values as they come, or 0 and a scale times powers of two.")
    )
    per_channel: bool | None = field(
        default=None,
        metadata=option(
            "Cluster each output channel of a convolution by itself, or each kernel whole: channel, kernel or auto.",
            flag="--cluster-per",
            metavar="WHAT",
            default="auto: by the target, else as measured",
            read=read_per,
        ),
    )
    layers: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "At most K values in layer NAME, * and ? allowed.",
            flag="--cluster-layer",
            metavar="NAME=K",
        ),
    )
    budget: str = field(
        default="",
        metadata=option(
            "Choose how many values each layer gets, at most K, so that the file with look-up tables (--lookup), or "
            "else the package, takes at most SIZE (40KB, or 0.5x the plain file).",
            flag="--cluster-bytes",
            metavar="SIZE",
            default="K for every layer",
        ),
    )
    scope: tuple[str, ...] = field(
        default=(), metadata=option("Layers to cluster, * and ? allowed.", metavar="NAME", default="all")
    )
    engine: EngineName = field(default="auto", metadata=ENGINE)

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        super().__post_init__()
        check_value("cluster.clusters", "between 2 and 256", self.clusters, ok=2 <= self.clusters <= 256)
        for text in self.layers:
            name, _, number = text.rpartition("=")
            ok = bool(name) and number.isdecimal() and 2 <= int(number) <= 256
            check_value("cluster.layers", "NAME=K each, K between 2 and 256", text, ok=ok)
        try:
            read_limit(self.budget or "1", SIZE_UNITS)
        except ValueError as error:
            check_value("cluster.budget", str(error), self.budget, ok=False)
        allowed = "empty with a budget, which chooses for each layer"
        check_value("cluster.layers", allowed, self.layers, ok=not (self.layers and self.budget))
        least = self.fewest
        allowed = "at least 3 with scheme 'power_of_two': 0 is one of the values"
        check_value("cluster.clusters", allowed, least, ok=self.scheme == "kmeans" or least >= 3)
        allowed = "'native' (or 'auto') with a budget and with scheme 'power_of_two'"
        check_value("cluster.engine", allowed, self.engine, ok=not self.needs_native or self.engine != "tfmot")

    @property
    def needs_native(self) -> bool:
        """Whether it asks for what tfmot does not have."""
        return self.scheme != "kmeans" or bool(self.budget)

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """Patterns of layers and the values allowed in them, in the order in which they are looked at."""
        return tuple((name, int(number)) for name, _, number in (text.rpartition("=") for text in self.layers))

    @property
    def fewest(self) -> int:
        """Values allowed in the layers that may hold fewest."""
        return min([self.clusters, *(count for _, count in self.counts)])

    def count_of(self, path: str) -> int:
        """Return how many values the kernel of a layer may hold, by its path in the model as it came."""
        names = (path, path.rpartition("/")[2])
        found = (count for pattern, count in self.counts if any(fnmatch.fnmatchcase(name, pattern) for name in names))
        return next(found, self.clusters)

    def budget_bytes(self, plain_bytes: int) -> float:
        """Return the budget in bytes.

        Args:
            plain_bytes: of the file as it is, which a budget like ``0.5x`` is relative to.
        """
        return read_limit(self.budget, SIZE_UNITS).beside(plain_bytes)

    @property
    def undecided(self) -> bool:
        """Whether something is left to be measured before the training."""
        return self.per_channel is None or bool(self.budget)

    def decided_by(self, export: Export) -> Any:
        """Return what code books go by: how values are stored, and for a budget all that makes the file."""
        if self.budget:
            return dataclasses.asdict(export)
        apart = [export.lookup, bool(export.deployment.accelerator), export.quantize]
        return apart if self.per_channel is None else None

    def check_against(self, recipe: Recipe) -> None:
        """Refuse a budget for a file that is not written."""
        super().check_against(recipe)
        export = recipe.export
        allowed = "empty without export.lookup or export.optimize_for 'download', which write the file that it is for"
        written = export.lookup or export.optimize_for == "download"
        check_value("cluster.budget", allowed, self.budget, ok=written or not self.budget)

    def remark_on(self, size_bytes: Callable[[], int], plain_bytes: int) -> str:
        """Return that the file takes more than its budget: training moves the values that occur."""
        size = size_bytes() if self.budget else 0
        if not self.budget or size <= self.budget_bytes(plain_bytes):
            return ""
        return (
            f"cluster.budget is {self.budget}, and the finished file takes {size:,} bytes: what it would take was "
            "computed before the training; ask for a smaller one"
        )

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        scheme = "" if self.scheme == "kmeans" else "-p2"
        size = f"-{''.join(self.budget.split()).replace('.', 'p')}" if self.budget else ""
        return f"cluster{self.clusters}{scheme}{size}"
