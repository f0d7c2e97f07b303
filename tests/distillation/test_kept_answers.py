"""Answers of a teacher are computed once for each sample, and found again by its bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.distillation.kept_answers import KeptAnswers
from tfcompress.models.specs import TensorSpec

OUTPUTS = (TensorSpec("sums", (2,), "float32"), TensorSpec("first", (), "float32"))


class Counted:
    """A teacher that counts the samples it is asked."""

    def __init__(self) -> None:
        self.samples = 0

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        x = inputs["x"]
        self.samples += len(x)
        return [np.stack([x.sum(axis=1), x.max(axis=1)], axis=1), x[:, 0]]


class Asked(KeptAnswers):
    """What is kept, and a teacher that is asked for the rest."""

    def __init__(self, folder: Path, teacher: Any, outputs: Sequence[TensorSpec], **options: Any) -> None:
        super().__init__(folder, outputs, **options)
        self._teacher = teacher

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found = self.look_up(inputs)
        if found is None:
            found = self._teacher(inputs)
            self.keep(inputs, found)
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answers")


@settings(max_examples=20)
@given(seeds=st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_what_comes_out_is_what_the_teacher_says(folder: Path, seeds: list[int]) -> None:
    kept, teacher = Asked(folder, Counted(), OUTPUTS), Counted()
    x = np.stack([np.random.default_rng(seed).normal(size=5).astype(np.float32) for seed in seeds])
    for _ in range(2):
        for got, wanted in zip(kept({"x": x}), teacher({"x": x}), strict=True):
            assert got.shape == wanted.shape
            assert np.array_equal(got, wanted)
    kept.close()


def test_a_sample_is_asked_once_in_any_order_and_by_the_next_run_never(tmp_path: Path) -> None:
    x = np.arange(20, dtype=np.float32).reshape(4, 5)
    for asked in (4, 0):
        teacher = Counted()
        kept = Asked(tmp_path, teacher, OUTPUTS)
        for order in ([0, 1], [2, 3], [3, 0, 1, 2]):
            assert kept({"x": x[order]})[1].tolist() == x[order, 0].tolist()
        kept.close()
        assert teacher.samples == asked
        assert kept.size == 4


def test_samples_of_the_same_bytes_in_another_shape_or_type_are_others(tmp_path: Path) -> None:
    def first(inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        x = inputs["x"].reshape(len(inputs["x"]), -1)
        return [x[:, :2].astype(np.float32) + inputs["x"].ndim, x[:, 0].astype(np.float32)]

    kept = Asked(tmp_path, first, OUTPUTS)
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    for sample in (x, x.reshape(1, 4, 3), x.reshape(1, 12), x.view(np.int32)):
        for got, wanted in zip(kept({"x": sample}), first({"x": sample}), strict=True):
            assert np.array_equal(got, wanted)
    assert kept.size == 4
    kept.close()


def test_a_run_that_finds_all_answers_leaves_no_files(tmp_path: Path) -> None:
    x = np.arange(20, dtype=np.float32).reshape(4, 5)
    for _ in range(3):
        kept = Asked(tmp_path, Counted(), OUTPUTS)
        kept({"x": x})
        kept.close()
        assert len(list(tmp_path.iterdir())) == 2


def test_what_a_killed_run_wrote_in_part_is_left_aside(tmp_path: Path) -> None:
    x = np.arange(20, dtype=np.float32).reshape(4, 5)
    kept = Asked(tmp_path, Counted(), OUTPUTS)
    kept({"x": x})
    kept.close()
    rows = next(tmp_path.glob("*.rows"))
    rows.write_bytes(rows.read_bytes()[: 2 * 12 + 5])
    teacher = Counted()
    again = Asked(tmp_path, teacher, OUTPUTS)
    assert again.size == 2
    assert again({"x": x})[1].tolist() == x[:, 0].tolist()
    assert again.size == 4
    again.close()


def test_above_the_limit_answers_are_computed_each_time(tmp_path: Path) -> None:
    teacher = Counted()
    kept = Asked(tmp_path, teacher, OUTPUTS, most_bytes=2 * 12)
    x = np.arange(20, dtype=np.float32).reshape(4, 5)
    for _ in range(2):
        assert kept({"x": x})[1].tolist() == x[:, 0].tolist()
    kept.close()
    assert (teacher.samples, kept.size) == (8, 0)


@settings(max_examples=15)
@given(orders=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=5), min_size=1, max_size=5))
def test_two_runs_at_once_in_one_folder_answer_right_whatever_either_asks(
    tmp_path_factory: pytest.TempPathFactory, orders: list[list[int]]
) -> None:
    """Interleaved, with samples twice in a batch: what each wrote is read by the next run, and nothing else."""
    folder = tmp_path_factory.mktemp("two")
    x = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    runs = [Asked(folder, Counted(), OUTPUTS) for _ in range(2)]
    for number, order in enumerate(orders):
        kept = runs[number % 2]
        for got, wanted in zip(kept({"x": x[order]}), Counted()({"x": x[order]}), strict=True):
            assert np.array_equal(got, wanted)
        asked = {sample for earlier in orders[number % 2 : number + 1 : 2] for sample in earlier}
        assert kept.size == len(asked)
    for kept in runs:
        kept.close()
    teacher = Counted()
    after = Asked(folder, teacher, OUTPUTS)
    everything = sorted({sample for order in orders for sample in order})
    assert after.size == len(everything)
    assert np.array_equal(after({"x": x[everything]})[1], x[everything, 0])
    assert teacher.samples == 0
    after.close()


@settings(max_examples=15)
@given(cut=st.integers(0, 200), which=st.sampled_from([".rows", ".digests"]))
def test_a_file_that_ends_anywhere_gives_right_answers(
    tmp_path_factory: pytest.TempPathFactory, cut: int, which: str
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    x = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    first = Asked(folder, Counted(), OUTPUTS)
    first({"x": x})
    first.close()
    (path,) = folder.glob(f"*{which}")
    left = path.read_bytes()[:cut]
    path.write_bytes(left)
    again = Asked(folder, Counted(), OUTPUTS)
    whole = len(left) // (12 if which == ".rows" else 16)  # three numbers of 4 bytes; a digest of 16
    assert again.size == min(6, whole)
    for got, wanted in zip(again({"x": x}), Counted()({"x": x}), strict=True):
        assert np.array_equal(got, wanted)
    again.close()
