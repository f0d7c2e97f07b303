"""Weight clustering with tfmot's ``cluster_weights``, layer by layer."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from tfcompress.engines.tfmot.cloning import Clone, clone_with, kernel_name, kernels_of
from tfcompress.engines.tfmot.names import (
    CentroidInitialization,
    ClusteringRegistry,
    ClusterWeights,
    cluster_weights,
)
from tfcompress.models.scope import check_scope
from tfcompress.recipe import Cluster
from tfcompress.weights import kmeans
from tfcompress.weights.kernels import KernelChoice, KernelInTraining, LayerVerdict, choose_layers

PER_CHANNEL_LAYERS = ("Conv2D",)
"""Layers whose output channels can be clustered apart: tfmot takes subclasses of Conv2D too, and for a transposed
convolution the wrong axis."""


def verdict(stage: Cluster, path: str, layer: Any) -> LayerVerdict:
    """Say whether tfmot clusters *layer* as *stage* asks."""
    kind = type(layer).__name__
    if not layer.trainable_weights:
        return LayerVerdict("refuse", "it is frozen, and tfmot trains what it clusters; set its trainable to True")
    if not ClusteringRegistry.supports(layer):
        return LayerVerdict("refuse", f"tfmot does not cluster {kind}")
    kernels = clusterable_kernels(layer)
    if not kernels:
        return LayerVerdict("leave", f"tfmot does not cluster the kernel of {kind}")
    sizes = [math.prod(k.shape) // (k.shape[-1] if per_channel(stage, layer) else 1) for k in kernels]
    count = stage.count_of(path)
    if max(sizes) <= count:
        return LayerVerdict("leave", f"its {max(sizes)} weights cannot hold more than {count} values")
    return LayerVerdict("take")


def clusterable_kernels(layer: Any) -> list[Any]:
    """Return the variables of a layer that tfmot clusters."""
    return [weight for _, weight in ClusteringRegistry.make_clusterable(layer).get_clusterable_weights()]


def per_channel(stage: Cluster, layer: Any) -> bool:
    """Tell whether the output channels of *layer* are clustered apart: they are, where that was left open."""
    return (
        stage.per_channel is not False
        and type(layer).__name__ in PER_CHANNEL_LAYERS
        and layer.data_format == "channels_last"
    )


def layers_to_cluster(stage: Cluster, layers: dict[str, Any]) -> KernelChoice:
    """Choose the layers to cluster among those with a kernel, by path.

    Raises:
        UsageError: a pattern of the scope matches nothing.
        UnsupportedError: layers that tfmot cannot cluster; or nothing to cluster.
    """
    patterns = [name for name, _ in stage.counts]
    check_scope(stage.kind, patterns, layers, "layer with a kernel", field="layers")
    paths = {id(layer): path for path, layer in layers.items()}
    chosen = choose_layers(stage, layers, lambda layer: verdict(stage, paths[id(layer)], layer))
    for path, layer in chosen.layers.items():
        taken = {id(kernel) for kernel in clusterable_kernels(layer)}
        left = [kernel_name(path, k, alone=False) for k in kernels_of(layer) if id(k) not in taken]
        chosen.notes.extend(f"cluster leaves {name} as it is: tfmot does not cluster that part" for name in left)
        if stage.per_channel and not per_channel(stage, layer):
            chosen.notes.append(f"cluster takes {path} whole: channels are clustered apart in Conv2D only")
    return chosen


def counted(stage: Cluster, path: str) -> Cluster:
    """Return the stage for one layer alone, as many values as it is allowed."""
    return dataclasses.replace(stage, clusters=stage.count_of(path), layers=())


def wrap(model: Any, stage: Cluster, chosen: KernelChoice, seed: int) -> tuple[Clone, list[KernelInTraining]]:
    """Wrap the chosen layers.

    Args:
        model: a tf_keras model that may be taken apart (a copy of the user's).
        stage: what is asked.
        chosen: the layers of *model* to cluster.
        seed: seed of the initial centroids.

    Returns:
        The trainable model and its clustered kernels.
    """
    wrappers: dict[str, Any] = {}

    def replace(path: str, layer: Any) -> Any | None:
        if path not in chosen.layers:
            return None
        wrappers[path] = _wrapper(counted(stage, path), layer)
        return wrappers[path]

    # tfmot swaps a layer's kernel for a tensor when the wrapper is called, so what stands for what is looked up first.
    result = clone_with(model, replace)
    kernels = [
        kernel for path, wrapper in wrappers.items() for kernel in _kernels(path, wrapper, counted(stage, path), seed)
    ]
    return result, kernels


def _wrapper(stage: Cluster, layer: Any) -> Any:
    # Where tfmot places its centroids does not matter (see _kernels); evenly is the quickest.
    init = CentroidInitialization.LINEAR
    if not per_channel(stage, layer):
        return cluster_weights(layer, stage.clusters, init)
    # Not by cluster_weights: it counts the channels by the last weight, and gives up on convolutions without a bias.
    return ClusterWeights(layer, stage.clusters, init, cluster_per_channel=True)


def _kernels(path: str, wrapper: Any, stage: Cluster, seed: int) -> list[KernelInTraining]:
    found = []
    weights = wrapper.original_clusterable_weights
    axis = -1 if wrapper.cluster_per_channel else None
    for name, weight in weights.items():
        centroids = wrapper.cluster_centroids[name]
        # tfmot places centroids by its own seed and leaves the rest to training; k-means starts closer.
        centroids.assign(kmeans.initial_centroids(weight.numpy(), stage.clusters, stage.init, seed, axis))
        value = functools.partial(_snapped, weight, centroids, axis)
        label = kernel_name(path, weight, alone=len(weights) == 1)
        found.append(KernelInTraining(label, weight, value, value, clusters=stage.clusters, channel_axis=axis))
    return found


def _snapped(weight: Any, centroids: Any, axis: int | None) -> np.ndarray:
    """Return the kernel as tfmot's wrapper uses it: every weight at its nearest centroid."""
    return kmeans.snapped(weight.numpy(), np.sort(centroids.numpy(), axis=-1), axis)
