"""Does ``tfcompress auto --architecture`` find better layouts of a network than channels that are removed by share?

    python -m benchmarks.auto_architecture MODEL DATA [--scale 1/255] [--samples 10000] [--epochs 3] [--trials 16]
        [-o FOLDER] [--update FILE]

Channels at every share, target and way of training that the search itself knows, run in full, beside a search that may
also choose widths by group, leave blocks out and cut kernels, and may do nothing else; both make plain int8 files and
are judged by the same part of the training split. What was run is kept in FOLDER and not run again. With ``--update``
the table replaces what stands between the markers ``search: architecture`` of a file.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import tfcompress as tfc
from benchmarks.auto_grid import grid_of, hypervolumes, run_grid
from benchmarks.by_hand import processor
from benchmarks.native_qat import table, update
from tfcompress.reports import wording
from tfcompress.search.space import space_of
from tfcompress.search.trial import Opening
from tfcompress.search.wishes import TRAINING, VALIDATION
from tfcompress.stages.stage_table import STAGES

WORST_DROP = 10.0
"""Points beyond which a file counts for nothing."""

LAYOUT = ("channels", "blocks", "layout", "distill")
"""Stages that the search may use."""

HEAD = ("what", "candidates", "hypervolume", "trained", "smallest within 1, 2 and 5 points")
LIMITS = (1.0, 2.0, 5.0)


def main() -> None:
    """Read the command line and run both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a network with several blocks")
    parser.add_argument("data", help="its data")
    parser.add_argument("--scale", default="1")
    parser.add_argument("--samples", type=int, default=10_000, help="that are trained on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("-o", "--output", type=Path, default=Path("auto-architecture"))
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    kept = given.output / "rows.json"
    if not kept.is_file():
        kept.write_text(json.dumps(compared(given)), encoding="utf-8")
    about = (
        f"{Path(given.model).name}, {given.samples:,} training samples, {given.epochs} epochs a training; a "
        f"hypervolume is that of what loses at most {WORST_DROP:.0f} points. {processor()}, {os.cpu_count()} cores."
    )
    shown = f"{table(HEAD, json.loads(kept.read_text('utf-8')))}\n\n{about}"
    print(shown)
    if given.update:
        given.update.write_text(update(given.update.read_text(), "architecture", shown, "search"))


def compared(given: argparse.Namespace) -> list[list[str]]:
    """Run channels by share and the search; return the rows of the table."""
    train = dataclasses.replace(TRAINING, epochs=given.epochs, limit=given.samples, validation=VALIDATION)
    export = tfc.Export(quantize="int8")
    scale = float(Fraction(given.scale))
    steps = {"scale": scale, "mean": (), "std": (), "function": ""}
    opening = Opening(
        model=given.model,
        data={"spec": given.data, "preprocessing": steps},
        loading={},
        kept=str(given.output / "grid-cache"),
    )
    fixed = ("export.quantize", "export.rounding", "export.weight_bits", "export.mixed", "train.learning_rate")
    space = space_of(train=train, export=export, fixed=fixed)
    names = ("channels", "distill", "channels.remove", "channels.of")
    varied = {each.name: each.values for each in space.dimensions if each.name in names}
    rows = run_grid(given.output / "grid.jsonl", opening, grid_of(space, varied))
    found = tfc.auto(
        given.model,
        tfc.load_data(given.data, preprocessing=tfc.Preprocessing(scale=scale)),
        max_drop=WORST_DROP,
        trials=given.trials,
        train=train,
        export=export,
        fixed=fixed,
        without=[name for name in STAGES if name not in LAYOUT],
        architecture=True,
        cache=given.output / "auto-cache",
        output=given.output / "auto",
        force=True,
    ).facts
    of_grid, of_auto = hypervolumes(rows, found.to_dict()["tried"], WORST_DROP)
    by_share = [(row["points"], row["size_bytes"]) for row in rows if row["points"] is not None]
    by_search = [(each.figures["drop"], each.figures["size"]) for each in found.tried if each.state == "finished"]
    trained = sum(row["trained_seconds"] for row in rows)
    return [
        ["channels by share", str(len(rows)), "100.0 %", wording.seconds(trained), smallest(by_share)],
        [
            "--architecture",
            str(len(found.tried)),
            f"{100 * of_auto / of_grid:.1f} %",
            wording.seconds(found.trained_seconds),
            smallest(by_search),
        ],
    ]


def smallest(points: list[tuple[Any, Any]]) -> str:
    """Return the smallest file within each of the limits, given drops and bytes."""
    sizes = [min((size for drop, size in points if drop <= limit), default=None) for limit in LIMITS]
    return ", ".join("none" if size is None else wording.size(size) for size in sizes)


if __name__ == "__main__":
    main()
