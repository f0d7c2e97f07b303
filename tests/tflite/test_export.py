"""tfcompress.tflite.export and verify: the whole contract, on real conversions."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_runner.flatbuffer import read_facts
from tests.tflite.make_files import SCHEMES, cnn, tokens, two_ways
from tfcompress.errors import (
    ContractError,
    ConversionError,
    DataError,
    ModelError,
    OutputError,
    UnsupportedError,
    UsageError,
)
from tfcompress.files import sha256
from tfcompress.models.signature import call
from tfcompress.quantization.post_training import calibrated
from tfcompress.recipe import Export
from tfcompress.tflite import convert
from tfcompress.tflite.attempt import ConversionRun
from tfcompress.tflite.calibrated import check_input_range
from tfcompress.tflite.contract import FloatOp
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.export import TFLiteModel, export
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.lower import lower
from tfcompress.tflite.pack import data_free_note, read_metadata
from tfcompress.tflite.shares import HELD_BACK
from tfcompress.tflite.slim import slim
from tfcompress.tflite.verify import LEAST_DB, verify
from tfcompress.tflite.weights import facts

pytestmark = pytest.mark.slow

ATTEMPT = sys.modules["tfcompress.tflite.attempt"]
BEST = sys.modules["tfcompress.tflite.best"]
PLAIN = Export(quantize="int8", calibration="minmax")


@pytest.fixture(scope="module")
def network(keras):
    keras.utils.set_random_seed(0)
    return cnn(keras)


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(300, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def exported(network, samples, converter) -> Callable[[Export], TFLiteModel]:
    """Export the network with its samples; with the same settings once for all tests."""
    return functools.cache(lambda settings: export(network, settings, data=samples, converter=converter))


@pytest.fixture
def first_way_is_enough(monkeypatch) -> None:
    """Have the first of several ways to int8 be good enough, so that no other is tried beside what a test is about."""
    monkeypatch.setattr(BEST, "ENOUGH_DB", -np.inf)
    monkeypatch.setattr(BEST, "ENOUGH_TOP1", 0.0)


@pytest.mark.parametrize("flavour", ["keras", "tf_keras"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_keeps_its_contract_for_both_keras(flavour, scheme, request, samples, converter) -> None:
    if flavour == "keras":
        result = request.getfixturevalue("exported")(Export(quantize=scheme))
    else:
        made = request.getfixturevalue(flavour)
        made.utils.set_random_seed(0)
        result = export(cnn(made), Export(quantize=scheme), data=samples, converter=converter)
    found = result.verification
    (agreement,) = found.agreement
    assert agreement.sqnr_db is not None
    assert agreement.sqnr_db > LEAST_DB[scheme] + 10
    assert agreement.top1 is not None
    assert agreement.top1 > 0.9
    assert found.real_samples
    assert found.samples == 256
    assert found.float_ops == ()
    assert sum(found.ops.values()) == sum(found.ops_by_dtype.values())
    assert (found.float_size_bytes is None) == (scheme == "none")
    assert scheme == "none" or result.size_bytes < found.float_size_bytes
    assert all(v.good for v in result.runtimes if v.how == "tried")
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["macs"] == 8 * 8 * 8 * 27 + 6 * 6 * 8 * 9 + 2880


@pytest.mark.usefixtures("first_way_is_enough")
@pytest.mark.parametrize("io", ["float32", "int8", "uint8"])
def test_inputs_and_outputs_of_int8_files_have_the_dtype_that_was_asked_for(network, samples, converter, io) -> None:
    found = export(network, Export(quantize="int8", io=io), data={"image": samples}, converter=converter).verification
    assert {t.dtype for t in (*found.inputs, *found.outputs)} == {io}
    assert found.kernel_steps is not None
    assert found.kernel_steps <= 2
    assert found.agreement[0].step == pytest.approx(1 / 256)


def test_the_same_export_gives_the_same_bytes(network, samples, converter, exported) -> None:
    one = exported(Export(quantize="int8"))
    other = export(network, Export(quantize="int8"), data=samples, converter=converter)
    assert len(other.verification.trials) > 1
    assert one.content == other.content
    assert one.sha256 == sha256(one.content)
    assert one.gzip_bytes == len(gzip.compress(one.content, 9))
    third = export(network, PLAIN, data=samples, converter=converter, seed=4)
    assert exported(PLAIN).content != third.content  # the seed draws other samples


def test_a_file_is_saved_whole_with_its_metadata(network, samples, converter, tmp_path: Path) -> None:
    about = {"labels": ["a", "b"], "scale": 1 / 255}
    result = export(network, Export(quantize="dynamic"), data=samples, converter=converter, metadata=about)
    path = result.save(tmp_path / "net.tflite")
    assert path.read_bytes() == result.content
    assert read_metadata(result.content) == about
    with pytest.raises(OutputError, match="cannot write"):
        result.save(tmp_path / "no such folder" / "net.tflite")


@pytest.mark.usefixtures("first_way_is_enough")
def test_the_file_is_slimmed_and_proven_and_the_record_keeps_its_names(network, samples, converter) -> None:
    about = {"labels": ["a", "b"]}
    settings = Export(quantize="int8")
    plain = export(
        network, dataclasses.replace(settings, packings=()), data=samples, converter=converter, metadata=about
    )
    small = export(network, settings, data=samples, converter=converter, metadata=about)
    named = export(
        network, dataclasses.replace(settings, keep_names=True), data=samples, converter=converter, metadata=about
    )
    assert small.content == slim(plain.content)
    assert named.content == slim(plain.content, keep_names=True)
    assert small.size_bytes < named.size_bytes < plain.size_bytes
    (record,) = small.verification.packings
    assert (record.before_bytes, record.after_bytes) == (plain.size_bytes, small.size_bytes)
    assert record.proven_in == ("LiteRT", "LiteRT's reference kernels", "tensorflow")
    assert small.verification.size_bytes == small.size_bytes
    assert small.verification.tensor_names == read_model_file(plain.content).tensor_names
    assert (named.verification.tensor_names, plain.verification.tensor_names) == ((), ())
    assert plain.verification.packings == ()
    assert read_metadata(small.content) == about


@pytest.mark.parametrize("flavour", ["keras", "tf_keras"])
def test_ranges_are_those_of_the_calibrator_that_was_asked_for(flavour, request, samples, converter) -> None:
    files = {}
    for name in ("minmax", "percentile"):
        settings = Export(quantize="int8", calibration=name)
        if flavour == "keras":
            files[name] = request.getfixturevalue("exported")(settings)
        else:
            made = request.getfixturevalue(flavour)
            made.utils.set_random_seed(0)
            files[name] = export(cnn(made), settings, data=samples, converter=converter)
    found = {name: file.verification for name, file in files.items()}
    assert found["minmax"].calibration == ""
    assert found["percentile"].calibration == "percentile, by the rules of --qat, without training"
    assert (found["percentile"].agreement[0].sqnr_db or 0) > LEAST_DB["int8"] + 10
    assert (found["percentile"].inputs[0].scale or 0) < (found["minmax"].inputs[0].scale or 0)


def test_a_calibrator_needs_samples_and_layers_and_no_trained_ranges(network, samples, converter, tmp_path) -> None:
    settings = Export(quantize="int8", calibration="mse")
    with pytest.raises(DataError, match="calibration 'mse' needs samples; give --data"):
        export(network, settings, converter=converter)
    network.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    with pytest.raises(UnsupportedError, match="calibration 'mse' needs the model's layers"):
        export(tmp_path / "saved", settings, data=samples, converter=converter)
    trained = calibrated(network, {"image": samples[:20]}).model
    with pytest.raises(UsageError, match="calibration 'mse' would do nothing: the model was trained for 8 bits"):
        export(trained, settings, data=samples, converter=converter)


def test_without_data_the_report_says_that_the_samples_were_not_real(network, converter) -> None:
    found = export(network, Export(quantize="float16"), converter=converter).verification
    assert not found.real_samples
    assert found.samples == 32


def test_calibration_without_data_says_what_to_give(network, converter) -> None:
    with pytest.raises(DataError, match="quantize int16x8 needs samples to calibrate; give --data"):
        export(network, Export(quantize="int16x8"), converter=converter)
    with pytest.raises(
        UsageError, match=r"int8 without data needs the range of the model's inputs: give --input-range"
    ):
        export(network, Export(quantize="int8"), converter=converter)


@pytest.mark.parametrize("flavour", ["keras", "tf_keras"])
def test_int8_without_data_is_marked_so_everywhere(flavour, request, converter) -> None:
    made = request.getfixturevalue(flavour)
    made.utils.set_random_seed(0)
    result = export(cnn(made), Export(quantize="int8", input_range=(-4.0, 4.0)), converter=converter)
    found = result.verification
    assert result.route == "data-free"
    assert found.calibration == "data-free: the model alone, inputs in [-4, 4]"
    assert any(note.startswith("data-free: no sample was seen") for note in result.notes)
    assert read_metadata(result.content) == {"calibration": found.calibration}
    assert data_free_note(result.content) == found.calibration
    assert read_facts(result.content).remarks == (
        f"its int8 ranges were not measured on samples ({found.calibration})",
    )
    assert not found.real_samples
    assert found.float_ops == ()
    assert found.inputs[0].scale == pytest.approx(8 / 255)
    assert (found.agreement[0].sqnr_db or 0) > LEAST_DB["int8"] + 10


def test_ranges_of_inputs_that_would_do_nothing_are_refused_with_the_reason(network, tmp_path) -> None:
    settings = Export(quantize="int8", input_range=(-4.0, 4.0))
    data = np.zeros((8, *network.inputs[0].shape[1:]), np.float32)
    with pytest.raises(UsageError, match=r"--input-range .* would do nothing: ranges are measured on the samples"):
        export(network, settings, data=data)
    with pytest.raises(UsageError, match="would do nothing: the model was trained with ranges of its own"):
        export(calibrated(network, {network.inputs[0].name: data}).model, settings)
    with pytest.raises(UsageError, match=r"a SavedModel holds no layers .* give a .keras, or --data"):
        check_input_range(tmp_path, settings, has_data=False)


@pytest.mark.parametrize("pays", [False, True])
def test_weights_of_four_bits_that_make_no_smaller_file_are_warned_of(keras, converter, pays: bool) -> None:
    """Depthwise kernels keep 8 bits: where there is little else, only what goes with the rewritten model is left."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    body = [layers.Conv2D(48, 3, activation="relu")] if pays else [layers.DepthwiseConv2D(5, activation="relu")]
    chain = [layers.Conv2D(8, 1, activation="relu"), *body, layers.GlobalAveragePooling2D(), layers.Dense(4)]
    model = keras.Sequential([keras.Input((8, 8, 3), name="image"), *chain])
    data = np.random.default_rng(0).normal(size=(60, 8, 8, 3)).astype(np.float32)
    plain = {"quantize": "int8", "min_agreement_db": -100.0}
    eight = export(model, Export(**plain, calibration="minmax"), data=data, converter=converter)
    four = export(model, Export(**plain, weight_bits=4, rounding="nearest"), data=data, converter=converter)
    assert (four.size_bytes < eight.size_bytes) == pays
    said = [note for note in four.notes if "do not pay" in note]
    assert bool(said) != pays
    assert all(
        f"{four.size_bytes:,} bytes, with weights of 8 bits it has {eight.size_bytes:,}" in note for note in said
    )


