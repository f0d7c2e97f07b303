"""Files for microcontrollers: int8, few values trained for look-up tables, and weights of 4 bits.

    python -m benchmarks.micro demo NET.keras:DATA.npz:SCALE … --output FOLDER [--update docs/benchmarks.md]

A network is ``demo``, or MODEL:DATA.npz:SCALE (what the samples are multiplied by). Each is exported by the command
line for ``--target tflm``, which runs the file in TensorFlow Lite Micro's interpreter, and compiled by Vela for an
Ethos-U55-128, whose cycles are an estimate. Flash, arena and top-1 are those of the file with look-up tables where
there is one, Vela's figures those of the file beside it. A file that is there is not made
again, and what a network cannot have is said in its line.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.native_qat import percent, table, update
from tfcompress import demo

TRAINED = ("--epochs", "2", "--learning-rate", "2e-4", "--decay", "cosine")
WAYS: dict[str, tuple[str, ...]] = {
    "int8": ("--quantize", "int8"),
    "16 values a channel": ("--cluster", "16", "--cluster-per", "channel", "--qat", "--lookup", *TRAINED),
    "8 values a channel": ("--cluster", "8", "--cluster-per", "channel", "--qat", "--lookup", *TRAINED),
    "values by layer": ("--recipe", "mcu-cluster42"),
    "4 bits": ("--quantize", "int8", "--weight-bits", "4"),
}
"""Name of a line -> what ``tfcompress export`` is told for it."""

HEAD = ("network", "file", "flash", "arena", "top-1 in TFLM", "equal there", "Vela: cycles, flash", "flags")
NPU = "vela:u55-128"


def main(given: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", help="demo, or MODEL:DATA.npz:SCALE")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="which files to make")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the files go")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    options = parser.parse_args(given)
    rows = []
    for text in options.networks:
        named = f"{demo.MODEL_KERAS3}:{demo.DATA}:{demo.SCALE}" if text == "demo" else text
        for way in options.ways:
            rows.append(row(named, way, options.output))
            print(" | ".join(rows[-1]), file=sys.stderr)
    text = table(HEAD, rows)
    print(text)
    if options.update:
        options.update.write_text(update(options.update.read_text(), "networks", text, "micro"))


def row(network: str, way: str, output: Path) -> tuple[str, ...]:
    """Export a network in one way, compile it, and return a line of the table."""
    model, data, scale = network.split(":")
    folder = output / f"{Path(model).stem}-{way.replace(' ', '-')}"
    given = ("--data", data, "--scale", scale, *WAYS[way], "--target", "tflm", "--output", str(folder))
    try:
        if not (folder / "report.json").exists():
            told("export", model, *given)
    except RuntimeError as refusal:
        return Path(model).stem, way, why(refusal), *["-"] * (len(HEAD) - 4), f"`{shlex.join(WAYS[way])}`"
    report = json.loads((folder / "report.json").read_text())
    verified = report["result"]["verification"]
    micro, plain = verified["micro"], folder / report["result"]["name"]
    tested, lookup = micro["tested"], verified.get("lookup")
    flash, arena, scored = micro["flash_bytes"], micro["least_arena_bytes"], tested
    if lookup:
        flash, arena = lookup["size_bytes"], lookup["arena_bytes"]
        scored = lookup.get("tested") or tested
    return (
        Path(model).stem,
        way,
        f"{flash:,} B",
        f"{arena:,} B",
        f"{percent(scored['value'], 2)} ({percent(scored['low'])} to {percent(scored['high'])})",
        f"{tested['equal']:,} of {tested['samples']:,}",
        estimate(plain),
        f"`{shlex.join(WAYS[way])}`",
    )


def estimate(file: Path) -> str:
    """Return what Vela estimates of a file, and what it leaves to the processor."""
    try:
        (compiled,) = json.loads(told("bench", str(file), "--device", NPU, "--json"))
    except RuntimeError as refusal:
        return why(refusal)
    npu: dict[str, Any] = compiled["npu"]
    left = ", ".join(sorted({str(op["op"]) for op in npu["cpu_ops"]}))
    return f"{npu['cycles']:,.0f}, {npu['flash_bytes']:,.0f} B" + (f", CPU: {left}" if left else "")


def why(refusal: RuntimeError) -> str:
    """Return the one line in which a command of tfcompress said why it ended."""
    return str(refusal).strip().rpartition("tfcompress: ")[2].partition(";")[0]


def told(*words: str) -> str:
    """Run a command of tfcompress and return what it prints."""
    done = subprocess.run([sys.executable, "-m", "tfcompress", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        msg = f"{shlex.join(('tfcompress', *words))} failed: {done.stderr[-2000:]}"
        raise RuntimeError(msg)
    return done.stdout


if __name__ == "__main__":
    main()
