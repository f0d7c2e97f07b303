"""``tfcompress debug``: where a TFLite file goes wrong, tensor by tensor."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfcompress.cli.drawn import chosen_split, drawn_inputs
from tfcompress.cli.options import DATA_FLAGS, data_options, loading_options, new_file, open_data
from tfcompress.errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    from tfcompress.cli.terminal import Terminal
    from tfcompress.progress import Progress
    from tfcompress.reports.debug_facts import DebugFacts

HELP = """\
Compare FILE (.tflite) with the float MODEL (.h5, .keras) that it was made from, tensor by tensor.

\b
  tfcompress debug model-int8.tflite --model model.h5 --data data.npz --scale 1/255
  tfcompress debug model-int8.tflite --model model.keras --data data.npz --json

Signal to noise, range used, clipped share and distinct values of every tensor under the name of its Keras layer;
ops that XNNPACK computes otherwise than the reference kernels; the worst samples. A page with a chart is written.
"""
_SUFFIXES = (".html", ".htm")


@click.command("debug", help=HELP, short_help="Find where a file goes wrong.")
@click.argument("file", metavar="FILE")
@click.option("--model", required=True, metavar="MODEL", help="The Keras model that the file was made from.")
@data_options
@loading_options
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Run so many samples, drawn with --seed.",
)
@click.option(
    "--split",
    type=click.Choice(("train", "val", "test")),
    help="Where they come from.  [default: test, else val, else train]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the samples.")
@click.option(
    "--runtime",
    type=click.Choice(("litert", "tensorflow", "tflite-runtime")),
    default="litert",
    show_default=True,
    help="The interpreter that runs the file.",
)
@click.option("-o", "--output", metavar="FILE.html", help="Where to write the page.  [default: FILE-debug.html]")
@click.option("-f", "--force", is_flag=True, help="Replace an existing page.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: str, model: str, output: str | None, force: bool, as_json: bool, **flags: Any) -> None:
    if flags["data"] is None:
        msg = "debug needs samples to run: give --data"
        raise UsageError(msg)
    target = new_file(output or f"{Path(file).stem}-debug.html", _SUFFIXES, "a page", force=force)
    from tfcompress.cli.terminal import terminal

    with terminal() as screen:
        facts = debugging(Path(file), Path(model), flags, screen.progress)
        from tfcompress.files import write_atomic
        from tfcompress.reports.debug_page import to_debug_page

        write_atomic(target, to_debug_page(facts))
        if as_json:
            screen.write(json.dumps({"page": str(target), **dataclasses.asdict(facts)}, indent=1) + "\n")
            return
        _show(screen, facts)
        screen.out.print(f"written: {target}", markup=False, soft_wrap=True)


def debugging(file: Path, model: Path, flags: Mapping[str, Any], progress: Progress) -> DebugFacts:
    """Load file, model and data, and compare.

    Raises:
        ModelError: FILE is not a TFLite file, or MODEL no Keras model.
        UsageError: a split that the data does not have, or a file of another model.
        UnsupportedError: a model whose layers are not known to Keras 3.
        DataError: data that cannot be read.
    """
    from tfcompress.models.loading import load_model, probe

    if probe(file).kind != "tflite":
        msg = f"FILE must be a .tflite, {str(file)!r} is none; the Keras model is given by --model"
        raise UsageError(msg)
    with progress.task("loading the model"):
        loaded = load_model(model, **flags["loading"])
    if loaded.keras3 is None:
        msg = f"model {str(model)!r}: {loaded.refusal}"
        raise UnsupportedError(msg)
    from tfcompress.diagnosis.debugging import DebugSubject, debug_file
    from tfcompress.models.precision import in_float32
    from tfcompress.models.signature import signature_of

    network, in_half = in_float32(loaded.keras3)
    for note in filter(None, (*loaded.notes, in_half)):
        progress.note(note)
    bound = open_data(**{name: flags[name] for name in DATA_FLAGS}).bind(signature_of(network), holdout=None)
    split = chosen_split(bound, flags["split"], ("test", "val", "train"))
    subject = DebugSubject(
        content=file.read_bytes(),
        model=network,
        inputs=drawn_inputs(bound, split, flags["samples"], flags["seed"]),
        file=file.name,
        model_name=model.name,
        data=f"{bound.dataset.source} ({split} split)",
        runtime=flags["runtime"],
    )
    return debug_file(subject, progress)


def _show(screen: Terminal, facts: DebugFacts) -> None:
    from rich.table import Table

    from tfcompress.cli.remarks import print_remarks
    from tfcompress.reports.debug_page import COLUMNS, facts_line, sample_rows, tensor_rows

    screen.out.print(f"{facts.file} against {facts.model}: {facts_line(facts)}", markup=False, soft_wrap=True)
    screen.out.print()
    screen.out.print(_table(Table, COLUMNS, tensor_rows(facts), left=3))
    if facts.worst:
        screen.out.print()
        screen.out.print(_table(Table, ("worst sample", "error", "largest output"), sample_rows(facts), left=0))
    screen.out.print()
    print_remarks(screen.out, facts.remarks)


def _table(kind: Any, titles: Any, rows: Any, left: int) -> Any:
    from rich.text import Text

    table = kind(box=None, header_style="dim", pad_edge=False)
    for place, title in enumerate(titles):
        table.add_column(title, justify="left" if place < left else "right", no_wrap=place >= left, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