def test_without_data_each_input_is_rounded_in_its_own_range(keras, converter) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image, age = keras.Input((8, 8, 3), name="image"), keras.Input((3,), name="age")
    x = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(layers.RandomFlip()(image)))
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.Dense(4, activation="relu")(age)])
    model = keras.Model([image, age], layers.Dense(3, name="out")(x))
    result = export(model, Export(quantize="int8", input_range=("age=-2,2",)), converter=converter)
    found = result.verification
    scales = {tensor.name: tensor.scale for tensor in found.inputs}
    assert scales == {"image": pytest.approx(1.0), "age": pytest.approx(4 / 255)}
    assert found.calibration == "data-free: the model alone, inputs image in [0, 255], age in [-2, 2]"
    assert (found.agreement[0].sqnr_db or 0) > LEAST_DB["int8"]


def test_weights_of_four_bits_are_smaller_and_rounded_towards_the_outputs(exported) -> None:
    eight = exported(PLAIN)
    result = exported(dataclasses.replace(PLAIN, weight_bits=4, rounding="gptq", correct=("bias",)))
    assert result.verification.weights_bytes["int4"] > 0
    assert sum(result.verification.weights_bytes.values()) < sum(eight.verification.weights_bytes.values())
    chosen = "minmax + weights of 4 bits + gptq + bias, by the rules of --qat, without training"
    assert result.verification.calibration == chosen
    assert (result.verification.agreement[0].sqnr_db or 0) > LEAST_DB["int8"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"picture": np.zeros((2, 8, 8, 3))}, r"must hold an array for each input \(image\), got picture"),
        ({"image": np.zeros((0, 8, 8, 3))}, "the same number of samples for every input, at least one"),
        (np.zeros((4, 9, 9, 3)), r"input 'image' must have the shape \(samples, 8, 8, 3\), got"),
    ],
)
def test_data_that_does_not_fit_is_refused(network, converter, data, message) -> None:
    with pytest.raises(DataError, match=message):
        export(network, Export(quantize="int8"), data=data, converter=converter)


