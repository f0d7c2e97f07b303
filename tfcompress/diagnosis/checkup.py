"""A model before any work: layer by layer, what would become of it and what would hurt."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tfcompress.diagnosis.checkup_remarks import Normalized, layer_remarks, value_remarks, width_remarks
from tfcompress.diagnosis.layer_forms import LayerForm, flat_calls, form_of
from tfcompress.diagnosis.layer_values import LayerValue, layer_values
from tfcompress.diagnosis.range_figures import kernel_of, kurtosis, spread
from tfcompress.models.call_template import Template
from tfcompress.models.fused_lstm import unread_cells
from tfcompress.models.graph import Call
from tfcompress.models.layer_copies import is_symbolic
from tfcompress.quantization.steps import folds
from tfcompress.reports.checkup_facts import LayerCheck
from tfcompress.reports.remark import Remark
from tfcompress.targets.target import Target


@dataclass
class Checkup:
    """What was found.

    Attributes:
        layers: a row a layer.
        remarks: one a finding.
    """

    layers: list[LayerCheck] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


def check_model(
    model: Any,
    *,
    refused: Mapping[str, str],
    engine: str,
    inputs: Mapping[str, np.ndarray] | None = None,
    target: Target | None = None,
) -> Checkup:
    """Look at every layer of a model.

    Args:
        model: a functional or sequential Keras 3 model.
        refused: layers that the first engine does not take, with the reason; the native engine takes those.
        engine: name of the first engine.
        inputs: samples by input name, of shape (samples, *shape); None: there are none.
        target: whose kernels the widths are to suit; None: no particular one.
    """
    found = Checkup()
    values = {} if inputs is None else {value.path: value for value in layer_values(model, inputs)}
    listed = list(dict(flat_calls(model)).items())
    unread = unread_cells(model)
    behind, normalized = _normalizations(model)
    for path, call in listed:
        chosen = "native" if path.partition("/")[0] in refused else engine
        check = _check(path, call, chosen, form_of(call, unread), behind.get(id(call.layer)), values.get(path))
        found.layers.append(check)
        found.remarks += layer_remarks(check, normalized.get(path), refused.get(path, ""))
        found.remarks += value_remarks(check, call.layer, values.get(path), values)
    found.remarks += width_remarks(listed, {tensor.shape[-1] for tensor in model.outputs}, target)
    return found


def _check(path: str, call: Call, engine: str, form: LayerForm, behind: Any, value: LayerValue | None) -> LayerCheck:
    shape = tuple(call.outputs[0].shape[1:])
    layer = call.layer
    check = LayerCheck(
        layer=path,
        kind=type(layer).__name__,
        output_shape=shape,
        parameters=layer.count_params() if isinstance(layer, keras.layers.Layer) and layer.built else 0,
        engine=engine,
        int8=form.int8,
        becomes=form.becomes,
        reason=form.reason,
    )
    weights = kernel_of(layer, None if behind is None else _factor(behind))
    if weights is not None:
        check = dataclasses.replace(check, kernel_kurtosis=kurtosis(weights[0]), kernel_spread=spread(weights[1]))
    if value is not None and value.values.dtype.kind == "f" and np.isfinite(value.values).all():
        rows = np.abs(value.values.reshape(-1, value.values.shape[-1]))
        many = value.values.ndim > 1
        check = dataclasses.replace(
            check, value_kurtosis=kurtosis(value.values), value_spread=spread(rows.max(0)) if many else None
        )
    elif type(layer) is keras.layers.BatchNormalization:
        check = dataclasses.replace(check, value_spread=spread(_reach(layer)))
    return check


def _factor(normalization: Any) -> np.ndarray:
    variance = np.asarray(normalization.moving_variance, np.float64)
    gamma = np.asarray(normalization.gamma, np.float64) if normalization.scale else np.ones_like(variance)
    return np.asarray(gamma / np.sqrt(variance + normalization.epsilon))


def _reach(normalization: Any) -> np.ndarray:
    """Return about how far each channel reaches: |beta| + 3 |gamma|, shape (channels,)."""
    count = len(np.asarray(normalization.moving_mean))
    beta = np.asarray(normalization.beta) if normalization.center else np.zeros(count)
    gamma = np.asarray(normalization.gamma) if normalization.scale else np.ones(count)
    return np.asarray(np.abs(beta) + 3 * np.abs(gamma))


def _normalizations(model: Any) -> tuple[dict[int, Any], dict[str, Normalized]]:
    """Look at every BatchNormalization.

    Returns:
        By the id of a layer, the normalization that is folded into it; and, by path, the normalizations that are not.
    """
    listed = [(path, call, _tensors(call)) for path, call in flat_calls(model)]
    made = {id(tensor): (path, call.layer) for path, call, _ in listed for tensor in call.outputs}
    uses = Counter(id(tensor) for _, _, tensors in listed for tensor in tensors)
    uses.update(id(tensor) for tensor in model.outputs)
    behind: dict[int, Any] = {}
    lone: dict[str, Normalized] = {}
    for path, call, tensors in listed:
        if not isinstance(call.layer, keras.layers.BatchNormalization):
            continue
        name, before = made.get(id(tensors[0]), ("the input", None))
        if before is not None and folds(before, call.layer) and uses[id(tensors[0])] == 1:
            behind[id(before)] = call.layer
        else:
            lone[path] = Normalized(name, before, uses[id(tensors[0])])
    return behind, lone


def _tensors(call: Call) -> list[Any]:
    return list(Template.of(call.args, call.kwargs, is_symbolic)[1])
