"""Stages of a run: which engine takes them, and channels that go in cycles."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.errors import DataError, UsageError
from tfcompress.execution import rewritten_model, run_stages
from tfcompress.kept_stages import MADE, KeptStages
from tfcompress.progress import SILENT
from tfcompress.recipe import Build
from tfcompress.run import Run
from tfcompress.stages.low_rank import LowRank
from tfcompress.stages.rewriting import RewritingContext, Rewritten
from tfcompress.stages.stage import RewritingStage
from tfcompress.training.teaching import Teaching

pytestmark = pytest.mark.slow


def blobs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of 8x8 with a bright patch whose place is the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.random((count, 8, 8, 1), dtype=np.float32) * 0.5
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 2] += 0.5
    return images, labels


def data() -> Any:
    (x_train, y_train), (x_test, y_test) = blobs(300, 0), blobs(60, 1)
    return tfc.load_data({"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test})


def network(keras: Any, *, layer_norm: bool = False) -> Any:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.ReLU()((layers.LayerNormalization if layer_norm else layers.BatchNormalization)()(x))
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="second")(x)
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D(2)(x))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="scores")(x))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*blobs(300, 0), epochs=8, verbose=0)
    return model


@pytest.fixture(scope="module")
def three() -> Any:
    import keras

    return network(keras)


def test_a_model_of_keras_3_is_trained_by_the_native_engine_and_comes_out_as_int8(three: Any) -> None:
    recipe = tfc.Recipe(stages=(tfc.QAT(),), export=tfc.Export(quantize="int8"), train=tfc.Train(epochs=1))
    result = tfc.compress(three, recipe, data())
    assert result.report.engine == "native"
    assert result.report.result.score is not None
    assert result.report.result.score.main_figure.value == 1.0
    assert type(result.model).__module__.startswith("keras.")


def test_what_tfmot_refuses_of_a_keras_2_model_the_native_engine_trains() -> None:
    import tf_keras

    recipe = tfc.Recipe(stages=(tfc.QAT(),), export=tfc.Export(quantize="int8"), train=tfc.Train(epochs=1))
    plain = tfc.compress(network(tf_keras), recipe, data()).report
    assert (plain.engine, plain.warnings) == ("tfmot", ())
    refused = tfc.compress(network(tf_keras, layer_norm=True), recipe, data()).report
    assert refused.engine == "native"
    assert re.fullmatch(
        r"tfmot does not take this model \(qat cannot quantize 1 of \d+ layers: layer_normalization\w* "
        r"\(LayerNormalization\)\); the native engine trains it, in Keras 3",
        refused.warnings[0],
    )
    assert not [note for note in refused.warnings if "leave these layers out" in note or "drop the qat" in note]
    assert refused.result.score is not None
    assert refused.result.score.main_figure.value == 1.0


def test_channels_go_in_cycles_that_share_the_epochs(three: Any) -> None:
    stages = (tfc.Channels(remove=0.5, cycles=2, round_to=1), tfc.Distill(), tfc.QAT())
    recipe = tfc.Recipe(stages=stages, export=tfc.Export(quantize="int8"), train=tfc.Train(epochs=3))
    report = tfc.compress(three, recipe, data()).report
    assert report.training is not None
    assert [len(values) for values in report.training.history.values()] == [3] * len(report.training.history)
    assert report.source.macs is not None
    assert report.result.macs is not None
    assert 0.4 < report.result.macs / report.source.macs < 0.55
    assert report.result.score is not None
    assert (report.result.score.main_figure.value or 0) > 0.9


def test_a_whole_model_that_is_tuned_first_takes_its_epochs_and_teaches(three: Any) -> None:
    before = [w.copy() for w in three.get_weights()]
    stages = (tfc.Channels(remove=0.5, tune_epochs=1, round_to=1), tfc.Distill())
    train = tfc.Train(epochs=3, learning_rate=1e-3, optimizer="muon", decay="cosine")
    report = tfc.compress(three, tfc.Recipe(stages=stages, train=train), data()).report
    assert report.training is not None
    losses = report.training.history["loss"]
    assert len(losses) == 3
    assert losses[1] > 2 * losses[0]  # the second epoch is the first without half of the work, and has a teacher's part
    assert report.result.score is not None
    assert report.result.score.main_figure.value == 1.0
    assert all(map(np.array_equal, before, three.get_weights()))


def test_channels_are_driven_towards_zero_before_they_go_and_what_came_of_it_is_in_the_report(three: Any) -> None:
    stages = (
        tfc.Channels(remove=0.4, round_to=1, cycles=2, regularize="group-norm", regularize_epochs=2),
        tfc.Distill(),
    )
    train = tfc.Train(epochs=4, learning_rate=1e-3)
    report = tfc.compress(three, tfc.Recipe(stages=stages, train=train), data()).report
    assert report.training is not None
    assert len(report.training.history["loss"]) == 4
    said = [text for text in report.warnings if text.startswith("channels: trained with group-norm")]
    assert len(said) == 2  # before the first part, and between the two: never behind the last one
    assert report.recipe["stages"][0]["regularize"] == "group-norm"


def test_a_penalty_without_a_training_before_the_removal_is_refused_in_attach(three: Any) -> None:
    words = (
        r"channels\.regularize 'group-norm' asks for a training before .* tfcompress\.channels\.group_sparsity\.penal"
    )
    with pytest.raises(UsageError, match=words):
        tfc.attach(three, tfc.Channels(regularize="group-norm"))


@pytest.mark.parametrize("more", [{"cycles": 2}, {"tune_epochs": 1}])
def test_what_takes_a_training_of_its_own_is_refused_in_attach(three: Any, more: dict[str, int]) -> None:
    (name,) = more
    with pytest.raises(UsageError, match=rf"channels\.{name} must be [01] in attach"):
        tfc.attach(three, tfc.Channels(**more))


def test_attached_channels_are_gone_from_the_model_that_the_user_trains(three: Any) -> None:
    import keras

    x, y = blobs(300, 0)
    before = [w.copy() for w in three.get_weights()]
    job = tfc.attach(three, tfc.Channels(remove=0.5, round_to=1), tfc.QAT(), samples=(x, y))
    job.model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    job.model.fit(x, y, epochs=2, verbose=0, callbacks=job.callbacks)
    finished = job.finish()
    assert finished.count_params() < 0.7 * three.count_params()
    assert (finished.predict(x, verbose=0).argmax(1) == y).mean() > 0.9
    assert all(map(np.array_equal, before, three.get_weights()))


SEEN: list[tuple[float, float]] = []


@dataclass(frozen=True, kw_only=True)
class Halved(RewritingStage):
    """A toy that halves the last bias, a part in every cycle."""

    kind: ClassVar[str] = "halved"
    implementation: ClassVar[str] = f"{__name__}:halve"
    share: float = 0.5

    @property
    def parts(self) -> tuple[Halved, ...]:
        return tuple(dataclasses.replace(self, share=self.share * (n + 1) / self.cycles) for n in range(self.cycles))


def halve(model: Any, stage: Halved, context: RewritingContext) -> Rewritten:
    import keras

    SEEN.append((stage.share, context.left))
    assert context.samples is not None
    new = keras.models.clone_model(model)
    new.set_weights(model.get_weights())
    return Rewritten(new, (f"halved {stage.share:g}",), left=1.0 - stage.share / 4.0)


def test_several_stages_rewrite_in_the_order_given_a_part_of_each_in_every_cycle(three: Any) -> None:
    SEEN.clear()
    stages = (Halved(cycles=2, share=1.0), tfc.Channels(remove=0.4, cycles=2, round_to=1))
    recipe = tfc.Recipe(stages=stages, train=tfc.Train(epochs=2))
    told = tfc.compress(three, recipe, data()).report.warnings
    parts = [text.partition(":")[0] for text in told if "off what was asked" not in text]
    assert parts == ["halved 0.5", "channels", "halved 1", "channels"]
    assert SEEN == [(0.5, 1.0), (1.0, 0.875)]


def test_stages_that_rewrite_in_different_numbers_of_cycles_are_refused() -> None:
    stages = (Halved(cycles=1), tfc.Channels(remove=0.4, cycles=2))  # before anything is loaded
    with pytest.raises(UsageError, match=r"must have the same cycles, got halved\.cycles 1, channels\.cycles 2"):
        tfc.Recipe(stages=stages, train=tfc.Train(epochs=4))


def test_pruning_in_the_last_cycle_comes_to_its_end_in_that_cycle(three: Any) -> None:
    stages = (tfc.Channels(remove=0.4, cycles=2, round_to=1), tfc.Prune(sparsity=0.5, frequency=1))
    report = tfc.compress(three, tfc.Recipe(stages=stages, train=tfc.Train(epochs=4)), data()).report
    assert not any("training stopped at" in text for text in report.warnings)


@dataclass(frozen=True, kw_only=True)
class Leant(RewritingStage):
    """A toy whose result depends on the model that it counts from."""

    kind: ClassVar[str] = "leant"
    implementation: ClassVar[str] = f"{__name__}:lean"
    cycles: int = 1
    tune_epochs: int = 0
    share: float = 0.5

    @property
    def parts(self) -> tuple[Leant, ...]:
        return (self,) * self.cycles


@dataclass(frozen=True, kw_only=True)
class LeantAgain(Leant):
    """Another one."""

    kind: ClassVar[str] = "leant-again"


def lean(model: Any, stage: Leant, context: RewritingContext) -> Rewritten:
    import keras

    new = keras.models.clone_model(model)
    before = model if context.original is None else context.original
    new.set_weights(
        [w + stage.share * (1.0 + old) for w, old in zip(model.get_weights(), before.get_weights(), strict=True)]
    )
    return Rewritten(new)


class TrainingBeginsError(Exception):
    """All rewriting is done."""


class Prepared:
    """A network and its data, of which a run's rewriting stages are done, in full or as a draft."""

    def __init__(self, model: Any) -> None:
        self.bench = tfc.Workbench(model, data(), progress=False)
        self.loaded, self.data = self.bench.loaded, self.bench.data()
        self.bench.close()

    def run(self, *stages: Any) -> Run:
        recipe = tfc.Recipe(stages=stages, train=tfc.Train(epochs=1))
        return Run(recipe, self.loaded, self.data, None, SILENT)  # type: ignore[arg-type]  # nothing is converted

    def draft(self, kept: KeptStages, *stages: Any) -> Any:
        with kept.work(self.loaded, self.data) as work:
            return rewritten_model(self.run(*stages), work)

    def full(self, kept: KeptStages, *stages: Any, student: Any = None) -> None:
        """Do a full run up to its training."""

        def begin(*_: Any, **__: Any) -> None:
            raise TrainingBeginsError

        run = self.run(*stages)
        if student is not None:
            run.teaching = Teaching(student=student)
        with pytest.MonkeyPatch.context() as patch, kept.work(self.loaded, self.data) as work:
            patch.setattr("tfcompress.job.attach_to", begin)
            with pytest.raises(TrainingBeginsError):
                run_stages(run, work)


