"""What the figures of a check-up mean: one line a finding, and what mends it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfcompress.diagnosis.layer_values import LayerValue
from tfcompress.diagnosis.range_figures import grid_ratio_db
from tfcompress.models.graph import Call
from tfcompress.quantization.rules import FOLDS_NORMALIZATION, name_of
from tfcompress.reports.checkup_facts import LayerCheck
from tfcompress.reports.remark import Remark
from tfcompress.targets.target import Target

SPREAD = 16.0
"""A channel that reaches so much further than the middle one leaves the others 4 of 8 bits."""
KURTOSIS = 50.0
"""Values with so heavy tails spend most of the grid on a few outliers."""
LEAST_DB = 20.0
"""Ratio of a tensor to the rounding of its grid below which a tenth of the signal is error."""
SATURATED = 0.5
"""Part of the values at the ends of a bounded activation from which it is reported."""
DEAD = 0.25
"""Part of the channels that are zero throughout from which it is reported."""
WIDTH = 8
"""Channels that int8 kernels compute together: rows of XNNPACK's tiles on ARM (NEON, 8) and x86 (AVX2, 8)."""
_BOUNDS = {"sigmoid": (0.01, 0.99), "tanh": (-0.99, 0.99), "relu6": (None, 5.999), "hard_sigmoid": (0.001, 0.999)}


@dataclass(frozen=True)
class Normalized:
    """What a BatchNormalization that folds into nothing follows.

    Attributes:
        name: path of the layer before it.
        before: that layer; None: an input.
        uses: how often its output is read.
    """

    name: str
    before: Any
    uses: int


_FRAMES = "Unstack"  # what begins the steps of a layer that is written out


def layer_remarks(check: LayerCheck, normalized: Normalized | None, refused: str) -> Iterator[Remark]:
    """Say what a layer's form and weights mean."""
    if check.int8 is False:
        yield Remark(
            "fault", check.layer, f"{check.kind} has no int8 form ({check.reason})", "replace it, or --float-ops allow"
        )
    elif check.int8 is None:
        yield Remark("risk", check.layer, f"{check.kind} is {check.reason}", "build it of Keras's own layers")
    elif len(check.becomes) > 1 and not _only_splits(check):
        listed = f"{len(check.becomes)} ops" if len(check.becomes) > 6 else ", ".join(check.becomes)
        again = ", written out step by step, and be a loop in the file again" if _FRAMES in check.becomes else ""
        yield Remark("note", check.layer, f"{check.kind} would be rewritten into {listed}{again}")
    if refused:
        yield Remark("note", check.layer, f"tfmot cannot quantize it ({refused})", "the native engine takes its turn")
    if normalized is not None:
        yield _lone(check, normalized)
    if check.kernel_kurtosis is not None and check.kernel_kurtosis > KURTOSIS:
        what = f"its weights have outliers (kurtosis {check.kernel_kurtosis:.0f}; a Gaussian has 3)"
        yield Remark("risk", check.layer, what, "train on with --qat, or compare with --quantize int16x8")
    if check.kernel_spread is not None and check.kernel_spread > SPREAD:
        what = f"one output channel has {check.kernel_spread:,.0f} times the weights of the middle one"
        yield Remark("risk", check.layer, f"{what}, so that its outputs leave the others few steps", _EQUALIZE)


def _only_splits(check: LayerCheck) -> bool:
    """Whether a layer stays what it is, its activation apart."""
    return len(check.becomes) == 2 and check.becomes[0] == check.kind


_EQUALIZE = "equalize its channels with the next layer's, or train on with --qat"


def _lone(check: LayerCheck, normalized: Normalized) -> Remark:
    kind = "an input" if normalized.before is None else f"{normalized.name} ({type(normalized.before).__name__})"
    if type(normalized.before).__name__ in FOLDS_NORMALIZATION:
        activation = getattr(normalized.before, "activation", None)
        name = getattr(activation, "__name__", "linear")
        why = f"with {name} between" if name != "linear" else f"which {normalized.uses} layers read"
        kind = f"{kind}, {why}" if name != "linear" or normalized.uses > 1 else kind
    return Remark(
        "risk",
        check.layer,
        f"the normalization follows {kind}: it folds into no kernel, and costs a product and a sum in the file",
        "put it directly behind a convolution without activation, or see whether --rewrite folds it into the next one",
    )


