"""What a killed run leaves behind serves the same run, gives what an unkilled one gives, and serves no other."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.models.fingerprints import LIBRARIES, model_sha256
from tfcompress.models.loading import load_model
from tfcompress.models.signature import signature_of
from tfcompress.resumption import Finished, Work, data_sha256, run_key, sources_sha256

pytestmark = pytest.mark.slow

FEATURES, CLASSES = 12, 3


def samples(count: int = 96, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    vectors = rng.random((count, FEATURES), dtype=np.float32)
    vectors[np.arange(count), labels] += 1.0
    return vectors, labels


def data(seed: int = 0) -> dict[str, np.ndarray]:
    (x_train, y_train), (x_test, y_test) = samples(seed=seed), samples(48, seed + 1)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def network(keras: Any, seed: int = 0) -> Any:
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    inputs = keras.Input((FEATURES,), name="vector")
    x = layers.BatchNormalization(name="norm")(layers.Dense(16, use_bias=False, name="first")(inputs))
    x = layers.ReLU(name="relu")(x)
    if keras.__name__ == "keras":  # Keras 2 keeps the random state of Dropout where nobody can save it
        x = layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax", name="scores")(x), name="same_name")


def bound(values: Any, model: Any, **options: Any) -> Any:
    return tfc.load_data(values).bind(signature_of(model), **options)


# --- which run it was


def test_models_of_one_name_and_graph_are_told_apart_by_their_weights(keras: Any) -> None:
    first, again, other = network(keras), network(keras), network(keras, seed=1)
    assert model_sha256(first) == model_sha256(again)
    assert model_sha256(first) != model_sha256(other)


def test_arrays_of_the_same_ranges_are_told_apart_by_every_sample(keras: Any) -> None:
    model, changed = network(keras), data()
    changed["x_train"] = changed["x_train"].copy()
    changed["x_train"][[40, 50]] = changed["x_train"][[50, 40]]
    assert data_sha256(bound(data(), model)) == data_sha256(bound(data(), model))
    assert data_sha256(bound(data(), model)) != data_sha256(bound(changed, model))


def test_another_label_column_of_the_same_table_is_other_data(keras: Any, tmp_path: Path) -> None:
    model = keras.Sequential([keras.layers.Input((3,), name="x"), keras.layers.Dense(2, activation="softmax")])
    rows = (f"{number},{number + 1},{number % 2},{(number + 1) % 2}\n" for number in range(30))
    (tmp_path / "d.csv").write_text("a,b,first,second\n" + "".join(rows))
    prints = {
        data_sha256(tfc.load_data(tmp_path / "d.csv", label=label).bind(signature_of(model)))
        for label in ("first", "second")
    }
    assert len(prints) == 2


def test_a_stream_is_never_taken_for_the_same(keras: Any) -> None:
    import tensorflow as tf

    model = network(keras)
    stream = bound(tf.data.Dataset.from_tensor_slices(samples()).batch(16), model)
    assert data_sha256(stream) is None
    recipe = tfc.Recipe(stages=(tfc.QAT(),), export=tfc.Export(quantize="int8"))
    assert run_key(load_model(model), stream, recipe) != run_key(load_model(model), stream, recipe)


RECIPE = tfc.Recipe(stages=(tfc.Prune(sparsity=0.5),), export=tfc.Export(quantize="int8"))


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"export": tfc.Export(quantize="dynamic")}, True),  # what is done after the training
        ({"stages": (tfc.Prune(sparsity=0.6),)}, False),
        ({"train": tfc.Train(epochs=3)}, False),
        ({"train": tfc.Train(seed=1)}, False),
        ({"train": tfc.Train(limit=10)}, False),
    ],
)
def test_what_the_training_depends_on_makes_another_run(keras: Any, changed: dict[str, Any], same: bool) -> None:
    model = network(keras)
    loaded, values = load_model(model), bound(data(), model)
    other = dataclasses.replace(RECIPE, **changed)
    assert (run_key(loaded, values, other) == run_key(loaded, values, RECIPE)) is same


@pytest.mark.parametrize(
    ("stage", "export", "same"),
    [
        (tfc.Cluster(), {"lookup": True}, False),
        (tfc.Cluster(), {"target": "ethos-u55-128"}, False),
        (tfc.Cluster(), {"calibration": "minmax"}, True),
        (tfc.Cluster(per_channel=True), {"lookup": True}, True),
        (tfc.Cluster(per_channel=True, budget="9KB"), {"lookup": True}, False),
    ],
)
def test_an_export_that_decides_what_a_stage_leaves_open_makes_another_run(
    keras: Any, stage: tfc.Cluster, export: dict[str, Any], same: bool
) -> None:
    loaded = load_model(network(keras))
    given = tfc.Export(quantize="int8", optimize_for="download")
    keys = {
        run_key(loaded, None, dataclasses.replace(RECIPE, stages=(stage,), export=each))
        for each in (given, dataclasses.replace(given, **export))
    }
    assert (len(keys) == 1) is same


def test_another_activation_of_the_users_makes_another_run(keras: Any) -> None:
    def key(factor: float) -> str:
        keras.utils.set_random_seed(0)
        given = keras.Input((4,), name="vector")
        scores = keras.layers.Dense(3, activation=lambda x: factor * x, name="scores")(given)
        return run_key(load_model(keras.Model(given, scores, name="own")), None, RECIPE)

    assert key(1.0) == key(1.0) != key(2.0)


@pytest.mark.parametrize(
    "stage_of",
    [
        lambda name: tfc.Build(builder=name),
        lambda name: tfc.Distill(student=name),
        lambda name: tfc.Distill(teacher="none.keras", teacher_preprocess=name),
    ],
)
def test_other_code_of_the_users_makes_another_run(
    stage_of: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "code_of_mine.py"
    module.write_text("def work(x):\n    return x\n")
    before = sources_sha256((stage_of("code_of_mine:work"),))
    assert sources_sha256((stage_of("code_of_mine:work"),)) == before
    module.write_text("def work(x):\n    return 2 * x\n")
    assert sources_sha256((stage_of("code_of_mine:work"),)) != before


def test_names_of_many_classes_are_no_file() -> None:
    names = [",".join(f"class {number}" for number in range(count)) for count in (999, 1000)]
    hashes = [sources_sha256((tfc.Distill(teacher="none.keras", teacher_classes=each),)) for each in names]
    assert hashes[0] != hashes[1]


def test_another_version_of_a_library_makes_another_run(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(keras)
    loaded, values = load_model(model), bound(data(), model)
    before = run_key(loaded, values, RECIPE)
    for name in LIBRARIES:
        monkeypatch.setattr(importlib.metadata, "version", lambda package, name=name: "0" if package == name else "1")
        assert run_key(loaded, values, RECIPE) != before
        before = run_key(loaded, values, RECIPE)


# --- what is kept of it


def test_a_model_that_was_kept_comes_back_with_its_weights_and_what_was_said(keras: Any, tmp_path: Path) -> None:
    model = network(keras)
    work = Work(tmp_path, load_model(model))
    assert work.finished("training") is None
    work.keep("training", Finished(model, {"engine": "native"}, ("a note",)))
    found = Work(tmp_path, load_model(model)).finished("training")
    assert found is not None
    assert (found.facts, found.warnings) == ({"engine": "native"}, ("a note",))
    assert all(map(np.array_equal, found.model.get_weights(), model.get_weights()))


def test_what_is_damaged_is_done_again(keras: Any, tmp_path: Path) -> None:
    work = Work(tmp_path, load_model(network(keras)))
    work.keep("training", Finished(network(keras), {}))
    path = tmp_path / ".work" / "training" / "model.keras"
    path.write_bytes(path.read_bytes()[:-1])
    assert work.finished("training") is None


def test_without_a_folder_nothing_is_kept(keras: Any) -> None:
    work = Work(None, load_model(network(keras)))
    work.keep("training", Finished(network(keras), {}))
    assert (work.finished("training"), work.epochs("training")) == (None, None)


# --- killed anywhere, and run again


class Killed(BaseException):
    """Stands for a kill: nothing below catches it, and the run's folder stays."""


