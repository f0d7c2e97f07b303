"""Another network in the place of the model, built by the user's own function."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tfcompress.schema import check_value
from tfcompress.stages.option import option
from tfcompress.stages.stage import Gains, RewritingStage

if TYPE_CHECKING:
    from tfcompress.recipe import Recipe

BUILT = "built"
"""The choice of a search whether the builder's network is tried at all."""


@dataclass(frozen=True, kw_only=True)
class Build(RewritingStage):
    """Train another network in the place of the model; the model teaches where ``Distill`` is there.

    Attributes:
        builder: ``module:function`` that takes ``hp``, asked as KerasTuner's (``hp.Int``, ``hp.Float``, ``hp.Choice``,
            ``hp.Boolean``, ``hp.Fixed``), and gives a Keras 3 network with the model's inputs and outputs. It is run
            only with trust. Its weights are fresh.
        values: ``NAME=VALUE``: what ``hp`` answers; what is not named has its default.
        cycles: how often it is trained; it is built before the first.
    """

    kind: ClassVar[str] = "build"
    about: ClassVar[str] = "Train a network of your own making in the place of the model"
    gains: ClassVar[Gains] = Gains("as built", "as built", "as built")
    learning_rate: ClassVar[float] = 1e-3
    implementation: ClassVar[str] = "tfcompress.blocks.building:rewrite"
    builds: ClassVar[str] = "tfcompress.blocks.building:choices_of"
    builder: str = field(
        default="",
        metadata=option(
            "Train the network that your own build(hp) gives, hp as of KerasTuner; needs --trust.",
            flag="--build",
            metavar="MODULE:FUNCTION",
            asks=True,
        ),
    )
    values: tuple[str, ...] = field(default=(), metadata=option("What hp answers.", flag="--hp", metavar="NAME=VALUE"))

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        super().__post_init__()
        for value in self.values:
            check_value("build.values", "NAME=VALUE each", value, ok=bool(value.partition("=")[0]) and "=" in value)
        names = [value.partition("=")[0] for value in self.values]
        twice = next((name for name in names if names.count(name) > 1), "")
        check_value("build.values", "one for each name", twice, ok=not twice)

    @property
    def answers(self) -> dict[str, str]:
        """What ``hp`` answers, as text, by name."""
        return {name: text for name, _, text in (value.partition("=") for value in self.values)}

    @property
    def code(self) -> tuple[str, ...]:
        """The builder."""
        return (self.builder,) if self.builder else ()

    @property
    def parts(self) -> tuple[Build, ...]:
        """The stage of each cycle: only the first one builds."""
        return (self, *[dataclasses.replace(self, builder="", values=())] * (self.cycles - 1))

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        values = (re.sub(r"[^A-Za-z0-9.]", "", value) for value in self.values)
        return "-".join(["build", *values])[:40]

    def check_against(self, recipe: Recipe) -> None:
        """Refuse what :class:`RewritingStage` refuses, and a stage that builds nothing."""
        super().check_against(recipe)
        check_value("build.builder", "module:function", self.builder, ok=":" in self.builder)

    @classmethod
    def of_choices(cls, chosen: Mapping[str, Any], code: str = "") -> Build | None:
        """Return the stage that builds what was chosen; None: nothing is built."""
        if not chosen.get(BUILT):
            return None
        values = (f"{name}={_text(value)}" for name, value in sorted(chosen.items()) if name != BUILT)
        return cls(builder=code, values=tuple(values))

    def chosen(self) -> dict[str, Any]:
        """Return what was chosen, its values as text."""
        return {BUILT: True, **self.answers}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
