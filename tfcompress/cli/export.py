"""``tfcompress export``: the main job."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfcompress.cli.grouping import GroupedCommand, GroupedOption, option_for
from tfcompress.cli.options import (
    DATA_FLAGS,
    data_options,
    loading_options,
    open_data,
    refuse_lonely_flags,
    track_option,
)
from tfcompress.cli.recipe_flags import NOTHING_TRAINED, settings_over, training_over
from tfcompress.errors import PromiseError, UsageError
from tfcompress.recipe import STAGES, Export, Recipe, Train, load_recipe
from tfcompress.stages.flags import (
    asking,
    flags_of,
    idle_flags,
    is_given,
    naming,
    read_stages,
    stage_flags,
    stages_over,
)
from tfcompress.stages.stage import Stage
from tfcompress.tracking.tracker_table import check_trackers

if TYPE_CHECKING:
    from tfcompress.cli.terminal import Terminal

HELP = """\
Compress MODEL (.h5, .keras or a SavedModel folder) and write a .tflite file that was checked to be what you asked for.
A float .tflite is quantized as it is.

\b
  tfcompress export model.keras                                       float32, checked
  tfcompress export model.h5 --quantize dynamic                       int8 weights, no data needed
  tfcompress export model.h5 --quantize int8 --data data.npz          post-training int8, the best of several ways
  tfcompress export model.h5 --quantize int8 --input-range 0,1        int8 without data
  tfcompress export --qat model.h5 --data data.npz --epochs 3         int8, fine-tuned for it
  tfcompress export model.h5 --prune 0.5 --qat --data data.npz        and half of the weights zero
  tfcompress export model.keras --channels 0.5 --qat --data data.npz  half of the arithmetic really gone
  tfcompress export model.keras --distill --student width=0.5 --epochs 20 --data data.npz  half as wide, taught by it
  tfcompress export model.h5 --recipe cluster16-int8 --data data.npz  a named recipe
  tfcompress export model.h5 --quantize int8 --max-drop 0.5 --data data.npz --epochs 3
                                                                      int8 that loses at most 0.5 points, or an error
  tfcompress export model.h5 --prune 0.5 --data data.npz --track tensorboard --track mlflow:runs
                                                                      followed by both, epoch by epoch
  tfcompress export model.h5 --quantize int8 --data data.npz --target tflm --max-arena 64KB
                                                                      int8 that runs on a microcontroller, or an error
  tfcompress export float.tflite --quantize int8 --data data.npz      a file from elsewhere, by litert-quantizer

Writes a folder (MODEL-RECIPE by default): the .tflite, report.json and report.html, the recipe, test samples for
edge_runner, and a log. An existing folder is replaced only with --force, the model never.

--max-drop tries cheap ways first, training only where --epochs or a stage allows it, until the upper end of the drop's
95 % interval on the test split is within it. If none is, nothing is written, exit code 11: the line says the best that
was reached, what binds, and what to try.

