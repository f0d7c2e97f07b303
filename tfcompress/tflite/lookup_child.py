"""The process in which tflite-micro's compressor runs; started by :mod:`tfcompress.tflite.lookup_tables` alone.

Requests: ``source`` and ``target`` (paths), ``tables`` (lists of a tensor's number in the main graph, bits of an index,
and the axis that has a table a place, or null). Answer: ``{}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfcompress.serve import serve


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from tflite_micro.tensorflow.lite.micro.compression import compress, spec

    specs = []
    for tensor, bits, axis in request["tables"]:
        mode = spec.PerTensor() if axis is None else spec.PerChannel(axis)
        specs.append(spec.Tensor(0, tensor, [spec.LookUpTableCompression(bits, mode)]))
    written = compress(Path(request["source"]).read_bytes(), specs)
    Path(request["target"]).write_bytes(bytes(written))
    return {}


def main(requests: int, answers: int, lifeline: int) -> None:
    """Serve."""
    serve(_answer, requests, answers, lifeline)
