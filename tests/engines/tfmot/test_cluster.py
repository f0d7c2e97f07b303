import numpy as np
import pytest

from tests.engines.technique_contract import TechniqueContract
from tests.engines.tiny_networks import convolutional, dense, fit_, kernel, vectors
from tfcompress.errors import UnsupportedError
from tfcompress.job import attach
from tfcompress.recipe import Cluster
from tfcompress.weights import kmeans
from tfcompress.weights.promises import distinct_values

tf_keras = pytest.importorskip("tf_keras")


@pytest.mark.slow
class TestWholeKernels(TechniqueContract):
    stages = (Cluster(clusters=5),)
    frozen = None


@pytest.mark.slow
class TestChannelsApart(TechniqueContract):
    stages = (Cluster(clusters=3, per_channel=True, init="linear"),)
    frozen = None


def test_channels_are_clustered_apart_in_convolutions_without_a_bias_too():
    job = attach(convolutional(tf_keras), Cluster(clusters=3, per_channel=True))
    finished = job.finish()
    assert distinct_values(kernel(finished, "second"), channel_axis=-1) == 3
    assert distinct_values(kernel(finished, "second")) == 3 * 8  # eight channels with three values each
    assert distinct_values(kernel(finished, "hidden")) == 3
    assert "cluster takes hidden whole: channels are clustered apart in Conv2D only" in job.notes


@pytest.mark.parametrize("init", ["kmeans++", "linear", "density", "random"])
def test_every_start_leaves_the_clusters_asked_for(init):
    finished = attach(dense(tf_keras), Cluster(clusters=4, init=init)).finish()
    assert [distinct_values(kernel(finished, name)) <= 4 for name in "ab"] == [True, True]


def test_centroids_start_where_k_means_ends_not_where_tfmot_places_them():
    weights = kernel(dense(tf_keras), "a")
    finished = kernel(attach(dense(tf_keras), Cluster(clusters=4, init="linear")).finish(), "a")
    placed = kmeans.snapped(weights, np.linspace(weights.min(), weights.max(), 4))
    assert ((weights - finished) ** 2).sum() < 0.9 * ((weights - placed) ** 2).sum()
    for value in np.unique(finished):
        assert value == pytest.approx(weights[finished == value].mean(), abs=1e-6)


def test_layers_of_few_weights_are_left_and_frozen_ones_refused():
    assert attach(dense(tf_keras), Cluster(clusters=30)).notes == [
        "cluster leaves b as it is: its 24 weights cannot hold more than 30 values"
    ]
    model = dense(tf_keras)
    model.layers[0].trainable = False
    with pytest.raises(UnsupportedError, match=r"cluster cannot work on a \(Dense: it is frozen.*scope = \['b'\]"):
        attach(model, Cluster(clusters=4))


def test_what_tfmot_cannot_cluster_is_refused_by_name():
    given = tf_keras.Input((4, 6))
    each = tf_keras.layers.TimeDistributed(tf_keras.layers.Dense(4), name="each")(given)
    with pytest.raises(UnsupportedError, match=r"each \(TimeDistributed: tfmot does not cluster TimeDistributed\)"):
        attach(tf_keras.Model(given, each), Cluster(clusters=4))


@pytest.mark.slow
def test_recurrent_and_attention_layers_are_clustered_kernel_by_kernel(either_keras):
    layers = either_keras.layers
    given = either_keras.Input((4, 6), name="steps")
    attended = layers.MultiHeadAttention(2, 3, name="attention")(given, given)
    both = layers.Bidirectional(layers.LSTM(5, name="lstm"), name="both")(attended)
    model = either_keras.Model(given, layers.Dense(3, name="logits")(both))
    job = attach(model, Cluster(clusters=4))
    inputs = np.random.default_rng(0).normal(size=(16, 4, 6)).astype("float32")
    fit_(either_keras, job, (inputs, np.arange(16) % 3))
    promises = job.promises()
    assert len({p.layer for p in promises}) == len(promises) == 4 + 4 + 1
    assert {p.got for p in promises} == {4}
    assert job.finish().predict(inputs, verbose=0) == pytest.approx(job.model.predict(inputs, verbose=0), abs=1e-5)


@pytest.mark.slow
def test_training_moves_the_centroids(either_keras):
    job = attach(dense(either_keras), Cluster(clusters=4))
    before = np.unique(kernel(job.finish(), "a"))
    fit_(either_keras, job, vectors())
    after = np.unique(kernel(job.finish(), "a"))
    assert after.size == before.size == 4
    assert not np.allclose(after, before)
