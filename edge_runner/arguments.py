"""The command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from edge_runner import runtimes
from edge_runner.accuracy import TASKS

EXAMPLES = """\
examples:
  python3 edge_runner model.tflite
      latency, memory and file facts of one model: a table on a terminal, JSON into a pipe
  python3 edge_runner float.tflite int8.tflite --data eval.npz -o edge.json
      two models in turns on the same inputs, with their accuracy and which is faster, into a file
  python3 edge_runner model.tflite --threads 1,2,4 --kernels default,no-delegate
      one model six ways, compared pair by pair
  python3 edge_runner model.tflite --seconds 60 --runs 1024
      the single-stream rule of MLPerf Mobile
  python3 edge_runner model.tflite --mode windows
      the rule of MLPerf Tiny: the median of five windows of ten seconds
  python3 edge_runner model.tflite --per-op --energy --throughput
      where the time goes, joules of one inference, and samples a second by batch and by parallel interpreters
  python3 edge_runner detector.tflite --shape image=1,320,320,3
      a model that takes images of any size, timed at one
  python3 edge_runner --doctor
      which interpreters work here, and what to install if none does

the data file holds x.NAME for each input by its name (or x for a single one) and y (or y.NAME for each output): class
numbers, or real values of the output's shape. numpy.savez writes it; tfcompress export writes it beside the model.

exit status: 0 every model was measured; 1 some model failed (the JSON says why); 2 the arguments are invalid;
3 no interpreter works here.
"""
KERNELS = ("default", "no-delegate", "reference")
SEVERAL_PROCESSES, ONE_PROCESS = 5, 3
"""Fresh processes a model when several are compared, and when one is measured alone."""


@dataclass(frozen=True)
class Options:
    """What was asked for; see ``--help`` for each."""

    models: tuple[Path, ...]
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    data: Path | None = None
    labels: Path | None = None
    task: str = "auto"
    limit: int | None = None
    outputs: Path | None = None
    predictions: bool = False
    runtime: str = "auto"
    threads: tuple[int, ...] = (1,)
    kernels: tuple[str, ...] = ("default",)
    affinity: tuple[int, ...] | None = None
    mode: str = "single-stream"
    runs: int = 100
    seconds: float = 3.0
    warmup: int = 10
    windows: int = 5
    processes: int = ONE_PROCESS
    rounds: int = 10
    apart: bool = False
    cool_seconds: float | None = None
    cool_celsius: float | None = None
    throughput: bool = False
    batches: tuple[int, ...] = (1, 2, 4, 8)
    parallel: tuple[int, ...] = (1, 2, 4)
    per_op: bool = False
    energy: bool = False
    power_command: str | None = None
    ina: str | None = None
    assume_watts: float | None = None
    timeout: float = 300.0
    seed: int = 0
    output: Path | None = None
    force: bool = False
    json: bool = False
    doctor: bool = False

    @property
    def interleaved(self) -> bool:
        """Whether models, or ways of running one, are timed in turns."""
        return len(self.models) * len(self.threads) * len(self.kernels) > 1 and not self.apart


_STDOUT = Path("-")
QUICK = {"runs": 10, "seconds": 0.3, "warmup": 2, "processes": 1}
WINDOW_SECONDS = 10.0
WARM_SECONDS = 0.2
"""Warm-up lasts at least so long, for the processor's frequency to rise."""


class _Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong, instead of showing all options."""

    def error(self, message: str) -> NoReturn:
        """End the process with status 2."""
        word = message.removeprefix("unrecognized arguments: ").split()[0]
        if message.startswith("unrecognized arguments: -"):
            import difflib
            import re

            near = difflib.get_close_matches(word, re.findall(r"--[a-z-]+", self.format_help()), 1)
            message = f"there is no option {word}" + (
                f"; did you mean {near[0]}?" if near else "; --help shows them all"
            )
        self.exit(2, f"{self.prog}: error: {message}\n")


def parse_arguments(arguments: Sequence[str]) -> Options:
    """Read the command line; a mistake ends the process with status 2 and one line."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    defaults: dict[str, object] = dict(QUICK) if given.pop("quick") else {}
    given["json"] = given["output"] is not None
    given["output"] = None if given["output"] == _STDOUT else given["output"]
    if given.pop("reference_kernels"):
        defaults = {**defaults, "kernels": ("reference",)}
    if given["mode"] == "windows":
        defaults = {"seconds": WINDOW_SECONDS, "processes": 1, **defaults}
    given.update({key: value for key, value in defaults.items() if given[key] is None})
    given = {key: value for key, value in given.items() if value is not None}
    options = Options(**{**given, "models": tuple(given["models"]), "shapes": tuple(given.get("shapes", ()))})
    if options.power_command or options.ina or options.assume_watts:
        options = replace(options, energy=True)
    if "processes" not in given and options.interleaved:
        options = replace(options, processes=SEVERAL_PROCESSES)
    problem = _problem(options)
    if problem:
        parser.error(problem)
    return options


