import hypothesis.extra.numpy as some
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tfcompress.recipe import Prune
from tfcompress.weights.masks import LEAST_DENSITY, keep_mask, keep_masks, pruned, pruning_obstacle, zeros_needed
from tfcompress.weights.promises import sparsity, sparsity_promises

WEIGHTS = st.floats(-8, 8, width=32)
SHARES = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 2**16)
TIES = st.sampled_from([-1.0, -0.5, -0.0, 0.0, 0.5, 1.0])


def weights(seed, shape):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize(
    ("size", "share", "zeros"), [(5, 0.8, 4), (5, 0.5, 3), (3, 0.5, 2), (1000, 0.7, 700), (64, 0.9, 58), (10, 0.1, 1)]
)
def test_as_many_zeros_are_needed_as_reach_the_fraction(size, share, zeros):
    assert zeros_needed(size, share) == zeros
    assert zeros / size >= share - 1e-9 > (zeros - 1) / size - 1e-9


@given(some.arrays(np.float32, some.array_shapes(max_dims=4, max_side=5), elements=WEIGHTS), SHARES)
def test_pruning_reaches_the_sparsity_and_takes_the_smallest(kernel, share):
    result = pruned(kernel, Prune(sparsity=share))
    assert result.shape == kernel.shape
    assert result.dtype == kernel.dtype
    assert np.count_nonzero(result == 0) == max(zeros_needed(kernel.size, share), np.count_nonzero(kernel == 0))
    kept, lost = np.abs(kernel[result != 0]), np.abs(kernel[result == 0])
    assert not kept.size or kept.min() >= lost.max()
    assert np.array_equal(result[result != 0], kernel[result != 0])


@given(some.arrays(np.float32, some.array_shapes(max_dims=3, max_side=5), elements=WEIGHTS), SHARES)
def test_pruning_twice_is_pruning_once_and_the_argument_stays(kernel, share):
    before = kernel.copy()
    once = pruned(kernel, Prune(sparsity=share))
    assert np.array_equal(pruned(once, Prune(sparsity=share)), once)
    assert np.array_equal(kernel, before)


def test_equal_weights_are_pruned_too():
    assert sparsity(pruned(np.ones((4, 4), np.float32), Prune(sparsity=0.75))) == 0.75


@given(some.arrays(np.float32, (2, 8, 3), elements=WEIGHTS))
def test_two_of_four_leaves_at_most_two_in_every_group(kernel):
    result = pruned(kernel, Prune(pattern="2:4"))
    assert all(p.kept for p in sparsity_promises("a", result, Prune(pattern="2:4")))
    for row in range(2):
        for channel in range(3):
            for first in (0, 4):
                group, left = kernel[row, first : first + 4, channel], result[row, first : first + 4, channel]
                assert np.sort(np.abs(left))[2:].tolist() == np.sort(np.abs(group))[2:].tolist()


def test_blocks_vanish_whole_the_weakest_first():
    kernel = np.ones((4, 4), np.float32)
    kernel[:2, :2] = 0.1
    kernel[2:, 2:] = 0.2
    stage = Prune(sparsity=0.3, pattern="block", block_shape=(2, 2))  # 4.8 of 16 weights: two blocks of four
    result = pruned(kernel, stage)
    assert sparsity(result) == 8 / 16
    assert not result[:2, :2].any()
    assert not result[2:, 2:].any()


@given(some.arrays(np.float32, st.tuples(st.integers(3, 7), st.integers(3, 7)), elements=st.floats(0.5, 8, width=32)))
def test_blocks_that_do_not_divide_the_kernel_still_reach_the_sparsity(kernel):
    assert sparsity(pruned(kernel, Prune(sparsity=0.4, pattern="block", block_shape=(2, 3)))) >= 0.4


def block_by_block(kernel, stage):
    """Zero the weakest block of a matrix again and again, in plain Python, until enough weights are zeroed."""
    height, width = stage.block_shape
    rows, columns = kernel.shape
    corners = [(row, column) for row in range(0, rows, height) for column in range(0, columns, width)]
    result, gone = kernel.copy(), 0
    for row, column in sorted(corners, key=lambda at: np.abs(kernel[at[0] :, at[1] :][:height, :width]).mean()):
        if gone >= zeros_needed(kernel.size, stage.sparsity):
            break
        result[row : row + height, column : column + width] = 0
        gone += kernel[row:, column:][:height, :width].size
    return result


