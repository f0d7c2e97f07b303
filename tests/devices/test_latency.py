"""Two Keras models compared by what their files take here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfcompress.devices import latency
from tfcompress.errors import ContractError


def test_the_ratio_is_that_of_the_medians() -> None:
    def model(*samples: int) -> dict[str, object]:
        return {"status": "ok", "timing": {"samples_ns": list(samples)}}

    assert latency.median_ns(model(1, 9, 5)) == 5
    with pytest.raises(ContractError, match=r"edge_runner cannot time small.tflite: it died"):
        latency.median_ns({"status": "failed", "file": "small.tflite", "reason": "it died"})


def test_an_image_of_any_size_is_timed_at_96_pixels() -> None:
    files = Path(__file__).parents[1] / "data" / "tflite"
    assert latency.shapes_of((files / "open_extents.tflite").read_bytes()) == ["--shape=image=1,96,96,3"]
    assert latency.shapes_of((files / "int8.tflite").read_bytes()) == []


@pytest.mark.slow
def test_a_much_smaller_network_takes_less() -> None:
    keras = pytest.importorskip("keras")

    def network(channels: int) -> object:
        layers = [keras.layers.Conv2D(channels, 3, activation="relu") for _ in range(3)]
        return keras.Sequential([keras.Input((24, 24, 3)), *layers, keras.layers.GlobalAveragePooling2D()])

    assert latency.latency_ratio(network(64), network(8), timing=latency.Settings(quick=True)) < 0.7
