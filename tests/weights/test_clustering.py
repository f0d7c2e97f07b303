import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.tiny_networks import convolutional, dense
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.models.copies import layers_with_kernels
from tfcompress.quantization.weight_fake_quant import WeightFakeQuant
from tfcompress.recipe import Cluster
from tfcompress.weights.clustering import Clustering, clusterable, kernels_to_cluster
from tfcompress.weights.code_book import ClusterLookup
from tfcompress.weights.kmeans import snapped
from tfcompress.weights.promises import distinct_values

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

RISING = np.array([-1.0, 0.5, 2.0], np.float32)


def kernel(shape=(3, 3, 4, 6), seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def lookup(**options):
    made = ClusterLookup(3, **options)
    made.start_(np.tile(RISING, (options["channels"], 1)) if options.get("channels") else RISING)
    return made


def test_every_weight_becomes_its_nearest_centroid_in_the_graph_as_in_numpy():
    made = lookup()
    assert np.array_equal(made(kernel()), snapped(kernel(), RISING))
    assert np.array_equal(made.final(kernel()), snapped(kernel(), RISING))


@pytest.mark.parametrize("axis", [-1, -2])
def test_channels_have_centroids_of_their_own(axis):
    made = ClusterLookup(3, channels=kernel().shape[axis], axis=axis)
    made.start_(made.placed(kernel(), "kmeans++", 0))
    clustered = np.asarray(made(kernel()))
    assert distinct_values(clustered, axis) == 3
    assert distinct_values(clustered) > 3
    assert np.array_equal(clustered, made.final(kernel()))


def test_until_the_centroids_are_placed_a_kernel_passes_as_it_is():
    made = ClusterLookup(3)
    assert np.array_equal(made(kernel()), kernel())
    assert np.array_equal(made.final(kernel()), kernel())


def test_zero_stays_zero_beside_the_centroids_where_it_is_kept():
    weights = np.where(np.abs(kernel()) < 0.7, 0, kernel())
    clustered = np.asarray(lookup(keep_zeros=True)(weights))
    assert np.array_equal(clustered == 0, weights == 0)
    assert distinct_values(clustered) == 4
    assert np.array_equal(clustered, lookup(keep_zeros=True).final(weights))


def test_the_gradient_goes_to_the_weight_and_summed_to_its_centroid():
    made = lookup()
    weights = keras.Variable(np.array([-1.2, -0.9, 0.4, 3.0], np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(made(weights) * [1.0, 2.0, 4.0, 8.0])
    of_weights, of_centroids = tape.gradient(loss, [weights.value, made.centroids.value])
    assert of_weights.numpy().tolist() == [1, 2, 4, 8]
    assert of_centroids.numpy().tolist() == [1 + 2, 4, 8]


def test_a_lookup_is_the_same_after_it_was_written_down():
    made = ClusterLookup(4, channels=6, axis=-1, keep_zeros=True, name="conv_clusters")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert again.get_config() == made.get_config()
    assert again.centroids.shape == (6, 4)


def test_depthwise_and_small_kernels_are_left_and_that_is_said():
    chosen = kernels_to_cluster(Cluster(clusters=30, per_channel=True), layers_with_kernels(convolutional(keras)))
    assert list(chosen.layers) == ["first", "hidden", "logits"]
    assert chosen.notes == [
        "cluster leaves depthwise as it is: the kernel of DepthwiseConv2D holds a filter for each channel",
        "cluster leaves second as it is: its 8 weights cannot hold more than 30 values",
        "cluster takes hidden whole: channels are clustered apart in convolutions only",
        "cluster takes logits whole: channels are clustered apart in convolutions only",
    ]


def test_frozen_layers_are_refused_by_name():
    model = dense(keras)
    model.get_layer("a").trainable = False
    with pytest.raises(UnsupportedError, match=r"cluster cannot work on a \(Dense: it is frozen, .*scope = \['b'\]"):
        kernels_to_cluster(Cluster(clusters=4), layers_with_kernels(model))


def test_layers_may_hold_different_numbers_of_values():
    model = convolutional(keras)
    stage = Cluster(clusters=8, per_channel=True, layers=("first=4", "*den=3"))
    chosen = kernels_to_cluster(stage, layers_with_kernels(model))
    work = Clustering(stage, [s for path, layer in chosen.layers.items() for s in clusterable(path, layer)], (), seed=0)
    assert {p.layer: (p.asked, p.got) for p in work.promises(work.current())} == {
        "first": (4, 4),
        "hidden": (3, 3),
        "logits": (8, 8),
    }


def test_a_layer_that_is_not_there_is_refused_with_the_nearest_name():
    stage = Cluster(layers=("frist=4",))
    with pytest.raises(
        UsageError, match=r"cluster.layers matches no layer with a kernel: 'frist' \(did you mean 'first'"
    ):
        kernels_to_cluster(stage, layers_with_kernels(convolutional(keras)))


@given(st.integers(0, 2**16), st.integers(2, 20), st.sampled_from(["kmeans", "power_of_two"]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_int8_rounding_behind_a_lookup_leaves_no_more_values_than_asked(seed, count, scheme, pruned):
    weights = kernel(seed=seed)
    weights[np.abs(weights) < 0.5] *= 0 if pruned else 1
    made = ClusterLookup(max(count, 3), channels=6, keep_zeros=pruned, scheme=scheme)
    made.start_(made.placed(weights, "exact", 0) * np.float32(1.1))  # as training moves them
    rounding = WeightFakeQuant(axes=(3,))
    clustered = made.final(weights)
    codes = np.rint(rounding.final(clustered) / rounding.scale(clustered))
    assert distinct_values(codes, -1) <= max(count, 3) + (pruned and scheme == "kmeans")
    assert not pruned or (codes[weights == 0] == 0).all()


def test_pruned_kernels_wait_and_count_zero_among_their_values():
    model = dense(keras)
    slots = [slot for path, layer in layers_with_kernels(model).items() for slot in clusterable(path, layer)]
    stage = Cluster(clusters=4)
    work = Clustering(stage, slots, {id(slots[0].variable)}, seed=0)
    assert work.waiting
    assert [lookup.clusters for lookup in work.lookups] == [3, 4]
    assert [float(lookup.active) for lookup in work.lookups] == [0, 1]
    values = {id(slots[0].variable): np.where(np.abs(model.get_weights()[0]) < 0.2, 0, model.get_weights()[0])}
    final = work.final(values)
    assert [p.got for p in work.promises(final)] == [4, 4]
    assert float(work.lookups[0].active) == 0
    work.start_()
    assert not work.waiting
    assert [p.kept for p in work.promises(work.current())] == [True, True]
