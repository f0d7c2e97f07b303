"""Every name we use of tfmot, most of which are not in its public interface, in one place.

Private attributes of its objects are behind functions with names of their own.

Importing tfmot sets ``TF_USE_LEGACY_KERAS`` and looks at ``tf.keras``, which is resolved once and for all at that
moment: in a process that has not used it yet, ``tf.keras`` would become tf_keras. Here it is resolved first, as the
process has it, and the variable is put back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfcompress.models.keras_private import weight_quantizers

_LEGACY = "TF_USE_LEGACY_KERAS"

_before = os.environ.get(_LEGACY)
getattr(tf.keras, "version", None)

# ruff: noqa: E402
from tensorflow_model_optimization.python.core.clustering.keras.cluster import cluster_weights
from tensorflow_model_optimization.python.core.clustering.keras.cluster_config import CentroidInitialization
from tensorflow_model_optimization.python.core.clustering.keras.cluster_wrapper import ClusterWeights
from tensorflow_model_optimization.python.core.clustering.keras.clustering_registry import ClusteringRegistry
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit.default_8bit_quantize_registry import (
    Default8BitQuantizeRegistry,
)
from tensorflow_model_optimization.python.core.quantization.keras.quant_ops import MovingAvgQuantize
from tensorflow_model_optimization.python.core.quantization.keras.quantize import (
    quantize_annotate_layer,
    quantize_apply,
    quantize_scope,
)
from tensorflow_model_optimization.python.core.quantization.keras.quantize_aware_activation import (
    QuantizeAwareActivation,
)
from tensorflow_model_optimization.python.core.quantization.keras.quantize_config import QuantizeConfig
from tensorflow_model_optimization.python.core.quantization.keras.quantize_layer import QuantizeLayer
from tensorflow_model_optimization.python.core.quantization.keras.quantize_wrapper import (
    QuantizeWrapper,
    QuantizeWrapperV2,
)
from tensorflow_model_optimization.python.core.quantization.keras.quantizers import MovingAverageQuantizer, Quantizer
from tensorflow_model_optimization.python.core.sparsity.keras.prune import prune_low_magnitude
from tensorflow_model_optimization.python.core.sparsity.keras.prune_registry import PruneRegistry
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_impl import Pruning
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_schedule import PruningSchedule

if _before is None:
    os.environ.pop(_LEGACY, None)
else:
    os.environ[_LEGACY] = _before

INSIDE_ACTIVATIONS: frozenset[str] = frozenset(
    QuantizeAwareActivation._PRE_QUANT_ACTIVATIONS | QuantizeAwareActivation._POST_QUANT_ACTIVATIONS
)
"""Activations that tfmot takes inside a layer."""


def set_weight_quantizer_(wrapper: Any, quantizer: Any) -> None:
    """Give a QuantizeWrapper another quantizer for the first weight that it took; its variables stay."""
    (weight, _, variables), *_ = wrapper._weight_vars
    wrapper._weight_vars = [(weight, quantizer, variables)]


def replace_activation_quantizers_(wrapper: Any, replace: Callable[[Any, str], Any]) -> None:
    """Exchange the quantizers of what comes out of a QuantizeWrapper's layer.

    Args:
        wrapper: the wrapper.
        replace: takes a quantizer and what it is for, ``output`` or ``activation``; gives the one in its place.
    """
    wrapper._output_quantizers = [replace(quantizer, "output") for quantizer in wrapper._output_quantizers]
    for activation in wrapper._quantize_activations:
        activation.quantizer = replace(activation.quantizer, "activation")


def is_turn(schedule: PruningSchedule, step: Any, begin: Any, end: Any, frequency: Any) -> Any:
    """Say (scalar bool tensor) whether tfmot updates its masks at a step of a schedule with these numbers."""
    return schedule._should_prune_in_step(step, begin, end, frequency)


def set_constraint_(variable: Any, constraint: Callable[[Any], Any]) -> None:
    """Give a TensorFlow variable, which takes its constraint at creation only, another one."""
    variable._constraint = constraint


__all__ = [
    "INSIDE_ACTIVATIONS",
    "CentroidInitialization",
    "ClusterWeights",
    "ClusteringRegistry",
    "Default8BitQuantizeRegistry",
    "MovingAverageQuantizer",
    "MovingAvgQuantize",
    "PruneRegistry",
    "Pruning",
    "PruningSchedule",
    "QuantizeAwareActivation",
    "QuantizeConfig",
    "QuantizeLayer",
    "QuantizeWrapper",
    "QuantizeWrapperV2",
    "Quantizer",
    "cluster_weights",
    "is_turn",
    "prune_low_magnitude",
    "quantize_annotate_layer",
    "quantize_apply",
    "quantize_scope",
    "replace_activation_quantizers_",
    "set_constraint_",
    "set_weight_quantizer_",
    "weight_quantizers",
]
