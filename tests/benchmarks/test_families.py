"""benchmarks.families."""

from __future__ import annotations

import shlex
from pathlib import Path

from benchmarks import families
from tfcompress.cli.main import run_command


def test_every_line_is_a_command_that_reads() -> None:
    for way in families.WAYS:
        words = families.command(Path("net.keras"), Path("net.npz"), way, 2)
        assert words[:4] == ["export", "net.keras", "--data", "net.npz"]
        assert ("--epochs" in words) is any(flag in words for flag in ("--qat", "--channels", "--low-rank"))
        assert run_command([*words, "--help"]) == 0


def test_a_line_has_what_the_report_says() -> None:
    score = {"main": "top1", "figures": {"top1": {"value": 0.9, "unit": "fraction"}}}
    result = {"score": score, "size_bytes": 2000, "gzip_bytes": 1000, "package_bytes": None, "macs": 12345}
    words = families.command(Path("net.keras"), Path("net.npz"), "low rank, int8", 2)
    line = families.row("low rank, int8", {"result": result}, 0.5, words)
    assert line[:7] == ("low rank, int8", "90.00 %", "2,000 B", "1,000 B", families.NONE, "12,345", "0.50")
    assert shlex.split(line[7].strip("`"))[:4] == ["--low-rank", "0.6", "--quantize", "int8"]
    assert families.folder("half pruned, 16 values, QAT") == "half-pruned-16-values-QAT"
