"""What ``tfcompress evaluate`` says of a score; the whole command is run in ``tests/test_workbench.py``."""

from __future__ import annotations

import collections
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tfcompress.cli.evaluate import score_file, score_lines
from tfcompress.data.sources import load_data
from tfcompress.progress import SilentProgress
from tfcompress.tasks.score import Figure, Score

CLASSES = Score(
    task="classification",
    samples=1200,
    main="top1",
    figures={"top1": Figure(0.9, 0.88, 0.92), "top5": Figure(0.99)},
    per_class={"0": 0.5, "1": 0.75, "2": 1.0, "3": 0.25},
    chance=0.25,
)
ERRORS = Score(task="regression", samples=9, main="mae", figures={"mae": Figure(0.5, unit="label", better="lower")})


def test_figures_come_with_intervals_and_the_worst_classes_are_named() -> None:
    assert score_lines(CLASSES) == [
        ("task", "classification"),
        ("samples", "1,200"),
        ("accuracy", "90.00 % (95 %: 88.0..92.0)"),
        ("top-5", "99.00 %"),
        ("worst classes", "3 (25.0 %), 0 (50.0 %), 1 (75.0 %)"),
    ]


def test_every_output_is_shown() -> None:
    both = dataclasses.replace(CLASSES, outputs={"kind": CLASSES, "size": ERRORS})
    lines = score_lines(both)
    assert ("kind: accuracy", "90.00 % (95 %: 88.0..92.0)") in lines
    assert ("size: MAE", "0.5") in lines


def test_a_model_at_chance_is_said_to_be() -> None:
    name, text = score_lines(dataclasses.replace(CLASSES, chance=0.89))[-1]
    assert name == "!"
    assert text.startswith("no better than always answering the most frequent class: check the labels, their order")


class Notes(SilentProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            None,
            ["output 'scores' is of task classification, by its labels; choose otherwise by --task; a .tflite does"],
        ),
        ("classification", []),
    ],
)
def test_a_tflite_file_is_scored_by_labels_alone_and_that_is_said(said: str | None, line: list[str]) -> None:
    file = Path(__file__).parents[1] / "data" / "blobs_int8.tflite"
    x = np.random.default_rng(0).random((12, 8, 8, 1)).astype(np.float32)
    notes = Notes()
    data = load_data({"test": (x, np.arange(12) % 4)}, task=said)
    score, _ = score_file(file, data, "test", collections.defaultdict(bool), notes)
    assert (score.task, score.samples) == ("classification", 12)
    assert [text[: len(begin)] for text, begin in zip(notes.said, line, strict=False)] == line
    assert any("does not say what it was trained for" in text for text in notes.said) == bool(line)


def test_a_model_file_is_scored_by_a_task_that_is_said_once(tmp_path: Path) -> None:
    import keras

    layers = [keras.layers.Input((2,)), keras.layers.Dense(1, activation="sigmoid", name="out")]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((9, 2), np.float32)
    for y, task in ((x[:, 0], "regression"), (x[:, 0] > 0.5, "binary")):
        notes = Notes()
        score_file(tmp_path / "model.keras", load_data({"test": (x, y)}), "test", {}, notes)
        line = f"output 'out' is of task {task}, by its labels and its activation, sigmoid; choose otherwise by --task"
        assert notes.said.count(line) == 1
