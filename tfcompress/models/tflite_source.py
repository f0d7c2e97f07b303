"""A float ``.tflite`` file in a model's place: what came from elsewhere, whose Keras model nobody has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature


@dataclass(frozen=True)
class TFLiteSource:
    """A float file that is quantized as it is; :mod:`tfcompress.tflite.source_file` reads one.

    Attributes:
        content: the file as it came.
        named: the same with a signature, and with a name of its own for each tensor.
        signature: its inputs and outputs, by name.
    """

    content: bytes = field(repr=False)
    named: bytes = field(repr=False)
    signature: Signature
