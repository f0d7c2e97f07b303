from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner import score_embedding
from edge_runner.score_embedding import EmbeddingScorer


def scored(identities: Any, vectors: Any, batch: int = 100) -> dict[str, Any]:
    scorer, vectors = EmbeddingScorer(), np.asarray(vectors, np.float32)
    for start in range(0, len(vectors), batch):
        scorer.add(np.asarray(identities)[start : start + batch], vectors[start : start + batch])
    return scorer.result()


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    lengths = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return round(float((a * b).sum()) / lengths, 6) if lengths else 0.0


def by_pairs(identities: list[int], vectors: np.ndarray) -> tuple[float | None, float | None]:
    """Return the two figures by looking at each pair of pairs, and at each sample's neighbours."""
    count = len(identities)
    pairs = [(cosine(vectors[i], vectors[j]), identities[i] == identities[j]) for i, j in
             itertools.combinations(range(count), 2)]  # fmt: skip
    same, other = ([c for c, alike in pairs if alike is wanted] for wanted in (True, False))
    wins = [(a > b) + (a == b) / 2 for a in same for b in other]
    hits = [
        identities[max((j for j in range(count) if j != i), key=lambda j, i=i: (cosine(vectors[i], vectors[j]), -j))]
        == identities[i]
        for i in range(count)
        if identities.count(identities[i]) > 1
    ]
    return (sum(wins) / len(wins) if wins else None), (sum(hits) / len(hits) if hits else None)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-2, 3), min_size=1, max_size=14), st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_figures_are_those_of_looking_at_each_pair(identities: list[int], seed: int, batch: int) -> None:
    vectors = np.random.default_rng(seed).integers(-2, 3, (len(identities), 3)).astype(float)
    area, recall = by_pairs(identities, vectors)
    found = scored(identities, vectors, batch)
    assert found["verification_auc"] == (None if area is None else pytest.approx(area))
    assert found["recall_at_1"] == recall
    assert found["samples"] == len(identities)


def clustered(count: int, kinds: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    identities = rng.integers(0, kinds, count)
    centres = rng.normal(size=(kinds, 8))
    return identities, centres[identities] + noise * rng.normal(size=(count, 8))


def test_of_many_pairs_a_sample_is_drawn_that_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    identities, vectors = clustered(300, 12, 1.0)
    whole = scored(identities, vectors)
    monkeypatch.setattr(score_embedding, "MOST_PAIRS", 2000)
    drawn, again = scored(identities, vectors), scored(identities, vectors)
    assert drawn == again
    assert drawn["verification_auc"] != whole["verification_auc"]
    assert drawn["verification_auc"] == pytest.approx(whole["verification_auc"], abs=0.02)
    assert drawn["recall_at_1"] == whole["recall_at_1"]


def test_of_many_samples_every_second_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    identities, vectors = clustered(100, 5, 0.5)
    monkeypatch.setattr(score_embedding, "MOST_SAMPLES", 30)
    thinned = scored(identities, vectors, batch=7)
    monkeypatch.setattr(score_embedding, "MOST_SAMPLES", 1000)
    assert thinned == {**scored(identities[::4], vectors[::4]), "samples": 100}


def test_the_length_of_a_vector_says_nothing() -> None:
    identities, vectors = clustered(40, 4, 0.7)
    scale = np.random.default_rng(1).uniform(0.5, 50, (40, 1))
    assert scored(identities, vectors * scale)["recall_at_1"] == scored(identities, vectors)["recall_at_1"]


def test_equal_vectors_tie_and_the_first_counts() -> None:
    vectors = np.ones((4, 3))
    assert scored([0, 1, 0, 1], vectors)["verification_auc"] == 1 / 2
    assert scored([0, 1, 0, 1], vectors)["recall_at_1"] == 1 / 4  # only the third sample's first other is its own


def test_outputs_that_are_no_numbers_have_no_figures() -> None:
    found = scored([0, 0, 1], [[1.0], [np.nan], [1.0]])
    assert found["verification_auc"] is found["recall_at_1"] is None


def test_drawn_numbers_are_those_of_the_published_generator() -> None:
    state, wanted = 0, []
    for _ in range(5):  # in whole numbers of any size
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        wanted.append(z ^ (z >> 31))
    assert score_embedding.splitmix64(5).tolist() == wanted
