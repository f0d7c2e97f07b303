import subprocess
import sys

import numpy as np
import pytest

from tests.engines.technique_contract import TechniqueContract
from tests.engines.tiny_networks import compile_, convolutional, dense, fit_, images, kernel, vectors
from tfcompress.distillation.teacher import own_teacher
from tfcompress.engines import native as native_engine
from tfcompress.engines.native import open_session
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.job import attach
from tfcompress.models.copies import model_copy
from tfcompress.models.keras_private import all_layers
from tfcompress.models.samples import Samples
from tfcompress.models.transformed_layer import TransformedLayer
from tfcompress.quantization.fake_quant import FakeQuant
from tfcompress.recipe import QAT, Cluster, Distill, Prune
from tfcompress.weights.promises import distinct_values, sparsity

keras = pytest.importorskip("keras")
layers = keras.layers


@pytest.fixture(scope="module")
def either_keras():
    """Let the contracts of this module run in Keras 3 alone: the other engine has not what they ask for."""
    return keras


@pytest.mark.slow
class TestMovementUnderOneThreshold(TechniqueContract):
    stages = (Prune(sparsity=0.6, criterion="movement", threshold="global"),)
    frozen = None


@pytest.mark.slow
class TestEverythingAtOnce(TechniqueContract):
    stages = (Prune(sparsity=0.6), Cluster(clusters=8), Distill(), QAT())
    frozen = None


def ranges(model):
    return [layer for layer in all_layers(model) if isinstance(layer, FakeQuant) and layer.fixed is None]


def test_it_is_an_engine():
    assert (native_engine.NAME, native_engine.KERAS) == ("native", "keras3")


def test_two_clusters_leave_no_room_for_zero():
    with pytest.raises(UsageError, match=r"cluster\.clusters must be at least 3 together with prune .*, got 2"):
        open_session(dense(keras), [Prune(), Cluster(clusters=2)], seed=0)


@pytest.mark.parametrize("stages", [(Prune(),), (Cluster(clusters=4),), (QAT(),)])
def test_a_model_that_stages_are_at_work_on_is_refused(stages):
    work = open_session(dense(keras), stages, seed=0)
    with pytest.raises(UnsupportedError, match=r"holds stages of another job; attach all stages together"):
        open_session(work.model, [Prune()], seed=0)


def test_quantization_that_was_never_trained_is_refused():
    with pytest.raises(UsageError, match=r"qat must be trained before finish\(\): its ranges have seen no data"):
        attach(dense(keras), QAT()).finish()
    with pytest.raises(
        UsageError, match=r"qat must be trained before finish\(\): it has seen the samples, and no step"
    ):
        attach(dense(keras), QAT(), samples=vectors()[0]).finish()


def test_another_teacher_can_be_given():
    model, teacher = dense(keras), dense(keras, seed=2)
    (x, y), loss = vectors(), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    losses = []
    for other in (None, teacher):
        work = open_session(
            model, [Distill(weight=1.0)], seed=0, teachers=[own_teacher(other)] if other is not None else ()
        )
        work.model.compile(loss=loss)
        losses.append(float(work.model.compute_loss(x, y, work.model(x))))
    assert losses[0] == pytest.approx(0, abs=1e-5)
    assert losses[1] > 0.1


def test_samples_set_the_first_ranges():
    inputs, _ = vectors()
    model = attach(dense(keras), QAT(), samples=inputs).model
    first = ranges(model)[0]
    assert float(first.low) == pytest.approx(inputs.min())
    assert float(first.high) == pytest.approx(inputs.max())


def test_four_bits_begin_with_rounded_weights_and_learn_where_their_grids_end():
    model, (inputs, labels) = convolutional(keras), images()
    work = open_session(model, [QAT(weight_bits=4)], seed=0, samples=Samples({"image": inputs}))
    assert "qat begins with weights that are rounded to 4 bits towards the float model's outputs" in work.notes
    wrappers = {layer.name: layer for layer in all_layers(work.model) if isinstance(layer, TransformedLayer)}
    rounding = {name: wrapper.transforms["kernel"][-1] for name, wrapper in wrappers.items()}
    ends = {name: np.array(transform.end) for name, transform in rounding.items() if transform.end is not None}
    assert set(rounding) - set(ends) == {"depthwise"}  # it keeps 8 bits
    for name in ends:
        kernel = np.asarray(wrappers[name].layer.kernel)
        np.testing.assert_allclose(wrappers[name].final("kernel"), kernel, atol=1e-5)
        assert not np.array_equal(kernel, np.asarray(model.get_layer(name.removesuffix("_inner")).kernel))
    compile_(keras, work.model)
    work.model.fit(inputs, labels, epochs=1, verbose=0)
    assert all(not np.array_equal(end, np.asarray(rounding[name].end)) for name, end in ends.items())


def test_ranges_stand_still_for_the_last_part_of_the_training():
    work = open_session(dense(keras), [QAT(freeze=0.25)], seed=0)
    work.plan_(epochs=2, steps_per_epoch=4)
    frozen = []
    for _ in range(8):
        work.after_step_()
        frozen.append([float(layer.frozen) for layer in ranges(work.model)])
    assert [set(each) for each in frozen] == [{0.0}] * 5 + [{1.0}] * 3  # after 6 of 8 steps


