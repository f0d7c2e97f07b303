"""What the walk over a model's graph writes down, and what it leaves for the surgery to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tfcompress.channels.ledger import Atoms

Role = Literal["makes", "reads", "follows"]
"""What a weight does for a channel: it makes it (zero there: the channel is dead), reads it, or only goes with it."""
Count: TypeAlias = Callable[[Atoms], int]
"""How many of an axis's atoms are kept."""
Keep: TypeAlias = Callable[[Atoms], NDArray[np.bool_]]
"""Which of an axis's atoms are kept."""
ConfigEdit: TypeAlias = Callable[[dict[str, Any], Count], None]
"""Changes a layer's configuration to what is kept."""
CallEdit: TypeAlias = Callable[[Any, dict[str, Any], Keep], tuple[Any, dict[str, Any]]]
"""Changes the arguments of a call to what is kept."""
ValueEdit: TypeAlias = Callable[[Any, Count], Any]
"""Changes a weight's kept numbers, where fewer channels ask for other ones."""


@dataclass(frozen=True, eq=False)
class Claim:
    """Channels along one axis of a weight; *channels* None: the axis keeps its size."""

    path: str
    variable: Any
    axis: int
    atoms: Atoms | None
    role: Role


@dataclass(frozen=True, eq=False)
class Term:
    """Multiply-accumulates of one call: *macs* with all channels, in proportion to the kept part of every axis."""

    macs: float
    axes: tuple[Atoms, ...]
