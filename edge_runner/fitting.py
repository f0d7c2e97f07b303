"""Labels and an output of a task: whether they fit, and the scorer that they want."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from edge_runner.accuracy import Labelled, Output
from edge_runner.arrays import ArrayError
from edge_runner.ndarray import Array
from edge_runner.score_autoencoder import AutoencoderScorer
from edge_runner.score_embedding import EmbeddingScorer
from edge_runner.score_multi_label import MultiLabelScorer
from edge_runner.score_tokens import PADDING, TokenScorer
from edge_runner.scorers import (
    BinaryScorer,
    ChosenClassScorer,
    ClassificationScorer,
    RegressionScorer,
)
from edge_runner.segmentation import VOID, SegmentationScorer

_PIECE_BYTES = 1 << 22


def looks_like(labels: Array, output: Output) -> str:
    """Return the task that labels and output look like."""
    if _each(labels) == 1 and _whole(labels):
        least, most = _extremes(labels)
        binary = least >= 0 and most <= 1
        if output.size == 1 and output.class_numbers and least >= 0:
            return "classification"
        if output.size == 1:
            return "binary" if binary else "regression"
        return "autoencoder" if binary and output.size > 2 and output.shape == output.input_shape else "classification"
    if _each(labels) > 1 and labels.dtype.kind in "iub" and _pixels(labels, output) and _classes_of(labels, output):
        return "segmentation"
    if labels.ndim == 2 and _each(labels) == output.size > 1 and _zeros_and_ones(labels):
        return "classification" if _one_hot(labels) else "multi-label"
    if labels.dtype.kind in "iu" and _steps(labels, output):
        return "tokens"
    return "regression"


def classification(labels: Array, output: Output, options: Mapping[str, Any]) -> Labelled:
    """Return what scores classes: numbers, one a sample or one for each position, or one-hot."""
    if _each(labels) == output.size > 1 and _one_hot(labels):
        pieces = [piece.reshape(len(piece), -1).argmax(axis=1) for piece in _pieces(labels)]
        return Labelled(ClassificationScorer(output.size), np.concatenate(pieces))
    if _each(labels) > 1 and _each(labels) * output.shape[-1] == output.size and _whole(labels):
        return Labelled(ClassificationScorer(output.shape[-1]), _in_range(labels, output, output.shape[-1]))
    if _each(labels) != 1 or not _whole(labels):
        _refuse_shape(labels, output, "one class number a sample")
    least, most = _extremes(labels)
    if output.size == 1 and output.class_numbers and least >= 0:
        return Labelled(ChosenClassScorer(int(most) + 1), labels.reshape(-1))
    return Labelled(ClassificationScorer(output.size), _in_range(labels, output, output.size).reshape(-1))


def _in_range(labels: Array, output: Output, classes: int) -> Array:
    least, most = _extremes(labels)
    if least < 0 or most >= classes:
        allowed = f"class numbers in 0..{classes - 1} (the model has {classes} outputs)"
        msg = f"{output.where} must be {allowed}, got {least:g}..{most:g}"
        raise ArrayError(msg)
    return labels


def binary(labels: Array, output: Output, options: Mapping[str, Any]) -> Labelled:
    """Return what scores yes or no."""
    if output.size != 1:
        msg = f"task binary needs an output of one value a sample, got {output.shape}; leave --task out"
        raise ArrayError(msg)
    return Labelled(BinaryScorer(_number(options, "threshold")), _zero_or_one(labels, output))


def multi_label(labels: Array, output: Output, options: Mapping[str, Any]) -> Labelled:
    """Return what scores any number of tags a sample."""
    if output.size < 2 or _each(labels) != output.size:
        _refuse_shape(labels, output, "0 or 1 for each tag")
    if not _zeros_and_ones(labels):
        least, most = _extremes(labels)
        msg = f"{output.where} must be 0 or 1 for each tag, got {least:g}..{most:g}"
        raise ArrayError(msg)
    return Labelled(MultiLabelScorer(output.shape[-1]), labels)


def autoencoder(labels: Array | None, output: Output, options: Mapping[str, Any]) -> Labelled:
    """Return what scores reconstructions by samples that are normal (0) or anomalous (1), or by their error alone."""
    if output.shape != output.input_shape or output.sample is None:
        shapes = f"an output of the only input's shape {output.input_shape}, got {output.shape}"
        msg = f"task autoencoder needs {shapes}; leave --task out"
        raise ArrayError(msg)
    windows_of = int(options.get("windows_of", 1))
    scorer = AutoencoderScorer(output.sample, windows_of)
    if labels is None:
        return Labelled(scorer, None)
    labels = _zero_or_one(labels, output)
    if len(labels) % windows_of:
        msg = (
            f"{windows_of} samples make a clip, says the data, and {len(labels)} are no whole number of clips; "
            f"give --limit a multiple of {windows_of}"
        )
        raise ArrayError(msg)
    return Labelled(scorer, labels)


def tokens(labels: Array, output: Output, options: Mapping[str, Any]) -> Labelled:
    """Return what scores a class for each step, :data:`edge_runner.score_tokens.PADDING` where there is none."""
    if not _steps(labels, output) or not _whole(labels):
        allowed = f"class numbers of shape {output.shape[:-1]}" if len(output.shape) == 2 else "those of another task"
        msg = f"{output.where} must be {allowed} a sample, got {labels.dtype} of shape {labels.shape[1:]}"
        raise ArrayError(msg)
    least, most = _extremes(labels, but=PADDING)
    if least < 0 or most >= output.shape[-1]:
        allowed = f"class numbers in 0..{output.shape[-1] - 1}, and {PADDING} for padding"
        msg = f"{output.where} must be {allowed}, got {least:g}..{most:g}"
        raise ArrayError(msg)
    told = options.get("perplexity")
    perplexity = told if isinstance(told, bool) else None
    return Labelled(TokenScorer(output.shape[-1], perplexity=perplexity, sample=output.sample), labels)


def _steps(labels: Array, output: Output) -> bool:
    """Whether there is a label for each step of the output, (steps, classes)."""
    each = labels.shape[1:-1] if labels.ndim == 3 and labels.shape[-1] == 1 else labels.shape[1:]
    return len(output.shape) == 2 and each == tuple(output.shape[:1])


def embedding(labels: Array, output: Output, options: Mapping[str, Any]) -> Labelled:
    """Return what scores vectors by identities, whole numbers."""
    if _each(labels) != 1 or not _whole(labels) or output.size < 2:
        allowed = "a whole number a sample, and the output a vector"
        msg = f"{output.where} must be {allowed}, got {labels.dtype} of shape {labels.shape[1:]} and {output.shape}"
        raise ArrayError(msg)
    return Labelled(EmbeddingScorer(), labels.reshape(-1))


def _zero_or_one(labels: Array, output: Output) -> Array:
    whole = _each(labels) == 1 and _whole(labels)
    least, most = _extremes(labels) if whole else (0, 0)
    if not whole or least < 0 or most > 1:
        got = f"{least:g}..{most:g}" if whole else f"{labels.dtype} of shape {labels.shape}"
        msg = f"{output.where} must be 0 or 1 a sample, got {got}"
        raise ArrayError(msg)
    return labels.reshape(-1)


def regression(labels: Array, output: Output, options: Mapping[str, Any]) -> Labelled:
    """Return what scores numbers."""
    if _each(labels) != output.size:
        _refuse_shape(labels, output, "one class number a sample")
    return Labelled(RegressionScorer(), labels)


def segmentation(labels: Array, output: Output, options: Mapping[str, Any]) -> Labelled:
    """Return what scores a class for each pixel."""
    if not _pixels(labels, output) or not _whole(labels):
        allowed = f"class numbers of shape {output.shape[:2]}"
        msg = f"{output.where} must be {allowed} a sample, got {labels.dtype} of shape {labels.shape[1:]}"
        raise ArrayError(msg)
    plane = output.size == _each(labels)
    kind = "scores" if not plane else "classes" if output.class_numbers else "mask"
    ignored = int(_number(options, "ignore_label", VOID))
    known = {"scores": output.shape[-1], "mask": 2, "classes": VOID}[kind]
    least, most = _extremes(labels, but=ignored)
    if least < 0 or most >= known:
        void = f", and {ignored} for pixels that do not count" if not 0 <= ignored < known else ""
        msg = f"{output.where} must be class numbers in 0..{known - 1}{void}, got {least:g}..{most:g}"
        raise ArrayError(msg)
    classes = int(most) + 1 if kind == "classes" else known
    return Labelled(SegmentationScorer(classes, kind, ignored), labels)


def _pixels(labels: Array, output: Output) -> bool:
    """Whether labels are planes of the output's height and width."""
    planes = labels.shape[1:-1] if labels.ndim == 4 and labels.shape[-1] == 1 else labels.shape[1:]
    return len(planes) == 2 and len(output.shape) in (2, 3) and planes == tuple(output.shape[:2])


