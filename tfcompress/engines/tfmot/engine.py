"""The engine that works on tf_keras models with TensorFlow Model Optimization (tfmot)."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfcompress.engines.checkpoints import was_fitted
from tfcompress.engines.momentum import Momentum
from tfcompress.engines.tfmot import cluster as tfmot_cluster
from tfcompress.engines.tfmot import prune as tfmot_prune
from tfcompress.engines.tfmot import qat as tfmot_qat
from tfcompress.engines.tfmot.clocked_schedule import Clock
from tfcompress.engines.tfmot.cloning import (
    Clone,
    check_clonable,
    clone,
    clone_with,
    kernel_layers,
    kernels_of,
    short_name,
    with_weights,
)
from tfcompress.engines.tfmot.names import QuantizeWrapperV2, set_weight_quantizer_, weight_quantizers
from tfcompress.engines.tfmot.transforms import ClusterTransform, KernelOnly, PruneTransform, TransformedQuantizer
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.models.graph import leaf_layers
from tfcompress.models.own_training import in_class_of
from tfcompress.models.precision import float32_policy, in_float32
from tfcompress.models.samples import Samples
from tfcompress.models.scope import listed
from tfcompress.recipe import QAT, Cluster, Prune, Stage
from tfcompress.weights.kernels import KernelChoice, KernelInTraining
from tfcompress.weights.promises import Promise
from tfcompress.weights.promises import check_promises as check_promises
from tfcompress.weights.schedule import plan

NAME = "tfmot"

KERAS = "keras2"
"""The Keras whose models :func:`open_session` takes."""

WRAPPERS = ("QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer", "PruneLowMagnitude", "ClusterWeights")

COMBINABLE = (
    "Conv2D",
    "Dense",
    "Conv2DTranspose",
    "SeparableConv2D",
    "SeparableConv1D",
    "Conv1D",
    "Conv3D",
    "Embedding",
)
"""Layers with one kernel at an attribute of their own: what several stages can work on together."""

Finish = Callable[[Mapping[int, np.ndarray]], Any]
"""Takes final values of kernels by the id of their variable, gives the finished model."""


@dataclass
class _Trainable:
    model: Any
    kernels: list[KernelInTraining]
    finish: Finish
    steps: list[Any] = field(default_factory=list)
    waiting: list[tuple[PruneTransform, ClusterTransform]] = field(default_factory=list)


@dataclass(frozen=True)
class _Stages:
    prune: Prune | None
    cluster: Cluster | None
    qat: QAT | None
    seed: int


class TfmotSession:
    """Stages applied to one tf_keras model; see :class:`tfcompress.engines.session.Session`.

    Attributes:
        model: the trainable tf_keras model.
        notes: what was left as it is and why, and what became of the schedule.
    """

    def __init__(self, model: Any, stages: Sequence[Stage], seed: int) -> None:
        """Prepare the stages on a copy of *model*; see :func:`open_session`."""
        asked = {stage.kind: stage for stage in stages}
        self._stages = _Stages(asked.get("prune"), asked.get("cluster"), asked.get("qat"), seed)  # type: ignore[arg-type]  # by kind
        check_clonable(model)
        _check_plain(model)
        _check_stages(self._stages)
        self.notes: list[str] = []
        self._clock = Clock()
        self._trainable = self._prepare(model)
        self.model = in_class_of(self._trainable.model, model)
        self._momentum = Momentum(getattr(layer, "layer", layer) for _, layer in leaf_layers(self.model))

    def _prepare(self, model: Any) -> _Trainable:
        stages = self._stages
        if stages.qat:
            copy, everything = tfmot_qat.annotated_copy(model, stages.qat)
            layers = {path: layer for path, layer in everything.items() if kernels_of(layer)}
        else:
            copy = clone(model)
            layers = kernel_layers(copy)
        to_prune = tfmot_prune.layers_to_prune(stages.prune, layers) if stages.prune else KernelChoice({})
        to_cluster = tfmot_cluster.layers_to_cluster(stages.cluster, layers) if stages.cluster else KernelChoice({})
        self.notes += [*to_prune.notes, *to_cluster.notes]
        if stages.qat or (stages.prune and stages.cluster):
            _check_combinable({**to_prune.layers, **to_cluster.layers})
        if stages.qat:
            return _quantized(copy, stages, to_prune, to_cluster, self._clock)
        template, slots = clone(model), list(copy.weights)
        if stages.prune and stages.cluster:
            return _combined(copy, template, slots, stages, to_prune, to_cluster, self._clock)
        if stages.prune:
            result, kernels = tfmot_prune.wrap(copy, stages.prune, to_prune, self._clock)
            steps = [layer.pruning_step for _, layer in leaf_layers(result.model) if hasattr(layer, "pruning_step")]
            return _Trainable(result.model, kernels, _plain(template, slots, result), steps)
        result, kernels = tfmot_cluster.wrap(copy, stages.cluster, to_cluster, stages.seed)  # type: ignore[arg-type]  # the last one left
        return _Trainable(result.model, kernels, _plain(template, slots, result))

    @property
    def needs_steps(self) -> bool:
        """Whether :meth:`after_step_` has anything to do."""
        return bool(self._trainable.waiting)

    @property
    def unfinished(self) -> bool:
        """Whether masks will still be updated."""
        plan = self._clock.plan
        return plan is not None and any(int(step) < plan.end for step in self._trainable.steps)

    def plan_(self, *, epochs: int, steps_per_epoch: int, done_steps: int = 0) -> None:
        """Lay the pruning schedule over a training; nothing to do without one.

        Where it stands in there, tfmot's own counters say, which come with the weights: *done_steps* is not needed.

        Raises:
            UsageError: the schedule does not fit into the training.
        """
        prune = self._stages.prune
        if prune is None:
            return
        made = plan(prune, epochs=epochs, steps_per_epoch=steps_per_epoch)
        if prune.frequency not in (made.frequency, Prune.frequency) and prune.pattern != "2:4":
            often = f"every {made.frequency} steps, not {prune.frequency}"
            self._note(f"prune updates its masks {often}: the training has {made.total} steps")
        self._clock.set_(made)
        self._momentum.shorten_(made.total)

    def after_step_(self) -> None:
        """Place centroids among the remaining weights once pruning is over."""
        for pair in list(self._trainable.waiting):
            prune, cluster = pair
            if prune.over:
                if not int(cluster.active.numpy()):  # else they came with the weights of a training that was killed
                    cluster.start_(prune.current())
                self._trainable.waiting.remove(pair)

    def after_training_(self) -> None:
        """Leave the weights alone: tfmot's layers mask them whenever they are used."""

    def state(self) -> dict[str, np.ndarray]:
        """Return nothing: what tfmot's layers remember is among the model's weights."""
        return {}

    def restore_(self, state: Mapping[str, np.ndarray]) -> None:
        """Do nothing; see :meth:`state`."""

    def promises(self) -> list[Promise]:
        """Compare every kernel as it is now with what was asked."""
        return [p for kernel in self._trainable.kernels for p in kernel.promises(kernel.current())]

    def loss_terms(self) -> dict[str, float]:
        """Return nothing: no stage of tfmot's adds to the loss."""
        return {}

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the least and largest value of each activation range, by the name of its layer."""
        return tfmot_qat.ranges_of(self.model) if self._stages.qat else {}

    def finish(self) -> tuple[Any, list[Promise]]:
        """Return a finished model, apart from the one under training, and its promises.

        Raises:
            UsageError: quantization-aware training that was never trained.
            ContractError: a promise is broken.
        """
        if self._stages.qat:
            tfmot_qat.check_trained(self.model)
        self._note_unfinished()
        if self._trainable.waiting:
            what_to_do = "pass job.callbacks to fit, or set prune.end_epoch lower"
            self._note(f"no training was left after pruning to fit the clusters: {what_to_do}")
        values = {id(kernel.variable): kernel.final() for kernel in self._trainable.kernels}
        promises = [p for k in self._trainable.kernels for p in k.promises(values[id(k.variable)])]
        check_promises(promises)
        with self._momentum.given_back():
            return self._trainable.finish(values), promises

    def _note_unfinished(self) -> None:
        prune, made = self._stages.prune, self._clock.plan
        if prune is None:
            return
        step = max((int(s.numpy()) for s in self._trainable.steps), default=0)
        last = 1 if prune.pattern == "2:4" else (made.end if made else None)
        if last is None or step < last:
            end = f"step {last} of the schedule" if last else "a schedule was set"
            self._warn(
                f"training stopped at step {step}, before {end}: the rest was pruned without training after it, which "
                "costs accuracy; if it went on, weights of that step were put back by "
                "EarlyStopping(restore_best_weights), load_weights or the like"
            )

    def _warn(self, note: str) -> None:
        """Keep a note, and say it at once where the model was trained: what it describes costs accuracy."""
        if note not in self.notes and was_fitted(self.model):
            warnings.warn(note, stacklevel=5)
        self._note(note)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def open_session(
    model: Any,
    stages: Sequence[Stage],
    *,
    seed: int,
    samples: Samples | None = None,
    teachers: Sequence[Any] = (),
) -> TfmotSession:
    """Prepare *stages* on a copy of a tf_keras model, which computes in float32 whatever the model does.

    Args:
        model: functional or Sequential, built; never changed.
        stages: at most one of each kind.
        seed: seed of the initial centroids.
        samples: not looked at: tfmot's ranges and masks come out of the training alone.
        teachers: not looked at: tfmot has no distillation.

    Raises:
        ModelError: the model was never built.
        UsageError: a scope that matches nothing, or stages that contradict each other.
        UnsupportedError: tfmot refuses the model, or layers of it; they are named.
    """
    model, in_half = in_float32(model)
    with float32_policy():
        session = TfmotSession(model, stages, seed)
    session.notes[:0] = [in_half] if in_half else []
    return session


def _check_plain(model: Any) -> None:
    wrapped = [path for path, layer in leaf_layers(model) if type(layer).__name__.startswith(WRAPPERS)]
    if wrapped:
        msg = f"model already holds tfmot's wrappers ({listed(wrapped)})"
        raise UnsupportedError(msg, "attach the stages to the plain model")


def _check_stages(stages: _Stages) -> None:
    prune, cluster = stages.prune, stages.cluster
    if prune and prune.pattern == "2:4" and prune.begin_epoch:
        given = f"got {prune.begin_epoch:g}"
        msg = f"prune.begin_epoch must be 0 with pattern '2:4' (tfmot sets those masks at the first step), {given}"
        raise UsageError(msg)
    if prune and cluster and cluster.fewest < 3:
        msg = f"cluster.clusters must be at least 3 together with prune (zero is one of them), got {cluster.fewest}"
        raise UsageError(msg)


def _check_combinable(layers: Mapping[str, Any]) -> None:
    kinds = {path: type(layer).__name__ for path, layer in layers.items()}
    others = [f"{path} ({kind})" for path, kind in kinds.items() if kind not in COMBINABLE]
    if others:
        msg = f"several stages together cannot work on {listed(others)}"
        raise UnsupportedError(msg, "choose other layers with scope, or give one stage alone")


def _plain(template: Any, slots: Sequence[Any], result: Clone) -> Finish:
    """Return a function that puts trained and final weights into a fresh model of the user's own layers."""

    def finish(values: Mapping[int, np.ndarray]) -> Any:
        weights = [values[id(v)] if id(v) in values else result.live[id(v)].numpy() for v in slots]
        return with_weights(template, weights)

    return finish


