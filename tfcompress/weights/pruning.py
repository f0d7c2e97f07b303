"""Pruning single weights of a Keras 3 model while it trains (Zhu & Gupta 2017, arXiv:1710.01878), without wrappers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfcompress.models.copies import Slot, slots_of
from tfcompress.recipe import Prune
from tfcompress.weights.constraints import Masked, Moving, numpy_of
from tfcompress.weights.kernels import KernelChoice, LayerVerdict, choose_layers
from tfcompress.weights.masks import keep_mask, keep_masks, pruning_obstacle
from tfcompress.weights.promises import GROUPS, Promise, sparsity, sparsity_promises
from tfcompress.weights.schedule import Plan, sparsity_at

Sensitivities = Callable[[Sequence[Any]], list[np.ndarray]]
"""Takes kernels, gives an array of each one's shape: how much the loss would change without each weight."""

OTHER_AXES = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Embedding")
"""Layers whose last axis but one is not that of the input channels."""


def prunable(stage: Prune, path: str, layer: Any) -> list[Slot]:
    """Return the kernels of a layer that are pruned: all but depthwise ones, unless the layer is asked for by name."""
    found = slots_of(path, layer)
    named = layer.name in stage.scope or path in stage.scope or type(layer).__name__ in stage.types
    return [slot for slot in found if not slot.depthwise] or (found if named else [])


def kernels_to_prune(stage: Prune, layers: Mapping[str, Any]) -> KernelChoice:
    """Choose the layers to prune among those with a kernel, by path.

    Raises:
        UsageError: a pattern of the scope, or a type, matches nothing.
        UnsupportedError: layers asked for that cannot be pruned so; or nothing to prune.
    """
    paths = {id(layer): path for path, layer in layers.items()}
    chosen = choose_layers(stage, layers, lambda layer: _verdict(stage, paths[id(layer)], layer))
    for path, layer in chosen.layers.items():
        taken = {id(slot.variable) for slot in prunable(stage, path, layer)}
        left = [slot.name for slot in slots_of(path, layer) if id(slot.variable) not in taken]
        chosen.notes.extend(f"prune leaves {name} as it is: it holds a filter for each channel" for name in left)
    return chosen


def _verdict(stage: Prune, path: str, layer: Any) -> LayerVerdict:
    slots = prunable(stage, path, layer)
    if not slots:
        return LayerVerdict("leave", f"the kernel of {type(layer).__name__} holds a filter for each channel")
    if stage.criterion == "movement" and not layer.trainable:
        return LayerVerdict(
            "refuse", "it is frozen, and criterion 'movement' looks at training; set its trainable to True"
        )
    problems = [problem for slot in slots if (problem := _problem(stage, slot))]
    return LayerVerdict("leave", problems[0]) if problems else LayerVerdict("take")


def _problem(stage: Prune, slot: Slot) -> str:
    kind, shape = type(slot.owner).__name__, tuple(slot.variable.shape)
    if stage.pattern in GROUPS and (kind in OTHER_AXES or (kind == "EinsumDense" and len(shape) > 2)):
        return f"the input channels of {kind} are not where pattern {stage.pattern!r} needs them"
    return pruning_obstacle(shape, stage)


