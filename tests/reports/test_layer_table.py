"""The table of layers: nested models, and bars that stand beside the number that they draw."""

from __future__ import annotations

import re

from tfcompress.reports.layer_table import SHOWN, layer_table
from tfcompress.reports.sections import Layer


def rows(table: str) -> list[list[str]]:
    """Return the cells of each line, titles first, as HTML."""
    lines = re.findall(r"<tr>(.*?)</tr>", table)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in lines]


def text(cell: str) -> str:
    return re.sub(r"<[^>]*>", "", cell)


def bar(cell: str) -> float | None:
    found = re.search(r'<i style="width:([\d.]+)px"', cell)
    return float(found[1]) if found else None


LAYERS = (
    Layer(name="conv", type="Conv2D", output_shape=(8, 8, 4), parameters=100, nonzero=50, macs=6_000),
    Layer(name="net/relu", type="ReLU", output_shape=(8, 8, 4), macs=0),
    Layer(name="net/dense", type="Dense", output_shape=(None, 4), parameters=300, nonzero=300, macs=2_000),
)


def test_each_bar_stands_behind_the_number_that_it_draws_with_a_title() -> None:
    head, conv, _, _, dense = rows(layer_table(LAYERS))
    for number, share in (("parameters", "share of the parameters"), ("multiply-", "share of the multiply-")):
        place = next(n for n, title in enumerate(head) if text(title).startswith(number))
        assert text(head[place + 1]).startswith(share)
    by_title = dict(zip(map(text, head), zip(conv, dense, strict=True), strict=True))
    assert [text(cell) for cell in by_title["parameters"]] == ["100", "300"]
    assert [text(cell) for cell in by_title["share of the parameters"]] == ["25.0 %", "75.0 %"]
    assert [text(cell) for cell in by_title["share of the multiply-accumulates"]] == ["75.0 %", "25.0 %"]
    few, many = map(bar, by_title["share of the parameters"])
    assert few
    assert many
    assert abs(many - 3 * few) < 0.2
    many, few = map(bar, by_title["share of the multiply-accumulates"])
    assert few
    assert many
    assert abs(many - 3 * few) < 0.2


def test_the_layers_of_a_nested_model_stand_below_it_with_its_sums() -> None:
    _, conv, net, relu, dense = rows(layer_table(LAYERS))
    assert [text(line[0]) for line in (conv, net, relu, dense)] == ["conv", "net/", "relu", "dense"]
    assert ["--depth:1" in line[0] for line in (conv, net, relu, dense)] == [False, False, True, True]
    assert [text(cell) for cell in net[1:]] == ["", "", "0 %", "300", "75.0 %", "2,000", "25.0 %"]
    assert bar(net[5]) is None


def test_forty_layers_are_shown_and_models_are_not_counted_as_such() -> None:
    layers = [Layer(name=f"a/b{n}/c", type="Dense", parameters=1, nonzero=1) for n in range(SHOWN + 1)]
    table = layer_table(layers)
    assert table.count("Dense") == SHOWN
    assert f"b{SHOWN - 1}/" in table
    assert f"b{SHOWN}/" not in table
    assert "1 more layer is in report.json." in table
    assert "more" not in layer_table(layers[:SHOWN])


def test_what_no_layer_has_gets_no_column() -> None:
    head, *_ = rows(layer_table([Layer(name="a", type="X", parameters=1, nonzero=1)]))
    assert not any("multiply" in title for title in head)
    assert layer_table([Layer(name="a", type="X")]) == ""


def test_a_model_with_a_layer_that_is_not_counted_has_no_sum() -> None:
    table = layer_table([*LAYERS, Layer(name="net/loop", type="LSTM", parameters=10, nonzero=10)])
    net = next(line for line in rows(table) if text(line[0]) == "net/")
    assert text(net[6]) == "-"


def test_a_share_that_is_small_is_not_nothing() -> None:
    layers = [Layer(name=f"l{n}", type="Dense", parameters=size, nonzero=size) for n, size in enumerate((10**6, 1))]
    assert text(rows(layer_table(layers))[2][5]) == "&lt; 0.1 %"
