import json
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from tfcompress.errors import ModelError
from tfcompress.fork_server import ForkServer
from tfcompress.models import probing
from tfcompress.models.probing import FileInfo, probe
from tfcompress.safety.configuration import Name, find_names

MODEL = {"class_name": "Sequential", "config": {"name": "m", "layers": []}}


def write_h5(path, config=MODEL, version="2.15.0", weights=1000, **attributes):
    with h5py.File(path, "w") as file:
        file.create_dataset("model_weights/dense/kernel", data=np.ones(weights, np.float32))
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
        if version is not None:
            file.attrs["keras_version"] = version
        for name, value in attributes.items():
            file.attrs[name] = value
    return path


def write_keras(path, config=MODEL, version="3.15.1", weights=1000, **options):
    inner = path.with_suffix(".weights")
    with h5py.File(inner, "w") as file:
        file.create_dataset("layers/dense/vars/0", data=np.ones(weights, np.float32))
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config))
        archive.write(inner, "model.weights.h5")
    inner.unlink()
    return path


def test_an_h5_file_says_who_wrote_it(tmp_path):
    path = write_h5(tmp_path / "model.h5")
    assert probe(path) == FileInfo("h5", "keras2", "2.15.0", "Sequential", path.stat().st_size)
    assert probe(write_h5(tmp_path / "new.h5", version="3.1.0")).writer == "keras3"
    assert probe(write_h5(tmp_path / "old.h5", version=None)).writer == "keras2"


def test_a_keras_file_says_who_wrote_it_whatever_its_name(tmp_path):
    info = probe(write_keras(tmp_path / "model.h5"))
    assert (info.kind, info.writer, info.writer_version) == ("keras", "keras3", "3.15.1")
    assert probe(write_keras(tmp_path / "two.keras", version="2.15.0")).writer == "keras2"


def test_wrappers_code_and_foreign_classes_are_found(tmp_path):
    layers = [
        {
            "class_name": "QuantizeWrapperV2",
            "config": {"name": "quant_dense"},
            "module": "tensorflow_model_optimization.x",
        },
        {"class_name": "Lambda", "config": {"name": "scale"}, "module": "keras.layers"},
        {"class_name": "Mine", "config": {"name": "mine"}, "module": "shop.layers", "registered_name": "shop>Mine"},
    ]
    info = probe(write_keras(tmp_path / "m.keras", {"class_name": "Functional", "config": {"layers": layers}}))
    assert (info.qat, info.has_code) == (True, True)
    assert info.code == ("Lambda layer 'scale'",)
    assert Name("class", "Mine", "shop.layers", "shop>Mine", "mine") in info.names


def test_a_call_of_an_unsafe_function_is_code():
    layer = {"class_name": "TFOpLambda", "config": {"name": "tf.io.write_file", "function": "io.write_file"}}
    assert find_names({"config": {"layers": [layer]}}).code == ["call of tf.io.write_file in layer 'tf.io.write_file'"]
    marshalled = {"class_name": "Dense", "config": {"activation": {"class_name": "__lambda__", "config": {}}}}
    assert find_names([marshalled]).code == ["Lambda layer '__lambda__'"]


def test_a_tflite_file_is_known_by_its_identifier(tmp_path):
    (tmp_path / "model").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(20))
    assert probe(tmp_path / "model") == FileInfo("tflite", "tflite", None, None, 28)


def test_a_saved_model_is_a_folder_of_that_file(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"12345")
    assert probe(tmp_path) == FileInfo("savedmodel", "tensorflow", None, None, 5)


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content) and folder / name


def cut(make, share):
    """Write a file and cut it off."""

    def made(folder):
        path = make(folder)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        return path

    return made


def empty(folder):
    (folder / "empty.h5").touch()
    return folder / "empty.h5"


def flipped(folder):
    path = write_keras(folder / "m.keras")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    return path


def zipped(**members):
    def made(folder):
        with zipfile.ZipFile(folder / "m.keras", "w") as archive:
            for name, content in members.items():
                archive.writestr(name.replace("__", "/").replace("_json", ".json").replace("_pkl", ".pkl"), content)
        return folder / "m.keras"

    return made