@settings(deadline=None)
@given(SEEDS, SHARES, st.tuples(*[st.integers(1, 7)] * 2), st.tuples(*[st.integers(1, 4)] * 2))
def test_blocks_go_as_one_by_one_in_plain_python(seed, share, shape, block_shape):
    kernel = weights(seed, shape)  # no ties
    stage = Prune(sparsity=share, pattern="block", block_shape=block_shape)
    assert np.array_equal(pruned(kernel, stage), block_by_block(kernel, stage))


@settings(deadline=None)
@given(
    some.arrays(np.float64, st.tuples(*[st.integers(1, 3)] * 2, st.just(8), st.integers(1, 3)), elements=WEIGHTS | TIES)
)
def test_a_group_keeps_its_larger_half_whatever_the_pattern(kernel):
    for size in (4, 8):
        stays = keep_mask(np.abs(kernel), 0.5, Prune(pattern=f"{size // 2}:{size}"))
        for place in np.ndindex(*kernel.shape[:2], 8 // size, kernel.shape[-1]):
            one = (*place[:2], slice(place[2] * size, (place[2] + 1) * size), place[3])
            sizes, mask = np.abs(kernel[one]), stays[one]
            assert mask.sum() == size // 2
            assert sizes[mask].min() >= sizes[~mask].max()


@settings(deadline=None)
@given(some.arrays(np.float64, some.array_shapes(max_dims=4, max_side=4), elements=WEIGHTS | TIES), SHARES)
def test_as_many_stay_as_counted_by_hand_and_none_is_smaller_than_one_that_goes(kernel, share):
    stays = keep_mask(np.abs(kernel), share, Prune())
    sizes = sorted(np.abs(kernel).ravel())
    needed = zeros_needed(kernel.size, share)
    assert sorted(np.abs(kernel[~stays])) == sizes[:needed]
    assert sorted(np.abs(kernel[stays])) == sizes[needed:]


@settings(deadline=None)
@given(SEEDS, SHARES)
def test_exactly_the_smallest_go_and_as_many_as_asked(seed, fraction):
    importance = np.abs(weights(seed, (5, 7)))
    stays = keep_mask(importance, fraction, Prune(sparsity=0.995))
    assert (~stays).sum() == zeros_needed(35, fraction)
    assert importance[~stays].max(initial=0) <= importance[stays].min(initial=np.inf)


def test_what_went_stays_away_whatever_it_would_be_worth():
    importance = np.array([-np.inf, 3.0, -2.0, 5.0])
    assert keep_mask(importance, 0.5, Prune()).tolist() == [False, True, False, True]
    assert keep_mask(importance, 0.0, Prune()).all()


@settings(deadline=None)
@given(SEEDS)
def test_four_of_any_eight_neighbours_stay(seed):
    stays = keep_mask(weights(seed, (3, 3, 16, 5)), 0.5, Prune(pattern="4:8"))
    groups = np.moveaxis(stays, -2, -1).reshape(-1, 8)
    assert (groups.sum(axis=1) == 4).all()


@settings(deadline=None)
@given(SEEDS, SHARES)
def test_blocks_of_a_convolution_go_whole_and_not_one_more_than_needed(seed, fraction):
    stage = Prune(pattern="block", block_shape=(2, 2))
    stays = keep_mask(np.abs(weights(seed, (3, 3, 4, 6))), fraction, stage)
    blocks = stays.reshape(9, 2, 2, 3, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 4)
    assert set(blocks.sum(axis=1)) <= {0, 4}
    assert 0 <= (~stays).sum() - zeros_needed(216, fraction) < 4


@settings(deadline=None)
@given(SEEDS, SHARES)
def test_one_threshold_takes_exactly_what_is_asked_of_all_and_more_where_there_is_less_to_lose(seed, fraction):
    small, large = np.abs(weights(seed, (200,))), 10 + np.abs(weights(seed + 1, (300,)))
    stays = keep_masks([small, large], fraction)
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
        ((1, 1), Prune(), "nothing would be left of its 1 weights"),
        ((4, 4), Prune(pattern="block", block_shape=(4, 4)), "blocks of 4x4 would leave nothing of its 16 weights"),
        ((3, 3, 4, 8), Prune(), ""),
        ((8, 4), Prune(pattern="block", block_shape=(4, 4)), ""),
        ((3, 3, 8, 8), Prune(pattern="4:8"), ""),
        ((4, 4), Prune(pattern="block", block_shape=(2, 2)), ""),
        ((2, 2), Prune(sparsity=0.75), ""),
    ],
)
def test_kernels_that_do_not_fit_are_told_why(shape, stage, words):
    assert pruning_obstacle(shape, stage) == words
