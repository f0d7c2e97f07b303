"""tfcompress.techniques.qat: steps, rules, ranges, transform."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engines.tiny_networks import convolutional, dense, images
from tfcompress.errors import ModelError, UnsupportedError, UsageError
from tfcompress.models.transformed_layer import TransformedLayer
from tfcompress.quantization.calibration import calibrate_, freeze_ranges_, freeze_statistics_
from tfcompress.quantization.fake_quant import FakeQuant
from tfcompress.quantization.transform import quantize
from tfcompress.quantization.weight_fake_quant import WeightFakeQuant
from tfcompress.recipe import QAT

keras = pytest.importorskip("keras")
L = keras.layers


def model_of(shape, build, **options):
    keras.utils.set_random_seed(0)
    given = keras.Input(shape, name="x", **options)
    return keras.Model(given, build(given))


def rounded_after(model):
    """Return the names of the layers whose outputs are rounded, in the order of the graph."""
    return [
        layer._inbound_nodes[0].input_tensors[0]._keras_history.operation.name
        for layer in model.layers
        if isinstance(layer, FakeQuant)
    ]


def scales(model, layer):
    """Return the fake quantization layers that an op's inputs come from."""
    return [t._keras_history.operation for t in model.get_layer(layer)._inbound_nodes[0].input_tensors]


def test_nothing_is_rounded_between_convolution_normalization_and_relu():
    model = quantize(convolutional(keras), QAT()).model
    names = ["image", "first_relu", "depthwise_relu", "second_norm", "sum_relu", "pool", "hidden", "logits_inner"]
    assert rounded_after(model) == names


def test_the_given_model_is_only_read():
    model = convolutional(keras)
    before, config = [w.copy() for w in model.get_weights()], model.get_config()
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    made = quantize(model, QAT()).model
    made.set_weights([w + 1 for w in made.get_weights()])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert model.get_config() == config
    assert nodes == [len(layer._inbound_nodes) for layer in model.layers]


def test_a_calibrated_model_is_near_the_float_model():
    model, (x, _) = convolutional(keras), images()
    made = quantize(model, QAT()).model
    calibrate_(made, {"image": x})
    expected = model.predict(x, verbose=0)
    noise = made.predict(x, verbose=0) - expected
    assert 10 * np.log10(np.mean(expected**2) / np.mean(noise**2)) > 25


def test_calibrating_again_starts_anew():
    made, (x, _) = quantize(convolutional(keras), QAT()).model, images()
    calibrate_(made, {"image": 10 * x})
    calibrate_(made, {"image": x})
    layer = made.get_layer("image_range0")
    assert (float(layer.low), float(layer.high)) == (x.min(), x.max())


def test_frozen_ranges_and_statistics_stand_still_in_training():
    made, (x, y) = quantize(convolutional(keras), QAT()).model, images()
    calibrate_(made, {"image": x})
    freeze_ranges_(made)
    freeze_statistics_(made)
    kept = {
        w.path: np.asarray(w) for w in made.non_trainable_weights if w.path.endswith(("low", "high", "moving_mean"))
    }
    made.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    made.fit(x, y, batch_size=8, verbose=0)
    now = {w.path: np.asarray(w) for w in made.non_trainable_weights}
    for path, value in kept.items():
        np.testing.assert_allclose(now[path], value, rtol=1e-6, err_msg=path)


def test_outputs_keep_their_names_and_structure():
    given = {"a": keras.Input((4,), name="a"), "b": keras.Input((4,), name="b")}
    left = L.Dense(2, name="left")(given["a"])
    right = L.Dense(3, activation="softmax", name="right")(L.Add(name="sum")([given["a"], given["b"]]))
    made = quantize(keras.Model(given, {"left": left, "right": right}), QAT()).model
    assert sorted(made.output_names) == ["left", "right"]
    found = made({"a": np.ones((2, 4), np.float32), "b": np.ones((2, 4), np.float32)})
    assert {name: value.shape for name, value in found.items()} == {"left": (2, 2), "right": (2, 3)}