def _install_(
    wrapper: Any, path: str, stages: _Stages, choices: tuple[KernelChoice, KernelChoice], clock: Clock
) -> _Trainable:
    """Put the transforms that *path* was chosen for before the quantizer of a wrapper."""
    kernel, quantizer, _ = weight_quantizers(wrapper)[0]
    to_prune, to_cluster = (path in choice.layers for choice in choices)
    prune = PruneTransform(wrapper, kernel, stages.prune, clock) if stages.prune and to_prune else None
    cluster = None
    if stages.cluster and to_cluster:
        axis = -1 if tfmot_cluster.per_channel(stages.cluster, wrapper.layer) else None
        asked = tfmot_cluster.counted(stages.cluster, path)
        cluster = ClusterTransform(wrapper, kernel, asked, axis=axis, prune=prune, seed=stages.seed)
    set_weight_quantizer_(wrapper, TransformedQuantizer(prune, cluster, quantizer))
    last = cluster or prune
    if last is None:
        return _Trainable(None, [], lambda _: None)
    entry = KernelInTraining(
        name=path,
        variable=kernel,
        current=last.current,
        final=last.final,
        prune=stages.prune if prune else None,
        clusters=stages.cluster.count_of(path) if stages.cluster and cluster else None,
        channel_axis=cluster.axis if cluster else None,
    )
    waiting = [(prune, cluster)] if prune and cluster else []
    return _Trainable(None, [entry], lambda _: None, [prune.step] if prune else [], waiting)


