"""A data set as the user gives it, and how it is bound to a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfcompress.data import memory, numbering
from tfcompress.data.adapt import Adapter
from tfcompress.data.arrays import ALL
from tfcompress.data.bound import BoundData, missing, sizes_text
from tfcompress.data.cell import data_cell
from tfcompress.data.class_names import OutputKey, first_names
from tfcompress.data.coding import check_figures, check_labelling, coders_for, unlabelled_tasks
from tfcompress.data.holdout import divided
from tfcompress.data.labels import LabelCoder
from tfcompress.data.learnt import learnt_part
from tfcompress.data.preprocessing import Preprocessing
from tfcompress.data.raw import NOTHING_TOLD, Labels, RawSplit, RowSplit
from tfcompress.data.sessions import check_apart
from tfcompress.data.soundness import sound_rows
from tfcompress.data.splits import BoundSplit, Split, StreamSplit, TableSplit
from tfcompress.data.validation import judged_by_validation, with_validation
from tfcompress.errors import DataError, UsageError
from tfcompress.files import sha256
from tfcompress.tasks.labelling import UNSAID, Labelling
from tfcompress.tasks.task import Task

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature

PEEK = 1024
"""Labels that are looked at to infer what they mean, spread over the split."""


PEEK_BYTES = 64 << 20
"""Most bytes that they take."""


@dataclass(frozen=True, repr=False)
class Dataset:
    """A data set before the model is known; :func:`tfcompress.data.sources.load_data` builds it.

    Attributes:
        source: what the user gave, as text.
        splits: some of ``train``, ``test``, ``val``, or only ``all``.
        preprocessing: what is done to the inputs.
        labels: names of the classes in the order of their numbers; empty where the data has none.
        files: the files it is read from.
        warnings: what a user must know about how it was read, one line each: an order of classes that nobody gave.
        remarks: what the report says about how it was read, one line each.
        skip_corrupt: leave out samples that cannot be read, or hold NaN, and say which.
        labelling: what the user said about the tasks of the model's outputs.
        alphabetical: what the names of the classes come from (``class folders``), where nobody gave their order, so
            that it is the alphabet's; else empty.
        named: the outputs whose labels hold the names, where that is known and there are several; by name or place.
        reading: how it was opened, as plain values by the arguments of :func:`tfcompress.data.sources.load_data` that
            were given, without those of the preprocessing; None: it is no path or name, but an object in memory.
    """

    source: str
    splits: Mapping[str, RawSplit]
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    labels: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    skip_corrupt: bool = False
    labelling: Labelling = UNSAID
    alphabetical: str = ""
    named: tuple[OutputKey, ...] = ()
    reading: Mapping[str, Any] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """Say in a line what it is."""
        sizes = {name: getattr(split, "size", None) for name, split in self.splits.items()}
        named = f"; classes {first_names(self.labels)}" if self.labels else ""
        return f"Dataset({self.source!r}: {sizes_text(sizes)}{named:.200})"

    def _repr_html_(self) -> str:
        """Return its splits and what is done to them, as notebooks show it; nothing is read for that."""
        sizes = {name: getattr(split, "size", None) for name, split in self.splits.items()}
        steps = self.preprocessing
        done = {"scale": steps.scale, "mean": steps.mean, "std": steps.std, "function": steps.function}
        return data_cell(self.source, sizes, done, self.labels, self.warnings)

    @cached_property
    def sha256(self) -> str | None:
        """The file's SHA-256; of several files, that of the lines ``SHA-256  path``; None for data in memory."""
        if len(self.files) <= 1:
            return sha256(self.files[0]) if self.files else None
        found = [path.absolute() for path in self.files]
        top = os.path.commonpath([path.parent for path in found])
        lines = [f"{sha256(path)}  {path.relative_to(top)}\n" for path in found]
        return sha256("".join(lines).encode("utf-8", "surrogateescape"))

    def check_trainable(self) -> None:
        """Refuse data that shows already that it cannot train: no training split.

        Raises:
            DataError: naming what is missing.
        """
        if not {"train", ALL} & set(self.splits):
            raise missing(self.source, "train", self.splits)

    def bind(
        self,
        signature: Signature,
        *,
        holdout: float | None = 0.2,
        seed: int = 0,
        validation: float = 0.0,
        judged_by: Literal["test", "val"] = "test",
    ) -> BoundData:
        """Fit the data to a model; the first samples of each split are read.

        Args:
            signature: the model's.
            holdout: fraction of unnamed data (``x`` and ``y``) that is kept for testing; None: all of it is the test
                split.
            seed: chooses what is held out; the same data and seed give the same parts.
            validation: fraction of the training split that becomes the validation split; 0: none does.
            judged_by: ``val`` puts the validation split in the test split's place, which then nobody looks at.

        Raises:
            DataError: no samples, another shape or dtype than the model wants, labels that make no sense for the model.
        """
        self.preprocessing.check()
        opened = {name: self._opened(raw, signature) for name, raw in self.splits.items()}
        check_apart({name: split.groups() for name, (split, _) in opened.items()})
        check_labelling(self.labelling, signature)
        numbering.check_numbering(self, signature)
        peeks = {name: (split.adapter, labels) for name, (split, labels) in opened.items()}
        dataset, coders = numbering.numbered(self, coders_for(peeks, self.labelling), signature)
        unlabelled = unlabelled_tasks(self.labelling, signature, coders)
        bound = {name: _coded(name, split, coders[name], unlabelled) for name, (split, _) in opened.items()}
        note = ""
        if ALL in bound and holdout is None:
            bound = {"test": _renamed(bound[ALL], "test")}
        elif ALL in bound and not bound[ALL].adapter.tasks and bound[ALL].size == 1:
            bound = {"train": _renamed(bound[ALL], "train")}  # to calibrate, one sample without a label will do
        elif ALL in bound:
            train, test, how = divided(bound[ALL], holdout or 0.0, seed, self.labelling.windows_of)
            bound = {"train": train, "test": test}
            note = f"{100 * (holdout or 0.0):g} % of 'all' held out by seed {seed}{how}"
        parts = {name: learnt_part(bound[name]) for name in ("train", "val") if name in bound}
        bound |= {name: part for name, (part, _) in parts.items()}
        said = tuple(words for _, words in parts.values() if words)
        data = BoundData(dataset, signature, bound.get("train"), bound.get("test"), bound.get("val"), note, said)
        check_figures(self.labelling, data)
        data = with_validation(data, validation, seed) if validation else data
        return data if judged_by == "test" else judged_by_validation(data)

    def _opened(self, raw: RawSplit, signature: Signature) -> tuple[BoundSplit, Labels]:
        """Return a split whose labels mean nothing yet, and some of its labels."""
        fitted = raw.fit(signature)
        adapter = Adapter(signature, self.preprocessing, raw.x_name, raw.y_name, {})
        if not isinstance(fitted, RowSplit):
            if self.skip_corrupt:
                msg = f"--skip-corrupt leaves out samples of folders, tables and arrays; {raw.x_name} is read in one go"
                raise UsageError(msg)
            stream = StreamSplit("", adapter, fitted)
            first = next(stream.pieces(PEEK), None)
            if first is None:
                raise _empty(adapter)
            adapter.inputs({key: part[:1] for key, part in first.x.items()})
            return stream, first.y
        if fitted.size == 0:
            raise _empty(adapter)
        numbers = f"the numbers of {fitted.size:,} samples of {adapter.x_name}"
        skipped = NOTHING_TOLD.warnings
        if self.skip_corrupt:
            memory.need(8 * fitted.size, numbers)
            rows, skipped = sound_rows(fitted, raw.x_name, raw.y_name)
            adapter.inputs(fitted.read(rows[:1]).x)
        else:
            # Damage is reported before anything as long as the table is made.
            adapter.inputs(fitted.read(np.zeros(1, np.int64)).x)
            memory.need(8 * fitted.size, numbers)
            rows = np.arange(fitted.size)
        told = fitted.told._replace(warnings=(*fitted.told.warnings, *skipped))
        return TableSplit("", adapter, fitted, rows, told), fitted.labels(_spread(rows, fitted))


def _spread(rows: np.ndarray, table: RowSplit) -> np.ndarray:
    """Return some of *rows*: :data:`PEEK`, or fewer where their labels (masks) are large."""
    first = table.labels(rows[:1])
    parts = first.values() if isinstance(first, dict) else [] if first is None else [first]
    count = max(1, min(PEEK, PEEK_BYTES // max(1, sum(part.nbytes for part in parts))))
    return rows[np.unique(np.linspace(0, len(rows) - 1, count).astype(np.int64))]


def _coded(
    name: str, split: BoundSplit, coders: Mapping[str, LabelCoder], unlabelled: Mapping[str, Task]
) -> BoundSplit:
    return replace(split, name=name, adapter=split.adapter.with_coders(coders, unlabelled))


def _renamed(split: BoundSplit, name: str) -> BoundSplit:
    return replace(split, name=name)


def _empty(adapter: Adapter) -> DataError:
    return DataError(f"data: {adapter.x_name} holds zero samples; give at least one")


__all__ = ["BoundData", "Dataset", "Split"]
