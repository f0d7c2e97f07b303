"""Run every sample of the data through the model and hand its outputs to the scorers and to files."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from edge_runner import accuracy, feeding, told
from edge_runner.arrays import ArrayError, release
from edge_runner.interpreter import Model, Tensor
from edge_runner.ndarray import Array

_ALIVE_SECONDS = 0.5
_HELD_BYTES = 1 << 24
"""So much of the data files is read before its memory is given back."""


def score(
    model: Model,
    feed: feeding.Feed,
    data: Mapping[str, Array],
    *,
    task: str = "auto",
    limit: int | None,
    predictions: bool,
    folder: str | None,
    alive: Callable[[str], None],
) -> dict[str, Any]:
    """Score the outputs that the data has labels for.

    Args:
        model: opened and allocated.
        feed: its samples.
        data: all arrays of the data file; ``y.NAME`` or ``y`` are labels.
        task: one of :data:`edge_runner.accuracy.TASKS`; ``auto`` is what the data says of each output, else what its
            labels look like.
        limit: score only so many samples, the first; None: all.
        predictions: keep each sample's predicted class.
        folder: where to write each output as stored, ``NUMBER.npy`` of shape (samples, …); None: nowhere.
        alive: notified of how far it is.

    Returns:
        ``outputs``: the scores by output; ``right``: which samples were (see
        :func:`edge_runner.mcnemar.compare_scored`); ``warnings``: what could not be scored, and why.

    Raises:
        DataError: labels that do not fit.
    """
    outputs = model.outputs
    count = feed.size if limit is None else min(limit, feed.size)
    scorers, warnings = _scorers(model, feed, data, count, task)
    files = {tensor.name: _file(folder, number, tensor, count) for number, tensor in enumerate(outputs) if folder}
    if scorers or files:
        _run(model, feed, count, scorers, files, alive)
    found = {name: labelled.scorer for name, labelled in scorers.items()}
    results = {name: scorer.result() for name, scorer in found.items()}
    for name, scorer in found.items():
        if predictions and scorer.predictions is not None:
            results[name]["predictions"] = scorer.predictions
    right = {name: scorer.right for name, scorer in found.items() if scorer.right}
    return {"outputs": results, "right": right, "warnings": warnings}


def _scorers(
    model: Model, feed: feeding.Feed, data: Mapping[str, Array], count: int, task: str
) -> tuple[dict[str, accuracy.Labelled], list[str]]:
    """Return the scorer of each output that can be scored, and why others that have a task cannot."""
    outputs, scorers, warnings = model.outputs, {}, []
    known = told.told_tasks(data) if task == "auto" else {}
    for tensor in outputs:
        labels = feeding.labels_for(tensor.name, len(outputs), data)
        said = told.told_for(tensor.name, len(outputs), known)
        chosen = task if said is None else said.task
        if chosen not in accuracy.TASKS:
            warnings.append(f"output {tensor.name!r} is not scored: edge_runner has no task {chosen!r}")
            continue
        if labels is None and (chosen == "auto" or accuracy.SCORERS[chosen].needs_labels):
            continue
        if labels is not None and len(labels) < count:
            msg = f"data must hold a label for each of the {count} samples, got {len(labels)} for {tensor.name!r}"
            raise ArrayError(msg)
        options = None if said is None else said.options
        labels = None if labels is None else labels[:count]
        scorers[tensor.name] = accuracy.scorer(labels, _output(model, feed, tensor), chosen, options)
    return scorers, warnings


def _output(model: Model, feed: feeding.Feed, tensor: Tensor) -> accuracy.Output:
    inputs = model.inputs
    return accuracy.Output(
        tensor.shape[1:],
        class_numbers=tensor.dtype.kind in "iu" and tensor.scale is None,
        where=f"labels of output {tensor.name!r}",
        input_shape=inputs[0].shape[1:] if len(inputs) == 1 else None,
        sample=functools.partial(feed.real, inputs[0]),
    )


def _file(folder: str | None, number: int, tensor: Tensor, count: int) -> Array:
    shape = (count, *tensor.shape[1:])
    return open_memmap(Path(str(folder)) / f"{number}.npy", "w+", dtype=tensor.dtype, shape=shape)


def _run(
    model: Model,
    feed: feeding.Feed,
    count: int,
    scorers: Mapping[str, accuracy.Labelled],
    files: Mapping[str, Array],
    alive: Callable[[str], None],
) -> None:
    inputs, outputs = model.inputs, model.outputs
    batch = _batch(inputs, outputs)
    beat, held = time.monotonic(), 0
    for start in range(0, count, batch):
        model.reset()
        for tensor in inputs:
            model.put(tensor, feed.batch(tensor, start))
        model.invoke()
        for tensor in outputs:
            stored = model.get(tensor)
            real = feeding.dequantize(stored, tensor)
            taken = min(batch, count - start)
            if tensor.name in files:
                files[tensor.name][start : start + taken] = stored[:taken]
            if tensor.name in scorers:
                scorers[tensor.name].take(start, np.asarray(real[:taken]))
            held += stored.nbytes
        held += sum(feed.arrays[tensor.name][start : start + batch].nbytes for tensor in inputs)
        if held > _HELD_BYTES:  # data may be larger than the memory
            _release(feed, scorers, files)
            held = 0
        if time.monotonic() - beat > _ALIVE_SECONDS:
            alive(f"sample {start + batch} of {count}")
            beat = time.monotonic()
    for array in files.values():
        array.flush()  # type: ignore[attr-defined]  # open_memmap's arrays are mappings


def _release(feed: feeding.Feed, scorers: Mapping[str, accuracy.Labelled], files: Mapping[str, Array]) -> None:
    feed.release()
    labels = (scorer.labels for scorer in scorers.values() if scorer.labels is not None)
    for array in (*labels, *files.values()):
        release(array)


def _batch(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> int:
    sizes = {tensor.name: tensor.shape[0] if tensor.shape else 0 for tensor in (*inputs, *outputs)}
    if len(set(sizes.values())) != 1:
        msg = f"the first extent of every input and output must be the batch to score samples, got {sizes}"
        raise ArrayError(msg)
    return next(iter(sizes.values()))