Stages that rewrite the model do so in the order of their flags; the others then train together. A flag that would do
nothing is refused.
"""

INPUT, TRAINING, EXPORT, OUTPUT = "Model and data", "Training (of any stage)", "The file", "Output"
SEVERAL = "Several stages"

_OUTPUT = (
    GroupedOption(["-o", "--output"], group=OUTPUT, metavar="FOLDER", help="Where to write. [default: MODEL-RECIPE]"),
    GroupedOption(
        ["--test-samples"],
        group=OUTPUT,
        type=click.IntRange(min=1),
        metavar="N",
        help="Test samples written for edge_runner, drawn at random. [default: 1000, or as many as fit into 32 MB]",
    ),
    track_option(OUTPUT),
    GroupedOption(["--force"], group=OUTPUT, is_flag=True, help="Replace an existing output folder."),
    GroupedOption(
        ["--json", "as_json"], group=OUTPUT, is_flag=True, help="Print the report as JSON instead of a table."
    ),
)

_QUANTIZE = next(flag for flag in flags_of(Export) if flag.field == "quantize")


def run_export(
    model: str,
    output: str | None,
    force: bool,
    as_json: bool,
    loading: dict[str, Any],
    test_samples: int | None,
    track: tuple[str, ...],
    **flags: Any,
) -> None:
    """Do what the command line asks for, and print the report."""
    recipe = read_recipe(flags)
    refuse_lonely_flags(flags)
    if test_samples is not None and flags["data"] is None:
        msg = "--test-samples would do nothing: there is no --data"
        raise UsageError(msg)
    from tfcompress.cli.terminal import terminal

    with terminal() as screen:
        check_trackers(track)
        from tfcompress.preconditions import check_preconditions
        from tfcompress.progress import ToldOnce
        from tfcompress.search.ladder import climb
        from tfcompress.workbench import Workbench

        target = Path(output) if output else default_output(model, recipe)
        check_preconditions(model, recipe, has_data=flags["data"] is not None, output=target, force=force)
        data = None if flags["data"] is None else open_data(**{name: flags[name] for name in DATA_FLAGS})
        progress = ToldOnce(screen.progress) if recipe.promises else screen.progress
        for note in _renamed(recipe, flags):
            progress.note(note)
        with Workbench(model, data, **loading, trackers=track, progress=progress, log=screen.log) as bench:
            try:
                result = climb(bench, recipe, output=target, force=force, test_samples=test_samples)
            except PromiseError as error:
                _show_ways(screen, error, as_json=as_json)
                raise
        if as_json:
            screen.write(result.report.to_json() + "\n")
            return
        from tfcompress.reports.printing import print_report

        print_report(result.report, screen.out)
        screen.out.print(f"written to {target}/", soft_wrap=True, markup=False)


def _renamed(recipe: Recipe, flags: Mapping[str, Any]) -> Iterator[str]:
    """Say of a flag that once meant a stage's field, and now means something else, what it means."""
    for stage in recipe.stages:
        for old, new in stage.renamed.items():
            if is_given(flags.get(old)) and not is_given(flags.get(new)):
                flag = next(flag.name for flag in flags_of(type(stage)) if flag.field == new)
                old_flag = f"--{old.replace('_', '-')}"
                yield f"{old_flag} is about the finished file; what {asking(type(stage)).name} spares is said by {flag}"


def _show_ways(screen: Terminal, error: PromiseError, *, as_json: bool) -> None:
    """Print what was tried before the command fails."""
    if as_json:
        screen.write(json.dumps({"promise": error.promise}, indent=1) + "\n")
        return
    from tfcompress.reports.printing import print_rungs

    print_rungs(error.promise, screen.out)


def make_command() -> click.Command:
    """Return the command, with the options of every stage in the table."""
    body = data_options(loading_options(run_export))
    shared = {name: option for option in reversed(body.__click_params__) for name in [option.name]}  # type: ignore[attr-defined]
    loading = [option for name, option in shared.items() if name not in DATA_FLAGS]
    recipe = GroupedOption(
        ["--recipe"],
        group=INPUT,
        metavar="NAME|FILE",
        help="A named recipe (tfcompress recipes) or a .toml file; other flags change how it works.",
    )
    return GroupedCommand(
        "export",
        help=HELP,
        short_help="Compress a Keras model.",
        callback=body,
        params=[
            click.Argument(["model"], metavar="MODEL"),
            recipe,
            *(shared[name] for name in DATA_FLAGS),
            *_stage_options(),
            *(option_for([flag], TRAINING) for flag in flags_of(Train)),
            *(option_for([flag], EXPORT) for flag in flags_of(Export) if flag.name not in stage_flags()),
            *_OUTPUT,
            *loading,
        ],
    )


def _stage_options() -> list[GroupedOption]:
    """Return the options of each stage below its sentence, then those that several stages share."""
    flags = stage_flags()
    own = [
        option_for(flags[flag.name], f"{stage.__name__}: {stage.about[0].lower()}{stage.about[1:]}")
        for stage in STAGES.values()
        for flag in flags_of(stage)
        if len(flags[flag.name]) == 1
    ]
    return own + [option_for(each, SEVERAL) for each in flags.values() if len(each) > 1]


