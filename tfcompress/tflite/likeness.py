"""How alike two files answer: what stands in for a score where there are no labels to score by."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.progress import SILENT, Progress
from tfcompress.tasks.classification import are_probabilities
from tfcompress.tflite.agreement import compare_outputs
from tfcompress.tflite.interpret import InterpreterProcess

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.data.splits import BoundSplit

SAMPLES = 1000
"""Samples that are compared, at most."""


def likeness_to_float(
    before: bytes,
    after: bytes,
    data: BoundData,
    *,
    float_data: BoundData | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Compare the outputs of a file with those of the float file, on samples that nothing was trained on if there are.

    Args:
        before: the float file.
        after: the other file, of the same inputs (but for the size of pictures) and outputs.
        float_data: the same data as the float file takes it; None: both take the same.
        data: the bound data; the test split is looked at, else the validation split, else the training split.
        seed: draws the samples where there are more than :data:`SAMPLES`.
        progress: where progress is shown.

    Returns:
        Plain values for the report: ``split``, ``samples``, and for each ``outputs`` the fields of
        :class:`tfcompress.tflite.agreement.OutputAgreement`; ``top1`` is None where the values are no classes.

    Raises:
        ContractError: the interpreter refuses a file, or dies of it; or values that are not finite.
    """
    split = _looked_at(data)
    samples = min(SAMPLES, split.count())
    inputs = _inputs(split.sample(samples, seed))
    floats = inputs
    if float_data is not None and float_data is not data:
        floats = _inputs(_looked_at(float_data).sample(samples, seed))
    found: list[dict[str, np.ndarray]] = []
    with progress.task("comparing with the float file", 2.0) as task:
        for content, taken in ((before, floats), (after, inputs)):
            with InterpreterProcess(content) as interpreter:
                found.append(interpreter.run(taken))
            task.advance()
    outputs = []
    for name, reference in found[0].items():
        compared = compare_outputs(name, reference, found[1][name], None)
        known = data.tasks.get(name)
        classes = are_probabilities(reference) or (known is not None and known.has_classes)
        outputs.append(dataclasses.asdict(compared if classes else dataclasses.replace(compared, top1=None)))
    return {"split": split.name, "samples": samples, "outputs": outputs}


def _looked_at(data: BoundData) -> BoundSplit:
    return next(split for split in (data.test, data.val, data.train) if split is not None)


def _inputs(split: BoundSplit) -> dict[str, np.ndarray]:
    batches = [x for x, _ in split.batches(256)]
    return {name: np.concatenate([x[name] for x in batches]) for name in batches[0]}
