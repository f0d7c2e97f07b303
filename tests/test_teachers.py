"""Teachers out of files and objects: what they give reaches the student, and what does not fit is refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tests.engines.tiny_networks import compile_, dense, vectors
from tfcompress.distillation.kept_answers import KeptAnswers
from tfcompress.errors import DataError, ModelError, OutputError, UsageError
from tfcompress.job import attach_to
from tfcompress.models.signature import call, signature_of
from tfcompress.references import imported
from tfcompress.teachers import Schooling, engage, kept_own_teacher

keras = pytest.importorskip("keras")


@pytest.fixture(scope="module")
def model() -> Any:
    return dense(keras)


@pytest.fixture(scope="module")
def better() -> Any:
    return dense(keras, seed=2)


@pytest.fixture(scope="module")
def lite(better: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "better.tflite"
    path.write_bytes(tfc.export(better, data=vectors()[0], progress=False).content)
    return path


def logits(model: Any, x: np.ndarray) -> np.ndarray:
    return next(iter(call(model, {"vector": x}).values()))


def answers(teacher: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(teacher.answers({"vector": x}).outputs[0])


@pytest.mark.slow
def test_a_tflite_file_teaches_what_its_keras_model_does(model: Any, better: Any, lite: Path, tmp_path: Path) -> None:
    x, y = vectors()
    losses = []
    for teacher in (better, lite):
        job = tfc.attach(model, tfc.Distill(weight=1.0), teacher=teacher)
        compile_(keras, job.model)
        losses.append(job.model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][1] < losses[0][0]
    about = Schooling(signature_of(model), {"vector": x}, keep=tmp_path)
    for _ in range(2):  # the second one reads what the first one kept
        found = engage(lite, {}, about)
        assert np.allclose(answers(found.teacher, x[::-1]), logits(better, x[::-1]), atol=1e-4)
        found.close()


def test_probabilities_are_told_from_logits_by_what_a_teacher_gives(model: Any, better: Any) -> None:
    x, _ = vectors()
    softened = keras.Model(better.inputs, keras.ops.softmax(better.outputs[0]))
    losses = []
    for teacher in (better, softened):
        job = tfc.attach(model, tfc.Distill(weight=1.0), teacher=teacher)
        compile_(keras, job.model)
        losses.append(float(job.model.compute_loss(x, vectors()[1], job.model(x))))
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_classes_in_another_order_are_put_into_the_models(model: Any, better: Any) -> None:
    x, _ = vectors()
    about = Schooling(signature_of(model), {"vector": x}, ("cat", "dog", "owl"), classes=("owl", "cat", "dog"))
    found = engage(better, {}, about)
    assert np.allclose(answers(found.teacher, x), logits(better, x)[:, [1, 2, 0]])
    assert np.allclose(found.outputs["b"], logits(better, x)[:, [1, 2, 0]])
    assert "another order" in found.notes[0]
    numbered = Schooling(signature_of(model), {"vector": x}, classes=("2", "0", "1"))
    assert np.allclose(answers(engage(better, {}, numbered).teacher, x), logits(better, x)[:, [1, 2, 0]])
    strange = Schooling(signature_of(model), {"vector": x}, ("cat", "dog", "owl"), classes=("owl", "cat", "cow"))
    with pytest.raises(DataError, match=r"must have the model's 3 classes; .*: unknown cow, missing dog"):
        engage(better, {}, strange)


def halves(x: np.ndarray) -> np.ndarray:
    return x[:, :8]


def failing(x: np.ndarray) -> np.ndarray:
    msg = "no"
    raise RuntimeError(msg)


def test_inputs_are_made_for_the_teacher_or_it_is_refused(model: Any) -> None:
    x, _ = vectors()
    narrow = keras.Sequential([keras.Input((8,), name="narrow"), keras.layers.Dense(3)], name="narrow_net")
    here = f"{__name__}:"
    about = Schooling(signature_of(model), {"vector": x}, preprocess=here + "halves")
    assert imported(about.preprocess, "the test") is not None
    found = engage(narrow, {}, about)
    assert np.allclose(answers(found.teacher, x), np.asarray(narrow(x[:, :8])), atol=1e-6)
    cases: Mapping[str, str] = {
        "": r"'narrow_net': the model's inputs do not fit it: .* \(samples, 8\), got .*--teacher-preprocess",
        here + "vectors": "--teacher-preprocess .* failed on a batch of shape",
        here + "failing": r"failed on a batch of shape \(32, 16\): RuntimeError: no",
    }
    for function, words in cases.items():
        with pytest.raises(DataError, match=words):
            engage(narrow, {}, Schooling(signature_of(model), {"vector": x}, preprocess=function))
    with pytest.raises(UsageError, match="has no function 'halfs'"):
        engage(narrow, {}, Schooling(signature_of(model), {"vector": x}, preprocess=here + "halfs"))


class Doubled(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    def call(self, inputs: Any) -> Any:
        return 2 * inputs


def test_answers_are_kept_by_all_that_they_depend_on(
    model: Any, better: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, _ = vectors()

    def kept(teacher: Any, preprocess: str = "") -> set[str]:
        about = Schooling(signature_of(model), {"vector": x}, preprocess=preprocess, keep=tmp_path)
        engage(teacher, {}, about).close()
        return {path.name for path in tmp_path.iterdir()}

    first = kept(better)
    assert len(first) == 1
    assert kept(keras.models.clone_model(better)) != first  # other weights
    both = kept(better)
    prepared = kept(better, f"{__name__}:same")
    assert (len(both), len(prepared)) == (2, 3)
    for package in ("keras", "numpy"):
        monkeypatch.setattr("importlib.metadata.version", lambda name, old=package: "0" if name == old else "1")
        before = {path.name for path in tmp_path.iterdir()}
        assert len(kept(better) - before) == 1


def test_answers_of_layers_whose_code_is_in_no_file_are_not_kept(model: Any, better: Any, tmp_path: Path) -> None:
    own = keras.Model(better.inputs, Doubled()(better.outputs[0]))
    about = Schooling(signature_of(model), {"vector": vectors()[0]}, keep=tmp_path)
    assert engage(own, {}, about).teacher.in_graph
    assert list(tmp_path.iterdir()) == []
    assert kept_own_teacher(own, (), tmp_path) is None


def test_a_teacher_that_fails_within_a_step_leaves_its_own_error(model: Any) -> None:
    x, y = vectors()
    about = Schooling(signature_of(model), {"vector": x}, preprocess=f"{__name__}:of_many")
    teacher = engage(dense(keras, seed=2), {}, about).teacher
    job = attach_to(model, (tfc.Distill(),), teachers=(teacher,))
    compile_(keras, job.model)
    job.model.fit(x, y, batch_size=8, verbose=0)
    assert teacher.failure is None
    with pytest.raises(Exception, match="a small batch"):
        job.model.fit(x[:12], y[:12], batch_size=8, verbose=0)
    assert isinstance(teacher.failure, DataError)


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False], ids=["a named teacher", "the model before compression"])
def test_a_run_ends_with_the_error_of_its_teacher(named: bool, lite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        msg = "no space left"
        raise OutputError(msg)

    stage, error, words = tfc.Distill(), OutputError, "^no space left$"
    if named:
        stage = tfc.Distill(teacher=(str(lite),), teacher_preprocess=f"{__name__}:of_many")
        error, words = (
            DataError,
            r"^--teacher-preprocess '.*:of_many' failed on a batch of shape \(4, 16\): RuntimeError",
        )
    else:
        monkeypatch.setattr(KeptAnswers, "keep", full)
    recipe = tfc.Recipe(stages=(stage,), train=tfc.Train(epochs=2, batch_size=4))
    x, y = vectors()
    with pytest.raises(error, match=words):
        tfc.compress(dense(keras), recipe, {"x_train": x, "y_train": y}, trust=True, progress=False)


@pytest.mark.parametrize("samples", [1, 3, 4, 5, 11])
def test_a_teacher_of_a_fixed_batch_answers_any_number_of_samples_in_the_step(
    model: Any, better: Any, samples: int
) -> None:
    x = vectors()[0][:samples]
    given = keras.Input(batch_shape=(4, 16), name="four")
    four = keras.Model(given, keras.layers.Activation("linear", name="after")(better(given)))
    found = engage(four, {}, Schooling(signature_of(model), {"vector": x}))
    told = found.teacher.answers({"vector": x}, ("after",))
    for each in (*told.outputs, *told.layers):
        assert np.allclose(np.asarray(each), logits(better, x), atol=1e-6)
    found.close()


_ONE_THREAD = """
import sys, numpy as np, keras, tf_keras
import tfcompress as tfc
from tfcompress.models.signature import signature_of
from tfcompress.job import attach_to
from tfcompress.teachers import Schooling, engage, kept_own_teacher
from pathlib import Path