def read_recipe(flags: Mapping[str, Any]) -> Recipe:
    """Put the recipe together from ``--recipe`` or the flags that ask for stages, with all other flags over it.

    Args:
        flags: what was given for each option, by its name, in the order in which it was typed.

    Raises:
        UsageError: ``--recipe`` together with a flag that says the same thing, or a flag that would do nothing.
        RecipeError: values that contradict each other.
    """
    base = Recipe() if flags["recipe"] is None else _named(flags)
    stages = stages_over(base.stages, flags) if flags["recipe"] is not None else read_stages(flags)
    export, by_export = settings_over(
        base.export, {key: None if key in _taken(stages) else v for key, v in flags.items()}
    )
    on_demand = not stages and export.get("max_drop", base.export.max_drop) is not None
    train, by_train = training_over(base.train, flags, on_demand=on_demand)
    scheme = next((stage.numbers for stage in stages if stage.numbers), None)
    if flags["recipe"] is None and scheme and not is_given(flags["quantize"]):
        export["quantize"] = scheme
    with naming({**_typed_stage_flags(flags), **by_train, **by_export}):
        recipe = dataclasses.replace(
            base,
            stages=stages,
            train=dataclasses.replace(base.train, **train),
            export=dataclasses.replace(base.export, **export),
        )
    _refuse_idle_flags(recipe, flags)
    return recipe


def _taken(stages: Sequence[Stage]) -> set[str]:
    """Return the keys of flags that a stage takes, which without it are the export's."""
    return {flag.key for stage in stages for flag in flags_of(type(stage))} & {flag.key for flag in flags_of(Export)}


def _named(flags: Mapping[str, Any]) -> Recipe:
    saying = [*(asking(stage) for stage in STAGES.values()), _QUANTIZE]
    clash = next((flag.name for flag in saying if is_given(flags[flag.key])), None)
    if clash:
        msg = f"{clash} and --recipe both say what to do; give one, or edit a copy (tfcompress recipes NAME)"
        raise UsageError(msg)
    return load_recipe(flags["recipe"])


def _typed_stage_flags(flags: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{flag.owner.kind}.{flag.field}": flag.name  # type: ignore[attr-defined]  # a stage
        for each in stage_flags().values()
        for flag in each
        if is_given(flags[flag.key])
    }


def _refuse_idle_flags(recipe: Recipe, flags: Mapping[str, Any]) -> None:
    """Refuse a flag that would have no effect on this recipe, saying why."""
    there = {
        "": (True, ""),
        "training": (
            bool(recipe.stages) or recipe.train.if_needed,
            NOTHING_TRAINED,
        ),
        "calibration": (recipe.export.needs_data, "only --quantize int8 and int16x8 calibrate activations"),
        "data": (flags["data"] is not None, "there is no --data"),
        "no data": (
            flags["data"] is None and recipe.export.quantize == "int8",
            "it is for --quantize int8 without --data",
        ),
    }
    settings = [flag for kind in (Train, Export) for flag in flags_of(kind)]
    idle = {flag.key: there[flag.option.needs][1] for flag in settings if not there[flag.option.needs][0]}
    exporting = {flag.key for flag in flags_of(Export)}  # of a flag that is a stage's, too, it takes what is left
    named = None if flags["recipe"] is None else recipe.stages
    idle |= {key: reason for key, reason in idle_flags(flags, named).items() if key not in exporting}
    for key, reason in idle.items():
        if is_given(flags[key]):
            msg = f"--{key.replace('_', '-')} would do nothing: {reason}"
            raise UsageError(msg)


def default_output(model: str, recipe: Recipe) -> Path:
    """Return ``<model>-<recipe>`` in the current directory."""
    path = Path(model)
    stem = path.stem if path.suffix in (".h5", ".hdf5", ".keras", ".tflite") else path.name
    return Path(f"{stem or 'model'}-{recipe.name}")


command = make_command()
