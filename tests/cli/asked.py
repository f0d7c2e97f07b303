"""What a command line asks the rest of the program for: its options, values for them, and the calls that it makes."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

from tfcompress.cli.main import group
from tfcompress.errors import TfcompressError

TEXTS = {
    "address": "localhost:6380",
    "blocks": "2",
    "build": "nets:build",
    "builder": "nets:build",
    "budget": "30m",
    "cache": "elsewhere",
    "cluster_bytes": "90KB",
    "cluster_layer": "conv=4",
    "cluster_per": "kernel",
    "cache_size": "1GiB",
    "custom": "json:loads",
    "distill_layers": "conv=conv",
    "distill_loss": "features",
    "data": "other.npz",
    "device": "pi5",
    "devices": "ssh://pi@10.0.0.1",
    "also": "--memory",
    "features": "features.toml",
    "group": "session",
    "hp": "units=8",
    "input_range": "0,1",
    "kernels": "reference",
    "label": "y",
    "labels": "y.npy",
    "layout": "stem=8",
    "load_memory": "1GiB",
    "loss": "mae",
    "max_arena": "64KB",
    "max_download": "90KB",
    "max_energy": "5mJ",
    "max_flash": "100KB",
    "max_latency": "2ms",
    "max_p90": "5ms",
    "max_size": "100KB",
    "mean": "0.5",
    "optimizer": "sgd",
    "output": "elsewhere",
    "preprocess": "json:loads",
    "prune": "0.45",
    "prune_block_shape": "4x1",
    "recipe": "dynamic",
    "runtime": "tensorflow",
    "scale": "1/255",
    "split": "train",
    "std": "0.5",
    "student": "width=0.5",
    "table": "layers.csv",
    "target": "tflm",
    "teacher": "other.keras",
    "teacher_classes": "a,b",
    "teacher_preprocess": "json:loads",
    "storage": "sqlite:///elsewhere.db",
    "track": "tensorboard",
    "values": "channels.remove=0.1,0.25",
    "vocabulary": "words.txt",
}
"""Values of options that take text, by name; any other one takes the name of a layer."""


def options_of(name: str) -> list[click.Option]:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def words_for(option: click.Option) -> Iterator[list[str]]:
    """Yield what could be typed for an option."""
    flag = max(option.opts, key=len)
    if option.is_flag:
        values: list[list[str]] = [[]]
    elif isinstance(option.type, click.Choice):
        values = [[str(choice)] for choice in option.type.choices]
    elif isinstance(option.type, click.types.IntParamType):
        values = [["1"], ["2"], ["17"]]
    elif isinstance(option.type, click.types.FloatParamType):
        values = [["0.3"], ["0.7"], ["3"]]
    else:
        values = [[TEXTS.get(option.name or "", "conv*")]]
    return ([flag, *value] for value in values)


class Calls:
    """Stands in for what a command calls, and keeps what it was called with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.made: list[tuple[str, Any, Any]] = []

    def replace(self, target: str, answer: Any = None) -> None:
        self.monkeypatch.setattr(target, self.recorder(target.rpartition(".")[2], answer))

    def recorder(self, name: str, answer: Any = None) -> Callable[..., Any]:
        """Return a function that keeps what it is called with, under a name."""

        def called(*values: Any, **more: Any) -> Any:
            kept = {key: value for key, value in more.items() if key not in ("progress", "log")}
            self.made.append((name, copy.deepcopy([v for v in values if _is_plain(v)]), kept))
            return answer

        return called

    def replace_workbench(self, answer: Any = None) -> None:
        """Stand in for the workbench and the checks before it; a run counts as ``compress(model, recipe, data)``."""
        calls = self

        class Workbench(contextlib.nullcontext[Any]):
            def __init__(self, model: Any, data: Any, **more: Any) -> None:
                super().__init__(self)
                self.given, self.more = (model, data), more

            def run(self, recipe: Any, **more: Any) -> Any:
                called(self.given[0], recipe, self.given[1], **self.more, **more)
                return answer

        def climb(bench: Workbench, recipe: Any, **more: Any) -> Any:
            return bench.run(recipe, **more)

        called = calls.recorder("compress")
        calls.monkeypatch.setattr("tfcompress.search.ladder.climb", climb)
        calls.replace("tfcompress.preconditions.check_preconditions")
        calls.monkeypatch.setattr("tfcompress.workbench.Workbench", Workbench)


def _is_plain(value: Any) -> bool:
    return type(value).__name__ not in ("RichProgress", "Console", "Report", "Terminal")


def asked_by(words: list[str], calls: Calls, capfd: pytest.CaptureFixture[str]) -> tuple[list[Any], str]:
    """Run a command line and return the calls that it made and what it printed."""
    calls.made.clear()
    group.main(args=words, prog_name="tfcompress", standalone_mode=False)
    return list(calls.made), capfd.readouterr().out


def assert_does_something(
    option: click.Option, words: list[str], run: Callable[[list[str]], tuple[list[Any], str]]
) -> None:
    """Assert that some value of the option changes what the command line *words* asks for."""
    plain, refusals = run(words), []
    for typed in words_for(option):
        try:
            if run([*words, *typed]) != plain:
                return
        except (TfcompressError, click.ClickException) as error:
            refusals.append(str(error))
    pytest.fail(f"{option.opts} changes nothing of {words}; refused: {refusals}")
