"""``tfcompress debug`` from the command line to its lines and the page, with a fault planted each."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from tfcompress.cli.main import run_command
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.lower import lower
from tfcompress.tflite.tree import Numbers, parse_tree
from tfcompress.tflite.tree_writer import write_tree

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
L = keras.layers


def saved(folder, name: str, pooled) -> None:
    """Save a small network and its int8 file, as the plain converter makes it, with all names dropped by slim."""
    from tfcompress.tflite.slim import slim

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    x = L.BatchNormalization(name="norm")(L.Conv2D(8, 3, padding="same", name="conv")(image))
    x = L.DepthwiseConv2D(3, activation="relu", name="depthwise")(L.ReLU(name="relu")(x))
    x = pooled(L.Dropout(0.2, name="drop")(x))
    model = keras.Model(image, L.Dense(4, name="logits")(x))
    model.save(folder / f"{name}.keras")
    lower(model, folder / name)
    images = np.load(folder / "data.npz")["x"]
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / name))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ({"image": each[np.newaxis]} for each in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own interpreter says of itself that it is deprecated
        content = converter.convert()
    (folder / f"{name}.tflite").write_bytes(slim(content))


def narrowed(content: bytes) -> bytes:
    """Return a file whose first convolution has a sixth of its output's range."""
    tree = parse_tree(content)
    number = read_model_file(content).subgraphs[0].ops[0].outputs[0]
    graph = tree.nodes("subgraphs")[0]
    tensors = list(graph.nodes("tensors"))
    quantization = tensors[number].node("quantization")
    assert quantization is not None
    (scale,) = np.frombuffer(quantization.fields["scale"].content, "<f4")
    narrow = quantization.having(scale=Numbers(4, np.float32(scale / 6).tobytes()))
    tensors[number] = tensors[number].having(quantization=narrow)
    return write_tree(tree.having(subgraphs=(graph.having(tensors=tuple(tensors)),)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("debug")
    x = np.random.default_rng(0).random((40, 8, 8, 3)).astype("float32")
    x *= np.random.default_rng(1).random((40, 1, 1, 3)).astype("float32")
    x[0] = 1
    np.savez(folder / "data.npz", x=x)
    saved(folder, "mean", lambda x: L.GlobalAveragePooling2D(name="pool")(x))
    saved(folder, "sum", lambda x: keras.ops.sum(x, axis=(1, 2)))
    (folder / "narrow.tflite").write_bytes(narrowed((folder / "mean.tflite").read_bytes()))
    return folder


@pytest.fixture(autouse=True)
def here(request, monkeypatch, tmp_path):
    monkeypatch.chdir(request.getfixturevalue("folder") if "folder" in request.fixturenames else tmp_path)


def said(words, capfd) -> str:
    assert run_command(["debug", *words, "--data", "data.npz", "--force"]) == 0
    return capfd.readouterr().out


@pytest.mark.slow
def test_every_tensor_of_a_good_file_finds_its_layer_and_nothing_is_wrong(folder, capfd) -> None:
    found = json.loads(said(["mean.tflite", "--model", "mean.keras", "--json"], capfd))
    layers = ["image", "relu", "depthwise", "pool", "logits"]
    assert [row["layer"] for row in found["rows"] if row["op"] != "RESHAPE"] == layers
    assert min(row["snr_db"] for row in found["rows"]) > 20
    assert found["culprit"] is None
    assert [remark for remark in found["remarks"] if remark["gravity"] == "fault"] == []
    assert len(found["worst"]) == 5
    assert "<svg" in (folder / found["page"]).read_text()


@pytest.mark.slow
def test_samples_255_times_too_large_are_told(folder, capfd) -> None:
    out = said(["mean.tflite", "--model", "mean.keras", "--scale", "255"], capfd)
    assert "fault image: " in out
    assert "these samples are 255 times what the file was calibrated on: mend --scale" in out


@pytest.mark.slow
def test_a_layer_that_clips_is_told_by_its_name_in_the_model(folder, capfd) -> None:
    out = said(["narrow.tflite", "--model", "mean.keras"], capfd)
    assert "fault relu: " in out
    assert "of the float model's values [0, " in out


@pytest.mark.slow
def test_an_op_with_a_wrong_kernel_is_found_and_which_kernel_is_right(folder, capfd) -> None:
    """LiteRT 2.3's reference kernel of an int8 SUM gives one number for everything."""
    out = said(["sum.tflite", "--model", "sum.keras"], capfd)
    assert "fault sum (SUM): XNNPACK computes it otherwise than the reference kernel" in out
    assert "XNNPACK is near the float model, the reference kernel is not" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["f.tflite", "--model", "m.keras"], 2, "debug needs samples to run: give --data"),
        (["f.tflite", "--model", "m.keras", "--data", "d.npz", "-o", "page.png"], 2, "-o must end in .html, .htm"),
        (["absent.tflite", "--model", "m.keras", "--data", "d.npz"], 3, "absent.tflite"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capfd, words, code, message) -> None:
    assert run_command(["debug", *words]) == code
    assert message in capfd.readouterr().err


def test_a_page_that_is_there_is_replaced_by_force_only(tmp_path, capfd) -> None:
    (tmp_path / "f-debug.html").write_text("mine")
    assert run_command(["debug", "f.tflite", "--model", "m.keras", "--data", "d.npz"]) == 8
    assert "exists already" in capfd.readouterr().err
