import numpy as np
import pytest

from tests.engines.technique_contract import TechniqueContract
from tests.engines.tiny_networks import convolutional, dense, fit_, images, kernel, vectors
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.job import attach
from tfcompress.recipe import QAT, Cluster, Prune
from tfcompress.weights.promises import distinct_values, sparsity

tf = pytest.importorskip("tensorflow")
tf_keras = pytest.importorskip("tf_keras")


@pytest.mark.slow
@pytest.mark.matrix  # TestAllTogether has these stages, too
class TestPruneAndQAT(TechniqueContract):
    stages = (Prune(sparsity=0.6), QAT())


@pytest.mark.slow
class TestTwoOfFourAndQAT(TechniqueContract):
    stages = (Prune(pattern="2:4", scope=("second", "hidden")), QAT())


@pytest.mark.slow
class TestClusterAndQAT(TechniqueContract):
    stages = (Cluster(clusters=5), QAT())
    frozen = None


@pytest.mark.slow
@pytest.mark.matrix  # TestAllTogether has these stages, too
class TestChannelsApartAndQAT(TechniqueContract):
    stages = (Cluster(clusters=3, per_channel=True), QAT())
    frozen = None


@pytest.mark.slow
class TestPruneAndCluster(TechniqueContract):
    stages = (Prune(sparsity=0.5), Cluster(clusters=5))
    frozen = None


@pytest.mark.slow
class TestAllTogether(TechniqueContract):
    stages = (Prune(sparsity=0.5), Cluster(clusters=5, per_channel=True), QAT())
    frozen = None


@pytest.mark.slow
class TestDifferentScopes(TechniqueContract):
    stages = (Prune(sparsity=0.5, scope=("second",)), Cluster(clusters=5, scope=("hidden",)), QAT())


def quantizer_of(job, name):
    layer = next(each for each in job.model.layers if each.name.endswith(f"_{name}"))
    return layer._weight_vars[0][1]


@pytest.mark.parametrize(("name", "per_channel"), [("second", False), ("second", True), ("hidden", True)])
def test_the_lookup_in_the_graph_finds_what_numpy_finds(name, per_channel):
    job = attach(convolutional(tf_keras), Cluster(clusters=4, per_channel=per_channel), QAT())
    cluster = quantizer_of(job, name).cluster
    looked_up = cluster(tf.convert_to_tensor(cluster.kernel)).numpy()
    assert np.array_equal(looked_up, cluster.current())
    assert distinct_values(looked_up, cluster.axis) == 4


def test_gradients_reach_the_centroids_summed_and_the_weights_unchanged():
    job = attach(dense(tf_keras), Cluster(clusters=4), QAT())
    cluster = quantizer_of(job, "a").cluster
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(cluster(tf.convert_to_tensor(cluster.kernel)) * 2.0)
    to_centroids, to_weights = tape.gradient(total, [cluster.centroids, cluster.kernel])
    members = [np.count_nonzero(cluster.current() == c) for c in cluster.centroids.numpy()]
    assert to_centroids.numpy() == pytest.approx(2.0 * np.array(members))
    assert np.array_equal(to_weights.numpy(), np.full((16, 8), 2.0))


def test_pruned_weights_are_zero_and_zero_is_one_of_the_values():
    job = attach(dense(tf_keras), Prune(sparsity=0.5), Cluster(clusters=4), epochs=1, steps_per_epoch=8)
    job.model(vectors()[0], training=True)
    finished = job.finish()
    for name in "ab":
        weights = kernel(finished, name)
        assert sparsity(weights) == 0.5
        assert distinct_values(weights) == 4
        assert 0 in weights


@pytest.mark.slow
def test_clusters_begin_among_the_remaining_weights_when_pruning_is_over(either_keras):
    seen = []

    class Watch(either_keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append([(p.what, p.kept) for p in job.promises() if p.layer == "a"])

    job = attach(dense(either_keras), Prune(sparsity=0.5, end_epoch=2), Cluster(clusters=4), QAT())
    fit_(either_keras, job, vectors(), epochs=3, callbacks=[Watch()])
    assert seen[0] == [("sparsity", False), ("distinct values", False)]
    assert seen[2] == [("sparsity", True), ("distinct values", True)]
    assert job.finish() is not None
    assert job.notes == []


def test_a_job_that_never_came_to_clustering_says_so():
    job = attach(dense(tf_keras), Prune(), Cluster(clusters=4), epochs=1, steps_per_epoch=4)
    job.finish()
    assert [note.partition(":")[0] for note in job.notes] == [
        "training stopped at step 0, before step 3 of the schedule",
        "no training was left after pruning to fit the clusters",
    ]


@pytest.mark.slow
def test_a_separable_convolution_is_pruned_in_its_pointwise_part(either_keras):
    layers = either_keras.layers
    given = either_keras.Input((8, 8, 4), name="image")
    x = layers.GlobalAveragePooling2D()(layers.SeparableConv2D(8, 3, name="separable")(given))
    job = attach(either_keras.Model(given, layers.Dense(3, name="logits")(x)), Prune(sparsity=0.75), QAT())
    fit_(either_keras, job, images())
    assert [(p.layer, p.got) for p in job.promises()] == [("separable", 0.75), ("logits", 0.75)]
    assert job.notes[0].startswith("prune leaves separable/depthwise_kernel as it is")


def test_layers_with_several_kernels_are_refused_when_stages_are_combined():
    given = tf_keras.Input((4, 6))
    model = tf_keras.Model(given, tf_keras.layers.GRU(5, name="gru")(given))
    with pytest.raises(UnsupportedError, match=r"several stages together cannot work on gru \(GRU\); choose other"):
        attach(model, Prune(), Cluster(clusters=4))


def test_a_layer_that_is_pruned_has_to_be_quantized_too():
    with pytest.raises(UnsupportedError, match=r"qat must quantize every layer that is pruned .* leaves out a; widen"):
        attach(dense(tf_keras), Prune(), QAT(scope=("b",)))


def test_two_values_are_too_few_when_zero_is_one_of_them():
    for cluster in (Cluster(clusters=2), Cluster(clusters=4, layers=("a=2",))):
        with pytest.raises(UsageError, match=r"cluster\.clusters must be at least 3 together with prune .* got 2"):
            attach(dense(tf_keras), Prune(), cluster)
