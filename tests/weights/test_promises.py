import numpy as np
import pytest

from tfcompress.errors import ContractError
from tfcompress.recipe import Prune
from tfcompress.weights.promises import (
    Promise,
    check_promises,
    distinct_values,
    sparsity,
    sparsity_promises,
    values_promise,
)


def test_sparsity_is_the_fraction_of_zeros():
    assert sparsity(np.array([[0.0, 1.0], [-0.0, 2.0]])) == 2 / 4
    assert sparsity(np.zeros((0, 3))) == 0.0


def test_distinct_values_counts_the_whole_kernel_or_its_fullest_channel():
    kernel = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 6.0]])
    assert distinct_values(kernel) == 5
    assert distinct_values(kernel, channel_axis=1) == 3
    assert distinct_values(kernel, channel_axis=0) == 2


def test_a_kernel_with_enough_zeros_keeps_the_promise_and_one_with_a_zero_less_does_not():
    kernel = np.array([0.0, 0.0, 1.0, 1.0])
    (kept,) = sparsity_promises("a", kernel, Prune(sparsity=0.5))
    (broken,) = sparsity_promises("a", kernel, Prune(sparsity=0.51))
    assert (kept.got, kept.kept, broken.kept) == (0.5, True, False)


def test_two_of_four_counts_groups_along_the_input_channels_of_either_layout():
    keras_kernel = np.ones((4, 2))
    keras_kernel[:2] = 0  # each output channel has two zeros among its four inputs
    stage = Prune(pattern="2:4")
    for kernel, axis in ((keras_kernel, -2), (keras_kernel.T, -1)):
        promises = {p.what: p for p in sparsity_promises("a", kernel, stage, input_axis=axis)}
        assert promises["2:4 groups"].got == 1.0
    half = np.ones((8, 1))
    half[:4] = 0  # four zeros in one group and none in the other: half the weights, half the groups
    promises = {p.what: p for p in sparsity_promises("a", half, stage)}
    assert (promises["sparsity"].kept, promises["2:4 groups"].got, promises["2:4 groups"].kept) == (True, 0.5, False)


def test_a_clustered_kernel_may_hold_fewer_values_but_not_more():
    assert values_promise("a", np.array([1.0, 2.0]), 3).kept
    assert not values_promise("a", np.arange(4.0), 3).kept
    assert values_promise("a", np.arange(4.0).reshape(2, 2), 2, channel_axis=0).kept


def test_check_names_the_first_broken_promises_and_counts_the_rest():
    check_promises([Promise("fine", "sparsity", 0.5, 0.5)])
    broken = [Promise(f"layer{i}", "sparsity", 0.5, 0.25) for i in range(7)]
    with pytest.raises(ContractError, match=r"7 kernels: layer0: sparsity 0.25 instead of 0.5;.*layer4.* and 2 more"):
        check_promises(broken)
