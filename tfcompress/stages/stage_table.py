"""The table of stages: a stage is one module beside this one, and its line here.

``X as X`` passes the classes on: the package's own names are taken from here.
"""

from __future__ import annotations

from tfcompress.stages.blocks import Blocks as Blocks
from tfcompress.stages.build import Build as Build
from tfcompress.stages.channels import Channels as Channels
from tfcompress.stages.cluster import Cluster as Cluster
from tfcompress.stages.distill import Distill as Distill
from tfcompress.stages.layout import Layout as Layout
from tfcompress.stages.low_rank import LowRank as LowRank
from tfcompress.stages.prune import Prune as Prune
from tfcompress.stages.qat import QAT as QAT
from tfcompress.stages.stage import Stage

STAGES: dict[str, type[Stage]] = {
    stage.kind: stage for stage in (Build, Layout, Blocks, Channels, LowRank, Prune, Cluster, Distill, QAT)
}
"""Every kind of stage by its name."""
