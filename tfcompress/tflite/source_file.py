"""A float ``.tflite`` file given in a model's place: what can become of it, and how it is made ready.

Files come without a signature, with tensors of one name or of none (packed ones); litert-quantizer goes by names, so
each tensor gets one of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.errors import ModelError, UnsupportedError, UsageError
from tfcompress.files import sha256
from tfcompress.models.loading import Loaded
from tfcompress.models.probing import probe
from tfcompress.models.specs import Signature
from tfcompress.models.tflite_source import TFLiteSource
from tfcompress.settings import Export
from tfcompress.tasks.traits import OutputTraits
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.interpret import InterpreterProcess, signature_of_file
from tfcompress.tflite.tensors import StoredTensor
from tfcompress.tflite.tree import Node, Text, parse_tree
from tfcompress.tflite.tree_writer import write_tree

NO_LAYERS = "a .tflite file holds no Keras layers; only post-training quantization is possible"
_ACTIVATIONS = {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid", "TANH": "tanh", "RELU": "relu"}
"""Ops that are an output's activation, and what Keras calls it."""
_KERAS_ALONE: Mapping[str, str] = {
    "correct": "--correct changes a Keras model's weights",
    "rounding": "--rounding looks at a Keras model's layers",
    "weight_bits": "--weight-bits rewrites a Keras model",
    "mixed": "--mixed measures a Keras model's layers",
    "input_range": "--input-range needs ranges that follow from a Keras model's layers",
    "select_ops": "--select-ops is for what TensorFlow's converter writes",
    "streaming": "--streaming takes a Keras model's layers apart",
    "sparse": "--sparse is for what TensorFlow's converter writes",
}
"""Fields of an export that a file has no use for, and why."""
_CALIBRATIONS = ("auto", "minmax")
_SIGNATURE = "serving_default"


def is_tflite(model: Any) -> bool:
    """Say whether a model is the path of a ``.tflite`` file.

    Raises:
        ModelError: the path of something that is no model.
    """
    return isinstance(model, str | Path) and probe(Path(model)).kind == "tflite"


def check_settings(settings: Export) -> None:
    """Refuse what an export of a file has no use for.

    Raises:
        UsageError: naming the flag, with the reason.
    """
    plain = Export()
    for name, why in _KERAS_ALONE.items():
        if getattr(settings, name) != getattr(plain, name):
            msg = f"{why}, and a .tflite file was given; leave it out, or give the Keras model"
            raise UsageError(msg)
    if settings.calibration not in _CALIBRATIONS:
        msg = (
            f"export.calibration must be 'minmax' for a .tflite file, got {settings.calibration!r}, which rewrites a "
            "Keras model; leave it out, or give the Keras model"
        )
        raise UsageError(msg)
    if settings.io == "uint8":
        msg = (
            "export.io must be 'int8' or 'float32' for a .tflite file: litert-quantizer writes no uint8; give --io int8"
        )
        raise UsageError(msg)


