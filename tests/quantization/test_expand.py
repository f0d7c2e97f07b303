"""Expansions: composite layers rewritten into simpler ones compute the same."""

from __future__ import annotations

import inspect
from typing import Any

import keras  # noqa: TID253
import numpy as np
import pytest

from tfcompress.errors import UnsupportedError
from tfcompress.quantization.expand import expansion, obstacle, standalone
from tfcompress.quantization.transform import quantize
from tfcompress.recipe import QAT

GATED = {"use_gate": True} if "use_gate" in inspect.signature(keras.layers.MultiHeadAttention).parameters else {}
"""The newest argument of attention, where this Keras has it."""

L = keras.layers

SEQUENCE, IMAGE, VECTOR, VOLUME = (6, 4), (6, 5, 8), (8,), (5, 6, 4, 2)


def _mha(**options: Any) -> Any:
    return L.MultiHeadAttention(num_heads=2, key_dim=3, **options)


CASES: list[tuple[Any, list[tuple[int, ...]]]] = [
    (lambda: L.SeparableConv2D(6, 3, padding="same", activation="swish"), [IMAGE]),
    (lambda: L.SeparableConv2D(6, (3, 2), strides=2, depth_multiplier=2, use_bias=False), [IMAGE]),
    (lambda: L.SeparableConv2D(6, 2, dilation_rate=2), [IMAGE]),
    (lambda: L.SeparableConv1D(5, 3, padding="same", strides=2), [SEQUENCE]),
    (lambda: L.SeparableConv1D(5, 3, dilation_rate=2, activation="relu"), [SEQUENCE]),
    (lambda: L.EinsumDense("abc,cde->abde", output_shape=(None, 3, 5), bias_axes="de"), [SEQUENCE]),
    (lambda: L.EinsumDense("abcd,cde->abe", output_shape=(None, 5), activation="silu"), [IMAGE]),
    (lambda: L.EinsumDense("...x,xy->...y", output_shape=7, bias_axes="y"), [SEQUENCE]),
    (lambda: L.Dot(axes=1), [VECTOR, VECTOR]),
    (lambda: L.Dot(axes=-1, normalize=True), [VECTOR, VECTOR]),
    (lambda: L.Dot(axes=(2, 1)), [(6, 4), (4, 3)]),
    (lambda: L.Dot(axes=(1, 1)), [(6, 4), (6, 3)]),
    (lambda: L.Dot(axes=(2, 1)), [(6, 4), (4,)]),
    (lambda: L.LayerNormalization(), [SEQUENCE]),
    (lambda: L.LayerNormalization(epsilon=0.1, scale=False), [IMAGE]),
    (lambda: L.LayerNormalization(axis=(1, 2), center=False, scale=False), [IMAGE]),
    (lambda: L.RMSNormalization(), [SEQUENCE]),
    (lambda: L.UnitNormalization(), [SEQUENCE]),
    (lambda: L.UnitNormalization(axis=(1, 2)), [SEQUENCE]),
    (lambda: L.GroupNormalization(groups=4), [IMAGE]),
    (lambda: L.GroupNormalization(groups=-1, scale=False), [IMAGE]),
    (lambda: L.GroupNormalization(groups=1, center=False), [SEQUENCE]),
    (lambda: L.Rescaling(1 / 127.5, offset=-1), [IMAGE]),
    (lambda: L.Rescaling([2.0, 0.5, 1.0, 3.0]), [SEQUENCE]),
    (lambda: L.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 4.0, 9.0, 0.5]), [SEQUENCE]),
    (lambda: L.Normalization(axis=None, mean=2.0, variance=3.0, invert=True), [VECTOR]),
    (lambda: L.Conv2D(4, 3, activation="gelu"), [IMAGE]),
    (lambda: L.Conv1D(4, 3, activation="softmax"), [SEQUENCE]),
    (lambda: L.DepthwiseConv2D(3, activation="hard_swish"), [IMAGE]),
    (lambda: L.Conv2DTranspose(3, 2, strides=2, activation="sigmoid"), [IMAGE]),
    (lambda: L.Dense(5, activation=L.LeakyReLU(0.1)), [VECTOR]),
    (lambda: L.Dense(5, activation="swish"), [SEQUENCE]),
    (lambda: L.Activation("silu"), [VECTOR]),
    (lambda: L.Activation("hard_sigmoid"), [VECTOR]),
    (lambda: L.Activation("selu"), [VECTOR]),
    (lambda: L.Activation("softplus"), [VECTOR]),
    (lambda: L.Activation("mish"), [VECTOR]),
    (lambda: L.Activation("tanh_shrink"), [VECTOR]),
    (lambda: L.Activation("elu"), [VECTOR]),
    (lambda: L.Activation("celu"), [VECTOR]),
    (lambda: L.Activation("softsign"), [VECTOR]),
    (lambda: L.Activation("leaky_relu"), [VECTOR]),
    (lambda: L.Add(), [VECTOR, VECTOR, VECTOR]),
    (lambda: L.Multiply(), [VECTOR, VECTOR, VECTOR]),
    (lambda: L.Average(), [IMAGE, IMAGE]),
    (lambda: L.Activation("log_sigmoid"), [VECTOR]),
    (lambda: L.ReLU(max_value=1.0, negative_slope=0.1), [VECTOR]),
    (lambda: L.Conv3D(3, 2, activation="swish"), [VOLUME]),
    (lambda: L.Conv3D(3, (3, 2, 1), strides=(2, 1, 2), padding="same", use_bias=False), [VOLUME]),
    (lambda: L.Conv3D(3, (2, 2, 1), dilation_rate=(2, 1, 1)), [VOLUME]),
    (lambda: L.Conv3D(3, (1, 2, 2), padding="same"), [VOLUME]),
    (lambda: L.MaxPooling3D(2), [VOLUME]),
    (lambda: L.AveragePooling3D((2, 1, 2)), [VOLUME]),
    (lambda: L.ELU(alpha=0.3), [VECTOR]),
    (lambda: _mha(), [SEQUENCE, SEQUENCE]),
    (lambda: _mha(value_dim=5, dropout=0.5, output_shape=7, use_bias=False), [SEQUENCE, (3, 2)]),
    (lambda: _mha(output_shape=(2, 3), **GATED), [SEQUENCE, (3, 2), (3, 5)]),
    (lambda: _mha(), [IMAGE, IMAGE]),
    (lambda: L.LSTM(3), [SEQUENCE]),
    (lambda: L.LSTM(3, return_sequences=True, go_backwards=True, dropout=0.3), [SEQUENCE]),
    (lambda: L.LSTM(3, return_state=True, use_bias=False, activation="relu"), [SEQUENCE]),
    (lambda: L.GRU(3, return_sequences=True), [SEQUENCE]),
    (lambda: L.GRU(3, reset_after=False, return_state=True), [SEQUENCE]),
    (lambda: L.GRU(3, use_bias=False, recurrent_activation="hard_sigmoid"), [SEQUENCE]),
    (lambda: L.SimpleRNN(3, return_sequences=True), [SEQUENCE]),
    (lambda: L.RNN(L.LSTMCell(3)), [SEQUENCE]),
    (lambda: L.Bidirectional(L.LSTM(3, return_sequences=True)), [SEQUENCE]),
    (lambda: L.Bidirectional(L.GRU(3), merge_mode="sum"), [SEQUENCE]),
    (lambda: L.Bidirectional(L.LSTM(3, return_state=True), merge_mode="ave"), [SEQUENCE]),
    (lambda: L.Bidirectional(L.SimpleRNN(3, return_sequences=True), merge_mode=None), [SEQUENCE]),
    (lambda: L.UpSampling1D(3), [SEQUENCE]),
    (lambda: L.UpSampling2D((2, 3)), [IMAGE]),
    (lambda: L.TimeDistributed(L.Dense(3, activation="swish")), [SEQUENCE]),
    (lambda: L.TimeDistributed(L.Conv2D(3, 2)), [(3, 5, 4, 2)]),
    (lambda: L.TimeDistributed(L.LayerNormalization()), [IMAGE]),
]


