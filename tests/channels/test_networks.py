import numpy as np
import pytest

from tests.channels.dead_channels import kill_
from tfcompress.channels.cost import CostModel
from tfcompress.channels.surgery import narrow
from tfcompress.models.profile import profile

keras = pytest.importorskip("keras")


def halved(cost):
    """Keep the same part of every group, so that half of the multiply-accumulates are left."""
    whole = cost.of_kept({}).macs
    free = [group for group in cost.analysis.groups if not group.pinned]
    parts = np.linspace(0.99, 0.01, 99)
    choices = ({g.name: list(range(max(1, round(g.channels * part)))) for g in free} for part in parts)
    return next(choice for choice in choices if cost.of_kept(choice).macs <= 0.5 * whole)


def liven_(model, rng):
    """Put numbers into scales and shifts: with fresh ones a deep network says the same to every image."""
    for variable in model.weights:
        if variable.path.endswith("gamma"):
            variable.assign(rng.uniform(0.8, 1.5, variable.shape))
        elif variable.path.endswith(("beta", "bias", "moving_mean")):
            variable.assign(rng.normal(0.0, 0.1, variable.shape))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "free"), [("MobileNetV2", 25), ("MobileNetV3Small", 27), ("ConvNeXtTiny", 18)])
def test_a_network_loses_half_its_work_and_nothing_that_was_alive(name, free):
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(
        input_shape=(32, 32, 3), weights=None, classes=4, classifier_activation=None
    )
    liven_(model, np.random.default_rng(1))
    cost = CostModel.of(model)
    assert sum(not group.pinned for group in cost.analysis.groups) == free
    keep = halved(cost)
    for group in cost.analysis.groups:
        if group.name in keep:
            kill_(group, range(len(keep[group.name]), group.channels))
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    smaller = narrow(model, keep)
    assert 0.45 < profile(smaller).macs / profile(model).macs <= 0.5
    assert profile(smaller).macs == cost.of_kept(keep).macs
    expected = np.asarray(model(image, training=False))
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(expected, smaller(image, training=False), rtol=1e-5, atol=1e-5)