@pytest.fixture(scope="module")
def prepared(three: Any) -> Prepared:
    return Prepared(three)


def made(kept: KeptStages) -> list[tuple[str, list[np.ndarray]]]:
    """Return the key and the weights of each part that was made, in their order."""
    import keras

    keys = [json.loads(line)["key"] for line in (kept.folder / MADE).read_text("utf-8").splitlines()]
    return [(key, keras.models.load_model(kept.folder / key / "model.keras").get_weights()) for key in keys]


def check_draft_is_full(prepared: Prepared, folder: Path, *stages: Any) -> None:
    drafts, fresh = KeptStages(folder / "drafts"), KeptStages(folder / "fresh")
    draft = prepared.draft(drafts, *stages)
    prepared.full(fresh, *stages)
    one, other = made(drafts), made(fresh)
    assert [key for key, _ in one] == [key for key, _ in other]
    assert len(one) == len(stages)
    assert all(all(map(np.array_equal, first, second)) for (_, first), (_, second) in zip(one, other, strict=True))
    assert all(map(np.array_equal, draft.get_weights(), other[-1][1]))
    prepared.full(drafts, *stages)
    assert len(made(drafts)) == len(stages)  # all was there


@given(
    kinds=st.permutations([Leant, LeantAgain, Halved]),
    count=st.integers(1, 3),
    share=st.sampled_from([0.25, 0.5]),
)
@settings(max_examples=6, deadline=None)
def test_a_kept_draft_is_what_a_fresh_full_run_rewrites(
    prepared: Prepared, tmp_path_factory: pytest.TempPathFactory, kinds: Any, count: int, share: float
) -> None:
    stages = [kind(share=share) for kind in kinds[:count]]
    check_draft_is_full(prepared, tmp_path_factory.mktemp("kept"), *stages)


