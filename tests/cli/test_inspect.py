"""What ``tfcompress inspect`` prints of layers: nested models, and terminals that are narrow."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tfcompress.cli.inspect import print_found

COLUMNS = ["name", "type", "output_shape", "parameters", "nonzero", "macs", "dtype"]
ROWS: list[list[Any]] = [
    ["stem", "Conv2D", (8, 8, 4), 100, 90, 1000, "float32"],
    ["encoder/block/conv", "Conv2D", (6, 6, 8), 2_123_456, 2_000_000, 123_456_789, "float32"],
    ["encoder/block/relu", "ReLU", (6, 6, 8), 0, 0, 0, "float32"],
    ["encoder/loop", "LSTM", (8,), 40, 40, None, "float32"],
    ["head", "Dense", (3,), 27, 24, 24, "float32"],
]


def shown(width: int, *, terminal: bool, columns: list[str] = COLUMNS, rows: list[list[Any]] = ROWS) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, force_terminal=terminal, color_system=None)
    print_found(SimpleNamespace(out=console), {"file": "m.keras"}, columns, rows)  # type: ignore[arg-type]  # all that it uses
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_layers_of_nested_models_stand_below_their_model_and_its_sums() -> None:
    lines = shown(120, terminal=True)
    table = lines[lines.index("") + 1 :]
    assert [line.split("  ")[0] or line.strip().split()[0] for line in table[1:]] == [
        *("stem", "encoder/", "block/", "conv", "relu", "loop", "head")
    ]
    assert table[2].split() == ["encoder/", "2,123,496", "2,000,040", "?"]
    assert table[3].split() == ["block/", "2,123,456", "2,000,000", "123,456,789"]
    assert table[3].startswith("  block/")
    assert table[4].startswith("    conv  ")


@pytest.mark.parametrize("width", [60, 70, 80, 90])
def test_a_narrow_terminal_breaks_no_number_and_no_word_but_says_what_it_left_out(width: int) -> None:
    text = "\n".join(shown(width, terminal=True))
    for whole in ("2,123,456", "123,456,789", "parameters", "Conv2D", "encoder/", "    conv"):
        assert whole in text
    assert ("no room for " in text) == ("float32" not in text)
    assert max(map(len, text.splitlines())) <= width


def test_what_is_read_by_a_program_has_every_column() -> None:
    long = [["a" * 150, *ROWS[0][1:]]]
    lines = shown(110, terminal=False, rows=long)
    assert lines[-1].split() == ["a" * 150, "Conv2D", "8x8x4", "100", "90", "1,000", "float32"]


def test_names_of_kernels_in_a_file_are_no_paths_of_models() -> None:
    kernels = [["net/conv/Conv2D", "CONV_2D", (8, 3, 3, 4), "int8", 288, 0.5, 100, 9]]
    columns = ["kernel", "op", "shape", "dtype", "size_bytes", "zeros_fraction", "values", "values_a_channel"]
    lines = shown(110, terminal=True, columns=columns, rows=kernels)
    assert lines[-1].split() == ["net/conv/Conv2D", "CONV_2D", "8x3x3x4", "int8", "288", "50.0%", "100", "9"]
