"""``tfcompress matrix``: the same recipes over several models and data sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfcompress.cli.grouping import GroupedCommand, GroupedOption, option_for
from tfcompress.cli.options import DATA, DATA_FLAGS, data_options, loading_options, open_data
from tfcompress.cli.recipe_flags import alone, trained_alike
from tfcompress.errors import CellError, UsageError
from tfcompress.recipe import Train, load_recipe
from tfcompress.stages.flags import flags_of

if TYPE_CHECKING:
    from rich.console import Console

    from tfcompress.cli.terminal import Terminal
    from tfcompress.reports.matrix_record import MatrixRecord

HELP = """\
Run the same RECIPEs (names or .toml files) on several models with their data, and say what they bring on average and at
worst.

\b
  tfcompress matrix int8 qat-int8 --on net.h5:digits.npz --on other.keras:photos/ --scale 1/255
  tfcompress matrix int8 mine.toml --on net.h5:a.npz --on net.h5:b.npz -o matrix --json
  tfcompress matrix qat-int8 prune50-qat-int8 --on net.h5:digits.npz --epochs 5 --limit 20000

Every cell is a run with its own folder, as export writes it; matrix.json holds all of them. A cell that fails is named,
and the others go on. The same command again takes up what is there, and makes only what is missing or has changed. The
options about data hold for all of it; what differs goes into a Python function (module:function in place of DATA).
Those about training are put in place of what each RECIPE that trains says.

MODEL alone will do for recipes that need no data. Exit code 13: a cell failed.
"""

TRAINING, OUTPUT = "Training (in place of what a RECIPE says)", "Output"


def run_matrix(
    recipes: tuple[str, ...],
    pairs: tuple[str, ...],
    output: str,
    force: bool,
    as_json: bool,
    loading: dict[str, Any],
    **flags: Any,
) -> None:
    """Do what the command line asks for, and print what came of it."""
    from tfcompress.cli.terminal import terminal
    from tfcompress.search.generality import MatrixRun, read_pair

    read = [read_pair(text) for text in pairs]
    has_data = any(pair.data for pair in read)
    _refuse_idle(flags, has_data)
    asked = trained_alike([load_recipe(name) for name in recipes], flags, has_data=has_data)
    with terminal() as screen:
        record = MatrixRun(
            recipes=asked,
            pairs=read,
            folder=Path(output),
            open_data=lambda spec: open_data(data=spec, **{name: flags[name] for name in DATA_FLAGS[1:]}),
            loading=loading,
            force=force,
            progress=screen.progress,
            log=screen.log,
        ).record()
        if as_json:
            screen.write(record.to_json())
        else:
            show_matrix(screen, record)
            screen.out.print(f"written to {output}/", soft_wrap=True, markup=False)
    if record.failed:
        first, share = record.failed[0], f"{len(record.failed)} of {len(record.cells)} cells failed"
        msg = f"{share}, first {first.recipe} on {first.where}: {first.error}"
        raise CellError(msg)


def _refuse_idle(flags: dict[str, Any], has_data: bool) -> None:
    idle = next((name for name in DATA_FLAGS[1:] if flags[name] not in (None, ())), None)
    if idle and not has_data:
        msg = f"--{idle.replace('_', '-')} says something about data, but no --on has any"
        raise UsageError(msg)


def show_matrix(screen: Terminal, record: MatrixRecord) -> None:
    """Print the cells, then each recipe's mean and worst, and what failed."""
    from rich.text import Text

    from tfcompress.reports.matrix_record import cell_rows, summary_rows

    _print_table(screen.out, *cell_rows(record))
    titles, rows = summary_rows(record)
    if rows:
        _print_table(screen.out, titles, rows)
    kept = sum(cell.kept for cell in record.cells)
    if kept:
        screen.out.print(Text(f"{kept} of {len(record.cells)} cells were there already", style="dim"), soft_wrap=True)
    for cell in record.failed:
        line = Text.assemble(("! ", "yellow"), f"{cell.recipe} on {cell.where}: {cell.error}")
        screen.out.print(line, soft_wrap=True)


def _print_table(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; what is no terminal is as wide as the table is."""
    from rich import box
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for place, title in enumerate(titles):
        table.add_column(title, justify="left" if place < 2 else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    if not console.is_terminal:
        wide = Measurement.get(console, console.options.update_width(10_000), table).maximum
        console.width = max(console.width, wide)
    console.print(table)


def make_matrix_command() -> click.Command:
    """Return the command: the data stand with the models, so that ``--data`` is not among its options."""
    body = data_options(loading_options(run_matrix))
    shared = {option.name: option for option in reversed(body.__click_params__)}  # type: ignore[attr-defined]  # click keeps them there
    about_data = [shared[name] for name in DATA_FLAGS[1:]]
    loading = [option for name, option in shared.items() if name not in DATA_FLAGS]
    return GroupedCommand(
        "matrix",
        help=HELP,
        short_help="Run recipes on several models.",
        callback=body,
        params=[
            click.Argument(["recipes"], metavar="RECIPE...", nargs=-1, required=True),
            GroupedOption(
                ["--on", "pairs"],
                group=DATA,
                multiple=True,
                required=True,
                metavar="MODEL:DATA",
                help="A model and its data. May be repeated.",
            ),
            *about_data,
            *(option_for([dataclasses.replace(alone(flag), default="")], TRAINING) for flag in flags_of(Train)),
            GroupedOption(
                ["-o", "--output"],
                group=OUTPUT,
                default="matrix",
                show_default=True,
                metavar="FOLDER",
                help="Where to write.",
            ),
            GroupedOption(["--force"], group=OUTPUT, is_flag=True, help="Make every cell again."),
            GroupedOption(["--json", "as_json"], group=OUTPUT, is_flag=True, help="Print JSON."),
            *loading,
        ],
    )


command = make_matrix_command()
