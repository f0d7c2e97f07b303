"""Quantities by epoch."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from tfcompress.reports.curve_chart import curve_chart, curve_families


def test_validation_lies_beside_training():
    history = {"loss": (3.0, None, 1.0), "val_loss": (4.0, 2.0, 2.5), "once": (1.0, None, None), "lr": (0.1, 0.1, 0.1)}
    assert curve_families(history) == {
        "loss": {"training": [(1, 3.0), (3, 1.0)], "validation": [(1, 4.0), (2, 2.0), (3, 2.5)]},
        "lr": {"training": [(1, 0.1), (2, 0.1), (3, 0.1)]},
    }


def test_curves_fall_where_values_fall_and_have_names_at_their_ends():
    chart = curve_chart("loss", {"training": [(1, 3.0), (2, 1.0)], "validation": [(1, 4.0), (2, 1.0)]})
    tree = ET.fromstring(chart)
    first, second = (node.get("points").split() for node in tree.iter("polyline"))
    for points in (first, second):
        (x1, y1), (x2, y2) = (tuple(map(float, point.split(","))) for point in points)
        assert x1 < x2
        assert y1 < y2
    texts = {node.text: float(node.get("y")) for node in tree.iter("text")}
    assert abs(texts["training"] - texts["validation"]) >= 16
    assert "loss, validation, epoch 1: 4" in chart


def test_a_constant_is_drawn_and_many_epochs_have_few_ticks():
    ET.fromstring(curve_chart("lr", {"training": [(1, 0.0), (2, 0.0)]}))
    long = curve_chart("loss", {"training": [(n, 1 / n) for n in range(1, 501)]})
    assert long.count('class="tick"') < 12
    assert "mark" not in long
