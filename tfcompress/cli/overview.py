"""The command table and the text of ``tfcompress --help``.

Kept apart from click, whose import alone takes three times as long as a bare interpreter.
"""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """Where a command lives, and what it is for."""

    module: str
    summary: str


COMMANDS = {
    "export": Command(
        "tfcompress.cli.export", "Compress a Keras model and write a checked .tflite file with its report."
    ),
    "auto": Command(
        "tfcompress.cli.auto", "Search for the best .tflite file that keeps limits on accuracy, size and latency."
    ),
    "inspect": Command(
        "tfcompress.cli.inspect", "Show what is in a Keras or TFLite file: layers, ops, dtypes, MACs, bytes."
    ),
    "evaluate": Command("tfcompress.cli.evaluate", "Measure the accuracy of a Keras or TFLite file on your data."),
    "sensitivity": Command(
        "tfcompress.cli.sensitivity", "Measure and draw which channels a Keras model can spare, group by group."
    ),
    "doctor": Command("tfcompress.cli.doctor", "Check a Keras model before any work, and rewrite what costs nothing."),
    "debug": Command("tfcompress.cli.debug", "Find where a .tflite file goes wrong, tensor by tensor and op by op."),
    "matrix": Command("tfcompress.cli.matrix", "Run the same recipes on several models and data sets: mean and worst."),
    "pack": Command("tfcompress.cli.pack", "Pack a .tflite file for the download; the device unpacks the same bytes."),
    "unpack": Command("tfcompress.cli.unpack", "Give back the .tflite file that is in a package."),
    "firmware": Command(
        "tfcompress.cli.firmware", "Write a .tflite file as sources for a microcontroller, with a golden test."
    ),
    "stages": Command("tfcompress.cli.stages", "List what can be done to a model, with its flags, and the tasks."),
    "recipes": Command("tfcompress.cli.recipes", "List the named recipes, or print one as TOML to edit."),
    "compare": Command("tfcompress.cli.compare", "Compare two reports, and fail a pipeline on conditions of your own."),
    "report": Command("tfcompress.cli.report", "Draw runs beside each other as one page that needs no network."),
    "explore": Command(
        "tfcompress.cli.explore", "Write a run's error, time and bits by op for Model Explorer to colour its graph by."
    ),
    "card": Command("tfcompress.cli.card", "Write a run as a Hugging Face repository: model card, file and report."),
    "bench": Command("tfcompress.cli.bench", "Measure files on devices: this one, or any that ssh reaches."),
    "runner": Command("tfcompress.cli.runner", "Put a copy of edge_runner here, to be copied to a device."),
    "demo": Command("tfcompress.cli.demo", "Run the whole job on a small model and data that come with tfcompress."),
}

HEAD = """\
Usage: tfcompress COMMAND [OPTIONS] ...

  Any Keras model in, the best possible TFLite file out, proven on the device.

Examples:
  tfcompress demo
  tfcompress export model.h5 --quantize int8 --data data.npz --scale 1/255
  tfcompress export --qat model.h5 --data data.npz --epochs 3
  tfcompress inspect model-qat-int8/model-qat-int8.tflite

Commands:
"""

TAIL = """
Options:
  --version   Print the version.
  -h, --help  Print this.

tfcompress COMMAND --help says more about each. Exit codes: 0 done, 2 wrong usage, 3 model, 4 data, 5 refused by a
technique, 6 conversion, 7 the file is not what was asked for, 8 output, 9 something is not installed, 10 a device,
11 nothing keeps the limits, 12 a condition of compare, 13 a cell of matrix failed, 130 interrupted.
"""


def overview() -> str:
    """Return the text of ``tfcompress --help``."""
    rows = [f"  {name:<11}  {command.summary}" for name, command in COMMANDS.items()]
    return HEAD + "\n".join(rows) + "\n" + TAIL
