import keras
import numpy as np
import pytest
from channel_models import TOPOLOGIES, WHOLE_MODELS, model_of, samples_for
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers

from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.models.channels.cost import CostModel
from tfcompress.models.channels.dead import kill_
from tfcompress.models.channels.groups import groups
from tfcompress.models.channels.surgery import narrow
from tfcompress.models.profile import profile

BUILDERS = [*(pytest.param(lambda t=t: model_of(t), id=t.__name__) for t in TOPOLOGIES), *WHOLE_MODELS]


def outputs_of(model):
    return [np.asarray(t) for t in keras.tree.flatten(model(samples_for(model), training=False))]


def free_groups(model):
    return [group for group in groups(model) if not group.pinned and group.channels > 1]


def choose(group, rng):
    """Some channels of a group, at least one kept and one removed."""
    return np.sort(rng.choice(group.channels, rng.integers(1, group.channels), replace=False)).tolist()


def kill_the_rest_(group, kept):
    kill_(group, np.setdiff1d(np.arange(group.channels), kept).tolist())


def keep_some_of_everything(model, rng):
    """Kill channels in every group that can shrink; a layer that would be emptied by two groups keeps its own."""
    keep = {}
    for group in free_groups(model):
        chosen = choose(group, rng)
        if group.name == "body" and model.name == "split_channels":
            chosen = sorted({*chosen, 1, 4, 6})  # every piece of the split keeps a channel
        keep[group.name] = chosen
        kill_the_rest_(group, chosen)
    return keep


@pytest.mark.parametrize("build", BUILDERS)
def test_without_exactly_dead_channels_the_outputs_are_the_same(build, tmp_path):
    model = build()
    before = model.count_params()
    keep = keep_some_of_everything(model, np.random.default_rng(3))
    assert keep
    assert not any(group.emits for group in free_groups(model))
    reckoned = CostModel.of(model).of_kept(keep)
    expected = outputs_of(model)
    smaller = narrow(model, keep)
    assert model.count_params() == before
    assert smaller.count_params() == reckoned.parameters < before
    assert profile(smaller).macs == reckoned.macs
    for one, other in zip(expected, outputs_of(smaller), strict=True):
        assert np.ptp(one) > 0.001  # not a model that says the same to everything
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
