"""What a data file says itself about the tasks of the outputs, as :mod:`tfcompress.data.runner_file` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError
from tfcompress.tasks.labelling import Labelling
from tfcompress.tasks.task_table import TASKS

if TYPE_CHECKING:
    import numpy as np

_SETTINGS = ("ignore_label", "windows_of")


def told_labelling(text: np.ndarray, where: str) -> Labelling:
    """Return the tasks that the member ``task`` of a file names, with their settings.

    A task of the user's own has no name that leads to it, so it has to be said again.

    Args:
        text: the member, a single text of JSON, shape ().
        where: what messages call the file.

    Raises:
        DataError: it is not what edge_runner reads.
    """
    from edge_runner.arrays import ArrayError
    from edge_runner.told import MEMBER, told_tasks

    try:
        told = told_tasks({MEMBER: text})
    except ArrayError as error:
        msg = f"data {where!r}: {error}"
        raise DataError(msg) from error
    return _labelling({name: (each.task, each.options) for name, each in told.items() if each.task in TASKS})


def _labelling(told: Mapping[str, tuple[str, Mapping[str, Any]]]) -> Labelling:
    if len(told) == 1:  # a single output may go by another name in another file
        named = tuple(task for task, _ in told.values())
    else:
        named = tuple(f"{name}={task}" for name, (task, _) in told.items())
    options = tuple(
        (name if len(told) > 1 else "", tuple(sorted(given.items()))) for name, (_, given) in told.items() if given
    )
    heeded = {
        setting: options[setting]
        for task, options in told.values()
        for setting in _SETTINGS
        if setting in TASKS[task].heeds and isinstance(options.get(setting), int)
    }
    return Labelling(task=named, options=options, **heeded)