@pytest.mark.usefixtures("first_way_is_enough")
def test_bound_data_is_asked_for_samples_by_seed(network, samples, converter) -> None:
    class Bound:
        asked: tuple[int, int] = (0, 0)

        def representative(self, count: int, seed: int) -> dict[str, np.ndarray]:
            self.asked = (count, seed)
            return {"image": samples[:count]}

    data = Bound()
    export(network, Export(quantize="int8", samples=30), data=data, converter=converter, seed=7)
    assert data.asked == (30 + HELD_BACK + 256, 7)


def test_several_inputs_go_by_name(keras, converter) -> None:
    generator = np.random.default_rng(0)
    data = {
        "facts": generator.normal(size=(60, 4)).astype("f"),
        "image": generator.normal(size=(60, 6, 6, 1)).astype("f"),
    }
    found = export(two_ways(keras), Export(quantize="int8"), data=data, converter=converter).verification
    assert {a.name for a in found.agreement} == {"class", "size"}
    assert "quantization parameters outweigh" in found.size_note


def test_token_ids_stay_whole_numbers(keras, converter) -> None:
    ids = np.random.default_rng(0).integers(0, 20, (50, 5))
    found = export(tokens(keras), Export(quantize="int8"), data=ids, converter=converter).verification
    assert [t.dtype for t in found.inputs] == ["int32"]
    assert [t.dtype for t in found.outputs] == ["int8"]


