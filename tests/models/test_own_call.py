"""Models whose class has its own call: nothing is built anew from their graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.errors import UnsupportedError
from tfcompress.models.graph import is_graph
from tfcompress.models.own_call import own_call, refuse_own_call, with_own_call

pytestmark = pytest.mark.slow


def network(keras: Any, kind: Any) -> Any:
    """Return a functional model of a class, or a sequential one of a class of such."""
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")
    scores = keras.layers.Dense(3, activation="softmax", name="scores")
    if issubclass(kind, keras.Sequential):
        return kind([keras.Input((6,), name="vector"), hidden, scores], name="own")
    given = keras.Input((6,), name="vector")
    return kind(given, scores(hidden(given)), name="own")


def flipping(base: Any, method: str = "call") -> Any:
    """Return a class whose outputs are those of its base from the last to the first."""

    def flipped(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(super(kind, self), method)(*args, **kwargs)[:, ::-1]

    kind: Any = type("Flipping", (base,), {method: flipped})
    return kind


def samples() -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(0).random((48, 6), dtype=np.float32), np.arange(48) % 3


@pytest.mark.parametrize("method", ["call", "__call__"])
@pytest.mark.parametrize("base", ["Model", "Sequential"])
def test_the_graph_of_a_class_with_its_own_call_is_not_taken_for_what_it_computes(
    base: str, method: str, keras_module: Any
) -> None:
    model = network(keras_module, flipping(getattr(keras_module, base), method))
    assert own_call(model) == (method,)
    assert not is_graph(model)
    with pytest.raises(
        UnsupportedError, match=rf"model 'own': Flipping has its own {method}.*; move that into a layer"
    ):
        refuse_own_call(model)


def test_what_is_kerass_own_or_only_hands_on_is_taken(keras_module: Any) -> None:
    class Handing(keras_module.Model):  # type: ignore[misc]  # of either Keras
        def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
            return super().call(inputs, training=training, mask=mask)

    for kind in (Handing, keras_module.Model, keras_module.Sequential, type("Named", (keras_module.Model,), {})):
        model = network(keras_module, kind)
        assert own_call(model) == ()
        assert is_graph(model)
    job = tfc.attach(network(keras_module, Handing), tfc.Prune(frequency=1))
    x = samples()[0]
    np.testing.assert_allclose(job.model(x), network(keras_module, Handing)(x), atol=1e-6)


def test_a_call_that_was_put_on_the_object_is_seen(keras: Any) -> None:
    model = network(keras, keras.Model)
    plain = model.call
    model.call = lambda inputs, **options: 1.0 - plain(inputs, **options)
    assert own_call(model) == ("call",)


def test_a_subclassed_model_without_a_graph_is_not_meant(keras_module: Any) -> None:
    class Subclassed(keras_module.Model):  # type: ignore[misc]  # of either Keras
        def __init__(self) -> None:
            super().__init__()
            self.inner = keras_module.layers.Dense(3)

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

    model = Subclassed()
    model(samples()[0])
    assert with_own_call(model) is None


@pytest.mark.parametrize("around", ["nested", "in time"])
def test_such_a_model_inside_another_is_found(around: str, keras_module: Any) -> None:
    inner = network(keras_module, flipping(keras_module.Model))
    if around == "nested":
        given = keras_module.Input((6,))
        outer = keras_module.Model(given, inner(given))
    else:
        given = keras_module.Input((4, 6))
        outer = keras_module.Model(given, keras_module.layers.TimeDistributed(inner)(given))
    with pytest.raises(UnsupportedError, match="model 'own': Flipping has its own call"):
        tfc.attach(outer, tfc.Prune())
    assert tfc.load_model(outer).refusal.startswith("model 'own' in it: Flipping has its own call")


STAGES = [tfc.Prune(frequency=1), tfc.QAT(), tfc.Cluster(clusters=4)]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.kind)
def test_every_stage_of_either_keras_is_refused(stage: Any, keras_module: Any) -> None:
    model = network(keras_module, flipping(keras_module.Model))
    with pytest.raises(UnsupportedError, match="Flipping has its own call"):
        tfc.attach(model, stage)


@pytest.mark.parametrize("stage", [tfc.Channels(remove=0.5, round_to=1), tfc.LowRank(target=0.5), tfc.Distill()])
def test_stages_of_keras_3_alone_are_refused_too(stage: Any, keras: Any) -> None:
    model = network(keras, flipping(keras.Model))
    with pytest.raises(UnsupportedError, match="Flipping has its own call"):
        tfc.attach(model, stage)


def test_compress_refuses_before_any_work(keras_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def converted(*_: Any, **__: Any) -> Any:
        pytest.fail("something was converted")

    monkeypatch.setattr("tfcompress.workbench.Workbench.float_baseline", converted)
    monkeypatch.setattr("tfcompress.execution.run_stages", converted)
    model = network(keras_module, flipping(keras_module.Model))
    recipe = tfc.Recipe(stages=(tfc.Prune(frequency=1),))
    with pytest.raises(UnsupportedError, match="or export it without stages"):
        tfc.compress(model, recipe, samples(), progress=False)


@pytest.mark.parametrize("settings", [{}, {"quantize": "int8"}])
def test_export_alone_gives_what_the_class_computes(settings: Any, keras_module: Any) -> None:
    model = network(keras_module, flipping(keras_module.Model))
    made = tfc.export(model, tfc.Export(**settings), data=samples()[0])
    assert made.verification is not None
    assert all((each.sqnr_db or 0) > 30 for each in made.verification.agreement)


def test_outputs_of_another_number_than_the_graphs_are_exported(keras_module: Any) -> None:
    base = keras_module.Model

    class Both(base):  # type: ignore[misc]  # of either Keras
        def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
            found = super().call(inputs, training=training)
            return {"scores": found, "doubled": 2.0 * found}

    made = tfc.export(network(keras_module, Both), tfc.Export())
    assert made.verification is not None
    assert {each.name for each in made.verification.agreement} == {"scores", "doubled"}


@pytest.mark.parametrize("settings", [{"correct": ("equalize",)}, {"calibration": "mse"}, {"rounding": "gptq"}])
def test_corrections_that_read_the_graph_are_refused(settings: Any, keras: Any) -> None:
    model = network(keras, flipping(keras.Model))
    with pytest.raises(UnsupportedError, match="Flipping has its own call"):
        tfc.export(model, tfc.Export(quantize="int8", **settings), data=samples()[0])


def test_readers_of_the_graph_refuse(keras: Any) -> None:
    from tfcompress.channels.groups import groups
    from tfcompress.diagnosis.exact_rewrites import rewritten
    from tfcompress.models.bridge import to_keras2
    from tfcompress.models.copies import model_copy
    from tfcompress.quantization.data_free import without_data
    from tfcompress.streaming.flat_graph import read_flat_graph

    model = network(keras, flipping(keras.Model))
    for reader in (groups, rewritten, to_keras2, model_copy, read_flat_graph, lambda m: without_data(m, (0.0, 1.0))):
        with pytest.raises(UnsupportedError, match="Flipping has its own call"):
            reader(model)


def test_wrappers_of_a_training_are_not_taken_off_such_a_model(tf_keras: Any, tmp_path: Path) -> None:
    import tensorflow_model_optimization as tfmot

    given = tf_keras.Input((6,))
    wrapped = tfmot.sparsity.keras.prune_low_magnitude(tf_keras.layers.Dense(3))
    model = flipping(tf_keras.Model)(given, wrapped(given), name="own")
    with pytest.raises(UnsupportedError, match="Flipping has its own call"):
        tfc.load_model(model)
