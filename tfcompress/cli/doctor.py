"""``tfcompress doctor``: what would become of a model, and what would hurt, before any work."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfcompress.cli.options import DATA_FLAGS, data_options, loading_options, new_file, open_data, refuse_lonely_flags
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.targets.target_table import find_target

if TYPE_CHECKING:
    import numpy as np

    from tfcompress.cli.terminal import Terminal
    from tfcompress.models.loading import Loaded
    from tfcompress.reports.checkup_facts import CheckupFacts, TargetCheck
    from tfcompress.reports.remark import Remark
    from tfcompress.targets.target import Target

HELP = """\
Look at MODEL (.h5, .keras, a SavedModel with layers) before any work, layer by layer; nothing is trained.

\b
  tfcompress doctor model.h5
  tfcompress doctor model.h5 --data data.npz --scale 1/255
  tfcompress doctor model.keras --rewrite -o lean.keras
  tfcompress doctor model.keras --data data.npz --target esp32-s3

Who would train each layer, whether it has an int8 kernel or would be rewritten, and what would hurt: outliers,
channels of unlike range, normalizations that fold into nothing, saturated layers, odd widths. With --data the samples
are checked too. --rewrite takes away what changes no number, each step proven on random samples. --target makes a
quick draft of the file and holds it against where it is to run: ops and numbers that are not there, widths, memory.
"""


@click.command("doctor", help=HELP, short_help="Check a model before any work.")
@click.argument("model", metavar="MODEL")
@data_options
@loading_options
@click.option(
    "--samples",
    type=click.IntRange(min=2),
    default=64,
    show_default=True,
    help="Run so many samples, drawn with --seed.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the samples.")
@click.option("--target", metavar="NAME|FILE.toml", help="Where the file is to run, as export takes it.")
@click.option("--rewrite", is_flag=True, help="Write the model with all proven rewrites; needs -o.")
@click.option("-o", "--output", metavar="OUT.keras", help="Where --rewrite writes the model.")
@click.option("-f", "--force", is_flag=True, help="Replace an existing file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    model: str, target: str | None, rewrite: bool, output: str | None, force: bool, as_json: bool, **flags: Any
) -> None:
    refuse_lonely_flags(flags)
    lean = _lean_file(rewrite, output, force=force)
    deployment = None if target is None else find_target(target, "--target")
    from tfcompress.cli.terminal import terminal

    with terminal() as screen:
        facts = checkup(Path(model), flags, lean, deployment, screen)
        if as_json:
            screen.write(json.dumps(dataclasses.asdict(facts), indent=1) + "\n")
            return
        _show(screen, facts)


def _lean_file(rewrite: bool, output: str | None, *, force: bool) -> Path | None:
    if rewrite != (output is not None):
        msg = "--rewrite and -o OUT.keras belong together: give both, or neither"
        raise UsageError(msg)
    return None if output is None else new_file(output, (".keras",), "a Keras 3 model", force=force, any_case=False)


def checkup(
    path: Path, flags: Mapping[str, Any], lean_file: Path | None, target: Target | None, screen: Terminal
) -> CheckupFacts:
    """Load model and data, look at both, and write the rewritten model where one is asked for.

    Raises:
        ModelError: MODEL is no Keras model.
        UnsupportedError: a model whose layers are not known.
        DataError: data that cannot be read.
        OutputError: the rewritten model cannot be written.
    """
    from tfcompress.models.loading import load_model

    progress = screen.progress
    with progress.task("loading the model"):
        loaded = load_model(path, **flags["loading"])
    if loaded.keras3 is None:
        msg = f"model {str(path)!r}: {loaded.refusal}"
        raise UnsupportedError(msg)
    from tfcompress.diagnosis.checkup import check_model
    from tfcompress.diagnosis.exact_rewrites import rewritten
    from tfcompress.models.precision import in_float32
    from tfcompress.reports.checkup_facts import CheckupFacts
    from tfcompress.reports.remark import by_gravity

    network, in_half = in_float32(loaded.keras3)
    for note in filter(None, (*loaded.notes, in_half)):
        progress.note(note)
    inputs, source, remarks = _data(network, flags)
    engine, refused = _engine(loaded)
    with progress.task("looking at every layer"):
        found = check_model(network, refused=refused, engine=engine, inputs=inputs, target=target)
    with progress.task("proving rewrites"):
        lean, offers = rewritten(network)
    if lean_file is not None:
        _save(lean, lean_file)
    there, beyond = (None, []) if target is None else _on_target(network, inputs, target, flags["seed"], screen)
    return CheckupFacts(
        path.name,
        loaded.writer,
        source,
        tuple(found.layers),
        offers,
        by_gravity([*remarks, *found.remarks, *beyond]),
        "" if lean_file is None else str(lean_file),
        there,
    )


def _save(lean: Any, path: Path) -> None:
    from tfcompress.files import output_errors
    from tfcompress.models.saving import save

    partial = save(lean, path.parent, f".{path.stem}.partial")
    with output_errors(path):
        partial.replace(path)


def _on_target(
    network: Any, inputs: Mapping[str, np.ndarray] | None, target: Target, seed: int, screen: Terminal
) -> tuple[TargetCheck | None, list[Remark]]:
    """Make a draft of the file, and hold it against the target."""
    from tfcompress.cli.drafts import draft_for
    from tfcompress.diagnosis.target_checkup import check_on_target
    from tfcompress.reports.remark import Remark
    from tfcompress.tflite.convert import ConverterProcess

    with ConverterProcess(screen.log) as converter:
        draft = draft_for(network, target, inputs, converter, seed=seed, progress=screen.progress)
    if isinstance(draft, str):
        return None, [Remark("fault", "file", draft)]
    with screen.progress.task(f"asking target {target.name}"):
        return check_on_target(target, draft, network)


def _engine(loaded: Loaded) -> tuple[str, dict[str, str]]:
    """Return the engine that has the first turn at a model, and the layers that it refuses."""
    if loaded.keras2 is None:
        return "native", {}
    from tfcompress.engines.tfmot.qat import unquantizable_layers

    return "tfmot", unquantizable_layers(loaded.keras2)


def _data(network: Any, flags: Mapping[str, Any]) -> tuple[dict[str, np.ndarray] | None, str, tuple[Remark, ...]]:
    """Return samples to run, where they come from, and what is wrong with the data."""
    if flags["data"] is None:
        return None, "", ()
    from tfcompress.diagnosis.data_checkup import check_data
    from tfcompress.models.signature import signature_of

    bound = open_data(**{name: flags[name] for name in DATA_FLAGS}).bind(signature_of(network), holdout=None)
    found = check_data(network, bound, flags["samples"], flags["seed"])
    return dict(found.inputs), f"{bound.dataset.source} ({found.split} split)", found.remarks


def _show(screen: Terminal, facts: CheckupFacts) -> None:
    from rich.table import Table
    from rich.text import Text

    from tfcompress.cli.remarks import print_remarks
    from tfcompress.reports.checkup_rows import COLUMNS, layer_rows, offer_lines, target_lines

    table = Table(box=None, header_style="dim", pad_edge=False)
    for place, title in enumerate(COLUMNS):
        table.add_column(title, justify="left" if place < 6 else "right", overflow="fold")
    for row in layer_rows(facts):
        table.add_row(*map(Text, row))
    screen.out.print(table)
    screen.out.print()
    print_remarks(screen.out, facts.remarks)
    for line in (*target_lines(facts), *offer_lines(facts)):
        screen.out.print(Text(line), soft_wrap=True)
