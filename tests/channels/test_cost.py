import time

import numpy as np
import pytest

from tests.channels.channel_models import added_to_concatenated, lstm, model_of, plain, squeeze_excite
from tfcompress.channels.cost import Cost, CostModel
from tfcompress.errors import UsageError

keras = pytest.importorskip("keras")


def test_sizes_are_products_of_what_is_kept():
    model = model_of(plain)
    first, places, second = 4, 2 * 2, 3
    kept = CostModel.of(model).of_kept({"first": [0, 1, 2, 5], "second": [0, 1, 3]})
    macs = 6 * 6 * (3 * 3 * 3 * first) + places * (2 * 2 * first * second) + places * second * 3
    parameters = (3 * 3 * 3 + 1) * first + 4 * first + (2 * 2 * first + 1) * second + (places * second + 1) * 3
    assert kept == Cost(macs, parameters)


def test_a_recurrent_kernel_has_the_units_on_both_axes():
    cost = CostModel.of(model_of(lstm))
    kept = cost.of_kept({"first": 3, "second": 2})
    steps = 16
    cells = 4 * (12 * 3 + 3 * 3), 4 * (3 * 2 + 2 * 2)
    assert kept.macs == steps * sum(cells) + 2 * 3
    assert kept.parameters == sum(cells) + 4 * (3 + 2) + 2 * 3 + 3


def test_one_channel_less_saves_what_the_slope_says():
    cost = CostModel.of(model_of(squeeze_excite))
    keep = {"body": 4, "squeeze": 3}
    slopes = cost.per_channel(keep)
    for name, count in keep.items():
        more, less = cost.of_kept(keep), cost.of_kept({**keep, name: count - 1})
        if name == "squeeze":  # on one axis of every weight: exact
            assert slopes[name] == (more.macs - less.macs, more.parameters - less.parameters)
        else:
            assert slopes[name][0] == pytest.approx(more.macs - less.macs, rel=0.2)


def test_which_channels_stay_counts_where_they_are_not_alike():
    model = model_of(added_to_concatenated)
    cost = CostModel.of(model)
    assert cost.of_kept({"a": [0, 1, 2, 3]}).parameters == cost.of_kept({"a": [0, 3, 4, 5]}).parameters
    total = cost.of_kept({}).parameters
    assert cost.of_kept({"a": 7}).parameters == total


def test_an_unknown_group_is_refused():
    cost = CostModel.of(model_of(plain))
    with pytest.raises(
        UsageError, match=r"keep must name groups of the model, got 'secnd' \(did you mean 'second'\?\)"
    ):
        cost.of_kept({"secnd": 1})


def test_an_evaluation_takes_less_than_a_millisecond():
    cost = CostModel.of(model_of(squeeze_excite))
    spent = []
    for _ in range(20):
        start = time.perf_counter()
        cost.of_kept({"body": [0, 1], "squeeze": 2})
        spent.append(time.perf_counter() - start)
    assert np.min(spent) < 0.001
