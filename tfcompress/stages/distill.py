"""Distillation: learning from the uncompressed model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from tfcompress.schema import check_fields, check_value
from tfcompress.stages.option import option
from tfcompress.stages.stage import ENGINE, TrainingStage


@dataclass(frozen=True, kw_only=True)
class Distill(TrainingStage):
    """Let the model learn from its own uncompressed self (Hinton et al. 2015, arXiv:1503.02531, section 2).

    The loss becomes ``(1 - weight) * task + weight * T**2 * KL(teacher || student)`` over outputs softened by the
    temperature T; for outputs that are no class scores, the mean squared difference stands in for the divergence.

    Attributes:
        temperature: T, above 0; higher ones show more of what the teacher thinks of the wrong classes.
        weight: share of the teacher in the loss, in (0, 1].
        engine: who does the work: only ``native`` can.
    """

    kind: ClassVar[str] = "distill"
    about: ClassVar[str] = "Learn from the uncompressed model as well as from the labels"
    switch: ClassVar[str] = "Learn from the uncompressed model as well as from the labels."
    engines: ClassVar[tuple[str, ...]] = ("native",)
    in_every_cycle: ClassVar[bool] = True
    original_teaches: ClassVar[bool] = True
    temperature: float = field(
        default=4.0,
        metadata=option("Soften the outputs by T; a higher one shows more of the wrong classes.", metavar="T"),
    )
    weight: float = field(
        default=0.5, metadata=option("Share of the uncompressed model in the loss.", metavar="FRACTION")
    )
    engine: Literal["auto", "native"] = field(default="auto", metadata=ENGINE)

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        check_fields(self, self.kind)
        check_value("distill.temperature", "above 0", self.temperature, ok=0 < self.temperature < math.inf)
        check_value("distill.weight", "in (0, 1]", self.weight, ok=0 < self.weight <= 1)

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        return "distill"
