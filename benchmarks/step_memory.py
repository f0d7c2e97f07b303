"""What does it cost that TensorFlow gives back what a training step frees, and what does keeping it save?

``python -m benchmarks.step_memory [--steps 60] [--rounds 2] [--update FILE]`` trains a small convolutional network,
fed by ``tfcompress.data.feeding``, in processes of one thread each, in turns: as TensorFlow leaves glibc's thresholds,
and as ``tfcompress.data.freed_memory`` sets them; and prints a Markdown table. With ``--update`` it replaces what
stands between the markers ``training: freed memory`` of a file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.by_hand import ROOT, processor
from benchmarks.native_qat import table, update

BATCH = 64
HEAD = ("memory that a step frees", "seconds", "of them in the kernel", "page faults", "of the first")
KEPT = {"goes back to the kernel (TensorFlow)": False, "stays (tfcompress)": True}


def main() -> None:
    """Read the command line and run both, in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    parser.add_argument("--child", choices=("kept", "given-back"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(trained(given.steps, kept=given.child == "kept")))
        return
    best = {name: (float("inf"), 0.0, 0) for name in KEPT}
    for _ in range(given.rounds):
        for name, kept in KEPT.items():
            best[name] = min(best[name], in_a_process(given.steps, kept=kept))
    first = next(iter(best.values()))[0]
    rows = [[name, f"{s:.1f}", f"{k:.1f}", f"{faults:,}", f"{s / first:.2f}"] for name, (s, k, faults) in best.items()]
    about = (
        f"{given.steps} steps of batch {BATCH}, seven convolutions on 32 x 32, the quickest of {given.rounds} rounds "
        f"in turns, one thread. {processor()}."
    )
    text = f"{table(HEAD, rows)}\n\n{about}"
    print(text)
    if given.update:
        given.update.write_text(update(given.update.read_text(), "freed memory", text, "training"))


def in_a_process(steps: int, *, kept: bool) -> tuple[float, float, int]:
    """Train in a process of its own; see :func:`trained`."""
    words = [sys.executable, "-m", "benchmarks.step_memory", "--steps", str(steps)]
    one = {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [*words, "--child", "kept" if kept else "given-back"],
        cwd=ROOT,
        env={**os.environ, **one},
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, kernel, faults = json.loads(done.stdout.splitlines()[-1])
    return float(seconds), float(kernel), int(faults)


def trained(steps: int, *, kept: bool) -> tuple[float, float, int]:
    """Train for one epoch after another that is not counted.

    Returns:
        Seconds, those of them that the kernel took, and page faults.
    """
    import keras
    import numpy as np

    from tfcompress.data import feeding
    from tfcompress.data.sources import load_data
    from tfcompress.models.signature import signature_of

    if not kept:
        vars(feeding)["keep_freed_memory"] = lambda: False  # as TensorFlow leaves it
    layers, given = keras.layers, keras.Input((32, 32, 3))
    tensor = given
    for channels, stride in ((16, 1), (16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        tensor = layers.Conv2D(channels, 3, strides=stride, padding="same")(tensor)
        tensor = layers.ReLU()(layers.BatchNormalization()(tensor))
    model = keras.Model(given, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(tensor)))
    model.compile("adam", "sparse_categorical_crossentropy")
    numbers = np.random.default_rng(0)
    pictures = numbers.random((steps * BATCH, 32, 32, 3), np.float32)
    samples = {"x_train": pictures, "y_train": numbers.integers(0, 10, len(pictures))}
    fed = feeding.to_tf(load_data(samples).bind(signature_of(model)).need_train(), BATCH, 0)
    model.fit(fed, verbose=0)
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    model.fit(fed, verbose=0)
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    return seconds, after.ru_stime - before.ru_stime, after.ru_minflt - before.ru_minflt


if __name__ == "__main__":
    main()