def net(k, seed):
    k.utils.set_random_seed(seed)
    return k.Sequential([k.Input((16,), name="vector"), k.layers.Dense(8, activation="relu"), k.layers.Dense(3)])

def same(x):
    return x

x = np.random.default_rng(0).normal(size=(24, 16)).astype(np.float32)
y = np.arange(24) % 3
folder = Path(sys.argv[1])
net(tf_keras, 2).export(folder / "saved")
student = net(keras, 0)
sources = [net(keras, 1), net(tf_keras, 1), folder / "saved"]
about = Schooling(signature_of(student), {"vector": x}, keep=folder / "kept")
other = Schooling(signature_of(student), {"vector": x}, preprocess="__main__:same")
teachers = [engage(source, {}, each).teacher for source in sources for each in (about, other)]
teachers.append(kept_own_teacher(student, (), folder / "own")[0])
for some in ([teacher] for teacher in teachers), [teachers]:
    for each in some:
        job = attach_to(student, (tfc.Distill(),), teachers=tuple(each))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        job.model.compile("adam", loss)
        job.model.fit(x, y, batch_size=8, epochs=2, verbose=0)
print("taught by", len(teachers))
"""


@pytest.mark.slow
def test_teachers_teach_where_tensorflow_has_one_thread(tmp_path: Path) -> None:
    """As on a machine of one core: Python within a step that waited for that thread would wait for ever."""
    alone = {**os.environ, "TF_NUM_INTEROP_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    command = [sys.executable, "-c", _ONE_THREAD, str(tmp_path)]
    done = subprocess.run(command, env=alone, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.endswith("taught by 7\n"), done.stderr


def same(x: np.ndarray) -> np.ndarray:
    return x


def of_many(x: np.ndarray) -> np.ndarray:
    if len(x) < 8:
        msg = "a small batch"
        raise RuntimeError(msg)
    return x


def test_outputs_that_are_not_the_models_are_refused(model: Any, better: Any, tmp_path: Path) -> None:
    about = Schooling(signature_of(model))
    more = keras.Sequential([keras.Input((16,)), keras.layers.Dense(5)], name="five")
    two = keras.Model(better.inputs, [better.outputs[0], better.outputs[0] + 1])
    broken = dense(keras)
    broken.layers[-1].bias.assign([1e38 * 10, 0, 0])
    for teacher, error, words in (
        (
            more,
            DataError,
            r"'five' must give output 'b' in the model's shape \(3,\), got \(5,\): 5 classes",
        ),
        (two, DataError, "must have as many outputs as the model, 1, got 2"),
        (broken, ModelError, "holds infinity"),
        (tmp_path / "none.keras", ModelError, "no such file"),
    ):
        with pytest.raises(error, match=words):
            engage(teacher, {}, about)


def test_in_attach_a_student_is_the_model_itself(model: Any) -> None:
    with pytest.raises(UsageError, match=r"distill.student is for compress and export; in attach, give the student"):
        tfc.attach(model, tfc.Distill(student="width=0.5"))
