"""Measure which op versions TFLite runtimes accept, and write tfcompress/tflite/op_versions.json.

    python tools/probe_runtimes.py litert=.venv/bin/python tflite-runtime=/tmp/old/bin/python

Each RUNTIME=PYTHON names a Python that has the runtime installed; what is measured replaces what the file holds for
that version. For every builtin op and version a file of one operator code and no ops is made; a runtime that lacks it
says so when the file is opened. That happens in child processes, which may crash.

This script runs itself with those interpreters (``--child``), so it is Python 3.9 with the standard library only.
"""

from __future__ import annotations

import datetime
import json
import platform
import struct
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[1] / "tfcompress" / "tflite" / "op_versions.json"
MODULES = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tensorflow": ("tensorflow.lite.python.interpreter", "tensorflow"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime"),
}
MOST = 20  # versions tried of each op; the highest that any runtime has is 13
MISSING = ("Didn't find op", "builtin_code out of range")  # a version, or an op, that is too new
NO_CODE = ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")


def minimal(code: int, op_version: int) -> bytes:
    """Make a TFLite file that names one operator code and holds no ops, field by field as the schema has them."""
    parts = [
        struct.pack("<I4s", 24, b"TFL3"),
        struct.pack("<7H2x", 14, 20, 4, 8, 12, 0, 16),  # Model's fields
        struct.pack("<i4I", 16, 3, 44 - 32, 80 - 36, 136 - 40),  # at 24: version, operator_codes, subgraphs, buffers
        struct.pack("<2I", 1, 64 - 48),  # at 44: one operator code
        struct.pack("<6H", 12, 16, 4, 0, 8, 12),  # OperatorCode's fields
        struct.pack("<ib3x2i", 12, min(code, 127), op_version, code),  # at 64
        struct.pack("<2I", 1, 100 - 84),  # at 80: one subgraph
        struct.pack("<6H", 12, 20, 4, 8, 12, 16),  # SubGraph's fields
        struct.pack("<i4I", 12, 120 - 104, 124 - 108, 128 - 112, 132 - 116),  # at 100
        struct.pack("<4I", 0, 0, 0, 0),  # no tensors, inputs, outputs, operators
        struct.pack("<2I", 1, 148 - 140),  # at 136: one buffer
        struct.pack("<2Hi", 4, 4, 4),  # at 144: Buffer's fields (none); at 148
    ]
    return b"".join(parts)


def accepts(module: Any, content: bytes) -> bool:
    """Say whether a runtime finds the op; any other complaint means that it does."""
    try:
        module.Interpreter(model_content=content)
    except (ValueError, RuntimeError) as error:
        return not any(words in str(error) for words in MISSING)
    return True


def child(runtime: str, codes: list[int]) -> None:
    """Print a line of JSON for each op: code, and the versions accepted."""
    module_name, package = MODULES[runtime]
    module = import_module(module_name)
    print(json.dumps({"version": version(package)}), flush=True)
    for code in codes:
        print(json.dumps({"trying": code}), flush=True)
        found = [number for number in range(1, MOST + 1) if accepts(module, minimal(code, number))]
        print(json.dumps({"code": code, "found": found}), flush=True)


def probe(runtime: str, python: str, names: dict[int, str]) -> tuple[str, dict[str, int]]:
    """Measure one runtime; an op that crashes it counts as not accepted.

    Returns:
        The runtime's version, and for each op the highest version accepted (only what has one).
    """
    left = sorted(names)
    accepted: dict[str, int] = {}
    runtime_version = ""
    while left:
        command = [python, __file__, "--child", runtime, json.dumps(left)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if not rows:
            sys.exit(f"{runtime} cannot be imported by {python}: {done.stderr.strip().splitlines()[-1:]}")
        runtime_version = rows[0]["version"]
        for row in rows:
            if row.get("found"):
                if row["found"] != list(range(row["found"][0], row["found"][-1] + 1)):
                    print(
                        f"{runtime} {runtime_version}: {names[row['code']]} accepts {row['found']} only",
                        file=sys.stderr,
                    )
                accepted[names[row["code"]]] = row["found"][-1]
        last = rows[-1].get("trying")
        if last is None:
            break
        print(f"{runtime} {runtime_version} dies on {names[last]}", file=sys.stderr)
        left = [code for code in left if code > last]
    return runtime_version, accepted


def main() -> None:
    """Probe what the command line names and update the table."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], json.loads(sys.argv[3]))
        return
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    names = {n: name for name, n in vars(BuiltinOperator).items() if isinstance(n, int) and name not in NO_CODE}
    table = json.loads(TARGET.read_text()) if TARGET.exists() else {"runtimes": {}}
    for argument in sys.argv[1:]:
        runtime, _, python = argument.partition("=")
        if runtime not in MODULES or not python:
            sys.exit(f"arguments must be RUNTIME=PYTHON with RUNTIME one of {', '.join(MODULES)}, got {argument!r}")
        runtime_version, accepted = probe(runtime, python, names)
        table["runtimes"].setdefault(runtime, {})[runtime_version] = {
            "measured": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
            "machine": platform.machine(),
            "ops": accepted,
        }
        print(f"{runtime} {runtime_version}: {len(accepted)} ops")
    TARGET.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
