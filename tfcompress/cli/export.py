"""``tfcompress export``: the main job."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

import click

from tfcompress.cli.options import DATA_FLAGS, data_options, loading_options, open_data, refuse_lonely_flags, sparsity
from tfcompress.errors import UsageError
from tfcompress.export_choices import CALIBRATORS, PACKINGS, Choice
from tfcompress.recipe import QAT, Channels, Cluster, Distill, Export, Prune, Quantize, Recipe, Stage, load

_STAGE_FLAGS = ("channels", "prune", "cluster", "distill", "qat", "quantize")
_CHANNEL_FLAGS = ("of", "round_to", "tune_epochs", "cycles", "max_drop")
_QAT_FLAGS = ("weight_bits", "activation_bits", "learn_ranges")
_FIT_FLAGS = ("epochs", "batch_size", "learning_rate", "optimizer", "decay", "augment", "loss", "limit")
_ALWAYS_FLAGS = ("seed", "holdout")
_EXPORT_FLAGS = (
    *("io", "samples", "sparse", "optimize_for", "float_ops", "select_ops", "min_agreement_db"),
    *("calibration", "keep_names"),
)


def _listed(table: Mapping[str, Choice]) -> str:
    """Return what a table's names stand for, for a help text."""
    return " ".join(f"{name}: {choice.about}" for name, choice in table.items())


HELP = """\
Compress MODEL (.h5, .keras or a SavedModel folder) and write a .tflite file that was checked to be what you asked for.

\b
  tfcompress export model.keras                                       float32, checked
  tfcompress export model.h5 --quantize dynamic                       int8 weights, no data needed
  tfcompress export model.h5 --quantize int8 --data data.npz          post-training int8
  tfcompress export --qat model.h5 --data data.npz --epochs 3         int8, fine-tuned for it
  tfcompress export model.h5 --prune 0.5 --qat --data data.npz        and half of the weights zero
  tfcompress export model.keras --channels 0.5 --qat --data data.npz  half of the arithmetic really gone
  tfcompress export model.h5 --recipe cluster16-int8 --data data.npz  a named recipe

Writes a folder (MODEL-RECIPE by default): the .tflite, report.json and report.html, the recipe, test samples for
edge_runner, and a log. An existing folder is replaced only with --force, the model never.
"""


