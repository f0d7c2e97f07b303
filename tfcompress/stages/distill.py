"""Distillation: learning from another model, by default the uncompressed one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from tfcompress.schema import check_value
from tfcompress.stages.lessons import LESSON_LOSSES, StudentScale, read_layers, read_losses, read_student
from tfcompress.stages.option import option
from tfcompress.stages.stage import ENGINE, TrainingStage

if TYPE_CHECKING:
    from tfcompress.recipe import Recipe

MODEL_FILES = (".keras", ".h5", ".hdf5")
"""What the name of a Keras file ends in: such a student is no function, whatever its path looks like."""

FRESH_RATE = 1e-3
"""Learning rate where the student is another model, which has more to learn than one that was trained already."""


@dataclass(frozen=True, kw_only=True)
class Distill(TrainingStage):
    """Let the model learn from a teacher as well as from the labels (Hinton et al. 2015, arXiv:1503.02531, section 2).

    The loss becomes ``(1 - weight) * task + weight * sum(w * loss)`` over the losses from the teacher. The first of
    them, ``soft``, is ``T**2 * KL(teacher || student)`` over outputs softened by the temperature T; for outputs that
    are no class scores, the mean squared difference stands in for the divergence.

    Attributes:
        teacher: files of the models to learn from, each a Keras file, a SavedModel or a ``.tflite``; of several, the
            mean counts. Empty: the model before compression.
        teacher_preprocess: ``module:function`` that makes what the teachers take from a batch of what the model takes
            (samples along the first axis), run only with trust; empty: they take the same.
        teacher_classes: names of the classes in the order of the teachers' outputs, separated by commas or in a file
            with one a line; empty: the order of the model's, or the one that a ``.tflite`` of ours holds.
        temperature: T, above 0; higher ones show more of what the teacher thinks of the wrong classes.
        weight: share of the teacher in the loss, in (0, 1].
        loss: what is compared, names of the table of losses, each ``NAME`` or ``NAME=WEIGHT``.
        layers: for losses that compare layers, ``STUDENT=TEACHER`` each; empty: the last layer of each size that both
            models have.
        student: what is trained in place of the model, which then is the teacher (unless others are named): a Keras
            file, ``module:function`` that gives a model (run only with trust), or ``width=0.5,depth=0.5`` to make one
            of the model's own kind with fresh weights; empty: the model itself.
        engine: who does the work: only ``native`` can.
    """

    kind: ClassVar[str] = "distill"
    about: ClassVar[str] = "Learn from the uncompressed model, or any other, as well as from the labels"
    switch: ClassVar[str] = "Learn from the uncompressed model (or --teacher) as well as from the labels."
    engines: ClassVar[tuple[str, ...]] = ("native",)
    in_every_cycle: ClassVar[bool] = True
    teaches: ClassVar[bool] = True
    teacher: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "Learn from this model: a Keras file, SavedModel or .tflite. Of several, their mean.",
            flag="--teacher",
            metavar="FILE",
            default="MODEL as it is",
        ),
    )
    teacher_preprocess: str = field(
        default="",
        metadata=option(
            "Makes a batch for the teachers from one of the model's inputs; needs --trust.",
            flag="--teacher-preprocess",
            metavar="MODULE:FUNCTION",
        ),
    )
    teacher_classes: str = field(
        default="",
        metadata=option(
            "Names of the classes in the order of the teachers' outputs, or a file with one a line.",
            flag="--teacher-classes",
            metavar="A,B,...|FILE",
            default="the model's order",
        ),
    )
    temperature: float = field(
        default=4.0,
        metadata=option("Soften the outputs by T; a higher one shows more of the wrong classes.", metavar="T"),
    )
    weight: float = field(default=0.5, metadata=option("Share of the teacher in the loss.", metavar="FRACTION"))
    loss: tuple[str, ...] = field(
        default=("soft",),
        metadata=option(
            f"What is compared: {', '.join(LESSON_LOSSES)}; =WEIGHT behind a name weighs it.",
            metavar="NAME[=WEIGHT]",
        ),
    )
    layers: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "Layers that features and attention compare.",
            metavar="STUDENT=TEACHER",
            default="found by their sizes, and said",
        ),
    )
    student: str = field(
        default="",
        metadata=option(
            "Train this in place of MODEL, which becomes its teacher: a Keras file, a function that gives a model "
            "(needs --trust), or width=0.5,depth=0.5: a smaller MODEL with fresh weights.",
            flag="--student",
            metavar="FILE|MODULE:FUNCTION|SIZE",
        ),
    )
    engine: Literal["auto", "native"] = field(default="auto", metadata=ENGINE)

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        for name in ("teacher", "loss", "layers"):
            if isinstance(getattr(self, name), str):  # one by itself, as it is written in Python
                object.__setattr__(self, name, (getattr(self, name),))
        super().__post_init__()
        check_value("distill.temperature", "above 0", self.temperature, ok=0 < self.temperature < math.inf)
        check_value("distill.weight", "in (0, 1]", self.weight, ok=0 < self.weight <= 1)
        once = len(set(self.teacher)) == len(self.teacher) and all(self.teacher)
        check_value("distill.teacher", "files, each at most once", self.teacher, ok=once)
        allowed = "empty without a loss that compares layers (features, attention)"
        pairs = self.pairs
        check_value("distill.layers", allowed, self.layers, ok=self.compares_layers or not pairs)
        read_student(self.student)
        self._check_outside()

    def _check_outside(self) -> None:
        """Refuse what is said of other teachers where the model itself is the teacher."""
        for name in ("teacher_preprocess", "teacher_classes"):
            value = getattr(self, name)
            allowed = "empty without distill.teacher: the model itself takes and gives what it does"
            check_value(f"distill.{name}", allowed, value, ok=bool(self.teacher) or not value)
        form = not self.teacher_preprocess or ":" in self.teacher_preprocess
        check_value("distill.teacher_preprocess", "module:function", self.teacher_preprocess, ok=form)

    def check_against(self, recipe: Recipe) -> None:
        """Refuse stages that go by weights which are not trained yet."""
        super().check_against(recipe)
        rewriting = next((stage.kind for stage in recipe.stages if stage.phase == "rewrite"), None)
        if self.student_scale is not None and rewriting is not None:
            allowed = f"a trained model beside {rewriting}: fresh weights do not show what may go"
            check_value("distill.student", allowed, self.student, ok=False)

    @property
    def losses(self) -> dict[str, float]:
        """The weight of each loss from the teacher by its name."""
        return read_losses(self.loss)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Names of layers to compare, the student's and the teacher's; empty: they are to be found."""
        return read_layers(self.layers)

    @property
    def student_scale(self) -> StudentScale | None:
        """How much smaller than the model the student is, where it is made from it."""
        return read_student(self.student)

    @property
    def compares_layers(self) -> bool:
        """Whether a loss looks at what layers give, which is not kept between epochs."""
        return any(LESSON_LOSSES[name].of == "layers" for name in self.losses)

    @property
    def default_rate(self) -> float:
        """The optimizer's learning rate where a recipe gives none."""
        return FRESH_RATE if self.student else self.learning_rate

    @property
    def student_function(self) -> str:
        """``module:function`` that gives the student; empty: it comes otherwise."""
        is_function = self.student_scale is None and ":" in self.student
        return self.student if is_function and not self.student.endswith(MODEL_FILES) else ""

    @property
    def student_file(self) -> str:
        """The student's file; empty: it comes otherwise."""
        return "" if self.student_function or self.student_scale is not None else self.student

    @property
    def code(self) -> tuple[str, ...]:
        """What prepares the teachers' batches, and what gives the student."""
        return tuple(filter(None, (self.teacher_preprocess, self.student_function)))

    @property
    def sources(self) -> tuple[str, ...]:
        """The models, and where the names of the teachers' classes may stand."""
        return tuple(filter(None, (*self.model_files, self.teacher_classes)))

    @property
    def model_files(self) -> tuple[str, ...]:
        """Those of :attr:`sources` that are models."""
        return tuple(filter(None, (*self.teacher, self.student_file)))

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        return "distill" if not self.student else "student"
