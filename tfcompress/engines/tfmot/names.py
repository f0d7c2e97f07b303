"""Every name we use of tfmot, most of which are not in its public interface, in one place.

Importing tfmot sets ``TF_USE_LEGACY_KERAS`` and looks at ``tf.keras``, which is resolved once and for all at that
moment: in a process that has not used it yet, ``tf.keras`` would become tf_keras. Here it is resolved first, as the
process has it, and the variable is put back.
"""

from __future__ import annotations

import os

import tensorflow as tf

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

__all__ = [
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
    "prune_low_magnitude",
    "quantize_annotate_layer",
    "quantize_apply",
    "quantize_scope",
]