@click.command("export", help=HELP, short_help="Compress a Keras model.")
@click.argument("model", metavar="MODEL")
@click.option("--recipe", metavar="NAME|FILE", help="A named recipe (tfcompress recipes) or a .toml file.")
@click.option(
    "--quantize",
    type=click.Choice(["none", "dynamic", "float16", "int8", "int16x8"]),
    help="Numbers in the file. Default: int8 with --qat, else none (float32).",
)
@click.option(
    "--qat", is_flag=True, help="Fine-tune with int8 rounding in the loop; needs --data, unless MODEL is QAT already."
)
@click.option(
    "--channels",
    type=float,
    metavar="FRACTION",
    help="Remove channels until this fraction of the multiply-accumulates is gone (see --of).",
)
@click.option(
    "--of",
    type=click.Choice(["macs", "parameters", "bytes", "latency"]),
    help="What --channels counts; latency is measured here. [default: macs]",
)
@click.option(
    "--round-to", type=int, metavar="N", help="--channels leaves widths that are multiples of N. [default: 8]"
)
@click.option(
    "--tune-epochs",
    type=int,
    metavar="N",
    help="--channels tunes the whole model for N of the epochs first; --distill learns from that. [default: 0]",
)
@click.option("--cycles", type=int, metavar="N", help="--channels removes in N parts, each fine-tuned. [default: 1]")
@click.option(
    "--max-drop",
    type=float,
    metavar="POINTS",
    help="--channels spares what costs more accuracy than this by itself (measured first, group by group).",
)
@click.option(
    "--prune", callback=sparsity, metavar="FRACTION|2:4|4:8", help="Set this fraction of each kernel to zero."
)
@click.option(
    "--criterion",
    type=click.Choice(["magnitude", "movement", "taylor", "hessian", "l1", "l2", "bn_gamma", "activation"]),
    help="What makes a weight (--prune) or a channel (--channels) dispensable. [default: magnitude; l2]",
)
@click.option(
    "--threshold", type=click.Choice(["layer", "global"]), help="--prune by layer or over all. [default: layer]"
)
@click.option("--cluster", type=int, metavar="K", help="Let each kernel hold at most K different values.")
@click.option("--distill", is_flag=True, help="Learn from the uncompressed model as well as from the labels.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "native", "tfmot"]),
    help="Who does the work: ours on Keras 3, or tfmot on Keras 2. [default: by the model's file]",
)
@click.option("--weight-bits", type=click.Choice(["8", "4"]), help="Of --qat; 4 where the runtime has it. [default: 8]")
@click.option(
    "--activation-bits", type=click.Choice(["8", "16"]), help="Of --qat; 16 makes an int16x8 file. [default: 8]"
)
@click.option("--learn-ranges", is_flag=True, default=None, help="--qat trains the ranges, too (LSQ).")
@data_options
@click.option("--epochs", type=int, help="Passes over the training data. [default: 2]")
@click.option("--batch-size", type=int, help="Samples a training step. [default: 64]")
@click.option(
    "--learning-rate",
    type=float,
    help="Of the optimizer. [default: 1e-3 with --channels, 1e-4 with --prune, else 1e-5]",
)
@click.option(
    "--optimizer",
    metavar="NAME",
    help="Name of a Keras optimizer; muon makes more of short trainings (Keras 3). [default: adam]",
)
@click.option("--decay", type=click.Choice(["constant", "cosine"]), help="Of the learning rate. [default: constant]")
@click.option(
    "--augment", type=click.Choice(["none", "flip", "flip-shift"]), help="Vary training images. [default: none]"
)
@click.option("--loss", help="Name of a Keras loss. [default: by the labels and the outputs]")
@click.option("--limit", type=int, metavar="N", help="Train on N samples only, drawn by the seed.")
@click.option("--holdout", type=float, help="Fraction kept for testing if the data has no test split. [default: 0.2]")
@click.option("--seed", type=int, help="Seed of everything random. [default: 0]")
@click.option(
    "--io",
    type=click.Choice(["float32", "int8", "uint8", "int16"]),
    help="dtype of inputs and outputs. [default: int8 for int8, int16 for int16x8, else float32]",
)
@click.option("--samples", type=int, help="Training samples that calibrate int8 ranges. [default: 200]")
@click.option(
    "--sparse", type=click.Choice(["auto", "never"]), help="Store sparse kernels encoded where smaller. [default: auto]"
)
@click.option(
    "--optimize-for",
    type=click.Choice(["size", "download"]),
    help="Keep the smaller file, or the one that is smaller after gzip. [default: size]",
)
@click.option(
    "--float-ops", type=click.Choice(["refuse", "allow"]), help="Ops without an int8 kernel. [default: refuse]"
)
@click.option(
    "--select-ops", is_flag=True, default=None, help="Allow TensorFlow (Flex) ops, which need the big runtime."
)
@click.option("--min-agreement-db", type=float, metavar="DB", help="Least agreement with the Keras model.")
@click.option(
    "--runtime", multiple=True, metavar="NAME>=VERSION", help="The file must run there, e.g. 'tflite-runtime>=2.14'."
)
@click.option(
    "--calibration",
    type=click.Choice(list(CALIBRATORS)),
    help=f"How int8 ranges follow from the samples. {_listed(CALIBRATORS)} [default: minmax]",
)
@click.option(
    "--packing",
    multiple=True,
    type=click.Choice(list(PACKINGS)),
    help=f"Pack the finished file's bytes; no number changes, which is proven. {_listed(PACKINGS)} [default: slim]",
)
@click.option("--no-slim", is_flag=True, default=None, help="Leave the file as the converter wrote it.")
@click.option("--keep-names", is_flag=True, default=None, help="Keep the names of tensors inside the file's graph.")
@loading_options
@click.option("-o", "--output", metavar="FOLDER", help="Where to write. [default: MODEL-RECIPE]")
@click.option("--force", is_flag=True, help="Replace an existing output folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of a table.")
def command(model: str, output: str | None, force: bool, as_json: bool, loading: dict[str, Any], **flags: Any) -> None:
    recipe = read_recipe(flags)
    refuse_lonely_flags(flags)
    from tfcompress.cli.terminal import terminal

    with terminal() as screen:
        from tfcompress.workbench import check, compress

        target = Path(output) if output else default_output(model, recipe)
        check(model, recipe, has_data=flags["data"] is not None, output=target, force=force)
        data = None if flags["data"] is None else open_data(**{name: flags[name] for name in DATA_FLAGS})
        result = compress(
            model,
            recipe,
            data,
            output=target,
            force=force,
            **loading,
            progress=screen.progress,
            log=screen.log,
        )
        if as_json:
            screen.write(result.report.to_json() + "\n")
            return
        from tfcompress.reports.table import print_report

        print_report(result.report, screen.out)
        screen.out.print(f"written to {target}/", soft_wrap=True, markup=False)


def read_recipe(flags: dict[str, Any]) -> Recipe:
    """Put the recipe together from ``--recipe`` or the stage flags, with the training and export flags laid over it.

    Raises:
        UsageError: ``--recipe`` together with a flag that says the same thing.
        RecipeError: values that contradict each other.
    """
    if flags["recipe"] is not None:
        clash = next((name for name in _STAGE_FLAGS if flags[name] not in (None, False)), None)
        if clash:
            msg = f"--{clash} and --recipe both say what to do; give one, or edit a copy (tfcompress recipes NAME)"
            raise UsageError(msg)
        recipe = load(flags["recipe"])
    else:
        trained_for = "int16x8" if flags["activation_bits"] == "16" else "int8"
        quantize = cast("Quantize", flags["quantize"] or (trained_for if flags["qat"] else "none"))
        recipe = Recipe(stages=_stages(flags), export=Export(quantize=quantize))
    train = {name: flags[name] for name in (*_FIT_FLAGS, *_ALWAYS_FLAGS) if flags[name] is not None}
    _refuse_idle_flags(recipe, flags)
    export = {name: flags[name] for name in _EXPORT_FLAGS if flags[name] is not None}
    if flags["runtime"]:
        export["runtimes"] = tuple(flags["runtime"])
    export["packings"] = _packings(recipe, flags)
    return dataclasses.replace(
        recipe, train=dataclasses.replace(recipe.train, **train), export=dataclasses.replace(recipe.export, **export)
    )


