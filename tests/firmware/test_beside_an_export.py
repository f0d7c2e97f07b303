"""Look-up tables and sources for a firmware beside the file of an export."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tests.tflite.make_files import cnn
from tfcompress import demo
from tfcompress.errors import ContractError, MissingDependencyError
from tfcompress.recipe import Export, Recipe, named
from tfcompress.reports.findings import findings
from tfcompress.reports.report import read_report
from tfcompress.tflite.export import export
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import LOOKUP

needs_micro = pytest.mark.skipif(find_spec("tflite_micro") is None, reason="tflite-micro (extra mcu) is not installed")


def few_values(keras: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """Return a model whose last kernel holds eight values, and data for it."""
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    model = cnn(keras)
    kernel, bias = model.get_layer("scores").get_weights()
    levels = np.linspace(-1, 1, 8, dtype=np.float32)
    model.get_layer("scores").set_weights([generator.choice(levels, kernel.shape), bias])
    x, y = generator.normal(size=(240, 8, 8, 3)).astype(np.float32), np.arange(240) % 10
    return model, {"x_train": x[:40], "y_train": y[:40], "x_test": x[40:], "y_test": y[40:]}


@pytest.mark.slow
@needs_micro
@pytest.mark.parametrize("asked", [True, False])  # else the target does, since it is smaller
def test_tables_and_sources_lie_beside_the_file(keras, tmp_path: Path, asked: bool) -> None:
    model, data = few_values(keras)
    settings = Export(quantize="int8", calibration="minmax", target="tflm", lookup=asked, c_array=True)
    result = tfc.compress(model, Recipe(export=settings), data, output=tmp_path / "out", progress=False)

    lookup = result.tflite.lookup
    assert lookup is not None
    assert [(table.op, table.bits) for table in lookup.tables] == [("FULLY_CONNECTED", 3)]
    (written,) = (tmp_path / "out").glob("*-tflm.tflite")
    assert written.read_bytes() == lookup.content
    assert read_model_file(lookup.content).op_counts[LOOKUP] == 1

    report = read_report(tmp_path / "out")
    told = report.result.verification["lookup"]
    assert (told["name"], told["size_bytes"]) == (written.name, len(lookup.content))
    assert any(written.name in found.text for found in findings(report))
    tested, score = told["tested"], report.result.score
    assert score is not None
    assert (tested["samples"], tested["equal"], tested["figure"]) == (200, 200, "top1")  # by TFLM, as without tables
    assert tested["value"] == result.tflite.verification.micro.tested.value
    assert told["arena"]["total_bytes"] <= told["arena_bytes"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("200 of them equal to those of the file without tables in every bit") >= 1

    sources = tmp_path / "out" / "firmware"
    assert f"MODEL_SIZE_BYTES {len(lookup.content)}u" in (sources / "model.h").read_text()
    assert "a test sample of" in (sources / "model_golden.h").read_text()
    assert (sources / "arduino" / "model" / "library.properties").is_file()
    assert (sources / "esp-idf" / "CMakeLists.txt").is_file()


@pytest.mark.slow
@needs_micro
@pytest.mark.parametrize("permitted", [False, True])
def test_tables_are_left_out_where_the_target_does_not_take_them(keras, tmp_path: Path, permitted: bool) -> None:
    model, data = few_values(keras)
    ops = ["CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX", "DEPTHWISE_CONV_2D", "MEAN", *[LOOKUP] * permitted]
    board = tmp_path / "board.toml"
    board.write_text(f'runtime = "tflm"\nops = {ops}\n'.replace("'", '"'))
    found = export(model, Export(quantize="int8", calibration="minmax", target=str(board)), data=data, progress=False)
    assert (found.lookup is not None) == permitted
    said = [note for note in found.notes if "look-up tables would be smaller, and were left out" in note]
    assert len(said) == (not permitted)
    assert permitted or f"target 'board' has no kernel for {LOOKUP}" in said[0]
    with pytest.raises(ContractError, match="the arena of that file, into which kernels are unpacked,"):
        export(
            model,
            Export(quantize="int8", calibration="minmax", target="tflm", lookup=True, max_arena="4KB"),
            data=data,
            progress=False,
        )


@pytest.mark.slow
@needs_micro
@pytest.mark.parametrize("state", ["internal", "external"])
def test_the_chip_gets_the_file_that_streams(keras, tmp_path: Path, state: Any) -> None:
    keras.utils.set_random_seed(0)
    given = keras.Input((16, 4), name="sound")
    inner = keras.layers.Flatten()(keras.layers.Conv1D(4, 3, activation="relu")(given))
    model = keras.Model(given, keras.layers.Dense(3, name="scores")(inner))
    x = np.random.default_rng(0).normal(size=(40, 16, 4)).astype(np.float32)
    data = {"x_train": x[:30], "x_test": x[30:]}
    settings = Export(quantize="int8", calibration="minmax", target="tflm", streaming=True, state=state, c_array=True)
    result = tfc.compress(model, Recipe(export=settings), data, output=tmp_path / "out", progress=False)
    streaming = result.tflite.streaming
    assert streaming is not None
    assert len(streaming.content) != len(result.tflite.content)
    header = (tmp_path / "out" / "firmware" / "model.h").read_text()
    assert f"MODEL_SIZE_BYTES {len(streaming.content)}u" in header
    assert "-streaming.tflite" in header

    board = tmp_path / "board.toml"
    ops = sorted(read_model_file(result.tflite.content).op_counts)
    board.write_text(f'runtime = "tflm"\nops = {ops}\n'.replace("'", '"'))
    narrow = Export(quantize="int8", calibration="minmax", target=str(board), streaming=True, state=state)
    with pytest.raises(ContractError, match=r"target 'board' has no kernel for .*(STRIDED_SLICE|VAR_HANDLE)"):
        export(model, narrow, data=data, progress=False)


def test_the_recipe_for_microcontrollers_asks_for_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = named()["mcu-cluster8"]
    assert [stage.kind for stage in recipe.stages] == ["cluster", "qat"]
    assert recipe.export.lookup
    monkeypatch.setattr("tfcompress.targets.installed.find_spec", lambda name: None)
    with pytest.raises(
        MissingDependencyError, match=r"look-up tables are written and run by tflite-micro.*tfcompress\[mcu"
    ):
        tfc.compress(demo.MODEL, recipe, progress=False)
