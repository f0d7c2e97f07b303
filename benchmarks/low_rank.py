"""Measure what factors of low rank bring, and print a Markdown table.

    python -m benchmarks.low_rank --fashion FOLDER --cifar cifar10.npz --output FOLDER [--update docs/benchmarks.md]

A dense autoencoder of MLPerf Tiny's shape, on Fashion-MNIST, and a network of VGG's kind, on CIFAR-10, are trained in
float, taken apart, and trained for one epoch more. Every measurement runs in a process of its own; what was measured is
appended to a file of JSON lines (``--results``) and read from there when the command is given again. With ``--update``
the table replaces what stands between ``<!-- low rank: factors -->`` and ``<!-- end of low rank: factors -->``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.by_hand import processor
from benchmarks.native_qat import NONE, Results, percent, table, update

CHILD = "benchmarks.low_rank_child"


class Case(NamedTuple):
    """One line: a network, what is left of what, and how."""

    network: str
    target: float
    method: str = "auto"
    of: str = "macs"
    tuned: bool = True


CASES = (
    Case("autoencoder", 0.5),
    Case("autoencoder", 0.25),
    Case("autoencoder", 0.7, "auto", "latency"),
    Case("vgg", 0.5),
    *(Case("vgg", 0.5, method, tuned=False) for method in ("svd", "spatial", "tucker", "cp")),
)

FIGURES = {"autoencoder": "AUC", "vgg": "top-1"}

HEAD = (
    "network",
    "left at most",
    "by",
    "MACs",
    "weights",
    "float32 .tflite",
    "latency ratio",
    "whole",
    "at once",
    "at once, without samples",
    "after an epoch",
)


def rows(
    cases: Sequence[Case], given: Sequence[str], limits: dict[str, str], tests: int, results: Results
) -> list[list[str]]:
    """Return the lines of the table.

    Args:
        cases: what is measured.
        given: words for the child: the folder of Fashion-MNIST, CIFAR-10's file, and the folder of trained networks.
        limits: by network, how many samples an epoch has; ``0``: all.
        tests: how many test samples are looked at; 0: all.
        results: what is known, and what runs the children.
    """
    found = []
    for case in cases:
        limit = (limits[case.network] if limits[case.network] != "0" else "1000000000") if case.tuned else "0"
        words = ("factors", case.network, *given, f"{case.target:g}", case.method, case.of, limit, str(tests))
        found.append(line(case, results.of(CHILD, *words)))
    return found


def line(case: Case, figures: dict[str, Any]) -> list[str]:
    """Return one line of the table."""
    head = [case.network, f"{case.target:.0%} of the {case.of}", case.method]
    if "error" in figures:
        return [*head, f"failed: {figures['error']}", *[NONE] * 7]

    def pair(name: str) -> str:
        return f"{figures['after'][name]:,} / {figures['before'][name]:,}"

    def figure(key: str) -> str:
        return f"{FIGURES[case.network]} {percent(figures[key], 2)}" if key in figures else NONE

    ratio = f"{figures['ratio']:.2f}" if "ratio" in figures else NONE
    size = f"{figures['bytes']:,} B" if "bytes" in figures else NONE
    shown = [figure(key) for key in ("whole", "at once", "by weights", "tuned")]
    return [*head, pair("macs"), pair("parameters"), size, ratio, *shown]


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fashion", type=Path, required=True, help="folder of Fashion-MNIST's four idx files")
    parser.add_argument("--cifar", type=Path, required=True, help="CIFAR-10 as an .npz")
    parser.add_argument("--networks", nargs="+", choices=FIGURES, default=list(FIGURES), metavar="NAME")
    parser.add_argument("--epochs", type=int, default=6, help="of the float training (default 6)")
    parser.add_argument("--limit", type=int, default=0, help="train the convolutions on so many pictures (default all)")
    parser.add_argument("--tests", type=int, default=0, help="look at so many test samples (default all)")
    parser.add_argument("--output", type=Path, default=Path("low-rank-results"), help="folder for trained networks")
    parser.add_argument("--results", type=Path, default=Path("low-rank.jsonl"), help="where figures are kept")
    parser.add_argument("--time-limit", type=float, default=3600.0, metavar="SECONDS", help="for each process")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    return parser.parse_args()


def main() -> None:
    """Train, take apart, and print the table."""
    options = arguments()
    results = Results(options.results, options.time_limit)
    given = [str(path.resolve()) for path in (options.fashion, options.cifar, options.output)]
    limits = {name: str(options.limit if name == "vgg" else 0) for name in options.networks}
    for name, limit in limits.items():
        results.of(CHILD, "float", name, *given, str(options.epochs), limit)
    cases = [case for case in CASES if case.network in options.networks]
    signed = (
        f"{table(HEAD, rows(cases, given, limits, options.tests, results))}\n\n{processor()}, {os.cpu_count()} cores."
    )
    print(signed)
    if options.update:
        options.update.write_text(update(options.update.read_text(), "factors", signed, "low rank"))


if __name__ == "__main__":
    main()
