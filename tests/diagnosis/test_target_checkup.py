"""A model held against a target by a draft of its file."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tfcompress.cli.drafts import draft_for  # noqa: E402 - after keras
from tfcompress.diagnosis import target_checkup  # noqa: E402
from tfcompress.errors import ConversionError  # noqa: E402
from tfcompress.progress import SILENT  # noqa: E402
from tfcompress.targets.target import Target  # noqa: E402
from tfcompress.targets.target_table import TARGETS  # noqa: E402
from tfcompress.tflite.convert import ConverterProcess  # noqa: E402
from tfcompress.tflite.micro.arena import planned_arena_bytes  # noqa: E402

L = keras.layers
HERE = Target(name="mine", runtime="tflm", quantize=("int8",), ops=("CONV_2D", "FULLY_CONNECTED", "MEAN"))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3), name="image")
    x = L.Conv2D(8, 3, activation="relu", name="conv")(image)
    x = L.ReLU(6.0, name="capped")(L.DepthwiseConv2D(3, name="depth")(x))
    return keras.Model(image, L.Dense(4, name="logits")(L.GlobalAveragePooling2D(name="pool")(x)))


@pytest.fixture(scope="module")
def draft(model):
    with ConverterProcess() as converter:
        return draft_for(model, HERE, None, converter, seed=0, progress=SILENT)


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_checkup, "find_spec", lambda name: None)


def lines(target: Target, draft, model) -> list[str]:
    return [f"{remark.gravity} {remark}" for remark in target_checkup.check_on_target(target, draft, model)[1]]


def test_an_op_that_the_target_lacks_is_told_by_the_layer_that_computes_it(model, draft) -> None:
    found = lines(HERE, draft, model)
    assert found[0].startswith("fault depth: it becomes DEPTHWISE_CONV_2D in the file, and target 'mine' has no kernel")
    assert sum(line.startswith("fault") for line in found) == 1
    assert any("memory is planned from the file" in line and "pip install" in line for line in found)
    everywhere = dataclasses.replace(HERE, ops=())
    assert not any(line.startswith("fault") for line in lines(everywhere, draft, model))


def test_limits_are_told_where_the_draft_takes_more_and_only_there(model, draft) -> None:
    file_bytes, arena_bytes = draft.size_bytes, planned_arena_bytes(draft.content)
    for spare, faults in ((0, 0), (-1, 2)):
        exact = dataclasses.replace(HERE, ops=(), flash=f"{file_bytes + spare}B", ram=f"{arena_bytes + spare}B")
        check, remarks = target_checkup.check_on_target(exact, draft, model)
        told = [remark for remark in remarks if remark.gravity == "fault"]
        assert (check.file_bytes, check.arena_bytes, check.arena_by) == (file_bytes, arena_bytes, "planned")
        assert [remark.where for remark in told] == ["flash", "ram"][:faults]
    assert f"tensors take {arena_bytes:,} bytes, most of them at " in told[1].what


def test_linux_has_every_op_and_no_arena(model, draft) -> None:
    check, remarks = target_checkup.check_on_target(TARGETS["linux"], draft, model)
    assert (remarks, check.arena_bytes, check.most_file_bytes) == ([], None, None)
    assert len(draft.content) > check.file_bytes > np.prod((3, 3, 3, 8))


def test_without_a_file_of_integers_one_in_float_is_looked_at_and_the_reason_is_a_fault(
    model, draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = SimpleNamespace(content=draft.content)

    def refusing(network, settings, **_):
        if settings.quantize != "none":
            msg = "the converter died"
            raise ConversionError(msg)
        return made

    monkeypatch.setattr("tfcompress.tflite.export.export", refusing)
    found = draft_for(model, HERE, None, None, seed=0, progress=SILENT)
    assert found.quantize == "none"
    assert lines(HERE, found, model)[0].startswith(
        "fault file: no file with quantize 'int8' can be made: the converter"
    )
