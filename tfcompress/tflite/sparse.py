"""TFLite's sparse encoding of kernels: taken where the file gets smaller and every runtime asked for runs it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfcompress.errors import ConversionError, TfcompressError
from tfcompress.tflite.agreement import agreements, within_steps
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess, RuntimeName
from tfcompress.tflite.runtimes import installed_version, parse_requirement, refusal_by_table
from tfcompress.tflite.weights import facts

if TYPE_CHECKING:
    from tfcompress.settings import Export

LEAST_ZEROS = 0.5
"""Fraction of zeros in a kernel from which the encoding is tried; below, indices cost more than the zeros."""
_LEAST_DB = 40.0  # between two encodings of the same numbers; float sums may be taken in another order
_SAMPLES = 8
_REFUSED = {"int8": (2, 3), "dynamic": (2, 3)}  # by LiteRT up to this version: "failed to delegate" (measured)


def can_be_encoded(export: Export) -> bool:
    """Say whether a file of such numbers may hold sparse kernels at all: LiteRT as it is here runs them."""
    return export.sparse == "auto" and not export.deployment.micro and not _refused_by_litert(export.quantize)


def choose_encoding(
    dense: bytes,
    convert: Callable[[], bytes],
    *,
    quantize: str,
    runtimes: Sequence[str],
    inputs: Mapping[str, np.ndarray],
    optimize_for: str = "size",
) -> tuple[bytes, str]:
    """Try the sparse encoding.

    Args:
        dense: the file as it is.
        convert: converts the same model with the encoding.
        quantize: scheme of the file.
        runtimes: requirements such as ``litert>=2.1``; LiteRT as it is here always counts, too.
        inputs: samples by input name, to compare the two files on.
        optimize_for: ``size`` compares the files, ``download`` what gzip makes of them.

    Returns:
        The file to keep, and what became of it in a few words; no words where no kernel is sparse enough.
    """
    zeros = max((kernel.zeros for kernel in facts(read_model_file(dense).subgraphs)), default=0.0)
    if zeros < LEAST_ZEROS:
        return dense, ""
    # LiteRT is where every file is checked: one that it refuses could not be proven, whatever else runs it.
    asked = list(dict.fromkeys(["litert", *(parse_requirement(text).runtime for text in runtimes)]))
    if reason := _refused_by_litert(quantize):
        return dense, f"left dense: {reason}"
    try:
        encoded = convert()
    except ConversionError as error:
        return dense, f"left dense: {error}"
    after = " after gzip" if optimize_for == "download" else ""
    before, now = ((_gzipped(each) if after else len(each)) for each in (dense, encoded))
    if now >= before:
        return dense, f"left dense: {before:,} bytes{after}, encoded {now:,}"
    few = {name: values[:_SAMPLES] for name, values in inputs.items()}
    for runtime in asked:
        reason = _differs(runtime, dense, encoded, few)
        if reason:
            return dense, f"left dense: {reason}"
    return encoded, f"encoded: {now:,} bytes{after} instead of {before:,}"


def _refused_by_litert(quantize: str) -> str:
    """Say why LiteRT as it is here runs no sparse kernels of such numbers; empty: it may."""
    litert = installed_version("litert")
    if litert is None or litert[:2] > _REFUSED.get(quantize, (0, 0)):
        return ""
    return f"LiteRT {'.'.join(map(str, litert))} cannot run sparse {quantize} kernels"


def _gzipped(content: bytes) -> int:
    return len(gzip.compress(content, 9, mtime=0))


def _differs(runtime: RuntimeName, dense: bytes, encoded: bytes, inputs: Mapping[str, np.ndarray]) -> str:
    """Say why the encoded file cannot stand for the dense one in a runtime; empty where it can."""
    if installed_version(runtime) is None:
        return refusal_by_table(read_model_file(encoded), runtime)
    try:
        with InterpreterProcess(dense, runtime=runtime) as one, InterpreterProcess(encoded, runtime=runtime) as other:
            reference, outputs = one.run(inputs), other.run(inputs)
        found = agreements(read_model_file(encoded), reference, outputs)
    except TfcompressError as error:
        return str(error)
    for item in found:
        near = item.max_abs_error == 0 or (item.sqnr_db or 0) >= _LEAST_DB
        if not near and not within_steps(reference[item.name], item, fixed=False):
            return f"in {runtime} it differs from the dense file by {item.max_abs_error:.3g}"
    return ""
