"""Runs a .tflite file by tflite-runtime in whatever Python has it, and prints a digest of its outputs as JSON.

PYTHON benchmarks/slim_child.py FILE.tflite
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np

RUNS = 8


def digest(path: str) -> str:
    """Return the sha256 of all outputs on drawn inputs, each in the range of what it holds."""
    from tflite_runtime.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    generator, found = np.random.default_rng(0), hashlib.sha256()
    for _ in range(RUNS):
        interpreter.reset_all_variables()
        for tensor in interpreter.get_input_details():
            interpreter.set_tensor(tensor["index"], drawn(generator, tensor["shape"], np.dtype(tensor["dtype"])))
        interpreter.invoke()
        for tensor in interpreter.get_output_details():
            found.update(interpreter.get_tensor(tensor["index"]).tobytes())
    return found.hexdigest()


def drawn(generator: np.random.Generator, shape: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return numbers for an input: whole ones of more than a byte are places in a table, and small."""
    if dtype.kind == "f":
        return generator.standard_normal(shape).astype(dtype)
    if dtype.itemsize == 1 and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return generator.integers(0, 2, shape).astype(dtype)


if __name__ == "__main__":
    try:
        told = {"digest": digest(sys.argv[1]), "refusal": ""}
    except (RuntimeError, ValueError) as error:
        told = {"digest": "", "refusal": str(error) or "refused"}
    print(json.dumps(told))