def test_channels_and_low_rank_of_a_draft_are_those_of_a_full_run(prepared: Prepared, tmp_path: Path) -> None:
    stages = (tfc.Channels(remove=0.4, round_to=1), LowRank(target=0.7, round_to=1))
    check_draft_is_full(prepared, tmp_path, *stages)


def test_what_another_student_would_learn_in_is_made_anew(prepared: Prepared, tmp_path: Path) -> None:
    import keras

    kept, students = KeptStages(tmp_path), [keras.models.clone_model(prepared.loaded.keras3) for _ in range(2)]
    for student in (None, *students, *students):
        prepared.full(kept, Leant(), student=student)
    assert len({key for key, _ in made(kept)}) == len(made(kept)) == 3


def test_what_a_builder_gives_is_made_anew_when_its_module_changes(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module, stage = tmp_path / "own_toy_nets.py", Build(builder="own_toy_nets:build")
    text = """import keras
def build(hp):
    given = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Dense({width}, name="wide")(keras.layers.Flatten()(given))
    return keras.Model(given, keras.layers.Dense(3, activation="softmax", name="scores")(x))
"""
    for width in (4, 16):
        module.write_text(text.format(width=width))
        monkeypatch.delitem(sys.modules, "own_toy_nets", raising=False)
        found = prepared.draft(KeptStages(tmp_path / "kept"), stage)
        assert found.get_layer("wide").units == width


def test_training_data_that_the_model_cannot_look_up_is_refused_in_a_line(keras: Any) -> None:
    tokens = keras.Input((4,), dtype="int32", name="tokens")
    rows = keras.layers.Flatten()(keras.layers.Embedding(5, 4)(tokens))
    model = keras.Model(tokens, keras.layers.Dense(2, name="answer")(rows))
    good, labels = np.arange(40 * 4).reshape(40, 4) % 5, np.arange(40) % 2
    splits = {"x_train": good + 1, "y_train": labels, "x_test": good, "y_test": labels}
    recipe = tfc.Recipe(stages=(tfc.Prune(sparsity=0.5),), train=tfc.Train(epochs=1))
    with pytest.raises(DataError, match=r"cannot compute these samples: indices\[\d+,\d+\] = 5 is not in \[0, 5\)"):
        tfc.compress(model, recipe, splits, progress=False)