@pytest.mark.parametrize(("share", "expected"), [(0.0, [0.0] * 8), (0.5, [0.0] * 3 + [1.0] * 5)])
def test_statistics_stand_still_where_that_is_asked_for(share, expected):
    given = keras.Input((6, 6, 2))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(2, 3)(given))
    work = open_session(keras.Model(given, layers.Flatten()(x)), [QAT(freeze_statistics=share)], seed=0)
    work.plan_(epochs=2, steps_per_epoch=4)
    frozen = []
    for _ in range(8):
        work.after_step_()
        frozen.append(float(work.model.get_layer("norm").frozen))
    assert frozen == expected


def test_kernels_of_layers_that_quantization_takes_apart_are_found_again():
    given = keras.Input((6, 8), name="steps")
    x = layers.MultiHeadAttention(2, 4, name="attention")(given, given)
    x = layers.SeparableConv1D(8, 3, name="both")(x)
    x = layers.LSTM(4, name="lstm")(x)
    model = keras.Model(given, layers.Dense(3, name="logits")(x))
    work = open_session(model, [Prune(sparsity=0.5), Cluster(clusters=8), QAT()], seed=0)
    assert sorted(p.elements for p in work.promises() if p.what == "sparsity") == sorted(
        [64] * 5 + [8 * 16, 4 * 16, 12]
    )
    assert len([p for p in work.promises() if p.what == "distinct values"]) == 8


def test_numbers_of_values_are_those_of_the_layer_that_was_named_and_not_of_one_with_a_longer_name():
    given = keras.Input((6, 8), name="steps")
    x = layers.MultiHeadAttention(2, 4, name="attention")(given, given)
    x = layers.MultiHeadAttention(2, 4, name="attention_1")(x, x)
    model = keras.Model(given, layers.Dense(8, name="attention_2")(x))
    counts = {"attention": 4, "attention_1": 8, "attention_2": 16}
    named = tuple(f"{name}={count}" for name, count in counts.items())
    for more in ((), (QAT(),)):
        work = open_session(model, [Cluster(clusters=32, layers=named, per_channel=False), *more], seed=0)
        assert [p.asked for p in work.promises()] == [4] * 4 + [8] * 4 + [16]
    only = open_session(model, [Cluster(clusters=4, layers=("attention=3",), scope=("attention",)), QAT()], seed=0)
    assert [p.asked for p in only.promises()] == [3] * 4


def test_a_custom_layer_in_the_model_is_refused_together_with_quantization_where_it_is_to_be_clustered():
    class Own(layers.Dense):
        pass

    given = keras.Input((16,))
    model = keras.Model(given, layers.Dense(3, name="logits")(Own(8, name="own")(given)))
    with pytest.raises(UnsupportedError, match=r"cluster does not find own again; narrow cluster\.scope"):
        open_session(model, [Cluster(clusters=4), QAT()], seed=0)


def test_the_momentum_of_batch_normalization_is_shortened_and_given_back():
    model = convolutional(keras)
    work = open_session(model, [Prune()], seed=0)
    work.plan_(epochs=1, steps_per_epoch=400)
    assert work.model.get_layer("first_norm").momentum == pytest.approx(0.95)  # 1 - 20 / 400
    finished, _ = work.finish()
    assert finished.get_layer("first_norm").momentum == 0.99


@pytest.fixture(scope="module")
def trained():
    job = attach(convolutional(keras), Prune(sparsity=0.75), Cluster(clusters=8), QAT(), Distill(temperature=2.0))
    fit_(keras, job, images(), epochs=3)
    return job, job.finish()


@pytest.mark.slow
def test_all_stages_in_one_fit_keep_all_promises(trained):
    job, finished = trained
    for name in ("first", "second", "hidden", "logits"):
        weights = kernel(finished, name)
        assert sparsity(weights) >= 0.75
        assert distinct_values(weights) <= 8
    assert {p.what for p in job.promises()} == {"sparsity", "distinct values"}
    assert all(p.kept for p in job.promises())


@pytest.mark.slow
def test_the_finished_model_loads_in_a_new_process_and_computes_the_same(trained, tmp_path):
    _, finished = trained
    finished.save(tmp_path / "model.keras")
    inputs, _ = images()
    np.save(tmp_path / "inputs.npy", inputs)
    code = (
        "import sys, keras, numpy as np, tfcompress.layers\n"
        "model = keras.saving.load_model(sys.argv[1] + '/model.keras')\n"
        "np.save(sys.argv[1] + '/outputs.npy', model.predict(np.load(sys.argv[1] + '/inputs.npy'), verbose=0))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert np.array_equal(np.load(tmp_path / "outputs.npy"), finished.predict(inputs, verbose=0))


@pytest.mark.slow
def test_a_finished_quantized_model_trains_on(trained):
    _, finished = trained
    before = kernel(finished, "hidden").copy()
    again = model_copy(finished)
    losses = compile_(keras, again).fit(*images(), verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert not np.array_equal(kernel(again, "hidden"), before)


@pytest.mark.slow
def test_clusters_follow_their_weights_through_training():
    job = attach(dense(keras), Cluster(clusters=4))
    [lookup] = next(layer for layer in job.model.layers if isinstance(layer, TransformedLayer)).transforms["kernel"]
    before = np.sort(lookup.centroids)
    fit_(keras, job, vectors(), epochs=4)
    after = np.sort(lookup.centroids)
    assert np.abs(before - after).max() > 1e-4
    assert np.array_equal(np.unique(kernel(job.finish(), "a")), after)
