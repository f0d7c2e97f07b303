"""Why a limit on what may be lost was not kept, and what to try: sentences for the one line that a failure ends in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfcompress.errors import TfcompressError
from tfcompress.export_choices import AUTO
from tfcompress.recipe import STAGES, Export, Recipe
from tfcompress.reports.rungs import RungRecord
from tfcompress.stages.flags import asking

if TYPE_CHECKING:
    from tfcompress.models.loading import Loaded
    from tfcompress.reports.debug_facts import DebugFacts
    from tfcompress.workbench import Result, Workbench

SAMPLES = 64
"""Samples on which the layers of a file are compared with the model's."""
NAMED = 3
"""Layers that are named, those that lose most first."""
LEAST_LOSS_DB = 3.0
"""A layer that loses less, half of the signal's power against the error, is not named."""
MOST_SAMPLES = 10_000_000
"""More test samples than this are called too many."""

FINER = {"int8": ("int16x8", "float16"), "int16x8": ("float16",), "dynamic": ("float16",), "float16": ("none",)}
"""Numbers that lose less, by those that were asked for."""


def binding(bench: Workbench, recipe: Recipe, best: RungRecord, result: Result) -> Iterator[str]:
    """Say what kept the best file from being proven: too few test samples, what it loses, and where.

    Args:
        bench: the model and its data.
        recipe: what was asked.
        best: what the best rung lost.
        result: its file.
    """
    limit = recipe.export.max_drop or 0.0
    points, high = best.points or 0.0, best.high or 0.0
    if points < limit:
        needed = samples_needed(best.samples, points, high, limit)
        enough = f"about {needed:,} would prove it" if needed <= MOST_SAMPLES else "no number in reach would prove it"
        within = f"{points:.2f} is within the limit, its interval on {best.samples:,} is not"
        yield f"too few test samples: {within}; {enough}"
    else:
        yield f"the drop itself, {points - limit:.2f} beyond the limit on the test samples"
    found = losing_layers(bench, recipe, result)
    if found:
        yield f"layers that lose most: {found}"


def samples_needed(samples: int, points: float, high: float, limit: float) -> int:
    """Return on how many samples the same drop would be proven: the interval shrinks by the root of their number.

    Args:
        samples: on which it was measured.
        points: the drop, below *limit*.
        high: the upper end of its interval, above *limit*.
        limit: in points.
    """
    needed = samples * ((high - points) / (limit - points)) ** 2
    return rounded_up(min(needed, 2.0 * MOST_SAMPLES))


def rounded_up(number: float) -> int:
    """Return the next whole number, where what is one but for an error of arithmetic counts as one."""
    return math.ceil(round(number, 6))


def losing_layers(bench: Workbench, recipe: Recipe, result: Result) -> str:
    """Name the layers in which a file loses most of the float model's signal, with the loss; empty: none is known.

    Nothing is known of a file that was trained for its numbers (there is no float model that it should be like), and of
    models without layers.
    """
    model = None if result.report.training else bench.loaded.keras3
    data = bench.data(recipe.train)
    if model is None or data is None or result.report.result.quantize == "none":
        return ""
    from tfcompress.diagnosis.debugging import DebugSubject, debug_file
    from tfcompress.models.precision import in_float32

    inputs = data.representative(SAMPLES, 0)
    try:
        facts = debug_file(DebugSubject(result.tflite.content, in_float32(model)[0], inputs), bench.progress)
    except TfcompressError:
        return ""  # the failure that is being told is another one
    return listed_losses(facts)


def listed_losses(facts: DebugFacts) -> str:
    """Return the layers that lose most, worst first: ``conv_3 (12 dB), stem (5 dB)``."""
    lost: dict[str, float] = {}
    for row in facts.rows:
        if row.layer and row.loss_db is not None and row.loss_db >= LEAST_LOSS_DB:
            lost[row.layer] = max(row.loss_db, lost.get(row.layer, 0.0))
    worst = sorted(lost, key=lambda layer: -lost[layer])[:NAMED]
    return ", ".join(f"{layer} ({lost[layer]:.0f} dB)" for layer in worst)


def remedies(recipe: Recipe, best: RungRecord | None, loaded: Loaded) -> list[str]:
    """Return what may help, in a few words each, the likeliest first.

    Args:
        recipe: what was asked.
        best: the best that was tried; None: no file came of anything.
        loaded: the model; where it holds no Keras layers, the Keras model behind it allows more.
    """
    found, limit = [], recipe.export.max_drop or 0.0
    if best is not None and (best.points or 0.0) < limit:
        found.append("more test samples")
    chosen = recipe.export.calibration != AUTO or recipe.export.correct or recipe.export.rounding != Export.rounding
    if chosen and recipe.export.quantize == "int8":
        found.append("--calibration, --correct and --rounding left open")
    allowed = bool(recipe.stages) or recipe.train.if_needed
    if not loaded.has_layers:
        found.append("the Keras model that it was made from")
    elif not allowed and any(kind.training_for(recipe.export) for kind in STAGES.values()):
        found.append("--epochs N, which allows training")
    elif allowed:
        found.append(f"more than {recipe.train.epochs} epochs (--epochs), or another --learning-rate")
    if recipe.export.weight_bits != Export.weight_bits:
        found.append("--weight-bits 8")
    elif not _fixed(recipe):
        found += [f"--quantize {name}" for name in FINER.get(recipe.export.quantize, ())]
    found += [f"less of {asking(type(stage)).name}" for stage in recipe.stages if not stage.numbers]
    if best is not None:
        found.append(f"--max-drop {rounded_up(100 * (best.high or limit)) / 100:g}, which {best.name} keeps")
    return found


def _fixed(recipe: Recipe) -> bool:
    """Say whether a stage says which numbers the file holds."""
    return any(stage.numbers for stage in recipe.stages)
