import numpy as np
import pytest

from tests.engines.tiny_networks import BATCH, EPOCHS, compile_, convolutional, images
from tfcompress.errors import UsageError
from tfcompress.models.bridge import to_keras2

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
pytest.importorskip("tf_keras")


@pytest.fixture(scope="module")
def pair():
    """Return a Keras 3 model and the facade over its tf_keras twin."""
    from tfcompress.engines.tfmot.carrier import carrier_model

    model = convolutional(keras)
    return model, carrier_model(to_keras2(model), model)


def several(structure):
    """Return a Keras 3 model of two inputs and two outputs, as dicts by name or as lists out of order."""
    left, right = keras.Input((4,), name="left"), keras.Input((2,), name="right")
    x = keras.layers.Concatenate(name="both")([left, right])
    outputs = keras.layers.Dense(3, name="zeta")(x), keras.layers.Dense(1, name="alpha")(x)
    if structure == "dict":
        return keras.Model({"left": left, "right": right}, {"zeta": outputs[0], "alpha": outputs[1]})
    return keras.Model([right, left], list(outputs))


def test_it_computes_what_the_graph_does_and_is_read_like_the_model(pair):
    model, front = pair
    inputs, _ = images()
    assert front.predict(inputs, verbose=0) == pytest.approx(model.predict(inputs, verbose=0), abs=1e-5)
    assert [t.name for t in front.inputs] == ["image"]
    assert front.output_names == ["logits"]
    assert front.output_shape == model.output_shape


def test_there_is_one_copy_of_every_weight(pair):
    _, front = pair
    graph = front.tfcompress_graph
    assert {id(v.value) for v in front.weights} == {id(w) for w in graph.weights}
    assert {id(v.value) for v in front.trainable_weights} == {id(w) for w in graph.trainable_weights}
    front.trainable_weights[0].assign(front.trainable_weights[0] * 2)
    assert np.array_equal(graph.trainable_weights[0].numpy(), front.trainable_weights[0].numpy())


@pytest.mark.slow
def test_fit_trains_weights_and_batch_norm_statistics(pair):
    _, front = pair
    before = {v.path: v.numpy() for v in front.weights}
    compile_(keras, front).fit(*images(), batch_size=BATCH, epochs=EPOCHS, verbose=0)
    still = [path for path, value in before.items() if np.array_equal(value, front_value(front, path))]
    assert still == []
    assert front.jit_compile is False


def front_value(front, path):
    return next(v.numpy() for v in front.weights if v.path == path)


def test_the_training_flag_reaches_dropout_and_batch_norm(pair):
    _, front = pair
    inputs, _ = images()
    calm = [np.asarray(front(inputs, training=False)) for _ in range(2)]
    assert np.array_equal(*calm)
    assert not np.allclose(np.asarray(front(inputs, training=True)), calm[0], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["dict", "list"])
def test_several_inputs_and_outputs_go_by_name(structure):
    from tfcompress.engines.tfmot.carrier import carrier_model

    model = several(structure)
    front = carrier_model(to_keras2(model), model)
    generator = np.random.default_rng(0)
    left, right = generator.normal(size=(16, 4)), generator.normal(size=(16, 2))
    inputs = {"left": left, "right": right} if structure == "dict" else [right, left]
    expected, got = model.predict(inputs, verbose=0), front.predict(inputs, verbose=0)
    keras.tree.assert_same_structure(expected, got)
    for a, b in zip(keras.tree.flatten(expected), keras.tree.flatten(got), strict=True):
        assert b == pytest.approx(a, abs=1e-5)
    front.compile(optimizer="sgd", loss={"zeta": "mse", "alpha": "mae"})
    labels = {"zeta": generator.normal(size=(16, 3)), "alpha": generator.normal(size=(16, 1))}
    losses = front.fit(inputs, labels if structure == "dict" else list(labels.values()), verbose=0).history
    assert np.isfinite(losses["loss"]).all()


@pytest.mark.slow
def test_a_loop_of_ones_own_over_tf_data_trains_it():
    from tfcompress.engines.tfmot.carrier import carrier_model

    model = convolutional(keras)
    front = carrier_model(to_keras2(model), model)
    optimizer, loss_of = keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(inputs, labels):
        with tf.GradientTape() as tape:
            loss = loss_of(labels, front(inputs, training=True))
        gradients = tape.gradient(loss, front.trainable_variables)
        optimizer.apply(gradients, front.trainable_variables)
        return loss

    data = tf.data.Dataset.from_tensor_slices(images()).batch(BATCH)
    course = [np.mean([float(step(*batch)) for batch in data]) for _ in range(6)]
    assert course[-1] < 0.8 * course[0]


def test_losses_of_regularizers_are_added():
    from tfcompress.engines.tfmot.carrier import carrier_model

    given = keras.Input((4,), name="vector")
    model = keras.Model(given, keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.5), name="d")(given))
    front = carrier_model(to_keras2(model), model)
    front(np.ones((2, 4), "float32"), training=True)
    assert float(sum(front.losses)) == pytest.approx(0.5 * (model.get_weights()[0] ** 2).sum(), rel=1e-5)


def test_weights_are_saved_and_come_back_and_the_whole_is_refused(pair, tmp_path):
    from tfcompress.engines.tfmot.carrier import carrier_model

    model, front = pair
    front.save_weights(tmp_path / "kept.weights.h5")
    other = carrier_model(to_keras2(model), model)
    other.load_weights(tmp_path / "kept.weights.h5")
    inputs, _ = images()
    assert np.array_equal(other.predict(inputs, verbose=0), front.predict(inputs, verbose=0))
    with pytest.raises(UsageError, match=r"cannot be saved or cloned as a whole: job.finish\(\) gives a plain one"):
        front.save(tmp_path / "whole.keras")


def test_an_output_called_like_an_input_gets_a_name_of_its_own():
    from tfcompress.engines.tfmot.carrier import carrier_model

    given = keras.Input((4,), name="vector")
    model = keras.Model(given, [keras.layers.Dense(3, name="d")(given), given])
    assert carrier_model(to_keras2(model), model).output_names == ["d", "vector_output"]
