"""Shapes of inputs whose extents a file leaves open: given, taken from the data, or the model is not measured.

In the file an open extent stands as 1. Timing a network that takes images of any size on one of 1 x 1 would give a
figure that is true of nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_runner.arguments import Options
from edge_runner.subject import Subject


class ShapeError(ValueError):
    """--shape names an input that no file has."""


def set_shapes(subjects: Sequence[Subject], options: Options) -> None:
    """Set the shapes asked for of every file that was read; a file that does not take them, or needs some, fails.

    Raises:
        ShapeError: a name is no input of any file.
    """
    read = [subject for subject in subjects if subject.sound]
    known = {name for subject in read for name in _inputs(subject)}
    for name, _ in options.shapes:
        if read and name and name not in known:
            msg = (
                f"--shape names {name!r}, which is no input of any file; they have {', '.join(sorted(known)) or 'none'}"
            )
            raise ShapeError(msg)
    for subject in read:
        inputs = _inputs(subject)
        given = {name or _only(inputs): extents for name, extents in options.shapes if not name or name in inputs}
        problem = shape_problem(inputs, given, has_data=options.data is not None)
        if problem:
            subject.fail(problem)
        subject.shapes = {name: list(extents) for name, extents in given.items()}


def _inputs(subject: Subject) -> dict[str, tuple[int, ...]]:
    return subject.facts.shapes if subject.facts else {}


def _only(inputs: Mapping[str, tuple[int, ...]]) -> str:
    return next(iter(inputs)) if len(inputs) == 1 else ""


def shape_problem(
    inputs: Mapping[str, tuple[int, ...]], given: Mapping[str, tuple[int, ...]], *, has_data: bool
) -> str | None:
    """Return why a model cannot be measured with the shapes *given*; None: it can."""
    if "" in given:
        return f"--shape must name one of the {len(inputs)} inputs: {_like(inputs)}"
    for name, shape in inputs.items():
        extents = given.get(name)
        if extents is None and -1 in shape[1:] and not has_data:
            sizes = ", ".join("any" if size < 0 else str(size) for size in shape)
            return f"input {name!r} takes any shape of ({sizes}): give --shape {_example(name, shape)}, or --data"
        if extents is not None and not _fits(shape, extents):
            return f"--shape for input {name!r} must be like {_example('', shape)}, got {','.join(map(str, extents))}"
    return None


def _fits(shape: Sequence[int], extents: Sequence[int]) -> bool:
    """Whether *extents* fill the open ones of *shape* and leave the others; an open batch is 1 in a timed inference."""
    wanted = [1 if place == 0 and size < 0 else size for place, size in enumerate(shape)]
    return len(wanted) == len(extents) and all(size in (-1, got) for size, got in zip(wanted, extents))


def _like(inputs: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(_example(name, shape) for name, shape in inputs.items())


def _example(name: str, shape: Sequence[int]) -> str:
    """Return how --shape is written for an input, N for what is to be filled in."""
    extents = ("N" if size < 0 and place else str(abs(size)) for place, size in enumerate(shape))
    return f"{name}{'=' if name else ''}{','.join(extents)}"