def value_remarks(
    check: LayerCheck, layer: Any, value: LayerValue | None, values: Mapping[str, LayerValue]
) -> Iterator[Remark]:
    """Say what a layer's values on samples mean; of a normalization without samples, what its weights promise."""
    if value is None or value.values.dtype.kind != "f":
        if check.value_spread is not None and check.value_spread > SPREAD:
            what = f"by |beta| + 3 |gamma| one channel reaches {check.value_spread:,.0f} times as far as the middle one"
            yield Remark("risk", check.layer, f"{what}, which leaves the others few of 256 steps", _EQUALIZE)
        return
    finite = np.isfinite(value.values)
    if not finite.all():
        what = f"{1 - float(finite.mean()):.1%} of its values on samples are NaN or Inf, and no range holds those"
        yield Remark(
            "fault", check.layer, what, "look at what it divides by, takes the root or power of, or masks with"
        )
        return
    yield from _saturation(check, layer, value.values)
    ratio = grid_ratio_db(value.values)
    if ratio is not None and ratio < LEAST_DB:
        tails = f", kurtosis {check.value_kurtosis:.0f}" if check.value_kurtosis is not None else ""
        what = f"outliers stretch its range: rounding to 8 bits leaves {ratio:.0f} dB{tails}"
        yield Remark("risk", check.layer, what, "try --calibration percentile or mse, or keep it in 16 bits")
    if check.value_spread is not None and check.value_spread > SPREAD and _has_channels(layer):
        what = f"one channel reaches {check.value_spread:,.0f} times as far as the middle one"
        yield Remark("risk", check.layer, f"{what}, which leaves the others few of 256 steps", _EQUALIZE)


def _has_channels(layer: Any) -> bool:
    """Whether a layer makes channels of its own: what only passes them on says nothing new."""
    return type(layer).__name__ in FOLDS_NORMALIZATION or isinstance(layer, keras.layers.BatchNormalization)


def _saturation(check: LayerCheck, layer: Any, values: np.ndarray) -> Iterator[Remark]:
    name = _activation(layer)
    low, high = _BOUNDS.get(name, (None, None))
    ends = np.zeros(values.shape, bool)
    if low is not None:
        ends |= values <= low
    if high is not None:
        ends |= values >= high
    part = float(ends.mean())
    if part > SATURATED:
        yield Remark(
            "fault",
            check.layer,
            f"it is saturated: {part:.0%} of its values stand at the ends of {name}, and say nothing",
            "scale its weights or its input down and train on; no quantization brings back what is lost there",
        )
    if name in ("relu", "relu6") and values.ndim > 1:
        dead = float(np.mean(values.reshape(-1, values.shape[-1]).max(0) <= 0))
        if dead == 1:
            what = "it is saturated: all of its channels are zero on every sample, and nothing comes through"
            yield Remark("fault", check.layer, what, "look at the bias or beta before it, and at the samples' scale")
        elif dead > DEAD:
            what = f"{dead:.0%} of its channels are zero on every sample"
            yield Remark("note", check.layer, what, "--channels takes them away without loss")


def _activation(layer: Any) -> str:
    name = name_of(layer)
    if name == "ReLU":
        return "relu6" if layer.max_value == 6 else "relu"
    inside = getattr(layer, "activation", None)
    return str(getattr(inside, "__name__", name)) if type(layer).__name__ in FOLDS_NORMALIZATION else name


def width_remarks(
    listed: Sequence[tuple[str, Call]], given: Collection[int | None], target: Target | None = None
) -> Iterator[Remark]:
    """Name the layers whose number of output channels leaves tiles of the int8 kernels half empty.

    Args:
        listed: calls by path.
        given: sizes that the model's outputs have, which nobody can choose.
        target: whose kernels; None, or one that says nothing of widths: XNNPACK's.
    """
    width, whose = (WIDTH, "the int8 kernels") if target is None else (target.round_to, f"{target.name}'s kernels")
    if width == 1:
        width, whose = WIDTH, "the int8 kernels"
    odd = [
        f"{path} ({call.outputs[0].shape[-1]})"
        for path, call in listed
        if type(call.layer).__name__ in FOLDS_NORMALIZATION
        and (call.outputs[0].shape[-1] or 0) % width
        and call.outputs[0].shape[-1] not in given
    ]
    if odd:
        shown = ", ".join(odd[:6]) + (f" and {len(odd) - 6} more" if len(odd) > 6 else "")
        what = f"{shown}: output channels that are no multiple of {width} leave lanes of {whose} empty"
        least = ", or at least of 4" if width > 4 and (target is None or not target.accelerator) else ""
        yield Remark("note", "widths", what, f"choose multiples of {width}{least} (--channels with --round-to {width})")
