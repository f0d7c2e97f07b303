import numpy as np
import pytest

from tests.engines.technique_contract import TechniqueContract
from tests.engines.tiny_networks import BATCH, compile_, convolutional, dense, fit_, images, kernel, vectors
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.job import attach
from tfcompress.recipe import QAT

tf_keras = pytest.importorskip("tf_keras")
layers = tf_keras.layers


@pytest.mark.slow
class TestWholeModel(TechniqueContract):
    stages = (QAT(),)


def functional(*chain, shape=(8, 8, 4)):
    given = x = tf_keras.Input(shape)
    for layer in chain:
        x = layer(x)
    return tf_keras.Model(given, x)


def wrapped(job):
    graph = getattr(job.model, "tfcompress_graph", job.model)
    return {layer.layer.name for layer in graph.layers if type(layer).__name__ == "QuantizeWrapperV2"}


def test_all_layers_that_tfmot_refuses_are_named_at_once_with_a_way_out():
    model = functional(
        layers.Rescaling(2.0, name="scale"),
        layers.Conv2D(4, 3, name="conv"),
        layers.LayerNormalization(name="norm"),
        layers.Flatten(),
        layers.Dense(4, activation="elu", name="elu"),
    )
    words = r"qat cannot quantize 3 of 5 layers: .*norm \(LayerNormalization\).*; leave these layers out with qat.scope"
    with pytest.raises(UnsupportedError, match=words) as refusal:
        attach(model, QAT())
    assert "scale (Rescaling)" in str(refusal.value)
    assert "elu (Dense with activation elu)" in str(refusal.value)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (lambda: layers.ReLU(), "BatchNormalization after ReLU: it can only be folded into a convolution or Dense"),
        (lambda: layers.Conv2D(4, 1, activation="relu", name="c"), "BatchNormalization after the activation relu of c"),
    ],
)
def test_batch_norm_that_cannot_be_folded_is_refused(before, words):
    with pytest.raises(UnsupportedError, match=words):
        attach(functional(before(), layers.BatchNormalization(name="n")), QAT())


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Conv1D(4, 3, name="x"),
        lambda: layers.LSTM(4, name="x"),
        lambda: layers.Lambda(lambda x: x * 2, name="x"),
        lambda: layers.PReLU(name="x"),
    ],
)
def test_layers_outside_tfmots_registry_are_refused(layer):
    with pytest.raises(UnsupportedError, match=r"qat cannot quantize 1 of 1 layers: x \("):
        attach(functional(layer(), shape=(8, 4)), QAT())


def test_what_the_checks_let_through_and_tfmot_refuses_is_an_error_of_ours():
    model = functional(layers.SeparableConv1D(4, 3, padding="causal", name="x"), shape=(8, 4))
    with pytest.raises(UnsupportedError, match="tfmot cannot quantize this model: SeparableConv1D with causal padding"):
        attach(model, QAT())


def test_models_inside_the_model_are_refused_by_name():
    inner = dense(tf_keras)
    with pytest.raises(UnsupportedError, match=rf"qat cannot quantize models inside the model \({inner.name}\)"):
        attach(functional(inner, shape=(16,)), QAT())


def test_a_scope_takes_what_becomes_one_op_with_its_layers():
    job = attach(convolutional(tf_keras), QAT(scope=("first", "hidden")))
    assert wrapped(job) >= {"first", "first_norm", "first_relu", "hidden"}
    assert not wrapped(job) & {"second", "depthwise", "logits"}
    with pytest.raises(UsageError, match=r"qat.scope matches no layer: 'frist' \(did you mean 'first'\?\)"):
        attach(convolutional(tf_keras), QAT(scope=("frist",)))


@pytest.mark.slow
def test_a_scope_leaves_out_what_tfmot_would_refuse():
    given = tf_keras.Input((16,), name="vector")
    scaled = tf_keras.layers.Rescaling(0.5, name="scale")(given)
    model = tf_keras.Model(given, tf_keras.layers.Dense(3, name="logits")(scaled))
    job = attach(model, QAT(scope=("logits",)))
    fit_(tf_keras, job, vectors())
    inputs, _ = vectors()
    assert job.finish().predict(inputs, verbose=0) == pytest.approx(job.model.predict(inputs, verbose=0), abs=1e-6)
    assert wrapped(job) == {"logits"}


def test_finishing_without_training_is_refused():
    with pytest.raises(UsageError, match=r"qat must be trained before finish\(\): its ranges have seen no data"):
        attach(dense(tf_keras), QAT()).finish()


@pytest.mark.slow
def test_frozen_layers_stay_as_they_are(either_keras):
    model = dense(either_keras)
    model.layers[0].trainable = False
    job = attach(model, QAT())
    assert len(job.model.trainable_variables) == 2
    fit_(either_keras, job, vectors())
    finished = job.finish()
    assert np.array_equal(kernel(finished, "a"), kernel(model, "a"))
    assert not np.array_equal(kernel(finished, "b"), kernel(model, "b"))


@pytest.mark.slow
def test_statistics_of_a_layer_left_out_come_along(either_keras):
    normalization = either_keras.layers.Normalization(name="normalization")
    normalization.adapt(100 + 50 * vectors()[0])
    given = either_keras.Input((16,), name="vector")
    model = either_keras.Model(given, either_keras.layers.Dense(3, name="logits")(normalization(given)))
    job = attach(model, QAT(scope=("logits",)))
    inputs = 100 + 50 * vectors()[0]
    compile_(either_keras, job.model, learning_rate=0.0).fit(inputs, vectors()[1], batch_size=BATCH, verbose=0)
    expected = model.predict(inputs, verbose=0)
    for each in (job.model, job.finish()):
        # Extremes are clipped to the mean range of four batches; without its statistics everything would be off by 2.
        assert np.median(np.abs(each.predict(inputs, verbose=0) - expected)) < 0.05


@pytest.mark.slow
def test_ranges_are_those_of_the_data_after_a_few_steps():
    model = functional(layers.Dense(4, name="only"), shape=(16,))
    job = attach(model, QAT())
    inputs, labels = vectors()
    compile_(tf_keras, job.model, learning_rate=0.0)
    job.model.fit(inputs, labels, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    ranges = {
        w.name.rpartition("_")[2]: float(w.numpy()) for w in job.model.layers[2].weights if "post_activ" in w.name
    }
    outputs = model.predict(inputs, verbose=0).reshape(-1, BATCH * 4)
    assert ranges["min:0"] == pytest.approx(outputs.min(1).mean(), abs=0.05)  # tfmot: still near -5.99 after four steps
    assert ranges["max:0"] == pytest.approx(outputs.max(1).mean(), abs=0.05)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")  # tfmot's wrappers need that old format
def test_the_finished_model_is_one_that_tfmot_loads(tmp_path):
    from tfcompress.engines.tfmot.names import quantize_scope

    job = attach(convolutional(tf_keras), QAT())
    fit_(tf_keras, job, images())
    finished = job.finish()
    finished.save(str(tmp_path / "trained.h5"))
    with quantize_scope():
        again = tf_keras.models.load_model(str(tmp_path / "trained.h5"), compile=False)
    inputs, _ = images()
    assert np.array_equal(again.predict(inputs, verbose=0), finished.predict(inputs, verbose=0))
