"""What an ``.npz`` file says itself about the tasks of the outputs, as :mod:`tfcompress.data.runner_file` writes it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edge_runner.arrays import ArrayError
from edge_runner.told import MEMBER, Told, told_tasks
from tfcompress.data.npz import Member
from tfcompress.errors import DataError
from tfcompress.tasks.labelling import UNSAID, Labelling
from tfcompress.tasks.task_table import TASKS

_SETTINGS = ("ignore_label", "windows_of")
_MOST_BYTES = 4 << 20


def told_labelling(members: Mapping[str, Member]) -> Labelling:
    """Return the tasks that the member ``task`` names, with their settings; nothing where the file has none.

    A task of the user's own has no name that leads to it, so it has to be said again.

    Raises:
        DataError: the member is there, and is not what edge_runner reads.
    """
    member = members.get(MEMBER)
    if member is None or member.shape or member.dtype.kind != "U":
        return UNSAID  # an array of the user's that happens to be called so
    if member.dtype.itemsize > _MOST_BYTES:
        msg = f"data {str(member.path)!r}: {MEMBER} must be a short text, got {member.dtype.itemsize:,} bytes"
        raise DataError(msg)
    try:
        with np.load(member.path, allow_pickle=False) as file:
            told = told_tasks({MEMBER: file[MEMBER]})
    except (ArrayError, OSError, ValueError) as error:
        msg = f"data {str(member.path)!r}: {error}"
        raise DataError(msg) from error
    return _labelling({name: each for name, each in told.items() if each.task in TASKS})


def _labelling(told: Mapping[str, Told]) -> Labelling:
    if len(told) == 1:  # a single output may go by another name in another file
        task = tuple(each.task for each in told.values())
    else:
        task = tuple(f"{name}={each.task}" for name, each in told.items())
    heeded = {
        setting: each.options[setting]
        for each in told.values()
        for setting in _SETTINGS
        if setting in TASKS[each.task].heeds and isinstance(each.options.get(setting), int)
    }
    return Labelling(task=task, **heeded)
