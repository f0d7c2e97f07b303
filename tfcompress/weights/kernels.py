"""The kernels that stages change, and which layers are chosen for a stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tfcompress.errors import UnsupportedError, UsageError, nearest
from tfcompress.models.scope import check_scope, in_scope, listed
from tfcompress.recipe import Cluster, Prune
from tfcompress.weights.promises import Promise, sparsity_promises, values_promise


@dataclass(frozen=True)
class KernelInTraining:
    """One kernel under training.

    Attributes:
        name: name for reports: the layer's (and its models'), with the weight's where the layer has several.
        variable: what the optimizer trains (a tf.Variable).
        current: gives the kernel as the forward pass uses it now.
        final: gives the kernel with every promise kept; changes nothing.
        prune: the stage that prunes it, if any.
        clusters: values that it may hold; None: it is not clustered.
        channel_axis: axis whose slices are clustered apart; None: the kernel is clustered whole.
    """

    name: str
    variable: Any
    current: Callable[[], np.ndarray]
    final: Callable[[], np.ndarray]
    prune: Prune | None = None
    clusters: int | None = None
    channel_axis: int | None = None

    def promises(self, value: np.ndarray) -> list[Promise]:
        """Compare *value* with what the stages promise about this kernel."""
        found = sparsity_promises(self.name, value, self.prune) if self.prune else []
        if self.clusters is not None:
            found.append(values_promise(self.name, value, self.clusters, channel_axis=self.channel_axis))
        return found


@dataclass(frozen=True)
class LayerVerdict:
    """What a technique says about one layer with a kernel: take it, leave it as it is, or refuse the model."""

    what: Literal["take", "leave", "refuse"]
    reason: str = ""


@dataclass(frozen=True)
class KernelChoice:
    """The layers a stage works on.

    Attributes:
        layers: the chosen layers by their path in the model.
        notes: what was left as it is, and why.
    """

    layers: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)


def choose_layers(
    stage: Prune | Cluster, layers: Mapping[str, Any], verdict: Callable[[Any], LayerVerdict]
) -> KernelChoice:
    """Choose the layers for a stage among those with a kernel.

    Args:
        stage: the stage with its scope.
        layers: every layer that has a kernel, by its path.
        verdict: what the technique says about a layer.

    Raises:
        UsageError: a pattern of the scope matches no layer.
        UnsupportedError: layers in the scope that the technique cannot work on; or there is nothing to work on.
    """
    check_scope(stage.kind, stage.scope, layers, "layer with a kernel")
    layers = _of_types(stage, layers)
    verdicts = {path: verdict(layer) for path, layer in layers.items() if in_scope(path, stage.scope)}
    taken = {path: layers[path] for path, v in verdicts.items() if v.what == "take"}
    asked_by_name = {path for path in verdicts if path in stage.scope or path.rpartition("/")[2] in stage.scope}
    refused = [p for p, v in verdicts.items() if v.what == "refuse" or (v.what == "leave" and p in asked_by_name)]
    without = f"leave the {stage.kind} stage out"
    if refused:
        words = listed([f"{p} ({type(layers[p]).__name__}: {verdicts[p].reason})" for p in refused])
        rest = f"choose the others: {stage.kind}.scope = [{listed([repr(p) for p in taken])}]"
        msg = f"{stage.kind} cannot work on {words}"
        raise UnsupportedError(msg, rest if taken else without)
    if not taken:
        reasons = listed([f"{p}: {v.reason}" for p, v in verdicts.items()]) or "no layer has a kernel"
        msg = f"{stage.kind} finds nothing to work on ({reasons})"
        raise UnsupportedError(msg, without)
    notes = [f"{stage.kind} leaves {p} as it is: {v.reason}" for p, v in verdicts.items() if v.what == "leave"]
    return KernelChoice(taken, notes)


def _of_types(stage: Prune | Cluster, layers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep the layers of the classes that a stage names, where it names any."""
    types: tuple[str, ...] = getattr(stage, "types", ())
    if not types:
        return layers
    known = sorted({type(layer).__name__ for layer in layers.values()})
    for name in types:
        if name not in known:
            msg = (
                f"{stage.kind}.types matches no layer with a kernel: {name!r}{nearest(name, known)}; "
                f"there are {listed(known)}"
            )
            raise UsageError(msg)
    return {path: layer for path, layer in layers.items() if type(layer).__name__ in types}
