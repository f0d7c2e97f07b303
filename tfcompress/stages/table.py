"""The table of stages: a stage is one module beside this one, and one line here."""

from __future__ import annotations

from tfcompress.stages.channels import Channels
from tfcompress.stages.cluster import Cluster
from tfcompress.stages.distill import Distill
from tfcompress.stages.prune import Prune
from tfcompress.stages.qat import QAT
from tfcompress.stages.stage import Stage

STAGES: dict[str, type[Stage]] = {stage.kind: stage for stage in (Channels, Prune, Cluster, Distill, QAT)}
"""Every kind of stage by its name."""
