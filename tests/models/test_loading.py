import hashlib
import json
import shutil
import subprocess
import sys
import warnings
import zipfile

import h5py
import numpy as np
import pytest

import tfcompress as tfc
from tests.models import small_models
from tests.models.small_models import build
from tfcompress.errors import ModelError, UnsupportedError, UntrustedCodeError, UsageError
from tfcompress.models.custom_objects import import_objects
from tfcompress.models.loading import Loaded, keras_of, load_model
from tfcompress.models.signature import call, check_finite, random_inputs, signature_of

FORMATS = ("h5", "keras")


def save(model, path):
    """Save a model as its Keras does, without its advice on formats."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def outputs(model):
    return call(model, random_inputs(signature_of(model), 3, seed=1))


def same(model, other):
    for got, expected in zip(outputs(model).values(), outputs(other).values(), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)
    return True


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(
    "kind", [small_models.mlp, small_models.mobile, small_models.nested, small_models.dict_io, small_models.raw_ops]
)
def test_what_either_keras_saves_in_either_format_is_there_in_both(kind, ending, keras_module, tmp_path):
    model = build(kind, keras_module)
    loaded = load_model(save(model, tmp_path / f"model.{ending}"))
    assert loaded.writer == ("keras3" if keras_module.__name__ == "keras" else "keras2")
    assert (loaded.refusal, loaded.qat, loaded.saved_model, loaded.notes) == ("", False, None, ())
    assert keras_of(loaded.keras3) == "keras3"
    assert keras_of(loaded.for_tfmot()) == "keras2"
    assert same(loaded.native, model)
    assert same(loaded.keras3, model)
    assert same(loaded.for_tfmot(), model)


def test_the_native_model_is_the_one_of_the_keras_that_wrote_it(keras_module, tmp_path):
    loaded = load_model(save(build(small_models.mlp, keras_module), tmp_path / "model.keras"))
    if keras_module.__name__ == "keras":
        assert (loaded.native is loaded.keras3, loaded.keras2) == (True, None)
    else:
        assert loaded.native is loaded.keras2 is loaded.for_tfmot()


@pytest.mark.parametrize(("saved", "named"), [("model.keras", "model.h5"), ("model.h5", "model.keras")])
def test_the_name_of_a_file_does_not_matter(saved, named, keras_module, tmp_path):
    model = build(small_models.mlp, keras_module)
    save(model, tmp_path / saved).rename(tmp_path / named)
    assert same(load_model(tmp_path / named).native, model)


def test_the_source_and_its_hash_are_kept(keras, tmp_path):
    path = save(build(small_models.mlp, keras), tmp_path / "model.keras")
    loaded = load_model(str(path))
    assert loaded.source == str(path)
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_sequential_configs_of_keras_2_1_are_read(tf_keras, tmp_path):
    model = build(small_models.mlp, tf_keras)
    path = save(model, tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        layers = [layer for layer in config["config"]["layers"] if layer["class_name"] != "InputLayer"]
        layers[0]["config"]["batch_input_shape"] = [None, 8]
        for layer in layers:
            for entry in ("module", "registered_name", "build_config"):
                layer.pop(entry, None)
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers})
        file.attrs["keras_version"] = "2.1.5"
    loaded = load_model(path)
    np.testing.assert_allclose(
        next(iter(outputs(loaded.keras3).values())), next(iter(outputs(model).values())), atol=1e-6
    )


def test_a_name_registered_as_something_else_is_refused_by_both_names(keras, tmp_path):
    path = save(build(small_models.mlp, keras), tmp_path / "model.keras")
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["config.json"] = files["config.json"].replace(b'"registered_name": null', b'"registered_name": "shop>Evil"')
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(UntrustedCodeError, match=r"names 'keras.*', registered as 'shop>Evil', in layer"):
        load_model(path)


def test_a_saved_model_can_be_exported_only(keras_module, tmp_path):
    model = build(small_models.mlp, keras_module)
    folder = tmp_path / "saved"
    model.export(folder)
    loaded = load_model(folder)
    assert (loaded.writer, loaded.saved_model, loaded.native, loaded.keras3) == ("savedmodel", folder, folder, None)
    assert len(loaded.sha256) == 64
    with pytest.raises(UnsupportedError, match="a SavedModel holds no Keras layers; only post-training quantization"):
        loaded.for_tfmot()


def test_a_saved_model_that_writes_files_is_refused(tmp_path):
    import tensorflow as tf

    class Writing(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 1))])
        def serve(self, x):
            tf.io.write_file(str(tmp_path / "written"), "something")
            return {"y": x}

    module = Writing()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": module.serve})
    with pytest.raises(UntrustedCodeError, match=r"operations that reach outside it \(WriteFile\).*--trust"):
        load_model(tmp_path / "saved")
    assert load_model(tmp_path / "saved", trust=True).writer == "savedmodel"


def test_a_damaged_saved_model_is_one_clear_line(tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"not a protocol buffer")
    with pytest.raises(ModelError, match=r"its saved_model\.pb is damaged"):
        load_model(tmp_path / "saved")


def test_model_objects_of_either_keras_are_taken_as_they_are(keras_module):
    model = build(small_models.residual, keras_module)
    loaded = load_model(model)
    assert (loaded.native is model, loaded.source, loaded.sha256) == (True, "residual", None)
    assert same(loaded.keras3, model)


def test_a_subclassed_object_can_be_exported_only(keras_module):
    loaded = load_model(build(small_models.subclassed, keras_module))
    assert loaded.keras3 is None
    with pytest.raises(UnsupportedError, match="a subclassed model has no graph of layers"):
        loaded.for_tfmot()


def test_something_that_is_no_model_is_refused():
    with pytest.raises(UsageError, match="must be a Keras 3 model, a tf_keras model or the path of one, got int"):
        load_model(3)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_lambda_runs_only_when_trusted(ending, keras_module, tmp_path):
    model = build(small_models.lambda_layer, keras_module)
    path = save(model, tmp_path / f"model.{ending}")
    with pytest.raises(UntrustedCodeError, match="holds a Lambda layer 'twice_less_one', that is code; load it with"):
        load_model(path)
    assert same(load_model(path, trust=True).keras3, model)


def test_a_lambda_in_a_nested_model_is_found(keras_module, tmp_path):
    i = keras_module.Input((4,))
    path = save(keras_module.Model(i, build(small_models.lambda_layer, keras_module)(i)), tmp_path / "model.keras")
    with pytest.raises(UntrustedCodeError, match="twice_less_one"):
        load_model(path)


CUSTOM = """
import {keras} as keras

