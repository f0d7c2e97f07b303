"""Look-up tables and sources for a firmware beside the file of an export."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tfcompress as tfc
from tests.tflite.make_files import cnn
from tfcompress import demo
from tfcompress.errors import MissingDependencyError
from tfcompress.recipe import Export, Recipe, named
from tfcompress.reports.findings import findings
from tfcompress.reports.report import read_report
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import LOOKUP


@pytest.mark.slow
@pytest.mark.skipif(find_spec("tflite_micro") is None, reason="tflite-micro (extra mcu) is not installed")
def test_tables_and_sources_lie_beside_the_file(keras, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    model = cnn(keras)
    kernel, bias = model.get_layer("scores").get_weights()
    levels = np.linspace(-1, 1, 8, dtype=np.float32)
    model.get_layer("scores").set_weights([generator.choice(levels, kernel.shape), bias])
    x, y = generator.normal(size=(240, 8, 8, 3)).astype(np.float32), np.arange(240) % 10
    data = {"x_train": x[:40], "y_train": y[:40], "x_test": x[40:], "y_test": y[40:]}
    settings = Export(quantize="int8", calibration="minmax", target="tflm", lookup=True, c_array=True)
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

    sources = tmp_path / "out" / "firmware"
    assert f"MODEL_SIZE_BYTES {len(lookup.content)}u" in (sources / "model.h").read_text()
    assert "a test sample of" in (sources / "model_golden.h").read_text()
    assert (sources / "arduino" / "model" / "library.properties").is_file()
    assert (sources / "esp-idf" / "CMakeLists.txt").is_file()


def test_the_recipe_for_microcontrollers_asks_for_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = named()["mcu-cluster8"]
    assert [stage.kind for stage in recipe.stages] == ["cluster", "qat"]
    assert recipe.export.lookup
    monkeypatch.setattr("tfcompress.targets.installed.find_spec", lambda name: None)
    with pytest.raises(
        MissingDependencyError, match=r"look-up tables are written and run by tflite-micro.*tfcompress\[mcu"
    ):
        tfc.compress(demo.MODEL, recipe, progress=False)
