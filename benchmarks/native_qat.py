"""Measure quantization-aware training of Keras 3 models, and print Markdown tables.

    python -m benchmarks.native_qat --zoo --layers [--update docs/benchmarks.md]
    python -m benchmarks.native_qat --resnet8 cifar10.npz --model pretrainedResnet.h5
    python -m benchmarks.native_qat --fashion FOLDER --sequence FOLDER --step-time

Every network runs in a process of its own, with a time limit. What was measured is appended to a file of JSON lines
(``--results``), and read from there when the command is given again: a run that was stopped goes on where it was. Take
the file away to measure anew. With ``--update`` a table replaces what stands between its markers in that file, e.g.
``<!-- native QAT: zoo -->`` and ``<!-- end of native QAT: zoo -->``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.by_hand import ROOT, processor
from benchmarks.qat_child import STEPS
from benchmarks.qat_networks import LAYERS, ZOO

Row = dict[str, Any]

NONE = "-"


class Results:
    """What was measured so far, in a file of JSON lines."""

    def __init__(self, path: Path, limit_s: float) -> None:
        self._path, self._limit_s = path, limit_s
        lines = path.read_text().splitlines() if path.exists() else []
        self._known: dict[str, Row] = {}
        for line in lines:
            entry = json.loads(line)
            self._known[entry["key"]] = entry["figures"]

    def of(self, *words: str) -> Row:
        """Return the figures of one child, which is run if it was not before; ``{"error": …}`` where it failed."""
        key = " ".join(words)
        if key not in self._known:
            print(key, file=sys.stderr)
            self._known[key] = figures = self._measure(words)
            with self._path.open("a") as file:
                file.write(json.dumps({"key": key, "figures": figures}) + "\n")
        return self._known[key]

    def _measure(self, words: Sequence[str]) -> Row:
        command = [sys.executable, "-m", *words]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=self._limit_s, check=False)
        except subprocess.TimeoutExpired:
            return {"error": f"took longer than {self._limit_s:.0f} s"}
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            return {"error": (lines or [f"ended with {done.returncode}"])[-1][:300]}
        figures: Row = json.loads(done.stdout.splitlines()[-1])
        return figures


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def percent(value: float | None, digits: int = 1) -> str:
    """Return a fraction in percent, or a dash."""
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def kilobytes(size: float | None) -> str:
    """Return a number of bytes in kB of 1,000, or a dash."""
    if size is None:
        return NONE
    return f"{size / 1000:,.0f} kB" if size >= 10_000 else f"{size / 1000:.1f} kB"


def converted(kind: str, names: Iterable[str], results: Results) -> str:
    """Return the table of a list of networks: who takes them, and what the file is like."""
    head = (
        kind,
        "tfmot",
        "native",
        "ops in int8",
        "in float",
        "equal in integers",
        "same top-1",
        "within 2 steps",
        "file / float",
        "transform",
    )
    return table(head, (_converted_row(kind, name, results) for name in names))


def _converted_row(kind: str, name: str, results: Results) -> list[str]:
    child = "zoo" if kind == "network" else "layer"
    theirs = results.of("benchmarks.qat_child", child, name, "tfmot")
    ours = results.of("benchmarks.qat_child", child, name, "native")
    taken = "yes" if theirs.get("accepted") else "no"
    if "error" in ours:
        return [name, taken, f"no: {ours['error']}", *[NONE] * 7]
    count, left = ours["ops"], ours["float_ops"]
    kinds = ", ".join(sorted({op.split(" at ")[0] for op in left})) or "none"
    return [
        name,
        taken,
        "yes",
        f"{count - len(left)} / {count}",
        kinds,
        _equal(ours),
        f"{percent(ours['same_top1'])} ({ours['sqnr_db']:.0f} dB)",
        percent(ours["within_2_steps"], 2),
        f"{kilobytes(ours['size_bytes'])} / {kilobytes(ours['float_size_bytes'])}",
        f"{ours['attach_s']:.1f} s",
    ]


def _equal(figures: Row) -> str:
    """Return how many output values model and file have in common in the integers of the reference kernels."""
    if figures.get("exact_equal") is None:
        return NONE
    unknown = figures["exact_unknown"]
    suffix = f", not exact in {', '.join(unknown)}" if unknown else ""
    return f"{percent(figures['exact_equal'], 2)} of {figures['exact_samples']:,} samples{suffix}"


def zoo(results: Results, options: argparse.Namespace) -> str:
    """Measure the networks of ``keras.applications``."""
    note = (
        f"Random weights, trained {STEPS} steps on the demo's pictures so that outputs differ, then for one epoch "
        "of 128 with rounding. *Equal in integers*: values that are the same where model and file are both computed in "
        "the integers of the reference kernels, on as many of 1,000 test pictures as fit into 20 s. *Same top-1* and "
        "*within 2 steps*: the model as it was trained, in floating-point numbers, against the file under XNNPACK, on "
        "all of them. *Transform* is `attach` with its calibration on 128."
    )
    return f"{converted('network', options.only or ZOO, results)}\n\n{note}"


def layers(results: Results, options: argparse.Namespace) -> str:
    """Measure the layers that tfmot never took."""
    note = "One tiny model each, random weights and inputs; 1,000 samples. The columns are those of the table of Keras's own networks."
    return f"{converted('layer', options.only or LAYERS, results)}\n\n{note}"


def accuracies(title: str, results: Results, *words: str) -> list[str]:
    """Return one row: what a trained network scores in float, by PTQ, by QAT and (where it ran) by tfmot's QAT."""
    figures = results.of("benchmarks.qat_training", *words)
    if "error" in figures:
        return [title, figures["error"], *[NONE] * 4]

    def cell(side: str) -> str:
        found = figures.get(side)
        star = "\\*" if found and found.get("rewritten") else ""
        return NONE if found is None else f"{percent(found['top1'], 2)}, {found['size_bytes']:,} B{star}"

    sides = [cell(side) for side in ("float", "tuned", "ptq", "native", "tfmot")]
    return [f"{title} ({figures['samples']:,} test samples)", *sides]


