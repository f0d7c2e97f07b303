"""Biases that suit the kernels of a mixed file, by the means of what its ops sum up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tfcompress.recipe import Export
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.export import export
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.means import correct_
from tfcompress.tflite.mixed import on_four_bits
from tfcompress.tflite.mixing import Mixer
from tfcompress.tflite.sites import sites_of

Files = Callable[[Any, tuple[str, ...]], tuple[Mixer, bytes]]


@pytest.fixture
def files(converter: ConverterProcess) -> Files:
    def made(model: Any, correct: tuple[str, ...]) -> tuple[Mixer, bytes]:
        settings = Export(quantize="int8", calibration="minmax", correct=correct, packings=(), min_agreement_db=-100.0)
        options: Any = {"data": images(), "converter": converter, "progress": False}
        int8 = export(model, settings, **options).content
        in_float = export(model, Export(packings=()), **options).content
        sites, notes = sites_of(int8, in_float)
        assert notes == ()
        return Mixer(int8, sites, {site.number: on_four_bits(site, None) for site in sites}), int8

    return made


def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.5, 2.0, size=(80, 6, 6, 3)).astype(np.float32)  # far from a mean of zero


def network() -> Any:
    """Return a net with what has a mean over places and what has none, and biases and none."""
    import keras

    keras.utils.set_random_seed(5)
    layers = keras.layers
    body = [
        layers.Conv2D(8, 3, padding="same", strides=2, activation="relu", name="conv"),
        layers.DepthwiseConv2D(3, use_bias=False, name="depthwise"),
        layers.Conv2DTranspose(6, 2, strides=2, activation="relu", name="wider"),
        layers.Flatten(),
        layers.Dense(5, bias_initializer="ones", name="dense"),
    ]
    return keras.Sequential([keras.Input((6, 6, 3), name="image"), *body])


def means_of(model: Any, layer: str) -> np.ndarray:
    import keras

    found = keras.Model(model.inputs[0], model.get_layer(layer).output)(images())
    return np.asarray(found).reshape(-1, found.shape[-1]).mean(axis=0)


@pytest.mark.slow
def test_a_kernel_of_4_bits_leaves_the_means_of_the_outputs_to_its_bias(files: Files) -> None:
    model = network()
    mixer, int8 = files(model, ())
    last = mixer.sites[-1]
    expected = means_of(model, "dense")

    def off() -> float:
        content = mixer.mixed({last.number: "int4"}).content
        with InterpreterProcess(content) as process:
            found = next(iter(process.run({"image": images()}).values()))
        return float(np.abs(found.mean(axis=0) - expected).max())

    without = off()
    before = {number: weights.kernel for number, weights in mixer.four_bits.items()}
    correct_(mixer, int8, {"image": images()})
    assert off() < without / 3
    assert all(np.array_equal(mixer.four_bits[number].kernel, kernel) for number, kernel in before.items())
    assert mixer.incoming == {}  # nothing was corrected


@pytest.mark.slow
def test_what_a_corrected_bias_makes_good_is_of_its_own_kernel_or_comes_in(files: Files) -> None:
    """The first layer takes what the float model takes, but for rounding: next to nothing comes in there."""
    mixer, int8 = files(network(), ("bias",))
    correct_(mixer, int8, {"image": images()})
    first, dense = mixer.sites[0], mixer.sites[-1]
    assert first.number in mixer.incoming

    def moved(site: Any) -> float:
        return float(np.abs(site.stored.bias - site.exact.bias).max())

    assert np.abs(mixer.incoming[first.number]).max() < moved(first) / 2
    island = mixer.weights(dense, "float").bias
    assert island is not None
    assert np.array_equal(island, dense.exact.bias)  # where all else is in float, too, nothing comes in
    plain = mixer.weights(dense, "int8").bias
    assert plain is not None
    np.testing.assert_allclose(plain + mixer.incoming[dense.number], dense.stored.bias, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_the_sums_of_an_op_s_own_kernel_are_those_that_it_makes(files: Files) -> None:
    model = network()
    mixer, _ = files(model, ())
    content = mixer.with_sums({site.number: [site.exact.kernel] for site in mixer.sites})
    with InterpreterProcess(content) as process:
        name = process.model.inputs[0].name
        found = process.run({name: images()})
        means = [found[tensor.name].mean(axis=0).reshape(-1) for tensor in process.model.outputs]
    assert len(means) == len(mixer.sites) == 4
    exact = means_of(model, "dense") - np.asarray(model.get_layer("dense").bias)
    assert np.abs(means[-1] - exact).max() < 0.05 * np.abs(exact).max()