def test_what_is_joined_shares_one_scale():
    def build(x):
        parts = [L.Conv2D(2, 1, activation="relu", name=name)(x) for name in "ab"]
        return L.Conv2D(2, 1, name="c")(L.MaxPooling2D(name="pool")(L.Concatenate(name="joined")(parts)))

    made = quantize(model_of((4, 4, 2), build), QAT()).model
    first, second = scales(made, "joined")
    assert first is second
    assert rounded_after(made) == ["x", "a", "c_inner"]  # the one layer is called after a and b; pooling moves values


def test_ranges_begin_at_zero_where_all_that_they_hold_comes_from_relus():
    def build(x):
        first, second = (L.Conv2D(2, 1, activation=kind, name=kind)(x) for kind in ("relu", "relu6"))
        other = L.Conv2D(2, 1, name="linear")(x)
        pooled = L.AveragePooling2D(2, name="pool")(L.Concatenate(name="positive")([first, second]))
        third = L.Conv2D(2, 1, activation="relu", name="third")(x)
        mixed = L.AveragePooling2D(2, name="mean")(L.Concatenate(name="mixed")([other, third]))
        return L.Concatenate(name="end")([L.Conv2D(2, 1, name="a")(pooled), L.Conv2D(2, 1, name="b")(mixed)])

    made = quantize(model_of((4, 4, 2), build), QAT()).model
    assert [layer.nonnegative for layer in scales(made, "positive")] == [True, True]
    assert [layer.nonnegative for layer in scales(made, "mixed")] == [False, False]
    learnt = quantize(model_of((4, 4, 2), build), QAT(learn_ranges=True)).model
    assert not any(layer.nonnegative for layer in scales(learnt, "positive"))


def test_the_same_done_twice_to_one_tensor_has_one_range():
    def build(x):
        x = L.Conv2D(2, 1)(x)
        first, second = L.Activation("swish", name="a")(x), L.Activation("swish", name="b")(x)
        return L.Add(name="sum")([L.Conv2D(2, 1, name="c")(first), L.Conv2D(2, 1, name="d")(second)])

    made = quantize(model_of((4, 4, 2), build), QAT()).model
    (first,), (second,) = scales(made, "c"), scales(made, "d")
    assert first is second


def test_equal_relus_on_one_tensor_are_one_and_done_by_the_op_before():
    def build(x):
        x = L.BatchNormalization(name="norm")(L.Conv2D(2, 1, name="conv")(x))
        relus = [L.Activation("relu", name="a")(x), L.ReLU(name="b")(x), keras.ops.relu(x)]
        return L.Add(name="sum")([L.Conv2D(2, 1, name=f"c{i}")(y) for i, y in enumerate(relus)])

    made = quantize(model_of((4, 4, 2), build), QAT()).model
    assert "norm" not in rounded_after(made)
    (first,), (second,), (third,) = (scales(made, f"c{i}") for i in range(3))
    assert first is second is third

    def differ(x):
        x = L.Conv2D(2, 1, name="conv")(x)
        return L.Add()([L.ReLU(name="a")(x), L.ReLU(6.0, name="b")(x)])

    made = quantize(model_of((4, 4, 2), differ), QAT()).model
    assert {"conv", "a", "b"} <= set(rounded_after(made))


