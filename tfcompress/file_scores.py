"""How well a TFLite file does on the test split, in the interpreter."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tfcompress.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np

    from tfcompress.data.bound import BoundData
    from tfcompress.data.splits import Split
    from tfcompress.evaluate.class_order import ClassOrders
    from tfcompress.evaluate.scoring import Predict
    from tfcompress.run import Run
    from tfcompress.tasks.score import Score
    from tfcompress.tasks.task import Evaluation
    from tfcompress.tflite.export import TFLiteModel
    from tfcompress.tflite.micro.record import MicroTest

_FED = 1000
"""Test samples that are fed frame by frame, at most."""
_MICRO_BATCH = 32
"""Samples that TFLM is given before the progress moves."""


KEPT_BYTES = 16 << 20
"""Most bytes of answers that are kept of a file: all of 10,000 samples of 400 classes, some masks."""


class AnswerKeeper:
    """Runs a model, and keeps what it gives for the first samples."""

    def __init__(self, predict: Predict) -> None:
        """Keep nothing yet.

        Args:
            predict: runs it.
        """
        self._predict, self._room = predict, KEPT_BYTES
        self._batches: list[Mapping[str, np.ndarray]] = []

    def __call__(self, inputs: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Run a batch."""
        outputs = self._predict(inputs)
        size = sum(each.nbytes for each in outputs.values())
        if size <= self._room:
            self._room -= size
            self._batches.append({name: each.copy() for name, each in outputs.items()})
        else:
            self._room = -1  # the samples that are kept are the first ones
        return outputs

    def answers(self) -> dict[str, np.ndarray]:
        """Return what was kept, by output, (samples, ...): up to :data:`KEPT_BYTES`."""
        import numpy as np

        names = self._batches[0] if self._batches else ()
        return {name: np.concatenate([batch[name] for batch in self._batches]) for name in names}


def class_orders(data: BoundData) -> ClassOrders:
    """Return what shows whether a model numbers the classes of this data otherwise."""
    from tfcompress.evaluate.class_order import ClassOrders

    return ClassOrders(data.tasks, {name: coder.classes for name, coder in data.coders.items()})


def evaluate_file(
    content: bytes | Path,
    data: BoundData,
    title: str,
    progress: Progress = SILENT,
    orders: ClassOrders | None = None,
    *,
    keep_answers: bool = False,
) -> Evaluation:
    """Evaluate a TFLite file on the test split.

    Args:
        content: the file, or its path.
        data: the bound data.
        title: what the progress calls it.
        progress: where progress is shown.
        orders: look on as well; None: nobody does.
        keep_answers: the evaluation holds what the file gave for the first samples, up to :data:`KEPT_BYTES`.

    Raises:
        ContractError: the interpreter refuses the file, or dies of it.
        DataError: there is no test split.
    """
    from tfcompress.evaluate.scoring import evaluate
    from tfcompress.tflite.interpret import InterpreterProcess

    split = data.need_test()
    with InterpreterProcess(content) as interpreter, progress.task(title, split.size) as task:
        kept = AnswerKeeper(interpreter.run)
        predict = kept if keep_answers else interpreter.run
        found = evaluate(predict, split, data.tasks, **data.figures, orders=orders, progress_task=task)
    return dataclasses.replace(found, answers=kept.answers()) if keep_answers else found


def tuned_by(content: bytes, data: BoundData, seed: int, progress: Progress = SILENT) -> BoundData:
    """Return the data with tasks that have looked at what a file makes of the training split.

    Args:
        content: the float file, where there is one.
        data: the bound data; its tasks learn something there.
        seed: draws the samples.
        progress: where progress is shown.

    Raises:
        ContractError: the interpreter refuses the file, or dies of it.
    """
    from tfcompress.evaluate.tuning import tuned
    from tfcompress.tflite.interpret import InterpreterProcess

    with InterpreterProcess(content) as interpreter, progress.task("looking at the training split") as bar:
        return tuned(interpreter.run, data, seed, bar)


