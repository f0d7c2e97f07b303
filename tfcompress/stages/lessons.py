"""What a model can learn from a teacher: the table of losses. A loss is one function, and its line here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tfcompress.errors import RecipeError, nearest
from tfcompress.export_choices import Choice
from tfcompress.schema import check_value, pick


@dataclass(frozen=True, kw_only=True)
class LessonLoss(Choice):
    """A loss by which a student learns from a teacher, computed as :mod:`tfcompress.distillation.losses` says.

    Attributes:
        of: what it compares: ``outputs``, or what ``layers`` give.
        least_axes: fewest axes, besides that of the samples, that what is compared must have.
        source: the paper.
    """

    of: Literal["outputs", "layers"]
    least_axes: int = 1
    source: str = ""


_LOSSES = "tfcompress.distillation.losses"

LESSON_LOSSES: dict[str, LessonLoss] = {
    "soft": LessonLoss(
        about="Outputs softened by the temperature; numbers by their squared difference, directions by the cosine",
        of="outputs",
        implementation=f"{_LOSSES}:soft",
        least_axes=0,
        source="Hinton et al. 2015, arXiv:1503.02531",
    ),
    "cosine": LessonLoss(
        about="Directions of the output vectors (of classes, of their scores)",
        of="outputs",
        implementation=f"{_LOSSES}:cosine",
    ),
    "relations": LessonLoss(
        about="Distances and angles between the samples of a batch",
        of="outputs",
        implementation=f"{_LOSSES}:relations",
        least_axes=0,
        source="RKD, Park et al. 2019, arXiv:1904.05068",
    ),
    "features": LessonLoss(
        about="What layers give, through a learnt 1x1 projection, over the teacher's mean square",
        of="layers",
        implementation=f"{_LOSSES}:features",
        source="FitNets, Romero et al. 2015, arXiv:1412.6550",
    ),
    "attention": LessonLoss(
        about="Where layers look: squares averaged over the channels, at unit length",
        of="layers",
        implementation=f"{_LOSSES}:attention",
        least_axes=2,
        source="Zagoruyko & Komodakis 2017, arXiv:1612.03928",
    ),
}
"""Every loss by its name."""


def read_losses(texts: tuple[str, ...]) -> dict[str, float]:
    """Read ``NAME`` or ``NAME=WEIGHT`` each.

    Returns:
        The weight of each loss by its name, in the order given; 1 where none is said.

    Raises:
        RecipeError: no such loss, one that comes twice, a weight that is no number above 0, or none at all.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, said, factor = text.partition("=")
        pick("distill.loss", LESSON_LOSSES, name.strip())
        check_value("distill.loss", "names, each at most once", texts, ok=name.strip() not in found)
        found[name.strip()] = _weight(factor) if said else 1.0
    check_value("distill.loss", "at least one name", texts, ok=bool(found))
    return found


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    check_value("distill.loss", "NAME or NAME=WEIGHT with a weight above 0", text, ok=0 < weight < float("inf"))
    return weight


def read_layers(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Read ``STUDENT=TEACHER`` each; one name by itself is that of both layers.

    Raises:
        RecipeError: a name that is empty.
    """
    found = []
    for text in texts:
        own, said, teachers = (part.strip() for part in text.partition("="))
        pair = (own, teachers if said else own)
        check_value("distill.layers", "STUDENT=TEACHER, the names of two layers", text, ok=all(pair))
        found.append(pair)
    return tuple(found)


@dataclass(frozen=True)
class StudentScale:
    """A student made from the model by its size.

    Attributes:
        width: fraction of the channels and units of every hidden layer, in (0, 1].
        depth: fraction of the blocks that could go without changing a shape, in (0, 1].
    """

    width: float = 1.0
    depth: float = 1.0


_SCALES = ("width", "depth")


def read_student(text: str) -> StudentScale | None:
    """Read ``width=0.5``, ``depth=0.5`` or both with a comma; None: the text names a file or a function.

    Raises:
        RecipeError: a misspelt name, one that comes twice, a value outside (0, 1], or nothing that becomes smaller.
    """
    if "=" not in text:
        return None
    given: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        if name not in _SCALES or name in given:
            msg = (
                "distill.student must be a file, module:function, or width=FRACTION and depth=FRACTION, each once, "
                f"got {text!r}{nearest(name, _SCALES)}"
            )
            raise RecipeError(msg)
        try:
            given[name] = float(number)
        except ValueError:
            given[name] = 0.0
        check_value(f"distill.student {name}", "a number in (0, 1]", number, ok=0 < given[name] <= 1)
    check_value("distill.student", "smaller than the model in width or depth", text, ok=min(given.values()) < 1)
    return StudentScale(**given)
