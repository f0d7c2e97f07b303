"""Dividing unnamed data into a training and a test part, the same way each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfcompress.data import stratification
from tfcompress.data.splits import LABEL_BATCH, BoundSplit, Keep, StreamSplit, TableSplit
from tfcompress.errors import DataError

MARKS = 500_000_000
"""Most values of a table of kinds: samples by tags, a byte each."""

DRAWS = 100
"""Ways of dividing groups that are drawn, of which the best is taken."""

DRAWN_GROUPS = 10_000_000
"""Most groups that all draws together put in order."""


def divided(
    split: BoundSplit, fraction: float, seed: int, windows_of: int | None = None
) -> tuple[BoundSplit, BoundSplit, str]:
    """Return the parts for training and for testing, and what kept them alike, in words.

    Of a table, exactly ``round(fraction * size)`` rows are drawn by *seed*, at least one, as many of each class (or
    identity, tag: :meth:`Task.kinds`) as its share is; the last sample of a class stays in training as long as others
    can go, and of tags, each that occurs twice is in both parts where that can be. Rows with groups go by whole groups:
    of :data:`DRAWS` ways, the one whose size and classes come nearest to it. Samples of a stream are held out
    by a hash of their number and *seed*: about *fraction* of them, whatever their class.

    Args:
        split: what is divided.
        fraction: of the samples that is held out, in (0, 1).
        seed: draws them.
        windows_of: so many samples in a row are of one clip, which then is a group; None: each is by itself.

    Raises:
        DataError: fewer than two samples or groups, or a stream that comes in another order each time.
    """
    if not isinstance(split, TableSplit):
        _check_order(split)
        return (
            replace(
                split, name="train", keep=_also(split.keep, lambda rows: ~held_out(rows, fraction, seed)), _counted=[]
            ),
            replace(
                split, name="test", keep=_also(split.keep, lambda rows: held_out(rows, fraction, seed)), _counted=[]
            ),
            "",
        )
    if split.size < 2:
        msg = f"data: {split.adapter.x_name} must hold at least 2 samples to be divided into train and test, got 1"
        raise DataError(msg)
    held = min(max(1, round(fraction * split.size)), split.size - 1)
    rng, groups, (kinds, word) = np.random.default_rng(seed), split.groups(), _kinds(split)
    if groups is None and windows_of is not None:
        groups = split.rows // windows_of
    if groups is not None:
        mask, how = _by_group(groups, kinds, held, rng, split.adapter.x_name)
    elif kinds is None:
        mask, how = np.zeros(split.size, bool), ""
        mask[rng.permutation(split.size)[:held]] = True
    else:
        draw = stratification.of_classes if kinds.ndim == 1 else stratification.of_marks
        mask, how = draw(kinds, held, rng), f", of each {word} alike"
    train, test = split.rows[~mask], split.rows[mask]
    return replace(split, name="train", rows=train), replace(split, name="test", rows=test), how


def _also(before: Keep | None, now: Keep) -> Keep:
    """Return what keeps the samples that both keep."""
    return now if before is None else lambda rows: before(rows) & now(rows)


def _kinds(split: TableSplit) -> tuple[np.ndarray | None, str]:
    """Return what both parts should have their share of, as :meth:`Task.kinds` tells it, and what it is in a word.

    It is that of the first output that has any; None where none has, or where it would take too much memory.
    """
    for name, coder in split.adapter.coders.items():
        first = next((coder.task.kinds(_of_output(encoded, name)) for encoded in split.labels(1)), None)
        if first is None or first.size * split.size > MARKS:
            continue
        labels = (_of_output(encoded, name) for encoded in split.labels(split.label_batch(LABEL_BATCH)))
        parts = [part for each in labels if (part := coder.task.kinds(each)) is not None]
        return np.concatenate(parts), coder.task.kind
    return None, ""


def _of_output(encoded: object, name: str) -> np.ndarray:
    return np.asarray(encoded[name] if isinstance(encoded, dict) else encoded)


def _by_group(
    groups: np.ndarray, kinds: np.ndarray | None, held: int, rng: np.random.Generator, where: str
) -> tuple[np.ndarray, str]:
    """Draw whole groups of together about *held* samples; return a mask, and what was done in words."""
    different, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(different) < 2:
        msg = (
            f"data: {where} is one group (overlapping windows of one piece are, too), which cannot be divided into "
            "train and test; give --group with more groups, or a test split"
        )
        raise DataError(msg)
    rows, present = _occurring(kinds, len(codes))
    pairs, pair_counts = np.unique(np.stack([codes.reshape(-1)[rows], present]), axis=1, return_counts=True)
    totals = np.bincount(present)
    spread = (np.bincount(pairs[1]) > 1) & (kinds is not None and kinds.ndim > 1)  # marks that both parts may have
    wanted = held * totals / len(codes)
    best, chosen = np.inf, np.zeros(len(different), bool)
    for _ in range(max(1, min(DRAWS, DRAWN_GROUPS // len(different)))):
        order = rng.permutation(len(different))
        sums = np.cumsum(sizes[order])[:-1]
        inside = np.zeros(len(different), bool)
        inside[order[: int(np.argmin(np.abs(sums - held))) + 1]] = True
        tested = np.bincount(pairs[1], weights=pair_counts * inside[pairs[0]], minlength=len(totals))
        # A class that training would lack is worse than any difference in size.
        lost = 4 * (tested == totals).sum() + 2 * (spread & (tested == 0)).sum()
        cost = np.abs(tested - wanted).sum() + abs(sizes[inside].sum() - held) + len(codes) * lost
        if cost < best:
            best, chosen = cost, inside
    mask = chosen[codes.reshape(-1)]
    return mask, f", by whole groups: {chosen.sum():,} of {len(different):,}, {mask.sum():,} samples"


def _occurring(kinds: np.ndarray | None, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sample, and the number of the kind, of each time that a kind occurs, int64."""
    if kinds is not None and kinds.ndim > 1:
        rows, marks = np.nonzero(np.column_stack([kinds, ~kinds.any(axis=1)]))  # what has no mark is a kind, too
        return rows, np.unique(marks, return_inverse=True)[1].reshape(-1)
    if kinds is None:
        return np.arange(samples), np.zeros(samples, np.int64)
    return np.arange(samples), np.unique(kinds, return_inverse=True)[1].reshape(-1)


def _check_order(split: StreamSplit) -> None:
    first, again = (next(split.pieces(64)) for _ in range(2))
    same = all(np.array_equal(part, again.x[name]) for name, part in first.x.items())
    if not same:
        msg = (
            f"data: {split.adapter.x_name} comes in another order each time, so no part can be held out for testing; "
            "give it without shuffle(), or one data set for each split"
        )
        raise DataError(msg)


def held_out(rows: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Tell which sample numbers are held out: those whose hash, as a fraction of 2**64, is below *fraction*.

    The hash is the finaliser of SplitMix64 (Steele, Lea & Flood 2014, "Fast Splittable Pseudorandom Number Generators",
    OOPSLA, figure 17, variant 13 of Stafford's).

    Args:
        rows: sample numbers, int64.
        fraction: of the samples, in (0, 1).
        seed: chooses another part.

    Returns:
        bool, as *rows*.
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        z = (rows.astype(np.uint64) + np.uint64(1)) * golden + np.uint64(seed) * np.uint64(0xD1342543DE82EF95)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return z < np.uint64(int(fraction * 2**64))