MERGES = (L.Dot, L.Add, L.Multiply, L.Average)
"""Layers that take a list."""


def _built(make: Any, shapes: list[tuple[int, ...]], seed: int = 0) -> tuple[Any, list[Any], Any]:
    """Return a layer with random weights, the inputs it was called on, and its outputs."""
    layer, inputs = make(), [keras.Input(shape) for shape in shapes]
    outputs = layer(inputs) if isinstance(layer, MERGES) else layer(*inputs)
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.uniform(0.2, 1, w.shape) * rng.choice([-1, 1], w.shape) for w in layer.get_weights()])
    return layer, inputs, outputs


def _given(function: Any) -> Any:
    assert function is not None
    return function


def _expansion(layer: Any) -> Any:
    return _given(expansion(layer))


def _flat(outputs: Any) -> list[np.ndarray]:
    return [np.asarray(t) for t in keras.tree.flatten(outputs)]


def _applied(function: Any, layer: Any, inputs: list[Any]) -> Any:
    return function(inputs) if isinstance(layer, MERGES) else function(*inputs)


@pytest.mark.parametrize(("make", "shapes"), CASES)
def test_an_expansion_computes_what_the_layer_does(make: Any, shapes: list[tuple[int, ...]]) -> None:
    layer, inputs, outputs = _built(make, shapes)
    expanded = keras.Model(inputs, _applied(_expansion(layer), layer, inputs))
    assert layer not in expanded.layers
    rng = np.random.default_rng(1)
    data = [rng.normal(size=(3, *shape)).astype("float32") for shape in shapes]
    expected, actual = _flat(keras.Model(inputs, outputs)(data)), _flat(expanded(data))
    assert [t.shape for t in actual] == [t.shape for t in expected]
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("make", "shapes"), CASES)
def test_an_expansion_has_its_own_weights_and_trains_as_many(make: Any, shapes: list[tuple[int, ...]]) -> None:
    layer, inputs, _ = _built(make, shapes)
    expanded = keras.Model(inputs, _applied(_expansion(layer), layer, inputs))
    ours = {id(variable) for variable in expanded.variables}
    assert not ours & {id(variable) for variable in layer.variables}
    count = sum(np.prod(v.shape) for v in expanded.trainable_variables)
    # a missing scale is a fixed one beside the offset that is there
    extra = 8 if isinstance(layer, L.LayerNormalization) and layer.center and not layer.scale else 0
    extra = 8 if isinstance(layer, L.GroupNormalization) and not layer.scale else extra
    assert count == sum(np.prod(v.shape) for v in layer.trainable_variables) + extra


