"""The pictures of a run put together: weights, activations, confusion, and samples whose answer changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.gallery.activation_counts import activation_counts
from tfcompress.gallery.answers import MOST_CLASSES, AnswerPair, answer_pair
from tfcompress.gallery.kernel_counts import kernel_counts
from tfcompress.gallery.thumbnails import thumbnail
from tfcompress.reports.pictures import ChangedAnswer, Pictures, ValueCounts

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.reports.sections import Layer
    from tfcompress.result import Result
    from tfcompress.run import Run
    from tfcompress.tasks.task import Evaluation

SHOWN = 12
"""So many samples are shown."""
_MEASURE = "the RMS of the difference over the spread of the float file's answers"

Words = Mapping[str, Sequence[str]]


def pictures_of(run: Run, made: Result, layers: Sequence[Layer]) -> Pictures | None:
    """Gather what a page shows of a run beside its report; None where there is no float file to compare with.

    Args:
        run: with its float file, the scores of both, and what came out of the layers.
        made: the model that was exported, and its file.
        layers: those of the model as it came.
    """
    if run.baseline is None:
        return None
    return run_pictures(
        made.tflite.sha256,
        kernel_counts(run.baseline, made.tflite.content, layers, () if run.compared is None else run.compared.rows),
        _activations(run, made, layers),
        run.data,
        run.scores,
        run.loaded.vocabularies,
    )


@dataclass(frozen=True)
class _Activations:
    """What came out of layers: the counts, what they were computed on, and what is not there."""

    counts: tuple[ValueCounts, ...] = ()
    on: str = ""
    note: str = ""


def _activations(run: Run, made: Result, layers: Sequence[Layer]) -> _Activations:
    if run.compared is None:
        return _Activations()
    source = None if made.model is run.loaded.native else run.loaded.native
    counts, note = activation_counts(run.compared, source, [layer.name for layer in layers])
    size = len(next(iter(run.compared.inputs.values()), ()))
    split = "random inputs" if run.data is None else f"samples of {run.data.representative_split.name!r}"
    return _Activations(counts, f"{size} {split}" if counts else "", note)


def run_pictures(
    sha256: str,
    weights: tuple[tuple[ValueCounts, ...], str],
    activations: _Activations,
    data: BoundData | None,
    scores: Mapping[str, Evaluation],
    vocabularies: Words,
) -> Pictures:
    """Put together what a page shows of a run beside its report.

    Args:
        sha256: of the result.
        weights: what :func:`tfcompress.gallery.kernel_counts.kernel_counts` gave.
        activations: what came out of layers.
        data: the bound data, whose test split was scored; None: there is none.
        scores: of ``float`` and ``result``, with the answers that they kept.
        vocabularies: words by input.
    """
    counted: dict[str, Any] = {
        "sha256": sha256,
        "weights": weights[0],
        "activations": activations.counts,
        "activations_on": activations.on,
    }
    notes = [note for note in (weights[1], activations.note) if note]
    found = _pair(data, scores)
    if data is None or found is None:
        notes.append("no test samples were scored by both files, so no answers are compared")
        return Pictures(**counted, notes=tuple(notes))
    pair, total = found
    size = len(pair.before)
    if size < total:
        notes.append(f"the first {size:,} of {total:,} test samples are compared, as many answers as were kept")
    if pair.classes > MOST_CLASSES and pair.kind != "tags":
        notes.append(f"{pair.classes:,} classes are too many for a matrix of which is taken for which")
    return Pictures(
        **counted,
        samples=size,
        changed=None if pair.kind == "numbers" else int(np.count_nonzero(pair.moved)),
        measure=_MEASURE if pair.kind == "numbers" else "",
        classes=pair.names,
        confusions=pair.confusions(),
        answers=_changed(pair, data, vocabularies),
        notes=tuple(notes),
    )


def _pair(data: BoundData | None, scores: Mapping[str, Evaluation]) -> tuple[AnswerPair, int] | None:
    """Return the main output's answers by both files, and how many samples the test split has."""
    if data is None or data.scored is None or not {"float", "result"} <= set(scores):
        return None
    before, after = scores["float"].answers, scores["result"].answers
    task_name = next(iter(data.tasks))
    name = task_name if task_name in before else next(iter(before), "")
    if name not in before or name not in after:
        return None
    size = min(len(before[name]), len(after[name]))
    one, two = before[name][:size], after[name][:size]
    if not size or one.shape != two.shape or not (np.isfinite(one).all() and np.isfinite(two).all()):
        return None
    labels = _labels(data, task_name, size)
    return answer_pair(one, two, labels, data.tasks[task_name], data.dataset.labels), scores["float"].score.samples


def _labels(data: BoundData, name: str, size: int) -> np.ndarray | None:
    if data.scored is None:
        return None
    parts: list[Any] = []
    for _, y in data.scored.batches(256, limit=size):
        parts.append(y.get(name) if isinstance(y, dict) else y)
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known and len(known) == len(parts) else None


def _changed(pair: AnswerPair, data: BoundData, vocabularies: Words) -> tuple[ChangedAnswer, ...]:
    """Return the samples whose answers changed most; where answers are classes, those first that were right before."""
    moved = pair.moved
    candidates = np.flatnonzero(moved)
    verdicts = {int(number): _verdict(pair, int(number)) for number in candidates}
    far = pair.margins if pair.kind == "class" else moved
    order = sorted(verdicts, key=lambda number: (verdicts[number] != "lost", -float(far[number]), number))[:SHOWN]
    inputs = _inputs(data, order)
    return tuple(
        ChangedAnswer(
            number=number,
            shown=(
                *(thumbnail(name, each, vocabularies.get(name, ())) for name, each in inputs[number].items()),
                *pair.masks(number),
            ),
            label="" if pair.labels is None else pair.words(pair.labels, number),
            before=pair.words(pair.before, number, pair.outputs[0]),
            after=pair.words(pair.after, number, pair.outputs[1]),
            verdict=verdicts[number],
        )
        for number in order
        if number in inputs
    )


def _verdict(pair: AnswerPair, number: int) -> str:
    right = pair.right(number)
    if right is None or right[0] == right[1]:
        return ""
    return "lost" if right[0] else "gained"


def _inputs(data: BoundData, numbers: Sequence[int]) -> dict[int, dict[str, np.ndarray]]:
    """Return the inputs of some samples of the test split, by the samples' numbers."""
    wanted, found = set(numbers), dict[int, dict[str, np.ndarray]]()
    if data.scored is None or not wanted:
        return found
    start = 0
    for x, _ in data.scored.batches(256, limit=max(wanted) + 1):
        size = len(next(iter(x.values())))
        for number in wanted.intersection(range(start, start + size)):
            found[number] = {name: each[number - start] for name, each in x.items()}
        start += size
    return found
