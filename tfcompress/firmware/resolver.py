"""The ops of TensorFlow Lite Micro, and what ``MicroMutableOpResolver`` calls the methods that register them.

Names are those of its header ``micro_mutable_op_resolver.h`` in August 2026: ``AddConv2D()`` for ``CONV_2D``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tfcompress.errors import UnsupportedError
from tfcompress.targets.target import micro_ops
from tfcompress.tflite.flatbuffer import FlatModel
from tfcompress.tflite.interpret import LOOKUP
from tfcompress.tflite.micro.op_places import OpPlaces

if TYPE_CHECKING:
    from edge_runner.graph import Operator

_SPELT_OTHERWISE = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
_CUSTOM = {
    LOOKUP: "Decode",
    "CIRCULAR_BUFFER": "CircularBuffer",
    "TFLite_Detection_PostProcess": "DetectionPostprocess",
    "ethos-u": "EthosU",
    "SignalDelay": "Delay",
    "SignalEnergy": "Energy",
    "SignalFftAutoScale": "FftAutoScale",
    "SignalFilterBank": "FilterBank",
    "SignalFilterBankLog": "FilterBankLog",
    "SignalFilterBankSpectralSubtraction": "FilterBankSpectralSubtraction",
    "SignalFilterBankSquareRoot": "FilterBankSquareRoot",
    "SignalFramer": "Framer",
    "SignalIrfft": "Irfft",
    "SignalOverlapAdd": "OverlapAdd",
    "SignalPCAN": "PCAN",
    "SignalRfft": "Rfft",
    "SignalStacker": "Stacker",
    "SignalWindow": "Window",
}


def registering_method(op: Operator) -> str | None:
    """Return the method of ``MicroMutableOpResolver`` that registers an op; None: TensorFlow Lite Micro lacks it."""
    if op.custom:
        name = _CUSTOM.get(op.name)
        return None if name is None else f"Add{name}"
    if op.name not in micro_ops():
        return None
    words = "".join(word.capitalize() for word in op.name.split("_"))
    return "Add" + _SPELT_OTHERWISE.get(op.name, re.sub(r"(\d)d$", r"\1D", words))


def registering_methods(model: FlatModel) -> tuple[str, ...]:
    """Return the methods that register exactly the ops of a file, in alphabetical order.

    Raises:
        UnsupportedError: TensorFlow Lite Micro lacks an op; it is named with the layer that it came from.
    """
    missing = dict.fromkeys(op.name for op in model.ops if registering_method(op) is None)
    if missing:
        places = OpPlaces(model)
        named = "; ".join(f"{name} ({places.all_of(name)})" for name in missing)
        mend = "export the model with --sparse never" if "DENSIFY" in missing else "replace those layers"
        msg = f"TensorFlow Lite Micro has no kernel for {named}; {mend}"
        raise UnsupportedError(msg)
    return tuple(sorted(filter(None, {registering_method(op) for op in model.ops})))
