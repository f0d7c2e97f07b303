"""Dividing unnamed data into a training and a test part, the same way each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfcompress.data.splits import BoundSplit, Keep, StreamSplit, TableSplit
from tfcompress.errors import DataError

LABEL_BATCH = 8192
"""Labels that are looked at together."""

DRAWS = 100
"""Ways of dividing groups that are drawn, of which the best is taken."""

DRAWN_GROUPS = 10_000_000
"""Most groups that all draws together put in order."""


def divided(
    split: BoundSplit, fraction: float, seed: int, windows_of: int | None = None
) -> tuple[BoundSplit, BoundSplit, str]:
    """Return the parts for training and for testing, and what kept them alike, in words.

    Of a table, exactly ``round(fraction * size)`` rows are drawn by *seed*, at least one, as many of each class as its
    share is; the last sample of a class stays in training as long as others can go. Rows with groups go by whole
    groups: of :data:`DRAWS` ways, the one whose size and classes come nearest to it. Samples of a stream are held out
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
    rng, groups, classes = np.random.default_rng(seed), split.groups(), _classes(split)
    if groups is None and windows_of is not None:
        groups = split.rows // windows_of
    if groups is not None:
        mask, how = _by_group(groups, classes, held, rng, split.adapter.x_name)
    elif classes is None:
        mask, how = np.zeros(split.size, bool), ""
        mask[rng.permutation(split.size)[:held]] = True
    else:
        mask, how = _by_class(classes, held, rng), ", of each class alike"
    train, test = split.rows[~mask], split.rows[mask]
    return replace(split, name="train", rows=train), replace(split, name="test", rows=test), how


def _also(before: Keep | None, now: Keep) -> Keep:
    """Return what keeps the samples that both keep."""
    return now if before is None else lambda rows: before(rows) & now(rows)


def _classes(split: TableSplit) -> np.ndarray | None:
    """Return the class of each sample, shape (samples,); None where samples have none, or several."""
    name = next((name for name, coder in split.adapter.coders.items() if coder.task.has_classes), None)
    if name is None:
        return None
    found = []
    for encoded in split.labels(1):
        if _of_output(encoded, name).size != 1:
            return None
        break
    for encoded in split.labels(LABEL_BATCH):
        found.append(_of_output(encoded, name).reshape(-1))
    return np.concatenate(found).astype(np.int64)


def _of_output(encoded: object, name: str) -> np.ndarray:
    return np.asarray(encoded[name] if isinstance(encoded, dict) else encoded)


def _by_class(classes: np.ndarray, held: int, rng: np.random.Generator) -> np.ndarray:
    """Draw *held* of the samples, of each class its share, the rest to the largest remainders; return a mask."""
    _, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    order = rng.permutation(len(codes))
    exact = held * counts / len(codes)
    most = counts - 1  # one of each class is to stay
    taken = np.minimum(np.floor(exact).astype(np.int64), most)
    ranking = np.lexsort((rng.random(len(counts)), taken - exact))
    while taken.sum() < held:
        open_classes = [place for place in ranking if taken[place] < most[place]]
        if not open_classes:
            most = counts
            continue
        taken[open_classes[: held - int(taken.sum())]] += 1
    by_class = order[np.argsort(codes[order], kind="stable")]
    place = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    mask = np.zeros(len(codes), bool)
    mask[by_class[place < np.repeat(taken, counts)]] = True
    return mask


def _by_group(
    groups: np.ndarray, classes: np.ndarray | None, held: int, rng: np.random.Generator, where: str
) -> tuple[np.ndarray, str]:
    """Draw whole groups of together about *held* samples; return a mask, and what was done in words."""
    different, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(different) < 2:
        msg = (
            f"data: {where} is one group (overlapping windows of one piece are, too), which cannot be divided into "
            "train and test; give --group with more groups, or a test split"
        )
        raise DataError(msg)
    _, kinds = (None, np.zeros(len(codes), np.int64)) if classes is None else np.unique(classes, return_inverse=True)
    pairs, pair_counts = np.unique(np.stack([codes, kinds]), axis=1, return_counts=True)
    totals = np.bincount(kinds)
    wanted = held * totals / len(codes)
    best, chosen = np.inf, np.zeros(len(different), bool)
    for _ in range(max(1, min(DRAWS, DRAWN_GROUPS // len(different)))):
        order = rng.permutation(len(different))
        sums = np.cumsum(sizes[order])[:-1]
        inside = np.zeros(len(different), bool)
        inside[order[: int(np.argmin(np.abs(sums - held))) + 1]] = True
        tested = np.bincount(pairs[1], weights=pair_counts * inside[pairs[0]], minlength=len(totals))
        # A class that training would lack is worse than any difference in size.
        cost = np.abs(tested - wanted).sum() + abs(tested.sum() - held) + 4 * len(codes) * (tested == totals).sum()
        if cost < best:
            best, chosen = cost, inside
    mask = chosen[codes.reshape(-1)]
    return mask, f", by whole groups: {chosen.sum():,} of {len(different):,}, {mask.sum():,} samples"


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
