"""What was proven of a file for a microcontroller, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from tfcompress.tflite.micro.arena import ArenaUse


@dataclass(frozen=True, kw_only=True)
class MicroTest:
    """How a file did on test samples in TFLM.

    Attributes:
        samples: drawn from the test split.
        equal: those of them whose outputs the reference kernels give in every bit; None: they cannot run the file.
        figure: the main figure's name.
        value: the main figure; None: it could not be computed.
        low: lower end of its 95 % interval; None: it has none.
        high: upper end.
        unit: of the figure, see :mod:`tfcompress.tasks.figures`.
    """

    samples: int
    equal: int | None
    figure: str
    value: float | None
    low: float | None
    high: float | None
    unit: str


@dataclass(frozen=True, kw_only=True)
class KernelScratch:
    """What the kernel of an op asks for while it runs.

    Attributes:
        op: its name.
        where: the op with the layer that it came from.
        size_bytes: all its pieces, each filled up to 16 bytes.
    """

    op: str
    where: str
    size_bytes: int


@dataclass(frozen=True)
class FallenBack:
    """An op that an Ethos-U leaves to the CPU.

    Attributes:
        op: its name.
        where: the op with the layer that it came from.
        reason: Vela's.
        rewrite: what computes the same on the NPU; empty: nothing that is known.
    """

    op: str
    where: str
    reason: str
    rewrite: str = ""


@dataclass(frozen=True, kw_only=True)
class NpuEstimate:
    """What Vela estimates of a file that it compiled. None of it was measured.

    Attributes:
        accelerator: what it was compiled for.
        version: of Vela.
        system_config: the clock and memories that were assumed, by Vela's name.
        memory_mode: what lies in which memory, by Vela's name.
        clock_hz: of the NPU, assumed.
        sram_bytes: for tensors.
        dram_bytes: for tensors, weights and the NPU's commands, where the memory mode has them there.
        flash_bytes: for weights and the NPU's commands, where it does not.
        file_bytes: of the compiled file.
        cycles: of one inference, with memory.
        npu_cycles: of these, the NPU's own.
        inference_ms: the cycles at that clock; what falls back to the CPU takes its time besides.
        npu_ops: how many operations the NPU does, as Vela takes the file apart.
        cpu_ops: ops that stay on the CPU.
    """

    accelerator: str
    version: str
    system_config: str
    memory_mode: str
    clock_hz: float
    sram_bytes: int
    dram_bytes: int
    flash_bytes: int
    file_bytes: int
    cycles: int
    npu_cycles: int
    inference_ms: float
    npu_ops: int
    cpu_ops: tuple[FallenBack, ...]


@dataclass(frozen=True, kw_only=True)
class MicroRecord:
    """What was proven of a file for a microcontroller.

    Attributes:
        target: the target's name.
        runtime: what ran the file.
        version: of the runtime.
        arena: what it keeps in the tensor arena.
        least_arena_bytes: the smallest arena in which it is set up and runs: what a chip must give it.
        planned_arena_bytes: what its tensors need at once by our own plan, computed from the file.
        flash_bytes: of the file.
        samples: how many samples were compared.
        equal: those of them whose outputs the reference kernels give in every bit.
        kernel_steps: the largest difference from those, in quantization steps of the output; 0.0 where it has none.
        kernel_error: the largest difference from those, as a value of an output.
        kernel_note: why it was not compared with the reference kernels; mostly empty.
        agreement_db: with the Keras model on the same samples, the lowest over the outputs; None: not in decibels.
        real_samples: they were real data, not random numbers.
        most_arena_bytes: the limit of the arena; None: none.
        most_flash_bytes: the limit of the file; None: none.
        scratch: ops whose kernels (TFLM's plain ones) ask for memory beside their tensors while they run, which lies in
            the head; None: an op does not stand alone in TFLM, so that it is not known.
        scratch_bytes: the most that one of them asks for; None: not known.
        tested: accuracy there; None: there are no test samples with labels.
        npu: what Vela estimates of the file; None: the target has no accelerator.
    """

    target: str
    runtime: str
    version: str
    arena: ArenaUse
    least_arena_bytes: int
    planned_arena_bytes: int
    flash_bytes: int
    samples: int
    equal: int
    kernel_steps: float
    kernel_error: float
    kernel_note: str
    agreement_db: float | None
    real_samples: bool
    most_arena_bytes: float | None
    most_flash_bytes: float | None
    scratch: tuple[KernelScratch, ...] | None = None
    scratch_bytes: int | None = None
    tested: MicroTest | None = None
    npu: NpuEstimate | None = None
