import dataclasses

import numpy as np
import pytest

from tests.engines.tiny_networks import convolutional, dense, images
from tfcompress.errors import DataError, InfeasibleError, UnsupportedError, UsageError
from tfcompress.models.samples import Samples
from tfcompress.recipe import QAT, Cluster, Export, Prune
from tfcompress.stages.decisions import FileRest, PlanningContext, plan_stages
from tfcompress.weights.code_book_plan import agreement_db, divergence

keras = pytest.importorskip("keras")

TABLES = Export(quantize="int8", lookup=True)
PACKAGE = Export(quantize="int8", optimize_for="download")
REST = 1000


@pytest.fixture(scope="module")
def network():
    return convolutional(keras)


@pytest.fixture(scope="module")
def samples():
    return Samples({"image": images()[0]})


def planned(network, stage, beside=(), **context):
    (found, *_), notes = plan_stages(network, (stage, *beside), PlanningContext(**context))
    return found, notes


def told_bytes(notes):
    return int(notes[-1].rpartition("about ")[2].removesuffix(" bytes").replace(",", ""))


def test_what_nothing_is_left_open_of_is_given_back(network):
    stages = (Cluster(clusters=4, per_channel=True), QAT())
    assert plan_stages(network, stages, PlanningContext()) == (stages, ())


@pytest.mark.parametrize(
    ("export", "per_channel", "words"),
    [
        (TABLES, True, "one code book a channel: look-up tables have one for each"),
        (
            Export(quantize="int8", target="ethos-u55-128"),
            False,
            "one code book a kernel: the compiler for 'ethos-u55-128'",
        ),
    ],
)
def test_the_target_decides_where_it_knows(network, export, per_channel, words):
    found, (note,) = planned(network, Cluster(clusters=4), export=export)
    assert found == Cluster(clusters=4, per_channel=per_channel)
    assert words in note


def test_else_both_ways_are_measured_and_told(samples):
    uneven = convolutional(keras)
    kernel, gamma = uneven.get_layer("first").kernel, uneven.get_layer("first_norm").gamma
    kernel.assign(np.asarray(kernel) * 4.0 ** -np.arange(8))  # what four values for all channels do not tell
    gamma.assign(4.0 ** np.arange(8))
    found, (note,) = planned(uneven, Cluster(clusters=4), samples=samples, export=Export(quantize="int8"))
    assert found.per_channel is True
    assert "one a channel:" in note
    assert "one a kernel:" in note
    assert note.endswith("takes one a channel")
    assert note.count("dB of the outputs") == 2


def test_without_samples_weights_are_compared(network):
    assert planned(network, Cluster(clusters=4))[1][0].count("dB of the weights") == 2


def test_dense_kernels_have_one_code_book_whatever_is_measured():
    found, notes = planned(dense(keras), Cluster(clusters=4))
    assert found.per_channel is False
    assert notes == ()


def test_outputs_that_are_infinite_are_compared_where_they_are_not(samples):
    given = keras.Input((8, 8, 4), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(given))
    masked = keras.Model(given, keras.ops.log(keras.ops.relu(pooled)))
    inputs = Samples({"image": np.random.default_rng(0).normal(size=(8, 8, 8, 4)).astype(np.float32)})
    assert not np.isfinite(masked(inputs.inputs["image"])).all()
    found, (note,) = planned(masked, Cluster(clusters=4), samples=inputs)
    assert found.per_channel is not None
    assert "nan" not in note
    with np.errstate(invalid="raise"):
        one = {"y": np.array([[-np.inf, 1.0]])}
        assert agreement_db(one, {"y": np.array([[-np.inf, 1.1]])}) == pytest.approx(20)
        assert agreement_db(one, {"y": np.array([[-np.inf, -np.inf]])}) == -120
        assert divergence(one, one) == 0


def test_a_model_without_a_graph_of_layers_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UnsupportedError, match="stages need its graph of layers"):
        planned(Own(), Cluster(clusters=4))