@keras.saving.register_keras_serializable("shop")
class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x

@keras.saving.register_keras_serializable("shop")
class Net(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(2)

    def call(self, x):
        return self.dense(x)

def factory():
    i = keras.Input((4,))
    return keras.Model(i, Doubled(name="doubled")(i))
"""


@pytest.fixture
def shop(tmp_path, monkeypatch, keras_module):
    """Write a module of custom objects into the current directory, and forget it afterwards."""
    name = f"shop_{keras_module.__name__}"
    (tmp_path / f"{name}.py").write_text(CUSTOM.format(keras=keras_module.__name__))
    monkeypatch.chdir(tmp_path)
    yield name
    forget(name, keras_module)


def forget(module, keras_module):
    """Let a custom module be as unknown as in a new process."""
    sys.modules.pop(module, None)
    for name in ("Doubled", "Net"):
        keras_module.saving.get_custom_objects().pop(f"shop>{name}", None)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_custom_layer_needs_to_be_named(shop, ending, keras_module, tmp_path):
    model = import_objects([f"{shop}:factory"])["factory"]()
    path = save(model, tmp_path / f"model.{ending}")
    forget(shop, keras_module)
    with pytest.raises(ModelError, match=r"needs 'Doubled', which is not part of Keras; give --custom \w+:Doubled"):
        load_model(path)
    loaded = load_model(path, custom=[f"{shop}:Doubled"])
    assert same(loaded.native, model)
    if loaded.writer == "keras2":
        assert loaded.for_tfmot() is loaded.native
    else:
        with pytest.raises(UnsupportedError, match="layer 'doubled' cannot be carried to Keras 2"):
            loaded.for_tfmot()


def test_a_subclassed_keras_3_file_can_be_exported_only(keras, tmp_path, monkeypatch):
    (tmp_path / "shop_net.py").write_text(CUSTOM.format(keras="keras"))
    monkeypatch.chdir(tmp_path)
    model = import_objects(["shop_net:Net"])["Net"]()
    model(np.zeros((1, 4), "float32"))
    path = save(model, tmp_path / "net.keras")
    forget("shop_net", keras)
    loaded = load_model(path, custom=["shop_net:Net"])
    assert same(loaded.native, model)
    assert (loaded.keras3, loaded.refusal.partition(";")[0]) == (None, "a subclassed model has no graph of layers")
    forget("shop_net", keras)


@pytest.mark.parametrize(
    ("custom", "message"),
    [
        ("Doubled", "--custom must be module:NAME, got 'Doubled'"),
        ("no_such_module_here:Doubled", "module 'no_such_module_here' cannot be imported: No module named"),
        ("json:Doubled", "has no 'Doubled'"),
    ],
)
def test_custom_objects_that_are_not_there_are_refused(custom, message, keras):
    with pytest.raises(UsageError, match=message):
        load_model(build(small_models.mlp, keras), custom=[custom])


KERAS = "is a TFLite file already; give the Keras model it was made from"
MALFORMED = "malformed TFLite file"


@pytest.mark.parametrize(
    ("way", "line"),
    [
        (load_model, KERAS),
        (tfc.load_model, KERAS),
        (tfc.export, MALFORMED),
        (lambda path: tfc.compress(path, tfc.Recipe(), progress=False), MALFORMED),
        (lambda path: tfc.Workbench(path, progress=False).loaded, MALFORMED),
    ],
    ids=["load", "load_model", "export", "compress", "Workbench"],
)
def test_a_malformed_tflite_file_is_one_class_of_error_wherever_it_is_given(way, line, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    with pytest.raises(ModelError, match=line):
        way(str(path))


def test_weights_that_do_not_fit_the_configuration_are_one_clear_line(tf_keras, tmp_path):
    path = save(build(small_models.mlp, tf_keras), tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"]["units"] = 7
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ModelError, match=r"written by Keras 2 2\.[0-9.]+, cannot be rebuilt") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_nan_in_the_weights_of_a_file_is_found_by_its_layer(keras, tmp_path):
    model = build(small_models.mlp, keras)
    kernel, bias = model.get_layer("y").get_weights()
    model.get_layer("y").set_weights([kernel, bias * np.nan])
    loaded = load_model(save(model, tmp_path / "model.keras"))
    with pytest.raises(ModelError, match="'y' holds NaN in 3 of 3 values of its 'bias'"):
        check_finite(loaded.native)


def test_loaded_carries_over_the_bridge_once(keras):
    loaded = load_model(build(small_models.mlp, keras))
    assert loaded.for_tfmot() is loaded.for_tfmot()
    assert isinstance(loaded, Loaded)


def test_a_file_that_names_a_module_of_its_own_is_not_imported(keras, tmp_path):
    import zipfile

    path = save(build(small_models.mlp, keras), tmp_path / "model.keras")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][1] |= {"module": "evil_module", "class_name": "Boom", "registered_name": "Boom"}
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(tmp_path / "evil.keras", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(ModelError, match="needs 'Boom', which is not part of Keras; give --custom evil_module:Boom"):
        load_model(tmp_path / "evil.keras")


@pytest.mark.slow
def test_a_quantization_aware_model_of_tfmot_comes_back_with_its_wrappers(tf_keras, tmp_path):
    tfmot = pytest.importorskip("tensorflow_model_optimization")
    quantized = tfmot.quantization.keras.quantize_model(build(small_models.residual_plain, tf_keras))
    loaded = load_model(save(quantized, tmp_path / "model.h5"))
    assert (loaded.qat, loaded.writer, loaded.keras3) == (True, "keras2", None)
    assert same(loaded.native, quantized)
    assert signature_of(loaded.native).outputs[0].name == "scores"
    with pytest.raises(UnsupportedError, match="holds quantization-aware training already"):
        loaded.for_tfmot()
    assert load_model(quantized).qat


@pytest.mark.slow
def test_pruning_and_clustering_wrappers_are_taken_off_and_that_is_told(tf_keras, tmp_path):
    tfmot = pytest.importorskip("tensorflow_model_optimization")
    schedule = tfmot.sparsity.keras.ConstantSparsity(0.5, begin_step=0)
    pruned = tfmot.sparsity.keras.prune_low_magnitude(build(small_models.residual_plain, tf_keras), schedule)
    for layer in pruned.layers:
        for _, mask, _ in getattr(layer, "pruning_vars", ()):
            mask.assign(np.resize([0.0, 1.0], mask.shape))
    loaded = load_model(save(pruned, tmp_path / "pruned.h5"))
    kernels = [layer.kernel.numpy() for layer in loaded.native.layers if hasattr(layer, "kernel")]
    assert len(kernels) == 3
    assert all(np.count_nonzero(k) == k.size // 2 for k in kernels)
    assert "pruning wrappers; they were taken off" in loaded.notes[0]

    centroids = {
        "number_of_clusters": 4,
        "cluster_centroids_init": tfmot.clustering.keras.CentroidInitialization.LINEAR,
    }
    clustered = tfmot.clustering.keras.cluster_weights(build(small_models.residual_plain, tf_keras), **centroids)
    loaded = load_model(save(clustered, tmp_path / "clustered.h5"))
    assert all(len(np.unique(layer.kernel)) <= 4 for layer in loaded.native.layers if hasattr(layer, "kernel"))
    assert "clustering wrappers; they were taken off" in loaded.notes[0]


def test_the_copied_tree_is_read_from_anywhere(keras, tmp_path, monkeypatch):
    path = save(build(small_models.mlp, keras), tmp_path / "model.keras")
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(path, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_model("model.keras").source == "model.keras"


def test_a_facade_that_is_still_being_pruned_is_refused(keras, tf_keras):
    class PruneLowMagnitude(tf_keras.layers.Wrapper):
        def call(self, x):
            return self.layer(x)

    i = tf_keras.Input((4,))
    facade = build(small_models.frozen, keras)
    facade.tfcompress_graph = tf_keras.Model(i, PruneLowMagnitude(tf_keras.layers.Dense(2))(i))
    with pytest.raises(UsageError, match=r"is still in training wrappers; give what job\.finish\(\) returns"):
        load_model(facade)


def test_what_a_model_got_on_the_bridge_is_known_in_a_new_process(keras, tf_keras, tmp_path):
    carried = load_model(build(small_models.hard, tf_keras)).keras3
    path = save(carried, tmp_path / "model.keras")
    code = (
        "import sys; from tfcompress.models.loading import load_model; from tfcompress.models.signature import *;"
        "m = load_model(sys.argv[1]).native;"
        "print(float(next(iter(call(m, random_inputs(signature_of(m), 3, 1)).values()))[0, 0]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(float(next(iter(outputs(carried).values()))[0, 0]), abs=1e-6)
