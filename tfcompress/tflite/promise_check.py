"""What the stages promised about the Keras model, held against the TFLite file itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING

from tfcompress.errors import ContractError
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.weights import KernelFacts, facts

if TYPE_CHECKING:
    from tfcompress.weights.promises import Promise


def check_file(promises: Sequence[Promise], kernels: Iterable[KernelFacts]) -> list[str]:
    """Check that the file has, of every size of kernel, as many that keep the promise as there were promises.

    The converter renames and transposes kernels and folds BatchNorm into them, one factor a channel: their sizes and
    zeros stay, and so does the number of values within a channel.

    Args:
        promises: what :meth:`tfcompress.job.Job.promises` says of the finished model.
        kernels: of the file.

    Returns:
        A note for each size that the file has not: those kernels were cut up by the converter (recurrent layers' are),
        and their promise was checked in Keras only. The same where the layout of a kernel that is stored sparse cannot
        be read.

    Raises:
        ContractError: naming the layers and what the file has.
    """
    found, notes = list(kernels), []
    for (what, asked, elements), count in Counter((p.what, p.asked, p.elements) for p in promises).items():
        if what not in ("sparsity", "distinct values"):
            continue
        alike = [kernel for kernel in found if prod(kernel.shape) == elements]
        got = [_measured(what, kernel) for kernel in alike]
        kept = [value for value in got if value is not None and _keeps(what, value, asked)]
        layers = ", ".join(p.layer for p in promises if (p.what, p.asked, p.elements) == (what, asked, elements))
        if len(got) < count:
            notes.append(f"{what} of {layers} was checked in Keras only: the converter cut these kernels up")
        elif len(kept) < count and what == "distinct values" and None in got:
            notes.append(f"{what} of {layers} were checked in Keras only: where their values are stored is not known")
        elif len(kept) < count:
            has = ", ".join("?" if value is None else f"{value:.6g}" for value in got)
            msg = f"the file must keep {what} {asked:g} in {layers} ({elements:,} weights each), it has {has}"
            raise ContractError(msg)
    return notes


def check_content(promises: Sequence[Promise], content: bytes) -> list[str]:
    """Check the bytes of a file; see :func:`check_file`."""
    return check_file(promises, facts(read_model_file(content).subgraphs)) if promises else []


def _keeps(what: str, value: float, asked: float) -> bool:
    return value <= asked if what == "distinct values" else value >= asked


def _measured(what: str, kernel: KernelFacts) -> float | None:
    if what == "sparsity":
        return kernel.zeros
    return kernel.distinct_per_channel