def _classes_of(labels: Array, output: Output) -> bool:
    """Whether whole numbers a pixel can be classes: a plane of reals has two, anything else as many as it says."""
    if output.size != _each(labels) or output.class_numbers:
        return True
    least, most = _extremes(labels, but=VOID)
    return bool(least >= 0 and most <= 1)


def _refuse_shape(labels: Array, output: Output, first: str) -> None:
    msg = f"{output.where} must be {first} or of the output's shape {tuple(output.shape)}, got {labels.shape[1:]}"
    raise ArrayError(msg)


def _each(labels: Array) -> int:
    """How many numbers a sample's label has."""
    return int(np.prod(labels.shape[1:], dtype=np.int64))


def _whole(labels: Array) -> bool:
    """Whether every label is a whole number, whatever the dtype."""
    if labels.dtype.kind != "f":
        return True
    return all(bool(np.all(piece == np.round(piece))) for piece in _pieces(labels))


def _zeros_and_ones(labels: Array) -> bool:
    return all(bool(np.all((piece == 0) | (piece == 1))) for piece in _pieces(labels))


def _number(options: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """Return an option that must be a number.

    Raises:
        ArrayError: it is none.
    """
    found = options.get(name, default)
    if found is not default and (isinstance(found, bool) or not isinstance(found, (int, float))):
        msg = f"option {name!r} of the data's task must be a number, got {found!r:.80}"
        raise ArrayError(msg)
    return found


def _one_hot(labels: Array) -> bool:
    rows = (piece.reshape(len(piece), -1) for piece in _pieces(labels))
    return all(bool(np.all((row == 0) | (row == 1)) and np.all(row.sum(axis=1) == 1)) for row in rows)


def _extremes(labels: Array, but: int | None = None) -> tuple[Any, Any]:
    """Return the least and the largest label other than *but*, zeros when there is none."""
    taken = (piece if but is None else piece[piece != but] for piece in _pieces(labels))
    ends = [(piece.min(), piece.max()) for piece in taken if piece.size]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0, 0)


def _pieces(labels: Array) -> Iterator[Array]:
    rows = max(1, _PIECE_BYTES // max(1, _each(labels) * labels.dtype.itemsize))
    return (np.asarray(labels[start : start + rows]) for start in range(0, len(labels), rows))
