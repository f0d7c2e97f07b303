"""Whether weights of 4 bits make a file smaller at all: the file with weights of 8 bits is made to see."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from tfcompress.errors import ContractError, ConversionError, UnsupportedError
from tfcompress.export_choices import PACKINGS
from tfcompress.models.kinds import graph_of, keras_of
from tfcompress.models.precision import float32_policy
from tfcompress.recipe import Export
from tfcompress.tflite.attempt import Request, converted
from tfcompress.tflite.contract import float_ops
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.pack import add_metadata
from tfcompress.tflite.rolling import rolled
from tfcompress.tflite.routes import Made, fusible


def asked_for_four_bits(model: Any, settings: Export) -> bool:
    """Say whether weights of 4 bits were asked for: of the export, or of the training before it.

    Args:
        model: a Keras 3 or tf_keras model, or the path of a SavedModel.
        settings: how it is to be exported.
    """
    return settings.weight_bits != Export.weight_bits or _trained_for_four_bits(model)


def warned_of_size(made: Made, model: Any, request: Request) -> Made:
    """Return a file of 4 bits, with a note where the file with weights of 8 bits is no larger.

    Args:
        made: the file.
        model: a Keras 3 or tf_keras model, or one that was trained for weights of 4 bits.
        request: what was asked.
    """
    plain_bytes = _plain_bytes(model, request)
    if plain_bytes is None or made.attempt.size_bytes < plain_bytes:
        return made
    return made.noted(
        f"weights of 4 bits do not pay: the file has {made.attempt.size_bytes:,} bytes, with weights of 8 bits it "
        f"has {plain_bytes:,}; leave --weight-bits 4 out"
    )


def _plain_bytes(model: Any, request: Request) -> int | None:
    """Return the size of the file with weights of 8 bits; None: the converter alone does not make one."""
    settings = dataclasses.replace(request.settings, weight_bits=8, calibration="minmax", correct=(), rounding=None)
    plain = dataclasses.replace(request, settings=settings)
    with request.progress.task("comparing with weights of 8 bits"):
        try:
            content = converted(_in_eight_bits(model), plain, fused=fusible(model, settings))
        except (ContractError, ConversionError, UnsupportedError):
            return None
    if float_ops(read_model_file(content)):
        return None
    with contextlib.suppress(UnsupportedError):
        content = rolled(content)
    if request.metadata is not None:
        content = add_metadata(content, request.metadata)
    for name in settings.packings:
        content = PACKINGS[name].load()(content, keep_names=settings.keep_names)
    return len(content)


def _trained_for_four_bits(model: Any) -> bool:
    if keras_of(graph_of(model)) != "keras3":
        return False
    from tfcompress.quantization.baking import fewest_weight_bits

    return fewest_weight_bits(model) == 4


def _in_eight_bits(model: Any) -> Any:
    """Return a model; of one that was trained for weights of 4 bits one that has them stored in 8."""
    if not _trained_for_four_bits(model):
        return model
    from tfcompress.quantization.baking import baked

    with float32_policy():
        return baked(model, four_bits=False)
