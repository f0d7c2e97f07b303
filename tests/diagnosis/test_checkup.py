"""A model looked at layer by layer."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tfcompress.diagnosis.checkup import check_model  # noqa: E402 - after keras

L = keras.layers


@keras.saving.register_keras_serializable("tests")
class Doubling(L.Layer):
    """A layer of somebody's own."""

    def call(self, x):
        return 2 * x


def model_of(*layers):
    return keras.Sequential([keras.Input((8, 8, 3), name="image"), *layers])


def checked(model, inputs=None, **more):
    return check_model(model, refused=more.get("refused", {}), engine=more.get("engine", "native"), inputs=inputs)


def lines(found, where: str) -> list[str]:
    return [f"{remark.gravity}: {remark}" for remark in found.remarks if remark.where == where]


def test_an_lstm_is_one_op_where_the_op_can_do_it() -> None:
    x = inputs = keras.Input((70, 3), name="steps")
    x = L.Bidirectional(L.LSTM(2, return_sequences=True), name="both")(x)
    x = L.LSTM(2, name="plain", return_sequences=True)(x)
    x = L.LSTM(2, name="masked")(L.Masking()(x[:, :9]))
    found = checked(keras.Model(inputs, x))
    rows = {row.layer: row for row in found.layers}
    assert rows["both"].becomes == rows["plain"].becomes == ("UNIDIRECTIONAL_SEQUENCE_LSTM",)
    assert rows["both"].int8 is rows["plain"].int8 is rows["masked"].int8 is True
    assert len(rows["masked"].becomes) > 9
    assert lines(found, "masked")[0].endswith("written out step by step, and be a loop in the file again")


def test_each_layer_says_what_becomes_of_it() -> None:
    layers = [L.Conv2D(8, 3, name="conv"), L.LayerNormalization(name="norm"), Doubling(name="own")]
    found = checked(model_of(*layers, L.Lambda(lambda x: x, name="code"), L.Flatten(name="flat")))
    rows = {row.layer: row for row in found.layers}
    assert [rows[name].int8 for name in ("conv", "norm", "own", "code", "flat")] == [True, True, None, False, True]
    assert len(rows["norm"].becomes) > 3
    assert rows["conv"].becomes == ()
    assert lines(found, "code")[0].startswith("fault: code: Lambda has no int8 form (its inside is not known)")
    assert lines(found, "own")[0].startswith("risk: own: Doubling is a class of your own")
    assert lines(found, "norm")[0].startswith("note: norm: LayerNormalization would be rewritten into")


def test_a_normalization_folds_behind_a_linear_kernel_only() -> None:
    folding = [L.Conv2D(8, 3, name="conv"), L.BatchNormalization(name="norm")]
    apart = [L.Conv2D(8, 3, activation="relu", name="conv"), L.BatchNormalization(name="norm")]
    assert lines(checked(model_of(*folding)), "norm") == []
    (line,) = lines(checked(model_of(*apart)), "norm")
    assert line.startswith("risk: norm: the normalization follows conv (Conv2D), with relu between")
    (line,) = lines(checked(model_of(L.BatchNormalization(name="norm"))), "norm")
    assert "follows an input" in line


def test_channels_of_unlike_range_are_found_in_weights_in_a_normalization_and_in_values() -> None:
    conv, norm = L.Conv2D(8, 1, name="conv"), L.BatchNormalization(name="norm")
    model = model_of(conv, L.ReLU(), norm)
    kernel = np.ones((1, 1, 3, 8), "float32")
    kernel[..., 2] = 64
    conv.set_weights([kernel, np.zeros(8)])
    gamma = np.array([1, 1, 1, 1, 1, 1, 1, 100], "float32")
    norm.set_weights([gamma, np.zeros(8), np.zeros(8), np.ones(8)])
    found = checked(model)
    assert found.layers[0].kernel_spread == 64
    assert "64 times the weights of the middle one" in lines(found, "conv")[0]
    assert any("reaches 100 times as far" in line for line in lines(found, "norm"))
    measured = checked(model, {"image": np.random.default_rng(0).random((4, 8, 8, 3)).astype("float32")})
    assert any("reaches 64 times as far" in line for line in lines(measured, "conv"))