class Pruning:
    """One prune stage applied to kernels.

    Attributes:
        stage: what is asked.
        slots: the kernels.
        plan: when masks are updated; None before it is known.
        done: training steps that were made.
    """

    def __init__(self, stage: Prune, slots: Sequence[Slot], sensitivities: Sensitivities | None) -> None:
        """Put a mask on every kernel.

        Args:
            stage: what is asked.
            slots: kernels to prune.
            sensitivities: for the criteria that look at the loss; None for the others.
        """
        self.stage, self.slots, self._sensitivities = stage, list(slots), sensitivities
        mask = Moving if stage.criterion == "movement" else Masked
        self.masks = [mask(slot.variable) for slot in self.slots]
        self.plan: Plan | None = None
        self.done = 0

    def plan_(self, plan: Plan, done: int) -> None:
        """Lay the schedule over the training, *done* of whose steps are behind it, and prune what is due at once."""
        self.plan, self.done = plan, done
        self._update_(1, done + 1)

    def after_step_(self, steps: int) -> None:
        """Count training steps, and prune what is due before the next one."""
        first, self.done = self.done + 2, self.done + steps
        self._update_(first, self.done + 1)

    def state(self) -> dict[str, np.ndarray]:
        """Return what the masks remember, as arrays of the kernels' shapes by name."""
        return {f"{number}.{key}": v for number, mask in enumerate(self.masks) for key, v in mask.state().items()}

    def restore_(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up what :meth:`state` gave, for the same kernels with their weights of then."""
        for number, mask in enumerate(self.masks):
            mask.restore_({key: state[f"{number}.{key}"] for key in mask.state()})

    def hold_(self) -> None:
        """Set weights that are to be zero to zero, whoever gave them another value."""
        for mask in self.masks:
            mask.set_(mask.kept())

    def put_back(self) -> dict[str, tuple[float, float]]:
        """Return the kernels in which weights are back that were pruned already.

        Returns:
            Name of the kernel -> its fraction of zeros now, and the fraction that its mask asks for.
        """
        found = {}
        for slot, mask in zip(self.slots, self.masks, strict=True):
            value, kept = numpy_of(mask.variable), mask.kept()
            if np.any(value[~kept]):
                found[slot.name] = (sparsity(value), 1.0 - float(kept.mean()))
        return found

    @property
    def over(self) -> bool:
        """Whether the schedule has run to its end."""
        return self.plan is not None and self.done + 1 >= self.plan.end

    def _update_(self, first: int, last: int) -> None:
        """Update the masks for the last one of steps *first* to *last* that has its turn."""
        plan = self.plan
        if plan is None:
            return
        turn = plan.begin + (min(last, plan.end) - plan.begin) // plan.frequency * plan.frequency
        if turn < max(first, plan.begin):
            return
        for mask, stays in zip(self.masks, self.kept_at(sparsity_at(self.stage, plan, turn)), strict=True):
            mask.set_(stays)

    def kept_at(self, fraction: float) -> list[np.ndarray]:
        """Return which weights of each kernel stay when *fraction* of them goes; changes nothing."""
        importances = self._importances()
        if self.stage.threshold == "global":
            return keep_masks(importances, fraction)
        return [keep_mask(values, fraction, self.stage) for values in importances]

    def _importances(self) -> list[np.ndarray]:
        if self.stage.criterion == "magnitude":
            found = [np.abs(mask.value()) for mask in self.masks]
        elif self._sensitivities:
            found = self._sensitivities([slot.variable for slot in self.slots])
        else:
            found = [mask.scores() for mask in self.masks if isinstance(mask, Moving)]
        return [np.where(m.kept(), v, -np.inf) for m, v in zip(self.masks, found, strict=True)]

    def current(self) -> dict[int, np.ndarray]:
        """Return the kernels as the forward pass uses them, by the id of their variable."""
        return {id(mask.variable): numpy_of(mask.variable) for mask in self.masks}

    def final(self) -> dict[int, np.ndarray]:
        """Return the kernels with at least the sparsity asked for, whether or not training has come that far."""
        values = {id(mask.variable): mask.value() for mask in self.masks}
        if all(p.kept for p in self.promises(values)):
            return values
        stays = self.kept_at(self.stage.sparsity)
        return {key: np.where(kept, v, 0) for (key, v), kept in zip(values.items(), stays, strict=True)}

    def promises(self, values: Mapping[int, np.ndarray]) -> list[Promise]:
        """Compare values of the kernels, by the id of their variable, with what the stage promises.

        With one threshold for all, each kernel's share is what it has; as long as they do not have enough together,
        that is one more promise.
        """
        named = [(slot, values[id(slot.variable)]) for slot in self.slots]
        if self.stage.threshold == "layer":
            return [p for slot, value in named for p in sparsity_promises(slot.name, value, self.stage)]
        shares = [Promise(slot.name, "sparsity", sparsity(v), sparsity(v), v.size) for slot, v in named]
        whole = np.concatenate([value.ravel() for _, value in named])
        reached = Promise("all pruned kernels", "sparsity", self.stage.sparsity, sparsity(whole), whole.size)
        return shares if reached.kept else [reached, *shares]
