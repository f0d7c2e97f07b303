"""Quantization-aware training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from tfcompress.schema import check_value
from tfcompress.stages.option import option
from tfcompress.stages.stage import ENGINE, EngineName, Gains, TrainingStage

if TYPE_CHECKING:
    from tfcompress.recipe import Recipe
    from tfcompress.settings import Export


@dataclass(frozen=True, kw_only=True)
class QAT(TrainingStage):
    """Train with the int8 rounding in the forward pass (Jacob et al. 2018, arXiv:1712.05877).

    Attributes:
        weight_bits: bits of a weight: 8, or 4 (native engine). With 4 the training begins with kernels that are rounded
            towards the float model's outputs (GPTQ), and learns where the grid of each channel ends.
        activation_bits: bits of an activation: 8, or 16 (native engine).
        learn_ranges: train the ranges' steps together with the weights (LSQ, Esser et al. 2020, arXiv:1902.08153)
            instead of following what is seen (native engine).
        freeze: last fraction of the training steps in which ranges stand still, in [0, 1) (native engine).
        freeze_statistics: the same for BatchNormalization, which then trains with its moving statistics
            (Krishnamoorthi 2018, arXiv:1806.08342, section 3.2.1); only for small learning rates: at large ones the
            training diverges (native engine).
        scope: names of layers to quantize, ``*`` and ``?`` allowed; empty: every layer.
        engine: who does the work: ``native`` (Keras 3), ``tfmot`` (Keras 2), or ``auto``.
    """

    kind: ClassVar[str] = "qat"
    about: ClassVar[str] = "Train with int8 rounding in the loop, so that int8 costs little accuracy"
    gains: ClassVar[Gains] = Gains("four times, as int8", "yes", "by the processor")
    switch: ClassVar[str] = "Fine-tune with int8 rounding in the loop; needs --data, unless MODEL is QAT already."
    step_count: ClassVar[Literal["ignored", "useful", "required"]] = "useful"
    keeps_wrappers: ClassVar[bool] = True
    weight_bits: Literal[8, 4] = field(
        default=8,
        metadata=option("Bits of a weight; without --qat of int8 after training.", flag="--weight-bits", tries=(8, 4)),
    )
    activation_bits: Literal[8, 16] = field(
        default=8, metadata=option("Bits of an activation; 16 makes an int16x8 file.", flag="--activation-bits")
    )
    learn_ranges: bool = field(default=False, metadata=option("Train the ranges, too (LSQ).", flag="--learn-ranges"))
    freeze: float = field(
        default=0.25,
        metadata=option("Last part of the training in which the ranges stand still.", metavar="FRACTION"),
    )
    freeze_statistics: float = field(
        default=0.0,
        metadata=option(
            "The same for BatchNormalization's statistics; for small learning rates only.", metavar="FRACTION"
        ),
    )
    scope: tuple[str, ...] = field(
        default=(), metadata=option("Layers to quantize, * and ? allowed.", metavar="NAME", default="all")
    )
    engine: EngineName = field(default="auto", metadata=ENGINE)

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        super().__post_init__()
        for name, share in (("freeze", self.freeze), ("freeze_statistics", self.freeze_statistics)):
            check_value(f"qat.{name}", "in [0, 1)", share, ok=0 <= share < 1)
        allowed = "8 with 4-bit weights: no runtime has a kernel for weights of 4 bits and activations of 16"
        check_value(
            "qat.activation_bits", allowed, self.activation_bits, ok=(self.weight_bits, self.activation_bits) != (4, 16)
        )
        allowed = "'native' (or 'auto') for other than 8 bits, and for learn_ranges, freeze and freeze_statistics"
        check_value("qat.engine", allowed, self.engine, ok=not self.needs_native or self.engine != "tfmot")

    def check_against(self, recipe: Recipe) -> None:
        """Refuse 4 bits for a target that computes with 8, too."""
        super().check_against(recipe)
        target = recipe.export.target
        fits = self.weight_bits == 8 or not recipe.export.deployment.accelerator
        allowed = f"8 with target {target!r}, which computes with weights of 8 bits"
        check_value("qat.weight_bits", allowed, self.weight_bits, ok=fits)

    @classmethod
    def training_for(cls, export: Export) -> QAT | None:
        """Return the stage for int8 (weights of 8 or 4 bits) and int16x8; other numbers need no training of ranges."""
        bits: dict[str, Literal[8, 16]] = {"int8": 8, "int16x8": 16}
        if export.quantize not in bits:
            return None
        return cls(weight_bits=export.weight_bits, activation_bits=bits[export.quantize])

    @property
    def needs_native(self) -> bool:
        """Whether it asks for what tfmot does not have."""
        plain = (self.weight_bits, self.activation_bits, self.learn_ranges) == (8, 8, False)
        return not plain or self.freeze_statistics > 0 or self.freeze != QAT.freeze

    @property
    def default_rate(self) -> float:
        """The optimizer's learning rate, where a recipe gives none: weights of 4 bits have farther to go."""
        return 1e-4 if self.weight_bits == 4 else self.learning_rate

    @property
    def numbers(self) -> str:
        """The ``quantize`` of the export that it trains for."""
        return "int8" if self.activation_bits == 8 else "int16x8"

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        bits = (
            "" if (self.weight_bits, self.activation_bits) == (8, 8) else f"w{self.weight_bits}a{self.activation_bits}"
        )
        return f"qat{bits}"