def kill_at(monkeypatch: pytest.MonkeyPatch, where: str, turn: int, *, after: bool = False) -> None:
    """Have a function's *turn*-th call end the run, before or after its work."""
    module, _, name = where.rpartition(":")
    owner: Any = __import__(module, fromlist=["_"])
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    real, calls = getattr(owner, last), [0]

    def dying(*args: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == turn and not after:
            raise Killed
        made = real(*args, **options)
        if calls[0] == turn:
            raise Killed
        return made

    monkeypatch.setattr(owner, last, dying)


EPOCHS = [("an epoch begins", ("tfcompress.engines.callbacks:Hooks.epoch_begins", turn)) for turn in (1, 2, 3)]
PLACES: list[tuple[str, tuple[str, int]]] = [
    *EPOCHS,
    ("the training ends", ("tfcompress.job:Job.finish", 1)),
    ("the trained model is kept", ("tfcompress.resumption:Work.keep", 1)),
    ("the export begins", ("tfcompress.tflite.export:export", 1)),
    ("the file is checked", ("tfcompress.tflite.attempt:verify", 1)),
    ("the file is scored", ("tfcompress.workbench:evaluate_file", 1)),
    ("the folder is written", ("tfcompress.output:write_output", 1)),
]

THREE = tfc.Recipe(
    stages=(
        tfc.Prune(sparsity=0.5, end_epoch=1, frequency=1, criterion="movement"),
        tfc.Cluster(clusters=6),
        tfc.QAT(),
    ),
    export=tfc.Export(quantize="int8"),
    train=tfc.Train(epochs=3, batch_size=16, learning_rate=0.01),
    title="three",
)
PLAIN = dataclasses.replace(
    THREE,
    stages=(tfc.Prune(sparsity=0.5, end_epoch=1, frequency=1), tfc.Cluster(clusters=6), tfc.QAT()),
)
CYCLES = tfc.Recipe(
    stages=(
        tfc.Channels(remove=0.4, cycles=2, tune_epochs=1, round_to=1, regularize="group-norm", regularize_epochs=2),
        tfc.Distill(),
        tfc.Prune(sparsity=0.5),
    ),
    train=tfc.Train(epochs=5, batch_size=16, learning_rate=0.01),
    title="cycles",
)

Kill = Callable[[pytest.MonkeyPatch], None]


class Bench:
    """One workbench for a recipe that is killed again and again, and what the recipe gives when it is not."""

    def __init__(self, model: Any, recipe: tfc.Recipe, values: Any = None) -> None:
        self.bench, self.recipe = tfc.Workbench(model, values or data()), recipe
        self.whole = self.bench.run(recipe)

    def killed_and_run_again(self, kill: Kill, folder: Path) -> tfc.Report:
        """Compare what comes out after a kill with what comes out without; return the report."""
        with pytest.MonkeyPatch.context() as patch:
            kill(patch)
            with pytest.raises(Killed):
                self.bench.run(self.recipe, output=folder)
        assert not folder.exists()
        again = self.bench.run(self.recipe, output=folder)
        assert again.tflite.content == self.whole.tflite.content
        assert again.report.result.promises == self.whole.report.result.promises
        assert again.report.warnings == self.whole.report.warnings
        assert again.report.training is not None
        assert not any("training stopped at" in note for note in again.report.training.notes)
        return again.report


@pytest.fixture(scope="module")
def native() -> Iterator[Bench]:
    import keras

    made = Bench(network(keras), THREE)
    yield made
    made.bench.close()


@pytest.fixture(scope="module")
def tfmot() -> Iterator[Bench]:
    import tf_keras

    made = Bench(network(tf_keras), PLAIN)
    yield made
    made.bench.close()


@pytest.fixture(scope="module")
def cycles() -> Iterator[Bench]:
    import keras

    made = Bench(network(keras), CYCLES)
    yield made
    made.bench.close()


@pytest.fixture(scope="module")
def unlabelled() -> Iterator[Bench]:
    import keras

    values = {name: array for name, array in data().items() if name != "y_train"}
    train = dataclasses.replace(THREE.train, patience=2)
    made = Bench(network(keras), dataclasses.replace(THREE, train=train), {**values, "x_val": samples(48, 7)[0]})
    yield made
    made.bench.close()


FEW = {("tfcompress.engines.callbacks:Hooks.epoch_begins", 2), ("tfcompress.tflite.export:export", 1)}
"""Where a run is killed in every test run; elsewhere only when asked for."""
KILLS = [
    pytest.param(place, after, id=f"{'after' if after else 'before'} {name}", marks=() if few else pytest.mark.kills)
    for after in (False, True)
    for name, place in PLACES
    for few in [place in FEW and not after]
]


@pytest.mark.parametrize(("place", "after"), KILLS)
def test_a_run_killed_anywhere_gives_what_an_unkilled_one_gives(
    place: tuple[str, int], after: bool, native: Bench, tmp_path: Path
) -> None:
    report = native.killed_and_run_again(lambda patch: kill_at(patch, *place, after=after), tmp_path / "out")
    assert report.engine == "native"


@pytest.mark.parametrize(
    "place", [PLACES[1][1], *(pytest.param(PLACES[n][1], marks=pytest.mark.kills) for n in (2, 3, 5))]
)
def test_a_run_by_tfmot_that_is_killed_gives_what_an_unkilled_one_gives(
    place: tuple[str, int], tfmot: Bench, tmp_path: Path
) -> None:
    report = tfmot.killed_and_run_again(lambda patch: kill_at(patch, *place), tmp_path / "out")
    assert report.engine == "tfmot"


@pytest.mark.parametrize(
    "place", [PLACES[1][1], *(pytest.param(PLACES[n][1], marks=pytest.mark.kills) for n in (0, 2, 3, 4))]
)
def test_a_killed_run_without_labels_gives_what_an_unkilled_one_gives(
    place: tuple[str, int], unlabelled: Bench, tmp_path: Path
) -> None:
    report = unlabelled.killed_and_run_again(lambda patch: kill_at(patch, *place), tmp_path / "out")
    assert report.training is not None
    assert "val_loss" in report.training.history


@pytest.mark.parametrize("turn", [3, *(pytest.param(turn, marks=pytest.mark.kills) for turn in (1, 2, 4))])
def test_what_a_rewriting_stage_decided_is_kept(turn: int, cycles: Bench, tmp_path: Path) -> None:
    cycles.killed_and_run_again(
        lambda patch: kill_at(patch, "tfcompress.stage_training:fitted", turn), tmp_path / "out"
    )


def test_a_strength_goes_on_growing_where_a_killed_run_left_it(cycles: Bench, tmp_path: Path) -> None:
    place = (
        "tfcompress.training.kept_epochs:_KeptByKeras3._keep"  # only this training has an epoch that is not its last
    )
    cycles.killed_and_run_again(lambda patch: kill_at(patch, place, 1, after=True), tmp_path / "out")


def test_widths_chosen_by_latency_do_not_change_when_the_run_goes_on(
    tmp_path: Path, keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfcompress.models.profile import profile

    asked = [1.0]

    def measure(original: Any, smaller: Any) -> float:  # a machine that has become quicker meanwhile
        return asked[0] * profile(smaller).macs / profile(original).macs

    monkeypatch.setattr("tfcompress.devices.latency.latency_ratio", measure)
    recipe = tfc.Recipe(
        stages=(tfc.Channels(remove=0.3, of="latency", round_to=1),),
        train=tfc.Train(epochs=2, batch_size=16),
        title="latency",
    )
    whole = tfc.compress(network(keras), recipe, data())
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "tfcompress.stage_training:fitted", 1)
        with pytest.raises(Killed):
            tfc.compress(network(keras), recipe, data(), output=tmp_path / "out")
    asked[0] = 0.9
    again = tfc.compress(network(keras), recipe, data(), output=tmp_path / "out")
    assert again.model.count_params() == whole.model.count_params()
    assert again.tflite.content == whole.tflite.content


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, keras: Any) -> Path:
    """Return what a run that was killed after its training left."""
    folder = tmp_path_factory.mktemp("left")
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "tfcompress.tflite.export:export", 1)
        with pytest.raises(Killed):
            tfc.compress(network(keras), PRUNED, data(), output=folder / "out")
    assert (folder / ".out.partial").is_dir()
    return folder


PRUNED = tfc.Recipe(stages=(tfc.Prune(sparsity=0.5, frequency=1),), train=tfc.Train(epochs=1, batch_size=16))


def test_what_a_killed_run_left_serves_the_same_run(
    left: Path, tmp_path: Path, keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(left, tmp_path, dirs_exist_ok=True)
    kill_at(monkeypatch, "tfcompress.stage_training:fitted", 1)
    tfc.compress(network(keras), PRUNED, data(), output=tmp_path / "out")


@pytest.mark.parametrize(("model_seed", "data_seed"), [(1, 0), (0, 5)], ids=["another model", "other data"])
def test_what_a_killed_run_left_serves_no_other(
    model_seed: int, data_seed: int, left: Path, tmp_path: Path, keras: Any
) -> None:
    shutil.copytree(left, tmp_path, dirs_exist_ok=True)
    model, values = network(keras, seed=model_seed), data(seed=data_seed)
    other = tfc.compress(model, PRUNED, values, output=tmp_path / "out")
    assert other.tflite.content == tfc.compress(model, PRUNED, values).tflite.content
