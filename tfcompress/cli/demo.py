"""``tfcompress demo``: the main job from end to end, on a model and data that come with the package."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfcompress import files
from tfcompress.recipe import load_recipe

if TYPE_CHECKING:
    from tfcompress.progress import Progress
    from tfcompress.reports.report import Report

RECIPES = ("float32", "int8", "qat-int8", "prune50-qat-int8")
"""What the demo runs, in this order; the first one is the yardstick."""

EPOCHS, LEARNING_RATE = 5, 5e-4


@click.command("demo", short_help="Run the whole job on an embedded model.")
@click.option("-o", "--output", default="tfcompress-demo", show_default=True, metavar="FOLDER", help="Where to write.")
@click.option("--force", is_flag=True, help="Replace the folders of an earlier demo.")
@click.option("--keras3", is_flag=True, help="Start from the same model as Keras 3 wrote it (.keras).")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as a JSON list instead of a table.")
def command(output: str, force: bool, keras3: bool, as_json: bool) -> None:
    """Run the main job on a small Fashion-MNIST classifier: float32, int8, int8 after QAT, and half of it pruned too.

    Trains for a minute or so, checks each file, evaluates it on 2,000 test images and times all of them with
    edge_runner on this machine. Every run's folder, with its report.html, is kept.
    """
    from tfcompress import demo
    from tfcompress.cli.terminal import terminal

    model = demo.MODEL_KERAS3 if keras3 else demo.MODEL
    folder = Path(output)
    targets = {name: folder / name for name in RECIPES}
    for target in targets.values():
        files.check_target(target, force=force)
    with terminal() as screen:
        from tfcompress.reports.printing import print_comparison

        reports = run_demo(model, targets, force=force, progress=screen.progress, log=screen.log)
        if as_json:
            screen.write("[" + ",\n".join(report.to_json() for report in reports) + "]\n")
            return
        print_comparison(reports, screen.out)
        screen.out.print(
            f"written to {folder}/ (open {folder}/{RECIPES[-1]}/report.html)", soft_wrap=True, markup=False
        )


def run_demo(model: Path, targets: dict[str, Path], *, force: bool, progress: Progress, log: Path) -> list[Report]:
    """Run every recipe on the demo's model, time the files on this machine, and put the timings into the reports."""
    from tfcompress import demo
    from tfcompress.data.preprocessing import Preprocessing, parse_scale
    from tfcompress.data.sources import load_data
    from tfcompress.workbench import Workbench

    data = load_data(demo.DATA, preprocessing=Preprocessing(scale=parse_scale(demo.SCALE)))
    reports = []
    with (
        Workbench(model, data, progress=progress, log=log) as bench,
        progress.task("demo", len(targets)) as task,
    ):
        for name, target in targets.items():
            task.describe(name)
            recipe = load_recipe(name)
            recipe = dataclasses.replace(
                recipe, train=dataclasses.replace(recipe.train, epochs=EPOCHS, learning_rate=LEARNING_RATE)
            )
            reports.append(bench.run(recipe, output=target, force=force).report)
            task.advance()
    return _timed(reports, targets, progress)


def _timed(reports: list[Report], targets: dict[str, Path], progress: Progress) -> list[Report]:
    """Time all files in one run of edge_runner, interleaved, and join the measurements to the reports."""
    from tfcompress.devices import local
    from tfcompress.reports import edge
    from tfcompress.reports.html import to_html

    paths = [target / report.result.name for report, target in zip(reports, targets.values(), strict=True)]
    with progress.task("timing with edge_runner"):
        measured = local.run_locally(paths, next(iter(targets.values())) / "test-samples.npz")
    joined = [edge.join_measurement(report, measured) for report in reports]
    for report, target in zip(joined, targets.values(), strict=True):
        report.save(target / "report.json")
        files.write_atomic(target / "report.html", to_html(report))
    return joined
