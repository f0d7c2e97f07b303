"""TensorFlow Lite Micro's kernels beside the reference kernels of TensorFlow Lite, on the same samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfcompress.errors import ContractError
from tfcompress.tflite.agreement import agreements
from tfcompress.tflite.interpret import LOOKUP, InterpreterProcess
from tfcompress.tflite.micro.process import MicroProcess

MOST_STEPS = 8.0
"""Quantization steps of an output by which the kernels may differ, where they do so in little of the signal.

Measured: int8 files give the same in every bit; a softmax of int16 differs by a step."""
LEAST_DB = 30.0
"""Less agreement than this, beside more steps than those, is a kernel that computes something else."""


class KernelComparison:
    """Runs a file in both, and counts how alike they answer.

    Attributes:
        samples: that both were given so far.
        equal: those of them whose outputs are the same in every bit.
        steps: the largest difference so far, in quantization steps of its output; 0.0 where outputs are float.
        error: the largest difference so far, as a value of an output.
        unable: why the reference kernels cannot run the file; empty: they can.
    """

    def __init__(self, micro: MicroProcess, reference: InterpreterProcess | None) -> None:
        """Take both, with the file open in them; None: it holds look-up tables, which other runtimes do not know."""
        self._micro, self._reference = micro, reference
        self.samples = self.equal = 0
        self.steps = self.error = 0.0
        self.unable = "" if reference else f"it holds look-up tables ({LOOKUP}), which TensorFlow Lite Micro alone runs"

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run samples; see :meth:`tfcompress.tflite.interpret.InterpreterProcess.run`.

        Returns:
            What TFLM answers.

        Raises:
            ContractError: TFLM refuses the file, dies on it, or computes something else.
        """
        outputs = self._micro.run(inputs)
        if self._reference is not None and not self.unable:
            try:
                self._count(self._reference.run(inputs), outputs)
            except ReferenceRefusalError as refusal:
                self.unable = str(refusal)
        return outputs

    def _count(self, theirs: Mapping[str, np.ndarray], ours: Mapping[str, np.ndarray]) -> None:
        alike = [np.all((theirs[n] == ours[n]).reshape(len(ours[n]), -1), axis=1) for n in ours]
        self.equal += int(np.all(alike, axis=0).sum())
        self.samples += len(alike[0])
        for found in agreements(self._micro.model, theirs, ours):
            steps = found.max_abs_error / found.step if found.step else 0.0
            self.steps, self.error = max(self.steps, steps), max(self.error, found.max_abs_error)
            apart = steps > MOST_STEPS if found.step else found.max_abs_error > 0
            if apart and found.sqnr_db is not None and found.sqnr_db < LEAST_DB:
                by = f"by {steps:.0f} quantization steps" if found.step else f"by {found.max_abs_error:.3g}"
                msg = (
                    f"TensorFlow Lite Micro and the reference kernels must agree on output {found.name!r}, they differ "
                    f"{by} ({found.sqnr_db:.1f} dB); one of them is wrong, so do not trust the file on a "
                    "microcontroller: choose another --quantize"
                )
                raise ContractError(msg)


class ReferenceRefusalError(ContractError):
    """The reference kernels cannot run a file, which TFLM may run all the same."""
