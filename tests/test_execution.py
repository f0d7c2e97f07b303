"""Stages of a run: which engine takes them, and channels that go in cycles."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.errors import UsageError
from tfcompress.stages.rewriting import RewritingContext, Rewritten
from tfcompress.stages.stage import RewritingStage

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
    assert "tfmot does not take this model (" in refused.warnings[0]
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
