"""The member ``task`` of an ``.npz`` file: what the file says itself about the tasks of the outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfcompress.data.npz import Member
from tfcompress.errors import DataError
from tfcompress.tasks.labelling import UNSAID, Labelling
from tfcompress.tasks.told_labelling import told_labelling

_NAME = "task"
_MOST_BYTES = 4 << 20


def labelling_in(members: Mapping[str, Member]) -> Labelling:
    """Return what the members of a file say about tasks; nothing where none of them is a text called ``task``.

    Raises:
        DataError: it is there, and is not what :mod:`tfcompress.data.runner_file` writes.
    """
    member = members.get(_NAME)
    if member is None or member.shape or member.dtype.kind != "U":
        return UNSAID  # an array of the user's that happens to be called so
    if member.dtype.itemsize > _MOST_BYTES:
        msg = f"data {str(member.path)!r}: {_NAME} must be a short text, got {member.dtype.itemsize:,} bytes"
        raise DataError(msg)
    try:
        with np.load(member.path) as file:  # which unpickles nothing unless it is told to
            text = file[_NAME]
    except (OSError, ValueError) as error:
        msg = f"data {str(member.path)!r}: {_NAME} cannot be read: {error}"
        raise DataError(msg) from error
    return told_labelling(text, str(member.path))