def test_a_mean_of_one_value_keeps_its_scale_since_the_converter_drops_it():
    def build(x):
        small = L.Conv2D(2, 4, name="small")(x)
        squeeze = L.GlobalAveragePooling2D(keepdims=True, name="squeeze")
        line = L.Reshape((1, 2), name="line")(squeeze(small))
        mean = L.GlobalAveragePooling1D(name="average")(line)
        raw = keras.ops.mean(line, axis=1)
        ends = [L.Dense(2, name="a")(mean), L.Dense(2, name="b")(raw), L.Dense(2, name="c")(squeeze(x))]
        return L.Dense(1, name="end")(L.Concatenate(name="joined")([ends[0], ends[1], L.Flatten()(ends[2])]))

    model = model_of((4, 4, 2), build)
    made = quantize(model, QAT()).model
    assert sorted(rounded_after(made)) == ["c", "end_inner", "small", "squeeze", "x"]
    values = np.random.default_rng(0).normal(size=(5, 4, 4, 2)).astype(np.float32)
    calibrate_(made, {"x": values})
    np.testing.assert_allclose(made.predict(values, verbose=0), model.predict(values, verbose=0), atol=0.1)


def test_average_pooling_rounds_to_the_scale_of_its_input():
    made = quantize(model_of((4, 4, 2), lambda x: L.Conv2D(2, 1)(L.AveragePooling2D(2, name="pool")(x))), QAT()).model
    layer = made.get_layer("x_range0")
    assert len(layer._inbound_nodes) == 2


def test_a_fixed_range_is_rounded_once_more_where_it_meets_another():
    def build(x):
        gate, value = L.Dense(3, activation="sigmoid", name="gate")(x), L.Dense(3, name="value")(x)
        return L.Dense(2)(L.Concatenate(name="joined")([gate, value]))

    made = quantize(model_of((4,), build), QAT()).model
    first, second = scales(made, "joined")
    assert first is second
    assert first.fixed is None
    before = [t._keras_history.operation for node in first._inbound_nodes for t in node.input_tensors]
    (between,) = (layer for layer in before if isinstance(layer, L.LeakyReLU))  # an op, for the converter to rescale in
    (gate,) = scales(made, between.name)
    assert gate.fixed == (0.0, 255 / 256)


def test_softmax_is_split_off_its_layer_and_the_logits_are_rounded():
    made = quantize(model_of((4,), lambda x: L.Dense(3, activation="softmax", name="scores")(x)), QAT()).model
    ranges = [layer for layer in made.layers if isinstance(layer, FakeQuant)]
    assert [layer.fixed for layer in ranges] == [None, None, (0.0, 255 / 256)]


def test_shared_layers_stay_shared_and_nested_models_are_taken_apart():
    inner = keras.Sequential([keras.Input((4,)), L.Dense(4, activation="relu", name="twice")], name="inner")
    quantized = quantize(model_of((4,), lambda x: L.Dense(2, name="end")(inner(inner(x)))), QAT())
    assert list(quantized.kernels) == ["inner/twice/kernel", "end/kernel"]
    wrapped = [layer for layer in quantized.model.layers if isinstance(layer, TransformedLayer)]
    assert [len(layer._inbound_nodes) for layer in wrapped] == [2, 1]


def test_raw_operations_are_rounded_too():
    made = quantize(model_of((4,), lambda x: L.Dense(2)(keras.ops.relu(x * 2.0 + x))), QAT()).model
    assert len(rounded_after(made)) == 4  # the input, the product, the sum with its relu, the end


def test_a_normalization_that_follows_no_convolution_becomes_one():
    def build(x):
        x = L.ReLU(name="relu")(L.BatchNormalization(name="norm")(L.MaxPooling2D(name="pool")(x)))
        return L.Conv2D(2, 1, name="end")(x)

    quantized = quantize(model_of((4, 4, 2), build), QAT())
    assert "norm_identity/kernel" in quantized.kernels
    assert rounded_after(quantized.model) == ["x", "relu", "end_inner"]


def test_further_transforms_come_before_rounding_and_only_where_they_were_asked_for():
    class Halved(WeightFakeQuant):
        def call(self, weights, training=None):
            return weights / 2

    extra = Halved(name="halved")
    quantized = quantize(dense(keras), QAT(), extra={"b": [extra]})
    chain = quantized.model.get_layer("b_inner").transforms["kernel"]
    assert [type(t) for t in chain] == [Halved, WeightFakeQuant]
    assert quantized.kernels["b/kernel"].transforms == [extra]
    assert quantized.kernels["a/kernel"].transforms == []


