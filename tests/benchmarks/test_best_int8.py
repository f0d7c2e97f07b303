"""benchmarks.best_int8."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import best_int8
from tests.quantization.scaled import network
from tfcompress.recipe import Export

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def test_the_network_with_scaled_channels_is_the_same_function_of_other_weights() -> None:
    draw = np.random.default_rng(0)
    images, labels = draw.normal(size=(64, 8, 8, 3)).astype(np.float32), draw.integers(0, 4, 64)
    given = best_int8.Network("net", network(2), images, images, labels, (-4.0, 4.0))
    new = given.rescaled()
    assert new.name == "net, channels rescaled"
    assert np.array_equal(*(np.asarray(each.model(images, training=False)) for each in (given, new)))
    pairs = zip(given.model.get_weights(), new.model.get_weights(), strict=True)
    assert any(not np.array_equal(a, b) for a, b in pairs)


def test_what_was_measured_is_kept_and_not_measured_again(tmp_path: Path, capsys) -> None:
    record = tmp_path / "rows.json"
    best_int8.Rows(record).measure_("net", "plain", lambda: ("net", "plain", "50 %"))
    again = best_int8.Rows(record)
    again.measure_("net", "plain", lambda: pytest.fail("measured again"))
    again.measure_("net", "auto", lambda: ("net", "auto", "60 %"))
    assert list(best_int8.Rows(record).by_name.values()) == [("net", "plain", "50 %"), ("net", "auto", "60 %")]
    assert capsys.readouterr().out == "net | plain | 50 %\nnet | auto | 60 %\n"


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_the_time_of_children_counts() -> None:
    started = best_int8.processor_seconds()
    subprocess.run([sys.executable, "-c", "for _ in range(3_000_000): pass"], check=True)
    assert best_int8.processor_seconds() > started


def test_the_ways_are_exports_and_the_table_has_its_place_in_the_docs() -> None:
    assert len({Export(quantize="int8", **settings) for settings in best_int8.WAYS.values()}) == len(best_int8.WAYS) - 1
    text = DOCS.read_text("utf-8")
    assert f"| {' | '.join(best_int8.HEAD)} |" in text
    assert best_int8.update(text, "networks", "new", "best int8").count("new\n<!-- end of best int8: networks -->") == 1