def _packings(recipe: Recipe, flags: dict[str, Any]) -> tuple[str, ...]:
    """Return the recipe's packings and those of the flags, in the order of the table."""
    asked, without = flags["packing"] or (), {"slim"} if flags["no_slim"] else set()
    if without.intersection(asked):
        msg = "--packing slim and --no-slim contradict each other; give one of them"
        raise UsageError(msg)
    wanted = {*recipe.export.packings, *asked} - without
    return tuple(name for name in PACKINGS if name in wanted)


def _refuse_idle_flags(recipe: Recipe, flags: dict[str, Any]) -> None:
    """Refuse a flag that would have no effect on this recipe, saying why."""
    idle = {} if recipe.stages else dict.fromkeys((*_FIT_FLAGS, "engine"), "nothing is trained without a stage")
    if flags["recipe"] is not None:
        idle |= dict.fromkeys((*_CHANNEL_FLAGS, *_QAT_FLAGS, "criterion", "threshold", "engine"), "--recipe says it")
    else:
        idle |= _without_their_stage(flags)
    if not recipe.export.needs_data:
        idle |= dict.fromkeys(
            ("samples", "float_ops", "calibration"), "only --quantize int8 and int16x8 calibrate activations"
        )
    if flags["data"] is None:
        idle["holdout"] = "there is no --data"
    for name, reason in idle.items():
        if flags[name] is not None:
            msg = f"--{name.replace('_', '-')} would do nothing: {reason}"
            raise UsageError(msg)


def _without_their_stage(flags: dict[str, Any]) -> dict[str, str]:
    """Return the flags that say how a stage works which was not asked for, and why they do nothing."""
    channels, prune = flags["channels"] is not None, flags["prune"] is not None
    return {
        **({} if channels else dict.fromkeys(_CHANNEL_FLAGS, "there is no --channels")),
        **({} if flags["qat"] else dict.fromkeys(_QAT_FLAGS, "there is no --qat")),
        **({} if prune else {"threshold": "there is no --prune"}),
        **({} if prune or channels else {"criterion": "there is neither --prune nor --channels"}),
    }


def _stages(flags: dict[str, Any]) -> tuple[Stage, ...]:
    stages: list[Stage] = []
    engine = {} if flags["engine"] is None else {"engine": flags["engine"]}
    if flags["channels"] is not None:
        if flags["engine"] == "tfmot":
            msg = "--channels works in Keras 3, with the native engine; leave --engine tfmot out"
            raise UsageError(msg)
        given = {name: flags[name] for name in _CHANNEL_FLAGS if flags[name] is not None}
        stages.append(Channels(remove=flags["channels"], **given, **_criterion(flags, Channels, "--channels")))
    if flags["prune"] is not None:
        amount = {"sparsity": flags["prune"]}
        if isinstance(flags["prune"], str):
            amount = {"sparsity": 0.5, "pattern": flags["prune"]}
        threshold = {} if flags["threshold"] is None else {"threshold": flags["threshold"]}
        stages.append(Prune(**amount, **threshold, **engine, **_criterion(flags, Prune, "--prune")))
    if flags["cluster"] is not None:
        stages.append(Cluster(clusters=flags["cluster"], **engine))
    if flags["distill"]:
        stages.append(Distill(**engine))
    if flags["qat"]:
        bits: dict[str, Any] = {name: int(flags[name]) for name in _QAT_FLAGS[:2] if flags[name] is not None}
        stages.append(QAT(**bits, learn_ranges=bool(flags["learn_ranges"]), **engine))
    return tuple(stages)


def _criterion(flags: dict[str, Any], stage: type[Channels] | type[Prune], flag: str) -> dict[str, Any]:
    """Return ``--criterion`` for the stage that knows it; where both stages are asked for, ``taylor`` is for both."""
    asked = flags["criterion"]
    known = get_args(get_type_hints(stage)["criterion"])
    other = "--prune" if flag == "--channels" else "--channels"
    if asked is None or (asked not in known and flags[other[2:]] is not None):
        return {}
    if asked not in known:
        msg = f"--criterion must be one of {', '.join(known)} with {flag}, got {asked!r}"
        raise UsageError(msg)
    return {"criterion": asked}


def default_output(model: str, recipe: Recipe) -> Path:
    """Return ``<model>-<recipe>`` in the current directory."""
    path = Path(model)
    stem = path.stem if path.suffix in (".h5", ".hdf5", ".keras") else path.name
    return Path(f"{stem or 'model'}-{recipe.name}")
