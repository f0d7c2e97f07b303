"""Rows that belong together (a session, a person), so that none of them trains what others of them test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np

from tfcompress.data.arrays import ALL, SPLITS, ArraySplit
from tfcompress.data.ondisk import Rows
from tfcompress.data.raw import RawSplit
from tfcompress.errors import DataError, nearest

LISTED = 3
"""Most groups that a line names."""


def with_groups(
    splits: Mapping[str, RawSplit], members: Mapping[str, Rows], group: str, source: str
) -> dict[str, RawSplit]:
    """Give each split of arrays the array beside them that says which samples belong together.

    Args:
        splits: of the arrays called ``x``, ``x_train``, …
        members: every array by name: *group* for ``x``, ``group_train`` for ``x_train``.
        group: its name.
        source: what messages call the data.

    Raises:
        DataError: there is no such array for a split, or it has not one value for each sample.
    """
    found: dict[str, RawSplit] = {}
    for name, split in splits.items():
        key = group if name == ALL else f"{group}_{name}"
        rows = members.get(key)
        if rows is None or not isinstance(split, ArraySplit):
            near = nearest(key, [each for each in members if each not in ("x", "y")])
            msg = f"data {source!r} must hold an array {key!r} beside {split.x_name}, the group of each sample{near}"
            raise DataError(msg)
        if rows.shape != (split.size,) or rows.dtype.kind not in "biufUS":
            msg = (
                f"data: {key} must hold one number or text for each of the {split.size:,} samples of {split.x_name}, "
                f"got shape {rows.shape} of {rows.dtype}"
            )
            raise DataError(msg)
        found[name] = replace(split, group=rows)
    return found


def check_apart(groups: Mapping[str, np.ndarray | None]) -> None:
    """Refuse a group that lies in two splits.

    Args:
        groups: of the samples of each split, or None.

    Raises:
        DataError: naming the first.
    """
    known = {name: values for name in (*SPLITS, ALL) if (values := groups.get(name)) is not None}
    different = {name: np.unique(values.astype(np.str_)) for name, values in known.items()}
    different = {name: values[values != ""] for name, values in different.items()}  # windows of what has no groups
    for one, other in combinations(different, 2):
        shared = np.intersect1d(different[one], different[other])
        if len(shared):
            listed = ", ".join(shared[:LISTED]) + (", ..." if len(shared) > LISTED else "")
            msg = (
                f"data: {len(shared):,} groups lie in {one} and in {other} ({listed}), so that the score would be too "
                "good; put each group into one split, or leave --group out"
            )
            raise DataError(msg)
