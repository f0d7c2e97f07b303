"""Broken files through the whole of edge_runner, and the counting of what became of them."""

from __future__ import annotations

import collections
import random
import subprocess
from typing import Any

import pytest

from benchmarks import mutations
from edge_runner import flatbuffer

MODELS = [path.read_bytes() for path in sorted(mutations.MODELS.glob("*.tflite"))]


@pytest.mark.slow
def test_a_hundred_and_fifty_broken_files_are_each_an_entry() -> None:
    counts = mutations.run(MODELS, 150, seed=1)
    assert counts.lost == []
    assert sum(counts.outcomes.values()) == 150
    refused = sum(n for (_, found), n in counts.outcomes.items() if found == "refused by the check of the file")
    assert refused >= 100
    assert sum(n for (_, found), n in counts.outcomes.items() if found == "measured") >= 5


def test_the_check_of_a_file_never_fails_otherwise_than_by_refusing() -> None:
    refused = 0
    for number in range(2000):
        _, content = mutations.mutant(MODELS, number, seed=2)
        try:
            flatbuffer.read_facts(content)
        except flatbuffer.ModelFileError:
            refused += 1
    assert 1200 < refused < 2000


def test_the_same_seed_breaks_the_same_way() -> None:
    made = [mutations.mutant(MODELS, number, seed=0) for number in range(8)]
    assert made == [mutations.mutant(MODELS, number, seed=0) for number in range(8)]
    assert [kind for kind, _ in made] == [*mutations.KINDS, *mutations.KINDS]
    assert made != [mutations.mutant(MODELS, number, seed=1) for number in range(8)]


@pytest.mark.parametrize("kind", mutations.KINDS)
def test_each_kind_does_damage(kind: str) -> None:
    broken = 0
    for seed in range(20):
        content = bytearray(MODELS[0])
        mutations.KINDS[kind](content, random.Random(seed))
        assert len(content) <= len(MODELS[0])
        broken += bytes(content) != MODELS[0]
    assert broken >= 18  # a piece may be copied onto its like


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"status": "ok", "reason": None}, "measured"),
        ({"reason": "the file is empty", "contents": None}, "refused by the check of the file"),
        ({"reason": "its process was killed by SIGSEGV: line"}, "its process was killed by SIGSEGV"),
        ({"reason": "no sign of life for 10 s"}, "its process hung and was ended"),
        ({"reason": "out of memory"}, "it asked for too much memory"),
        ({"reason": "its process ended with exit code 1"}, "its process ended by itself"),
        ({"reason": "RuntimeError: no"}, "refused by the interpreter"),
    ],
)
def test_an_entry_is_counted_by_its_reason(entry: dict[str, Any], found: str) -> None:
    assert mutations.outcome({"status": "failed", "contents": {}, **entry}) == found


def test_a_runner_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = subprocess.CompletedProcess([], -11, "", "Segmentation fault")
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: dead)
    assert mutations.run_batch("python3", MODELS, range(3), 0).lost == ["files 0..2: status -11: Segmentation fault"]


def test_the_table_adds_up() -> None:
    counts = mutations.Counts(collections.Counter({("truncated", "measured"): 2, ("copied", "measured"): 1_000}))
    head, row, total = mutations.table(counts).splitlines()
    assert head.split()[-1] == "all"
    assert row.split() == ["measured", "0", "2", "0", "1,000", "1,002"]
    assert total.split()[-1] == "1,002"