def _problem(options: Options) -> str | None:
    """Return what is wrong with *options*, or None."""
    if not options.models and not options.doctor:
        return "give at least one .tflite file, or --doctor"
    if options.outputs and not options.data:
        return "--outputs needs --data: there is nothing to run otherwise"
    if options.labels and not options.data:
        return "--labels needs --data: the samples that they belong to"
    if options.shapes and options.data:
        return "--shape is for made-up inputs: with --data, the samples have their own shape"
    names = [name for name, _ in options.shapes]
    if len(set(names)) < len(names):
        return f"--shape gives {', '.join(repr(n or 'the input') for n in names if names.count(n) > 1)} several times"
    if sum(given is not None for given in (options.assume_watts, options.power_command, options.ina)) > 1:
        return "give one of --assume-watts, --power-command and --ina: an assumption is no measurement"
    return _lacking(options)


def _lacking(options: Options) -> str | None:
    """Return what *options* name and this machine has not, or None."""
    from edge_runner import destinations

    for path in (options.data, options.labels):
        if path and not path.is_file():
            return f"no such data file: {str(path)!r}"
        if path and not os.access(path, os.R_OK):
            return f"no permission to read the data file {str(path)!r}"
    cores = os.cpu_count() or 1
    if options.affinity and options.affinity[-1] >= cores:
        return f"--affinity: there is no core {options.affinity[-1]}; they are 0 to {cores - 1}"
    return destinations.problem(options)


def _parser() -> _Parser:
    parser = _Parser(
        prog="edge_runner",
        description="Measure TFLite models on this machine: latency, memory, accuracy, energy. A table is "
        "shown, and all of it comes out as JSON.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "models", nargs="*", type=Path, metavar="MODEL.tflite", help="the files to measure; timed in turns, up to eight"
    )
    add(
        "-o",
        "--json",
        dest="output",
        nargs="?",
        const=_STDOUT,
        type=Path,
        metavar="FILE",
        help="write the JSON here, or (-) to standard output though that is a terminal; with --doctor, print JSON",
    )
    add("--force", action="store_true", help="let -o and --outputs replace files that edge_runner did not write")
    add("--doctor", action="store_true", help="say which interpreters work here and what to install; measure nothing")
    _timing(parser.add_argument_group("timing"))
    _also(parser.add_argument_group("also measured, when asked for"))
    _accuracy(parser.add_argument_group("accuracy"))
    _interpreter(parser.add_argument_group("interpreter"))
    return parser


def _timing(group: argparse._ArgumentGroup) -> None:
    add, default = group.add_argument, Options(())
    add("--mode", choices=["single-stream", "windows"], help="one query after the other (default), or MLPerf Tiny's")
    add("--runs", type=_count, help=f"time at least so many inferences (default {default.runs})")
    add(
        "--seconds",
        type=_seconds,
        help=f"and at least so long, both; 100,000 durations are kept at most (default {default.seconds:g}); "
        f"in windows mode, of each window (default {WINDOW_SECONDS:g})",
    )
    add("--windows", type=_count, help=f"how many, in windows mode (default {default.windows})")
    add("--warmup", type=_count0, metavar="RUNS", help=f"untimed inferences before (default {default.warmup})")
    add(
        "--processes",
        type=_count,
        metavar="K",
        help="spread the runs over K fresh processes: where memory lies differs from one to the next, and so does "
        f"speed (default {SEVERAL_PROCESSES} to compare, {ONE_PROCESS} for one model, 1 in windows mode)",
    )
    add("--rounds", type=_count, help=f"turns there and back in each process (default {default.rounds})")
    add(
        "--quick",
        action="store_true",
        help="a first look: {runs} runs, {seconds} s, {warmup} to warm up, {processes} process".format(**QUICK),
    )
    add("--apart", action="store_true", help="time one model after the other: less memory, but no comparison")
    add("--cool-down", dest="cool_seconds", type=_seconds, metavar="SECONDS", help="rest so long before each process")
    add(
        "--cool-to",
        dest="cool_celsius",
        type=_celsius,
        metavar="°C",
        help="rest until the hottest sensor says so, at most 300 s, or --cool-down's",
    )
    add(
        "--shape",
        dest="shapes",
        action="append",
        type=_shape,
        metavar="NAME=N,…",
        help="shape of an input whose extents the file leaves open, batch first, as image=1,224,224,3; without NAME= "
        "where there is one input; again for each input",
    )
    add("--timeout", type=_seconds, metavar="SECONDS", help="give a silent model up after so long (default 300)")
    add("--seed", type=_count0, help="of made-up inputs and of the order of turns (default 0)")


