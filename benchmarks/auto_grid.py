"""Does ``tfcompress auto`` find what an exhaustive grid finds, and with how much less training?

``python -m benchmarks.auto_grid [--seeds 0 1 2] [--epochs 5] [-o FOLDER] [--update FILE]`` runs every recipe of a grid
in full on the demo's network, judged by the same part of the training split as the searches; then two searches, each
with its own cache and a quarter as many trials as the grid has recipes (nine at least: those by hand): of all that
``auto`` tries of itself (4 bits and low rank, say, which the grid does not have), and of the grid's own values. Printed
as a Markdown table: the hypervolumes within float's size and a drop of five points, and the seconds of training: of the
grid with each recipe by itself, and with what recipes share trained once; of the search, and until its hypervolume was
within 2 % of the grid's or above. What was run is kept in FOLDER and not run again, so that seeds may also be run by
several commands beside each other, and a last one for all prints the table. With ``--update`` the table replaces what
stands between the markers ``search: grid`` of a file.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tfcompress as tfc
from benchmarks.by_hand import processor
from benchmarks.native_qat import NONE, table, update
from tfcompress import demo
from tfcompress.errors import PromiseError, RecipeError
from tfcompress.search.automatic import FACTS_FILE
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
    "within 2 % after",
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

SEARCHES: dict[str, dict[str, Any]] = {
    "what auto tries": {},
    "the grid's values": {
        "values": {**VARIED, "channels.of": ("macs",), "prune.sparsity": (0.5,), "qat.weight_bits": (8,)},
        "without": ("blocks", "low_rank", "cluster"),
        "fixed": ("export.rounding", "export.weight_bits", "export.mixed"),
    },
}
"""What may be tried, by the words of the table: all that a search tries of itself, and only what the grid has."""

NEAR = 0.02
"""How much of the grid's hypervolume may be missing."""


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


def compared(folder: Path, seed: int, epochs: int) -> list[list[str]]:
    """Run the grid and both searches of a seed, and return their rows of the table."""
    train = dataclasses.replace(TRAINING, epochs=epochs, seed=seed, validation=VALIDATION)
    space = space_of(train=train, export=EXPORT, gains=("file", "download", "latency"))
    opening = opening_of(folder / f"grid-cache-{seed}")
    rows = run_grid(folder / f"grid-{seed}-{epochs}.jsonl", opening, grid_of(space, VARIED))
    shared = sum(row["trained_seconds"] for row in rows)
    each = {row["training"]: row["trained_seconds"] for row in rows if row["trained_seconds"]}
    whole = sum(each.get(row["training"], 0.0) for row in rows)
    found = []
    for name, wishes in SEARCHES.items():
        tried = searched(folder, f"{name.split()[-1]}-{seed}-{epochs}", train, max(9, len(rows) // 4), wishes)
        of_grid, of_auto = hypervolumes(rows, tried, WORST_DROP)
        trained = sum(record["trained_seconds"] for record in tried)
        after = reached_after(rows, tried, WORST_DROP)
        found.append(
            [
                str(seed),
                f"{len(rows)} recipes",
                f"{name}: {len(tried)} trials",
                f"{100 * of_auto / of_grid:.1f} %",
                f"{whole:.0f} s / {shared:.0f} s",
                f"{trained:.0f} s",
                f"{trained / whole:.2f} / {trained / shared:.2f}",
                NONE if after is None else f"{after:.0f} s: {after / whole:.2f} / {after / shared:.2f}",
            ]
        )
    return found


def searched(folder: Path, name: str, train: tfc.Train, trials: int, wishes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Search, or read what an earlier search wrote; return its records, in the order in which they were begun.

    Args:
        folder: of everything.
        name: of the search.
        train: how candidates are trained.
        trials: candidates at most.
        wishes: further arguments of :func:`tfcompress.auto`.
    """
    output = folder / f"auto-{name}"
    if not (output / FACTS_FILE).is_file():
        with contextlib.suppress(PromiseError):  # what was tried is written all the same
            tfc.auto(
                str(demo.MODEL_KERAS3),
                tfc.load_data(demo.DATA, preprocessing=tfc.Preprocessing(scale=1 / 255)),
                max_drop=WORST_DROP,
                trials=trials,
                train=train,
                cache=folder / f"auto-cache-{name}",
                output=output,
                **wishes,
            )
    tried: list[dict[str, Any]] = json.loads((output / FACTS_FILE).read_text("utf-8"))["tried"]
    return sorted(tried, key=operator.itemgetter("number"))


def reached_after(rows: Sequence[Mapping[str, Any]], tried: Sequence[Mapping[str, Any]], worst: float) -> float | None:
    """Return the seconds of training after which a search has the hypervolume of a grid but for 2 %; None: never.

    Args:
        rows: of the grid.
        tried: the search's records, in their order.
        worst: points beyond which a file counts for nothing.
    """
    for count in range(1, len(tried) + 1):
        of_grid, of_auto = hypervolumes(rows, tried[:count], worst)
        if of_auto >= (1 - NEAR) * of_grid:
            return float(sum(record["trained_seconds"] for record in tried[:count]))
    return None


def hypervolumes(
    rows: Sequence[Mapping[str, Any]], tried: Sequence[Mapping[str, Any]], worst: float
) -> tuple[float, float]:
    """Return the hypervolumes of a grid and of a search, in points of the drop times bytes.

    Args:
        rows: of the grid.
        tried: the search's records; those that were run in full count.
        worst: points beyond which a file counts for nothing; so does one larger than the grid's largest.
    """
    reference = (worst, float(max(row["size_bytes"] for row in rows if row["size_bytes"])))
    of_grid = hypervolume(points_of((row["points"], row["size_bytes"]) for row in rows), reference)
    finished = (each["figures"] for each in tried if each["state"] == "finished")
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
        rows += compared(given.output, seed, given.epochs)
        print("\n".join(" | ".join(row) for row in rows[-len(SEARCHES) :]), flush=True)
    shown = f"{table(HEAD, rows)}\n\n{given.epochs} epochs a training. {processor()}, {os.cpu_count()} cores."
    print(shown)
    if given.update:
        given.update.write_text(update(given.update.read_text(), "grid", shown, "search"))


if __name__ == "__main__":
    main()
