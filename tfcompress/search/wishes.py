"""What a search is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tfcompress.errors import UsageError, nearest
from tfcompress.kept_stages import KEPT_BYTES
from tfcompress.search.goals import Limits
from tfcompress.search.own_values import check_values
from tfcompress.search.space import SpacePart, Values
from tfcompress.settings import Export
from tfcompress.stages.stage_table import STAGES
from tfcompress.train_settings import Train

USUAL_DROP = 1.0
"""Points that a file may lose where nobody sets any limit."""

VALIDATION = 0.15
"""Part of the training data that judges where the data has no validation split."""

TRAINING = Train(epochs=5, decay="cosine")
"""How candidates are trained, but for what is tried."""

EXPORT = Export()
"""How candidates are exported, but for what is tried."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a search is asked for.

    Attributes:
        limits: what the file must keep.
        smaller: which bytes are made smaller.
        device: where latency is measured; None: nowhere, unless it or the energy is limited.
        energy: whether the energy of an inference there is made small, too.
        also: further arguments of edge_runner, which measures.
        budget_seconds: how long everything may take; None: as long as it likes.
        trials: candidates at most; None: as many as there is time for.
        jobs: workers at most.
        storage: URL of the database; empty: a file in the output.
        train: how candidates are trained, but for what is tried.
        export: how they are exported, likewise.
        fixed: ``train.FIELD`` and ``export.FIELD`` that are not tried, since the user has said them.
        without: kinds of stages that are not tried.
        values: what is tried of dimensions, by their names, in place of what their fields name.
        kept: folder in which stages keep what they made; None: the user's cache.
        kept_bytes: how large it may become.
        more: further parts of the space.
        architecture: whether the widths, blocks, kernels and input size of the network itself are tried.
        builder: ``module:function`` of the user's own that builds other networks; empty: there is none.
        engine: where candidates are made: processes of this machine, or a Ray cluster.
        address: HOST:PORT of the cluster; empty: there is none.
        command: what makes the best file again without a search; empty: a call in Python does.
    """

    limits: Limits
    smaller: Literal["size", "download"] = "size"
    device: str | None = None
    energy: bool = False
    also: tuple[str, ...] = ()
    budget_seconds: float | None = None
    trials: int | None = None
    jobs: int = 1
    storage: str = ""
    train: Train = TRAINING
    export: Export = EXPORT
    fixed: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    values: Values = field(default_factory=dict)
    kept: Path | None = None
    kept_bytes: int = KEPT_BYTES
    more: tuple[SpacePart, ...] = ()
    architecture: bool = False
    builder: str = ""
    engine: Literal["local", "ray"] = "local"
    address: str = ""
    command: str = ""

    def __post_init__(self) -> None:
        """Refuse what would never end, or has no meaning."""
        if self.budget_seconds is None and self.trials is None:
            msg = "auto must know when to end: give --budget (a time such as 2h), --trials N, or both"
            raise UsageError(msg)
        for flag, value in (("--budget", self.budget_seconds), ("--trials", self.trials), ("--jobs", self.jobs)):
            if value is not None and value <= 0:
                msg = f"{flag} must be above 0, got {value:g}"
                raise UsageError(msg)
        for kind in self.without:
            if kind not in STAGES:
                msg = f"--without must be one of {', '.join(STAGES)}, got {kind!r}{nearest(kind, STAGES)}"
                raise UsageError(msg)
        check_values(self.values, train=self.train, export=self.export, fixed=self.fixed, without=self.without)
        if (self.engine == "ray") != bool(self.address):
            msg = "--engine ray needs --address HOST:PORT of a running cluster, and --address is for --engine ray"
            raise UsageError(msg)
        if self.also and self.device is None and not self._measures:
            msg = "--also says how --device measures, and there is none; give --device local, say"
            raise UsageError(msg)
        if self.export.max_drop is not None:
            msg = "auto has a limit of its own on what may be lost: give it as max_drop of auto, not of the export"
            raise UsageError(msg)

    @property
    def measured(self) -> tuple[str, ...]:
        """What a device is asked for, as names of goals; nothing where none is wished for."""
        names = []
        if self.device is not None or self._measures:
            names.append("p90")
        if self.energy or self.limits.energy is not None:
            names.append("energy")
        return tuple(names)

    @property
    def _measures(self) -> bool:
        return self.energy or self.limits.p90 is not None or self.limits.energy is not None
