"""An int8 file written again with other numbers in some of its ops: float islands, kernels of 4 bits, int16.

Nothing is converted for it: an op keeps its options and gets other tensors, and between ops of unlike numbers stand
QUANTIZE and DEQUANTIZE. So a plan takes milliseconds to make, and what it does to a file is all that it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.graph_editor import GraphEditor
from tfcompress.tflite.sites import SLOTS, RealWeights, Site
from tfcompress.tflite.tensors import Subgraph
from tfcompress.tflite.tree import Node

Precision = Literal["int8", "int4", "float", "int16"]
"""Numbers of an op: all in int8; a kernel of 4 bits; all in float32; activations of 16 bits, a kernel of 8."""
ACTIVATIONS: dict[Precision, str] = {"int8": "int8", "int4": "int8", "float": "float32", "int16": "int16"}
"""dtype of the tensors between ops."""
KERNEL_BITS: dict[Precision, int] = {"int8": 8, "int4": 4, "int16": 8}
_VERSIONS: dict[str, dict[Precision, int]] = {
    "CONV_2D": {"float": 1, "int4": 7, "int16": 4, "int8": 3},
    "DEPTHWISE_CONV_2D": {"float": 2, "int4": 7, "int16": 5, "int8": 3},
    "FULLY_CONNECTED": {"float": 5, "int4": 10, "int16": 7, "int8": 5},
    "TRANSPOSE_CONV": {"float": 3, "int16": 4, "int8": 3},
}
"""Version of an op whose kernel does it (TensorFlow's tools/versioning); those that are missing have none."""
_CASTS: dict[tuple[str, str], tuple[str, int]] = {
    ("int8", "float32"): ("DEQUANTIZE", 2),
    ("int16", "float32"): ("DEQUANTIZE", 3),
    ("float32", "int8"): ("QUANTIZE", 1),
    ("float32", "int16"): ("QUANTIZE", 2),
    ("int8", "int16"): ("QUANTIZE", 2),
    ("int16", "int8"): ("QUANTIZE", 2),
}
CASTS: dict[tuple[str, str], str] = {pair: op for pair, (op, _) in _CASTS.items()}
"""dtype before and behind -> the op that stands between."""


@dataclass(frozen=True)
class Mixture:
    """A file with other numbers in some ops.

    Attributes:
        content: the file.
        islands: names of the tensors that the ops in float make, and of their kernels.
    """

    content: bytes
    islands: frozenset[str]


class Mixer:
    """Writes an int8 file again, by plan.

    Attributes:
        sites: the ops whose numbers can be chosen.
        four_bits: number of an op -> its weights on a grid of 4 bits, in real numbers.
        incoming: number of an op -> what its bias in the int8 file makes good of what the ops before do to the means of
            its sums, shape (channels,); see :mod:`tfcompress.tflite.means`.
    """

    def __init__(self, int8: bytes, sites: Sequence[Site], four_bits: Mapping[int, RealWeights]) -> None:
        """Keep what plans are made from.

        Args:
            int8: the file.
            sites: of :func:`tfcompress.tflite.sites.sites_of`.
            four_bits: number of an op -> its weights on a grid of 4 bits, in real numbers.
        """
        self.sites = tuple(sites)
        self._content, self.four_bits = int8, dict(four_bits)
        self.incoming: dict[int, np.ndarray] = {}
        self._graph = read_model_file(int8).subgraphs[0]

    def has(self, site: Site, precision: Precision) -> bool:
        """Say whether an op can be written in a precision; whether it then runs is another matter."""
        return precision in _VERSIONS[site.op] and (precision != "int4" or site.number in self.four_bits)

    def mixed(self, choices: Mapping[int, Precision], *, incoming: bool = True) -> Mixture:
        """Return the file in which ops have other numbers.

        Args:
            choices: number of an op -> its precision; others keep theirs.
            incoming: the biases of these ops keep :attr:`incoming`, but behind an op in float.
        """
        writer = _Writer(self._content, self._graph)
        behind_float = {after.number for before, after in self.links() if choices.get(before.number) == "float"}
        by_number = {site.number: site for site in self.sites}
        for number, node in enumerate(writer.take_ops()):
            precision = choices.get(number, "int8")
            if precision == "int8":
                writer.keep(node)
            else:
                weights = self.weights(by_number[number], precision)
                if precision == "int16" or (incoming and number not in behind_float):
                    weights = self._moved(weights, by_number[number], 1.0)
                writer.switch(node, by_number[number], precision, weights)
        return writer.mixture()

    def with_sums(self, kernels: Mapping[int, Sequence[np.ndarray]]) -> bytes:
        """Return the file with other outputs: what ops sum up with other kernels, without bias and activation.

        Each output is a mean over places, of shape (1, channels), and they come in the order of the ops.

        Args:
            kernels: number of an op -> kernels, in real numbers.
        """
        writer = _Writer(self._content, self._graph)
        by_number, made = {site.number: site for site in self.sites}, []
        for number, node in enumerate(writer.take_ops()):
            writer.keep(node)
            made += [writer.sums(node, by_number[number], kernel) for kernel in kernels.get(number, ())]
        return writer.content(self._graph.inputs, made)

    def alone(self, site: Site, precision: Precision, *, wide: bool = False) -> bytes:
        """Return a file of one op, in a precision.

        Args:
            site: the op.
            precision: its numbers.
            wide: store a kernel of 4 bits in 8, the same numbers on the same grid.
        """
        writer = _Writer(self._content, self._graph)
        node = writer.take_ops()[site.number]
        return writer.one_op(node, site, precision, self.weights(site, precision), wide=wide)

    def cast_alone(self, tensor: int, before: str, behind: str) -> bytes:
        """Return a file of one op that changes the numbers of a tensor from one dtype to another."""
        return _Writer(self._content, self._graph).one_cast(tensor, before, behind)

    def weights(self, site: Site, precision: Precision) -> RealWeights:
        """Return what an op computes with in a precision where all else is in float, in real numbers."""
        if precision in ("int4", "float"):
            return self.four_bits[site.number] if precision == "int4" else site.exact
        return self._moved(site.stored, site, -1.0)

    def _moved(self, weights: RealWeights, site: Site, sign: float) -> RealWeights:
        """Return weights whose bias is moved by what comes in."""
        if site.number not in self.incoming:
            return weights
        moved = sign * self.incoming[site.number]
        return RealWeights(weights.kernel, moved if weights.bias is None else weights.bias + moved)

    def links(self) -> tuple[tuple[Site, Site], ...]:
        """Return the pairs of ops of which the second alone takes what the first makes."""
        users: dict[int, list[int]] = {}
        for number, op in enumerate(self._graph.ops):
            for tensor in op.inputs:
                users.setdefault(tensor, []).append(number)
        by_number = {site.number: site for site in self.sites}
        pairs = []
        for site in self.sites:
            behind = users.get(site.made, [])
            if len(behind) == 1 and behind[0] in by_number and site.made not in self._graph.outputs:
                other = by_number[behind[0]]
                if other.given == site.made:
                    pairs.append((site, other))
        return tuple(pairs)

    def shape_of(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._graph.tensors[tensor].shape

    def grid_of(self, tensor: int) -> tuple[float, int]:
        """Return the step of a tensor's numbers in the int8 file, and the stored number that stands for 0.0."""
        stored = self._graph.tensors[tensor]
        return stored.scales[0], stored.zero_points[0]

    def range_of(self, tensor: int) -> tuple[float, float]:
        """Return the least and the largest value that a tensor can have in the int8 file."""
        step, point = self.grid_of(tensor)
        return (-128 - point) * step, (127 - point) * step


class _Writer:
    """One file being written: which forms of a tensor there are, and the ops so far."""

    def __init__(self, content: bytes, graph: Subgraph) -> None:
        self._editor, self._graph = GraphEditor(content), graph
        self._forms: dict[int, dict[str, int]] = {}
        self._islands: set[str] = set()

    def take_ops(self) -> list[Node]:
        """Return the ops that there were, and leave none."""
        ops, self._editor.ops = self._editor.ops, []
        return ops

    def keep(self, node: Node) -> None:
        """Put an op as it was."""
        for tensor in node.numbers("inputs"):
            if tensor in self._forms:
                self._form(tensor, "int8")
        self._editor.ops.append(node)

    def switch(self, node: Node, site: Site, precision: Precision, weights: RealWeights) -> None:
        """Put an op with other numbers."""
        dtype = ACTIVATIONS[precision]
        given = self._form(site.given, dtype)
        made = site.made if dtype == "int8" else self._new_form(site.made, dtype)
        self._forms[site.made] = {dtype: made}
        self._editor.ops.append(self._switched(node, site, precision, weights, given, made))
        if site.made in self._graph.outputs:
            self._form(site.made, "int8")

    def sums(self, node: Node, site: Site, kernel: np.ndarray) -> int:
        """Put an op in float without bias and activation behind itself; returns the tensor of its mean over places."""
        editor, inputs = self._editor, list(node.numbers("inputs"))
        x_slot, kernel_slot, bias_slot = SLOTS[site.op]
        inputs[x_slot] = self._form(site.given, "float32")
        inputs[kernel_slot] = editor.add_constant(kernel, "float32", inputs[kernel_slot])
        inputs[bias_slot:] = [editor.add_constant(np.zeros(kernel.shape[site.axis]), "float32", site.made)]
        options = node.node("builtin_options")
        if options is not None:
            node = node.having(builtin_options=options.having(fused_activation_function=None))
        made = editor.add_like(site.made, "float32")
        editor.ops.append(editor.placed(node, site.op, _VERSIONS[site.op]["float"], inputs, [made]))
        places = np.arange(1, len(self._graph.tensors[site.made].shape) - 1)
        if not len(places):
            return made
        mean = editor.add_like(site.made, "float32")
        axes = editor.add_constant(places, "int32", site.made)
        editor.ops.append(editor.placed(Node("Operator", {}), "MEAN", 1, [made, axes], [mean]))
        return mean

    def content(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """Return the file with other ends, without a signature."""
        return self._editor.content(inputs, outputs)

    def mixture(self) -> Mixture:
        """Return the file."""
        return Mixture(self._editor.content(), frozenset(self._islands))

    def one_op(self, node: Node, site: Site, precision: Precision, weights: RealWeights, *, wide: bool) -> bytes:
        dtype = ACTIVATIONS[precision]
        given, made = (t if dtype == "int8" else self._new_form(t, dtype) for t in (site.given, site.made))
        self._editor.ops = [self._switched(node, site, precision, weights, given, made, wide=wide)]
        return self._editor.content([given], [made])

    def one_cast(self, tensor: int, before: str, behind: str) -> bytes:
        ends = [tensor if dtype == "int8" else self._new_form(tensor, dtype) for dtype in (before, behind)]
        self._editor.ops = [self._editor.cast(*_CASTS[before, behind], *ends)]
        return self._editor.content(ends[:1], ends[1:])

    def _form(self, tensor: int, dtype: str) -> int:
        """Return the number of a tensor in a dtype, cast from what there is where it is not there yet."""
        forms = self._forms.setdefault(tensor, {"int8": tensor})
        if dtype not in forms:
            before = next(iter(forms))  # as it was made: what was cast has lost something
            forms[dtype] = tensor if dtype == "int8" else self._new_form(tensor, dtype)
            self._editor.ops.append(self._editor.cast(*_CASTS[before, dtype], forms[before], forms[dtype]))
        return forms[dtype]

    def _new_form(self, tensor: int, dtype: str) -> int:
        return self._editor.add_like(tensor, dtype, self._scale(tensor, dtype))

    def _scale(self, tensor: int, dtype: str) -> float:
        """Return the step of a tensor's numbers; of int16 the one whose symmetric grid spans the range of int8."""
        if dtype == "float32":
            return 0.0
        stored = self._graph.tensors[tensor]
        scale, point = stored.scales[0], stored.zero_points[0]
        return scale if dtype == "int8" else scale * max(128 + point, 127 - point) / 32767

    def _switched(
        self,
        node: Node,
        site: Site,
        precision: Precision,
        weights: RealWeights,
        given: int,
        made: int,
        *,
        wide: bool = False,
    ) -> Node:
        """Return an op with other numbers, between tensors of its dtype."""
        editor, inputs = self._editor, list(node.numbers("inputs"))
        x_slot, kernel_slot, bias_slot = SLOTS[site.op]
        kernel = inputs[kernel_slot]
        inputs[x_slot] = given
        scales = np.asarray(self._graph.tensors[kernel].scales)
        if precision == "float":
            inputs[kernel_slot] = editor.add_constant(weights.kernel, "float32", kernel)
            self._islands |= {editor.name_of(n) for n in (made, inputs[kernel_slot])}
        elif precision == "int4":
            codes, scales = codes_of(weights.kernel, 4, site.axis if site.per_channel else None)
            inputs[kernel_slot] = editor.add_constant(codes, "int8" if wide else "int4", kernel, scales, site.axis)
        inputs[bias_slot:] = self._bias(weights, site, precision, inputs[bias_slot:], scales)
        version = _VERSIONS[site.op]["int8" if wide else precision]
        return editor.placed(node, site.op, version, inputs, [made])

    def _bias(
        self, weights: RealWeights, site: Site, precision: Precision, before: list[int], scales: np.ndarray
    ) -> list[int]:
        """Return the number of the bias, in steps of input times kernel: of 32 bits, of 64 beside int16 activations."""
        had = before[:1] if before and before[0] >= 0 else []
        if weights.bias is None and not had:
            return before
        values = np.zeros(weights.kernel.shape[site.axis]) if weights.bias is None else weights.bias
        like = had[0] if had else site.made
        if precision == "float":
            return [self._editor.add_constant(values, "float32", like)]
        steps = self._scale(site.given, ACTIVATIONS[precision]) * scales.astype(np.float64)
        wide = "int64" if precision == "int16" else "int32"
        limits = np.iinfo(wide)
        whole = np.clip(np.rint(values.astype(np.float64) / steps), limits.min, limits.max).astype(wide)
        return [self._editor.add_constant(whole, wide, like, steps)]


def codes_of(kernel: np.ndarray, bits: int, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the whole numbers of a kernel and the steps that they are multiplied by, shape (channels,) or (1,).

    The largest weight is at the end of the grid, ``step = max|w| / (2**(bits - 1) - 1)``: a kernel that is on such a
    grid already stays what it is.

    Args:
        kernel: real numbers.
        bits: of a whole number.
        axis: of the channels that have a step each; None: one step for all.
    """
    others = tuple(n for n in range(kernel.ndim) if n != axis) if axis is not None else None
    largest = float(2 ** (bits - 1) - 1)
    bound = np.abs(kernel).max(axis=others, keepdims=True).astype(np.float64)
    steps = np.where(bound > 0, bound, 1.0) / largest
    return np.rint(kernel / steps).astype(np.int8), steps.reshape(-1)
