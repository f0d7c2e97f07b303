"""A network's layout, said layer by layer: how many channels stay, which blocks go, how large its pictures are."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tfcompress.schema import check_value
from tfcompress.stages.kernel_cutting import KernelCutting
from tfcompress.stages.option import option
from tfcompress.stages.stage import Gains, InputSize

if TYPE_CHECKING:
    from tfcompress.recipe import Recipe

_CHANGE = re.compile(r"(.+)=(?:(\d+)|([1-9]\d*)x([1-9]\d*))")

KERNELS = "kernels"
"""The choice of a search that is no layer's: the largest kernel that stays."""


@dataclass(frozen=True, kw_only=True)
class Layout(KernelCutting):
    """Give a network the widths, blocks and size of pictures that were said; the weights that stay are kept.

    ``Channels`` and ``Blocks`` find out by themselves what costs least; this one does what a search, say, has found.

    Attributes:
        changes: ``NAME=N``: of the channels of group NAME (``tfcompress sensitivity`` names them) the N of the largest
            norm stay; ``NAME=0``: block NAME is left out; ``NAME=HEIGHTxWIDTH``: input NAME takes pictures of that
            size, as the data gives them to a model of that size, before all else that the recipe does.
        cycles: how often the rest is fine-tuned; all changes are made before the first.
    """

    kind: ClassVar[str] = "layout"
    about: ClassVar[str] = (
        "Give the network the widths, blocks and input size that are said, with the weights that stay"
    )
    gains: ClassVar[Gains] = Gains("yes", "yes", "yes")
    learning_rate: ClassVar[float] = 1e-3
    implementation: ClassVar[str] = "tfcompress.blocks.laying_out:rewrite"
    choices: ClassVar[str] = "tfcompress.blocks.laying_out:choices_of"
    changes: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "Leave N channels in a group, or no block of that name (N is 0); HEIGHTxWIDTH sets an input's pictures.",
            flag="--layout",
            metavar="NAME=N",
            asks=True,
        ),
    )

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        super().__post_init__()
        for change in self.changes:
            allowed = "NAME=N each, or INPUT=HEIGHTxWIDTH"
            check_value("layout.changes", allowed, change, ok=_CHANGE.fullmatch(change) is not None)
        names = [change.rpartition("=")[0] for change in self.changes]
        twice = next((name for name in names if names.count(name) > 1), "")
        check_value("layout.changes", "one for each name", twice, ok=not twice)
        sizes = [name for name, value in self._values.items() if not value.isdecimal()]
        check_value("layout.changes", "HEIGHTxWIDTH of one input at most", ", ".join(sizes), ok=len(sizes) < 2)

    @property
    def _values(self) -> dict[str, str]:
        return {name: value for name, _, value in (change.rpartition("=") for change in self.changes)}

    @property
    def widths(self) -> dict[str, int]:
        """Channels that stay, by group; 0: a block that goes."""
        return {name: int(value) for name, value in self._values.items() if value.isdecimal()}

    @property
    def input_size(self) -> InputSize | None:
        """The size of the pictures that an input takes; None: as it is."""
        found = (_CHANGE.fullmatch(change) for change in self.changes)
        return next((InputSize(each[1], int(each[3]), int(each[4])) for each in found if each and each[3]), None)

    @property
    def parts(self) -> tuple[Layout, ...]:
        """The stage of each cycle: everything in the first, nothing in the others."""
        nothing = dataclasses.replace(self, changes=(), shrink_kernels=None)
        return (self, *[nothing] * (self.cycles - 1))

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        numbers = list(self.widths.values())
        size = "" if self.input_size is None else f"-{self.input_size.text}"
        return f"layout{sum(number > 0 for number in numbers)}w{numbers.count(0)}b{self.kernels_label}{size}"

    def check_against(self, recipe: Recipe) -> None:
        """Refuse what :class:`RewritingStage` refuses, a layout that changes nothing, and pictures that do not fit."""
        super().check_against(recipe)
        self._check_pictures(recipe)
        asked = bool(self.changes) or self.shrink_kernels is not None
        check_value("layout.changes", "at least one NAME=N, or give shrink_kernels", self.changes, ok=asked)

    def _check_pictures(self, recipe: Recipe) -> None:
        """Refuse a size of pictures beside what needs the model's own."""
        if self.input_size is None:
            return
        for stage in recipe.stages:
            beside = ""
            if getattr(stage, "builds", ""):
                beside = f"{stage.kind}, whose network takes what the model takes"
            elif getattr(stage, "student", ""):
                beside = f"{stage.kind}.student: give a student that takes what the model takes, and no size"
            elif getattr(stage, "compares_layers", False):
                beside = f"{stage.kind}.loss of layers: those of the teacher have the positions of its own pictures"
            check_value("layout.changes", f"without a size beside {beside}", self.input_size.text, ok=not beside)

    @classmethod
    def of_choices(cls, chosen: Mapping[str, Any], code: str = "") -> Layout | None:
        """Return the stage that makes what was chosen, which is something."""
        changes = tuple(f"{name}={value}" for name, value in sorted(chosen.items()) if name != KERNELS)
        return cls(changes=changes, shrink_kernels=chosen.get(KERNELS))

    def chosen(self) -> dict[str, Any]:
        """Return what was chosen, where nothing but that was said."""
        kernels = {} if self.shrink_kernels is None else {KERNELS: self.shrink_kernels}
        size = {} if self.input_size is None else {self.input_size.name: self.input_size.text}
        return {**self.widths, **kernels, **size}
