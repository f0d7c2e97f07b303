"""LSTM layers traced so that the converter knows them: the same numbers, and the truth about which they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tfcompress.models.fused_lstm import fused_lstms, has_recurrent, unread_cells

STEPS, FEATURES = 5, 3
LSTM = st.fixed_dictionaries(
    {
        "units": st.integers(1, 4),
        "go_backwards": st.booleans(),
        "use_bias": st.booleans(),
        "unroll": st.booleans(),
        "dropout": st.sampled_from([0.0, 0.5]),
    }
)


def expected(model: Any, x: Any) -> np.ndarray:
    return np.asarray(model(x if isinstance(x, list) else [x]))


def traced(model: Any, x: Any) -> tuple[np.ndarray, Any]:
    """Return what a model computes where LSTMs are marked, and what became of them."""
    import tensorflow as tf

    inputs = x if isinstance(x, list) else [x]

    with fused_lstms(unread_cells(model)) as forms:
        function = tf.function(lambda *x: model(list(x), training=False), autograph=False)
        concrete = function.get_concrete_function(*(tf.TensorSpec(x.shape, x.dtype) for x in inputs))
    return concrete(*map(tf.constant, inputs)).numpy(), forms


def stack(keras: Any, options: list[dict[str, Any]], both_ways: list[bool]) -> Any:
    """Build LSTMs on each other, some both ways; the last gives its last output."""
    layers = keras.layers
    x = inputs = keras.Input((STEPS, FEATURES))
    for place, (option, both) in enumerate(zip(options, both_ways, strict=True)):
        lstm = layers.LSTM(**option, return_sequences=place < len(options) - 1, bias_initializer="random_normal")
        x = layers.Bidirectional(lstm)(x) if both and not option["go_backwards"] else lstm(x)
    return keras.Model([inputs], x)


@settings(max_examples=5, derandomize=True, phases=[Phase.generate])  # to shrink takes minutes
@given(options=st.lists(LSTM, min_size=1, max_size=2), both_ways=st.tuples(st.booleans(), st.booleans()))
def test_marked_lstms_compute_what_keras_does(keras, options, both_ways) -> None:
    keras.utils.set_random_seed(0)
    model = stack(keras, options, list(both_ways[: len(options)]))
    x = np.random.default_rng(0).normal(size=(2, STEPS, FEATURES)).astype("f")
    found, forms = traced(model, x)
    np.testing.assert_allclose(found, expected(model, x), atol=1e-5)
    sides = [2 if both and not option["go_backwards"] else 1 for option, both in zip(options, both_ways, strict=False)]
    assert (len(forms.fused), forms.loops) == (sum(sides), {})


def test_a_layer_that_is_called_twice_and_one_inside_another_model_are_marked(keras) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    twice, inner = layers.LSTM(2, name="twice"), keras.Input((STEPS, FEATURES))
    nested = keras.Model(inner, layers.RNN(layers.LSTMCell(2), name="cell")(inner))
    a, b = keras.Input((STEPS, FEATURES)), keras.Input((4, FEATURES))
    model = keras.Model([a, b], layers.Concatenate()([twice(a), twice(b), nested(a)]))
    x = [np.random.default_rng(0).normal(size=(1, steps, FEATURES)).astype("f") for steps in (STEPS, 4)]
    found, forms = traced(model, x)
    np.testing.assert_allclose(found, expected(model, x), atol=1e-5)
    assert sorted(forms.fused) == ["cell", "twice", "twice"]
    assert forms.notes == [
        f"LSTM as one op (UNIDIRECTIONAL_SEQUENCE_LSTM): {', '.join(dict.fromkeys(forms.fused))}; "
        "whoever runs the file must reset its variables before each sample"
    ]


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_an_lstm_whose_cell_nobody_reads_is_marked_though_it_returns_its_states(keras, sequences, nested) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((STEPS, FEATURES))
    lstm = layers.LSTM(2, return_sequences=sequences, return_state=True, name="r", bias_initializer="random_normal")
    each, last, _ = lstm(inputs)
    x = layers.Concatenate()([layers.Flatten()(each), last])
    model = keras.Model([inputs], x)
    if nested:
        model = keras.Model([inputs], model(inputs))
    x = np.random.default_rng(0).normal(size=(1, STEPS, FEATURES)).astype("f")
    found, forms = traced(model, x)
    np.testing.assert_allclose(found, expected(model, x), atol=1e-5)
    assert (forms.fused, forms.loops) == (["r"], {})


def test_one_that_is_called_twice_and_read_once_is_a_loop(keras) -> None:
    inputs, other = keras.Input((STEPS, FEATURES)), keras.Input((STEPS, FEATURES))
    lstm = keras.layers.LSTM(2, return_state=True)
    model = keras.Model([inputs, other], [lstm(inputs)[0], lstm(other)[2]])
    assert unread_cells(model) == frozenset()
    assert unread_cells(keras.Model([inputs, other], [lstm(inputs)[0], lstm(other)[1]])) == {id(lstm)}


LOOPS = {
    "its steps are masked": lambda layers, x: layers.LSTM(2, name="r")(layers.Masking()(x)),
    "the state of its cell is read, or may be": lambda layers, x: layers.LSTM(2, return_state=True, name="r")(x)[2],
    "its activations are tanh and hard_sigmoid, not tanh and sigmoid": lambda layers, x: layers.LSTM(
        2, recurrent_activation="hard_sigmoid", name="r"
    )(x),
    "it is given a state to begin with": lambda layers, x: layers.LSTM(2, name="r")(
        x, initial_state=[x[:, 0, :2], x[:, 1, :2]]
    ),
    "TFLite has no op for GRU": lambda layers, x: layers.GRU(2, name="r")(x),
    "TFLite has no op for SimpleRNN": lambda layers, x: layers.SimpleRNN(2, name="r")(x),
}


@pytest.mark.parametrize("why", LOOPS)
def test_what_the_op_cannot_do_stays_a_loop_and_the_reason_is_told(keras, why) -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((STEPS, FEATURES))
    model = keras.Model([inputs], LOOPS[why](keras.layers, inputs))
    x = np.random.default_rng(0).normal(size=(1, STEPS, FEATURES)).astype("f")
    x[:, -2:] = 0
    found, forms = traced(model, x)
    np.testing.assert_allclose(found, expected(model, x), atol=1e-5)
    assert (forms.fused, forms.notes) == ([], [f"r is a loop in the file: {why}"])
    assert has_recurrent(model)


def test_keras_is_left_as_it_was(keras, tf_keras) -> None:
    before = keras.layers.RNN.call
    with fused_lstms():
        assert keras.layers.RNN.call is not before
    with pytest.raises(ZeroDivisionError), fused_lstms():
        _ = 1 / 0
    assert keras.layers.RNN.call is before
    assert not has_recurrent(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    assert not has_recurrent(tf_keras.Sequential([tf_keras.Input((3, 2)), tf_keras.layers.LSTM(2)]))
    assert not has_recurrent("some/folder")
