"""What comes out of layers, counted: what it is compared with, what it is called, and what is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from tfcompress.diagnosis.file_layers import FileLayers
from tfcompress.diagnosis.layer_values import LayerValue
from tfcompress.diagnosis.two_sides import LayerOutput
from tfcompress.gallery import activation_counts as module
from tfcompress.gallery.activation_counts import activation_counts
from tfcompress.reports.pictures import ValueCounts
from tfcompress.tflite.tensors import StoredTensor

SHAPE = (4, 3)
KNOWN = ("conv", "relu", "scores")


def values(start: float) -> np.ndarray:
    return np.arange(start, start + 12, dtype=np.float32).reshape(SHAPE)


def output(path: str, start: float = 0.0, *, turn: int = 0, scale: float | None = None) -> LayerOutput:
    tensor = StoredTensor(
        0, "t", SHAPE, SHAPE, "int8" if scale else "float32", (scale,) if scale else (), (0,) if scale else (), 0, 0,
        np.zeros(0, np.uint8), False, False,
    )  # fmt: skip
    return LayerOutput(tensor, values(start)[np.newaxis], LayerValue(path, "Conv2D", values(start)), turn, 30.0)


def counted(
    outputs: dict[str, LayerOutput],
    source: list[LayerValue] | None = None,
    reason: str = "",
    note: str = "",
    paths: frozenset[str] = frozenset(),
) -> tuple[tuple[ValueCounts, ...], str]:
    found = FileLayers((), outputs, paths, {"image": np.zeros((4, 2))}, note)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run_alone", lambda model, inputs: (source or [], reason))
        return activation_counts(found, None if source is None else "the model", KNOWN)


def test_without_a_training_the_model_that_was_exported_is_the_one_before() -> None:
    (found,), note = counted({"conv": output("conv", scale=0.25)})
    assert note == ""
    assert (found.name, sum(found.before), sum(found.after)) == ("conv", 12, 12)
    assert found.before == found.after
    assert found.distinct_after == 12
    assert found.grid == (-128.5 * 0.25, 127.5 * 0.25)
    assert found.beyond == 0.0


def test_after_a_training_a_layer_is_compared_with_itself_as_it_came() -> None:
    source = [LayerValue("conv", "Conv2D", values(100.0)), LayerValue("scores", "Dense", values(50.0))]
    (found,), note = counted({"conv": output("quant_conv")}, source)
    assert note == ""
    assert (found.low, found.high) == (0.0, 111.0)
    assert (found.before[0], found.after[0]) == (0, 3)


@pytest.mark.parametrize(
    ("paths", "start"), [({"quant_conv", "norm_range1"}, 50.0), ({"quant_conv", "quant_norm"}, 0.0)]
)
def test_behind_a_normalization_that_was_folded_is_what_it_gave(paths: set[str], start: float) -> None:
    source = [
        LayerValue("conv", "Conv2D", values(0.0)),
        LayerValue("norm", "BatchNormalization", values(50.0), sources=(0,)),
        LayerValue("scores", "Dense", values(90.0), sources=(1,)),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.gallery.test_activation_counts.KNOWN", ("conv", "norm", "scores"))
        (found,), _ = counted({"conv": output("quant_conv", start)}, source, paths=frozenset(paths))
    assert found.before == found.after


def test_a_layer_that_is_called_twice_is_compared_call_by_call() -> None:
    source = [LayerValue("conv", "Conv2D", values(start)) for start in (0.0, 20.0)]
    outputs = {"conv": output("conv", 20.0, turn=1)}
    (found,), _ = counted(outputs, source)
    assert found.before == found.after
    assert counted({"conv": output("conv", turn=2)}, source)[0] == ()


@pytest.mark.parametrize(
    "there",
    [
        LayerValue("other", "Conv2D", values(0.0)),
        LayerValue("conv (before relu)", "Conv2D", values(0.0)),
        LayerValue("conv", "Conv2D", values(0.0).reshape(-1)),
        LayerValue("conv", "Conv2D", values(0.0).astype(np.int32)),
        LayerValue("conv", "Conv2D", np.full(SHAPE, np.nan, np.float32)),
    ],
    ids=["other", "before", "flat", "whole", "nan"],
)
def test_what_has_no_counterpart_is_left_out_and_said(there: LayerValue) -> None:
    assert counted({"conv": output("conv")}, [there]) == (
        (),
        "of 1 layers, what comes out could not be compared with the model as it came",
    )


def test_what_ops_end_at_is_named_beside_the_layer_that_they_begin_with() -> None:
    (found,), _ = counted({"conv": output("relu")})
    assert found.name == "conv … relu"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"outputs": {}, "note": "a SavedModel does not list its layers"}, "a SavedModel does not list its layers"),
        ({"outputs": {}}, "no op could be told for the layer that it computes"),
        ({"outputs": {"conv": output("conv")}, "source": [], "reason": "ValueError no"}, "ValueError no"),
    ],
)
def test_where_nothing_is_known_it_is_said_why(more: dict[str, Any], said: str) -> None:
    found, note = counted(**more)
    assert found == ()
    assert note.endswith(said)
