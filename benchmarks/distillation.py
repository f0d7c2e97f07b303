"""Measure what a half-width student gains from a teacher, and print a Markdown table.

    python -m benchmarks.distillation --data FOLDER [--update docs/benchmarks.md]

*FOLDER* holds Fashion-MNIST as its four ``.gz`` files. Every student has the same network (the teacher's, at half of
its width), samples, epochs and optimizer, in three seeds; only what it learns from differs. What was measured is
appended to a file of JSON lines (``--results``) and read from there when the command is given again. With ``--update``
the table replaces what stands between the markers ``distillation: students`` there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tfcompress as tfc
from benchmarks.by_hand import processor
from benchmarks.native_qat import table, update
from tfcompress.distillation.students import smaller
from tfcompress.stages.lessons import StudentScale

SEEDS = (0, 1, 2)

WAYS: Mapping[str, tuple[str, tfc.Distill | None]] = {
    "without a teacher": ("", None),
    "soft labels": ("own", tfc.Distill()),
    "features": ("own", tfc.Distill(loss=("features",))),
    "attention": ("own", tfc.Distill(loss=("attention=10",))),
    "soft labels, outside teacher": ("outside", tfc.Distill()),
}
"""What is compared: by its name, which teacher there is and what is learnt."""


@dataclass(frozen=True)
class Budget:
    """How much is trained.

    Attributes:
        samples: training samples of the students, and of the teacher of their own kind.
        epochs: of both.
        outside_samples: training samples of the outside teacher.
        outside_epochs: its epochs.
    """

    samples: int
    epochs: int
    outside_samples: int
    outside_epochs: int

    @property
    def words(self) -> str:
        """Say it."""
        return (
            f"students and their teacher: {self.samples:,} images, {self.epochs} epochs; outside teacher (half as wide "
            f"again): {self.outside_samples:,} images, {self.outside_epochs} epochs"
        )


def fashion(folder: Path) -> dict[str, np.ndarray]:
    """Return ``x_train``, ``y_train``, ``x_test`` and ``y_test``: images of shape (n, 28, 28, 1) in [0, 1]."""

    def read(name: str, start: int) -> np.ndarray:
        with gzip.open(folder / f"{name}.gz") as stream:
            return np.frombuffer(stream.read(), np.uint8, offset=start)

    found = {}
    for split, name in (("train", "train"), ("test", "t10k")):
        images = read(f"{name}-images-idx3-ubyte", 16).reshape(-1, 28, 28, 1)
        found[f"x_{split}"] = images.astype(np.float32) / 255
        found[f"y_{split}"] = read(f"{name}-labels-idx1-ubyte", 8).astype(np.int32)
    return found


def network(width: int, seed: int) -> Any:
    """Return a residual network of three stages, *width* channels in the first."""
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    given = keras.Input((28, 28, 1), name="image")

    def convolution(x: Any, filters: int, size: int, strides: int) -> Any:
        x = layers.Conv2D(filters, size, strides, "same", use_bias=False)(x)
        return layers.BatchNormalization(momentum=0.9)(x)  # the trainings are short

    x = layers.ReLU()(convolution(given, width, 3, 2))
    for filters, strides in ((width, 1), (2 * width, 2), (4 * width, 2)):
        y = layers.ReLU()(convolution(x, filters, 3, strides))
        y = convolution(y, filters, 3, 1)
        short = x if strides == 1 else convolution(x, filters, 1, strides)
        x = layers.ReLU()(layers.Add()([short, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(given, layers.Dense(10, name="scores")(x))


def fit_(model: Any, data: Mapping[str, np.ndarray], samples: int, epochs: int, seed: int) -> None:
    """Train a model in place: Adam at 2e-3, falling along a cosine."""
    import keras

    keras.utils.set_random_seed(seed)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * -(-samples // 64))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(data["x_train"][:samples], data["y_train"][:samples], batch_size=64, epochs=epochs, verbose=0)


def accuracy(model: Any, data: Mapping[str, np.ndarray]) -> float:
    """Return the top-1 accuracy on the test split."""
    scores = model.predict(data["x_test"], batch_size=512, verbose=0)
    return float((scores.argmax(axis=1) == data["y_test"]).mean())


class Bench:
    """Trainings whose figures are kept in a file of JSON lines, by what they depend on."""

    def __init__(self, data: Mapping[str, np.ndarray], budget: Budget, results: Path, models: Path) -> None:
        """Read what was measured already; *models* keeps the teachers."""
        self.data, self.budget, self._results, self._models = data, budget, results, models
        lines = results.read_text().splitlines() if results.exists() else []
        self._known = {json.dumps(line[0]): line[1] for line in map(json.loads, lines)}

    def teacher(self, kind: str) -> Any:
        """Return a trained teacher, ``own`` or ``outside``."""
        import keras

        outside = kind == "outside"
        b = self.budget
        samples, epochs = (b.outside_samples, b.outside_epochs) if outside else (b.samples, b.epochs)
        path = self._models / f"{kind}-{samples}-{epochs}.keras"
        if path.exists():
            return keras.models.load_model(path)
        model = network(24 if outside else 16, seed=9)
        fit_(model, self.data, samples, epochs, seed=9)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
        return model

    def of_teacher(self, kind: str) -> float:
        """Return the accuracy of a teacher."""
        return self._kept([kind, vars(self.budget)], lambda: accuracy(self.teacher(kind), self.data))

    def of_student(self, way: str, seed: int) -> float:
        """Return the accuracy of a student after its training."""
        return self._kept([way, seed, vars(self.budget)], lambda: self._student(way, seed))

    def _student(self, way: str, seed: int) -> float:
        import keras

        kind, stage = WAYS[way]
        keras.utils.set_random_seed(seed)
        student = smaller(network(16, seed), StudentScale(width=0.5))
        job = None if stage is None else tfc.attach(student, stage, teacher=self.teacher(kind))
        model = student if job is None else job.model
        fit_(model, self.data, self.budget.samples, self.budget.epochs, seed)
        return accuracy(model, self.data)

    def _kept(self, key: Sequence[Any], measure: Any) -> float:
        if json.dumps(key) not in self._known:
            self._known[json.dumps(key)] = measure()
            with self._results.open("a") as stream:
                stream.write(json.dumps([key, self._known[json.dumps(key)]]) + "\n")
            print(key, self._known[json.dumps(key)], flush=True)
        return float(self._known[json.dumps(key)])


def students(bench: Bench) -> str:
    """Return the table: mean and spread of each way over the seeds, and the gain over no teacher in the same seeds."""
    for seed in SEEDS:  # all ways of a seed first: a table that is cut short compares something
        for way in WAYS:
            bench.of_student(way, seed)
    found = {way: [bench.of_student(way, seed) for seed in SEEDS] for way in WAYS}
    plain = found["without a teacher"]
    rows = []
    for way, scores in found.items():
        gains = [100 * (own - other) for own, other in zip(scores, plain, strict=True)]
        spread = f"{100 * statistics.mean(scores):.2f} % ± {100 * statistics.stdev(scores):.2f}"
        each = ", ".join(f"{100 * score:.2f}" for score in scores)
        rows.append([way, spread, each, f"{statistics.mean(gains):+.2f}"])
    shown = table(("learnt from", "top-1, mean ± deviation", "each seed", "gain in points"), rows)
    own, outside = (100 * bench.of_teacher(kind) for kind in ("own", "outside"))
    told = f"Teacher of its own kind: {own:.2f} %; outside teacher: {outside:.2f} %. {bench.budget.words}."
    return f"{shown}\n\n{told} Test: 10,000 images. {processor()}, {os.cpu_count()} cores."


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="with the files of Fashion-MNIST")
    parser.add_argument("--samples", type=int, default=6000, help="training samples of the students")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of the students")
    parser.add_argument("--outside-samples", type=int, default=30000)
    parser.add_argument("--outside-epochs", type=int, default=4)
    parser.add_argument("--results", type=Path, default=Path("distillation.jsonl"), help="where figures are kept")
    parser.add_argument("--models", type=Path, default=Path("distillation-models"), help="folder for the teachers")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the table."""
    options = arguments()
    budget = Budget(options.samples, options.epochs, options.outside_samples, options.outside_epochs)
    shown = students(Bench(fashion(options.data), budget, options.results, options.models))
    print(shown)
    if options.update:
        options.update.write_text(update(options.update.read_text(), "students", shown, "distillation"))


if __name__ == "__main__":
    main()
