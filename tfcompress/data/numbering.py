"""Labels that are names, numbered as the tasks of their outputs have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tfcompress.data.class_names import alphabet_warning, first_names
from tfcompress.data.labels import LabelCoder
from tfcompress.errors import DataError
from tfcompress.tasks.label_form import Numbering
from tfcompress.tasks.task_table import said_task

if TYPE_CHECKING:
    from tfcompress.data.dataset import Dataset
    from tfcompress.models.specs import Signature

Coders = Mapping[str, Mapping[str, LabelCoder]]
"""How labels are coded, by split and output."""


def check_numbering(dataset: Dataset, signature: Signature) -> None:
    """Refuse names that the task which the user said of an output cannot number, before labels are looked at.

    Raises:
        DataError: what :meth:`tfcompress.tasks.task.Task.numbering` raises.
        UsageError: a task that there is not.
    """
    shapes = {spec.name: spec.shape for spec in signature.outputs}
    alone = list(shapes) if len(shapes) == 1 else []
    for name in (_named(dataset, signature) or alone) if dataset.labels else ():
        task = said_task(dataset.labelling, name)
        if task is not None:
            task.numbering(dataset.labels, shapes[name], given=not dataset.alphabetical)


def numbered(dataset: Dataset, coders: Coders, signature: Signature) -> tuple[Dataset, Coders]:
    """Return a data set whose names are in the order of the task's numbers, and coders that give those.

    Of several outputs, the names are those of the ones whose labels hold them; where that is not known, of the first
    that can have them.

    Args:
        dataset: with names in the order of the numbers that its splits give.
        coders: of these.
        signature: the model's.

    Raises:
        DataError: the names are none of the labels that the outputs take.
    """
    every = {name: coder for split in coders.values() for name, coder in split.items()}
    told = {spec.name: every[spec.name] for spec in signature.outputs if spec.name in every}
    if not dataset.labels or not told:
        return dataset, coders
    named = [name for name in _named(dataset, signature) if name in told]
    found = {name: _numbering(dataset, name, told[name]) for name in named or told}
    fitting = {name: numbering for name, numbering in found.items() if isinstance(numbering, Numbering)}
    refusals = [refusal for refusal in found.values() if isinstance(refusal, DataError)]
    if not fitting or (named and refusals):
        raise refusals[0]
    first = next(iter(fitting.values()))
    places = tuple(map(first.names.index, dataset.labels)) if first.names != dataset.labels else ()
    changed = set(named or list(fitting)[:1])
    recoded = {
        split: {name: replace(coder, places=places if name in changed else ()) for name, coder in each.items()}
        for split, each in coders.items()
    }
    return _reordered(dataset, first), recoded


def _named(dataset: Dataset, signature: Signature) -> list[str]:
    """Return the outputs whose labels hold the names, where that is known."""
    return [spec.name for place, spec in enumerate(signature.outputs) if {spec.name, place} & set(dataset.named)]


def _reordered(dataset: Dataset, numbering: Numbering) -> Dataset:
    """Return the data set with its names in that order, and with what is to be said of it."""
    if numbering.names == dataset.labels and numbering.ordered and not numbering.line:
        return dataset
    warnings = dataset.warnings
    if dataset.alphabetical and not numbering.ordered:
        idle = alphabet_warning(dataset.alphabetical, dataset.labels)
        warnings = tuple(line for line in warnings if line != idle)
    lines = (numbering.line,) if numbering.line else ()
    changed = replace(dataset, labels=numbering.names, warnings=(*warnings, *lines))
    if "sha256" in vars(dataset):
        vars(changed)["sha256"] = dataset.sha256
    return changed


def _numbering(dataset: Dataset, output: str, coder: LabelCoder) -> Numbering | DataError:
    """Return which numbers the names have as labels of an output, or why they can be none of it."""
    names = dataset.labels
    try:
        found = coder.task.numbering(names, coder.form.shape, given=not dataset.alphabetical)
    except DataError as error:
        return error
    if found is not None:
        return found
    if coder.classes is None:
        return DataError(
            f"data {dataset.source!r} has labels with names ({first_names(names)}), the model's output {output!r} of "
            f"shape {coder.form.shape}, of task {coder.task.name}, gives no classes"
        )
    return DataError(
        f"data {dataset.source!r} has {len(names)} classes ({first_names(names)}), the model's output "
        f"{coder.classes}; classes are numbered in the order of their names, so every one must be there (an empty "
        "folder will do), or be named by --classes"
    )
