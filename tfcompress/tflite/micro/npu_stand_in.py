"""A file that Vela compiled, without its NPU: nothing at the desk runs it, and TFLM sets it up all the same.

The NPU's op is the one thing in it that TensorFlow Lite Micro lacks here. Another op in its place, which takes whatever
it is given, has the same tensors, laid out as Vela planned them: what the arena needs is measured with that.
"""

from __future__ import annotations

from edge_runner.opnames import BUILTIN
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.micro.op_places import NPU_OP
from tfcompress.tflite.tree import Node, parse_tree
from tfcompress.tflite.tree_writer import write_tree

_STAND_IN = "NEG"
"""An op that TFLM sets up without a look at its inputs and outputs; it is never run."""
_OLD_CODES = 127  # what deprecated_builtin_code can hold
_ALIGNMENT, _ADDRESS_BYTES = 16, 8


def with_stand_in(compiled: bytes) -> bytes:
    """Return a file that Vela compiled with another op in the place of the NPU's, to be set up and never run.

    Args:
        compiled: the file.
    """
    model, number = parse_tree(compiled), BUILTIN.index(_STAND_IN)
    codes = model.nodes("operator_codes")
    places = {place for place, code in enumerate(codes) if code.text("custom_code") == NPU_OP}
    plain = Node("OperatorCode", {}).having(
        builtin_code=number, deprecated_builtin_code=min(number, _OLD_CODES), version=1
    )
    main, *others = model.nodes("subgraphs")
    operators = tuple(
        op.having(custom_options=None) if op.number("opcode_index") in places else op for op in main.nodes("operators")
    )
    return write_tree(
        model.having(
            operator_codes=tuple(plain if place in places else code for place, code in enumerate(codes)),
            subgraphs=(main.having(operators=operators), *others),
        )
    )


def addresses_bytes(compiled: bytes) -> int:
    """Return what the NPU's kernel asks of the arena beside its tensors: two tables of addresses for each of its ops.

    That is TensorFlow Lite Micro's ``kernels/ethos_u/ethosu.cc``: 8 bytes for each tensor, and its size.
    """
    ops = [op for op in read_model_file(compiled).subgraphs[0].ops if op.name == NPU_OP]
    tables = (_ADDRESS_BYTES * (len(op.inputs) + len(op.outputs)) for op in ops)
    return sum(2 * (-(-size // _ALIGNMENT) * _ALIGNMENT) for size in tables)
