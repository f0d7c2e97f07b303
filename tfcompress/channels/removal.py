"""The stage that removes channels: from a model and what is asked to a smaller model of the same kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfcompress.channels.compensation import compensate_
from tfcompress.channels.criteria import Scores, scores
from tfcompress.channels.groups import analyse_channels, groups
from tfcompress.channels.ranking import Candidate, ChannelChoice
from tfcompress.channels.removal_plan import ChannelsResult, Measure, RemovalPlan, less_limited
from tfcompress.channels.sensitivity import Evaluate, Sensitivity, analyse, copy_of, fingerprint
from tfcompress.channels.statistics import renew_
from tfcompress.channels.surgery import kept_atoms, narrow
from tfcompress.channels.task_loss import merit_of, score_of
from tfcompress.errors import UsageError
from tfcompress.models.samples import Samples
from tfcompress.progress import SILENT, Progress
from tfcompress.recipe import Channels
from tfcompress.stages.rewriting import RewritingContext, Rewritten, bisected
from tfcompress.tasks.figures import AREA, FRACTION, figure_kind


def rewrite(model: Any, stage: Channels, context: RewritingContext) -> Rewritten:
    """Remove channels as a stage of a run; see :func:`remove_channels`."""
    found = remove_channels(
        model,
        stage,
        samples=context.samples,
        measure=context.latency_ratio,
        original=context.original,
        left=context.left,
        cache=context.cache if stage.spare is not None else None,
        seed=context.seed,
        progress=context.progress,
    )
    return Rewritten(found.model, found.notes, 1.0 - found.removed)


def check_removable(model: Any, stage: Channels) -> None:
    """Refuse a model of which no channel can go.

    Args:
        model: a functional or sequential Keras 3 model.
        stage: what would be asked.

    Raises:
        UsageError: a scope that matches nothing.
        UnsupportedError: nothing in the model can shrink.
    """
    RemovalPlan.of(model, stage, model, 1.0)


def remove_channels(
    model: Any,
    stage: Channels,
    *,
    samples: Samples | None = None,
    evaluate: Evaluate | None = None,
    measure: Measure | None = None,
    original: Any | None = None,
    left: float = 1.0,
    cache: Path | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> ChannelsResult:
    """Remove the channels that matter least until *stage.remove* of the model's cost is gone.

    Args:
        model: a functional or sequential Keras 3 model; it stays as it is.
        stage: what is asked. Its ``cycles`` do not count here: call once a cycle, with one of its ``parts``.
        samples: representative training data. With it the kernels behind the removed channels, and
            BatchNormalization's averages, are fitted to what is left; the criteria ``taylor`` (with labels or aims)
            and ``activation`` need it.
        evaluate: gives a model's score, higher is better, for ``spare``; None: the main figure of the labels' task
            on *samples*.
        measure: gives the ratio of latencies of a smaller model and the original, for ``of="latency"``.
        original: the model before the first cycle, of which ``at_most`` counts; None: *model*.
        left: share that earlier cycles left, of which ``remove`` counts.
        cache: folder that keeps sensitivity analyses; None: none is kept.
        seed: of everything random.
        progress: where progress goes.

    Raises:
        UsageError: a scope that matches nothing, a target that cannot be reached, a latency without *measure*.
        UnsupportedError: nothing in the model can shrink, or the criterion can judge nothing of it.
        DataError: a criterion, or ``spare``, without the data that it needs.
    """
    if stage.of == "latency" and measure is None:
        msg = "channels.of must be 'macs', 'parameters' or 'bytes' where no latency can be measured, got 'latency'"
        raise UsageError(msg)
    plan = RemovalPlan.of(model, stage, original or model, left)
    with progress.task("scoring channels"):
        judged = scores(model, plan.free, stage.judged_by, samples=samples)
    found, drop = None, 0.0
    if stage.spare is not None:
        found, drop = _sensitivity(plan, judged, samples, evaluate, cache, progress)
    candidates = plan.candidates(judged, found, drop)
    with progress.task("choosing channels"):
        choice = (
            _by_latency(plan, candidates, measure, samples, seed)
            if measure is not None and stage.of == "latency"
            else plan.choose(candidates, stage.remove)
        )
    plan.check(choice)
    with progress.task("removing channels"):
        smaller = narrowed(model, choice.keep, samples, seed)
    return plan.result(smaller, choice, judged, measure)


def _sensitivity(
    plan: RemovalPlan,
    judged: Scores,
    samples: Samples | None,
    evaluate: Evaluate | None,
    cache: Path | None,
    progress: Progress,
) -> tuple[Sensitivity, float]:
    """Measure what each group costs by itself.

    Returns:
        That, and ``spare`` in the unit of the score: points where that ends at 1, as a caller's own is taken to.
    """
    spare = plan.stage.spare or 0.0
    if evaluate is not None:
        inputs = None if samples is None else samples.inputs
        return analyse(plan.model, judged, evaluate, inputs=inputs, progress=progress), spare / 100.0
    data = _scorable(samples)
    known, place = score_of(plan.original, data), None
    if cache is not None:
        settings = {"criterion": plan.stage.judged_by, "figure": figure_kind(known.main).title}
        place = cache / f"{fingerprint(plan.model, data, settings)}.json"

    def score(model: Any) -> float:
        return merit_of(score_of(model, data))

    found = analyse(plan.model, judged, score, inputs=data.inputs, cache=place, progress=progress)
    return found, spare / 100.0 if known.main_figure.unit in (FRACTION, AREA) else spare


def _scorable(samples: Samples | None) -> Samples:
    if samples is None or (samples.labels is None and all(task.needs_labels for task in samples.tasks.values())):
        msg = "channels.spare needs samples with labels, or an evaluate function, got neither; give training data"
        raise UsageError(msg)
    return samples


def _by_latency(
    plan: RemovalPlan, candidates: Sequence[Candidate], measure: Measure, samples: Samples | None, seed: int
) -> ChannelChoice:
    """Find by bisection the fraction of multiply-accumulates whose removal gives the latency asked for.

    Raises:
        UsageError: the latency is not reached with every group at its floor.
    """
    goal, low, high = 1.0 - plan.stage.remove, 0.0, 1.0 - plan.choose(candidates, 1.0).least / plan.whole
    best = plan.choose(candidates, high)
    ratio = plan.ratio(narrow(plan.model, best.keep), measure)
    if ratio > goal:
        msg = (
            f"channels.remove must be at most {1.0 - ratio:.2f} of the latency of this model here, got "
            f"{plan.stage.remove:g}; {less_limited(plan.stage)}"
        )
        raise UsageError(msg)

    def at(removed: float) -> tuple[ChannelChoice, float]:
        choice = plan.choose(candidates, removed)
        return choice, plan.ratio(narrow(plan.model, choice.keep), measure)

    return bisected(at, best, goal=goal, kept_at=high, missed_at=low)


def narrowed(model: Any, keep: Mapping[str, Sequence[int]], samples: Samples | None, seed: int = 0) -> Any:
    """Return a model with fewer channels; with samples, what is left is fitted to what the others said.

    Args:
        model: a functional or sequential Keras 3 model; it stays as it is.
        keep: as for :func:`~tfcompress.channels.surgery.narrow`.
        samples: representative data; None: nothing is fitted.
        seed: shuffles the samples.

    Raises:
        UsageError: what :func:`~tfcompress.channels.surgery.narrow` refuses.
    """
    if samples is None or not keep:
        return narrow(model, keep)
    kept_atoms(analyse_channels(model), keep)  # refused before anything is changed
    copy = copy_of(model)
    compensate_(groups(copy), keep, copy, samples.inputs)
    smaller = narrow(copy, keep)
    renew_(smaller, samples.inputs, seed=seed)
    return smaller