def test_a_saved_model_folder_is_exported_like_the_model(network, samples, converter, tmp_path) -> None:
    network.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    result = export(tmp_path / "saved", Export(quantize="int8"), data=samples, converter=converter)
    assert result.verification.inputs[0].shape == (1, 8, 8, 3)
    assert (result.verification.agreement[0].sqnr_db or 0) > 20


def test_a_saved_model_that_insists_on_its_batch_gives_a_file_of_that_batch(converter, tmp_path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.weight = tf.Variable(np.random.default_rng(0).normal(size=(64, 40)).astype("f"))
    signed = tf.function(lambda x: {"y": tf.matmul(x, module.weight)}).get_concrete_function(
        x=tf.TensorSpec((4, 64), tf.float32, name="x")
    )
    tf.saved_model.save(module, str(tmp_path / "given"), signatures={"serving_default": signed})
    x = np.random.default_rng(1).normal(size=(30, 64)).astype("f")
    found = export(tmp_path / "given", Export(quantize="int8"), data=x, converter=converter).verification
    assert found.inputs[0].shape == (4, 64)
    assert found.samples == 30


def test_an_unrolled_recurrent_layer_becomes_int8(keras, converter) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([keras.Input((6, 4), name="steps"), layers.LSTM(8, unroll=True), layers.Dense(3)])
    steps = np.random.default_rng(0).normal(size=(80, 6, 4)).astype("f")
    found = export(model, Export(quantize="int8"), data=steps, converter=converter).verification
    assert set(found.ops_by_dtype) == {"int8"}
    rolled = keras.Sequential([keras.Input((6, 4), name="steps"), layers.GRU(8), layers.Dense(3)])
    by_rules = export(rolled, Export(quantize="int8"), data=steps, converter=converter)
    assert by_rules.route == "calibrated by our rules"
    assert [record.name for record in by_rules.verification.packings] == ["slim"]
    with pytest.raises(ConversionError, match=r"holds a loop.* unroll=True"):
        export(rolled, Export(quantize="int16x8"), data=steps, converter=converter)


def test_a_split_that_stayed_in_float_by_accident_is_converted_again(monkeypatch) -> None:
    class Engine:
        def __init__(self) -> None:
            self.contents = [b"float", b"float", b"integers", b"more"]

        def start(self, *args, **settings) -> None:
            pass

        def result(self) -> bytes:
            return self.contents.pop(0)

    lowered, none = types.SimpleNamespace(folder=None, qat=False, batch=1), types.SimpleNamespace(calibration={})
    monkeypatch.setattr(ATTEMPT, "read_model_file", lambda content: content)
    monkeypatch.setattr(ATTEMPT, "float_ops", lambda content: [FloatOp("SPLIT", "x")] if content == b"float" else [])
    engine = Engine()
    assert ConversionRun(Export(quantize="int8"), engine, lowered, none).steady_content(engine.result()) == b"integers"
    assert engine.contents == [b"more"]
    assert ConversionRun(Export(quantize="dynamic"), engine, lowered, none).steady_content(b"float") == b"float"


def test_an_op_without_int8_form_is_refused_with_its_layer_or_allowed_and_reported(keras, converter) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    volume = keras.Input((6, 6, 6, 1), name="volume")
    features = layers.Flatten()(layers.Conv3D(4, 3, name="solid")(volume))
    model = keras.Model(volume, layers.Dense(5, name="answer")(features))
    data = np.random.default_rng(0).normal(size=(40, 6, 6, 6, 1)).astype("f")
    by_rules = export(model, Export(quantize="int8"), data=data, converter=converter)
    assert by_rules.route == "calibrated by our rules"
    assert by_rules.notes[0].startswith("the converter would leave 1 op in float (CONV_3D)")
    with pytest.raises(ContractError, match=r"have no int16x8 form and would stay in float: CONV_3D at '.*solid"):
        export(model, Export(quantize="int16x8"), data=data, converter=converter)
    found = export(model, Export(quantize="int8", float_ops="allow"), data=data, converter=converter).verification
    assert len(found.float_ops) == 1
    assert found.float_ops[0].startswith("CONV_3D at '")
    assert found.ops_by_dtype["float32"] >= 1


def test_tensorflow_ops_are_refused_unless_selected(keras, converter) -> None:
    layers = keras.layers
    model = keras.Sequential([keras.Input((4, 4, 4, 1)), layers.MaxPooling3D(2), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ConversionError, match="no TFLite op for MaxPool3D; replace those layers, or give --select-ops"):
        export(model, converter=converter)


@pytest.mark.usefixtures("first_way_is_enough")
def test_a_runtime_as_a_condition_names_the_ops_that_it_lacks(network, samples, converter) -> None:
    settings = Export(quantize="dynamic", runtimes=("litert>=2.1", "tflite-runtime>=2.14"))
    with pytest.raises(
        ContractError, match=r"must run on tflite-runtime>=2\.14.* it has no FULLY_CONNECTED version 12"
    ):
        export(network, settings, data=samples, converter=converter)
    settings = dataclasses.replace(settings, quantize="int8")
    assert export(network, settings, data=samples, converter=converter).runtimes


def test_a_misspelt_runtime_is_told_before_the_conversion(network) -> None:
    with (
        ConverterProcess(child="tests.tflite.dying_child") as unused,
        pytest.raises(UsageError, match="did you mean 'litert'"),
    ):
        export(network, Export(runtimes=("litrt>=2.1",)), converter=unused)


def test_dynamic_quantization_of_small_kernels_only_is_refused(keras, converter) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ContractError, match="the largest here has 12: the file would stay in float"):
        export(model, Export(quantize="dynamic"), converter=converter)


def test_a_training_wrapper_that_was_left_on_is_refused(keras, converter) -> None:
    class PruneLowMagnitude(keras.layers.Wrapper):
        def call(self, x):
            return self.layer(x)

    model = keras.Sequential([keras.Input((4,)), PruneLowMagnitude(keras.layers.Dense(3), name="pruned")])
    with pytest.raises(
        ContractError, match=r"layer 'pruned' still wears its training wrapper; .* strip_pruning before"
    ):
        export(model, converter=converter)


def test_weights_that_are_not_numbers_are_the_models_fault(keras, converter) -> None:
    model = cnn(keras)
    kernel, bias = model.get_layer("scores").get_weights()
    model.get_layer("scores").set_weights([np.full_like(kernel, np.nan), bias])
    with pytest.raises(ModelError, match="output 'scores' of the Keras model must be finite"):
        export(model, converter=converter)


def test_too_little_agreement_is_refused_with_the_numbers(network, samples, converter) -> None:
    settings = dataclasses.replace(PLAIN, min_agreement_db=90)
    with pytest.raises(ContractError) as caught:
        export(network, settings, data=samples * 3, converter=converter)
    text = str(caught.value)
    assert text.startswith("output 'scores' of the file must agree with the Keras model by at least 90 dB, got ")
    assert "calibration samples are preprocessed as in training" in text


def test_calibration_on_wrongly_scaled_samples_is_caught(keras, converter, tmp_path) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    images = np.random.default_rng(0).random((200, 8, 8, 1)).astype("f")
    lowered = lower(model, tmp_path / "model")
    settings, outputs = Export(quantize="int8"), call(model, {"image": images})
    for factor in (1, 255, 1 / 255):
        content = converter.convert(lowered.folder, settings, {"image": images * factor})
        given = {
            "signature": lowered.signature,
            "inputs": {"image": images},
            "keras_outputs": outputs,
            "float_size_bytes": None,
            "real_samples": True,
        }
        if factor == 1:
            assert (verify(content, settings, **given).agreement[0].sqnr_db or 0) > 25
        else:
            with pytest.raises(ContractError, match="must agree with the Keras model by at least 10 dB, got"):
                verify(content, settings, **given)


@pytest.mark.filterwarnings("ignore")  # tfmot's own, and those of the Keras 2 that it imports
def test_a_model_of_tfmots_is_exported_as_it_was_trained_and_refused_in_its_wrappers(
    tf_keras, samples, converter
) -> None:
    import tensorflow_model_optimization as tfmot

    tf_keras.utils.set_random_seed(0)
    model = cnn(tf_keras)
    with pytest.raises(
        ContractError, match="still wears its training wrapper; finish the job or call tfmot's strip_pr"
    ):
        export(tfmot.sparsity.keras.prune_low_magnitude(model), converter=converter)
    trained = tfmot.quantization.keras.quantize_model(model)
    for _ in range(3):
        trained(samples, training=True)  # moves the ranges
    with_data = export(trained, Export(quantize="int8"), data=samples, float_model=model, converter=converter)
    without = export(trained, Export(quantize="int8"), converter=converter)
    for found in (with_data.verification, without.verification):
        assert set(found.ops_by_dtype) == {"int8"}
        assert (found.agreement[0].sqnr_db or 0) > 25
        assert found.inputs[0].scale == with_data.verification.inputs[0].scale  # the one that was trained
    assert with_data.size_bytes < (with_data.verification.float_size_bytes or 0)
    assert without.verification.float_size_bytes is None
    assert not without.verification.real_samples


def test_inputs_of_any_size_stay_so(keras, converter) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((None, None, 3), name="image")
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(image))
    model = keras.Model(image, layers.Dense(4)(features))
    data = np.random.default_rng(0).normal(size=(20, 10, 14, 3)).astype("f")
    result = export(model, Export(quantize="int8"), data=data, converter=converter)
    assert result.verification.inputs[0].shape == (1, -1, -1, 3)
    assert all(v.good for v in result.runtimes if v.how == "tried")


