"""What ``tfcompress debug`` measures of a file, as plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from tfcompress.reports.remark import Remark


@dataclass(frozen=True)
class TensorRow:
    """One tensor of the file against the float model.

    Attributes:
        number: of the tensor in the file.
        op: what computes it; ``input`` for an input.
        layer: path of the Keras layer that gives it; empty: none does.
        how: how that was found: ``name``, ``values``, ``place``; empty: it was not.
        dtype: it is stored in.
        shape: with the batch axis.
        snr_db: the signal's spread about each channel's mean against the error, in decibels; None: no layer gives it,
            or nothing varies.
        loss_db: how much lower that is than the lowest of what goes in; None: not known.
        used: fraction of the grid of stored numbers between the smallest and the largest that occur; None: no grid.
        clipped: fraction of the float model's values beyond the grid; None: no grid, or no layer.
        distinct: how many different stored numbers occur; None: no grid of at most 16 bits.
        grid: smallest and largest real number that the grid holds; None: no grid.
        reached: smallest and largest value of the float model; None: no layer.
        kernel_steps: largest difference, in steps of the grid, of XNNPACK's op from the reference kernel's on the same
            inputs; None: no grid, or not measured.
        kernel_db: that difference against the values, in decibels; None: not measured.
        right_kernel: where the two are far apart, which is near the float model: ``XNNPACK`` or ``reference``; empty:
            not known, or they agree.
    """

    number: int
    op: str
    layer: str
    how: str
    dtype: str
    shape: tuple[int, ...]
    snr_db: float | None = None
    loss_db: float | None = None
    used: float | None = None
    clipped: float | None = None
    distinct: int | None = None
    grid: tuple[float, float] | None = None
    reached: tuple[float, float] | None = None
    kernel_steps: float | None = None
    kernel_db: float | None = None
    right_kernel: str = ""

    @property
    def label(self) -> str:
        """Its layer, or its number."""
        return self.layer or f"tensor {self.number}"


@dataclass(frozen=True)
class SampleRow:
    """One sample.

    Attributes:
        sample: its place among those that were run, from 0 on.
        error: root mean squared error of the outputs against the spread of the float model's; 1 is as bad
            as a constant.
        same_top: whether the largest value is at the same place; None: no output is a vector of classes.
    """

    sample: int
    error: float
    same_top: bool | None


@dataclass(frozen=True)
class DebugFacts:
    """All of it.

    Attributes:
        file: name of the TFLite file.
        model: name of the Keras model.
        data: where the samples come from.
        samples: how many were run.
        runtime: the interpreter and its version.
        outputs_db: signal-to-noise ratio of XNNPACK's outputs against the reference kernels', in decibels; None: the
            two were not compared.
        culprit: number of the op that bisection found to part the two; None: they agree.
        rows: a row a tensor, in the order of computation.
        worst: the samples with the largest errors, the worst first.
        remarks: what is wrong, faults first.
    """

    file: str
    model: str
    data: str
    samples: int
    runtime: str
    outputs_db: float | None
    culprit: int | None
    rows: tuple[TensorRow, ...]
    worst: tuple[SampleRow, ...]
    remarks: tuple[Remark, ...]