TRAINED = ("network", "float", "float, tuned further", "PTQ", "native QAT", "tfmot QAT by hand")


def resnet8(results: Results, options: argparse.Namespace) -> str:
    """Fine-tune ResNet8 on CIFAR-10."""
    if options.model is None:
        msg = "--resnet8 needs --model, the .h5 of MLPerf Tiny's ResNet8"
        raise SystemExit(msg)
    row = accuracies(
        "ResNet8, CIFAR-10", results, "resnet8", str(options.resnet8.resolve()), str(options.model.resolve())
    )
    note = "Two passes over 20,000 training images, Adam 1e-5, batch 64, seed 0."
    return f"{table(TRAINED, [row])}\n\n{note}"


def fashion(results: Results, options: argparse.Namespace) -> str:
    """Train small networks with swish and squeeze-and-excitation on Fashion-MNIST."""
    folder = str(options.fashion.resolve())
    names = {
        "mobile": "hard-swish + squeeze-excite, Fashion-MNIST",
        "efficient": "swish + squeeze-excite, Fashion-MNIST",
    }
    return table(TRAINED, [accuracies(title, results, name, folder) for name, title in names.items()])


def sequence(results: Results, options: argparse.Namespace) -> str:
    """Train models of sequences."""
    folder = str(options.sequence.resolve())
    titles = {"conv1d": "Conv1D", "lstm": "LSTM", "gru": "GRU", "transformer": "transformer"}
    rows = [accuracies(f"{title}, JapaneseVowels", results, name, folder) for name, title in titles.items()]
    note = "\\* The converter cannot: rewritten by the rules of our QAT, calibrated, not trained (`--quantize int8`)."
    return f"{table(TRAINED, rows)}\n\n{note}"


def step_time(results: Results, options: argparse.Namespace) -> str:
    """Compare training steps and memory with those of the float model."""
    del options
    head = ("network", "native step / float", "tfmot step / float", "native memory / float", "tfmot memory / float")
    rows = []
    for name in ("resnet8", "mobilenetv2"):
        figures = results.of("benchmarks.qat_cost", name)
        if "error" in figures:
            rows.append([name, figures["error"], NONE, NONE, NONE])
            continue
        ratios = (figures[key] for key in ("native_step", "tfmot_step", "native_memory", "tfmot_memory"))
        rows.append([figures["title"], *(f"{ratio:.2f}" for ratio in ratios)])
    return table(head, rows)


def where() -> str:
    """Return one sentence on the machine and the versions."""
    names = ("tensorflow", "keras", "tensorflow-model-optimization", "ai-edge-litert")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}."


SHOWS: dict[str, Callable[[Results, argparse.Namespace], str]] = {
    "zoo": zoo,
    "layers": layers,
    "resnet8": resnet8,
    "fashion": fashion,
    "sequence": sequence,
    "step-time": step_time,
}


def update(text: str, show: str, part: str, topic: str = "native QAT") -> str:
    """Return *text* with what stands between the markers of *topic* and *show* replaced by *part*.

    Raises:
        ValueError: a marker is missing.
    """
    begin, end = f"<!-- {topic}: {show} -->", f"<!-- end of {topic}: {show} -->"
    if begin not in text or end not in text:
        msg = f"the file must hold the lines {begin} and {end}, got neither or only one"
        raise ValueError(msg)
    head, rest = text.split(begin, 1)
    return f"{head}{begin}\n{part}\n{end}{rest.split(end, 1)[1]}"


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for show, title in (("zoo", "networks"), ("layers", "single layers")):
        parser.add_argument(f"--{show}", action="store_true", help=f"measure {title}")
    parser.add_argument("--step-time", action="store_true", help="measure training steps and memory")
    parser.add_argument("--resnet8", type=Path, metavar="NPZ", help="fine-tune on CIFAR-10 in this file")
    parser.add_argument("--model", type=Path, help="the .h5 of ResNet8")
    parser.add_argument("--fashion", type=Path, metavar="FOLDER", help="train on Fashion-MNIST in this folder")
    parser.add_argument("--sequence", type=Path, metavar="FOLDER", help="train on JapaneseVowels in this folder")
    parser.add_argument("--only", action="append", help="of the networks or layers, this one; may be repeated")
    parser.add_argument("--results", type=Path, default=Path("native_qat.jsonl"), help="what was measured so far")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds that one process may take (default 1800)")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the tables between the markers of this file")
    return parser.parse_args(given)


def main() -> None:
    """Run what is asked for, then print the tables."""
    options = arguments()
    results = Results(options.results, options.limit)
    for show, measure in SHOWS.items():
        if not getattr(options, show.replace("-", "_")):
            continue
        part = f"{measure(results, options)}\n\n{where()}"
        print(f"{part}\n")
        if options.update:
            options.update.write_text(update(options.update.read_text(), show, part))


if __name__ == "__main__":
    main()
