import hypothesis.extra.numpy as some
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from tfcompress.recipe import Prune
from tfcompress.weights.masks import fits, pruned, zeros_needed
from tfcompress.weights.promises import sparsity, sparsity_promises

WEIGHTS = st.floats(-8, 8, width=32)
SHARES = st.floats(0.01, 0.99)


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


@pytest.mark.parametrize(
    ("shape", "stage", "problem"),
    [
        ((3, 3, 4, 8), Prune(), ""),
        ((1, 1), Prune(), "nothing would be left of its 1 weights"),
        ((2, 2), Prune(sparsity=0.9), "nothing would be left of its 4 weights"),
        ((3, 3, 3, 8), Prune(pattern="2:4"), "its 3 input channels are not a multiple of four"),
        ((8,), Prune(pattern="2:4"), "its 1 input channels"),
        ((4, 4), Prune(pattern="block", block_shape=(4, 4)), "blocks of 4x4 would leave nothing of its 16 weights"),
        ((8, 4), Prune(pattern="block", block_shape=(4, 4)), ""),
    ],
)
def test_kernels_that_would_die_are_told_apart(shape, stage, problem):
    assert fits(shape, stage).startswith(problem)
    assert bool(fits(shape, stage)) == bool(problem)
