"""Recurrent layers in a file: an LSTM as one op where the converter makes it one, else a loop, else step by step.

One op is smallest: of an LSTM of 32 units over 28 steps, 12 kB in int8 where the steps written out take 150. Only what
the op cannot do (masks, states that are read, other cells) is a loop, in float, or written out by the rules of our
quantization-aware training, in integers, for the converter dies of a loop that it is to quantize.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress.errors import ConversionError
from tfcompress.models.fused_lstm import OP, has_recurrent
from tfcompress.recipe import Export
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.lower import Lowered, lower

if TYPE_CHECKING:
    from tfcompress.tflite.convert import ConverterProcess


def check_loops(lowered: Lowered, settings: Export) -> None:
    """Refuse to quantize to int8 what holds a loop, before the converter dies of it.

    Args:
        lowered: with *fused*, for only then it is known which layers are loops.
        settings: how it is to be converted.

    Raises:
        ConversionError: naming the layers.
    """
    if settings.quantize != "int8" or not lowered.recurrent.loops:
        return
    named = ", ".join(f"{name} ({why})" for name, why in lowered.recurrent.loops.items())
    msg = (
        f"the converter cannot quantize the loops of recurrent layers to int8: {named}; train with --qat, which writes "
        "them out, build them with unroll=True, or quantize 'dynamic' or 'float16'"
    )
    raise ConversionError(msg)


def check_fused(content: bytes, lowered: Lowered) -> None:
    """Check that every LSTM that was to be one op is one.

    Raises:
        ConversionError: one is not.
    """
    wanted = len(lowered.recurrent.fused)
    made = [op for graph in read_model_file(content).subgraphs for op in graph.ops if op.name == OP] if wanted else []
    if len(made) < wanted:
        names = ", ".join(dict.fromkeys(lowered.recurrent.fused))
        msg = f"the converter made {len(made)} of {wanted} LSTMs one op ({names}); give --quantize dynamic or float16"
        raise ConversionError(msg)


def float_file(model: Any, folder: Path, converter: ConverterProcess, *, select_ops: bool = False) -> bytes:
    """Return the float file of a model.

    Args:
        model: a Keras 3 or tf_keras model, or the path of a SavedModel.
        folder: an empty one, or one that does not exist yet; what is written there may be thrown away.
        converter: converts.
        select_ops: allow TensorFlow's own ops.

    Raises:
        ConversionError: the converter refused or died, or the model cannot be traced.
    """
    settings = Export(select_ops=select_ops)
    if has_recurrent(model):
        lowered = lower(model, folder / "fused", fused=True)
        if lowered.recurrent.fused:
            try:
                content = converter.convert(lowered.folder, settings, None, batch=lowered.batch)
                check_fused(content, lowered)
            except ConversionError:
                pass  # as a loop, then
            else:
                return content
    lowered = lower(model, folder / "plain")
    return converter.convert(lowered.folder, settings, None, batch=lowered.batch)
