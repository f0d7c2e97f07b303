"""Pruning: the smallest weights become zero while the model trains."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tfcompress.schema import check_value
from tfcompress.stages.option import option
from tfcompress.stages.stage import ENGINE, EngineName, Gains, TrainingStage

if TYPE_CHECKING:
    from tfcompress.recipe import Recipe


def read_amount(text: str) -> dict[str, Any]:
    """Read ``--prune``: a fraction, or ``2:4`` or ``4:8``.

    Raises:
        ValueError: it is neither.
    """
    if text in ("2:4", "4:8"):
        return {"sparsity": 0.5, "pattern": text}
    try:
        return {"sparsity": float(text)}
    except ValueError as error:
        msg = f"must be a fraction such as 0.5, or 2:4 or 4:8, got {text!r}"
        raise ValueError(msg) from error


def read_block(text: str) -> dict[str, Any]:
    """Read the shape of a block, such as ``4x1``.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None:
        msg = f"must be rows and columns such as 4x1, got {text!r}"
        raise ValueError(msg)
    return {"pattern": "block", "block_shape": (int(found[1]), int(found[2]))}


@dataclass(frozen=True, kw_only=True)
class Prune(TrainingStage):
    """Set the smallest weights to zero while training (Zhu & Gupta 2017, arXiv:1710.01878).

    Attributes:
        sparsity: fraction of each chosen kernel that is zero at the end, in (0, 1).
        schedule: ``polynomial`` rises from *initial_sparsity* to *sparsity* between the two epochs; ``constant`` prunes
            to *sparsity* at *begin_epoch*.
        begin_epoch: epochs of training before the first pruning step (fractions allowed).
        end_epoch: epoch at which *sparsity* is reached; None: after three quarters of the training.
        begin_step: the same as *begin_epoch* in training steps; only one of the two may be given.
        end_step: the same as *end_epoch* in training steps; only one of the two may be given.
        initial_sparsity: where the polynomial schedule starts, in [0, sparsity).
        power: exponent of the polynomial.
        frequency: training steps between two updates of the masks.
        pattern: ``unstructured``; ``2:4`` and ``4:8`` (two zeros in any four neighbours along the input channels, four
            in any eight; *sparsity* is then 0.5); ``block`` (whole blocks of *block_shape*, in the two last axes of the
            kernel).
        block_shape: rows and columns of a block; only with ``pattern="block"``.
        criterion: what makes a weight dispensable: a small ``magnitude``; a ``movement`` towards zero while training
            (Sanh et al. 2020, arXiv:2005.07683); little change of the loss without it, by the gradient (``taylor``) or
            by the diagonal of the Hessian (``hessian``). All but ``magnitude`` need the native engine.
        threshold: ``layer`` prunes every kernel to *sparsity*; ``global`` all chosen kernels together, so that kernels
            with less to lose give more (native engine).
        types: class names of layers to prune (``Conv2D``); empty: all. Both *types* and *scope* must match.
        scope: names of layers to prune, ``*`` and ``?`` allowed; empty: every layer with a kernel.
        engine: who does the work: ``native`` (Keras 3), ``tfmot`` (Keras 2), or ``auto``.
    """

    kind: ClassVar[str] = "prune"
    about: ClassVar[str] = "Set the smallest weights to zero while the model trains"
    gains: ClassVar[Gains] = Gains("only sparse-encoded, where a runtime takes that", "yes", "no")
    shrinks: ClassVar[str] = "tfcompress.tflite.sparse:can_be_encoded"
    step_count: ClassVar[Literal["ignored", "useful", "required"]] = "required"
    learning_rate: ClassVar[float] = 1e-4
    sparsity: float = field(
        default=0.5,
        metadata=option(
            "Set this fraction of each kernel to zero, or two of four or four of eight neighbours.",
            flag="--prune",
            metavar="FRACTION|2:4|4:8",
            asks=True,
            read=read_amount,
            sets=("pattern",),
            tries=(0.5, 0.8),
        ),
    )
    schedule: Literal["polynomial", "constant"] = field(
        default="polynomial", metadata=option("Rise to the fraction step by step, or prune at once.")
    )
    begin_epoch: float = field(
        default=0.0, metadata=option("Epochs of training before the first pruning step.", metavar="EPOCHS")
    )
    end_epoch: float | None = field(
        default=None,
        metadata=option(
            "When the whole fraction is reached.", metavar="EPOCHS", default="after three quarters of the training"
        ),
    )
    begin_step: int | None = field(
        default=None, metadata=option("The same as --prune-begin-epoch, in training steps.", metavar="STEPS")
    )
    end_step: int | None = field(
        default=None, metadata=option("The same as --prune-end-epoch, in training steps.", metavar="STEPS")
    )
    initial_sparsity: float = field(
        default=0.0, metadata=option("Where the polynomial schedule starts.", metavar="FRACTION")
    )
    power: float = field(default=3.0, metadata=option("Exponent of the polynomial schedule.", metavar="NUMBER"))
    frequency: int = field(
        default=20, metadata=option("Training steps between two updates of the masks.", metavar="STEPS")
    )
    pattern: Literal["unstructured", "2:4", "4:8", "block"] = "unstructured"
    block_shape: tuple[int, ...] = field(
        default=(1, 1),
        metadata=option(
            "Set whole blocks of this shape to zero, in the two last axes of a kernel.",
            metavar="ROWSxCOLUMNS",
            default="single weights",
            read=read_block,
            sets=("pattern",),
        ),
    )
    criterion: Literal["magnitude", "movement", "taylor", "hessian"] = field(
        default="magnitude", metadata=option("What makes a weight dispensable", flag="--criterion")
    )
    threshold: Literal["layer", "global"] = field(
        default="layer", metadata=option("Every layer alike, or all kernels together.", flag="--threshold")
    )
    types: tuple[str, ...] = field(
        default=(), metadata=option("Class of layers to prune, e.g. Conv2D.", metavar="CLASS", default="all")
    )
    scope: tuple[str, ...] = field(
        default=(), metadata=option("Layers to prune, * and ? allowed.", metavar="NAME", default="all")
    )
    engine: EngineName = field(default="auto", metadata=ENGINE)

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        super().__post_init__()
        check_value("prune.sparsity", "in (0, 1)", self.sparsity, ok=0 < self.sparsity < 1)
        check_value("prune.begin_epoch", "at least 0", self.begin_epoch, ok=self.begin_epoch >= 0)
        check_value("prune.power", "above 0", self.power, ok=self.power > 0)
        check_value("prune.frequency", "at least 1 (steps)", self.frequency, ok=self.frequency >= 1)
        self._check_span()
        allowed = f"in [0, prune.sparsity = {self.sparsity})"
        check_value(
            "prune.initial_sparsity", allowed, self.initial_sparsity, ok=0 <= self.initial_sparsity < self.sparsity
        )
        if self.pattern in ("2:4", "4:8"):
            check_value("prune.sparsity", f"0.5 with pattern {self.pattern!r}", self.sparsity, ok=self.sparsity == 0.5)
            check_value(
                "prune.threshold",
                f"'layer' with pattern {self.pattern!r}",
                self.threshold,
                ok=self.threshold == "layer",
            )
        two_positive = len(self.block_shape) == 2 and min(self.block_shape) >= 1
        check_value("prune.block_shape", "two whole numbers of at least 1", self.block_shape, ok=two_positive)
        if self.pattern != "block":
            check_value(
                "prune.block_shape", "given with pattern 'block' only", self.block_shape, ok=self.block_shape == (1, 1)
            )

        if self.engine == "tfmot":
            plain = self.criterion == "magnitude" and self.threshold == "layer" and self.pattern != "4:8"
            asked = f"criterion {self.criterion!r}, threshold {self.threshold!r}, pattern {self.pattern!r}"
            allowed = "'native' (or 'auto') for anything but magnitude, a threshold a layer and 2:4 or block patterns"
            check_value("prune.engine", f"{allowed} (here: {asked})", self.engine, ok=plain)

    def _check_span(self) -> None:
        begin, end = self.begin_step, self.end_step
        both = "given in epochs or in steps, not in both"
        check_value("prune.begin_step", both, begin, ok=begin is None or self.begin_epoch == 0)
        check_value("prune.end_step", both, end, ok=end is None or self.end_epoch is None)
        check_value("prune.begin_step", "at least 0", begin, ok=begin is None or begin >= 0)
        allowed = f"above prune.begin_step ({begin or 0})"
        check_value("prune.end_step", allowed, end, ok=end is None or end > (begin or 0))
        if self.end_epoch is not None:
            allowed = f"above prune.begin_epoch ({self.begin_epoch})"
            check_value("prune.end_epoch", allowed, self.end_epoch, ok=self.end_epoch > self.begin_epoch)

    def check_against(self, recipe: Recipe) -> None:
        """Refuse a schedule that begins or ends after the training."""
        super().check_against(recipe)
        epochs, begin, end = recipe.train.epochs, self.begin_epoch, self.end_epoch
        check_value("prune.begin_epoch", f"below train.epochs ({epochs})", begin, ok=begin < epochs)
        check_value("prune.end_epoch", f"at most train.epochs ({epochs})", end, ok=end is None or end <= epochs)

    @property
    def needs_native(self) -> bool:
        """Whether it asks for what tfmot does not have."""
        return (self.criterion, self.threshold) != ("magnitude", "layer") or self.pattern == "4:8"

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        named = {"2:4": "prune2of4", "4:8": "prune4of8"}
        return named.get(self.pattern, f"prune{self.sparsity:g}")