def test_everything_inside_is_named_after_the_layer() -> None:
    inputs = keras.Input(SEQUENCE)
    layer = L.Bidirectional(L.GRU(2), name="both")
    layer(inputs)
    expanded = keras.Model(inputs, _expansion(layer)(inputs))
    names = [operation.name for operation in expanded.operations[1:]]
    assert len(names) == len(set(names))
    assert all(name.startswith("both_") for name in names)


def test_what_remains_of_a_layer_without_its_activation_keeps_its_name() -> None:
    layer, inputs, _ = _built(lambda: L.Dense(3, activation="swish", name="head"), [VECTOR])
    names = [step.name for step in keras.Model(inputs, _expansion(layer)(*inputs)).layers[1:]]
    assert names == ["head", "head_activation_sigmoid", "head_activation_multiply"]


@pytest.mark.parametrize("name", ["linear", "relu", "relu6"])
def test_an_activation_that_fuses_stays_in_its_layer(name: str) -> None:
    assert expansion(_built(lambda: L.Dense(3, activation=name), [VECTOR])[0]) is None


def test_repetition_of_a_fixed_size_is_one_operation() -> None:
    image = keras.Input(IMAGE)
    operations = keras.Function(image, _expansion(L.UpSampling2D(2))(image)).operations
    assert [type(op).__name__ for op in operations if type(op).__name__ != "InputLayer"] == ["Resize"]
    assert expansion(L.UpSampling2D(2, interpolation="bilinear")) is None
    free = keras.Input((None, 4, 2))
    assert _expansion(L.UpSampling2D(2))(free).shape == (None, None, 8, 2)


def test_the_first_state_of_a_gru_is_zero_on_the_scale_of_its_inputs() -> None:
    layer, inputs, _ = _built(lambda: L.GRU(3), [SEQUENCE])
    kinds = [type(op).__name__ for op in keras.Function(inputs, _expansion(layer)(*inputs)).operations]
    assert "ZerosLike" not in kinds  # a constant of zeros would have a scale of next to nothing
    assert kinds.count("Pad") == 1


def test_a_sum_of_two_stays_one_layer() -> None:
    layer, _, _ = _built(lambda: L.Add(), [VECTOR, VECTOR])
    assert expansion(layer) is None


def test_a_mask_that_is_not_there_may_be_said() -> None:
    layer, inputs, _ = _built(lambda: L.TimeDistributed(L.Dense(2)), [SEQUENCE])
    assert _expansion(layer)(*inputs, mask=None).shape == (None, 6, 2)


