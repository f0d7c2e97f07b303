"""What a training stage is given to find out, before it begins, what its user left open."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcompress.progress import SILENT, Progress

if TYPE_CHECKING:
    from tfcompress.models.samples import Samples
    from tfcompress.settings import Export
    from tfcompress.stages.stage import Stage


class FileRest(NamedTuple):
    """What the file of a model takes that was not trained.

    Attributes:
        rest_bytes: without the values of some kernels: of the file with look-up tables where one is asked for, else of
            the package.
        plain_bytes: of the file as it is.
    """

    rest_bytes: int
    plain_bytes: int


@dataclass(frozen=True, kw_only=True)
class PlanningContext:
    """What planning may use.

    Attributes:
        samples: representative training data; None: there is none.
        export: how the trained model will be lowered; None: it is not known.
        measure_file: from a Keras model, and how many kernels there are by the number of their elements, to what its
            file takes; None: no file is made.
        beside: the stages that train together with it.
        seed: of everything random.
        progress: where progress goes.
    """

    samples: Samples | None = None
    export: Export | None = None
    measure_file: Callable[[Any, Mapping[int, int]], FileRest] | None = None
    beside: tuple[Stage, ...] = ()
    seed: int = 0
    progress: Progress = SILENT


@dataclass(frozen=True)
class Planned:
    """A stage with nothing left open.

    Attributes:
        stage: the stage.
        notes: what was measured and chosen; sentences for the report.
    """

    stage: Stage
    notes: tuple[str, ...] = ()


def plan_stages(
    model: Any, stages: Sequence[Stage], context: PlanningContext
) -> tuple[tuple[Stage, ...], tuple[str, ...]]:
    """Return stages with nothing left open, and what there is to say about it.

    Args:
        model: the Keras 3 model that they will train; it stays as it is.
        stages: what is asked.
        context: what may be used.

    Raises:
        TfcompressError: what the stages' own functions raise.
    """
    found: list[Stage] = []
    notes: list[str] = []
    for stage in stages:
        if not (stage.undecided and stage.planning):
            found.append(stage)
            continue
        module, _, name = stage.planning.partition(":")
        plan: Callable[[Any, Stage, PlanningContext], Planned] = getattr(importlib.import_module(module), name)
        made = plan(model, stage, dataclasses.replace(context, beside=tuple(stages)))
        found.append(made.stage)
        notes += made.notes
    return tuple(found), tuple(notes)