def tested_frame_by_frame(tflite: TFLiteModel, run: Run) -> TFLiteModel:
    """Evaluate a streaming file on test samples, each of which is fed frame by frame; its last answer counts.

    Args:
        tflite: the file of the whole window; one without a streaming file, or without test samples that can be scored,
            is returned as it is.
        run: its data, whose seed draws the samples where there are many.

    Raises:
        ContractError: the interpreter dies on the file.
    """
    found, data = tflite.streaming, run.data
    split = None if data is None else data.scored
    if found is None or data is None or split is None or found.model.gives_frames:
        return tflite
    from tfcompress.evaluate.scoring import evaluate
    from tfcompress.tflite.stream_feeding import answers_of
    from tfcompress.tflite.streaming_file import opened_stream
    from tfcompress.tflite.streaming_record import StreamTest

    together = max((task.together for task in data.tasks.values()), default=1)
    drawn = split.sample(_FED, run.recipe.train.seed, together=together)
    with run.phase("evaluate"), opened_stream(found.content) as process:
        version = process.opened()
        predict = functools.partial(answers_of, process, found.model)
        with run.progress.task("evaluating it frame by frame", drawn.size) as bar:
            score = evaluate(predict, drawn, data.tasks, **data.figures, progress_task=bar).score
    main = score.main_figure
    tested = StreamTest(
        runtime=f"LiteRT {version}",
        samples=score.samples,
        figure=score.main,
        value=main.value,
        low=main.low,
        high=main.high,
        unit=main.unit,
    )
    record = dataclasses.replace(found.record, tested=tested)
    return dataclasses.replace(tflite, streaming=dataclasses.replace(found, record=record))


def tested_in_micro(tflite: TFLiteModel, run: Run) -> TFLiteModel:
    """Evaluate a file for a microcontroller on test samples in TensorFlow Lite Micro, beside the reference kernels.

    The file with look-up tables is evaluated on the same samples, beside the one that it was made of.

    Args:
        tflite: the file; one that TFLM does not run, or without test samples that can be scored, is returned as it is.
        run: its data, whose seed draws the samples where the model is too large for all of them.

    Raises:
        ContractError: TFLM dies on the file, or computes something else than the reference kernels; or the file with
            look-up tables answers otherwise than the one without.
    """
    proven, lookup, data = tflite.verification.micro, tflite.lookup, run.data
    split = None if data is None else data.scored
    if (proven is None and lookup is None) or data is None or split is None:
        return tflite
    from tfcompress.tflite.micro.process import MicroProcess
    from tfcompress.tflite.micro.proof import LEAST_TESTED, TESTED, opened_in_both, sample_count
    from tfcompress.tflite.micro.same_answers import SameAnswers

    together = max((task.together for task in data.tasks.values()), default=1)
    same = SameAnswers()
    with run.phase("evaluate"), opened_in_both(tflite.content) as (micro, comparison):
        count = sample_count(micro.model, TESTED, LEAST_TESTED)
        drawn = split.sample(count, run.recipe.train.seed, together=together)
        what = "evaluating it in TensorFlow Lite Micro"
        score = _micro_score(same.kept(comparison.run), drawn, data, run.progress, what)
    if proven is not None:
        tested = _micro_test(score, None if comparison.unable else comparison.equal)
        verification = dataclasses.replace(tflite.verification, micro=dataclasses.replace(proven, tested=tested))
        tflite = dataclasses.replace(tflite, verification=verification)
    if lookup is None:
        return tflite
    with run.phase("evaluate"), MicroProcess(lookup.content) as micro:
        predict, what = same.held(micro.run, "the file with look-up tables"), "evaluating the look-up tables there"
        score = _micro_score(predict, drawn, data, run.progress, what)
    return dataclasses.replace(tflite, lookup=dataclasses.replace(lookup, tested=_micro_test(score, same.samples)))


def _micro_score(predict: Predict, drawn: Split, data: BoundData, progress: Progress, title: str) -> Score:
    from tfcompress.evaluate.scoring import evaluate

    with progress.task(title, drawn.size) as bar:
        return evaluate(predict, drawn, data.tasks, **data.figures, progress_task=bar, batch_size=_MICRO_BATCH).score


def _micro_test(score: Score, equal: int | None) -> MicroTest:
    from tfcompress.tflite.micro.record import MicroTest

    main = score.main_figure
    return MicroTest(
        samples=score.samples,
        equal=equal,
        figure=score.main,
        value=main.value,
        low=main.low,
        high=main.high,
        unit=main.unit,
    )