def test_a_shared_layer_stays_shared() -> None:
    layer, inputs, _ = _built(lambda: L.LayerNormalization(name="norm"), [SEQUENCE])
    apply = _expansion(layer)
    once = keras.Model(inputs, apply(*inputs))
    twice = keras.Model(inputs, apply(apply(*inputs)))
    assert len(twice.trainable_variables) == len(once.trainable_variables) == 2


def test_frozen_layers_expand_into_frozen_ones() -> None:
    layer, inputs, _ = _built(lambda: L.LSTM(2), [SEQUENCE])
    layer.trainable = False
    assert keras.Model(inputs, _expansion(layer)(*inputs)).trainable_variables == []


def test_dropout_inside_attention_still_drops() -> None:
    layer, inputs, _ = _built(lambda: _mha(dropout=0.9), [SEQUENCE, SEQUENCE])
    model = keras.Model(inputs, _expansion(layer)(*inputs))
    data = [np.ones((2, *SEQUENCE), "float32")] * 2
    assert np.abs(model(data, training=True) - model(data, training=False)).max() > 1e-3


def test_attention_scores_come_out_where_they_are_asked_for() -> None:
    layer, inputs, _ = _built(_mha, [SEQUENCE, SEQUENCE])
    data = [np.random.default_rng(0).normal(size=(2, *SEQUENCE)).astype("float32")] * 2
    expected = layer(*data, return_attention_scores=True)
    ours = keras.Model(inputs, _expansion(layer)(*inputs, return_attention_scores=True))(data)
    for mine, theirs in zip(_flat(ours), _flat(expected), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_attention_with_a_mask_stays_whole() -> None:
    layer, inputs, _ = _built(_mha, [SEQUENCE, SEQUENCE])
    model = keras.Model(inputs, _expansion(layer)(*inputs, use_causal_mask=True))
    assert [operation for operation in model.operations if operation is layer]


PADDED = np.array([[3, 1, 2, 5, 0, 0], [0, 0, 4, 0, 2, 1], [0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6]])


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.LSTM(3),
        lambda: L.GRU(3, return_sequences=True),
        lambda: L.GRU(3, reset_after=False, go_backwards=True),
        lambda: L.SimpleRNN(3, return_sequences=True),
        lambda: L.LSTM(3, return_sequences=True, zero_output_for_mask=True),
        lambda: L.Bidirectional(L.LSTM(3)),
        lambda: L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="sum"),
    ],
)
def test_a_masked_recurrent_layer_is_written_out_and_passes_padding_over(make: Any) -> None:
    inputs = keras.Input((6,), dtype="int32")
    embedded = L.Embedding(10, 4, mask_zero=True)(inputs)
    layer = make()
    expected = keras.Model(inputs, layer(embedded))
    made = keras.Model(inputs, _given(expansion(layer))(embedded))
    assert layer not in made.layers
    assert np.allclose(made(PADDED), expected(PADDED), atol=1e-6)


@pytest.mark.parametrize("make", [lambda: L.LSTM(3), lambda: L.Bidirectional(L.GRU(3))])
def test_an_initial_state_is_where_the_written_out_steps_begin(make: Any) -> None:
    layer, steps = make(), keras.Input(SEQUENCE)
    layer(steps)
    states = [keras.Input((3,)) for _ in range(2)]
    given = [np.random.default_rng(0).normal(size=(2, *SEQUENCE)), *np.random.default_rng(1).normal(size=(2, 2, 3))]
    expected, made = (
        keras.Model([steps, *states], call(steps, initial_state=states)) for call in (layer, _given(expansion(layer)))
    )
    assert np.allclose(made(given), expected(given), atol=1e-6)


