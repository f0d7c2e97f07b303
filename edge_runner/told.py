"""What a data file says about the tasks of a model's outputs.

The member ``task`` is JSON text, ``{output: {"task": name, "options": {...}}}``; tfcompress writes it beside ``x`` and
``y``, so that a device scores as the desk does. Files without it are scored by what their labels look like.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_runner.arrays import ArrayError
from edge_runner.ndarray import Array

MEMBER = "task"
_MOST_CHARACTERS = 1 << 20


@dataclass(frozen=True)
class Told:
    """The task of an output.

    Attributes:
        task: its name, which need not be one of :data:`edge_runner.accuracy.SCORERS`.
        options: plain values that its scorer needs.
    """

    task: str
    options: Mapping[str, Any] = field(default_factory=dict)


def told_tasks(data: Mapping[str, Array]) -> dict[str, Told]:
    """Return the task of each output that the file speaks of.

    Raises:
        ArrayError: the member is there, and not what this module's docstring says.
    """
    member = data.get(MEMBER)
    if member is None:
        return {}
    try:
        if member.ndim or member.dtype.kind != "U" or member.dtype.itemsize > 4 * _MOST_CHARACTERS:
            msg = f"{member.dtype} of shape {member.shape}"
            raise TypeError(msg)
        found = json.loads(str(member))
        return {str(name): Told(str(each["task"]), dict(each.get("options") or {})) for name, each in found.items()}
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        form = '{output: {"task": name, "options": {...}}}'
        msg = f"data member {MEMBER!r} must be JSON text {form}, got {error}; leave it out, or write the data again"
        raise ArrayError(msg) from error


def told_for(name: str, outputs: int, told: Mapping[str, Told]) -> Told | None:
    """Return what was said about output *name*, one of *outputs*; a single one may go by another name in the file."""
    if name in told:
        return told[name]
    return next(iter(told.values())) if outputs == len(told) == 1 else None
