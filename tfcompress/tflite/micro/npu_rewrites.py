"""What computes the same on an Ethos-U, of ops that Vela leaves to the CPU.

Each form is equal to what it stands for, under the condition that it names, and Vela 5.2 compiles it whole for the NPU;
both are tested. What has no equal form is not here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class NpuRewrite:
    """One form.

    Attributes:
        ops: that stay on the CPU.
        reason: part of what Vela says of them; empty: whatever it says.
        advice: what computes the same.
    """

    ops: frozenset[str]
    reason: str
    advice: str


REWRITES: tuple[NpuRewrite, ...] = (
    NpuRewrite(
        frozenset({"MEAN"}),
        "depth-reduction",
        "a mean over channels is a 1 x 1 convolution without bias, all of its weights 1 / channels",
    ),
    NpuRewrite(
        frozenset({"STRIDED_SLICE"}),
        "stride axis",
        "channels in reverse, or every n-th of them, are a 1 x 1 convolution whose kernel is zeros and ones",
    ),
    NpuRewrite(
        frozenset({"GATHER"}),
        "",
        "channels at fixed places are a 1 x 1 convolution whose kernel is zeros and ones",
    ),
    NpuRewrite(
        frozenset({"SELECT", "SELECT_V2", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"}),
        "",
        "where(x > 0, x, slope * x) is a LeakyReLU, or a PReLU where slopes differ",
    ),
    NpuRewrite(frozenset({"SQRT"}), "", "of numbers above 0, x * rsqrt(x) is the root"),
    NpuRewrite(frozenset({"DIV"}), "", "by numbers above 0, a * rsqrt(b) * rsqrt(b) is the quotient a / b"),
    NpuRewrite(
        frozenset({"TRANSPOSE_CONV"}),
        "stride out of range",
        "with a kernel as large as its stride s, it is a 1 x 1 convolution of s * s times the filters, rearranged by "
        "Reshape and Permute",
    ),
)


def npu_rewrite(op: str, reason: str, constants: Collection[int]) -> str:
    """Return what computes the same on the NPU; empty: nothing that is known.

    Args:
        op: that stays on the CPU.
        reason: Vela's.
        constants: which of the op's inputs are constants.
    """
    if op == "GATHER" and 1 not in constants:
        return ""  # a look-up
    return next((each.advice for each in REWRITES if op in each.ops and each.reason in reason), "")