def weights_only(folder):
    return write_h5(folder / "m.h5", config=None, layer_names=["dense"])


def other_hdf5(folder):
    return write_h5(folder / "m.h5", config=None)


def external(folder):
    path = write_h5(folder / "m.h5")
    with h5py.File(path, "r+") as file:
        file["outside"] = h5py.ExternalLink("/etc/hostname", "/")
    return path


def stored_elsewhere(folder):
    path = write_h5(folder / "m.h5")
    with h5py.File(path, "r+") as file:
        file.create_dataset("model_weights/far", (8,), "u1", external=[("/etc/hostname", 0, 8)])
    return path


def bomb(folder):
    path = write_h5(folder / "m.h5")
    with h5py.File(path, "r+") as file:
        file.create_dataset("model_weights/huge", (1 << 40,), "f4", chunks=(1024,))
    return path


def bad_json(folder):
    path = write_h5(folder / "m.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = "{"
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nothing.h5", "no such file"),
        (empty, "the file is empty"),
        (write("photo.h5", b"\xff\xd8\xff\xe0" + bytes(600)), "it is a JPEG image, not a Keras model"),
        (write("notes.h5", b"just some words\n" * 50), "it is a text file, not a Keras model"),
        (write("noise.h5", bytes(range(256)) * 4), "it is no format known here"),
        (write("m.keras", b"\x80\x04\x95" + bytes(100)), "it is a Python pickle"),
        (lambda folder: folder, "it is a folder without saved_model.pb"),
        (lambda folder: "/dev/null", "it is neither a file nor a folder"),
        (cut(lambda folder: write_h5(folder / "m.h5", weights=100_000), 0.5), "it is truncated or damaged"),
        (cut(lambda folder: write_keras(folder / "m.keras", weights=100_000), 0.5), "it is truncated or damaged"),
        (flipped, "does not match its checksum|it is truncated or damaged"),
        (zipped(a="b"), "it is a zip file without config.json"),
        (zipped(archive__data_pkl="x"), "it is a PyTorch file"),
        (zipped(config_json="{}"), r"it holds no weights \(model.weights.h5 is missing\)"),
        (weights_only, r"it holds weights only, no model; save the whole model with model.save"),
        (other_hdf5, "it is an HDF5 file, but holds no Keras model"),
        (external, "'outside' in it is a link to another file"),
        (stored_elsewhere, "the weights 'far' in it are stored in another file"),
        (bomb, "it claims far more weights than it can hold"),
        (bad_json, "its model_config is not JSON"),
    ],
)
def test_what_is_not_a_model_is_one_clear_line(make, message, tmp_path):
    with pytest.raises(ModelError, match=message) as caught:
        probe(make(tmp_path))
    assert str(caught.value).startswith("model '")
    assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_one_clear_line(tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "m.h5").touch()
    monkeypatch.setattr(Path, "open", denied)  # root may read everything
    with pytest.raises(ModelError, match="cannot be read: Permission denied"):
        probe(tmp_path / "m.h5")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crashes", r"reading it killed the reading process \(SIGSEGV\); the file is damaged"),
        ("fails", "reading it failed: LookupError: first line$"),
        ("hungers", "reading it failed: MemoryError$"),
        ("hangs", "reading it takes forever; the file is damaged"),
    ],
)
def test_what_goes_wrong_in_the_reading_process_is_one_clear_line(name, message, tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "FORKS", ForkServer("tests.models.sleepy_load_child"))
    monkeypatch.setattr(probing, "TIMEOUT_SECONDS", 0.3 if name == "hangs" else 60.0)
    with pytest.raises(ModelError, match=message):
        probe(write_h5(tmp_path / name))


def test_the_reading_process_imports_no_tensorflow(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; from tfcompress.models.probe_child import look; from pathlib import Path;"
        "look(Path(sys.argv[1])); print(sorted({'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, os.fspath(write_h5(tmp_path / "m.h5"))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
