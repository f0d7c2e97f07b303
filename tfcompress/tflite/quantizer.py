"""Numbers of a float file made smaller by litert-quantizer, in a child process: the way for files without a model.

Its calibration keeps a moving average of each tensor's least and largest value, which cuts off what is rare; here they
are the least and largest value of all samples, as the converter's are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

import numpy as np

from tfcompress.errors import ConversionError, MissingDependencyError
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.tree import Numbers, parse_tree
from tfcompress.tflite.tree_writer import write_tree
from tfcompress.worker import Worker, WorkerAnswerError, WorkerDiedError

_CHILD = "tfcompress.tflite.quantizer_child"
_PACKAGE = "litert-quantizer"
_ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
WEIGHTS: dict[str, str] = {
    "minmax": "MIN_MAX_UNIFORM_QUANT",
    "least squares": "MSE",
}
"""How the ranges of weights are chosen -> what litert-quantizer calls that."""


@dataclass(frozen=True, kw_only=True)
class QuantizerRequest:
    """What a file is to become.

    Attributes:
        scheme: ``int8``, ``int16x8``, ``dynamic`` or ``float16``.
        float_ends: inputs and outputs of an int8 or int16x8 file stay in float.
        weights: a line of :data:`WEIGHTS`.
    """

    scheme: str
    float_ends: bool = False
    weights: str = "minmax"


def check_quantizer() -> None:
    """Refuse to quantize files where litert-quantizer is not installed; it is not imported.

    Raises:
        MissingDependencyError: saying what to install.
    """
    if find_spec("litert_quantizer") is None:
        msg = f"a .tflite file is quantized by {_PACKAGE}, which is not installed: pip install 'tfcompress[{_PACKAGE}]'"
        raise MissingDependencyError(msg)


def quantizer_version() -> str:
    """Return the version of litert-quantizer that is installed."""
    return metadata.version(_PACKAGE)


def quantized(content: bytes, request: QuantizerRequest, samples: Mapping[str, np.ndarray] | None = None) -> bytes:
    """Return a file in other numbers.

    Args:
        content: the float file, with a signature, each tensor with a name of its own.
        request: what it is to become.
        samples: to calibrate on, by input name, arrays of shape (samples, *shape); None: nothing is calibrated.

    Raises:
        ConversionError: litert-quantizer refuses the file, or dies of it.
        MissingDependencyError: it is not installed.
    """
    check_quantizer()
    flat = read_model_file(content)
    if samples is None:
        return _made(content, request, None)
    group = max(1, flat.inputs[0].shape[0]) if flat.inputs[0].shape else 1
    runs = {tensor.name: _in_runs(samples[tensor.name], group) for tensor in flat.inputs}
    if all(-1 not in tensor.shape[1:] for tensor in flat.inputs):
        return _made(content, request, runs)
    made = _made(_sized(content, {name: arrays.shape[1:] for name, arrays in runs.items()}), request, runs)
    return _sized(made, {tensor.name: flat.subgraphs[0].tensors[tensor.index].shape for tensor in flat.inputs})


def _made(content: bytes, request: QuantizerRequest, runs: Mapping[str, np.ndarray] | None) -> bytes:
    flat = read_model_file(content)
    with Worker(_CHILD, environment=_ENVIRONMENT) as worker:
        source, target, stored = (worker.folder / name for name in ("float.tflite", "made.tflite", "samples.npz"))
        source.write_bytes(content)
        if runs is not None:
            arrays = {f"x{place}": values for place, values in enumerate(runs.values())}
            np.savez(stored, **arrays)  # type: ignore[arg-type]  # names for options
        key = next((each.key for each in flat.signatures if each.subgraph == 0), None)
        asked = {
            "source": str(source),
            "target": str(target),
            "scheme": request.scheme,
            "weights": WEIGHTS[request.weights],
            "float_ends": request.float_ends,
            "signature": key,
            "samples": None if runs is None else str(stored),
            "inputs": list(runs or ()),
        }
        _asked(worker, asked)
        return target.read_bytes()


def _asked(worker: Worker, request: Mapping[str, object]) -> None:
    worker.send(request)
    try:
        worker.receive()
    except WorkerDiedError as death:
        msg = f"{_PACKAGE} died by {death.reason} on this file; choose another --quantize"
        raise ConversionError(msg) from death
    except WorkerAnswerError as answer:
        if answer.not_installed:
            msg = f"{_PACKAGE} cannot be imported: {answer.text}; pip install 'tfcompress[{_PACKAGE}]'"
            raise MissingDependencyError(msg) from answer
        words = " ".join(answer.text.split())[:300]
        msg = f"{_PACKAGE} cannot quantize this file: {words or answer.kind}; choose another --quantize"
        raise ConversionError(msg) from answer


def _sized(content: bytes, shapes: Mapping[str, Sequence[int]]) -> bytes:
    """Return a file whose inputs have other sizes until they are given some.

    litert-quantizer opens the file before it feeds it: at the size of 1 that one of any size has, no window fits.
    """
    sizes = {tensor.index: shapes[tensor.name] for tensor in read_model_file(content).inputs}
    model = parse_tree(content)
    main, *others = model.nodes("subgraphs")
    tensors = (
        tensor.having(shape=Numbers(4, np.asarray(sizes[number], "<i4").tobytes())) if number in sizes else tensor
        for number, tensor in enumerate(main.nodes("tensors"))
    )
    return write_tree(model.having(subgraphs=(main.having(tensors=tuple(tensors)), *others)))


def _in_runs(values: np.ndarray, group: int) -> np.ndarray:
    """Return samples as the file takes them, shape (runs, group, *shape); the last run is filled with its last one."""
    missing = -len(values) % group
    filled = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)]) if missing else values
    return filled.reshape(len(filled) // group, group, *values.shape[1:])
