"""What ``tfcompress auto`` reads from its command line, and what it refuses before any work."""

from __future__ import annotations

import shlex
from typing import Any

import click
import pytest

from tfcompress.cli.auto import command, parse_time, read_wishes
from tfcompress.cli.main import run_command
from tfcompress.errors import RecipeError, UsageError
from tfcompress.search.goals import Limits
from tfcompress.search.wishes import Wishes


def wishes_of(*words: str) -> Wishes:
    """Return what a command line asks for."""
    found: list[Wishes] = []
    context = command.make_context("auto", ["model.h5", "--data", "d.npz", *words], resilient_parsing=False)
    flags: dict[str, Any] = dict(context.params)
    found.append(read_wishes(flags))
    return found[0]


def test_limits_have_units() -> None:
    found = wishes_of("--max-drop", "0.5", "--max-size", "100KB", "--max-p90", "5ms", "--budget", "2h")
    assert found.limits == Limits(drop=0.5, size=100_000, p90=5.0)
    assert found.budget_seconds == 7200.0


def test_energy_is_limited_or_made_small_and_the_device_is_told_how_to_measure_it() -> None:
    found = wishes_of("--trials", "3", "--max-energy", "5mJ", "--also", "--power-command './watts -1'")
    assert found.limits == Limits(energy=0.005)
    assert found.also == ("--power-command", "./watts -1")
    assert found.measured == ("p90", "energy")
    assert wishes_of("--trials", "3", "--energy").measured == ("p90", "energy")
    assert wishes_of("--trials", "3", "--device", "local").measured == ("p90",)
    assert wishes_of("--trials", "3").measured == ()


def test_the_command_without_a_search_reads_model_and_data_as_the_search_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["auto", "m.h5", "--data", "d.csv", "--label", "y", "--classes", "a,b", "--window", "9", "--stride", "3"]
    words += [
        "--group",
        "who",
        "--vocabulary",
        "v.txt",
        "--skip-corrupt",
        "--scale",
        "1/255",
        "--mean",
        "1",
        "--std",
        "2",
    ]
    words += ["--preprocess", "m:f", "--task", "a=binary", "--task", "b=regression", "--metric", "mae", "--main-metric"]
    words += ["f1", "--main-output", "b", "--ignore-label", "3", "--windows-of", "2", "--features", "f.toml"]
    words += ["--trust", "--custom", "m:L", "--custom", "m:K", "--load-seconds", "7", "--load-memory", "5GB"]
    told: list[Wishes] = []

    def opened(model: str, data: Any, loading: Any, wishes: Wishes) -> None:
        told.append(wishes)
        raise UsageError

    monkeypatch.setattr("tfcompress.search.automatic.opening_of", opened)
    run_command([*words, "--trials", "1", "-o", "out"])
    again = shlex.split(told[0].command)
    assert again[:5] == ["tfcompress", "export", "m.h5", "--recipe", "out/best/recipe.toml"]
    given = [word for word in words[2:] if word not in ("5GB",)]
    assert sorted(again[5:]) == sorted([*given, "5000000000"])


def test_what_is_said_of_training_and_file_is_kept_and_not_tried() -> None:
    found = wishes_of("--trials", "3", "--epochs", "7", "--quantize", "int8", "--optimize-for", "download")
    assert (found.train.epochs, found.train.decay, found.export.quantize) == (7, "cosine", "int8")
    assert set(found.fixed) == {"train.epochs", "export.quantize", "export.optimize_for"}
    assert found.smaller == "download"


@pytest.mark.parametrize(
    ("words", "quantize"),
    [
        (["--target", "ethos-u55-128"], "int8"),
        (["--target", "tflm"], "none"),
        (["--rounding", "gptq"], "int8"),
        (["--lookup"], "int8"),
        (["--io", "int16"], "int16x8"),
    ],
)
def test_what_goes_with_some_numbers_alone_is_begun_with_those(words: list[str], quantize: str) -> None:
    found = wishes_of("--trials", "3", *words)
    assert found.export.quantize == quantize
    assert "export.quantize" not in found.fixed
    with pytest.raises(RecipeError):
        wishes_of("--trials", "3", *words, "--quantize", "dynamic", "--io", "int8")


def test_the_network_a_builder_and_a_cluster_are_wished_for() -> None:
    found = wishes_of("--trials", "3", "--architecture", "--builder", "nets:build")
    assert (found.architecture, found.builder, found.engine) == (True, "nets:build", "local")
    found = wishes_of("--trials", "3", "--engine", "ray", "--address", "localhost:6379")
    assert (found.engine, found.address) == ("ray", "localhost:6379")


def test_a_builder_needs_trust(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["auto", "model.h5", "--data", "d.npz", "--trials", "2", "--builder", "nets:build"]) != 0
    line = "--builder runs the function 'nets:build'; give --trust if you know what it does"
    assert line in " ".join(capfd.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give --budget (a time such as 2h), --trials N, or both"),
        (["--trials", "0"], "--trials must be above 0, got 0"),
        (["--trials", "2", "--max-size", "big"], "--max-size must be a size such as 512MB or 16GiB, got 'big'"),
        (["--budget", "2"], "--budget must be a time such as 90s, 30m or 2h (units: s, m, min, h, d), got '2'"),
        (["--trials", "2", "--max-p90", "5"], "--max-p90 must be a time such as 5ms"),
        (["--trials", "2", "--max-energy", "5ms"], "--max-energy must be an energy such as 5mJ (units: uJ, µJ, mJ, J)"),
        (["--trials", "2", "--also", "--threads 4"], "--also says how --device measures, and there is none"),
        (["--trials", "2", "--energy", "--also", "-o x"], "--also must not hold -o: tfcompress itself says where data"),
        (["--trials", "2", "--max-drop", "-1"], "--max-drop must be above 0, got -1"),
        (["--trials", "2", "--jobs", "0"], "--jobs must be above 0, got 0"),
        (["--trials", "2", "--engine", "ray"], "--engine ray needs --address HOST:PORT of a running cluster"),
        (["--trials", "2", "--address", "localhost:1"], "--address is for --engine ray"),
    ],
)
def test_what_has_no_meaning_is_refused_in_a_line(
    words: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["auto", "model.h5", "--data", "d.npz", *words]) == 2
    assert message in " ".join(capfd.readouterr().err.split())


def test_data_is_needed(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["auto", "model.h5", "--trials", "2"]) == 2
    assert "auto trains and judges candidates, and needs --data" in capfd.readouterr().err


@pytest.mark.parametrize(("text", "expected"), [("90s", 90.0), ("1.5h", 5400.0), (" 2 min ", 120.0), ("1d", 86400.0)])
def test_times(text: str, expected: float) -> None:
    units = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
    assert parse_time(text, "--budget", units) == expected


def test_a_stage_that_does_not_exist_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"--without must be one of .*, got 'prun' \(did you mean 'prune'\?\)"):
        Wishes(limits=Limits(), trials=1, without=("prun",))
    with pytest.raises(click.BadParameter, match="prun"):
        wishes_of("--trials", "1", "--without", "prun")
