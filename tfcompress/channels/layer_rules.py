"""Every layer and operation whose channels can be followed."""

from __future__ import annotations

from tfcompress.channels import (
    attention,
    contracting,
    elementwise,
    indexing,
    normalizing,
    recurrent,
    shaping,
    weighted,
)
from tfcompress.channels.trace import Rule

_MODULES = (attention, contracting, elementwise, indexing, normalizing, recurrent, shaping, weighted)

RULES: dict[str, Rule] = {name: rule for module in _MODULES for name, rule in module.RULES.items()}
"""Class of a layer or operation -> its rule; what is not here pins what it meets."""
