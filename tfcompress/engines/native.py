"""The engine that works on Keras 3 models with nothing but Keras 3."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfcompress.distillation.lesson import Lesson, learn_from_
from tfcompress.distillation.teacher import Teacher, own_teacher
from tfcompress.engines.checkpoints import was_fitted
from tfcompress.engines.momentum import Momentum
from tfcompress.engines.placement import Placement, plain_placement, quantized_placement
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.models.copies import check_graph, layers_with_kernels, model_copy
from tfcompress.models.keras_private import all_layers
from tfcompress.models.own_training import in_class_of, refuse_unheard_loss
from tfcompress.models.samples import Samples
from tfcompress.models.scope import listed
from tfcompress.models.transformed_layer import TransformedLayer
from tfcompress.quantization.calibration import calibrate_, freeze_ranges_, freeze_statistics_
from tfcompress.quantization.fake_quant import PRIOR, FakeQuant
from tfcompress.quantization.gptq import towards_the_output
from tfcompress.quantization.post_training import Conditions
from tfcompress.recipe import QAT, Distill, Prune, Stage
from tfcompress.weights import clustering, pruning
from tfcompress.weights.constraints import Masked, numpy_of
from tfcompress.weights.loss_sensitivity import BATCHES, LossSensitivity
from tfcompress.weights.promises import GROUPS, Promise
from tfcompress.weights.promises import check_promises as check_promises
from tfcompress.weights.schedule import plan

NAME = "native"

KERAS = "keras3"
"""The Keras whose models :func:`open_session` takes."""

_LESSON = "lesson/"


class NativeSession:
    """Stages applied to one Keras 3 model; see :class:`tfcompress.engines.session.Session`.

    Attributes:
        model: the trainable Keras 3 model.
        notes: what was left as it is and why, and what became of the schedule.
    """

    def __init__(
        self,
        model: Any,
        stages: Sequence[Stage],
        seed: int,
        samples: Samples | None,
        teachers: Sequence[Teacher],
    ) -> None:
        """Prepare the stages on a copy of *model*; see :func:`open_session`."""
        self._asked: dict[str, Any] = {stage.kind: stage for stage in stages}
        self._samples = samples
        check_graph(model)
        _check_free(model)
        _check_stages(self._asked)
        self.notes: list[str] = []
        self._placed = self._place(self._base(model), seed)
        self.notes += self._placed.notes
        self.model = in_class_of(self._placed.model, model)
        self._lesson = self._learn(model, teachers)
        self._pruning = self._prune()
        self._clustering = self._placed.clustering
        self._momentum = Momentum(all_layers(self.model))
        self._freezing: list[tuple[int, Callable[[Any], None]]] = []  # after how many steps, and what then
        self._done = 0
        if "qat" in self._asked and samples is not None:
            calibrate_(self._placed.model, samples.inputs)

    def _base(self, model: Any) -> Any:
        """Return what stages are put on; quantization-aware training only reads it, and builds it anew by itself."""
        qat: QAT | None = self._asked.get("qat")
        if qat is None:
            return model_copy(model)
        if qat.weight_bits == 8 or self._samples is None:
            return model
        self.notes.append("qat begins with weights that are rounded to 4 bits towards the float model's outputs")
        return towards_the_output(model, Conditions(inputs=self._samples.inputs, stage=qat))

    def _place(self, base: Any, seed: int) -> Placement:
        prune, cluster = self._asked.get("prune"), self._asked.get("cluster")
        layers = layers_with_kernels(base)
        to_prune, to_cluster = [], []
        if prune:
            chosen = pruning.kernels_to_prune(prune, layers)
            self.notes += chosen.notes
            to_prune = [slot for path, layer in chosen.layers.items() for slot in pruning.prunable(prune, path, layer)]
        if cluster:
            chosen = clustering.kernels_to_cluster(cluster, layers)
            self.notes += chosen.notes
            to_cluster = [slot for path, layer in chosen.layers.items() for slot in clustering.clusterable(path, layer)]
        if "qat" in self._asked:
            return quantized_placement(base, to_prune, to_cluster, (self._asked["qat"], cluster), seed)
        return plain_placement(base, to_prune, to_cluster, cluster, seed)

    def _learn(self, model: Any, teachers: Sequence[Teacher]) -> Lesson | None:
        stage: Distill | None = self._asked.get("distill")
        if stage is None:
            return None
        refuse_unheard_loss(self.model, stage.kind)
        lesson = Lesson(stage, teachers or [own_teacher(model)], model)
        learn_from_(self.model, lesson)
        self.notes += lesson.notes
        return lesson

    def _prune(self) -> pruning.Pruning | None:
        stage: Prune | None = self._asked.get("prune")
        if stage is None:
            return None
        by_loss = stage.criterion in BATCHES
        sensitivities = LossSensitivity(stage.criterion, self.model, self._samples) if by_loss else None
        return pruning.Pruning(stage, self._placed.to_prune, sensitivities)

    @property
    def needs_steps(self) -> bool:
        """Whether :meth:`after_step_` has anything to do."""
        return self._pruning is not None or "qat" in self._asked

    @property
    def unfinished(self) -> bool:
        """Whether a pruning schedule is not over yet, so that the training should not be stopped early."""
        return self._pruning is not None and not self._pruning.over

    def plan_(self, *, epochs: int, steps_per_epoch: int, done_steps: int = 0) -> None:
        """Lay schedules over a training, *done_steps* of whose steps are behind it.

        Raises:
            UsageError: the pruning schedule does not fit into the training.
        """
        self._done = done_steps
        qat: QAT | None = self._asked.get("qat")
        if qat:
            shares = ((qat.freeze, freeze_ranges_), (qat.freeze_statistics, freeze_statistics_))
            total = epochs * steps_per_epoch
            self._freezing = [(round((1 - share) * total), freeze_) for share, freeze_ in shares if share]
        if self._pruning is not None:
            self._plan_pruning_(self._pruning, epochs, steps_per_epoch)
        if self._clustering:
            self._clustering.look_again_()
        self._follow_()

    def _plan_pruning_(self, work: pruning.Pruning, epochs: int, steps_per_epoch: int) -> None:
        stage = work.stage
        made = plan(stage, epochs=epochs, steps_per_epoch=steps_per_epoch)
        if stage.frequency not in (made.frequency, Prune.frequency) and stage.pattern not in GROUPS:
            often = f"every {made.frequency} steps, not {stage.frequency}"
            self._note(f"prune updates its masks {often}: the training has {made.total} steps")
        self._momentum.shorten_(made.total)
        work.plan_(made, self._done)

    def after_step_(self) -> None:
        """Update masks where it is their turn, then place centroids and freeze ranges when it is theirs."""
        steps = int(getattr(self.model, "steps_per_execution", None) or 1)
        self._done += steps
        if self._pruning is not None:
            self._pruning.after_step_(steps)
        self._follow_()

    def after_training_(self) -> None:
        """Put masks on weights that an optimizer with a moving average (``use_ema``) has put in at the end.

        Others that come in at the end are those of an earlier epoch, with fewer zeros: that is reported, as are those
        from before the centroids were placed.
        """
        if self._pruning is not None:
            if not getattr(getattr(self.model, "optimizer", None), "use_ema", False):
                self._note_put_back()
            self._pruning.hold_()

    def state(self) -> dict[str, np.ndarray]:
        """Return what pruning and the lesson remember; what the other stages do is among the model's weights."""
        lesson = {} if self._lesson is None else self._lesson.state()
        named = {f"{_LESSON}{name}": value for name, value in lesson.items()}
        return {**({} if self._pruning is None else self._pruning.state()), **named}

    def restore_(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up what :meth:`state` gave."""
        if self._pruning is not None:
            self._pruning.restore_({name: x for name, x in state.items() if not name.startswith(_LESSON)})
        if self._lesson is not None:
            named = {n.removeprefix(_LESSON): x for n, x in state.items() if n.startswith(_LESSON)}
            self._lesson.restore_(named)

    def _follow_(self) -> None:
        if self._clustering and not self.unfinished and self._clustering.waiting:
            self._clustering.start_()
        for step, freeze_ in self._freezing:
            if self._done >= step:
                freeze_(self._placed.model)
        self._freezing = [(step, freeze_) for step, freeze_ in self._freezing if self._done < step]

    def promises(self) -> list[Promise]:
        """Compare every kernel as it is now with what was asked."""
        values = self._pruning.current() if self._pruning else {}
        return self._compared({**values, **(self._clustering.current() if self._clustering else {})})

    def loss_terms(self) -> dict[str, float]:
        """Return what task and teacher added to the loss of a step, on average since this was asked last."""
        return {} if self._lesson is None else self._lesson.terms()

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the least and largest value of each activation range that was measured, by the name of its layer."""
        layers = [layer for layer in all_layers(self.model) if isinstance(layer, FakeQuant) and layer.fixed is None]
        return {layer.name: (float(layer.low), float(layer.high)) for layer in layers if float(layer.seen)}

    def _compared(self, values: Mapping[int, np.ndarray]) -> list[Promise]:
        of_prune = self._pruning.promises(values) if self._pruning else []
        return [*of_prune, *(self._clustering.promises(values) if self._clustering else [])]

    def finish(self) -> tuple[Any, list[Promise]]:
        """Return a finished model, apart from the one under training, and its promises.

        Raises:
            UsageError: quantization-aware training that was never trained.
            ContractError: a promise is broken.
        """
        if "qat" in self._asked:
            _check_trained(self._placed.model, self._done)
        self._note_put_back()
        self._note_unfinished()
        values = self._pruning.final() if self._pruning else {}
        if self._clustering:
            values = {**values, **self._clustering.final(values)}
        promises = self._compared(values)
        check_promises(promises)
        with self._momentum.given_back():
            return _finished(self._placed.source, values), promises

    def _note_put_back(self) -> None:
        found = {} if self._pruning is None else self._pruning.put_back()
        if found:
            self._warn(words_put_back(found))
        unplaced = self._clustering.put_back() if self._clustering else []
        if unplaced:
            self._warn(words_placed_anew(unplaced))

    def _note_unfinished(self) -> None:
        if self._pruning is None or self._pruning.over:
            return
        made = self._pruning.plan
        end = f"step {made.end} of the schedule" if made else "a schedule was set"
        done = self._pruning.done
        self._warn(f"training stopped at step {done}, before {end}: the rest was pruned without training after it")
        if self._clustering and self._clustering.waiting:
            what_to_do = "pass job.callbacks to fit, or set prune.end_epoch lower"
            self._note(f"no training was left after pruning to fit the clusters: {what_to_do}")

    def _warn(self, note: str) -> None:
        """Keep a note, and say it at once where the model was trained: what it describes costs accuracy."""
        if note not in self.notes and was_fitted(self.model):
            warnings.warn(note, stacklevel=5)
        self._note(note)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def words_placed_anew(kernels: Sequence[str]) -> str:
    """Return in a sentence what happened to kernels from before their centroids were placed, and what to do."""
    return (
        f"weights from before their centroids were placed were put back into {listed(kernels)}, by "
        "EarlyStopping(restore_best_weights), load_weights or the like; new ones were placed without training after "
        "it, which costs accuracy: let such a callback begin when the pruning schedule is over (start_from_epoch), or "
        "leave it out"
    )


def words_put_back(found: Mapping[str, tuple[float, float]]) -> str:
    """Return in a sentence what happened to kernels whose pruned weights came back, and what to do.

    Args:
        found: name of the kernel -> its fraction of zeros, and the fraction that its mask asks for.
    """
    kernels = listed([f"{name} ({now:.0%} zeros instead of {asked:.0%})" for name, (now, asked) in found.items()])
    return (
        f"weights of an earlier step were put back after pruning, by EarlyStopping(restore_best_weights), load_weights "
        f"or the like: {kernels}; the difference was cut without training after it, which costs accuracy: let such a "
        "callback begin when the schedule is over (start_from_epoch), or leave it out"
    )


def _check_free(model: Any) -> None:
    """Reject a model that stages are applied to already, or that holds what they leave behind."""
    at_work = any(isinstance(variable.constraint, Masked) for variable in model.variables)
    left = any(isinstance(layer, FakeQuant | TransformedLayer) for layer in all_layers(model))
    if at_work or left:
        msg = f"model {model.name!r} holds stages of another job; attach all stages together, to the plain model"
        raise UnsupportedError(msg)


def _check_stages(asked: Mapping[str, Any]) -> None:
    prune, cluster = asked.get("prune"), asked.get("cluster")
    if prune and cluster and cluster.fewest < 3:
        msg = f"cluster.clusters must be at least 3 together with prune (zero is one of them), got {cluster.fewest}"
        raise UsageError(msg)


def _check_trained(model: Any, done: int) -> None:
    """Refuse a model whose ranges have seen nothing, or only the samples that they were begun with."""
    ranges = [layer for layer in all_layers(model) if isinstance(layer, FakeQuant) and layer.fixed is None]
    seen = {float(numpy_of(layer.seen)) for layer in ranges}
    if seen == {0.0}:
        msg = "qat must be trained before finish(): its ranges have seen no data; call job.model.fit first"
        raise UsageError(msg)
    # Learnt ranges do not count the batches that they see.
    if seen == {PRIOR} and not done and not any(layer.learn for layer in ranges):
        msg = "qat must be trained before finish(): it has seen the samples, and no step; call job.model.fit first"
        raise UsageError(msg)


def _finished(model: Any, values: Mapping[int, np.ndarray]) -> Any:
    """Return a copy of *model* with other values for some variables, by their id."""
    new = model_copy(model)
    for old, variable in zip(model.variables, new.variables, strict=True):
        if id(old) in values:
            variable.assign(values[id(old)])
    return new


def open_session(
    model: Any,
    stages: Sequence[Stage],
    *,
    seed: int,
    samples: Samples | None = None,
    teachers: Sequence[Teacher] = (),
) -> NativeSession:
    """Prepare *stages* on a copy of a Keras 3 model.

    Args:
        model: functional or Sequential, built; never changed.
        stages: at most one of each kind.
        seed: seed of the initial centroids.
        samples: training data for criteria by gradient and for the first activation ranges.
        teachers: whom to learn from, where there is a distill stage; none: from *model* as it is.

    Raises:
        ModelError: the model was never built.
        UsageError: a scope that matches nothing, or a criterion without the samples that it needs.
        UnsupportedError: the model is subclassed, or layers of it cannot be worked on; they are named.
    """
    return NativeSession(model, stages, seed, samples, teachers)
