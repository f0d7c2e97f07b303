"""A data set that fits a model: the one interface that training, calibration and evaluation read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.data import lint, runner_file
from tfcompress.data.coding import metrics_of, unlabelled_choices
from tfcompress.data.duplicates import Duplicates, duplicates
from tfcompress.data.labels import LabelCoder
from tfcompress.data.runner_file import MOST_BYTES
from tfcompress.data.splits import BoundSplit
from tfcompress.errors import DataError
from tfcompress.tasks.metric import Metric
from tfcompress.tasks.task import Task
from tfcompress.tasks.task_table import said_task

if TYPE_CHECKING:
    from tfcompress.data.dataset import Dataset
    from tfcompress.models.specs import Signature

STATISTICS_SAMPLES = 200
"""Samples behind the ranges in :meth:`BoundData.describe`."""

WEIGHT_BATCH = 8192
"""Sample weights that are looked at together."""


@dataclass(frozen=True, repr=False)
class BoundData:
    """A data set that fits a model; :meth:`Dataset.bind` builds it.

    Attributes:
        dataset: where it comes from.
        signature: the model's.
        train: the training split, or None.
        test: the test split, or None.
        val: the validation split, or None.
        holdout: how unnamed data was divided: ``20 % of 'all' held out by seed 0``; empty where it was not.
        left_out: which samples are not trained on, one line a split.
    """

    dataset: Dataset
    signature: Signature
    train: BoundSplit | None
    test: BoundSplit | None
    val: BoundSplit | None
    holdout: str
    left_out: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Say in a line what it is."""
        inputs, outputs = (
            ", ".join(f"{spec.name} {spec.shape}" for spec in specs)
            for specs in (self.signature.inputs, self.signature.outputs)
        )
        sizes = sizes_text({name: split.size for name, split in self.splits.items()})
        tasks = ", ".join(task.name for task in self.tasks.values()) or "no labels"
        return f"BoundData({self.dataset.source!r}: {sizes}; {tasks}; {inputs} -> {outputs})"

    @property
    def splits(self) -> dict[str, BoundSplit]:
        """The splits there are, by name."""
        named = {"train": self.train, "test": self.test, "val": self.val}
        return {name: split for name, split in named.items() if split is not None}

    @cached_property
    def coders(self) -> Mapping[str, LabelCoder]:
        """What the labels of each output are, by output name; empty where there are no labels."""
        return next((split.adapter.coders for split in self.splits.values() if split.adapter.coders), {})

    @property
    def tasks(self) -> dict[str, Task]:
        """The task of each output that has labels or needs none, by name; the main output comes first."""
        found: dict[str, Task] = {}
        for split in reversed(self.splits.values()):  # where splits hold labels in several forms, training's count
            found = {**split.adapter.unlabelled, **found, **split.adapter.tasks}
        order = [self.dataset.labelling.main_output, *(spec.name for spec in self.signature.outputs)]
        return {name: found[name] for name in order if name in found}

    @cached_property
    def metrics(self) -> dict[str, list[Metric]]:
        """The figures besides its task's own of each scored output, by name."""
        return metrics_of(self.dataset.labelling, self)

    @property
    def figures(self) -> dict[str, Any]:
        """What :func:`tfcompress.evaluate.scoring.evaluate` takes to score by, beside the tasks."""
        return {"metrics": self.metrics, "main_metric": self.dataset.labelling.main_metric}

    @cached_property
    def choices(self) -> list[str]:
        """What was chosen that nobody said, a line each: an output's task, by what, and how to choose otherwise."""
        chosen = [f"output {name!r} is of task {c.task.name}, by {c.why}" for name, c in self.coders.items() if c.why]
        lines = [f"{line}; choose otherwise by --task" for line in chosen]
        lines += [*self._masks, *unlabelled_choices(self.dataset.labelling, self)]
        for spec in self.signature.outputs:
            if spec.traits.unknown:
                what = ", ".join(dict.fromkeys(spec.traits.unknown))
                lines.append(f"output {spec.name!r} was compiled with {what}, not used here; see --loss and --metric")
        return lines

    @property
    def _masks(self) -> list[str]:
        """A line for each output of whose steps the model masks some: which are padding."""
        lines = []
        for spec in self.signature.outputs:
            mask, coder = spec.traits.mask, self.coders.get(spec.name)
            if mask is None or coder is None or not coder.task.pads:
                continue
            where = f"output {spec.name!r}: the model masks steps"
            if mask.input is None:
                lines.append(
                    f"{where} by a rule that is not read; label them -1, or what --ignore-label says, as padding"
                )
            else:
                lines.append(f"{where} where input {mask.input!r} is {mask.value:g}; they are taken for padding")
        return lines

    @property
    def _decided(self) -> bool:
        """Whether the model decided a task that labels alone would not have decided."""
        told = set(self.tasks) - set(self.coders)
        said = any(self.dataset.labelling.task_for(name) is not None for name in told)
        return any(coder.decided for coder in self.coders.values()) or (bool(told) and not said)

    def with_tasks(self, tasks: Mapping[str, Task]) -> BoundData:
        """Return the same with other tasks for some outputs, by name; what a pass over the data found stays known."""
        splits = {name: replace(split, adapter=split.adapter.with_tasks(tasks)) for name, split in self.splits.items()}
        found = replace(self, train=splits.get("train"), test=splits.get("test"), val=splits.get("val"))
        if "findings" in vars(self):
            vars(found)["findings"] = self.findings
        return found

    @property
    def classes(self) -> int | None:
        """Number of classes of the first output; None in regression or without labels."""
        return next(iter(self.coders.values())).classes if self.coders else None

    def need_train(self) -> BoundSplit:
        """Return the training split, with labels or without.

        Raises:
            DataError: there is none, or one of the model's classes does not occur in its labels.
        """
        if self.train is None:
            raise missing(self.dataset.source, "train", self.splits)
        absent = self.findings.missing_classes.get("train")
        if absent:
            msg = f"data {self.dataset.source!r}: {absent}; training would forget them: add samples of each class"
            raise DataError(msg)
        return self.train

    def need_test(self) -> BoundSplit:
        """Return the test split.

        Raises:
            DataError: there is none, or it has no labels.
        """
        if self.test is None:
            raise missing(self.dataset.source, "test", self.splits)
        if not self.test.adapter.tasks:
            raise unlabelled(self.dataset.source, self.test.adapter.x_name, self.test.adapter.y_name)
        return self.test

    @property
    def scored(self) -> BoundSplit | None:
        """The test split if it has labels or needs none, so that a score can be had; else None."""
        return self.test if self.test is not None and self.test.adapter.tasks else None

    @property
    def representative_split(self) -> BoundSplit:
        """Where representative samples come from: the training split, else validation, else test."""
        return next(split for split in (self.train, self.val, self.test) if split is not None)

    def representative(self, count: int, seed: int) -> dict[str, np.ndarray]:
        """Return *count* samples (or all, if there are fewer) drawn by *seed*, from :attr:`representative_split`.

        Returns:
            By input name, preprocessed, in the model's dtypes, shape (samples, ...).
        """
        batches = list(self.representative_split.sample(count, seed).batches(64))
        return {name: np.concatenate([x[name] for x, _ in batches]) for name in batches[0][0]}

    @cached_property
    def findings(self) -> lint.Findings:
        """What one pass over every split, its sample weights too, found; done once.

        Raises:
            DataError: what :meth:`lint` raises.
        """
        found = lint.examine_splits(self.splits, self.dataset.labels)
        weighted = [name for name, split in self.splits.items() if split.check_weights(WEIGHT_BATCH)]
        if weighted:
            steps = ", steps of weight 0 never" if any(task.pads for task in self.tasks.values()) else ""
            found.warnings.append(
                f"sample weights ({', '.join(weighted)}) weigh the loss in training; calibration and evaluation count "
                f"every sample once{steps}"
            )
        return found

    @cached_property
    def duplicates(self) -> Duplicates | None:
        """Test samples that training has seen; None where there are none, or one of the splits is missing."""
        return None if self.train is None or self.test is None else duplicates(self.train, self.test)

    def lint(self) -> list[str]:
        """Check every label, and every input that could hold NaN, in one pass; return warnings.

        A class that does not occur is a warning here, for evaluation can do without it, and an error in
        :meth:`need_train`.

        Raises:
            DataError: zero samples, wrong shapes or dtypes, NaN or Inf, labels as text or out of range.
        """
        told = dict.fromkeys(line for split in self.splits.values() for line in split.told.warnings)
        warnings = [
            *self.dataset.warnings,
            *told,
            *self.left_out,
            *self.findings.warnings,
            *self.findings.missing_classes.values(),
            *(self.choices if self._decided else self._masks),
        ]
        if self.duplicates is not None:
            warnings.append(self.duplicates.warning)
        if self.train is None:
            warnings.append(f"no training split: representative samples come from {self.representative_split.name!r}")
        return warnings

    def describe(self) -> dict[str, Any]:
        """Return plain values for the report: where it is, how it is read, and what it holds."""
        return {
            "source": self.dataset.source,
            "reading": self.dataset.reading,
            "sha256": self.dataset.sha256,
            "samples": {name: split.size for name, split in self.splits.items()},
            "preprocessing": self.dataset.preprocessing.to_dict(),
            "tasks": {name: task.name for name, task in {**self.said_tasks, **self.tasks}.items()},
            "task_options": {name: options for name, task in self.tasks.items() if (options := task.options())},
            "classes": self.classes,
            "labels": list(self.dataset.labels),
            "holdout": self.holdout or None,
            "representative_from": self.representative_split.name,
            "inputs": self._ranges,
            "notes": self.notes,
        }

    @property
    def said_tasks(self) -> dict[str, Task]:
        """The tasks that the user said, by output, whether there are labels or not."""
        said = {spec.name: said_task(self.dataset.labelling, spec.name) for spec in self.signature.outputs}
        return {name: task for name, task in said.items() if task is not None}

    @cached_property
    def _ranges(self) -> dict[str, dict[str, Any]]:
        return {name: _range(x) for name, x in self.representative(STATISTICS_SAMPLES, 0).items()}

    @cached_property
    def notes(self) -> list[str]:
        """What was done to make the data fit beyond preprocessing: an axis added, an input ignored."""
        split = self.representative_split
        told = dict.fromkeys(line for each in self.splits.values() for line in each.told.notes)
        return [*self.dataset.remarks, *told, *split.adapter.notes(next(split.pieces(1)).x), *self.choices]

    def write_for_runner(
        self,
        path: Path,
        limit: int | None,
        seed: int = 0,
        *,
        most_bytes: int | None = MOST_BYTES,
        input_dtype: str | None = None,
    ) -> int:
        """Write the test split as an ``.npz`` for edge_runner: ``x.NAME`` for each input, preprocessed, and ``y``.

        Args:
            path: the file; it appears whole or not at all.
            limit: at most so many samples, drawn by *seed*; None: all.
            seed: see *limit*.
            most_bytes: at most so many bytes, by drawing fewer samples (at least one); None: no limit.
            input_dtype: dtype of the file's inputs; see :func:`tfcompress.data.runner_file.write_runner_file`.

        Returns:
            How many samples were written.

        Raises:
            DataError: there is no test split.
            OutputError: the file cannot be written.
        """
        if self.test is None:
            raise missing(self.dataset.source, "test", self.splits)
        return runner_file.write_runner_file(
            path, self.test, limit, seed, most_bytes=most_bytes, input_dtype=input_dtype
        )


def sizes_text(sizes: Mapping[str, int | None]) -> str:
    """Return the splits and how many samples each has, where that is known: ``train 30, test``."""
    return ", ".join(name if size is None else f"{name} {size:,}" for name, size in sizes.items())


def missing(source: str, name: str, splits: Iterable[str]) -> DataError:
    """Return the error for data that has only some *splits*, not that called *name*."""
    has = " and ".join(splits)
    return DataError(f"data {source!r} must have a {name} split (x_{name} and y_{name}), it has only {has}")


def unlabelled(source: str, x_name: str, y_name: str) -> DataError:
    """Return the error for inputs called *x_name* without labels."""
    return DataError(f"data {source!r} must have labels: {y_name} beside {x_name}")


def _range(x: np.ndarray) -> dict[str, Any]:
    return {
        "shape": list(x.shape[1:]),
        "dtype": str(x.dtype),
        "min": float(x.min()),
        "max": float(x.max()),
        "mean": float(x.mean(dtype=np.float64)),
    }