def fake_quantized(keras):
    class Rounded(keras.layers.Layer):
        def call(self, x):
            import tensorflow as tf

            return tf.quantization.fake_quant_with_min_max_args(x, -4, 4)

    layers = keras.layers
    return keras.Sequential(
        [keras.Input((16,), name="x"), Rounded(), layers.Dense(64), Rounded(), layers.Dense(64), Rounded()]
    )


@pytest.mark.parametrize("scheme", ["none", "dynamic", "int16x8"])
def test_a_model_trained_for_int8_is_exported_as_int8_only(keras, converter, scheme) -> None:
    with pytest.raises(
        UsageError, match=f"export.quantize must be 'int8' for a model trained with fake .* got '{scheme}'"
    ):
        export(fake_quantized(keras), Export(quantize=scheme), converter=converter)


def test_a_training_op_in_the_file_is_refused(keras, converter, tmp_path) -> None:
    model = fake_quantized(keras)
    lowered = lower(model, tmp_path / "model")
    content = converter.convert(lowered.folder, Export(), None)  # as if it were a plain float model
    x = {"x": np.zeros((1, 16), np.float32)}
    with pytest.raises(ContractError, match="must hold no training op, it holds QUANTIZE at"):
        verify(
            content, Export(), signature=lowered.signature, inputs=x, keras_outputs=call(model, x),
            float_size_bytes=None, real_samples=False,
        )  # fmt: skip


