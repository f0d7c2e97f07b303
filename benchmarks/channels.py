"""Measure what removing channels brings, and print Markdown tables.

    python -m benchmarks.channels --surgery [--update docs/benchmarks.md]
    python -m benchmarks.channels --train cifar10.npz --model resnet8.keras --output FOLDER [--update FILE.md]

Every network runs in a process of its own, with a time limit. What was measured is appended to a file of JSON lines
(``--results``) and read from there when the command is given again; take the file away to measure anew. With
``--update`` a table replaces what stands between its markers in that file, ``<!-- channels: surgery -->`` and
``<!-- end of channels: surgery -->``; or ``training`` for ``surgery``.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.by_hand import processor
from benchmarks.native_qat import NONE, Results, kilobytes, percent, table, update
from tfcompress.recipe import Channels, Distill, Export, Prune, Recipe, Train

CHILD = "benchmarks.channels_child"

NETWORKS = (
    "MobileNetV2",
    "MobileNetV3Small",
    "ResNet50",
    "ResNet50V2",
    "DenseNet121",
    "EfficientNetB0",
    "InceptionV3",
    "Xception",
    "NASNetMobile",
    "ConvNeXtTiny",
)


def surgery(names: Sequence[str], remove: float, output: Path, results: Results) -> str:
    """Return the table of Keras's own networks, without weights, with a fraction of their MACs removed.

    Latencies are those of the fastest of at least 200 runs each, in turns: what else runs on the machine makes runs
    slower, and the slower network more so, which would flatter the ratio of medians.
    """
    head = (
        "network",
        "MACs",
        "removed",
        "parameters left",
        "groups cut",
        "fixed by",
        "forward",
        "weights with a gradient",
        "checked float32 .tflite",
        "its latency ratio, fastest runs",
        "CPU time to remove",
    )
    rows = []
    for name in names:
        figures = results.of(CHILD, "surgery", name, f"{remove:g}", str(output))
        if "error" not in figures:
            figures = figures | results.of(CHILD, "race", figures["file"], figures["file_left"])
        rows.append(surgery_row(name, figures))
    return table(head, rows)


def fixed_by(reasons: Sequence[str]) -> str:
    """Return what keeps groups from shrinking, and how many: the class that a reason names, or the model's output."""
    named = [re.search(r"\((\w+)\)", reason) for reason in reasons]
    kinds = [match[1] if match else "output" for match in named]
    return ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(kinds).items()))


def surgery_row(name: str, figures: dict[str, Any]) -> list[str]:
    """Return one line of the table of :func:`surgery`."""
    if "error" in figures:
        return [name, f"failed: {figures['error']}", *[NONE] * 9]
    return [
        name,
        f"{figures['macs'] / 1e6:,.1f} M",
        percent(figures["removed"]),
        percent(figures["parameters_left"] / figures["parameters"]),
        str(figures["groups"]),
        fixed_by(figures["pinned"]),
        "finite" if figures["forward"] else "NOT finite",
        percent(figures["gradients"], 0),
        " / ".join(kilobytes(Path(figures[key]).stat().st_size) for key in ("file_left", "file")),
        f"{figures['fastest_ms'][1] / figures['fastest_ms'][0]:.2f}",
        f"{figures['seconds']:.1f} s",
    ]


def recipes(epochs: int, learning_rate: float) -> dict[str, Recipe]:
    """Return what is compared: int8 alone, two sizes of channel removal, and tfmot's zeros, on the same budget."""
    trained = Train(
        epochs=epochs, learning_rate=learning_rate, optimizer="muon", decay="cosine", augment="flip", batch_size=64
    )
    int8 = Export(quantize="int8")
    found = {"int8, nothing removed": Recipe(export=int8, title="int8")}
    for remove in (0.5, 0.7):
        stage = Channels(remove=remove, tune_epochs=1)
        found[f"{remove:.0%} of the MACs removed"] = Recipe(
            stages=(stage, Distill()), train=trained, export=int8, title=f"channels{100 * remove:.0f}"
        )
    zeros = Train(epochs=epochs, learning_rate=1e-4)
    stage_of_zeros = Prune(sparsity=0.5, engine="tfmot")
    found["50% zeros by tfmot"] = Recipe(stages=(stage_of_zeros,), train=zeros, export=int8, title="tfmot50")
    return found


def training(model: Path, data: Path, output: Path, named: dict[str, Recipe], results: Results) -> str:
    """Return the table of one model trained by several recipes; the first one is what the others are compared with."""
    output.mkdir(parents=True, exist_ok=True)
    paths = [output / f"{recipe.name}.toml" for recipe in named.values()]
    for path, recipe in zip(paths, named.values(), strict=True):
        path.write_text(recipe.to_toml())
    found = results.of(CHILD, "train", *map(str, (model, data, output, *paths)))
    figures = {title: found if "error" in found else found[recipe.name] for title, recipe in named.items()}
    good = {title: row for title, row in figures.items() if "error" not in row}
    speed = results.of(CHILD, "race", *(row["file"] for row in good.values()))
    speedups = dict(zip(good, speed.get("speedup", [None] * len(good)), strict=True))
    head = ("int8 file", "top-1", "bytes", "gzip", "speed-up, interleaved", "time")
    return table(head, (training_row(title, row, speedups.get(title)) for title, row in figures.items()))


def training_row(title: str, figures: dict[str, Any], speedup: float | None) -> list[str]:
    """Return one line of the table of :func:`training`."""
    if "error" in figures:
        return [title, f"failed: {figures['error']}", *[NONE] * 4]
    return [
        title,
        percent(figures["top1"], 2),
        f"{figures['size_bytes']:,}",
        f"{figures['gzip_bytes']:,}",
        NONE if speedup is None else f"{speedup:.2f} x",
        f"{figures['seconds']:.0f} s",
    ]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--surgery", action="store_true", help="cut Keras's own networks")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NAME")
    parser.add_argument("--remove", type=float, default=0.5, help="fraction of the MACs (default 0.5)")
    parser.add_argument("--train", type=Path, metavar="DATA.npz", help="train a model with channels removed")
    parser.add_argument("--model", type=Path, help="the model for --train")
    parser.add_argument(
        "--recipes", nargs="+", metavar="NAME", help="only these of int8, channels50, channels70, tfmot50"
    )
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--output", type=Path, default=Path("channels-results"), help="folder for files that are made")
    parser.add_argument("--results", type=Path, default=Path("channels.jsonl"), help="where figures are kept")
    parser.add_argument("--time-limit", type=float, default=900.0, metavar="SECONDS", help="for each process")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the tables between the markers of this file")
    return parser.parse_args()


def main() -> None:
    """Measure what was asked for and print its tables."""
    options = arguments()
    results = Results(options.results, options.time_limit)
    parts = {}
    if options.surgery:
        parts["surgery"] = surgery(options.networks, options.remove, options.output.resolve(), results)
    if options.train:
        model, data, output = (path.resolve() for path in (options.model, options.train, options.output))
        named = recipes(options.epochs, options.learning_rate)
        if options.recipes:
            named = {title: recipe for title, recipe in named.items() if recipe.name in options.recipes}
        parts["training"] = training(model, data, output, named, results)
    for show, part in parts.items():
        signed = f"{part}\n\n{processor()}, {os.cpu_count()} cores."
        print(f"{signed}\n")
        if options.update:
            options.update.write_text(update(options.update.read_text(), show, signed, "channels"))


if __name__ == "__main__":
    main()
