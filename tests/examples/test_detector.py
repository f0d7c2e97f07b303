"""The worked example of the docs: it says what it does, and it runs."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.cli.main import run_command
from tfcompress.errors import DataError

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture(scope="module", autouse=True)
def examples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        yield


@pytest.fixture(scope="module")
def detector(examples: None) -> Any:
    return importlib.import_module("detector")


@pytest.fixture(scope="module")
def shapes(examples: None) -> Any:
    return importlib.import_module("shapes")


def boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Top, left, bottom, right on a coarse grid, (count, 4)."""
    low = rng.integers(0, 6, (count, 2))
    return np.concatenate([low, low + rng.integers(1, 4, (count, 2))], axis=1) / 8


def share(a: np.ndarray, b: np.ndarray) -> float:
    """Count the cells of the grid that both boxes hold, over those that either holds."""
    cells = [{(y, x) for y in range(int(8 * t), int(8 * d)) for x in range(int(8 * le), int(8 * r))}
             for t, le, d, r in (a, b)]  # fmt: skip
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_overlaps_count_what_both_hold(detector: Any, seed: int) -> None:
    first, second = boxes(np.random.default_rng(seed), 3), boxes(np.random.default_rng(seed + 1), 4)
    wanted = [[share(a, b) for b in second] for a in first]
    assert detector.overlaps(first, second) == pytest.approx(np.array(wanted))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_offsets_lead_back_to_the_box(detector: Any, seed: int) -> None:
    anchors = detector.SHAPES.anchors[:7]
    corners = boxes(np.random.default_rng(seed), 7)
    assert detector.placed(detector.offsets(corners, anchors), anchors) == pytest.approx(corners)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_of_boxes_on_each_other_the_surest_is_kept(detector: Any, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, scores = boxes(rng, count), rng.permutation(count) / max(1, count) + 0.01
    kept = detector.not_the_same(found, scores)
    sure = [place for place in range(count) if scores[place] >= detector.LEAST_SCORE]
    for place in sure:
        above = [k for k in kept if scores[k] > scores[place] and share(found[k], found[place]) > detector.SAME_OBJECT]
        assert (place in kept) == (not above)
    assert set(kept) <= set(sure)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_precision_is_averaged_over_what_is_found(detector: Any, images: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    objects = [np.c_[rng.integers(0, 2, 3), boxes(rng, 3)] for _ in range(images)]
    sure = iter(rng.permutation(100) / 100)
    detected = []
    for there in objects:
        count = int(rng.integers(0, 5))
        guesses = np.where(rng.random((count, 1)) < 0.5, there[rng.integers(0, 3, count), 1:], boxes(rng, count))
        rows = [[rng.integers(0, 2), next(sure), *guess] for guess in guesses]
        detected.append(np.array(sorted(rows, key=lambda row: -row[1])).reshape(-1, 6))
    found = detector.mean_average_precision(detected, objects)
    assert found == pytest.approx(by_recall(detected, objects, detector.FOUND))


def by_recall(detected: list[np.ndarray], objects: list[np.ndarray], enough: float) -> float:
    """At each recall there can be, the best precision at one as high, averaged; classes that are there, averaged."""
    averages = []
    for number in {int(row[0]) for there in objects for row in there}:
        ranked = sorted(
            (-row[1], image, row[2:]) for image, rows in enumerate(detected) for row in rows if row[0] == number
        )
        left = {image: [row[1:] for row in there if row[0] == number] for image, there in enumerate(objects)}
        total, hits, points = sum(map(len, left.values())), 0, []
        for seen, (_, image, box) in enumerate(ranked, 1):
            shares = [share(box, other) for other in left[image]]
            if shares and max(shares) >= enough:
                left[image].pop(int(np.argmax(shares)))
                hits += 1
            points.append((hits, hits / seen))
        averages.append(sum(max((p for h, p in points if h >= k), default=0.0) for k in range(1, total + 1)) / total)
    return sum(averages) / len(averages)


def test_what_anchors_are_to_learn_is_what_is_decoded(detector: Any, shapes: Any) -> None:
    task = detector.SHAPES
    _, labels = shapes.pictures(20, seed=3)
    targets = task.targets({}, task.encode(labels, np.arange(20), task.form(labels, (128, 7), "y")))
    outputs = np.concatenate([targets[..., 1:], 9.0 * (targets[..., :1] == np.arange(3))], axis=-1)
    scorer = task.scorer()
    scorer.add(outputs, labels)
    score = scorer.evaluation().score
    assert (score.task, score.samples, score.main_figure.value) == ("detector", 20, 1)


def test_nothing_found_is_worth_nothing(detector: Any, shapes: Any) -> None:
    scorer = detector.SHAPES.scorer()
    scorer.add(np.tile([0.0, 0, 0, 0, 9, 0, 0], (4, 128, 1)), shapes.pictures(4, seed=0)[1])
    assert scorer.evaluation().score.main_figure.value == 0
    with pytest.raises(DataError, match="a score needs samples, got none"):
        detector.SHAPES.scorer().evaluation()


@pytest.mark.parametrize("row", [[2, 0, 0, 1, 1], [0.5, 0, 0, 1, 1], [0, 0.5, 0, 0.5, 1], [1, 0, 0, np.nan, 1]])
def test_boxes_that_are_none_are_refused(detector: Any, row: list[float]) -> None:
    y = np.array([[[-1, -1, -1, -1, -1]], [row]])
    form = detector.SHAPES.form(y, (128, 7), "y_train")
    message = r"y_train must hold rows of a class in -1\.\.1, top < bottom and left < right, sample 1 has"
    with pytest.raises(DataError, match=message):
        detector.SHAPES.encode(y, np.arange(2), form)


@pytest.mark.slow
def test_the_detector_is_trained_exported_and_scored(
    detector: Any, shapes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (images, labels), (more, known) = shapes.pictures(400, 0), shapes.pictures(60, 1)
    net = shapes.model()
    shapes.train_(net, images, labels, epochs=14)
    net.save("shapes.keras")
    np.savez("shapes.npz", x_train=images, y_train=labels, x_test=more, y_test=known)
    words = ["--qat", "--epochs", "1", "--learning-rate", "1e-4", "--data", "shapes.npz", "--task", "detector:SHAPES"]
    assert run_command(["export", "shapes.keras", *words, "-o", "out"]) == 0
    report = json.loads(Path("out/report.json").read_text("utf-8"))
    scores = [report[part]["score"] for part in ("baseline", "result")]
    assert [(score["task"], score["main"]) for score in scores] == [("detector", "map50")] * 2
    before, after = (score["figures"]["map50"]["value"] for score in scores)
    assert before > 0.2
    assert after > before - 0.1
    assert "map50" in capfd.readouterr().out
