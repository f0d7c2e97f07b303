"""The benchmark's own arithmetic and measuring; its table is only as good as these."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

from benchmarks import by_hand
from benchmarks.by_hand import BEGIN, END, TASKS, Cost, Run
from tfcompress import demo


def run(wall_s: float, *, size_bytes: int = 30_000, top1: float = 0.9) -> Run:
    return Run(Cost(wall_s, 9.0, 800_000_000), 100_000, size_bytes, 0.92, top1)


def test_ratios_are_taken_pair_by_pair() -> None:
    # A busy spell doubles both halves of the second pair: the ratios 1.1, 1.1 and 1.2 do not see it.
    pairs = [(run(10.0), run(11.0)), (run(20.0), run(22.0)), (run(10.0), run(12.0))]
    *_, ours = by_hand.table({"int8": pairs}).splitlines()
    assert ours.endswith("| **1.10** (1.10, 1.10, 1.20) |")


def test_a_row_shows_medians_with_their_units() -> None:
    _, _, plain, ours = by_hand.table({"int8": [(run(10.04), run(11.0, size_bytes=31_000, top1=0.915))]}).splitlines()
    assert plain == "| int8 | plain tools | 30,000 B | 90.00% (92.00%) | 800 MB | 9.0 s | 10.0 s |  |"
    assert ours.startswith("|  | tfcompress | 31,000 B | 91.50% (92.00%) | 800 MB | 9.0 s | 11.0 s |")


def test_what_stands_between_the_markers_is_replaced() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert by_hand.update(text, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert by_hand.update(by_hand.update(text, "new"), "old") == text


@pytest.mark.parametrize("text", ["", BEGIN, END])
def test_a_file_without_both_markers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must hold the lines"):
        by_hand.update(text, "new")


def test_memory_and_processor_time_are_those_of_the_process_and_its_children() -> None:
    child = "import time; x = bytearray(b'x') * 60_000_000; time.sleep(1); [i * i for i in range(5_000_000)]"
    parent = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {child!r}]); print('done')"
    cost, printed = by_hand.measure([sys.executable, "-c", parent])
    assert printed == "done\n"
    assert 0.05 < cost.cpu_s < cost.wall_s - 0.9
    assert cost.peak_bytes > 60_000_000


def test_a_failing_command_shows_the_end_of_its_stderr() -> None:
    with pytest.raises(SystemExit, match=r"ended with 3:\nwhy"):
        by_hand.measure([sys.executable, "-c", "import sys; sys.stderr.write('why'); sys.exit(3)"])


def test_sizes_and_accuracies_are_read_from_the_report() -> None:
    files = {"baseline": (400, 0.5), "result": (100, 0.25)}
    report = {
        name: {"size_bytes": size, "score": {"figures": {"top1": {"value": top1}}}}
        for name, (size, top1) in files.items()
    }
    assert by_hand.figures_of(report, Cost(1.0, 2.0, 3)) == Run(Cost(1.0, 2.0, 3), 400, 100, 0.5, 0.25)


def test_flags_about_training_go_only_to_tasks_that_train() -> None:
    options = argparse.Namespace(epochs=4, batch_size=64, learning_rate=None, seed=7)
    assert by_hand.budget(TASKS["int8 after training"], options) == ["--seed", "7"]
    assert by_hand.budget(TASKS["half pruned, int8"], options)[-2:] == ["--learning-rate", "0.001"]


@pytest.mark.slow
def test_the_plain_tools_make_a_smaller_file_that_is_as_good(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.hand_ptq", str(demo.MODEL), str(demo.DATA), str(tmp_path)]
    _, printed = by_hand.measure([*command, "--scale", str(1 / 255)])
    figures = json.loads(printed.splitlines()[-1])
    assert figures["int8"]["size_bytes"] == (tmp_path / "int8.tflite").stat().st_size
    assert figures["int8"]["size_bytes"] < figures["float32"]["size_bytes"] / 2
    assert figures["int8"]["top1"] > figures["float32"]["top1"] - 0.01