@pytest.mark.usefixtures("first_way_is_enough")
def test_zeros_are_encoded_where_that_pays(keras, samples, converter) -> None:
    keras.utils.set_random_seed(0)
    model = cnn(keras)
    kept = np.random.default_rng(0).random((288, 10)) < 0.2
    kernel, bias = model.get_layer("scores").get_weights()
    model.get_layer("scores").set_weights([kernel * kept, bias])
    dense = export(model, Export(sparse="never"), data=samples, converter=converter)
    encoded = export(model, Export(), data=samples, converter=converter)
    eight_bit = export(model, Export(quantize="int8"), data=samples, converter=converter)
    assert encoded.size_bytes < 0.7 * dense.size_bytes
    assert dense.verification.sparse == ""
    assert encoded.verification.sparse.startswith("encoded: ")
    assert eight_bit.verification.sparse.startswith("left dense: ")
    for result in (dense, encoded, eight_bit):
        zeros = {kernel.shape: kernel.zeros for kernel in facts(read_model_file(result.content).subgraphs)}
        assert zeros[10, 288] >= 1 - kept.mean() - 1e-9
    one, other = ([k for k in facts(read_model_file(f.content).subgraphs) if k.zeros > 0.5] for f in (dense, encoded))
    assert (other[0].sparse, other[0].distinct_per_channel) == (True, one[0].distinct_per_channel)


