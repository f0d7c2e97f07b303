"""benchmarks.best_networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import best_networks


def test_movements_are_windows_of_known_people_and_the_end_of_a_recording_is_the_test(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    series = [np.concatenate([draw.normal(3.0, 2.0, (700, 6)), np.full((300, 6), 3.0)]) for _ in range(2)]
    path = tmp_path / "watch_dataset.npy"
    np.save(path, {"X": series, "y": [4.0, 5.0]}, allow_pickle=True)
    data = best_networks.movements(path)
    windows = (700 - best_networks.WINDOW) // best_networks.STRIDE + 1
    assert data["x_train"].shape == (2 * windows, best_networks.WINDOW, 1, 6)
    assert data["y_train"].tolist() == [4] * windows + [5] * windows
    assert np.abs(data["x_test"]).max() < 0.1  # the mean of the training part is at zero
    assert abs(float(data["x_train"].std()) - 1.0) < 0.05


def test_the_networks_take_what_their_data_are() -> None:
    movements = best_networks.movement_network(), best_networks.transformer_network()
    assert [each.input_shape for each in movements] == [(None, best_networks.WINDOW, 1, 6)] * 2
    assert [each.output_shape for each in (*movements, best_networks.mobile_network())] == [(None, 7)] * 2 + [
        (None, 10)
    ]
    turned = best_networks.flipped(np.arange(600.0).reshape(50, 3, 4, 1), 0)
    original = np.arange(600.0).reshape(50, 3, 4, 1)
    same = (turned == original).all(axis=(1, 2, 3))
    assert 0 < same.sum() < 50
    assert np.array_equal(turned[~same], original[~same][:, :, ::-1])
