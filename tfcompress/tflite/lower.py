"""Any model as a SavedModel of batch 1 whose signature goes by names: what the TFLite converter is given.

The converter's other ways in are worse: ``from_keras_model`` knows one Keras only, and ``from_concrete_functions`` with
a Keras 3 model drops the weights without a word. The fixed batch spares the file the SHAPE / STRIDED_SLICE / PACK ops
of an unknown one, and recurrent layers need it.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfcompress.errors import ConversionError
from tfcompress.models.fused_lstm import RecurrentForms, fused_lstms, unread_cells
from tfcompress.models.kinds import graph_of, keras_of
from tfcompress.models.plain_operations import plain_operations
from tfcompress.models.precision import float32_policy, in_float32
from tfcompress.models.signature import signature_of
from tfcompress.models.specs import Signature
from tfcompress.models.wiring import SERVING, infer_outputs, wire

ORDER = "assets.extra/order.json"
"""File of a lowered model that holds the names of its inputs and outputs in the model's order."""


@dataclass(frozen=True)
class Lowered:
    """A model written as a SavedModel.

    Attributes:
        folder: where it is.
        signature: names, shapes (without the batch axis) and dtypes of its inputs and outputs.
        batch: its batch size: 1, or the only one that the model takes.
        qat: it holds fake quantization.
        recurrent: which LSTM layers the converter is to make one op each, and why not the others; empty: not asked for.
    """

    folder: Path
    signature: Signature
    batch: int
    qat: bool
    recurrent: RecurrentForms


def lower(model: Any, folder: Path, *, fused: bool = False) -> Lowered:
    """Write *model* into *folder* as a SavedModel with one signature, ``serving_default``, of batch 1.

    A model that insists on another batch size (a SavedModel that was signed with one, say) keeps it.

    Args:
        model: a Keras 3 or tf_keras model (subclassed, under quantization-aware training, or one of tfmot that Keras 3
            runs), or the path of a SavedModel.
        folder: a folder that does not exist yet, or is empty.
        fused: write LSTM layers of Keras 3 so that the converter makes one op of each where it can; those of tf_keras
            are written so anyway.

    Raises:
        ConversionError: the model cannot be traced, or uses a resource that it does not hold.
    """
    model = _baked(in_float32(model)[0])
    signature = signature_of(model)
    wanted = wire(graph_of(model)).batch
    batch = 1
    try:
        forms = _write(model, signature, batch, folder, fused=fused)
    except ConversionError:
        if wanted in (None, 1):
            raise
        batch = wanted
        forms = _write(model, signature, batch, folder, fused=fused)
    _keep_order(signature, folder)
    return Lowered(folder, signature, batch, _holds_fake_quant(folder), forms)


def _baked(model: Any) -> Any:
    """Return a model under our own quantization-aware training with its final weights and ranges in it."""
    if keras_of(graph_of(model)) != "keras3":
        return model
    from tfcompress.quantization.baking import baked, is_fake_quant

    if not is_fake_quant(model):
        return model
    with float32_policy():
        return baked(model)


def _write(model: Any, signature: Signature, batch: int, folder: Path, *, fused: bool) -> RecurrentForms:
    import tensorflow as tf

    specs = {s.name: tf.TensorSpec((batch, *s.shape), s.dtype, name=s.name) for s in signature.inputs}

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def serve(**tensors: Any) -> dict[str, Any]:
        return {name: tf.identity(value, name=name) for name, value in infer_outputs(model, tensors).items()}

    try:
        marked = fused_lstms(unread_cells(graph_of(model))) if fused else contextlib.nullcontext(RecurrentForms())
        with plain_operations(), marked as forms:
            function = serve.get_concrete_function(**specs)
        module = tf.Module()
        # What the graph touches, not what the model lists: a variable outside a layer's list is saved too, and the
        # layers' own functions (hundreds, in a deep model) are not traced.
        module.touched = list(function.graph.variables)
        tf.saved_model.save(module, str(folder), signatures={SERVING: function})
    except (ValueError, TypeError, AssertionError, tf.errors.OpError) as error:
        reason = _reason(error)
        if "untracked" in reason:
            msg = (
                "model looks words or numbers up in a table, for which TFLite has no op; export the Keras model that it"
                " was made from, functional or sequential (it is cut behind the lookup), or sign one that begins there"
            )
            raise ConversionError(msg) from error
        msg = f"model cannot be traced with a batch of {batch}: {reason}; give it a call() that takes any batch size"
        raise ConversionError(msg) from error
    return forms


def _keep_order(signature: Signature, folder: Path) -> None:
    """Write down the order of inputs and outputs, which a SavedModel's signature does not have."""
    order = {side: [spec.name for spec in getattr(signature, side)] for side in ("inputs", "outputs")}
    (folder / ORDER).parent.mkdir(exist_ok=True)
    (folder / ORDER).write_text(json.dumps(order), "utf-8")


def _holds_fake_quant(folder: Path) -> bool:
    return b"FakeQuantWithMinMax" in (folder / "saved_model.pb").read_bytes()


def _reason(error: Exception) -> str:
    """Return what an error of either Keras says, without its colours and the list of arguments."""
    text = re.sub(r"\x1b\[\d+m", "", str(error)).partition("Arguments received")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__
