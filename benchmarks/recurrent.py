"""What recurrent classifiers take in a file: an LSTM and a GRU of Keras 3 and the same of Keras 2, float and int8.

    python -m benchmarks.recurrent FOLDER [--epochs 40] [--update docs/benchmarks.md]

FOLDER holds ``JapaneseVowels_TRAIN.ts`` and ``_TEST.ts`` (``datasets/data/JapaneseVowels`` of the package aeon 1.6.0
on PyPI). Each network is trained once, in Keras 3, and carried to Keras 2 by the bridge.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.native_qat import percent, table
from benchmarks.native_qat import update as put_between
from benchmarks.qat_training import fit, sequence_network, vowels

RATE = 3e-3
HEAD = ("network", "file", "accuracy", "size", "ops", "agreement with Keras", "how")


def trained(kind: str, data: dict[str, np.ndarray], epochs: int) -> Any:
    """Train a classifier of nine speakers.

    Args:
        kind: ``lstm`` or ``gru``.
        data: ``x_train``, ``y_train``, ``x_test``, ``y_test``.
        epochs: passes over the training samples.
    """
    import keras

    keras.utils.set_random_seed(0)
    steps, values = data["x_train"].shape[1:]
    model = sequence_network(kind, (steps, values), int(data["y_train"].max()) + 1)
    fit(model, data, epochs, RATE, [])
    return model


def rows(kind: str, data: dict[str, np.ndarray], epochs: int) -> Iterator[tuple[str, ...]]:
    """Give a line of the table for each Keras and each kind of file."""
    from tfcompress.models.bridge import to_keras2
    from tfcompress.recipe import Export
    from tfcompress.tflite.export import export
    from tfcompress.tflite.interpret import InterpreterProcess

    model = trained(kind, data, epochs)
    for name, each in (("Keras 3", model), ("Keras 2", to_keras2(model))):
        for quantize in ("none", "int8"):
            found = export(each, Export(quantize=quantize), data=data["x_train"], progress=False)
            with InterpreterProcess(found.content) as interpreter:
                outputs = next(iter(interpreter.run({found.signature.inputs[0].name: data["x_test"]}).values()))
            right = float(np.mean(outputs.argmax(axis=1) == data["y_test"]))
            agreed = found.verification.agreement[0]
            yield (
                f"{kind.upper()} of {name}",
                "float" if quantize == "none" else quantize,
                percent(right, 2),
                f"{found.size_bytes:,} B",
                f"{sum(found.verification.ops.values()):,}",
                f"{agreed.sqnr_db:.1f} dB, same top-1 {percent(agreed.top1)}",
                found.route,
            )


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    options = parser.parse_args()
    data = vowels(options.folder)
    made = []
    for kind in ("lstm", "gru"):
        for line in rows(kind, data, options.epochs):
            print(" | ".join(line), flush=True)
            made.append(line)
    if options.update:
        options.update.write_text(put_between(options.update.read_text(), "recurrent", table(HEAD, made), "files"))


if __name__ == "__main__":
    main()
