"""What stages that cut kernels to their centre, beside what else they take, have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

from tfcompress.schema import check_value
from tfcompress.stages.option import option
from tfcompress.stages.stage import RewritingStage


@dataclass(frozen=True, kw_only=True)
class KernelCutting(RewritingStage):
    """A stage that may cut kernels.

    Attributes:
        shrink_kernels: kernels of convolutions that are larger than this odd size are cut to their centre; None: none.
    """

    shrink_kernels: int | None = field(
        default=None,
        metadata=option(
            "Cut kernels that are larger than this odd size to their centre.", flag="--shrink-kernels", metavar="SIZE"
        ),
    )

    def __post_init__(self) -> None:
        """Reject values that are out of range."""
        super().__post_init__()
        size = self.shrink_kernels
        odd = size is None or (size >= 1 and size % 2 == 1)
        check_value(f"{self.kind}.shrink_kernels", "an odd size", size, ok=odd)

    @property
    def kernels_label(self) -> str:
        """What the label says of the kernels."""
        return "" if self.shrink_kernels is None else f"-kernels{self.shrink_kernels}"
