import pytest

from tests.engines.tiny_networks import CLASSES, IMAGE, fit_, images
from tfcompress.engines.momentum import Momentum, fitting
from tfcompress.job import attach
from tfcompress.recipe import QAT, Prune


@pytest.mark.parametrize(
    ("own", "total", "expected"),
    [(0.99, 400, 0.95), (0.99, 2000, 0.99), (0.99, 5000, 0.99), (0.99, 10, 0.9), (0.5, 10, 0.5)],
)
def test_the_memory_is_a_twentieth_of_the_training_or_the_layers_own(own, total, expected):
    assert fitting(own, total) == pytest.approx(expected)


def test_the_layers_own_momentum_is_given_back_even_after_an_error():
    class Norm:
        momentum, moving_mean = 0.99, None

    layer, other = Norm(), object()
    momentum = Momentum([layer, other])
    momentum.shorten_(100)
    assert layer.momentum == 0.9
    seen = []

    def fails():
        with momentum.given_back():
            seen.append(layer.momentum)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert (seen, layer.momentum) == ([0.99], 0.9)


def normalizing(keras):
    """Return a network with one BatchNormalization, as little as fit takes seconds to trace."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(IMAGE, name="image"),
            layers.Conv2D(4, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="act"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(CLASSES, name="logits"),
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("stages", [(Prune(),), (Prune(), QAT())], ids=["prune", "prune+qat"])
def test_pruning_shortens_it_in_training_and_not_in_the_finished_model(stages):
    import tf_keras

    def momenta(model):
        inner = [getattr(layer, "layer", layer) for layer in model.layers]
        return {layer.momentum for layer in inner if isinstance(layer, tf_keras.layers.BatchNormalization)}

    job = attach(normalizing(tf_keras), *stages)
    fit_(tf_keras, job, images())
    assert momenta(job.model) == {0.9}
    assert momenta(job.finish()) == {0.99}
    assert momenta(job.model) == {0.9}
