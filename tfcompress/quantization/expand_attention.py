"""Multi-head attention rewritten into dense layers, batched matrix products and a softmax."""

from __future__ import annotations

import math
from typing import Any

import keras

from tfcompress.models.keras_private import attention_projections
from tfcompress.quantization.expand_blocks import Apply, Expand, Sublayers
from tfcompress.quantization.expand_convs import dense, shaped


def multi_head_attention(layer: Any, expand: Expand) -> Apply | None:
    """Expand MultiHeadAttention (Vaswani et al. 2017, section 3.2) over all axes between batch and features.

    What is called with a mask stays as it is: minus infinity among the scores would leave int8 no precision.
    """
    if attention_obstacle(layer):
        return None
    attention = _Attention(layer, expand)

    def apply(query: Any, value: Any, key: Any = None, **options: Any) -> Any:
        key = value if key is None else key
        scores_too = options.pop("return_attention_scores", False)
        options.pop("training", None)
        if any(option is not None and option is not False for option in options.values()):
            return layer(query, value, key, return_attention_scores=scores_too, **options)
        if scores_too and len(query.shape) != 3:
            return layer(query, value, key, return_attention_scores=True)
        return attention(query, value, key, scores_too=scores_too)

    return apply


def attention_obstacle(layer: Any) -> str:
    """Return why MultiHeadAttention stays as it is; empty: it is expanded."""
    rank = len(layer.query_dense.get_build_config()["input_shape"])
    if tuple(layer.attention_axes) != tuple(range(1, rank - 1)):
        return f"attends over axes {tuple(layer.attention_axes)} only; all between batch and features are taken"
    if layer.get_config().get("sliding_window") is not None:
        return "masks what lies outside a sliding window"
    return ""


class _Attention:
    """The parts of one MultiHeadAttention layer."""

    def __init__(self, layer: Any, expand: Expand) -> None:
        self.parts = Sublayers(layer, expand)
        self.scale = 1 / math.sqrt(layer.key_dim)
        sources = {"query": layer.query_dense, "key": layer.key_dense, "value": layer.value_dense}
        if layer.get_config().get("use_gate"):
            sources["gate"] = attention_projections(layer)["gate"]
        self.projections = {name: self._projection(name, source, 1) for name, source in sources.items()}
        self.heads = {name: tuple(source.kernel.shape[1:]) for name, source in sources.items()}
        self.output = self._projection("output", layer.output_dense, 2)
        self.output_shape = tuple(layer.output_dense.kernel.shape[2:])
        self.softmax = self.parts.layer(keras.layers.Softmax, "softmax")
        self.dropout = self.parts.layer(keras.layers.Dropout, "dropout", rate=layer.dropout, seed=layer.seed)

    def _projection(self, name: str, source: Any, contracted: int) -> Apply:
        return dense(self.parts, name, source.kernel, source.bias, contracted, source.activation)

    def __call__(self, query: Any, value: Any, key: Any, *, scores_too: bool) -> Any:
        # query and value of shape (batch, targets, heads, size) and (batch, sources, heads, size)
        scaled = self.parts.op("scale", keras.ops.multiply, self._heads("query", query, (2, 1, 3)), self.scale)
        keys, values = self._heads("key", key, (2, 3, 1)), self._heads("value", value, (2, 1, 3))
        scores = self.softmax(self.parts.op("scores", keras.ops.matmul, scaled, keys))
        mixed = self.parts.op("mix", keras.ops.matmul, self.dropout(scores), values)
        mixed = self.parts.layer(keras.layers.Permute, "join", dims=(2, 1, 3))(mixed)
        if "gate" in self.heads:
            product = self.parts.layer(keras.layers.Multiply, "gated")
            mixed = product([mixed, self._heads("gate", query, None)])
        out = shaped(self.parts, "shape", self.output(mixed), (*query.shape[1:-1], *self.output_shape))
        return (out, scores) if scores_too else out

    def _heads(self, name: str, x: Any, order: tuple[int, int, int] | None) -> Any:
        """Project *x* and split it into heads, with its axes in *order*."""
        positions = math.prod(x.shape[1:-1]) if None not in x.shape[1:-1] else None
        x = shaped(self.parts, f"{name}_positions", x, (positions, x.shape[-1]))
        x = shaped(self.parts, f"{name}_heads", self.projections[name](x), (positions, *self.heads[name]))
        return x if order is None else self.parts.layer(keras.layers.Permute, f"{name}_order", dims=order)(x)
