"""What runtimes accept by its op version and then compute wrongly or not at all, each entry measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tfcompress.tflite.flatbuffer import FlatModel
from tfcompress.tflite.weights import kernels

Version = tuple[int, ...]


@dataclass(frozen=True)
class Trouble:
    """One thing that a runtime gets wrong.

    Attributes:
        runtime: litert, tensorflow or tflite-runtime.
        fixed_in: first version without it; None: it is there in the newest that was measured.
        applies: whether a file uses it.
        reason: what happens.
    """

    runtime: str
    fixed_in: Version | None
    applies: Callable[[FlatModel], bool]
    reason: str


def _computes(op: str, dtype: str) -> Callable[[FlatModel], bool]:
    """Look for an op whose first input has a dtype."""

    def applies(model: FlatModel) -> bool:
        return any(
            found.name == op
            and found.inputs
            and graph.of(found.inputs[:1])
            and graph.of(found.inputs[:1])[0].dtype == dtype
            for graph in model.subgraphs
            for found in graph.ops
        )

    return applies


def _four_bits_by(op: str, dtype: str) -> Callable[[FlatModel], bool]:
    """Look for an op with a kernel of 4 bits and an input of a dtype."""

    def applies(model: FlatModel) -> bool:
        return any(
            found.name == op
            and len(found.inputs) > 1
            and [tensor.dtype for tensor in graph.of(found.inputs[:2])] == [dtype, "int4"]
            for graph in model.subgraphs
            for found in graph.ops
        )

    return applies


def _four_bits(model: FlatModel) -> bool:
    return any(kernel.tensor.dtype == "int4" for kernel in kernels(model.subgraphs))


def _dense_per_channel(model: FlatModel) -> bool:
    return any(k.op == "FULLY_CONNECTED" and len(k.tensor.scales) > 1 for k in kernels(model.subgraphs))


def _sparse_int8(model: FlatModel) -> bool:
    return any(k.tensor.sparse and k.tensor.dtype == "int8" for k in kernels(model.subgraphs))


TROUBLES = (
    Trouble("litert", None, _sparse_int8, "it cannot run sparse int8 kernels"),
    Trouble("litert", (2, 1, 3), _computes("BATCH_MATMUL", "int8"), "it computes int8 BATCH_MATMUL wrongly"),
    Trouble("litert", (2, 1, 6), _computes("TILE", "int16"), "it has no int16 TILE"),
    Trouble("tensorflow", (2, 22), _computes("TILE", "int16"), "it has no int16 TILE"),
    Trouble("tflite-runtime", None, _computes("TILE", "int16"), "it has no int16 TILE"),
    Trouble("tflite-runtime", None, _computes("GELU", "int16"), "it has no int16 GELU"),
    Trouble("tflite-runtime", None, _four_bits, "it computes int4 kernels wrongly (NaN)"),
    *(
        Trouble(runtime, None, _four_bits_by("DEPTHWISE_CONV_2D", dtype), reason)
        for runtime in ("litert", "tensorflow")
        for dtype, reason in (
            ("int16", "it computes 4-bit depthwise kernels beside int16 activations wrongly, without a word"),
            ("float32", "it cannot run 4-bit depthwise kernels beside float activations"),
        )
    ),
    Trouble("tflite-runtime", (2, 10), _dense_per_channel, "it computes dense layers quantized per channel wrongly"),
)
"""An attention block in int8 has 9 dB in LiteRT 2.1.2 and 29 dB in 2.1.3, in tflite-runtime and without XNNPACK.

A 4-bit depthwise kernel beside int16 activations has -15 dB against the same numbers stored in 8 bits, in LiteRT 2.3
and TensorFlow 2.21, with XNNPACK and with the reference kernels.
"""


def known_trouble(model: FlatModel, runtime: str, version: Version) -> str:
    """Say what a version of a runtime gets wrong about a file; empty: nothing that is known."""
    for trouble in TROUBLES:
        present = trouble.fixed_in is None or version < trouble.fixed_in
        if trouble.runtime == runtime and present and trouble.applies(model):
            return trouble.reason
    return ""
