"""What became of each layer, on a page."""

from __future__ import annotations

import dataclasses

from tests.reports.test_html import a_report, read
from tfcompress.reports.layer_change_table import layer_change_table
from tfcompress.reports.sections import FileLayer, Layer

BEFORE = (
    Layer(
        name="conv", type="Conv2D", output_shape=(8, 8, 4), parameters=40, nonzero=40, macs=100, bits=32,
        size_bytes=160,
    ),
    Layer(name="<norm>", type="BatchNormalization", output_shape=(8, 8, 4), parameters=8, nonzero=8),
)  # fmt: skip
AFTER = (
    FileLayer(
        name="conv", ops=("CONV_2D",), merged=("<norm>",), output_shape=(8, 8, 2), parameters=20, nonzero=10, macs=50,
        bits=8, size_bytes=28, snr_db=31.25,
    ),
    FileLayer(name="", tensor="q", ops=("QUANTIZE",), output_shape=(8, 8, 2)),
)  # fmt: skip


def changed(**more):
    report = a_report()
    source = dataclasses.replace(report.source, layers=BEFORE)
    return dataclasses.replace(report, source=source, result=dataclasses.replace(report.result, layers=AFTER, **more))


def test_before_and_after_stand_in_one_cell():
    shown = layer_change_table(changed())
    for text in ("40 → 20", "160 → 28", "100 → 50", "32 → 8", "31.2 dB", "8x8x4 → 8x8x2", "0 % → 50 %", "100.0 %"):
        assert text in shown
    assert "in conv" in shown
    read(shown)


def test_a_column_that_nothing_is_known_of_is_left_out():
    assert ">SNR<" in layer_change_table(changed())
    quiet = tuple(dataclasses.replace(layer, snr_db=None) for layer in AFTER)
    report = changed()
    report = dataclasses.replace(report, result=dataclasses.replace(report.result, layers=quiet))
    assert ">SNR<" not in layer_change_table(report)


def test_names_are_escaped_and_what_is_missing_is_said():
    shown = layer_change_table(changed(layers_note="no error was measured: it is an LSTM"))
    assert "&lt;norm&gt;" in shown
    assert "no error was measured: it is an LSTM." in shown


def test_an_older_report_has_no_table():
    assert layer_change_table(a_report()) == ""


def test_many_layers_are_cut():
    many = tuple(dataclasses.replace(AFTER[1], tensor=f"t{n}") for n in range(200))
    report = changed()
    report = dataclasses.replace(report, result=dataclasses.replace(report.result, layers=(AFTER[0], *many)))
    shown = layer_change_table(report)
    assert "82 more layers are in report.json" in shown
    assert shown.count("<tr>") == 121
