"""What a stage is: something that is done to a Keras model, as a frozen value that refuses to contradict itself."""

from __future__ import annotations

from typing import ClassVar, Literal

EngineName = Literal["auto", "tfmot", "native"]


class Stage:
    """One kind of stage; its subclasses are frozen dataclasses, one a module, and stand in the table.

    A stage either rewrites the model before the training or works during it.

    Attributes:
        kind: its name in recipes, reports and the table.
        phase: ``rewrite``: it gives another model before the training; ``train``: it works while the model trains.
        engines: names of the engines that have it.
        learning_rate: the optimizer's, where a recipe gives none; the highest of the stages' is taken.
        implementation: ``module:function`` of what does the work of a rewriting stage; empty where the engine does.
    """

    kind: ClassVar[str]
    phase: ClassVar[Literal["rewrite", "train"]]
    engines: ClassVar[tuple[str, ...]] = ("native", "tfmot")
    learning_rate: ClassVar[float] = 1e-5
    implementation: ClassVar[str] = ""

    @property
    def engine(self) -> str:
        """The engine that was asked for."""
        return "auto"

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        return self.kind

    @property
    def needs_native(self) -> bool:
        """Whether it asks for what only the native engine has."""
        return "tfmot" not in self.engines


class TrainingStage(Stage):
    """A stage that works while the model trains, together with the other ones.

    Attributes:
        in_every_cycle: whether it also works in the fine-tuning between two cycles of rewriting, not only in the last.
    """

    phase = "train"
    in_every_cycle: ClassVar[bool] = False


class RewritingStage(Stage):
    """A stage that gives another model, which is then fine-tuned.

    Attributes:
        cycles: how often a part is done and the rest fine-tuned.
        tune_epochs: how many of the training's epochs the whole model is tuned for before the first part.
    """

    phase = "rewrite"
    engines = ("native",)
    cycles: int
    tune_epochs: int

    @property
    def parts(self) -> tuple[RewritingStage, ...]:
        """The stage of each cycle, in order."""
        raise NotImplementedError
