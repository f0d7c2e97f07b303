"""Every layer and operation whose channels can be followed."""

from __future__ import annotations

from tfcompress.models.channels import elementwise, normalizing, shaping, weighted
from tfcompress.models.channels.trace import Rule

RULES: dict[str, Rule] = {**elementwise.RULES, **normalizing.RULES, **shaping.RULES, **weighted.RULES}
"""Class of a layer or operation -> its rule; what is not here pins what it meets."""
