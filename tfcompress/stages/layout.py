"""A network's layout, said layer by layer: how many channels stay, and which blocks go."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tfcompress.schema import check_value
from tfcompress.stages.kernel_cutting import KernelCutting
from tfcompress.stages.option import option
from tfcompress.stages.stage import Gains

if TYPE_CHECKING:
    from tfcompress.recipe import Recipe

_CHANGE = re.compile(r"(.+)=(\d+)")

KERNELS = "kernels"
"""The choice of a search that is no layer's: the largest kernel that stays."""


@dataclass(frozen=True, kw_only=True)
class Layout(KernelCutting):
    """Give a network the widths and blocks that were said; the weights that stay are kept.

    ``Channels`` and ``Blocks`` find out by themselves what costs least; this one does what a search, say, has found.

    Attributes:
        changes: ``NAME=N``: of the channels of group NAME (``tfcompress sensitivity`` names them) the N of the largest
            norm stay; ``NAME=0``: block NAME is left out.
        cycles: how often the rest is fine-tuned; all changes are made before the first.
    """

    kind: ClassVar[str] = "layout"
    about: ClassVar[str] = "Give the network the widths and blocks that are said, with the weights that stay"
    gains: ClassVar[Gains] = Gains("yes", "yes", "yes")
    learning_rate: ClassVar[float] = 1e-3
    implementation: ClassVar[str] = "tfcompress.blocks.laying_out:rewrite"
    choices: ClassVar[str] = "tfcompress.blocks.laying_out:choices_of"
    changes: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "Leave N channels in a group, or no block of that name (N is 0).",
            flag="--layout",
            metavar="NAME=N",
            asks=True,
        ),
    )

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        super().__post_init__()
        for change in self.changes:
            check_value("layout.changes", "NAME=N each", change, ok=_CHANGE.fullmatch(change) is not None)
        names = [change.rpartition("=")[0] for change in self.changes]
        twice = next((name for name in names if names.count(name) > 1), "")
        check_value("layout.changes", "one for each name", twice, ok=not twice)

    @property
    def widths(self) -> dict[str, int]:
        """Channels that stay, by group; 0: a block that goes."""
        return {name: int(number) for name, _, number in (change.rpartition("=") for change in self.changes)}

    @property
    def parts(self) -> tuple[Layout, ...]:
        """The stage of each cycle: everything in the first, nothing in the others."""
        nothing = dataclasses.replace(self, changes=(), shrink_kernels=None)
        return (self, *[nothing] * (self.cycles - 1))

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        numbers = list(self.widths.values())
        return f"layout{sum(number > 0 for number in numbers)}w{numbers.count(0)}b{self.kernels_label}"

    def check_against(self, recipe: Recipe) -> None:
        """Refuse what :class:`RewritingStage` refuses, and a layout that changes nothing."""
        super().check_against(recipe)
        asked = bool(self.changes) or self.shrink_kernels is not None
        check_value("layout.changes", "at least one NAME=N, or give shrink_kernels", self.changes, ok=asked)

    @classmethod
    def of_choices(cls, chosen: Mapping[str, Any], code: str = "") -> Layout | None:
        """Return the stage that makes what was chosen, which is something."""
        changes = tuple(f"{name}={value}" for name, value in sorted(chosen.items()) if name != KERNELS)
        return cls(changes=changes, shrink_kernels=chosen.get(KERNELS))

    def chosen(self) -> dict[str, Any]:
        """Return what was chosen, where nothing but that was said."""
        kernels = {} if self.shrink_kernels is None else {KERNELS: self.shrink_kernels}
        return {**self.widths, **kernels}