def test_masking_by_zero_is_told_from_the_numbers_that_are_rounded() -> None:
    keras.utils.set_random_seed(0)
    expected = keras.Sequential([keras.Input((4, 2)), L.Masking(), L.LSTM(3)])
    made = quantize(expected, QAT()).model
    x = np.array([[[1.0, -2.0], [0.0, 0.5], [0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [3.0, 1.0]]])
    unmasked = keras.Sequential([keras.Input((4, 2)), expected.layers[1]])
    assert np.allclose(made(x), expected(x), atol=0.02)  # kernels are rounded
    assert not np.allclose(unmasked(x), expected(x), atol=0.05)


def test_masking_by_a_value_that_8_bits_do_not_hold_is_refused_before_any_training() -> None:
    model = keras.Sequential([keras.Input((4, 2)), L.Masking(-1.0, name="padding"), L.LSTM(3)])
    with pytest.raises(UnsupportedError, match=r"'padding' marks padding by the value -1, .* pad with zeros"):
        quantize(model, QAT())


@pytest.mark.parametrize("make", [lambda: L.LSTM(3), lambda: L.Bidirectional(L.LSTM(3)), lambda: L.ConvLSTM1D(2, 2)])
def test_a_loop_that_cannot_be_written_out_is_refused_before_any_training(make: Any) -> None:
    layer = make()
    shape = (70, 5, 2) if "Conv" in type(layer).__name__ else (70, 2)
    model = keras.Sequential([keras.Input(shape), layer, L.Flatten(), L.Dense(2)])
    with pytest.raises(
        UnsupportedError, match=r"cannot be written out, .* no 8-bit form of a loop; quantize 'dynamic'"
    ):
        quantize(model, QAT())


@pytest.mark.parametrize(
    ("make", "shape", "reason"),
    [
        (lambda: L.LSTM(2), (65, 4), "its sequences have 65 steps; up to 64 are taken"),
        (lambda: L.GRU(2), (None, 4), "its sequences have no fixed length; up to 64 are taken"),
        (lambda: L.LSTM(2, recurrent_dropout=0.1), SEQUENCE, "it has recurrent dropout"),
        (lambda: L.RNN(L.StackedRNNCells([L.LSTMCell(2)])), SEQUENCE, "its cell StackedRNNCells is not one of"),
        (lambda: L.Bidirectional(L.LSTM(2)), (65, 4), "its sequences have 65 steps"),
        (lambda: L.Conv3D(2, 2, groups=2), VOLUME, "it has 2 groups"),
        (lambda: L.MaxPooling3D(2, strides=1), VOLUME, "its windows overlap along the depth"),
        (lambda: L.Conv3D(2, 2), (None, 6, 4, 2), "have no fixed size"),
        (lambda: L.TimeDistributed(L.Dense(2)), (None, 4), "have no fixed size"),
        (lambda: _mha(attention_axes=2), IMAGE, r"attends over axes \(2,\) only"),
    ],
)
def test_what_is_not_expanded_says_why(make: Any, shape: tuple[Any, ...], reason: str) -> None:
    layer, inputs = make(), keras.Input(shape)
    layer(*[inputs] * (2 if isinstance(layer, L.MultiHeadAttention) else 1))
    assert expansion(layer) is None
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(obstacle(layer))


def test_a_stateful_layer_says_why() -> None:
    layer = L.GRU(2, stateful=True)
    layer(keras.Input(batch_shape=(1, *SEQUENCE)))
    assert (expansion(layer), obstacle(layer)) == (None, "it is stateful")


def test_a_batch_normalization_alone_becomes_a_depthwise_convolution_and_one() -> None:
    for shape in (VECTOR, SEQUENCE, IMAGE):
        layer, inputs, outputs = _built(L.BatchNormalization, [shape])
        layer.moving_variance.assign(np.linspace(0.5, 2, shape[-1]))
        model = keras.Model(inputs, _given(standalone(layer))(*inputs))
        kinds = [type(step) for step in model.layers]
        assert kinds[kinds.index(L.BatchNormalization) - 1] is L.DepthwiseConv2D
        data = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
        expected = keras.Model(inputs, outputs)([data])
        np.testing.assert_allclose(model([data]), expected, atol=1e-5)
        assert len(model.trainable_variables) == 2


def test_a_convnext_block_has_its_layer_scale_expanded() -> None:
    network = keras.applications.ConvNeXtTiny(weights=None, input_shape=(32, 32, 3), include_top=False)
    layer = next(layer for layer in network.layers if type(layer).__name__ == "LayerScale")
    layer.set_weights([np.linspace(-1, 2, layer.gamma.shape[0])])
    inputs = keras.Input((2, 2, layer.gamma.shape[0]))
    data = np.random.default_rng(0).normal(size=(1, *inputs.shape[1:])).astype("float32")
    model = keras.Model(inputs, _expansion(layer)(inputs))
    np.testing.assert_allclose(model(data), layer(data), rtol=1e-6)
