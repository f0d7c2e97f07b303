"""The arguments of a call with its tensors taken out, so that the call can be made again on other tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

SLOT = "__slot__"


def map_structure(change: Callable[[Any], Any], structure: Any) -> Any:
    """Apply *change* to every leaf of nested lists, tuples and dicts (of either Keras's own kinds too)."""
    if isinstance(structure, dict):
        return {key: map_structure(change, value) for key, value in structure.items()}
    if isinstance(structure, tuple):
        return tuple(map_structure(change, value) for value in structure)
    if isinstance(structure, list):
        return [map_structure(change, value) for value in structure]
    return change(structure)


def leaves(structure: Any) -> list[Any]:
    """Return the leaves of nested lists, tuples and dicts, dicts in the order of their keys."""
    if isinstance(structure, dict):
        return [leaf for key in sorted(structure) for leaf in leaves(structure[key])]
    if isinstance(structure, list | tuple):
        return [leaf for value in structure for leaf in leaves(value)]
    return [structure]


@dataclass(frozen=True)
class Template:
    """Arguments of a call, with numbered slots where tensors stood.

    Attributes:
        args: the positional arguments.
        kwargs: the keyword arguments.
    """

    args: Any
    kwargs: Any

    @classmethod
    def of(cls, args: Any, kwargs: Any, is_tensor: Callable[[Any], bool]) -> tuple[Template, list[Any]]:
        """Take the tensors out of a call's arguments.

        Example:
            >>> Template.of((1.5, ["x"]), {"axis": 0}, lambda leaf: leaf == "x")
            (Template(args=(1.5, [{'__slot__': 0}]), kwargs={'axis': 0}), ['x'])
        """
        tensors: list[Any] = []

        def replace(leaf: Any) -> Any:
            if not is_tensor(leaf):
                return leaf
            tensors.append(leaf)
            return {SLOT: len(tensors) - 1}

        return cls(map_structure(replace, args), map_structure(replace, kwargs)), tensors

    def fill(self, tensors: Sequence[Any]) -> tuple[Any, Any]:
        """Return the arguments with *tensors* in the slots."""
        return _fill(self.args, tensors), _fill(self.kwargs, tensors)


def _fill(structure: Any, tensors: Sequence[Any]) -> Any:
    if isinstance(structure, dict):
        if set(structure) == {SLOT}:
            return tensors[structure[SLOT]]
        return {key: _fill(value, tensors) for key, value in structure.items()}
    if isinstance(structure, list | tuple):
        return type(structure)(_fill(value, tensors) for value in structure)
    return structure
