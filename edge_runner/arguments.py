"""The command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runner import runtimes

EXAMPLES = """\
examples:
  python3 edge_runner model.tflite
      latency, memory and file facts of one model; JSON on standard output
  python3 edge_runner float.tflite int8.tflite --data eval.npz -o edge.json
      two models in turns on the same inputs, with their accuracy, into a file
  python3 edge_runner model.tflite --seconds 60 --runs 1024 --threads 4
      the single-stream rule of MLPerf Mobile, on four threads
  python3 edge_runner --doctor
      which interpreters work here, and what to install if none does

the data file holds x.NAME for each input by its name (or x for a single one) and y (or y.NAME for each output): class
numbers, or real values of the output's shape. numpy.savez writes it; tfcompress export writes it beside the model.

exit status: 0 every model was measured; 1 some model failed (the JSON says why); 2 the arguments cannot be meant;
3 no interpreter works here.
"""


@dataclass(frozen=True)
class Options:
    """What was asked for; see ``--help`` for each."""

    models: tuple[Path, ...]
    data: Path | None = None
    limit: int | None = None
    outputs: Path | None = None
    predictions: bool = False
    runtime: str = "auto"
    threads: int = 1
    reference_kernels: bool = False
    runs: int = 100
    seconds: float = 3.0
    warmup: int = 10
    apart: bool = False
    timeout: float = 300.0
    seed: int = 0
    output: Path | None = None
    doctor: bool = False


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; a mistake ends the process with status 2 and one line."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    if given.pop("quick"):
        given.update({key: value for key, value in QUICK.items() if given[key] is None})
    given = {key: value for key, value in given.items() if value is not None}
    options = Options(**{**given, "models": tuple(given["models"])})
    if not options.models and not options.doctor:
        parser.error("give at least one .tflite file, or --doctor")
    if options.outputs and not options.data:
        parser.error("--outputs needs --data: there is nothing to run otherwise")
    for path in (options.output, options.outputs):
        if path and not path.parent.is_dir():
            parser.error(f"{str(path.parent)!r} is no folder to write {path.name!r} into")
    if options.data and not options.data.is_file():
        parser.error(f"no such data file: {str(options.data)!r}")
    return options


QUICK = {"runs": 10, "seconds": 0.3, "warmup": 2}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge_runner",
        description="Measure TFLite models on this machine: latency, memory, accuracy. One JSON document comes out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    default = Options(())
    add = parser.add_argument
    add(
        "models", nargs="*", type=Path, metavar="MODEL.tflite", help="the files to measure; timed in turns, up to eight"
    )
    add("-o", "--json", dest="output", type=Path, metavar="FILE", help="write the JSON here, not to standard output")
    add("--doctor", action="store_true", help="say which interpreters work here and what to install; measure nothing")
    group = parser.add_argument_group("timing")
    add = group.add_argument
    add("--runs", type=_count, help=f"time at least so many inferences (default {default.runs})")
    add(
        "--seconds",
        type=_seconds,
        help=f"and at least so long, both; at most 100,000 runs (default {default.seconds:g})",
    )
    add("--warmup", type=_count0, metavar="RUNS", help=f"untimed inferences before (default {default.warmup})")
    add(
        "--quick",
        action="store_true",
        help="a first look: {runs} runs, {seconds} s, {warmup} to warm up".format(**QUICK),
    )
    add("--apart", action="store_true", help="time one model after the other: less memory, but a worse comparison")
    add("--timeout", type=_seconds, metavar="SECONDS", help="give a silent model up after so long (default 300)")
    add("--seed", type=_count0, help="of made-up inputs and of the order of turns (default 0)")
    group = parser.add_argument_group("accuracy")
    add = group.add_argument
    add("--data", type=Path, metavar="FILE.npz", help="samples and labels")
    add("--limit", type=_count, metavar="N", help="score only the first N samples")
    add("--predictions", action="store_true", help="keep each sample's predicted class in the JSON")
    add("--outputs", type=Path, metavar="FILE.npz", help="write each output as stored, MODEL'S NUMBER.NAME by sample")
    group = parser.add_argument_group("interpreter")
    add = group.add_argument
    add("--runtime", choices=["auto", *runtimes.ORDER], help="which interpreter (default: the first that works)")
    add("--threads", type=_count, help=f"of the kernels (default {default.threads})")
    add(
        "--reference-kernels", action="store_true", help="the plain kernels, without XNNPACK: slow, the same everywhere"
    )
    return parser


def _count(text: str) -> int:
    return _bounded(text, 1)


def _count0(text: str) -> int:
    return _bounded(text, 0)


def _bounded(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        msg = f"must be a whole number of at least {least}, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        msg = f"must be a number of seconds above 0, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return value
