"""Whole blocks left out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tfcompress.schema import check_value
from tfcompress.stages.kernel_cutting import KernelCutting
from tfcompress.stages.option import option
from tfcompress.stages.stage import Gains

if TYPE_CHECKING:
    from tfcompress.recipe import Recipe


def read_blocks(text: str) -> dict[str, Any]:
    """Read ``--blocks``: a number of blocks, or a fraction of what is counted.

    Raises:
        ValueError: it is neither.
    """
    try:
        return {"remove": int(text)} if text.strip().lstrip("+-").isdigit() else {"target": float(text)}
    except ValueError as error:
        msg = f"must be a number of blocks such as 2, or a fraction such as 0.3, got {text!r}"
        raise ValueError(msg) from error


@dataclass(frozen=True, kw_only=True)
class Blocks(KernelCutting):
    """Leave out whole blocks: residual branches, and layers that give what has the shape of what they take.

    Attributes:
        remove: how many blocks go; 0: none, only kernels shrink. Left alone where a *target* is given.
        target: fraction of *of* that goes, in (0, 1), in as few blocks as it takes; None: a number of them goes.
        of: what *target* counts: multiply-accumulates (``macs``), ``parameters``, or the measured ``latency`` on this
            machine.
        cycles: how often some blocks are left out and the rest fine-tuned, until all have gone.
        scope: names of layers that may go, ``*`` and ``?`` allowed; a block goes only if all of its layers with weights
            may; empty: every layer.
    """

    kind: ClassVar[str] = "blocks"
    about: ClassVar[str] = "Leave out whole residual blocks, and layers whose output has their input's shape"
    gains: ClassVar[Gains] = Gains("yes", "yes", "yes")
    learning_rate: ClassVar[float] = 1e-3
    implementation: ClassVar[str] = "tfcompress.blocks.leaving_out:rewrite"
    checks: ClassVar[str] = "tfcompress.blocks.leaving_out:check_removable"
    remove: int = field(
        default=1,
        metadata=option(
            "Leave out N blocks, or as many as make this fraction of the multiply-accumulates (see --of).",
            flag="--blocks",
            metavar="N|FRACTION",
            asks=True,
            read=read_blocks,
            sets=("target",),
            tries=(1, 2, 3),
        ),
    )
    target: float | None = None
    of: Literal["macs", "parameters", "latency"] = field(
        default="macs", metadata=option("What is counted; latency is measured here.", flag="--of")
    )
    scope: tuple[str, ...] = field(
        default=(), metadata=option("Layers that may go, * and ? allowed.", metavar="NAME", default="all")
    )

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        super().__post_init__()
        check_value("blocks.remove", "at least 0", self.remove, ok=self.remove >= 0)
        check_value("blocks.target", "in (0, 1)", self.target, ok=self.target is None or 0 < self.target < 1)
        allowed = "left out where blocks.target says how much goes"
        check_value("blocks.remove", allowed, self.remove, ok=self.target is None or self.remove == Blocks.remove)
        allowed = "at least 1, since nothing else is asked (see shrink_kernels)"
        asked = self.remove > 0 or self.shrink_kernels is not None
        check_value("blocks.remove", allowed, self.remove, ok=asked or self.cycles > 1)

    @property
    def parts(self) -> tuple[Blocks, ...]:
        """The stage of each cycle: so many more blocks, or how much of the ORIGINAL is gone after it.

        Kernels shrink in the first one. Where there are fewer blocks than cycles, the last cycles leave out none.

        Example:
            >>> [part.remove for part in Blocks(remove=3, cycles=2).parts]
            [2, 1]
        """
        parts = []
        for number in range(self.cycles):
            size = self.shrink_kernels if number == 0 else None
            part = dataclasses.replace(self, shrink_kernels=size)
            if self.target is None:
                count = self.remove // self.cycles + (number < self.remove % self.cycles)
                parts.append(dataclasses.replace(part, remove=count))
            else:
                left = (1.0 - self.target) ** ((number + 1) / self.cycles)
                parts.append(dataclasses.replace(part, target=1.0 - left))
        return tuple(parts)

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        of = "" if self.of == "macs" or self.target is None else f"-{self.of}"
        return f"blocks{self.remove if self.target is None else format(self.target, 'g')}{of}{self.kernels_label}"

    def check_against(self, recipe: Recipe) -> None:
        """Refuse what :class:`RewritingStage` refuses, and cycles in which nothing would go."""
        super().check_against(recipe)
        asked = self.remove > 0 or self.shrink_kernels is not None
        check_value("blocks.remove", "at least 1, or give shrink_kernels", self.remove, ok=asked)
