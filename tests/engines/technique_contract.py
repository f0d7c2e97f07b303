"""What every technique has to satisfy, with either engine: inherit the class and say the stages.

The fixture ``run`` (in conftest) attaches the stages to a model of tf_keras, which is the engine "tfmot", and to one of
Keras 3, which is "native"; trains it as a user would, and finishes.
"""

import numpy as np
import pytest

from tests.engines.tiny_networks import BATCH, EPOCHS, compile_

WRAPPERS = ("Quantize", "Prune", "Cluster", "CarriedGraph", "Transformed", "FakeQuant")

ENGINES = {"tf_keras": "tfmot", "keras": "native"}

QUANTIZED = {"tfmot": "QuantizeWrapperV2", "native": "TransformedLayer"}
"""Engine -> the layer around the kernels of a finished model that was trained for int8."""


def layer_kinds(model):
    return [type(layer).__name__ for layer in getattr(model, "tfcompress_graph", model).layers]


class TechniqueContract:
    """Tests of one combination of stages; a subclass sets ``stages``."""

    stages = ()
    frozen = "first"
    """Name of a layer that is not trainable in the model given, to see that this stays so; None: all are."""

    def test_the_argument_is_left_alone(self, run):
        assert all(map(np.array_equal, run["before"], run["model"].get_weights()))
        assert [layer.trainable for layer in run["model"].layers] == run["flags"]
        kinds = layer_kinds(run["model"])
        assert not [kind for kind in kinds if kind.startswith(WRAPPERS)]
        compile_(run["keras"], run["model"])
        assert np.isfinite(run["model"].evaluate(*run["data"], batch_size=BATCH, verbose=0))

    def test_the_engine_is_that_of_the_models_keras(self, run):
        assert run["job"].engine == ENGINES[run["keras"].__name__]

    def test_it_trains_in_the_users_keras(self, run):
        assert isinstance(run["job"].model, run["keras"].Model)
        losses = run["history"]["loss"]
        assert len(losses) == EPOCHS
        assert np.isfinite(losses).all()

    def test_every_promise_is_kept_when_the_training_is_over(self, run):
        promises = run["job"].promises()
        assert [p for p in promises if not p.kept] == []
        kinds = {"sparsity": "prune", "2:4 groups": "prune", "distinct values": "cluster"}
        assert {kinds[p.what] for p in promises} == {stage.kind for stage in self.stages} & {"prune", "cluster"}

    def test_the_layers_that_keep_promises_are_the_same_with_either_engine(self, run):
        names = {p.layer for p in run["job"].promises()}
        scoped = {name for stage in self.stages for name in getattr(stage, "scope", ())}
        assert names == (scoped or {"first", "second", "hidden", "logits"} if names else set())

    def test_the_finished_model_is_plain(self, run):
        finished = run["finished"]
        assert isinstance(finished, run["keras"].Model)
        kinds = layer_kinds(finished)
        if any(stage.kind == "qat" for stage in self.stages):
            assert QUANTIZED[run["job"].engine] in kinds
            assert not [kind for kind in kinds if kind.startswith(("Prune", "Cluster"))]
            graph = getattr(finished, "tfcompress_graph", finished)
            ours = ("prune_", "cluster_", "_updates")
            assert not [w.name for w in graph.weights if any(part in w.name for part in ours)]
        else:
            assert kinds == layer_kinds(run["model"])
            assert [layer.name for layer in finished.layers] == [layer.name for layer in run["model"].layers]

    def test_the_finished_model_computes_what_the_trained_one_does(self, run):
        inputs, _ = run["data"]
        expected = run["job"].model.predict(inputs, verbose=0)
        got = run["finished"].predict(inputs, verbose=0)
        assert got.shape == (len(inputs), 3)
        assert np.isfinite(got).all()
        assert got == pytest.approx(expected, abs=1e-5)

    def test_the_finished_model_is_apart_from_the_one_in_training(self, run):
        inputs, _ = run["data"]
        before = run["finished"].predict(inputs, verbose=0)
        trained = run["job"].model
        trained.set_weights([w + 1 for w in trained.get_weights()])
        assert np.array_equal(run["finished"].predict(inputs, verbose=0), before)
