"""Whether weights of fewer bits than 8 make a file smaller at all: the plain file is made to see."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from tfcompress.errors import ContractError, ConversionError, UnsupportedError
from tfcompress.export_choices import PACKINGS
from tfcompress.tflite.attempt import Request, converted
from tfcompress.tflite.contract import float_ops
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.pack import add_metadata
from tfcompress.tflite.rolling import rolled
from tfcompress.tflite.routes import Made, fusible


def warned_of_size(made: Made, model: Any, request: Request) -> Made:
    """Return a file of few bits, with a note where the file with weights of 8 bits is no larger.

    Args:
        made: the file.
        model: a Keras 3 or tf_keras model.
        request: what was asked.
    """
    bits = request.settings.weight_bits
    plain_bytes = _plain_bytes(model, request)
    if plain_bytes is None or made.attempt.size_bytes < plain_bytes:
        return made
    return made.noted(
        f"weights of {bits} bits do not pay: the file has {made.attempt.size_bytes:,} bytes, with weights of 8 bits it "
        f"has {plain_bytes:,}; leave --weight-bits {bits} out"
    )


def _plain_bytes(model: Any, request: Request) -> int | None:
    """Return the size of the plain int8 file; None: the converter alone does not make one."""
    settings = dataclasses.replace(request.settings, weight_bits=8, calibration="minmax", correct=(), rounding=None)
    plain = dataclasses.replace(request, settings=settings)
    with request.progress.task("comparing with weights of 8 bits"):
        try:
            content = converted(model, plain, fused=fusible(model, settings))
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
