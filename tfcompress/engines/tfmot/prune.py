"""Magnitude pruning with tfmot's ``prune_low_magnitude``, layer by layer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfcompress.engines.tfmot.clocked_schedule import Clock, ClockedSchedule
from tfcompress.engines.tfmot.cloning import Clone, clone_with, kernel_name, kernels_of
from tfcompress.engines.tfmot.names import PruneRegistry, prune_low_magnitude, set_constraint_
from tfcompress.recipe import Prune
from tfcompress.weights.kernels import KernelChoice, KernelInTraining, LayerVerdict, choose_layers
from tfcompress.weights.masks import pruned, pruning_obstacle

TWO_OF_FOUR = (2, 4)

TWO_OF_FOUR_LAYERS = ("Conv2D", "Dense", "SeparableConv2D")
"""Layers whose kernels tfmot reads in the order of TFLite; for others its groups would lie along another axis."""


def verdict(stage: Prune, layer: Any) -> LayerVerdict:
    """Say whether tfmot prunes *layer* as *stage* asks."""
    kind = type(layer).__name__
    if not PruneRegistry.supports(layer):
        return LayerVerdict("refuse", f"tfmot does not prune {kind}")
    kernels = prunable_kernels(layer)
    if not kernels:
        return LayerVerdict("leave", f"tfmot does not prune the kernel of {kind}")
    if stage.pattern == "2:4" and kind not in TWO_OF_FOUR_LAYERS:
        return LayerVerdict("refuse", f"tfmot has the 2:4 pattern for {', '.join(TWO_OF_FOUR_LAYERS)} only")
    if stage.pattern == "block" and any(k.shape.rank != 2 for k in kernels):
        return LayerVerdict("refuse", "tfmot prunes blocks in matrices only")
    problems = [problem for k in kernels if (problem := pruning_obstacle(tuple(k.shape), stage))]
    return LayerVerdict("leave", problems[0]) if problems else LayerVerdict("take")


def prunable_kernels(layer: Any) -> list[Any]:
    """Return the variables of a layer that tfmot prunes."""
    return list(PruneRegistry.make_prunable(layer).get_prunable_weights())


def layers_to_prune(stage: Prune, layers: dict[str, Any]) -> KernelChoice:
    """Choose the layers to prune among those with a kernel, by path.

    Raises:
        UsageError: a pattern of the scope matches nothing.
        UnsupportedError: layers that tfmot cannot prune; or nothing to prune.
    """
    chosen = choose_layers(stage, layers, functools.partial(verdict, stage))
    for path, layer in chosen.layers.items():
        taken = {id(kernel) for kernel in prunable_kernels(layer)}
        left = [kernel_name(path, k, alone=False) for k in kernels_of(layer) if id(k) not in taken]
        chosen.notes.extend(f"prune leaves {name} as it is: tfmot does not prune that part" for name in left)
    return chosen


def pattern_arguments(stage: Prune) -> dict[str, Any]:
    """Return tfmot's arguments for the stage's pattern."""
    if stage.pattern == "2:4":
        return {"sparsity_m_by_n": TWO_OF_FOUR}
    return {"block_size": tuple(stage.block_shape)}


def keep_zero_(variable: Any, mask: Any) -> None:
    """Make every Keras optimizer put the masked weights of *variable* back to zero after each of its steps.

    Without it the last step before a checkpoint (or the end of training) leaves small values where the mask is 0.
    """
    own: Callable[[Any], Any] | None = variable.constraint

    def constraint(weights: Any) -> Any:
        allowed = weights if own is None else own(weights)
        return tf.convert_to_tensor(allowed) * mask

    set_constraint_(variable, constraint)  # the layer has created it long ago


def wrap(model: Any, stage: Prune, chosen: KernelChoice, clock: Clock) -> tuple[Clone, list[KernelInTraining]]:
    """Wrap the chosen layers.

    Args:
        model: a tf_keras model that may be taken apart (a copy of the user's).
        stage: what is asked.
        chosen: the layers of *model* to prune.
        clock: when masks are updated.

    Returns:
        The trainable model and its pruned kernels.
    """
    wrappers: dict[str, Any] = {}

    def replace(path: str, layer: Any) -> Any | None:
        if path not in chosen.layers:
            return None
        sizes = [int(np.prod(k.shape)) for k in prunable_kernels(layer)]
        schedule = ClockedSchedule(stage, clock, sizes)
        wrappers[path] = prune_low_magnitude(layer, pruning_schedule=schedule, **pattern_arguments(stage))
        return wrappers[path]

    result = clone_with(model, replace)
    kernels = [kernel for path, wrapper in wrappers.items() for kernel in _kernels(path, wrapper, stage)]
    return result, kernels


def _kernels(path: str, wrapper: Any, stage: Prune) -> list[KernelInTraining]:
    # tfmot leaves the step at -1 until its own callback is seen; training without it is an assertion of its graph.
    tf_keras.backend.set_value(wrapper.pruning_step, 0)
    found = []
    for weight, mask, _ in wrapper.pruning_vars:
        keep_zero_(weight, mask)
        name = kernel_name(path, weight, alone=len(wrapper.pruning_vars) == 1)
        current = functools.partial(masked, weight, mask)
        found.append(KernelInTraining(name, weight, current, functools.partial(_final, current, stage), prune=stage))
    return found


def masked(weight: Any, mask: Any) -> np.ndarray:
    """Return a variable's value where its mask is 1, and 0 elsewhere."""
    value: np.ndarray = weight.numpy() * mask.numpy()
    return value


def _final(current: Callable[[], np.ndarray], stage: Prune) -> np.ndarray:
    return pruned(current(), stage)