def test_outliers_in_weights_and_in_values_are_found() -> None:
    dense = L.Dense(40, name="dense")
    model = keras.Sequential([keras.Input((40,), name="x"), dense])
    kernel = np.random.default_rng(0).normal(size=(40, 40)).astype("float32")
    kernel[3, 3] = 100
    dense.set_weights([kernel, np.zeros(40)])
    x = np.zeros((300, 40), "float32")
    x[0, 3], x[1:] = 1, 1e-3 * kernel[:1]
    found = checked(model, {"x": x})
    assert any("its weights have outliers (kurtosis" in line for line in lines(found, "dense"))
    assert any("outliers stretch its range" in line for line in lines(found, "dense"))


@pytest.mark.parametrize(("activation", "ends"), [("tanh", 60.0), ("sigmoid", 60.0), ("relu6", 600.0)])
def test_a_saturated_layer_is_a_fault(activation: str, ends: float) -> None:
    conv = L.Conv2D(8, 1, activation=activation, name="conv")
    model = model_of(conv)
    conv.set_weights([np.full((1, 1, 3, 8), ends), np.zeros(8)])
    x = {"image": np.random.default_rng(0).random((4, 8, 8, 3)).astype("float32") + 0.1}
    (line,) = [line for line in lines(checked(model, x), "conv") if "saturated" in line]
    assert line.startswith(f"fault: conv: it is saturated: 100% of its values stand at the ends of {activation}")


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_dead_channels_are_noted_and_a_layer_of_nothing_else_is_a_fault(activation: str) -> None:
    conv = L.Conv2D(8, 1, activation=activation, name="conv")
    model = model_of(conv)
    conv.set_weights([np.ones((1, 1, 3, 8)), np.array([0, 0, 0, 0, -9, -9, -9, -9])])
    x = {"image": np.ones((2, 8, 8, 3), "float32")}
    assert any("50% of its channels are zero on every sample" in line for line in lines(checked(model, x), "conv"))
    conv.set_weights([np.ones((1, 1, 3, 8)), np.full(8, -9.0)])
    assert any(
        line.startswith("fault: conv: it is saturated: all of its channels")
        for line in lines(checked(model, x), "conv")
    )


def test_odd_widths_are_named_but_for_the_number_of_classes() -> None:
    found = checked(model_of(L.Conv2D(12, 3, name="odd"), L.Conv2D(16, 3, name="even"), L.Flatten(), L.Dense(10)))
    (line,) = lines(found, "widths")
    assert "odd (12): output channels" in line


def test_what_tfmot_refuses_is_the_native_engine_s() -> None:
    found = checked(model_of(L.Conv2D(8, 3, name="conv"), L.ReLU(name="relu")), engine="tfmot", refused={"relu": "why"})
    assert [row.engine for row in found.layers] == ["tfmot", "native"]
    assert "tfmot cannot quantize it (why)" in lines(found, "relu")[0]


def test_layers_of_nested_models_have_their_path() -> None:
    inner = keras.Sequential([L.Conv2D(8, 3, name="conv")], name="inner")
    found = checked(model_of(inner, L.Flatten(name="flat")), {"image": np.ones((2, 8, 8, 3), "float32")})
    assert [row.layer for row in found.layers] == ["inner/conv", "flat"]


@pytest.mark.parametrize(("scale", "part"), [(1000.0, "75.0%"), (float("inf"), "100.0%")])
def test_values_that_are_no_numbers_are_a_fault_of_the_layer_that_makes_them(scale: float, part: str) -> None:
    dense = L.Dense(4, activation="relu", name="dense")
    ending = [L.Rescaling(scale, name="scaled"), L.Activation("exponential", name="power")]
    model = keras.Sequential([keras.Input((4,), name="x"), dense, *ending])
    dense.set_weights([np.eye(4), np.zeros(4)])
    found = checked(model, {"x": np.tile(np.float32([[0.0, 1.0, 2.0, 3.0]]), (2, 1))})
    where = "power" if scale == 1000 else "scaled"  # exp(0) is 1, and zero times infinity no number
    (line,) = [line for line in lines(found, where) if "NaN or Inf" in line]
    assert line.startswith(f"fault: {where}: {part} of its values on samples are NaN or Inf")
    assert not any("NaN" in line for line in lines(found, "dense"))
    assert found.layers[-1].value_spread is None