def _also(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--per-op", action="store_true", help="time of each node, each cut out and run alone")
    add("--throughput", action="store_true", help="samples a second, by batch and by parallel interpreters")
    add("--batches", type=_counts, metavar="N,…", help="batch sizes to try (default 1,2,4,8)")
    add("--parallel", type=_counts, metavar="N,…", help="numbers of interpreters at once to try (default 1,2,4)")
    add("--energy", action="store_true", help="joules of one inference above idle, from whatever measures power here")
    add("--power-command", metavar="COMMAND", help="a program that prints watts, for --energy; its last number counts")
    add("--ina", type=_ina, metavar="CHIP@BUS:ADDRESS[:OHM]", help="an INA219, INA226 or INA260 on the I²C bus")
    add("--assume-watts", type=_seconds, metavar="W", help="no sensor: assume so much above idle; marked as assumed")


def _accuracy(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--data", type=Path, metavar="FILE", help="samples and labels in one .npz, or samples in an .npy")
    add("--labels", type=Path, metavar="FILE.npy", help="labels, when --data is an .npy")
    add(
        "--task",
        choices=TASKS,
        help="what the labels mean (default: what the data says, else what their shape suggests)",
    )
    add("--limit", type=_count, metavar="N", help="score only the first N samples")
    add("--predictions", action="store_true", help="keep each sample's predicted class in the JSON")
    add("--outputs", type=Path, metavar="FILE.npz", help="write each output as stored, MODEL'S NUMBER.NAME by sample")


def _interpreter(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--runtime", choices=["auto", *runtimes.ORDER], help="which interpreter (default: the first that works)")
    add("--threads", type=_counts, metavar="N,…", help="of the kernels; several are compared (default 1)")
    add(
        "--kernels",
        type=_kernels,
        metavar="NAME,…",
        help="default (with XNNPACK where the runtime has it), no-delegate, or reference; several are compared",
    )
    add("--reference-kernels", action="store_true", help="--kernels reference: slow, the same everywhere")
    add("--affinity", type=_cores, metavar="CORE,…", help="bind the models to these cores, numbered from 0")


def _count(text: str) -> int:
    return _bounded(text, 1)


def _count0(text: str) -> int:
    return _bounded(text, 0)


def _bounded(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        msg = f"must be a whole number of at least {least}, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(_count(part.strip()) for part in text.split(",")))


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, extents = text.rpartition("=")
    return name, tuple(_count(part.strip()) for part in extents.split(","))


def _cores(text: str) -> tuple[int, ...]:
    return tuple(sorted({_count0(part.strip()) for part in text.split(",")}))


def _kernels(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in KERNELS:
            msg = f"must be of {', '.join(KERNELS)}, got {name!r}"
            raise argparse.ArgumentTypeError(msg)
    return names


def _number(text: str, allowed: Callable[[float], bool], what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not allowed(value):
        msg = f"must be {what}, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return value


def _seconds(text: str) -> float:
    return _number(text, lambda value: 0 < value < 1e6, "a number above 0")


def _ina(text: str) -> str:
    from edge_runner import ina

    try:
        ina.wiring(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _celsius(text: str) -> float:
    return _number(text, lambda value: -50 < value < 150, "a temperature in °C")
