"""Export of models under our own quantization-aware training: whole in integers, and what the training computed."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runner.summary import wilson
from tfcompress.errors import ContractError, DataError, UnsupportedError, UsageError
from tfcompress.job import attach
from tfcompress.quantization.post_training import calibrated
from tfcompress.recipe import QAT, Export
from tfcompress.tflite import attempt
from tfcompress.tflite.export import export
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess

keras = pytest.importorskip("keras")
L = keras.layers
X = np.random.default_rng(0).normal(size=(300, 8, 8, 3)).astype(np.float32)


def network():
    """A little of what no tool before took: swish, squeeze and excite, normalization first, a nested model, raw ops.

    Its normalizations know their statistics after 20 steps: by Keras's momentum of 0.99 they do not, and what comes out
    is a fifth of the range that the training saw.
    """
    keras.utils.set_random_seed(1)
    given = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(8, 3, padding="same", activation="swish", name="stem")(given)
    gate = L.Dense(8, activation="sigmoid", name="gate")(L.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x))
    x = L.Multiply(name="excite")([x, gate])
    x = L.BatchNormalization(momentum=0.8, name="first")(L.AveragePooling2D(2, name="pool")(x))
    inner = [keras.Input((4, 4, 8)), L.DepthwiseConv2D(3), L.BatchNormalization(momentum=0.8), L.ReLU()]
    x = keras.Sequential(inner, name="inner")(x)
    x = keras.ops.concatenate([x, x * 0.5], axis=-1)
    return keras.Model(given, L.Dense(4, activation="softmax", name="scores")(L.Flatten()(x)))


def trained(model, stage=QAT()):  # noqa: B008 - a frozen value
    from tfcompress.quantization.calibration import calibrate_
    from tfcompress.quantization.transform import quantize

    made = quantize(model, stage).model
    calibrate_(made, {"image": X[:64]})
    made.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    made.fit(X, np.abs(X).mean((1, 2)).argmax(1), epochs=2, verbose=0)
    return made


@pytest.fixture(scope="module")
def model():
    """Return the network as it was trained, for tests that change nothing of it."""
    return trained(network())


@pytest.mark.slow
def test_every_op_is_integer_without_samples_and_the_file_computes_what_the_model_does(model, converter):
    file = export(model, Export(quantize="int8"), data=X, converter=converter)
    found = file.verification
    assert found.float_ops == ()
    # As the training ran, in float, against XNNPACK: each processor sums in an order of its own and so trains a network
    # of its own (0.987 on one with AVX2). These samples must allow for a rate of 0.99, and 0.98.
    assert wilson(round(300 * found.agreement[0].top1), 300)[1] >= 0.99
    assert wilson(round(1200 * found.agreement[0].near), 1200)[1] >= 0.98
    # Link by link the bounds are literal: what was trained, in the reference kernels' integers, and those in XNNPACK's.
    for link in (found.exact.agreement[0], found.exact.kernels[0]):
        assert link.top1 >= 0.99
        assert link.near >= 0.98
    assert found.exact.rounded == ()
    assert (found.exact.samples, found.exact.equal) == (300, 1.0)  # not one number differs
    bare = export(model, Export(quantize="int8"), converter=converter)
    assert bare.verification.float_ops == ()
    again = export(model, Export(quantize="int8"), converter=converter)
    assert again.content == bare.content


@pytest.mark.slow
def test_a_file_of_another_scale_than_was_trained_is_refused_or_said_to_be(model, converter, monkeypatch):
    from tfcompress.quantization import baking as bake

    constant = bake.constant_of

    def export_wider(factor, **settings):
        def wider(layer, least_step):
            made = constant(layer, least_step)
            made.high *= factor if layer.name.startswith("first") else 1.0
            return made

        monkeypatch.setattr(bake, "constant_of", wider)
        return export(model, Export(quantize="int8", **settings), data=X, converter=converter)

    found = export_wider(1.5, min_agreement_db=5.0).verification.exact  # accepted, and said to be
    assert (found.near, found.rounded) == (False, ())
    assert found.equal < 0.95
    with pytest.raises(ContractError, match=r"output 'scores' of the file must (be what was trained|agree)"):
        export_wider(30.0)


@pytest.mark.slow
def test_resizes_and_a_mean_that_the_converter_drops_are_equal_number_by_number(converter):
    keras.utils.set_random_seed(1)
    given = keras.Input((8, 8, 3), name="image")
    x = L.UpSampling2D(2, name="enlarged")(L.Conv2D(8, 3, activation="relu")(given))
    x = L.Resizing(4, 4, name="shrunk")(L.UpSampling2D((1, 2), interpolation="bilinear")(x))
    x = L.GlobalAveragePooling2D(name="mean_of_one")(L.Conv2D(8, 4, name="last")(x))
    model = trained(keras.Model(given, L.Dense(4, activation="softmax", name="scores")(x)))
    found = export(model, Export(quantize="int8"), data=X, converter=converter).verification
    assert (found.ops["RESIZE_NEAREST_NEIGHBOR"], found.ops["RESIZE_BILINEAR"]) == (1, 2)
    assert not {"MEAN", "TILE"} & set(found.ops)
    assert (found.exact.rounded, found.exact.samples, found.exact.equal) == ((), 300, 1.0)


@pytest.mark.slow
def test_a_layer_whose_relus_are_dead_still_runs(converter):
    keras.utils.set_random_seed(1)
    given = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(8, 3, name="conv")(given)
    dead = L.Dense(8, activation="relu", bias_initializer=keras.initializers.Constant(-100.0), name="dead")(x)
    x = L.GlobalAveragePooling2D()(L.Concatenate()([x, L.Conv2D(4, 1, name="after")(dead)]))
    model = trained(keras.Model(given, L.Dense(4, activation="softmax", name="scores")(x)))
    assert model.get_layer("dead_range2").step < 1e-8  # which XNNPACK refuses: too many steps for one of the sums
    found = export(model, Export(quantize="int8"), data=X, converter=converter).verification
    assert (found.exact.rounded, found.exact.equal) == ((), 1.0)


@pytest.mark.slow
def test_four_bits_are_four_bits_in_the_file(converter):
    keras.utils.set_random_seed(1)
    given = keras.Input((8, 8, 3), name="image")
    x = L.BatchNormalization()(L.Conv2D(8, 3, use_bias=False, name="conv")(given))
    x = L.Dense(16, activation="relu", name="hidden")(L.GlobalAveragePooling2D()(L.ReLU()(x)))
    model = trained(keras.Model(given, L.Dense(4, activation="softmax", name="scores")(x)), QAT(weight_bits=4))
    file = export(model, Export(quantize="int8"), data=X, converter=converter)
    assert file.verification.weights_bytes["int4"] == (3 * 3 * 3 * 8 + 8 * 16 + 16 * 4) / 2
    assert file.verification.agreement[0].near >= 0.98
    assert (file.verification.exact.rounded, file.verification.exact.equal) == ((), 1.0)
    assert [op.name for op in read_model_file(file.content).ops if op.name == "FULLY_CONNECTED"] == []


@pytest.mark.slow
@pytest.mark.parametrize("pays", [False, True])
def test_training_for_four_bits_that_makes_no_smaller_file_is_warned_of(converter, pays: bool):
    keras.utils.set_random_seed(1)
    given = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(8, 1, activation="relu", name="conv")(given)
    x = L.Conv2D(48, 3, name="body")(x) if pays else L.DepthwiseConv2D(5, name="body")(x)
    model = keras.Model(given, L.Dense(4, name="scores")(L.GlobalAveragePooling2D()(x)))
    asked = Export(quantize="int8", min_agreement_db=-100.0)
    eight, four = (export(trained(model, QAT(weight_bits=bits)), asked, data=X, converter=converter) for bits in (8, 4))
    assert (four.size_bytes < eight.size_bytes) == pays
    said = [note for note in (*eight.notes, *four.notes) if "do not pay" in note]
    if pays:
        assert said == []
    else:
        sizes = f"{four.size_bytes:,} bytes, with weights of 8 bits it has {eight.size_bytes:,}"
        assert said == [f"weights of 4 bits do not pay: the file has {sizes}; leave --weight-bits 4 out"]


@pytest.mark.slow
def test_sixteen_bit_activations_take_their_ranges_from_samples(converter):
    model = trained(
        keras.Sequential(
            [
                keras.Input((8, 8, 3), name="image"),
                L.Conv2D(4, 3, activation="relu"),
                L.Flatten(),
                L.Dense(3, activation="softmax"),
            ]
        ),
        QAT(activation_bits=16),
    )
    file = export(model, Export(quantize="int16x8"), data=X, converter=converter)
    assert file.verification.float_ops == ()
    assert file.verification.agreement[0].sqnr_db > 30  # values beyond those of the samples are clipped
    with pytest.raises(DataError, match="quantize int16x8 needs samples to calibrate; give --data"):
        export(model, Export(quantize="int16x8"), converter=converter)


def test_a_model_trained_for_eight_bits_is_exported_to_eight(converter):
    from tfcompress.quantization.calibration import calibrate_
    from tfcompress.quantization.transform import quantize

    model = quantize(keras.Sequential([keras.Input((8, 8, 3), name="image"), L.Conv2D(2, 3)]), QAT()).model
    calibrate_(model, {"image": X})
    with pytest.raises(UsageError, match=r"export.quantize must be 'int8' for a model trained with fake quantization"):
        export(model, Export(quantize="dynamic"), data=X, converter=converter)


@pytest.mark.parametrize("quantize_to", ["int8", "dynamic", "none"])
def test_a_model_trained_for_sixteen_bits_is_not_exported_to_other_numbers(quantize_to, converter):
    from tfcompress.quantization.calibration import calibrate_
    from tfcompress.quantization.transform import quantize

    plain = keras.Sequential([keras.Input((8, 8, 3), name="image"), L.Conv2D(2, 3)])
    model = quantize(plain, QAT(activation_bits=16)).model
    calibrate_(model, {"image": X})
    wanted = r"export.quantize must be 'int16x8' for a model trained with fake quantization of 16 bits.*int16x8$"
    with pytest.raises(UsageError, match=wanted):
        export(model, Export(quantize=quantize_to), data=X, converter=converter)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN", "Bidirectional", "Masking"])
def test_masked_recurrent_layers_become_int8_and_equal_their_integers_on_padded_sequences(
    keras, converter, kind
) -> None:
    keras.utils.set_random_seed(0)
    layers, generator = keras.layers, np.random.default_rng(0)
    lengths = generator.integers(0, 7, 60)
    known = np.arange(6) < lengths[:, np.newaxis]
    if kind == "Masking":
        front = [keras.Input((6, 3), name="steps"), layers.Masking()]
        data = (generator.normal(size=(60, 6, 3)) * known[:, :, np.newaxis]).astype("f")
    else:
        front = [keras.Input((6,), dtype="int32", name="steps"), layers.Embedding(9, 4, mask_zero=True)]
        data = (generator.integers(1, 9, (60, 6)) * known).astype("int32")
    plain = getattr(layers, kind)(3) if kind not in ("Bidirectional", "Masking") else layers.LSTM(3)
    recurrent = layers.Bidirectional(plain) if kind == "Bidirectional" else plain
    model = keras.Sequential([*front, recurrent, layers.Dense(2)])
    made = calibrated(model, {"steps": data}).model
    found = export(made, Export(quantize="int8"), data=data, converter=converter).verification
    assert set(found.ops_by_dtype) <= {"int8", "bool", "int32"}
    assert found.exact is not None
    assert (found.exact.equal, found.exact.rounded) == (1.0, ())
    plain_file = export(model, Export(), data=data, converter=converter).verification
    assert (plain_file.agreement[0].sqnr_db or 0) > 100


@pytest.mark.parametrize("quantize", ["none", "dynamic"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "Bidirectional"])
def test_float_files_of_tf_keras_pass_over_padding_as_keras_does(tf_keras, converter, kind, quantize, tmp_path) -> None:
    """A fused LSTM op has no mask: where there is one, the converter must not choose it."""
    tf_keras.utils.set_random_seed(0)
    layers, generator = tf_keras.layers, np.random.default_rng(0)
    embedding = layers.Embedding(
        30, 16, mask_zero=True, embeddings_initializer=tf_keras.initializers.RandomNormal(stddev=2.0)
    )
    recurrent = layers.Bidirectional(layers.LSTM(16)) if kind == "Bidirectional" else getattr(layers, kind)(32)
    inputs = tf_keras.Input((12,), dtype="int32", name="tokens")
    model = tf_keras.Sequential([inputs, embedding, recurrent, layers.Dense(3, name="answer")])
    model.save(tmp_path / "model.h5")
    known = np.arange(12) < 1 + np.arange(24)[:, np.newaxis] % 11
    tokens = (generator.integers(1, 30, (24, 12)) * known).astype("int32")
    file = export(tmp_path / "model.h5", Export(quantize=quantize), data=tokens, converter=converter)
    with InterpreterProcess(file.content) as interpreter:
        found = interpreter.run({"tokens": tokens})["answer"]
    expected = model.predict(tokens, verbose=0)
    unmasked = model.layers[-1](recurrent(embedding(tokens).numpy())).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5 if quantize == "none" else 0.05)
    assert np.abs(unmasked - expected).max() > 0.2  # so that dropping the mask would be seen


@pytest.mark.parametrize("kind", ["Masking", "no mask"])
def test_files_are_compared_on_padded_sequences_where_the_model_tells_padding(
    keras, converter, kind, monkeypatch
) -> None:
    layers = keras.layers
    front = [layers.Masking(mask_value=-1.0)] if kind == "Masking" else []
    model = keras.Sequential([keras.Input((12, 3), name="steps"), *front, layers.LSTM(4), layers.Dense(2)])
    seen = []
    drawing = attempt.random_inputs
    monkeypatch.setattr(attempt, "random_inputs", lambda *args, **more: seen.append(drawing(*args, **more)) or seen[-1])
    found = export(model, Export(), converter=converter).verification
    assert (seen[0]["steps"] == -1).all(-1).any() == (kind == "Masking")
    assert (found.agreement[0].sqnr_db or 0) > 100


@pytest.mark.parametrize("function", ["argmax", "top_k"])
def test_a_model_that_ends_in_places_of_the_largest_is_exported_with_them_as_whole_numbers(
    keras, converter, function
) -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((16,), name="x")
    scores = keras.layers.Dense(10, name="scores")(x)
    found = keras.ops.argmax(scores, axis=-1) if function == "argmax" else list(keras.ops.top_k(scores, 3))
    model = keras.Model(x, [keras.layers.Softmax(name="likely")(scores), *([found] if function == "argmax" else found)])
    data = np.random.default_rng(0).normal(size=(200, 16)).astype("f")
    for settings, made in (
        (Export(), model),
        (Export(quantize="int8"), model),
        (Export(quantize="int8"), calibrated(model, {"x": data}).model),
    ):
        result = export(made, settings, data=data, converter=converter).verification
        dtypes = {tensor.name: tensor.dtype for tensor in result.outputs}
        (places,) = [item for item in result.agreement if dtypes[item.name] == "int32"]
        assert places.sqnr_db is None
        assert (places.top1 or 0.0) > 0.9  # the share that is equal
    assert result.exact is not None
    assert result.exact.rounded == ()


@pytest.mark.parametrize(("function", "remedy"), [("argmax", {}), ("top_k", {"io": "float32"})])
def test_int16x8_of_a_model_that_ends_in_places_of_the_largest_says_what_then_works(
    keras, converter, function, remedy
) -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((16,), name="x")
    scores = keras.layers.Dense(10, name="scores")(keras.layers.Dense(8, activation="relu")(x))
    found = keras.ops.argmax(scores, axis=-1) if function == "argmax" else list(keras.ops.top_k(scores, 3))
    model, data = keras.Model(x, found), np.random.default_rng(0).normal(size=(200, 16)).astype("f")
    flags = "--float-ops allow" + "".join(f" and --{name} {value}" for name, value in remedy.items())
    with pytest.raises(ContractError, match=f"1 of 5 ops have no int16x8 form .* or give {flags}"):
        export(model, Export(quantize="int16x8"), data=data, converter=converter)
    allowed = Export(quantize="int16x8", float_ops="allow", **remedy)
    verification = export(model, allowed, data=data, converter=converter).verification
    assert [op.split(" at ")[0] for op in verification.float_ops] == ["ARG_MAX" if function == "argmax" else "TOPK_V2"]
    assert verification.ops_by_dtype["int16"] >= 2


def test_training_through_whole_numbers_is_refused_before_it_begins(keras) -> None:
    x = keras.Input((16,))
    model = keras.Model(x, keras.ops.argmax(keras.layers.Dense(10)(x), axis=-1))
    with pytest.raises(UnsupportedError, match=r"gives whole numbers only .* int8 needs none"):
        attach(model, QAT())
