"""What a stage is: something that is done to a Keras model, as a frozen value that refuses to contradict itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar

from tfcompress.errors import RecipeError
from tfcompress.export_choices import AUTO
from tfcompress.schema import check_fields, check_value
from tfcompress.stages.option import option

if TYPE_CHECKING:
    from tfcompress.recipe import Recipe
    from tfcompress.settings import Export

AnyStage = TypeVar("AnyStage", bound="Stage")

EngineName = Literal["auto", "tfmot", "native"]

ENGINE = option(
    "Who does the work: native is ours, on Keras 3; tfmot works on Keras 2.",
    flag="--engine",
    default="auto: by the model's file",
)
"""Metadata of the field of a stage that has a choice of engine: one flag for all of them."""


class Gains(NamedTuple):
    """What a stage brings, in a word or two each.

    Attributes:
        file: whether the file becomes smaller.
        download: whether the file becomes smaller after gzip.
        latency: whether it runs faster.
    """

    file: str
    download: str
    latency: str


class InputSize(NamedTuple):
    """The size at which a network takes pictures.

    Attributes:
        name: of the input.
        height: in pixels.
        width: in pixels.
    """

    name: str
    height: int
    width: int

    @property
    def text(self) -> str:
        """The size alone, as recipes have it: ``96x128``."""
        return f"{self.height}x{self.width}"


class NetworkChoice(NamedTuple):
    """One thing that a search may choose of a network.

    Attributes:
        name: of a group of channels, a block, an input, or something of the whole network.
        values: what is tried, what the network has first.
        inside: names of blocks that it goes with: without one of them there is nothing to choose.
        sizes: the size of the input that each further value asks of the data; empty: they ask nothing of it.
    """

    name: str
    values: tuple[Any, ...]
    inside: tuple[str, ...] = ()
    sizes: tuple[InputSize, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One kind of stage; its subclasses are frozen dataclasses, one a module, and stand in the table.

    A stage either rewrites the model before the training or works during it. Its fields carry their flags in their
    metadata (see :mod:`tfcompress.stages.option`).

    Attributes:
        kind: its name in recipes, reports and the table.
        about: one sentence on what it does, without its full stop: for help, lists and docs.
        gains: what it brings.
        shrinks: ``module:function`` from an :class:`~tfcompress.settings.Export` to whether the file of such numbers
            can become smaller by it, for a stage whose *gains* hold for some files only; empty: they hold for all.
        phase: ``rewrite``: it gives another model before the training; ``train``: it works while the model trains.
        engines: names of the engines that have it.
        learning_rate: the optimizer's, where a recipe gives none and :attr:`default_rate` does not say otherwise; the
            highest of the stages' is taken.
        switch: what the help says of the flag that asks for the stage by itself (``--qat``); empty where a field's flag
            asks for it.
        step_count: what the number of training steps is to it: ``required``: it cannot work where nobody knows
            it; ``useful``: it does something at certain steps, and works without; ``ignored``.
        keeps_wrappers: whether a model that was trained with it keeps layers that the export needs.
        implementation: ``module:function`` of what does the work of a rewriting stage; empty where the engine does.
        planning: ``module:function`` of what measures, before a training stage begins, what was left open (see
            :mod:`tfcompress.stages.decisions`); empty: nothing is.
        choices: ``module:function`` from a Keras 3 model to what a search may choose of it, each a
            :class:`NetworkChoice`, for a stage that is made from such choices; empty: its fields say what is tried.
        builds: ``module:function`` like *choices*, but from ``module:function`` of a user's own builder, for a stage
            that builds by it.
        teaches: whether the model before all stages teaches the one that they give.
        renamed: fields that once had another name: that name -> the one they have now.
    """

    kind: ClassVar[str]
    about: ClassVar[str]
    gains: ClassVar[Gains] = Gains("-", "-", "-")
    shrinks: ClassVar[str] = ""
    phase: ClassVar[Literal["rewrite", "train"]]
    engines: ClassVar[tuple[str, ...]] = ("native", "tfmot")
    learning_rate: ClassVar[float] = 1e-5
    switch: ClassVar[str] = ""
    step_count: ClassVar[Literal["ignored", "useful", "required"]] = "ignored"
    keeps_wrappers: ClassVar[bool] = False
    implementation: ClassVar[str] = ""
    planning: ClassVar[str] = ""
    choices: ClassVar[str] = ""
    builds: ClassVar[str] = ""
    teaches: ClassVar[bool] = False
    renamed: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def __new__(cls: type[AnyStage], **values: object) -> AnyStage:
        """Refuse a field by the name that it once had, before Python says that there is no such argument."""
        cls.check_names(values)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Reject values that are not of their fields' types; subclasses go on with what is out of range."""
        check_fields(self, self.kind)

    @classmethod
    def check_names(cls, names: Iterable[str]) -> None:
        """Refuse names of fields that have another one now.

        Raises:
            RecipeError: with the name of today.
        """
        for name in names:
            if name in cls.renamed:
                msg = f"{cls.kind}.{name} is called {cls.kind}.{cls.renamed[name]} now; write {cls.renamed[name]}"
                raise RecipeError(msg)

    @classmethod
    def training_for(cls, export: Export) -> Stage | None:
        """Return the stage of this kind that trains for the numbers an export writes; None: it trains for none."""
        return None

    @property
    def default_rate(self) -> float:
        """The optimizer's learning rate, where a recipe gives none."""
        return self.learning_rate

    @property
    def engine(self) -> str:
        """The engine that was asked for."""
        return "auto"

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        return self.kind

    @property
    def sources(self) -> tuple[str, ...]:
        """Files, or what may be one, that it reads besides the model; their content counts for what a run is."""
        return ()

    @property
    def model_files(self) -> tuple[str, ...]:
        """Those of :attr:`sources` that are models."""
        return ()

    @property
    def code(self) -> tuple[str, ...]:
        """``module:function`` of the user's own code that it runs: it needs trust, and counts for what a run is."""
        return ()

    @property
    def needs_native(self) -> bool:
        """Whether it asks for what only the native engine has."""
        return "tfmot" not in self.engines

    @property
    def numbers(self) -> str:
        """The ``quantize`` of the export that it trains for; empty: any."""
        return ""

    @property
    def undecided(self) -> bool:
        """Whether :attr:`planning` has something to find out."""
        return False

    def decided_by(self, export: Export) -> Any:
        """Return what of an export :attr:`planning` goes by, as plain values: another one is trained for otherwise."""
        return None

    def remark_on(self, size_bytes: Callable[[], int], plain_bytes: int) -> str:
        """Return what there is to say of a finished file that takes more than was asked for; empty: nothing.

        Args:
            size_bytes: gives the bytes of the file with look-up tables where there is one, else of the package.
            plain_bytes: of the file as it is.
        """
        return ""

    def check_against(self, recipe: Recipe) -> None:
        """Refuse a recipe that this stage cannot be part of.

        Raises:
            RecipeError: naming the value that does not fit.
        """
        if self.numbers:
            allowed = f"{self.numbers!r} after this {self.kind} stage (it trains for {self.numbers})"
            check_value("export.quantize", allowed, recipe.export.quantize, ok=recipe.export.quantize == self.numbers)
            allowed = f"'minmax' after a {self.kind} stage, which trains with ranges of its own"
            calibration = recipe.export.calibration
            check_value("export.calibration", allowed, calibration, ok=calibration in (AUTO, "minmax"))
            trained = f"after a {self.kind} stage, which trains with the rounding"
            check_value("export.correct", f"empty {trained}", recipe.export.correct, ok=not recipe.export.correct)
            rounding, bits = recipe.export.rounding, recipe.export.weight_bits
            check_value("export.rounding", f"'nearest' {trained}", rounding, ok=rounding in (None, "nearest"))
            check_value("export.mixed", f"false {trained}", recipe.export.mixed, ok=not recipe.export.mixed)
            check_value("export.weight_bits", f"8 {trained} (it has weight_bits of its own)", bits, ok=bits == 8)