def test_layers_outside_the_scope_are_not_rounded():
    model = quantize(dense(keras), QAT(scope=("b",))).model
    assert not isinstance(model.get_layer("a"), TransformedLayer)
    assert rounded_after(model) == ["vector", "b_inner"]


def test_bits_are_those_of_the_stage():
    model = quantize(dense(keras), QAT(weight_bits=4, learn_ranges=True)).model
    assert model.get_layer("a").transforms["kernel"][0].bits == 4
    assert model.get_layer("vector_range0").learn


def test_what_stays_in_float_is_named_with_the_reason():
    quantized = quantize(model_of((4,), lambda x: L.Dense(2)(keras.ops.square(x))), QAT())
    assert any("(Square) in float: TFLite has no int8 SQUARE" in note for note in quantized.notes)


def test_a_loop_that_is_written_out_is_named_with_its_steps():
    notes = quantize(model_of((5, 2), lambda x: L.Dense(2)(L.GRU(3, name="loop")(x))), QAT()).notes
    assert any(note.startswith("qat writes loop (GRU) out as 5 steps: the converter has no 8-bit") for note in notes)


@pytest.mark.parametrize(
    "layer",
    [
        L.GRU(3),
        L.GRU(3, reset_after=False, activation="relu"),
        L.LSTM(3),
        L.LSTM(3, recurrent_activation="hard_sigmoid"),
        L.SimpleRNN(3, activation="elu"),
        L.Bidirectional(L.GRU(2)),
    ],
    ids=lambda layer: layer.name,
)
def test_a_layer_that_is_written_out_has_as_many_scales_whatever_its_steps(layer):
    """As a loop would have: one for what each part of a step makes."""
    counts = set()
    for steps in (4, 7):
        copy = layer.from_config(layer.get_config())
        model = quantize(model_of((steps, 2), lambda x, copy=copy: L.Dense(2)(copy(x))), QAT()).model
        counts.add(sum(isinstance(each, FakeQuant) for each in model.layers))
    assert len(counts) == 1


def test_parts_of_a_step_that_do_different_things_have_their_own_scales():
    model = quantize(model_of((4, 2), lambda x: L.Dense(2)(L.LSTM(3, name="lstm")(x))), QAT()).model
    products = {"lstm_fresh", "lstm_kept", "lstm_shown"}
    grids = [layer for layer in model.layers if isinstance(layer, FakeQuant)]
    makers = {
        tuple(node.input_tensors[0]._keras_history.operation.name for node in layer._inbound_nodes) for layer in grids
    }
    assert {names[0] for names in makers if set(names) <= products} == products


@pytest.mark.slow
def test_mixed_precision_and_a_compiled_step_keep_working():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model, (x, y) = convolutional(keras), images()
    finally:
        keras.config.set_dtype_policy("float32")
    made = quantize(model, QAT()).model
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile("adam", loss, jit_compile=True)
    history = made.fit(x, y, epochs=2, batch_size=16, verbose=0).history["loss"]
    assert np.isfinite(history).all()


def test_a_scope_that_matches_nothing_is_refused():
    with pytest.raises(UsageError, match=r"qat\.scope matches no layer with a kernel: 'c'"):
        quantize(dense(keras), QAT(scope=("c",)))


def test_a_model_without_kernels_is_refused():
    with pytest.raises(UnsupportedError, match=r"qat finds nothing to work on in model .*: no layer has a kernel"):
        quantize(model_of((4,), lambda x: L.ReLU()(x)), QAT())


def test_a_model_that_was_never_built_is_refused():
    with pytest.raises(ModelError, match="was never built, its shapes are unknown; call it once on a sample"):
        quantize(keras.Sequential([L.Dense(2)]), QAT())


def test_a_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UnsupportedError, match=r"is subclassed \(Own\): stages need its graph of layers"):
        quantize(Own(), QAT())
