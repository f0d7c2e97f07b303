"""Does ``tfcompress auto`` find what an exhaustive grid finds, and with how much less training?

``python -m benchmarks.auto_grid [--seeds 0 1 2] [--epochs 5] [-o FOLDER] [--update FILE]`` runs every recipe of a grid
in full on the demo's network, judged by the same part of the training split as the search; then the search, with its
own cache and a quarter as many trials as the grid has recipes (nine at least: those by hand). Printed as a Markdown
table: the hypervolumes within float's size and a drop of five points, and the seconds of training: of the grid with
each recipe by itself, and with what recipes share trained once. What was run is kept in FOLDER and not run again, so
that seeds may also be run by several commands beside each other, and a last one for all prints the table. With
``--update`` the table replaces what stands between the markers ``search: grid`` of a file.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tfcompress as tfc
from benchmarks.by_hand import processor
from benchmarks.native_qat import NONE, table, update
from tfcompress import demo
from tfcompress.errors import PromiseError, RecipeError
from tfcompress.search.front import hypervolume
from tfcompress.search.space import Candidate, Space, space_of
from tfcompress.search.trial import Opening, TrialBench, TrialStep
from tfcompress.search.wishes import EXPORT, TRAINING, VALIDATION

WORST_DROP = 5.0
"""Points beyond which a file counts for nothing."""

HEAD = (
    "seed",
    "grid",
    "search",
    "hypervolume of the grid's",
    "trained for the grid, each recipe by itself / what is shared once",
    "trained for the search",
    "ratio",
)

VARIED = {
    "channels": (False, True),
    "channels.remove": (0.25, 0.5),
    "prune": (False, True),
    "distill": (False, True),
    "qat": (False, True),
    "train.learning_rate": (3e-4, 1e-3),
    "export.quantize": ("none", "float16", "dynamic", "int8"),
}
"""What the grid varies; every combination that makes sense is run."""


def grid_of(space: Space, varied: Mapping[str, Sequence[Any]]) -> list[Candidate]:
    """Return every candidate of a grid, once.

    Args:
        space: of the candidates.
        varied: values by name of the dimension.
    """
    found: dict[Candidate, None] = {}
    for values in itertools.product(*varied.values()):
        selection = dict(zip(varied, values, strict=True))
        try:
            candidate = space.candidate(selection)
        except RecipeError:
            continue
        scheme = any(stage.numbers for stage in candidate.recipe.stages)
        if not scheme or candidate.recipe.export.quantize == "int8":
            found[candidate] = None
    return list(found)


def run_grid(file: Path, opening: Opening, candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Run candidates in full, or read what was run before.

    Args:
        file: gets a line a candidate, in their order.
        opening: their model and data.
        candidates: what is run.
    """
    done = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.is_file() else []
    print(f"grid of {len(candidates)} recipes, {len(done)} there already", flush=True)
    with TrialBench(opening) as bench, file.open("a", encoding="utf-8") as out:
        for candidate in candidates[len(done) :]:
            result = bench.run(TrialStep(candidate=candidate, kind="full"))
            training = repr((candidate.recipe.stages, candidate.recipe.train))
            row = {"name": candidate.name, "training": training, **result.to_dict()}
            out.write(json.dumps(row) + "\n")
            out.flush()
            done.append(row)
            print(
                f"  {candidate.name}: {result.points} points, {result.size_bytes} B, {result.seconds:.0f} s", flush=True
            )
    return done


def opening_of(cache: Path) -> Opening:
    """Return the demo's network and data."""
    steps = {"scale": 1 / 255, "mean": (), "std": (), "function": ""}
    data = {"spec": str(demo.DATA), "preprocessing": steps}
    return Opening(model=str(demo.MODEL_KERAS3), data=data, loading={}, kept=str(cache))


def points_of(rows: Iterator[tuple[float | None, float | None]]) -> list[tuple[float, float]]:
    """Return the known points of drops and bytes."""
    return [(drop, size) for drop, size in rows if drop is not None and size is not None]


def compared(folder: Path, seed: int, epochs: int) -> list[str]:
    """Run grid and search of a seed, and return its row of the table."""
    train = dataclasses.replace(TRAINING, epochs=epochs, seed=seed, validation=VALIDATION)
    space = space_of(train=train, export=EXPORT, gains=("file", "download", "latency"))
    opening = opening_of(folder / f"grid-cache-{seed}")
    rows = run_grid(folder / f"grid-{seed}-{epochs}.jsonl", opening, grid_of(space, VARIED))
    shared = sum(row["trained_seconds"] for row in rows)
    each = {row["training"]: row["trained_seconds"] for row in rows if row["trained_seconds"]}
    whole = sum(each.get(row["training"], 0.0) for row in rows)
    trials = max(9, len(rows) // 4)
    try:
        found = tfc.auto(
            str(demo.MODEL_KERAS3),
            tfc.load_data(demo.DATA, preprocessing=tfc.Preprocessing(scale=1 / 255)),
            max_drop=WORST_DROP,
            trials=trials,
            train=train,
            cache=folder / f"auto-cache-{seed}-{epochs}",
            output=folder / f"auto-{seed}-{epochs}",
            force=True,
        ).facts
    except PromiseError as error:
        return [str(seed), f"{len(rows)} recipes", str(error), *[NONE] * (len(HEAD) - 3)]
    of_grid, of_auto = hypervolumes(rows, found.tried, WORST_DROP)
    return [
        str(seed),
        f"{len(rows)} recipes",
        f"{len(found.tried)} trials",
        f"{100 * of_auto / of_grid:.1f} %",
        f"{whole:.0f} s / {shared:.0f} s",
        f"{found.trained_seconds:.0f} s",
        f"{found.trained_seconds / whole:.2f} / {found.trained_seconds / shared:.2f}",
    ]


def hypervolumes(rows: Sequence[Mapping[str, Any]], tried: Sequence[Any], worst: float) -> tuple[float, float]:
    """Return the hypervolumes of a grid and of a search, in points of the drop times bytes.

    Args:
        rows: of the grid.
        tried: the search's records; those that were run in full count.
        worst: points beyond which a file counts for nothing; so does one larger than the grid's largest.
    """
    reference = (worst, float(max(row["size_bytes"] for row in rows if row["size_bytes"])))
    of_grid = hypervolume(points_of((row["points"], row["size_bytes"]) for row in rows), reference)
    finished = (each.figures for each in tried if each.state == "finished")
    return of_grid, hypervolume(points_of((each.get("drop"), each.get("size")) for each in finished), reference)


def main() -> None:
    """Read the command line and run every seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=Path("auto-grid"))
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in given.seeds:
        kept = given.output / f"row-{seed}-{given.epochs}.json"
        if not kept.is_file():
            kept.write_text(json.dumps(compared(given.output, seed, given.epochs)), encoding="utf-8")
        rows.append(json.loads(kept.read_text("utf-8")))
        print(" | ".join(rows[-1]), flush=True)
    shown = f"{table(HEAD, rows)}\n\n{given.epochs} epochs a training. {processor()}, {os.cpu_count()} cores."
    print(shown)
    if given.update:
        given.update.write_text(update(given.update.read_text(), "grid", shown, "search"))


if __name__ == "__main__":
    main()