@dataclass(frozen=True, kw_only=True)
class TrainingStage(Stage):
    """A stage that works while the model trains, together with the other ones.

    Attributes:
        in_every_cycle: whether it also works in the fine-tuning between two cycles of rewriting, not only in the last.
    """

    phase = "train"
    in_every_cycle: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class RewritingStage(Stage):
    """A stage that gives another model, which is then fine-tuned.

    Attributes:
        cycles: how often a part is done and the rest fine-tuned; what has no parts is done in the first cycle.
        tune_epochs: how many of the training's epochs the whole model is tuned for before the first part, at a
            twentieth of the learning rate; what the stage takes, it takes from the tuned model, and :class:`Distill`
            learns from that one.
        checks: ``module:function`` of what refuses, by a look at a Keras 3 model alone, what the stage cannot do to it;
            empty: only its work shows that. See :func:`tfcompress.stages.rewriting.check_rewritable`.
        prepares: ``module:function`` of what makes a model ready in every training that is followed by a part of the
            stage; empty: nothing does. See :func:`tfcompress.stages.rewriting.prepare_training_`.
    """

    phase = "rewrite"
    engines = ("native",)
    checks: ClassVar[str] = ""
    prepares: ClassVar[str] = ""
    cycles: int = field(
        default=1,
        metadata=option(
            "Rewrite and fine-tune in N turns; what has no parts is done in the first.", flag="--cycles", metavar="N"
        ),
    )
    tune_epochs: int = field(
        default=0,
        metadata=option(
            "Tune the whole model for N of the epochs first; --distill learns from that.",
            flag="--tune-epochs",
            metavar="N",
        ),
    )

    def __post_init__(self) -> None:
        """Reject values that are out of range."""
        super().__post_init__()
        check_value(f"{self.kind}.cycles", "at least 1", self.cycles, ok=self.cycles >= 1)
        check_value(f"{self.kind}.tune_epochs", "at least 0", self.tune_epochs, ok=self.tune_epochs >= 0)

    @property
    def parts(self) -> tuple[RewritingStage, ...]:
        """The stage of each cycle, in order."""
        raise NotImplementedError

    @property
    def input_size(self) -> InputSize | None:
        """The size at which the network takes pictures from the beginning on; None: its own."""
        return None

    @property
    def preparation(self) -> str:
        """The field and value that ask for a training before the first part; empty: there is none."""
        return ""

    @property
    def unprepared(self) -> RewritingStage:
        """The stage without what asks for a training before the first part."""
        return self

    def preparing_epochs(self, epochs: int) -> int:
        """Return how many of a training's epochs make the model ready for the first part, after the tuning."""
        return 0

    def check_against(self, recipe: Recipe) -> None:
        """Refuse more tuning, more preparing and more cycles than the training has epochs for."""
        super().check_against(recipe)
        epochs, tuned = recipe.train.epochs, self.tune_epochs
        check_value(f"{self.kind}.tune_epochs", f"below train.epochs ({epochs})", tuned, ok=not tuned or tuned < epochs)
        left, ready = epochs - tuned, self.preparing_epochs(epochs)
        words = f"train.epochs - {self.kind}.tune_epochs" if tuned else "train.epochs"
        if ready:
            allowed = f"fewer than {words} ({left}), since what is left is fine-tuned"
            check_value(f"epochs for {self.preparation}", allowed, ready, ok=ready < left)
            words += f" - {ready} for {self.preparation}"
        allowed = f"at most {words} ({left - ready}), since each cycle fine-tunes"
        check_value(f"{self.kind}.cycles", allowed, self.cycles, ok=self.cycles <= left - ready)
