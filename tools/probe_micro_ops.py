"""Measure which ops TensorFlow Lite Micro has a kernel for, and write tfcompress/targets/micro_ops.json.

    pip install 'tfcompress[mcu]'
    python tools/probe_micro_ops.py

For every builtin op a file of that one op is made; an interpreter that lacks it says so when it opens the file. That
happens in forks of this process, which may crash: the op is given tensors that need not suit it.
"""

from __future__ import annotations

import contextlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[1] / "tfcompress" / "targets" / "micro_ops.json"
LACKING = b"Didn't find op"
NO_CODE = ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")
ARENA_BYTES = 1 << 16


def minimal(schema: Any, code: int) -> bytes:
    """Make a file of one op between two tensors of four numbers."""
    from flatbuffers import Builder

    model, graph, operator = schema.ModelT(), schema.SubGraphT(), schema.OperatorT()
    named = schema.OperatorCodeT()
    named.builtinCode, named.deprecatedBuiltinCode, named.version = code, min(code, 127), 1
    for name in (b"in", b"out"):
        tensor = schema.TensorT()
        tensor.shape, tensor.name = [1, 4], name
        graph.tensors = [*(graph.tensors or []), tensor]
    operator.inputs, operator.outputs = [0], [1]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [operator]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [named], [graph], [schema.BufferT()]
    builder = Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def has_kernel(runtime: Any, content: bytes) -> bool:
    """Say whether the interpreter finds the op; any other complaint, or a crash, means that it does."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 2)
        with contextlib.suppress(RuntimeError):
            runtime.Interpreter.from_bytes(content, arena_size=ARENA_BYTES)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return LACKING not in said


def main() -> None:
    """Measure, and write the table."""
    from tflite_micro.python.tflite_micro import runtime
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    codes = {name: code for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    known = [name for name in sorted(codes) if name not in NO_CODE]
    found = [name for name in known if has_kernel(runtime, minimal(schema, codes[name]))]
    table = {"tflite-micro": version("tflite-micro"), "ops": found}
    TARGET.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(f"{len(found)} of {len(known)} ops written to {TARGET}")


if __name__ == "__main__":
    main()
