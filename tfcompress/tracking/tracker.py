"""What a tracker is, and what it receives of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

RunEnding = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class TrackedStart:
    """A run that begins.

    Attributes:
        name: what people call it; several may have the same.
        settings: what is done, by the place in the recipe (``train.epochs``): text, numbers, yes and no.
        recipe: the same as TOML text, or another text that states it.
        parent: name of the run that this one is a part of; empty: of none.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = ""
    parent: str = ""


@dataclass(frozen=True, kw_only=True)
class TensorForm:
    """An input or output of a file.

    Attributes:
        name: its name.
        shape: without the batch axis; None for an open extent.
        dtype: NumPy's name, as the numbers are given and taken, which is float32 for integers with a scale.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, kw_only=True)
class TrackedEnd:
    """A run that has ended.

    Attributes:
        outcome: how.
        reason: why it failed or was stopped, in a line; else empty.
        figures: what came out, by name; units are in the names, see docs/integrations.md.
        files: what was written, by the name that it has there.
        model: name of the ``.tflite`` among the files; empty: there is none.
        inputs: its inputs, in their order.
        outputs: its outputs.
    """

    outcome: RunEnding = "finished"
    reason: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    model: str = ""
    inputs: tuple[TensorForm, ...] = ()
    outputs: tuple[TensorForm, ...] = ()


class TrackedRun(Protocol):
    """One run as a tracker follows it."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take finite numbers, by name, that are known after *step*: an epoch, counted from 1 over all trainings."""

    def child(self, start: TrackedStart) -> TrackedRun:
        """Begin a run that is a part of this one: a candidate of a search."""

    def end(self, end: TrackedEnd) -> None:
        """Take what came out; nothing more is reported. The files are there for as long as this call lasts."""


class Tracker(Protocol):
    """Follows runs; whatever of this shape is passed as one of ``trackers``.

    Where it raises, that is reported in a line, and the run goes on without it.

    Attributes:
        name: what messages call it.
    """

    @property
    def name(self) -> str:
        """What messages call it."""

    def begin(self, start: TrackedStart) -> TrackedRun:
        """Begin a run."""
