"""How well a TFLite file does on the test split, in the interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tfcompress.progress import SILENT, Progress

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.evaluate.class_order import ClassOrders
    from tfcompress.tasks.task import Evaluation


def class_orders(data: BoundData) -> ClassOrders:
    """Return what tells whether a model numbers the classes of this data otherwise."""
    from tfcompress.evaluate.class_order import ClassOrders

    return ClassOrders(data.tasks, {name: coder.classes for name, coder in data.coders.items()})


def evaluate_file(
    content: bytes | Path,
    data: BoundData,
    title: str,
    progress: Progress = SILENT,
    orders: ClassOrders | None = None,
) -> Evaluation:
    """Evaluate a TFLite file on the test split.

    Args:
        content: the file, or its path.
        data: the bound data.
        title: what the progress calls it.
        progress: where to tell how far it is.
        orders: look on as well; None: nobody does.

    Raises:
        ContractError: the interpreter refuses the file, or dies of it.
        DataError: there is no test split.
    """
    from tfcompress.evaluate.scoring import evaluate
    from tfcompress.tflite.interpret import InterpreterProcess

    split = data.need_test()
    with InterpreterProcess(content) as interpreter, progress.task(title, split.size) as task:
        return evaluate(interpreter.run, split, data.tasks, **data.figures, orders=orders, progress_task=task)


def tuned_by(content: bytes, data: BoundData, seed: int, progress: Progress = SILENT) -> BoundData:
    """Return the data with tasks that have looked at what a file makes of the training split.

    Args:
        content: the float file, where there is one.
        data: the bound data; its tasks learn something there.
        seed: draws the samples.
        progress: where to tell how far it is.

    Raises:
        ContractError: the interpreter refuses the file, or dies of it.
    """
    from tfcompress.evaluate.tuning import tuned
    from tfcompress.tflite.interpret import InterpreterProcess

    with InterpreterProcess(content) as interpreter, progress.task("looking at the training split") as bar:
        return tuned(interpreter.run, data, seed, bar)
