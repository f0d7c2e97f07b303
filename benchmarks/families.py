"""Each technique by itself and in chains, on one network: what the file loses, weighs and takes.

    python -m benchmarks.families NETWORK.keras DATA.npz --output FOLDER [--ways QAT …] [--update docs/benchmarks.md]

The command line makes every file, with a package beside it, and edge_runner times each in turns with the float file.
What was exported is kept under ``--output`` and not made again. With ``--update`` the table replaces what stands
between ``<!-- families: NETWORK -->`` and ``<!-- end of families: NETWORK -->`` there.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.by_hand import processor
from benchmarks.native_qat import NONE, percent, table, update

WAYS: Mapping[str, tuple[str, ...]] = {
    "float": (),
    "int8": ("--quantize", "int8"),
    "QAT": ("--qat",),
    "channels, int8": ("--channels", "0.4", "--quantize", "int8"),
    "channels, distilled, QAT": ("--channels", "0.4", "--distill", "--qat"),
    "low rank, int8": ("--low-rank", "0.6", "--quantize", "int8"),
    "low rank, QAT": ("--low-rank", "0.6", "--qat"),
    "half pruned, QAT": ("--prune", "0.5", "--qat"),
    "16 values, QAT": ("--cluster", "16", "--qat"),
    "half pruned, 16 values, QAT": ("--prune", "0.5", "--cluster", "16", "--qat"),
}
"""What ``tfcompress export`` is told for each line."""

TRAINING = ("--learning-rate", "5e-4", "--decay", "cosine")
"""And for each that trains."""

FLOAT = "float"

HEAD = ("file", "main figure", "bytes", "gzip", "package", "MACs", "latency", "command")


def main(given: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="a Keras file")
    parser.add_argument("data", type=Path, help="its data, as an .npz")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where files go")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="NAME", help="only these lines")
    parser.add_argument("--epochs", type=int, default=2, help="of each that trains (default 2)")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    options = parser.parse_args(given)
    options.output.mkdir(parents=True, exist_ok=True)
    ways = [way for way in WAYS if way in {FLOAT, *options.ways}]
    commands = {way: command(options.network, options.data, way, options.epochs) for way in ways}
    reports = {way: exported(options.output / folder(way), words) for way, words in commands.items()}
    ratios = latencies(options.output, reports)
    rows = [row(way, report, ratios[way], commands[way]) for way, report in reports.items()]
    text = (
        f"{table(HEAD, rows)}\n\n{processor()}; latency: of the file over the float file's, timed in turns, one thread."
    )
    print(text)
    if options.update:
        options.update.write_text(update(options.update.read_text(), options.network.stem, text, "families"))


def folder(way: str) -> str:
    """Return the name of the folder that a file goes to."""
    return way.replace(",", "").replace(" ", "-")


def command(network: Path, data: Path, way: str, epochs: int) -> list[str]:
    """Return what makes a file, without where it goes."""
    trains = len(WAYS[way]) > 2 or "--qat" in WAYS[way]
    training = ("--epochs", str(epochs), *TRAINING) if trains else ()
    return ["export", str(network), "--data", str(data), *WAYS[way], *training, "--optimize-for", "download"]


def exported(place: Path, words: Sequence[str]) -> dict[str, Any]:
    """Return the report of a file, which is made unless it is there."""
    path = place / "report.json"
    if not path.exists():
        line = [sys.executable, "-m", "tfcompress", *words, "--output", str(place), "--force"]
        done = subprocess.run(line, check=False, capture_output=True, text=True)
        if done.returncode:
            msg = f"{shlex.join(words)} failed: {done.stderr[-2000:]}"
            raise RuntimeError(msg)
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def latencies(output: Path, reports: Mapping[str, dict[str, Any]]) -> dict[str, float]:
    """Return the median latency of each file over that of the float file."""
    from tfcompress.devices.latency import median_ns
    from tfcompress.devices.local import Settings, run_locally

    files = [output / folder(way) / report["result"]["name"] for way, report in reports.items()]
    found = run_locally(files, settings=Settings(runs=200, seconds=3.0, threads=1))["models"]
    medians = dict(zip(reports, map(median_ns, found), strict=True))
    return {way: median / medians[FLOAT] for way, median in medians.items()}


def row(way: str, report: Mapping[str, Any], ratio: float, words: Sequence[str]) -> tuple[str, ...]:
    """Return a line of the table."""
    result = report["result"]
    figure = result["score"]["figures"][result["score"]["main"]]
    value = percent(figure["value"], 2) if figure["unit"] == "fraction" else f"{figure['value']:.4g}"
    sizes = (result[name] for name in ("size_bytes", "gzip_bytes", "package_bytes"))
    shown = [NONE if size is None else f"{size:,} B" for size in sizes]
    macs = NONE if result["macs"] is None else f"{result['macs']:,}"
    flags = shlex.join(words[4:])  # behind the network and its data
    return (way, value, *shown, macs, f"{ratio:.2f}", f"`{flags}`")


if __name__ == "__main__":
    main()