def test_a_layer_inside_another_model_has_a_number_of_its_own_beside_one_of_its_name(samples):
    inner = keras.Sequential([keras.Input((8, 8, 4)), keras.layers.Conv2D(8, 3, name="conv")], name="inner")
    given = keras.Input((8, 8, 4), name="image")
    nested = keras.Model(given, inner(keras.layers.Conv2D(4, 3, padding="same", name="conv")(given)))
    inputs = Samples({"image": np.random.default_rng(0).normal(size=(8, 8, 8, 4)).astype(np.float32)})
    stage = Cluster(clusters=8, per_channel=True, budget="1200B")
    context = {"samples": inputs, "export": PACKAGE, "measure_file": lambda *_: FileRest(REST, 4 * REST)}
    found, (note,) = planned(nested, stage, **context)
    told = dict(each.split("=") for each in note.partition("values: ")[2].partition(";")[0].split(", "))
    assert set(told) == {"conv", "inner/conv"}
    assert {path: str(found.count_of(path)) for path in told} == told
    assert found.layers[0].startswith("inner/")


@pytest.mark.parametrize("export", [TABLES, PACKAGE])
def test_a_budget_is_kept_and_what_more_of_it_buys_is_never_worse(network, samples, export):
    costs, before = [], network.get_weights()
    for size in (1420, 1500):
        stage = Cluster(clusters=8, per_channel=True, budget=f"{size}B")
        found, notes = planned(
            network, stage, samples=samples, export=export, measure_file=lambda *_: FileRest(REST, 4 * REST)
        )
        assert told_bytes(notes) <= size
        assert found.budget == ""
        assert not found.undecided
        assert [name for name, _ in found.counts] == ["first", "second", "hidden", "logits"]
        costs.append(sum(count for _, count in found.counts))
        if export is TABLES:
            assert {count for _, count in found.counts} <= {2, 4, 8}
    assert costs == sorted(costs)
    assert all(np.array_equal(one, other) for one, other in zip(before, network.get_weights(), strict=True))


def test_the_rest_of_the_file_is_asked_for_by_the_kernels_that_are_clustered(network, samples):
    asked = []

    def rest(_, sizes):
        asked.append(dict(sizes))
        return FileRest(REST, 4 * REST)

    planned(
        network, Cluster(clusters=4, per_channel=True, budget="2KB"), samples=samples, export=TABLES, measure_file=rest
    )
    assert asked == [{3 * 3 * 4 * 8: 1, 8 * 8: 1, 8 * 16: 1, 16 * 3: 1}]


def test_pruned_layers_and_powers_of_two_get_no_fewer_than_three(network, samples):
    context = {"samples": samples, "export": PACKAGE, "measure_file": lambda *_: FileRest(REST, 4 * REST)}
    stage = Cluster(clusters=4, per_channel=True, budget="1130B")
    assert planned(network, stage, **context)[0].fewest == 2
    stage = dataclasses.replace(stage, budget="0.2925x")  # of 4,000 bytes
    assert planned(network, stage, (Prune(sparsity=0.5),), **context)[0].fewest == 3
    assert planned(network, dataclasses.replace(stage, scheme="power_of_two"), **context)[0].fewest == 3


def test_budgets_that_cannot_be_kept_are_refused_in_a_line(network, samples):
    stage = Cluster(clusters=4, per_channel=True, budget="1001B")
    with pytest.raises(
        InfeasibleError, match=r"cluster.budget must be at least 1,\d\d\d bytes for this model, got '1001B'"
    ):
        planned(network, stage, samples=samples, export=TABLES, measure_file=lambda *_: FileRest(REST, 4 * REST))
    with pytest.raises(DataError, match="what layers cost on samples"):
        planned(network, stage, export=TABLES, measure_file=lambda *_: FileRest(REST, 4 * REST))
    with pytest.raises(UsageError, match="which attach does not know"):
        planned(network, stage, samples=samples)


def test_probabilities_diverge_by_kullback_leibler_and_numbers_by_their_variance():
    even = {"p": np.full((4, 2), 0.5)}
    assert divergence(even, even) == 0
    assert divergence(even, {"p": np.tile([0.25, 0.75], (4, 1))}) == pytest.approx(
        0.5 * np.log(2) + 0.5 * np.log(2 / 3)
    )
    numbers = np.array([[0.0], [2.0], [4.0], [6.0]])
    assert divergence({"y": numbers}, {"y": numbers + 1}) == pytest.approx(1 / 5)  # the variance of 0, 2, 4, 6 is 5
    assert agreement_db({"y": numbers}, {"y": numbers * 1.1}) == pytest.approx(20)
    assert agreement_db({"y": numbers}, {"y": numbers}) == 120