def _kernel(wrapper: Any) -> Any:
    return weight_quantizers(wrapper)[0][0]


def _gathered(model: Any, parts: Sequence[_Trainable], finish: Finish) -> _Trainable:
    return _Trainable(
        model,
        [kernel for part in parts for kernel in part.kernels],
        finish,
        [step for part in parts for step in part.steps],
        [pair for part in parts for pair in part.waiting],
    )


def _combined(
    model: Any,
    template: Any,
    slots: Sequence[Any],
    stages: _Stages,
    to_prune: KernelChoice,
    to_cluster: KernelChoice,
    clock: Clock,
) -> _Trainable:
    """Prune and cluster together, without quantization."""
    wrappers: dict[str, Any] = {}

    def replace(path: str, layer: Any) -> Any | None:
        if path not in to_prune.layers and path not in to_cluster.layers:
            return None
        kernel = tfmot_prune.prunable_kernels(layer)[0]
        wrappers[path] = QuantizeWrapperV2(layer, KernelOnly(short_name(kernel)), name_prefix="compress_")
        return wrappers[path]

    result = clone_with(model, replace)
    parts = [_install_(w, path, stages, (to_prune, to_cluster), clock) for path, w in wrappers.items()]
    return _gathered(result.model, parts, _plain(template, slots, result))