def test_nothing_stays_behind_whether_it_works_or_not(network, samples, tmp_path, monkeypatch) -> None:
    convert.CHILDREN.close()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    export(network, Export(quantize="int8"), data=samples)
    with pytest.raises(ContractError):
        export(network, dataclasses.replace(PLAIN, min_agreement_db=190), data=samples * 5)
    convert.CHILDREN.close()  # the one that waits for the next export
    assert list(tmp_path.iterdir()) == []


def test_a_converter_that_dies_leaves_a_clear_error_and_no_result(network, samples) -> None:
    with (
        ConverterProcess(child="tests.tflite.dying_child") as broken,
        pytest.raises(ConversionError, match="the TFLite converter died by SIGSEGV while converting to float16"),
    ):
        export(network, Export(quantize="float16"), data=samples, converter=broken)


def test_a_result_shows_no_bytes_when_printed(exported) -> None:
    result = exported(Export(quantize="float16"))
    assert isinstance(result, TFLiteModel)
    assert len(repr(result)) < 500


@pytest.mark.parametrize("flavour", ["keras", "tf_keras"])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_trained_in_half_precision_is_exported_in_float32_and_8_bits(
    flavour, policy, request, samples, converter
) -> None:
    from tests.models.test_precision import convolutional

    model = convolutional(request.getfixturevalue(flavour), policy)
    plain, integers = (export(model, Export(quantize=q), data=samples, converter=converter) for q in ("none", "int8"))
    assert {t.dtype for t in (*plain.verification.inputs, *plain.verification.outputs)} == {"float32"}
    assert (plain.verification.agreement[0].sqnr_db or 0) > 100
    assert (integers.verification.agreement[0].sqnr_db or 0) > 30


def test_a_saved_model_of_half_precision_is_refused_for_what_it_is(keras, samples, converter, tmp_path) -> None:
    from tests.models.test_precision import convolutional

    convolutional(keras, "mixed_float16").export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    with pytest.raises(ConversionError, match=r"it computes in half precision, .* export the Keras model that it was"):
        export(tmp_path / "saved", Export(), data=samples, converter=converter)
