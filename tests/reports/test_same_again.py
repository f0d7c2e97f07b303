"""The command that makes a file again: what it says is what was given, and what it cannot say is said beside it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reports.test_html import a_report
from tfcompress.cli.export import make_command
from tfcompress.cli.options import DATA_FLAGS, data_arguments
from tfcompress.reports.report import Report
from tfcompress.reports.same_again import again, beyond_words

FOLDER = Path("runs/one")
names = st.text("abc_é -", min_size=1, max_size=6).map(str.strip).filter(bool)
READING = {
    "label": st.lists(names, min_size=1, max_size=3, unique=True),
    "features": names,
    "classes": names | st.lists(names, min_size=2, max_size=4, unique=True),
    "window": st.integers(1, 500),
    "stride": st.integers(1, 500),
    "group": names,
    "vocabulary": names,
    "skip_corrupt": st.just(True),
    "task": st.lists(names.map(lambda name: f"out={name}"), min_size=1, max_size=3),
    "metrics": st.lists(names, min_size=1, max_size=3),
    "main_metric": names,
    "main_output": names,
    "ignore_label": st.integers(-1, 300),
    "windows_of": st.integers(1, 9),
}


def said(data: dict[str, Any] | None, **source: Any) -> Report:
    report = a_report(data=data)
    return dataclasses.replace(report, source=dataclasses.replace(report.source, **source))


@given(st.fixed_dictionaries({}, optional=READING))
def test_the_command_reads_the_data_as_it_was_read(reading: dict[str, Any]) -> None:
    words = again(said({"source": "data.csv", "reading": reading}), FOLDER)
    flags = make_command().make_context("export", words[2:]).params
    arguments = data_arguments(**{name: flags[name] for name in DATA_FLAGS})
    assert arguments.pop("spec") == "data.csv"
    got = {name: value for name, value in arguments.items() if name in READING and value not in (None, ())}
    typed = {k: ",".join(v) if k in ("label", "classes") and isinstance(v, list) else v for k, v in reading.items()}
    assert got == {name: tuple(value) if isinstance(value, list) else value for name, value in typed.items()}


def test_preprocessing_code_and_custom_layers_are_said() -> None:
    steps = {"scale": 1 / 255, "mean": [0.5, 0.25], "std": [], "function": "mine:prepare"}
    report = said({"source": "my data.npz", "preprocessing": steps, "reading": {}}, trust=True, custom=("a:B", "c:D"))
    assert again(report, FOLDER) == [
        "tfcompress", "export", "a&b.h5", "--recipe", "runs/one/recipe.toml", "--data", "my data.npz",
        "--scale", repr(1 / 255), "--mean", "0.5,0.25", "--preprocess", "mine:prepare",
        "--trust", "--custom", "a:B", "--custom", "c:D",
    ]  # fmt: skip


def test_without_data_there_is_nothing_said_of_it() -> None:
    assert again(said(None), FOLDER)[-1] == "runs/one/recipe.toml"
    assert list(beyond_words(said(None, sha256="ab"))) == []


@pytest.mark.parametrize(
    ("data", "beyond"),
    [
        ({"source": "d.npz", "reading": {}}, ""),
        ({"source": "d.npz"}, ""),
        ({"source": "arrays in memory", "reading": None}, "the data was in memory: save it as an .npz"),
        ({"source": "d", "reading": {"unsaid": ["metrics"]}}, "--metric was an object of Python: give it as MODULE"),
        (
            {"source": "d", "reading": {"classes": ["a,b", "c"]}},
            "--classes has names with commas: write them to a file",
        ),
        ({"source": "d", "reading": {"label": ["a,b"]}}, "--label has names with commas: rename the columns"),
    ],
)
def test_what_no_command_says_is_said_beside_it(data: dict[str, Any], beyond: str) -> None:
    report = said(data, sha256="ab")
    assert [line.startswith(beyond) for line in beyond_words(report)] == [True] * bool(beyond)
    words = again(report, FOLDER)
    assert ("--data" in words) == (data.get("reading", {}) is not None)
    assert not {"--classes", "--label", "--metric"} & set(words)


def test_a_model_in_memory_is_to_be_saved_first() -> None:
    assert list(beyond_words(said(None, sha256=None))) == [
        "the model was an object in memory: save it, and name the file"
    ]
