"""``tfcompress sensitivity``: how much accuracy each group of channels carries."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfcompress.cli.options import DATA_FLAGS, data_options, loading_options, new_file, open_data
from tfcompress.errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    from tfcompress.channels.groups import Group
    from tfcompress.channels.sensitivity import Sensitivity
    from tfcompress.data.dataset import BoundData
    from tfcompress.evaluate.scoring import HeldSamples
    from tfcompress.models.loading import Loaded
    from tfcompress.models.samples import Samples
    from tfcompress.progress import Progress
    from tfcompress.reports.sensitivity_page import SensitivityAnalysis
    from tfcompress.tasks.score import Score

CRITERIA = ("l1", "l2", "bn_gamma", "taylor", "activation")


HELP = """\
Measure what MODEL (.h5, .keras) loses when channels are removed from one group at a time, and plot it.

\b
  tfcompress sensitivity model.h5 --data data.npz --scale 1/255
  tfcompress sensitivity model.keras --data data.npz --criterion taylor -o sensitivity.svg

Channels that can only be removed together are a group, named by the first layer that makes them. Nothing is
trained: the page shows where there is room before any training, and what --spare would allow.
"""


_SUFFIXES = (".html", ".htm", ".svg")


class _Command(click.Command):
    """A command that knows the name which one of its options once had."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse that name, with the one of today."""
        if any(word.partition("=")[0] == "--max-drop" for word in args):
            msg = "--max-drop of sensitivity is called --spare now, as that of --channels; write --spare POINTS"
            raise UsageError(msg)
        return super().parse_args(ctx, args)


@click.command("sensitivity", cls=_Command, help=HELP, short_help="Show which channels a model can spare.")
@click.argument("model", metavar="MODEL")
@data_options
@loading_options
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Where to write the page; a name that ends in .svg: the chart alone, as an image.  "
    "[default: MODEL-sensitivity.html]",
)
@click.option(
    "--criterion",
    type=click.Choice(CRITERIA),
    default="l2",
    show_default=True,
    help="What decides which channels of a group go first.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Score on this many samples, drawn with --seed.",
)
@click.option(
    "--split",
    type=click.Choice(("train", "val", "test")),
    help="Where they come from.  [default: val, else train, else test]",
)
@click.option(
    "--spare",
    type=click.FloatRange(min=0.0),
    default=1.0,
    show_default=True,
    help="Percentage points (hundredths of an area) that a group may cost; drawn as a line.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the samples.")
