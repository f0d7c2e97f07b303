"""Where chosen kernels are in the model that is trained: as they are, behind lookups, or behind fake quantization."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfcompress.errors import UnsupportedError
from tfcompress.models.copies import DEPTHWISE, Slot, rebuilt_model
from tfcompress.models.graph import leaf_layers
from tfcompress.models.keras_private import all_layers
from tfcompress.models.scope import listed
from tfcompress.models.transformed_layer import TransformedLayer, variable_at
from tfcompress.quantization.transform import Quantized, quantize
from tfcompress.recipe import QAT, Cluster
from tfcompress.weights.clustering import Clustering


@dataclass(frozen=True)
class Placement:
    """A model to train, and the kernels that stages work on in it.

    Attributes:
        model: the model.
        source: the model whose copy is the finished one; it has the same variables for what both have.
        to_prune: kernels to prune.
        clustering: the cluster stage at work, if there is one.
        notes: what stays as it is.
    """

    model: Any
    source: Any
    to_prune: Sequence[Slot]
    clustering: Clustering | None
    notes: list[str] = field(default_factory=list)


def plain_placement(
    base: Any, to_prune: Sequence[Slot], to_cluster: Sequence[Slot], stage: Cluster | None, seed: int
) -> Placement:
    """Place kernels in *base* itself, with clustered ones looked up before their layer uses them.

    Args:
        base: a copy of the user's model.
        to_prune: kernels of *base* to prune.
        to_cluster: kernels of *base* to cluster.
        stage: the cluster stage, if there is one.
        seed: seed of the first centroids.
    """
    if stage is None:
        return Placement(base, base, to_prune, None)
    clustering = Clustering(stage, to_cluster, _ids(to_prune), seed)
    attached = clustering.attached()

    def replace(path: str, operation: Any) -> Any:
        return TransformedLayer(operation, attached[path]) if path in attached else operation

    return Placement(rebuilt_model(base, replace), base, to_prune, clustering)


def quantized_placement(
    base: Any, to_prune: Sequence[Slot], to_cluster: Sequence[Slot], stages: tuple[QAT, Cluster | None], seed: int
) -> Placement:
    """Place kernels in a model with fake quantization, which takes composite layers apart.

    Args:
        base: a copy of the user's model.
        to_prune: kernels of *base* to prune.
        to_cluster: kernels of *base* to cluster.
        stages: the qat stage, and the cluster stage if there is one.
        seed: seed of the first centroids.

    Raises:
        UnsupportedError: a kernel that is to be pruned or clustered cannot be found again; it is named.
    """
    qat, cluster = stages
    result = quantize(base, qat)
    if cluster is None:
        return Placement(result.model, result.model, _found(base, result, to_prune, "prune"), None, result.notes)
    # What composite layers become is known from a first pass; their parts are what is looked up.
    pruned = _ids(_found(base, result, to_prune, "prune"))
    clustering = Clustering(cluster, _found(base, result, to_cluster, "cluster"), pruned, seed)
    extra = {_key(slot): [lookup] for slot, lookup in zip(clustering.slots, clustering.lookups, strict=True)}
    result = quantize(base, qat, extra=extra)
    clustering.slots = _found(base, result, to_cluster, "cluster")
    missing = [
        s.name for s in clustering.slots if _key(s) not in result.kernels or not result.kernels[_key(s)].transforms
    ]
    if missing:
        _refuse("cluster", missing)
    return Placement(result.model, result.model, _found(base, result, to_prune, "prune"), clustering, result.notes)


def _ids(slots: Sequence[Slot]) -> frozenset[int]:
    return frozenset(id(slot.variable) for slot in slots)


def _key(slot: Slot) -> str:
    return f"{slot.layer}/{slot.attribute}"


def _refuse(kind: str, names: Sequence[str]) -> None:
    what = f"qat must leave every layer that {kind} works on in a form that it can go on with"
    msg = f"{what}, but {kind} does not find {listed(names)} again; narrow {kind}.scope"
    raise UnsupportedError(msg)


def _found(base: Any, result: Quantized, slots: Sequence[Slot], kind: str) -> list[Slot]:
    """Return the kernels of a quantized model that stand for *slots* of *base*.

    Raises:
        UnsupportedError: there is none for one of them.
    """
    layers = {layer.name: layer for layer in all_layers(result.model) if not isinstance(layer, TransformedLayer)}
    others = {path for path, _ in leaf_layers(base)}
    found: dict[int, Slot] = {}
    missing = []
    for slot in slots:
        here = _same(result, layers, slot) or _parts(result, layers, slot, others)
        if len(here) == 1:
            here = [dataclasses.replace(here[0], name=slot.name)]
        found.update((id(each.variable), each) for each in here)
        if not here:
            missing.append(slot.name)
    if missing:
        _refuse(kind, missing)
    return list(found.values())


def _same(result: Quantized, layers: Mapping[str, Any], slot: Slot) -> list[Slot]:
    """Return the slot of a layer that stays one layer."""
    known = result.kernels.get(_key(slot))
    if known:
        return [dataclasses.replace(slot, variable=known.variable)]
    name = slot.layer.replace("/", "_")
    layer = layers.get(f"{name}_inner") or layers.get(name)  # an output's name belongs to what comes last
    if type(layer) is not type(slot.owner) or not slot.attribute:
        return []
    return [dataclasses.replace(slot, variable=variable_at(layer, slot.attribute))]


def _parts(result: Quantized, layers: Mapping[str, Any], slot: Slot, others: set[str]) -> list[Slot]:
    """Return the kernels of the layers that a composite one was taken apart into: their names begin with its name.

    Where another layer's longer name fits, too, they are that one's (``attention_1_query`` is none of ``attention``).
    """
    start, longer = f"{slot.layer}_", tuple(f"{path}_" for path in others if path.startswith(f"{slot.layer}_"))
    found = []
    for key, kernel in result.kernels.items():
        owner = layers.get(kernel.name.replace("/", "_")) or layers.get(kernel.name.rpartition("/")[2])
        depthwise = type(owner).__name__ in DEPTHWISE
        own = kernel.name.startswith(start) and not kernel.name.startswith(longer)
        if own and kernel.name not in others and not depthwise:
            attribute = key.removeprefix(f"{kernel.name}/")
            found.append(Slot(kernel.name, kernel.name, owner, kernel.variable, attribute, part_of=slot.layer))
    return found
