"""Quantization-aware training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tfcompress.schema import check, check_literals
from tfcompress.stages.stage import EngineName, TrainingStage


@dataclass(frozen=True, kw_only=True)
class QAT(TrainingStage):
    """Train with the int8 rounding in the forward pass (Jacob et al. 2018, arXiv:1712.05877).

    Attributes:
        weight_bits: bits of a weight: 8, or 4 (native engine).
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
    weight_bits: Literal[8, 4] = 8
    activation_bits: Literal[8, 16] = 8
    learn_ranges: bool = False
    freeze: float = 0.25
    freeze_statistics: float = 0.0
    scope: tuple[str, ...] = ()
    engine: EngineName = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_literals(self, self.kind)
        for name, share in (("freeze", self.freeze), ("freeze_statistics", self.freeze_statistics)):
            check(f"qat.{name}", "in [0, 1)", share, ok=0 <= share < 1)
        allowed = "'native' (or 'auto') for other than 8 bits, and for learn_ranges and freeze_statistics"
        check("qat.engine", allowed, self.engine, ok=not self.needs_native or self.engine != "tfmot")

    @property
    def needs_native(self) -> bool:
        """Whether it asks for what tfmot does not have."""
        plain = (self.weight_bits, self.activation_bits, self.learn_ranges) == (8, 8, False)
        return not plain or self.freeze_statistics > 0

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        bits = (
            "" if (self.weight_bits, self.activation_bits) == (8, 8) else f"w{self.weight_bits}a{self.activation_bits}"
        )
        return f"qat{bits}"
