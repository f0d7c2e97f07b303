"""What the stages of a run leave open, found out before they are trained."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tfcompress.stages.decisions import PlanningContext, plan_stages

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData
    from tfcompress.models.samples import Samples
    from tfcompress.recipe import Stage
    from tfcompress.run import Run


def decided_stages(
    run: Run, data: BoundData, stages: tuple[Stage, ...], samples: Samples, model: Any | None = None
) -> tuple[Stage, ...]:
    """Return stages with what was left open measured; what was found is shown and kept for the report.

    Args:
        run: the run.
        data: its data.
        stages: what trains together.
        samples: training data to measure on.
        model: the Keras 3 model that they will train; None: the run's own, or its student. Where that has no graph of
            layers, stages stay as they are.

    Raises:
        TfcompressError: what the stages' own planning raises.
    """
    if not any(stage.undecided for stage in stages):
        return stages
    learner = model
    if learner is None:
        learner = run.loaded.keras3 if run.student is None else run.student
    if learner is None:
        return stages
    from tfcompress.tflite.kernel_rest import measured_file

    about: dict[str, Any] = {"data": data, "metadata": run.metadata, "converter": run.converter}
    context = PlanningContext(
        samples=samples,
        export=run.recipe.export,
        measure_file=functools.partial(measured_file, recipe=run.recipe, **about),
        seed=run.recipe.train.seed,
        progress=run.progress,
    )
    with run.phase("plan stages"):
        decided, notes = plan_stages(learner, stages, context)
    for note in notes:
        run.warn(note)
    return decided
