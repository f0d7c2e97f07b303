"""One pass over the data before any work: every label, and every input that could hold NaN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tfcompress.data.adapt import Adapter
from tfcompress.data.labels import LabelCoder
from tfcompress.data.splits import LABEL_BATCH, BoundSplit, TableSplit
from tfcompress.errors import DataError

BATCH = 256


@dataclass
class Findings:
    """What the pass found.

    Attributes:
        warnings: one line each.
        missing_classes: a line on the classes that do not occur, by split.
    """

    warnings: list[str] = field(default_factory=list)
    missing_classes: dict[str, str] = field(default_factory=dict)


def examine_splits(splits: Mapping[str, BoundSplit], names: Sequence[str] = ()) -> Findings:
    """Read every split once; tables of integers only their labels.

    Args:
        splits: by name.
        names: of the classes in the order of their numbers, for messages; ``()``: they have none.

    Raises:
        DataError: what :class:`Adapter` and :class:`LabelCoder` refuse, NaN or Inf, zero samples.
    """
    findings = Findings()
    for name, split in splits.items():
        seen = _Seen(split.adapter.coders)
        _read(split, seen)
        if split.count() == 0:
            msg = f"data: the {name} split holds zero samples; give more data"
            raise DataError(msg)
        _judge(name, split.adapter, seen, findings, names)
    return findings


class _Seen:
    """Which classes occurred, and the range of whole-numbered targets, by output."""

    def __init__(self, coders: Mapping[str, LabelCoder]) -> None:
        self.coders = coders
        self.counts: dict[str, np.ndarray] = {}
        self.whole = dict.fromkeys(coders, True)
        self.unread = ""

    def add(self, encoded: Any) -> None:
        if encoded is None:
            return
        named = encoded if isinstance(encoded, dict) else {next(iter(self.coders)): encoded}
        for name, y in named.items():
            found = self.coders[name].occurring(y)
            if found is not None:
                self.counts[name] = self.counts.get(name, 0) + found
            elif self.whole[name]:
                self.whole[name] = bool(np.all(y == np.floor(y)))


def _read(split: BoundSplit, seen: _Seen) -> None:
    if isinstance(split, TableSplit):
        for encoded in split.labels(split.label_batch(LABEL_BATCH)):
            seen.add(encoded)
        doubtful = split.table.doubtful(split.rows, changed=_may_spoil(split.adapter))
        if 0 < len(doubtful) < split.size:
            seen.unread = f"{split.adapter.x_name}: {len(doubtful):,} of {split.size:,} images were decoded as a check"
        split = replace(split, rows=doubtful)
    for piece in split.pieces(BATCH):
        for name, x in split.adapter.inputs(piece.x).items():
            _check_finite(x, piece.rows, split.adapter.where(name))
        if not isinstance(split, TableSplit):
            seen.add(split.adapter.labels(piece.y, piece.rows))


def _may_spoil(adapter: Adapter) -> bool:
    """Whether good samples may become bad: by a user's function, or in an integer dtype that does not hold them."""
    narrow = any(np.dtype(spec.dtype).kind != "f" for spec in adapter.signature.inputs)
    return narrow or bool(adapter.preprocessing.function)


def _check_finite(x: np.ndarray, rows: np.ndarray, where: str) -> None:
    if x.dtype.kind != "f" or np.isfinite(x.sum(dtype=np.float64)):
        return
    bad = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
    if len(bad):
        msg = f"data: {where} holds NaN or Inf at sample {rows[bad[0]]:,}; mend or drop such samples"
        raise DataError(msg)


def _judge(name: str, adapter: Adapter, seen: _Seen, findings: Findings, names: Sequence[str]) -> None:
    if seen.unread:
        findings.warnings.append(seen.unread)
    for output, coder in adapter.coders.items():
        missing = np.flatnonzero(seen.counts.get(output, np.ones(1)) == 0)
        if len(missing):
            named = len(names) == coder.classes
            shown = [f"{number} ({names[number]})" if named else str(number) for number in missing[:10]]
            listed = ", ".join(shown) + (", ..." if len(missing) > 10 else "")
            findings.missing_classes[name] = (
                f"{coder.where} has no sample of class {listed} ({len(missing)} of {coder.classes} classes)"
            )
        doubt = coder.task.doubt(coder.form, whole=seen.whole[output])
        if doubt:
            findings.warnings.append(doubt)