def load_source(path: Path) -> Loaded:
    """Read a float file.

    Args:
        path: of the file.

    Raises:
        ModelError: not a TFLite file, a malformed one, or one with weights that are not finite.
        UnsupportedError: it is quantized already, or holds what no quantizer takes.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"model {str(path)!r} cannot be read: {error.strerror}"
        raise ModelError(msg) from error
    flat = read_model_file(content)
    check_float(flat, f"model {str(path)!r}")
    _check_finite(flat, f"model {str(path)!r}")
    ready = with_names(content)
    flat = read_model_file(ready)
    with InterpreterProcess(ready, refusal=ModelError, workers=1) as interpreter:
        interpreter.opened()
    return Loaded(
        source=str(path),
        sha256=sha256(content),
        writer="tflite",
        native=TFLiteSource(content, ready, _with_activations(flat)),
        refusal=NO_LAYERS,
    )


def check_float(flat: FlatModel, where: str) -> None:
    """Refuse a file whose numbers are not all float32, as far as they are real ones.

    Args:
        flat: the file.
        where: what messages call it.

    Raises:
        UnsupportedError: saying what it holds.
    """
    found = next((what for graph in flat.subgraphs for tensor in graph.tensors for what in _not_float(tensor)), None)
    if found is not None:
        msg = (
            f"{where} is no plain float32 file: {found}; give the float file that it was made of "
            "(tfcompress evaluate, inspect and compare take it as it is)"
        )
        raise UnsupportedError(msg)
    custom = sorted({op.name for op in flat.ops if op.custom})
    if custom:
        msg = f"{where} holds ops that no TFLite runtime has by itself ({', '.join(custom)}); convert it without them"
        raise UnsupportedError(msg)
    others = [each.key for each in flat.signatures if each.subgraph != 0]
    if others:
        keys = ", ".join(each.key for each in flat.signatures)
        msg = f"{where} has several signatures ({keys}); give a file of one of them alone"
        raise UnsupportedError(msg)


def _not_float(tensor: StoredTensor) -> Iterator[str]:
    if tensor.scales:
        yield f"tensor {tensor.name!r} is quantized to {tensor.dtype}"
    elif tensor.constant and tensor.dtype in ("float16", "bfloat16"):
        yield f"tensor {tensor.name!r} is stored as {tensor.dtype}"
    elif tensor.sparse:
        yield f"tensor {tensor.name!r} is stored in the sparse encoding"


def _check_finite(flat: FlatModel, where: str) -> None:
    for graph in flat.subgraphs:
        for tensor in graph.tensors:
            if tensor.constant and tensor.dtype == "float32":
                values = tensor.data[: tensor.data.size // 4 * 4].view("<f4")
                bad = int(np.count_nonzero(np.isnan(values) | np.isposinf(values)))  # masks hold minus infinity
                if bad:
                    msg = (
                        f"{where}: tensor {tensor.name!r} holds NaN or infinity in {bad} of {values.size} values; "
                        "convert the model again"
                    )
                    raise ModelError(msg)


def _with_activations(flat: FlatModel) -> Signature:
    """Return inputs and outputs, with the activation that comes last before each output."""
    signature, graph = signature_of_file(flat), flat.subgraphs[0]
    made = {number: op.name for op in graph.ops for number in op.outputs}
    traits = {
        tensor.name: OutputTraits(activation=_ACTIVATIONS.get(made.get(tensor.index, ""))) for tensor in flat.outputs
    }
    return signature.with_traits({name: each for name, each in traits.items() if each.activation})


def with_names(content: bytes) -> bytes:
    """Return a file with a signature, and with a name of its own for each tensor; as it is where it has both.

    Args:
        content: a TFLite file that :func:`tfcompress.tflite.flatbuffer.read_model_file` has read.

    Raises:
        UnsupportedError: it holds what this version does not know, and would be lost.
    """
    flat = read_model_file(content)
    names = [name for graph in flat.tensor_names for name in graph]
    signed = any(each.subgraph == 0 for each in flat.signatures)
    if signed and "" not in names and len(set(names)) == len(names):
        return content
    model = parse_tree(content)
    taken: set[str] = set(filter(None, names))
    seen: set[str] = set()
    graphs = []
    for place, graph in enumerate(model.nodes("subgraphs")):
        tensors = []
        for number, tensor in enumerate(graph.nodes("tensors")):
            name = tensor.text("name")
            if not name or name in seen:
                name = _free_name(f"{name or 'tensor'}_{place}_{number}", taken)
            seen.add(name)
            tensors.append(tensor.having(name=Text(name.encode())))
        graphs.append(graph.having(tensors=tuple(tensors)))
    model = model.having(subgraphs=tuple(graphs))
    return write_tree(model if signed else _signed(model, flat))


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _signed(model: Node, flat: FlatModel) -> Node:
    """Give the main subgraph a signature, whose names are those by which the file is fed today."""
    sides = {
        side: tuple(
            Node("TensorMap", {}).having(name=Text(tensor.name.encode()), tensor_index=tensor.index) for tensor in each
        )
        for side, each in (("inputs", flat.inputs), ("outputs", flat.outputs))
    }
    signature = Node("SignatureDef", {}).having(signature_key=Text(_SIGNATURE.encode()), subgraph_index=0, **sides)
    return model.having(signature_defs=(*model.nodes("signature_defs"), signature))