def _quantized(
    model: Any, stages: _Stages, to_prune: KernelChoice, to_cluster: KernelChoice, clock: Clock
) -> _Trainable:
    """Quantize an annotated model, with pruning and clustering before the quantizers where they are asked for."""
    chosen = {**to_prune.layers, **to_cluster.layers}
    values = {path: tfmot_prune.prunable_kernels(layer)[0].numpy() for path, layer in chosen.items()}
    result = tfmot_qat.quantized(model)
    theirs = {layer.name: list(layer.weights) for layer in result.layers}
    tfmot_qat.freeze_(result)
    tfmot_qat.warm_(result)
    hosts = _hosts(result, values)
    parts = [_install_(hosts[path], path, stages, (to_prune, to_cluster), clock) for path in chosen]
    return _gathered(result, parts, functools.partial(tfmot_qat.finished, result, theirs))


def _hosts(model: Any, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Find the wrapper around each kernel: by the layer's name, or (tfmot splits separable convolutions) by its values.

    Raises:
        UnsupportedError: a layer that is to be pruned or clustered is not quantized.
    """
    wrappers = tfmot_qat.wrappers_with_kernels(model)
    found: dict[str, Any] = {}
    for path, value in values.items():
        by_value = (w for w in wrappers if np.array_equal(np.squeeze(_kernel(w).numpy()), np.squeeze(value)))
        host = next((w for w in wrappers if w.layer.name == path), None) or next(by_value, None)
        if host is not None:
            found[path] = host
    missing = [path for path in values if path not in found]
    if missing:
        what = "qat must quantize every layer that is pruned or clustered with it"
        msg = f"{what}, but leaves out {listed(missing)}"
        raise UnsupportedError(msg, "widen qat.scope, or narrow the other's")
    return found
