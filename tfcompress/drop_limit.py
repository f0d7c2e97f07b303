"""The limit of what a file may lose against float: refused where it cannot be proven, and checked on the report."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from tfcompress.errors import DataError, PromiseError, UsageError
from tfcompress.reports.rungs import LadderRecord, RungRecord
from tfcompress.tasks.drop import Drop, drop_of, nothing_lost

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.recipe import Recipe
    from tfcompress.reports.report import Report
    from tfcompress.run import Run
    from tfcompress.tasks.task import Evaluation


def check_test_split(run: Run) -> None:
    """Refuse a limit where there is nothing to prove it on, before any work.

    Raises:
        DataError: no test split, or none that can be scored.
        UsageError: a model whose float weights are gone.
    """
    if not run.recipe.promises:
        return
    if run.loaded.qat:
        raise no_float()
    if run.data is None:
        raise no_data()
    try:
        run.data.need_test()
    except DataError as error:
        msg = f"export.max_drop is proven on test samples: {error}"
        raise DataError(msg) from error


def no_data() -> DataError:
    """Return the error for a limit without data."""
    return DataError(
        "export.max_drop is proven on test samples with labels, and there is no data; give --data (an .npz with "
        "x_train, y_train, x_test, y_test, say)"
    )


def no_float() -> UsageError:
    """Return the error for a limit on a model that was trained with rounding already."""
    return UsageError(
        "export.max_drop compares with the float model, and this model was quantization-aware trained already: "
        "what float did is not known; give the model from before that, with --qat"
    )


def check_provable(data: BoundData, evaluation: Evaluation, max_drop: float) -> None:
    """Refuse a limit that no file could be proven to keep on these test samples: not even one that answers alike.

    Args:
        data: the bound data.
        evaluation: the float file's.
        max_drop: in points.

    Raises:
        DataError: too few samples, with how many would do.
        UsageError: a figure whose drop has no interval, or is no percentage of anything.
    """
    for name, found in (evaluation.outputs or {"": evaluation}).items():
        task = data.tasks[name] if name in data.tasks else next(iter(data.tasks.values()))
        same = task.compare(found, found)
        drop = f"{found.score.main} of the float model is not known" if same is None else drop_of(same, found.score)
        where = f"output {name!r}: " if name else ""
        if isinstance(drop, str):
            msg = f"export.max_drop cannot be proven: {where}{drop}; compare by another figure, or leave max_drop out"
            raise UsageError(msg)
        if drop.bound > max_drop:
            least = math.ceil(10 * drop.bound) / 10
            needed = math.ceil((found.score.samples + 2) * drop.bound / max_drop)  # the interval adds two
            msg = (
                f"export.max_drop {max_drop:g} cannot be proven on {found.score.samples:,} test samples: {where}a file "
                f"with the very same answers might lose {drop.bound:.2f} {drop.point} on others (95 % interval); give "
                f"about {needed:,} test samples, or max_drop {least:g}"
            )
            raise DataError(msg)


def drops_of(report: Report, recipe: Recipe) -> dict[str, Drop]:
    """Return what each scored output lost, by name; of a single one under the empty name.

    Args:
        report: of a run.
        recipe: of the same.

    Raises:
        UsageError: nothing can be said of an output.
    """
    score = report.result.score
    if report.baseline is None and score is not None and not recipe.stages and recipe.export.quantize == "none":
        return {"": nothing_lost(score)}  # it is the float file
    before = None if report.baseline is None else report.baseline.score
    compared = report.comparison
    found = compared.outputs or ({} if compared.main is None else {"": compared.main})
    if before is None or not found:
        msg = "export.max_drop cannot be checked: the result and the float file have no figure in common"
        raise UsageError(msg)
    drops = {name: drop_of(each, before.outputs.get(name, before)) for name, each in found.items()}
    unknown = next((drop for drop in drops.values() if isinstance(drop, str)), None)
    if unknown is not None:
        msg = f"export.max_drop cannot be checked: {unknown}"
        raise UsageError(msg)
    return {name: drop for name, drop in drops.items() if isinstance(drop, Drop)}


def judged(report: Report, recipe: Recipe, name: str, seconds: float) -> RungRecord:
    """Say what a run lost, in its worst output, and whether that is within the limit.

    Args:
        report: of the run.
        recipe: of the same; it has a limit.
        name: what the way is called that was tried.
        seconds: that the run took.
    """
    drops = drops_of(report, recipe)
    output = max(drops, key=lambda name: drops[name].bound)
    worst, limit = drops[output], recipe.export.max_drop
    return RungRecord(
        name=name,
        recipe=recipe.name,
        outcome="missed" if limit is not None and worst.bound > limit else "kept",
        output=output,
        points=worst.points,
        low=worst.low,
        high=worst.bound,
        point=worst.point,
        figure=worst.figure,
        samples=0 if report.result.score is None else report.result.score.samples,
        size_bytes=report.result.size_bytes,
        seconds=seconds,
    )


def with_ladder(report: Report, ladder: LadderRecord) -> Report:
    """Return the report with what was tried."""
    verification = {**report.result.verification, "promise": ladder.to_dict()}
    return dataclasses.replace(report, result=dataclasses.replace(report.result, verification=verification))


def kept_or_refused(report: Report, recipe: Recipe) -> Report:
    """Return the report of a single run with what was promised; of one without a limit, as it is.

    Raises:
        PromiseError: more was lost.
    """
    limit = recipe.export.max_drop
    if limit is None:
        return report
    seconds = sum(phase or 0.0 for phase in report.wall_seconds.values())
    found = judged(report, recipe, "as asked", seconds)
    ladder = LadderRecord(max_drop=limit, rungs=(found,))
    if found.outcome == "kept":
        return with_ladder(report, ladder)
    msg = f"export.max_drop {limit:g} is not kept: {found.said}; tfcompress.compress and export try further ways"
    raise PromiseError(msg, ladder.to_dict())
