"""The main job from the command line and from Python, on tiny models of every kind of file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from edge_runner.package import unpack
from tfcompress.cli.main import run_command
from tfcompress.recipe import from_dict
from tfcompress.reports import report as reports
from tfcompress.tflite import weights
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.pack import read_metadata

pytestmark = pytest.mark.slow

CLASSES, TRAIN, TEST = 3, 300, 60


def blobs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of 8x8 with a bright patch whose place is the class: easy, but not empty."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    images = rng.random((count, 8, 8, 1), dtype=np.float32) * 0.5
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 2] += 0.5
    return images, labels


def network(keras: Any) -> Any:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.Conv2D(16, 3, padding="same", activation="relu", name="branch")(x)
    x = layers.Flatten()(layers.MaxPooling2D(2)(layers.Add()([x, y])))
    model = keras.Model(inputs, layers.Dense(CLASSES, activation="softmax", name="scores")(x))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*blobs(TRAIN, 0), epochs=4, verbose=0)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the same kind of network in every format, and its data."""
    import keras
    import tf_keras

    path = tmp_path_factory.mktemp("job")
    (x_train, y_train), (x_test, y_test) = blobs(TRAIN, 0), blobs(TEST, 1)
    np.savez(path / "data.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    network(tf_keras).save(path / "net2.h5")
    three = network(keras)
    three.save(path / "net3.keras")
    three.export(path / "saved", verbose=False)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def exported(folder: Path, model: str, *flags: str) -> reports.Report:
    """Export from the command line with the folder's data; return the report."""
    assert (
        run_command(["export", str(folder / model), "--data", str(folder / "data.npz"), *flags, "-o", "out", "--force"])
        == 0
    )
    return reports.read_report(Path("out"))


@pytest.mark.parametrize("model", ["net2.h5", "net3.keras", "saved"])
def test_post_training_int8_of_every_kind_of_file(model: str, folder: Path, here: Path) -> None:
    report = exported(folder, model, "--quantize", "int8")
    flat = read_model_file((here / "out" / report.result.name).read_bytes())
    assert [t.dtype for t in (*flat.inputs, *flat.outputs)] == ["int8", "int8"]
    assert set(weights.ops_by_dtype(flat.subgraphs)) == {"int8"}
    assert report.result.score is not None
    assert report.result.score.samples == TEST
    assert (report.result.score.main_figure.value or 0) >= 0.9
    assert sum(layer.parameters for layer in report.result.layers) == report.result.parameters
    assert sum(layer.macs or 0 for layer in report.result.layers) == report.result.macs
    # Keras numbers what has no name of its own: the second model of a process has add_1
    measured = {re.sub(r"_\d+$", "", layer.name): layer.snr_db or 0.0 for layer in report.result.layers if layer.name}
    assert bool(report.result.layers_note) == (model == "saved")
    assert model == "saved" or min(measured[name] for name in ("stem", "branch", "add", "scores")) > 20
    assert report.baseline is not None
    assert report.result.size_bytes == (here / "out" / report.result.name).stat().st_size
    assert report.comparison.size_ratio == report.baseline.size_bytes / report.result.size_bytes


@pytest.mark.parametrize(
    ("model", "flags", "engine"),
    [("net2.h5", (), "tfmot"), ("net3.keras", (), "native"), ("net3.keras", ("--engine", "tfmot"), "tfmot")],
)
def test_pruning_and_quantization_trained_together(
    model: str, flags: tuple[str, ...], engine: str, folder: Path, here: Path
) -> None:
    report = exported(folder, model, "--prune", "0.5", "--qat", "--epochs", "2", "--learning-rate", "1e-3", *flags)
    content = (here / "out" / report.result.name).read_bytes()
    kernels = weights.facts(read_model_file(content).subgraphs)
    assert len(kernels) == 3
    assert all(kernel.zeros >= 0.5 for kernel in kernels)
    assert all(kernel.dtype == "int8" for kernel in kernels)
    assert report.engine == engine
    assert {(p.what, p.asked) for p in report.result.promises} == {("sparsity", 0.5)}
    assert report.training is not None
    assert len(report.training.history["loss"]) == 2


def test_clusters_are_counted_in_the_file(folder: Path, here: Path) -> None:
    report = exported(folder, "net2.h5", "--cluster", "4", "--epochs", "1")
    kernels = weights.facts(read_model_file((here / "out" / report.result.name).read_bytes()).subgraphs)
    assert all(k.distinct_per_channel is not None and k.distinct_per_channel <= 4 for k in kernels)


def test_the_output_folder_holds_all_that_was_said(folder: Path, here: Path) -> None:
    report = exported(folder, "net2.h5", "--qat", "--epochs", "1", "--seed", "7")
    names = sorted(path.name for path in (here / "out").iterdir())
    beside = ["pictures.json", "recipe.toml", "report.html", "report.json", "test-samples.npz", "trained.h5"]
    assert names == ["log.txt", "net2-qat-int8.tflite", *beside]
    assert tfc.load_recipe(here / "out" / "recipe.toml").to_dict() == report.recipe
    assert report.seeds == {"seed": 7}
    with np.load(here / "out" / "test-samples.npz") as samples:
        assert samples["x.image"].shape == (TEST, 8, 8, 1)
    about = read_metadata((here / "out" / report.result.name).read_bytes())
    assert about is not None
    assert about == {"tool": "tfcompress", "version": tfc.__version__, "recipe": about["recipe"]}
    chosen = {"train": {"epochs": 1, "learning_rate": 1e-5, "seed": 7}, "export": {"quantize": "int8"}}
    assert about["recipe"] == {"format": 1, "stages": [{"kind": "qat"}], **chosen}
    assert from_dict(about["recipe"]).to_dict() == report.recipe


def test_as_many_test_samples_are_written_as_were_asked_for(folder: Path, here: Path) -> None:
    exported(folder, "net2.h5", "--data", str(folder / "data.npz"), "--test-samples", "7")
    with np.load(here / "out" / "test-samples.npz") as samples:
        assert (len(samples["x.image"]), len(samples["y"])) == (7, 7)


def test_a_quantization_aware_model_is_exported_at_once_by_the_literal_command(folder: Path, here: Path) -> None:
    exported(folder, "net2.h5", "--qat", "--epochs", "1")
    first = (here / "out" / "net2-qat-int8.tflite").read_bytes()
    assert run_command(["export", "--qat", "out/trained.h5"]) == 0
    told = reports.read_report(Path("trained-qat-int8")).warnings
    assert "the model is quantization-aware trained already: it was exported as it is, without training" in told
    again = read_model_file((here / "trained-qat-int8" / "trained-qat-int8.tflite").read_bytes())
    assert set(weights.ops_by_dtype(again.subgraphs)) == {"int8"}
    assert weights.facts(again.subgraphs) == weights.facts(read_model_file(first).subgraphs)


def sequence_network(kind: str) -> Any:
    """Build what the converter cannot quantize by itself: it has no int8 NEG, and dies of a loop."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((8, 8, 1), name="image")
    if kind == "volume":
        x = layers.MaxPooling3D(2)(layers.Conv3D(4, 3, activation="relu")(layers.Reshape((4, 4, 4, 1))(inputs)))
        return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax", name="scores")(layers.Flatten()(x)))
    x = layers.Dense(6, name="first")(layers.Reshape((2, 32) if kind == "gru" else (8, 8))(inputs))
    x = layers.GRU(4, name="gated")(x) if kind == "gru" else layers.Flatten()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax", name="scores")(x))


@pytest.mark.parametrize(
    ("kind", "flags", "why"),
    [
        ("normalized", [], r"would leave 1 op in float \(NEG\)"),
        ("normalized", ["--prune", "0.5", "--epochs", "1"], r"would leave 1 op in float \(NEG\)"),
        ("gru", [], r"cannot quantize the loops of recurrent layers to int8: gated \(TFLite has no op for GRU\)"),
        ("volume", [], "refuses to convert to int8: no TFLite op for MaxPool3D"),
    ],
)
def test_post_training_int8_of_what_the_converter_cannot_quantize(
    kind: str, flags: list[str], why: str, folder: Path, here: Path
) -> None:
    sequence_network(kind).save(here / "net.keras")
    report = exported(folder, str(here / "net.keras"), "--quantize", "int8", *flags)
    found = report.result.verification
    assert found["float_ops"] == []
    assert found["agreement"][0]["sqnr_db"] > 20  # of the file, against the float model
    assert found["exact"]["equal"] == 1.0
    assert re.search(f"{why}: so the model was rewritten as for --qat", " ".join(report.warnings))
    if flags:
        assert {promise.what for promise in report.result.promises} == {"sparsity"}
    assert tfc.load_model(here / "net.keras").keras3 is not None


def test_a_model_that_has_no_float_file_is_trained_for_int8(folder: Path, here: Path) -> None:
    sequence_network("volume").save(here / "net.keras")
    report = exported(folder, str(here / "net.keras"), "--qat", "--epochs", "1")
    assert report.baseline is None
    assert report.result.verification["float_ops"] == []
    assert any(text.startswith("there is no float file to compare with: ") for text in report.warnings)
    assert run_command(["export", str(here / "net.keras"), "--quantize", "dynamic", "-o", "other"]) == 6
    assert not (here / "other").exists()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({}, tfc.ContractError),  # there is no graph to rewrite
        ({"float_ops": "allow", "io": "float32"}, None),
    ],
)
def test_what_cannot_be_rewritten_says_what_the_converter_said(
    settings: dict[str, Any], error: type[Exception] | None, folder: Path
) -> None:
    import keras

    class Bare(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inside = sequence_network("normalized")

        def call(self, x: Any) -> Any:
            return self.inside(x)

    model, images = Bare(), blobs(64, 0)
    model(images[0])
    recipe = tfc.Recipe(export=tfc.Export(quantize="int8", **settings))
    if error is None:
        verification = tfc.compress(model, recipe, images).tflite.verification
        assert [op.split(" at ")[0] for op in verification.float_ops] == ["NEG"]
        return
    with pytest.raises(error, match=r"1 of \d+ ops have no int8 form and would stay in float: NEG at"):
        tfc.compress(model, recipe, images)


@pytest.mark.parametrize(("quantize", "dtype"), [("dynamic", "int8"), ("float16", "float16"), ("none", "float32")])
def test_what_needs_no_data_is_exported_without(quantize: str, dtype: str, folder: Path, here: Path) -> None:
    assert run_command(["export", str(folder / "net3.keras"), "--quantize", quantize, "-o", "out"]) == 0
    report = reports.read_report(Path("out"))
    kernels = weights.facts(read_model_file((here / "out" / report.result.name).read_bytes()).subgraphs)
    assert max(kernels, key=lambda k: np.prod(k.shape)).dtype == dtype
    assert report.result.score is None
    assert report.result.verification["real_samples"] is False


def test_json_goes_to_stdout_and_reads_back(folder: Path, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    words = ["--quantize", "dynamic", "--optimize-for", "download", "--json", "-o", "out"]
    assert run_command(["export", str(folder / "net2.h5"), *words]) == 0
    out, _ = capfd.readouterr()
    report = reports.read_report(Path("out"))
    assert reports.from_json(out) == report
    package = next(Path("out").glob("*.tfz")).read_bytes()
    assert len(package) == report.result.package_bytes
    assert unpack(package) == (Path("out") / report.result.name).read_bytes()


def test_evaluate_agrees_between_the_keras_file_and_its_float_export(
    folder: Path, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exported(folder, "net2.h5")
    found = []
    for model in (folder / "net2.h5", here / "out" / "net2-float32.tflite"):
        capfd.readouterr()
        assert run_command(["evaluate", str(model), "--data", str(folder / "data.npz"), "--json"]) == 0
        found.append(json.loads(capfd.readouterr().out))
    assert found[0]["figures"]["top1"] == found[1]["figures"]["top1"]
    assert found[0]["samples"] == TEST


def test_evaluate_refuses_a_split_that_is_not_there(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["evaluate", str(folder / "net2.h5"), "--data", str(folder / "data.npz"), "--split", "val"]) == 2
    assert "--split must be one of train, test (what the data holds), got 'val'" in capfd.readouterr().err


def test_inspect_counts_the_same_parameters_and_macs_in_keras_and_in_tflite(
    folder: Path, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exported(folder, "net2.h5")
    found = []
    for model in (folder / "net2.h5", here / "out" / "net2-float32.tflite"):
        capfd.readouterr()
        assert run_command(["inspect", str(model), "--json"]) == 0
        found.append(json.loads(capfd.readouterr().out))
    macs = 8 * 8 * 16 * 9 * 1 + 8 * 8 * 16 * 9 * 16 + 4 * 4 * 16 * CLASSES
    assert [f["macs"] for f in found] == [macs, macs]
    kernels = 9 * 1 * 16 + 9 * 16 * 16 + 4 * 4 * 16 * CLASSES
    assert found[0]["parameters"] == kernels + 4 * 16 + 16 + CLASSES
    assert sum(k["size_bytes"] for k in found[1]["kernels"]) == 4 * kernels


@pytest.mark.parametrize("load", [str, Path, tfc.load_model])
def test_one_call_from_python_writes_nothing_unless_asked(load: Callable[[Any], Any], folder: Path, here: Path) -> None:
    model = load(folder / "net3.keras")
    result = tfc.compress(model, "int8", tfc.load_data(folder / "data.npz"))
    assert result.folder is None
    assert result.report.result.sha256 == result.tflite.sha256
    assert tfc.export(model).verification.macs == result.tflite.verification.macs
    assert list(here.iterdir()) == []


def test_what_was_loaded_is_taken_everywhere(folder: Path) -> None:
    loaded = tfc.load_model(folder / "net3.keras")
    job = tfc.attach(loaded, tfc.QAT(), samples=blobs(32, 0)[0])
    assert job.model.count_params() > loaded.native.count_params()
    assert tfc.compress(loaded.native, tfc.Recipe()).tflite.content == tfc.compress(loaded, tfc.Recipe()).tflite.content


def test_an_existing_output_is_refused_and_stays(folder: Path, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    exported(folder, "net2.h5")
    before = (here / "out" / "report.json").read_bytes()
    assert run_command(["export", str(folder / "net2.h5"), "-o", "out"]) == 8
    assert "give --force" in capfd.readouterr().err
    assert (here / "out" / "report.json").read_bytes() == before


def without_times(report: reports.Report) -> dict[str, Any]:
    """Return a report's plain values but for when it was made and how long things took."""
    plain = report.to_dict()
    for name in ("created_utc", "wall_seconds"):
        del plain[name]
    if plain["training"]:
        del plain["training"]["wall_seconds"]
    return plain


RECIPES = [
    tfc.Recipe(export=tfc.Export(quantize="int8")),
    tfc.Recipe(
        stages=(tfc.Prune(sparsity=0.5, frequency=1), tfc.QAT()),
        export=tfc.Export(quantize="int8"),
        train=tfc.Train(epochs=1, seed=3, holdout=0.3),
    ),
    tfc.Recipe(
        stages=(tfc.Channels(remove=0.4, round_to=1), tfc.Distill()), train=tfc.Train(epochs=2, limit=100, seed=1)
    ),
    tfc.Recipe(export=tfc.Export(quantize="float16", select_ops=True)),
]


def test_recipes_on_one_workbench_give_what_calls_of_their_own_give(folder: Path) -> None:
    whole = blobs(TRAIN, 0)  # in one piece: what is held out differs from recipe to recipe
    alone = [tfc.compress(folder / "net3.keras", recipe, whole) for recipe in RECIPES]
    with tfc.Workbench(folder / "net3.keras", whole) as bench:
        together = [bench.run(recipe) for recipe in RECIPES]
        backwards = [bench.run(recipe) for recipe in reversed(RECIPES[:2])]
    for one, other in zip([*alone, alone[1], alone[0]], [*together, *backwards], strict=True):
        assert one.tflite.content == other.tflite.content
        assert without_times(one.report) == without_times(other.report)


def test_what_recipes_share_is_made_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tfcompress import baselines, workbench
    from tfcompress.models import loading
    from tfcompress.tflite import recurrent_forms

    calls: list[str] = []

    def watch(module: Any, name: str) -> None:
        real = getattr(module, name)

        def watched(*args: Any, **options: Any) -> Any:
            calls.append(name)
            return real(*args, **options)

        monkeypatch.setattr(module, name, watched)

    watch(loading, "load_model")
    watch(recurrent_forms, "float_file")
    watch(workbench, "evaluate_file")
    watch(baselines, "evaluate_file")
    with tfc.Workbench(folder / "net3.keras", folder / "data.npz") as bench:
        for quantize in ("int8", "float16", "dynamic"):
            bench.run(tfc.Recipe(export=tfc.Export(quantize=quantize)))  # type: ignore[arg-type]
        assert (calls.count("float_file"), calls.count("evaluate_file")) == (1, 1 + 3)
        assert bench.baseline is not None
        assert bench.baseline.score.score == bench.score(bench.baseline.content).score
        bench.run(tfc.Recipe(export=tfc.Export(quantize="dynamic", select_ops=True)))
        assert calls.count("float_file") == 2  # another float file
    assert calls.count("load_model") == 1


def test_a_workbench_exports_what_was_trained_elsewhere(folder: Path) -> None:
    import keras

    trained = network(keras)
    with tfc.Workbench(folder / "net3.keras", folder / "data.npz") as bench:
        file = bench.export(trained, tfc.Export(quantize="int8"))
        assert file.route == "converter"
        assert file.verification.float_size_bytes is not None
        assert bench.score(file).score.main_figure.value >= 0.9


def test_a_score_without_data_says_what_is_missing(folder: Path) -> None:
    with (
        tfc.Workbench(folder / "net3.keras") as bench,
        pytest.raises(tfc.DataError, match="this workbench has none; give data to Workbench"),
    ):
        bench.score(b"")


@pytest.mark.parametrize("given", ["array", "by name", "pair", "splits", "loaded", "stream"])
def test_export_takes_the_route_that_compress_takes_with_data_in_any_form(given: str, folder: Path) -> None:
    import tensorflow as tf

    model, (x, y) = sequence_network("normalized"), blobs(64, 0)
    data: dict[str, Any] = {
        "array": x,
        "by name": {"image": x},
        "pair": (x, y),
        "splits": {"x_train": x, "y_train": y},
        "loaded": tfc.load_data((x, y)),
        "stream": tf.data.Dataset.from_tensor_slices((x, y)).batch(16),
    }
    settings = tfc.Export(quantize="int8")
    file = tfc.export(model, settings, data=data[given])
    assert file.route == "calibrated by our rules"
    assert re.search(r"would leave 1 op in float \(NEG\): so the model was rewritten as for --qat", file.notes[0])
    if given == "pair":
        result = tfc.compress(model, tfc.Recipe(export=settings), data[given])
        assert result.tflite.route == file.route
        assert set(file.notes) <= set(result.report.warnings)