@click.option(
    "--cache",
    metavar="FOLDER",
    help="Where measured points are kept for later runs to reuse.  [default: ~/.cache/tfcompress/sensitivity]",
)
@click.option("-f", "--force", is_flag=True, help="Replace an existing file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: str, output: str | None, force: bool, as_json: bool, **flags: Any) -> None:
    if flags["data"] is None:
        msg = "sensitivity needs data to score on: give --data"
        raise UsageError(msg)
    target = new_file(output or f"{Path(model).stem}-sensitivity.html", _SUFFIXES, "a page or its chart", force=force)
    from tfcompress.cli.terminal import terminal

    with terminal() as screen:
        found = analysis(Path(model), flags, screen.progress)
        from tfcompress.files import write_atomic
        from tfcompress.reports.sensitivity_page import column_titles, group_rows, to_page, to_svg

        write_atomic(target, (to_svg if target.suffix.lower() == ".svg" else to_page)(found))
        if as_json:
            screen.write(json.dumps({"page": str(target), **dataclasses.asdict(found)}, indent=1) + "\n")
            return
        from rich.table import Table

        table = Table(*column_titles(found), box=None, header_style="dim")
        for row in group_rows(found):
            table.add_row(*row)
        screen.out.print(table)
        screen.out.print(f"written: {target}", markup=False, soft_wrap=True)


def analysis(path: Path, flags: Mapping[str, Any], progress: Progress) -> SensitivityAnalysis:
    """Load model and data, measure, and put together what the page shows.

    Raises:
        UsageError: a split that the data does not have.
        DataError: data that cannot be read.
        UnsupportedError: a model without a graph of layers, or one of which nothing can shrink.
    """
    from tfcompress.channels.cost import CostModel
    from tfcompress.evaluate.scoring import HeldSamples
    from tfcompress.reports.sensitivity_page import ScoreCurve, SensitivityAnalysis
    from tfcompress.tasks.figures import AREA, FRACTION, figure_kind

    loaded = _loaded(path, flags, progress)
    model = loaded.keras3
    if model is None:
        msg = f"model {str(path)!r}: {loaded.refusal}"
        raise UnsupportedError(msg)
    bound = open_data(**{name: flags[name] for name in DATA_FLAGS}).bind(loaded.signature, holdout=None)
    split = _split(bound, flags["split"])
    samples = _samples(bound, split, model, flags)
    cost = CostModel.of(model)
    held = HeldSamples(split, samples)
    score = _score(model, held, bound)
    measured = _measured(model, cost.analysis.groups, held, bound, score.main, flags, progress)
    kind, main, labelled = figure_kind(score.main), score.main_figure, bool(bound.splits[split].adapter.tasks)
    whole = cost.of_kept({}).macs or 1
    return SensitivityAnalysis(
        model=path.name,
        data=f"{bound.dataset.source} ({split} split)",
        samples=len(next(iter(samples.inputs.values()))),
        metric=("" if main.better == "higher" else "negative ") + kind.meaning + ("" if labelled else _OWN),
        percent=main.unit == FRACTION,
        criterion=flags["criterion"],
        baseline=measured.baseline,
        curves=tuple(
            ScoreCurve(curve.group, curve.channels, 1.0 - cost.of_kept({curve.group: 0}).macs / whole, curve.points)
            for curve in measured.curves
        ),
        pinned=tuple((group.name, group.pinned) for group in cost.analysis.groups if group.pinned),
        spare=flags["spare"] / (100.0 if main.unit == AREA else 1.0),
    )


def _loaded(path: Path, flags: Mapping[str, Any], progress: Progress) -> Loaded:
    from tfcompress.models.loading import load_model

    with progress.task("loading the model"):
        return load_model(path, **flags["loading"])


_OWN = " beside the model's own outputs"
"""What a figure is of where there are no labels."""


def _score(model: Any, held: HeldSamples, bound: BoundData) -> Score:
    if not bound.splits[held.name].adapter.tasks:
        from tfcompress.channels.task_loss import score_of

        return score_of(model, held.samples)
    from tfcompress.evaluate.scoring import evaluate
    from tfcompress.models.signature import call

    return evaluate(lambda x: call(model, x), held, bound.tasks, **bound.figures).score


def _merit(score: Score) -> float:
    merit = score.main_figure.merit
    return float("-inf") if merit is None else merit


def _measured(
    model: Any,
    groups: Sequence[Group],
    held: HeldSamples,
    bound: BoundData,
    main: str,
    flags: Mapping[str, Any],
    progress: Progress,
) -> Sensitivity:
    from tfcompress.channels.criteria import scores
    from tfcompress.channels.sensitivity import analyse, fingerprint
    from tfcompress.files import cache_folder

    free = [group for group in groups if not group.pinned]
    if not free:
        reasons = ", ".join(f"{group.name}: {group.pinned}" for group in groups)
        msg = f"model {model.name!r} has no channels that can be removed ({reasons or 'it has no kernels'})"
        raise UnsupportedError(msg)
    samples = held.samples
    judged = scores(model, free, flags["criterion"], samples=samples)
    folder = cache_folder() if flags["cache"] is None else Path(flags["cache"])
    settings = {"criterion": flags["criterion"], "figure": main}
    place = folder / f"{fingerprint(model, samples, settings)}.json"
    found = analyse(
        model,
        judged,
        lambda each: _merit(_score(each, held, bound)),
        inputs=samples.inputs,
        cache=place,
        progress=progress,
    )
    if found.cached:
        progress.note(f"{found.cached} points were measured by an earlier run (kept in {place.parent})")
    return found


def _split(bound: BoundData, asked: str | None) -> str:
    name = asked or next(each for each in ("val", "train", "test") if each in bound.splits)
    if name not in bound.splits:
        msg = f"--split must be one of {', '.join(bound.splits)} (what the data holds), got {name!r}"
        raise UsageError(msg)
    return name


def _samples(bound: BoundData, split: str, model: Any, flags: Mapping[str, Any]) -> Samples:
    import numpy as np

    from tfcompress.models.samples import Samples

    pairs = list(bound.splits[split].sample(flags["samples"], flags["seed"]).batches(256))
    inputs = {key: np.concatenate([x[key] for x, _ in pairs]) for key in pairs[0][0]}
    first = pairs[0][1]
    if not bound.splits[split].adapter.tasks:
        from tfcompress.training.first_samples import own_answers

        return own_answers(bound, model, inputs)
    labels: Any = None
    if isinstance(first, dict):
        labels = {key: np.concatenate([y[key] for _, y in pairs]) for key in first}
    elif first is not None:
        labels = np.concatenate([y for _, y in pairs])
    return Samples(inputs, labels, bound.tasks)
