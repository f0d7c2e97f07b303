"""What few bits in one layer alone do to a model's outputs, by its float file on samples that are held back.

The noise that one layer's rounding brings into the outputs is next to independent of another's, so that their powers
add up (the assumption behind additive sensitivities: Dong et al. 2020, "HAWQ-V2", arXiv:1911.03852, section 3). It is
measured in the float file with this one layer's weights, or this one tensor, rounded: so what is small is not lost in
the noise of all others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfcompress.tflite.agreement import OutputAgreement, agreements
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.graph_editor import GraphEditor
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.sites import SLOTS, RealWeights, Site

_DRAWS, _DRAWN = 64, 1 << 22
"""How often noise is drawn over the outputs, and how many values in all, about, where one draw is not more."""
NEXT_TO_NOTHING = 1e-20
"""Noise that counts as none: agreement ends at 200 dB."""


@dataclass(frozen=True)
class HeldBack:
    """Samples to judge by, and what the float file says of them.

    Outputs of a softmax are judged by what it takes, about the mean of the classes, which means nothing to it: squared
    differences of probabilities are those of the few samples next to two classes. (The MLPerf Tiny ResNet8 in int8 on
    three drawings of 100 images and more: 23.0 to 24.1 dB by probabilities, 22.6 to 22.7 by what comes before.)

    Attributes:
        inputs: by input name, arrays of shape (samples, *shape).
        expected: the float file's outputs by name, arrays of shape (samples, *shape).
        before_softmax: names of outputs that are judged by what a softmax takes.
    """

    inputs: Mapping[str, np.ndarray]
    expected: Mapping[str, np.ndarray]
    before_softmax: tuple[str, ...]

    @classmethod
    def of(cls, in_float: bytes, inputs: Mapping[str, np.ndarray]) -> HeldBack:
        """Run the float file.

        Raises:
            ContractError: it does not run.
        """
        content, names = judged_by(in_float)
        with InterpreterProcess(content) as process:
            return cls(inputs, _centred(process.run(inputs), names), names)

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(next(iter(self.inputs.values())))

    def agreement(self, process: InterpreterProcess, content: bytes) -> tuple[OutputAgreement, ...]:
        """Compare a file with the float file, one entry an output.

        Args:
            process: opens the file in the place of the one that it has open.
            content: the file.

        Raises:
            TfcompressError: of the process's class: the runtime refuses the file.
            ContractError: an output of the file is not finite.
        """
        process.reopen(judged_by(content)[0])
        found = _centred(process.run(self.inputs), self.before_softmax)
        return agreements(process.model, self.expected, found)

    def noise(self, process: InterpreterProcess, content: bytes) -> float:
        """Return the noise of a file's outputs; see :meth:`agreement` and :func:`noise_of`."""
        return noise_of(self.agreement(process, content))

    def same_top1(self, noise: float) -> float | None:
        """Return the fraction of samples whose top-1 should stay where the outputs have so much noise.

        Gaussian noise of that power is drawn over the float file's outputs, by a seed. Of several outputs it is the
        lowest.

        Args:
            noise: its power over what the outputs vary by, as :func:`noise_of` gives it.

        Returns:
            The fraction; None: no output has classes.
        """
        found = [_swapped(values, noise) for values in self.expected.values() if _has_classes(values)]
        return 1.0 - max(found) if found else None


def _has_classes(values: np.ndarray) -> bool:
    return values.dtype.kind == "f" and values.ndim > 1 and values.shape[-1] > 1


def _swapped(values: np.ndarray, noise: float) -> float:
    rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
    sigma = math.sqrt(noise * float(rows.var(axis=0).mean()))
    generator, top1 = np.random.default_rng(0), rows.argmax(axis=-1)
    draws = max(1, min(_DRAWS, _DRAWN // rows.size))
    noisy = ((rows + generator.normal(scale=sigma, size=rows.shape)).argmax(axis=-1) for _ in range(draws))
    return float(np.mean([np.mean(each != top1) for each in noisy]))


def judged_by(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a file whose outputs are what softmaxes take where it has softmaxes at its end, and the names of those."""
    editor = GraphEditor(content)
    names = editor.before_softmax()
    return (editor.content(), names) if names else (content, ())


def _centred(outputs: Mapping[str, np.ndarray], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {n: v - v.mean(axis=-1, keepdims=True) if n in names else v for n, v in outputs.items()}


def noise_of(found: tuple[OutputAgreement, ...]) -> float:
    """Return the power of the outputs' noise over what they vary by, summed; of whole numbers the part that differs."""
    return max(NEXT_TO_NOTHING, sum(map(_noise, found)))


def _noise(found: OutputAgreement) -> float:
    ratio = found.sqnr_db if found.spread_db is None else found.spread_db
    if ratio is None:
        return 1.0 - found.top1 if found.top1 is not None else found.max_abs_error
    return float(10.0 ** (-ratio / 10.0))


def decibels(noise: float) -> float:
    """Return noise as an agreement in dB."""
    return -10.0 * float(np.log10(max(noise, NEXT_TO_NOTHING)))


def with_weights(in_float: bytes, site: Site, weights: RealWeights) -> bytes:
    """Return a float file in which one op has other weights."""
    editor = GraphEditor(in_float)
    node = editor.ops[site.float_number]
    inputs = list(node.numbers("inputs"))
    _, kernel_slot, bias_slot = SLOTS[site.op]
    inputs[kernel_slot] = editor.add_constant(weights.kernel, "float32", inputs[kernel_slot])
    if weights.bias is not None:  # a corrected one may be there where the float file has none
        inputs[bias_slot:] = [editor.add_constant(weights.bias, "float32", node.numbers("outputs")[0])]
    editor.ops[site.float_number] = editor.placed_as(node, inputs, node.numbers("outputs"))
    return editor.content()


def with_rounded_output(in_float: bytes, site: Site, scale: float, zero_point: int) -> bytes:
    """Return a float file in which what one op makes is rounded to a grid of 8 bits."""
    editor = GraphEditor(in_float)
    node = editor.ops[site.float_number]
    made = node.numbers("outputs")[0]
    exact = editor.add_like(made, "float32")
    stored = editor.add_like(made, "int8", scale, zero_point)
    editor.ops[site.float_number : site.float_number + 1] = [
        editor.placed_as(node, node.numbers("inputs"), [exact]),
        editor.cast("QUANTIZE", 1, exact, stored),
        editor.cast("DEQUANTIZE", 2, stored, made),
    ]
    return editor.content()


def weights_at(in_float: bytes, site: Site) -> RealWeights | None:
    """Return the weights of an op in another float file of the same graph; None: there is another op."""
    graph = read_model_file(in_float).subgraphs[0]
    op = graph.ops[site.float_number] if site.float_number < len(graph.ops) else None
    if op is None or op.name != site.op:
        return None
    found = RealWeights.of(graph, op)
    return found if found.kernel.shape == site.exact.kernel.shape else None
