import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.recipe import Prune
from tfcompress.weights.masks import pruned, zeros_needed
from tfcompress.weights.score_masks import LEAST_DENSITY, fits, kept, kept_together

SEEDS = st.integers(0, 2**16)
FRACTIONS = st.floats(0.01, 0.99)


def weights(seed, shape):
    return np.random.default_rng(seed).normal(size=shape)


@settings(deadline=None)
@given(SEEDS, FRACTIONS)
def test_exactly_the_smallest_go_and_as_many_as_asked(seed, fraction):
    importance = np.abs(weights(seed, (5, 7)))
    stays = kept(importance, fraction, Prune(sparsity=0.995))
    assert (~stays).sum() == zeros_needed(35, fraction)
    assert importance[~stays].max(initial=0) <= importance[stays].min(initial=np.inf)


@settings(deadline=None)
@given(SEEDS, st.sampled_from([Prune(sparsity=0.6), Prune(pattern="2:4"), Prune(pattern="block", block_shape=(2, 3))]))
def test_the_magnitudes_of_a_matrix_lead_to_what_the_other_engine_keeps(seed, stage):
    kernel = weights(seed, (8, 9))
    assert np.array_equal(np.where(kept(np.abs(kernel), stage.sparsity, stage), kernel, 0), pruned(kernel, stage))


def test_what_went_stays_away_whatever_it_would_be_worth():
    importance = np.array([-np.inf, 3.0, -2.0, 5.0])
    assert kept(importance, 0.5, Prune()).tolist() == [False, True, False, True]
    assert kept(importance, 0.0, Prune()).all()


@settings(deadline=None)
@given(SEEDS)
def test_four_of_any_eight_neighbours_stay(seed):
    stays = kept(weights(seed, (3, 3, 16, 5)), 0.5, Prune(pattern="4:8"))
    groups = np.moveaxis(stays, -2, -1).reshape(-1, 8)
    assert (groups.sum(axis=1) == 4).all()


@settings(deadline=None)
@given(SEEDS, FRACTIONS)
def test_blocks_of_a_convolution_go_whole_and_not_one_more_than_needed(seed, fraction):
    stage = Prune(pattern="block", block_shape=(2, 2))
    stays = kept(np.abs(weights(seed, (3, 3, 4, 6))), fraction, stage)
    blocks = stays.reshape(9, 2, 2, 3, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 4)
    assert set(blocks.sum(axis=1)) <= {0, 4}
    assert 0 <= (~stays).sum() - zeros_needed(216, fraction) < 4


@settings(deadline=None)
@given(SEEDS, FRACTIONS)
def test_one_threshold_takes_exactly_what_is_asked_of_all_and_more_where_there_is_less_to_lose(seed, fraction):
    small, large = np.abs(weights(seed, (200,))), 10 + np.abs(weights(seed + 1, (300,)))
    stays = kept_together([small, large], fraction)
    assert sum((~s).sum() for s in stays) == zeros_needed(500, fraction)
    least = max(1, int(LEAST_DENSITY * (1 - fraction) * 200))
    assert stays[0].sum() == max(least, 200 - zeros_needed(500, fraction))


@pytest.mark.parametrize(
    ("shape", "stage", "words"),
    [
        ((3, 3, 6, 8), Prune(pattern="2:4"), "its 6 input channels are not a multiple of 4"),
        ((3, 3, 12, 8), Prune(pattern="4:8"), "its 12 input channels are not a multiple of 8"),
        ((8,), Prune(pattern="2:4"), "its 1 input channels are not a multiple of 4"),
        ((8,), Prune(pattern="block", block_shape=(1, 2)), "a vector has no blocks"),
        ((2, 2), Prune(pattern="block", block_shape=(2, 2)), "blocks of 2x2 would leave nothing of its 4 weights"),
        ((2, 2), Prune(sparsity=0.9), "nothing would be left of its 4 weights"),
        ((3, 3, 8, 8), Prune(pattern="4:8"), ""),
        ((4, 4), Prune(pattern="block", block_shape=(2, 2)), ""),
        ((2, 2), Prune(sparsity=0.75), ""),
    ],
)
def test_kernels_that_do_not_fit_are_told_why(shape, stage, words):
    assert fits(shape, stage) == words
