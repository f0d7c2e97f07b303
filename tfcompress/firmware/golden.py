"""The golden pair of a firmware: inputs, and what the reference kernels make of them, as the file stores both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfcompress.errors import UnsupportedError
from tfcompress.firmware.ports import Port
from tfcompress.tflite.flatbuffer import FlatModel
from tfcompress.tflite.interpret import LOOKUP, InterpreterProcess
from tfcompress.tflite.micro.process import MicroProcess


@dataclass(frozen=True)
class GoldenPair:
    """Inputs and outputs of a file.

    Attributes:
        inputs: for each input an array of shape (samples, *shape), as stored.
        outputs: for each output likewise.
        inputs_from: where the inputs come from.
        outputs_from: which interpreter made the outputs.
        micro_steps: the largest difference between the outputs and TensorFlow Lite Micro's on this machine, in steps
            of the stored numbers (floats: in real numbers); None: not compared.
    """

    inputs: tuple[np.ndarray, ...] = field(repr=False)
    outputs: tuple[np.ndarray, ...] = field(repr=False)
    inputs_from: str
    outputs_from: str
    micro_steps: float | None = None

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.inputs[0]) if self.inputs else 0


def drawn_inputs(ports: Sequence[Port], samples: int, seed: int) -> tuple[np.ndarray, ...]:
    """Draw stored inputs by *seed*.

    Quantized ones are drawn evenly from their type's range, floats from the standard normal distribution, and whole
    numbers are 0 or 1: mostly they are places in a table of unknown length.

    Args:
        ports: the inputs.
        samples: how many.
        seed: draws them.
    """
    generator = np.random.default_rng(seed)
    drawn = []
    for port in ports:
        shape, dtype = (samples, *port.shape), np.dtype(port.dtype)
        if port.scale:
            limits = np.iinfo(dtype)
            drawn.append(generator.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True))
        elif dtype.kind == "f":
            drawn.append(generator.standard_normal(shape, dtype=np.float32))
        else:
            drawn.append(generator.integers(0, 2, shape).astype(dtype))
    return tuple(drawn)


def stored_inputs(ports: Sequence[Port], values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return real samples as the file stores them.

    Args:
        ports: the inputs.
        values: for each by name an array of shape (samples, *shape without the batch axis); so many samples at a time
            as the file takes are put together, the last is repeated where one is missing.
    """
    made = []
    for port in ports:
        group = max(1, port.shape[0]) if port.shape else 1
        given = np.asarray(values[port.name])
        missing = -len(given) % group
        full = np.concatenate([given, np.repeat(given[-1:], missing, axis=0)]) if missing else given
        made.append(port.stored(full.reshape(-1, *port.shape)))
    return tuple(made)


def golden_pair(
    content: bytes,
    model: FlatModel,
    ports: tuple[Sequence[Port], Sequence[Port]],
    inputs: tuple[np.ndarray, ...],
    inputs_from: str,
    micro: MicroProcess | None,
) -> GoldenPair:
    """Run a file on inputs.

    Args:
        content: the file.
        model: the same, read.
        ports: its inputs and outputs.
        inputs: as stored.
        inputs_from: where they come from, for the record.
        micro: the file open in TensorFlow Lite Micro: what it makes of the inputs is compared, and taken where LiteRT
            does not run the file (look-up tables, ops for signals); None: it is not installed.

    Raises:
        UnsupportedError: no interpreter at hand runs the file.
    """
    by_micro = None if micro is None else _answers(micro, ports, inputs)
    made_by_micro = "" if micro is None else f"tflite-micro {micro.opened()}, portable kernels"
    if by_micro is not None and any(op.name == LOOKUP for op in model.ops):
        return GoldenPair(inputs, by_micro, inputs_from, made_by_micro)
    try:
        with InterpreterProcess(content, reference_kernels=True, workers=1, refusal=UnsupportedError) as reference:
            outputs = _answers(reference, ports, inputs)
            made_by = f"LiteRT {reference.opened()}, reference kernels"
    except UnsupportedError:
        if by_micro is None:
            raise
        return GoldenPair(inputs, by_micro, inputs_from, f"{made_by_micro}; LiteRT does not run the file")
    steps = None if by_micro is None else max(map(_apart, by_micro, outputs), default=0.0)
    return GoldenPair(inputs, outputs, inputs_from, made_by, steps)


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.max(np.abs(one.astype(np.float64) - other.astype(np.float64)), initial=0.0))


def _answers(
    interpreter: InterpreterProcess, ports: tuple[Sequence[Port], Sequence[Port]], inputs: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, ...]:
    """Return what an interpreter makes of stored inputs, as the file stores it; each array (samples, *shape)."""
    given = {
        port.name: _real(port, values).reshape(-1, *port.shape[1:])
        for port, values in zip(ports[0], inputs, strict=True)
    }
    made = interpreter.run(given)
    return tuple(port.stored(made[port.name]).reshape(len(inputs[0]), *port.shape) for port in ports[1])


def _real(port: Port, values: np.ndarray) -> np.ndarray:
    """Give stored values their meaning; storing it again gives them back."""
    if not port.scale:
        return values
    real: np.ndarray = (values.astype(np.float32) - np.float32(port.zero_point or 0)) * np.float32(port.scale)
    return real
