"""Does what a .tflite file describes make sense: rules that hold for every model that an interpreter can run.

An interpreter follows a file's numbers without looking twice: a tensor that is larger than its bytes, or that nothing
has written, ends in a crash or in garbage. Each rule here is one that the interpreters need and do not all check.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable

from edge_runner.cursor import refuse
from edge_runner.graph import FileSubgraph, FileTensor, Graph

LOOKUP = "TFLM_DECODE"
"""The custom op that unpacks a look-up table of TensorFlow Lite Micro."""
_MOST_VERSION = 99
_MOST_AXES = 32
_MOST_BYTES = 1 << 48


def check_can_run(graph: Graph, content: bytes | memoryview, memory_bytes: int | None = None) -> None:
    """Refuse a file that no interpreter could run.

    Args:
        graph: what the file describes.
        content: the file.
        memory_bytes: of the machine that is to run it: one tensor above that is refused; None: any size is taken.

    Raises:
        ModelFileError: it breaks a rule; the message says where.
    """
    references(graph)
    if LOOKUP in graph.custom_operators:
        refuse(
            f"it holds look-up tables ({LOOKUP}), which TensorFlow Lite Micro alone runs; take the file that it was "
            "made of, without -tflm in its name"
        )
    most = _MOST_BYTES if memory_bytes is None else memory_bytes
    for number, subgraph in enumerate(graph.subgraphs):
        where = f" of subgraph {number}" if number else ""
        for index, tensor in enumerate(subgraph.tensors):
            _check_tensor(tensor, f"tensor {index}{where}", most)
            _check_blockwise(tensor, f"tensor {index}{where}", len(subgraph.tensors))
            if tensor.type == "STRING" and tensor.buffer_bytes:
                _check_strings(graph, tensor, content, f"tensor {index}{where}")
        _check_flow(subgraph, where)
        _check_states(subgraph, where)


def references(graph: Graph) -> None:
    """Refuse a file in which a number names a tensor, buffer or subgraph that is not there, or a shape cannot be one.

    A file that passes can be walked through without another look at its numbers, whether an interpreter could run it or
    not; :func:`check_can_run` asks for that as well.

    Raises:
        ModelFileError: the message says where.
    """
    if not graph.subgraphs:
        refuse("the file holds no subgraph")
    for number, subgraph in enumerate(graph.subgraphs):
        where = f" of subgraph {number}" if number else ""
        for index, tensor in enumerate(subgraph.tensors):
            if len(tensor.shape) > _MOST_AXES or min(tensor.shape, default=0) < 0:
                refuse(f"tensor {index}{where} has the impossible shape {_cut(tensor.shape)}")
        _check_indices(subgraph, where)
    _check_calls(graph)
    _check_names(graph)


def _check_tensor(tensor: FileTensor, where: str, most: int) -> None:
    if tensor.signature and (len(tensor.signature) != len(tensor.shape) or min(tensor.signature) < -1):
        refuse(f"{where} has the shape {_cut(tensor.shape)} and the shape signature {_cut(tensor.signature)}")
    size = tensor.size_bytes
    if size is None:
        return
    if size > most:
        refuse(f"{where} would take {size:,} bytes, more than this machine's memory")
    if tensor.buffer_bytes and not tensor.sparse and not tensor.external and tensor.buffer_bytes != size:
        wants = f"{tensor.type} {_cut(tensor.shape)}, takes {size} bytes"
        refuse(f"{where}, {wants}, and its buffer {tensor.buffer} holds {tensor.buffer_bytes}")
    _check_quantization(tensor, where)


def _check_quantization(tensor: FileTensor, where: str) -> None:
    scales, zero_points = tensor.quantization.scales, tensor.quantization.zero_points
    if not scales:
        return
    if len(zero_points) not in (1, len(scales)):
        refuse(f"{where} has {len(scales)} scales and {len(zero_points)} zero points")
    axis = tensor.quantization.axis
    if len(scales) > 1 and not (0 <= axis < len(tensor.shape) and len(scales) == tensor.shape[axis]):
        refuse(f"{where}, shape {_cut(tensor.shape)}, has {len(scales)} scales along axis {axis}")
    if not all(map(math.isfinite, scales)):
        refuse(f"{where} has a scale that is not finite")


def _check_blockwise(tensor: FileTensor, where: str, tensors: int) -> None:
    scales = tensor.quantization.blockwise
    if scales is not None and not 0 <= scales < tensors:
        refuse(f"{where} takes its scales from tensor {scales}, and there are {tensors}")


def _check_strings(graph: Graph, tensor: FileTensor, content: bytes | memoryview, where: str) -> None:
    """Check a constant of strings: their number, an offset for each and for the end, then the characters."""
    start, size = graph.buffers[tensor.buffer]
    count = struct.unpack_from("<i", content, start)[0] if size >= 4 else -1
    if count < 0 or 4 * (count + 2) > size:
        refuse(f"{where}: its buffer of {size} bytes is no list of strings")
    offsets = struct.unpack_from(f"<{count + 1}i", content, start + 4)
    if list(offsets) != sorted(offsets) or offsets[0] < 4 * (count + 2) or offsets[-1] > size:
        refuse(f"{where}: a string of its buffer lies outside it")


def _check_indices(subgraph: FileSubgraph, where: str) -> None:
    count = len(subgraph.tensors)
    for index in subgraph.inputs + subgraph.outputs:
        if not 0 <= index < count:
            refuse(f"an input or output{where} is tensor {index}, and there are {count}")
    for number, operator in enumerate(subgraph.operators):
        if not 1 <= operator.version <= _MOST_VERSION:
            refuse(f"op {number} ({operator.name}){where} has the impossible version {operator.version}")
        for index in operator.inputs + operator.outputs + operator.intermediates:
            if not -1 <= index < count:
                refuse(f"op {number} ({operator.name}){where} uses tensor {index}, and there are {count}")


def _check_flow(subgraph: FileSubgraph, where: str) -> None:
    """Refuse what reads before anything has written, which also rules out cycles, and what overwrites a constant."""
    known = set(subgraph.inputs)

    def there(index: int) -> bool:
        tensor = subgraph.tensors[index]
        return index in known or tensor.constant or tensor.is_variable or tensor.size_bytes == 0

    for number, operator in enumerate(subgraph.operators):
        named = f"op {number} ({operator.name}){where}"
        for index in operator.inputs:
            if index >= 0 and not (there(index) or operator.custom):  # a custom op may be given scratch memory
                refuse(f"{named} reads tensor {index}, which nothing before it has written")
        for index in operator.outputs:
            if index >= 0 and (subgraph.tensors[index].constant or index in operator.inputs):
                refuse(f"{named} writes tensor {index}, which is a constant or its own input")
        known.update(operator.outputs)
    for index in subgraph.outputs:
        if not there(index):
            refuse(f"the output tensor {index}{where} is written by nothing")


def _check_states(subgraph: FileSubgraph, where: str) -> None:
    """Refuse an int8 SVDF whose state is not int16.

    TensorFlow Lite Micro's converter writes such files. The other interpreters take the state for int16 without looking
    and overwrite twice its memory (seen in ai-edge-litert 2.1 and 2.3 and in tflite-runtime 2.14).
    """
    for number, operator in enumerate(subgraph.operators):
        if operator.name != "SVDF" or len(operator.inputs) < 5 or -1 in (operator.inputs[0], operator.inputs[4]):
            continue
        kind, state = (subgraph.tensors[operator.inputs[place]].type for place in (0, 4))
        if kind == "INT8" and state != "INT16":
            refuse(f"op {number} (SVDF){where} keeps a state of {state}, which only TensorFlow Lite Micro can")


def _check_calls(graph: Graph) -> None:
    """Refuse calls of subgraphs that are not there, and subgraphs that call themselves in the end."""
    count = len(graph.subgraphs)
    calls = [{called for op in subgraph.operators for called in op.calls} for subgraph in graph.subgraphs]
    callers: list[list[int]] = [[] for _ in range(count)]
    for number, all_called in enumerate(calls):
        for called in all_called:
            if not 0 <= called < count:
                refuse(f"an op runs subgraph {called}, and there are {count}")
            callers[called].append(number)
    waiting = [len(all_called) for all_called in calls]
    ready = [number for number in range(count) if not waiting[number]]
    for number in ready:  # grows while it is gone through (Kahn 1962, CACM 5:558)
        for caller in callers[number]:
            waiting[caller] -= 1
            if not waiting[caller]:
                ready.append(caller)
    if len(ready) < count:
        refuse("a subgraph runs itself, directly or through others")


def _check_names(graph: Graph) -> None:
    for name, buffer in graph.metadata.items():
        if buffer >= len(graph.buffers):
            refuse(f"metadata {name!r} is in buffer {buffer}, and there are {len(graph.buffers)}")
    for signature in graph.signatures:
        if signature.subgraph >= len(graph.subgraphs):
            refuse(f"signature {signature.key!r} is of subgraph {signature.subgraph}; there are {len(graph.subgraphs)}")
        tensors = len(graph.subgraphs[signature.subgraph].tensors)
        for index in [*signature.inputs.values(), *signature.outputs.values()]:
            if index >= tensors:
                refuse(f"the signature names tensor {index}, and there are {tensors}")


def _cut(extents: Iterable[int]) -> str:
    shown = list(extents)
    return str(shown) if len(shown) <= 8 else f"{shown[:8]}…"
