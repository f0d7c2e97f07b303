"""``tfcompress inspect``: what is in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfcompress.cli.inspected_run import is_run, run_csv, show_run
from tfcompress.cli.micro import Desk, examined, lines_of, micro_target
from tfcompress.cli.options import loading_options, new_file, refuse_loading_flags
from tfcompress.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tfcompress.cli.terminal import Terminal
    from tfcompress.models.probing import FileInfo
    from tfcompress.tflite.flatbuffer import IOTensor


HELP = """\
Show what is in FILE (.tflite, .h5, .keras or a SavedModel): layers or ops, parameters, MACs, dtypes, bytes. Of a run
(a folder that export wrote, or its report.json) its report, and each layer before and after.

\b
  tfcompress inspect model.h5 --csv layers.csv
  tfcompress inspect model-int8.tflite --json
  tfcompress inspect model-int8.tflite --target tflm
  tfcompress inspect model-int8/ --csv layers.csv

A .tflite file is only parsed: nothing in it is run or trusted. With --target it is run on random samples, in a child
process: what it takes of a microcontroller's memory, and whether each op is there.
"""


@click.command("inspect", help=HELP, short_help="Show what is in a file.")
@click.argument("model", metavar="FILE")
@loading_options
@click.option(
    "--target",
    metavar="NAME|FILE.toml",
    help="Run a .tflite file for a microcontroller: tflm, esp32-s3, ethos-u55-128 …",
)
@click.option("--csv", "table", metavar="FILE.csv", help="Write the table of layers (of a .tflite: of ops) to a file.")
@click.option("-f", "--force", is_flag=True, help="Replace an existing FILE.csv.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    model: str, target: str | None, table: str | None, force: bool, as_json: bool, loading: dict[str, Any]
) -> None:
    desk = None if target is None else Desk(target, micro_target(target))
    from tfcompress.cli.terminal import terminal

    if force and table is None:
        msg = "--force would do nothing: there is no --csv"
        raise UsageError(msg)
    written = None if table is None else new_file(table, (".csv",), "a table", force=force, flag="--csv")
    path = Path(model)
    with terminal() as screen:
        if is_run(path):
            _refuse_target(desk, path)
            text = _run(screen, path, loading, as_json=as_json, wants_table=written is not None)
        else:
            text = _model(screen, path, loading, desk, as_json=as_json, wants_table=written is not None)
        if written is not None:
            from tfcompress.files import write_atomic

            write_atomic(written, text)
            if not as_json:
                screen.out.print(f"written: {written}", markup=False, soft_wrap=True)


def _refuse_target(desk: Desk | None, path: Path) -> None:
    """Refuse ``--target`` for what is no .tflite file."""
    if desk is not None:
        msg = f"--target runs .tflite files, and {path} is none; export it with --target {desk.word}"
        raise UsageError(msg)


def _run(screen: Terminal, path: Path, loading: dict[str, Any], *, as_json: bool, wants_table: bool) -> str:
    """Show a run; return its layers as CSV where they are wanted."""
    from tfcompress.reports.report import read_report

    refuse_loading_flags(loading, path, "a run")
    report = read_report(path)
    text = run_csv(report) if wants_table else ""
    show_run(screen, report, as_json=as_json)
    return text


def _model(
    screen: Terminal, path: Path, loading: dict[str, Any], desk: Desk | None, *, as_json: bool, wants_table: bool
) -> str:
    """Show a file; return its layers or ops as CSV where they are wanted."""
    from tfcompress.models.loading import probe
    from tfcompress.reports.layer_changes import to_csv

    info = probe(path)
    if info.kind == "tflite":
        refuse_loading_flags(loading, path)
        facts, columns, rows = _tflite(path)
        if desk is not None:
            facts |= _on_target(path, desk, screen, as_json=as_json)
    else:
        _refuse_target(desk, path)
        with screen.progress.task("loading the model"):
            facts, columns, rows = keras_facts(path, info, loading)
    if as_json:
        listed = [dict(zip(columns, row, strict=True)) for row in rows]
        screen.write(json.dumps({**facts, "kernels" if info.kind == "tflite" else "layers": listed}, indent=1) + "\n")
    else:
        print_found(screen, facts, columns, rows)
    if not wants_table:
        return ""
    if info.kind == "tflite":
        columns, rows = _ops(path)
    return to_csv(columns, [[_text(cell) if isinstance(cell, tuple) else cell for cell in row] for row in rows])


def _ops(path: Path) -> tuple[list[str], list[list[Any]]]:
    """Return a row for each op of the main subgraph of a .tflite file."""
    from tfcompress.tflite import weights
    from tfcompress.tflite.flatbuffer import read_model_file
    from tfcompress.tflite.op_parameters import op_parameters

    flat = read_model_file(path.read_bytes())
    held = op_parameters(flat.subgraphs, weights.facts(flat.subgraphs))
    columns = ["place", "op", "version", "output", "shape", "dtype", "parameters", "nonzero", "macs"]
    rows = []
    for place, (op, own) in enumerate(zip(flat.table(), held, strict=True)):
        shape = tuple(None if size < 0 else size for size in op.shape)
        head = [place, op.op, op.version, op.output, shape, op.dtype, own.parameters, own.nonzero, op.macs]
        rows.append([*head, own.distinct, own.bits, own.size_bytes])
    return [*columns, "distinct_values", "bits", "size_bytes"], rows


Inspection = tuple[dict[str, Any], list[str], list[list[Any]]]


def keras_facts(path: Path, info: FileInfo, loading: dict[str, Any]) -> Inspection:
    """Load a Keras model; return its facts, and a row for each of its layers."""
    from tfcompress.models.loading import load_model
    from tfcompress.models.profile import profile
    from tfcompress.models.signature import signature_of

    loaded = load_model(path, **loading)
    signature = signature_of(loaded.native)
    facts: dict[str, Any] = {
        "file": str(path),
        "size_bytes": info.size_bytes,
        "writer": info.writer,
        "writer_version": info.writer_version,
        "inputs": [{"name": t.name, "dtype": t.dtype, "shape": [None, *t.shape]} for t in signature.inputs],
        "outputs": [{"name": t.name, "dtype": t.dtype, "shape": [None, *t.shape]} for t in signature.outputs],
    }
    notes = [loaded.refusal] if loaded.refusal else []
    columns, rows = ["name"], []
    if loaded.saved_model is None:
        costs = profile(loaded.native)
        facts |= {"parameters": costs.parameters, "nonzero": costs.nonzero, "macs": costs.macs}
        columns = ["name", "type", "output_shape", "parameters", "nonzero", "macs", "dtype"]
        rows = [[getattr(layer, column) for column in columns] for layer in costs.layers]
        if costs.not_counted:
            notes.append(f"the multiply-accumulates of {', '.join(costs.not_counted)} are not counted")
    return {**facts, "notes": notes}, columns, rows


def _on_target(path: Path, desk: Desk, screen: Terminal, *, as_json: bool) -> dict[str, Any]:
    """Run a .tflite file for a microcontroller; return what was found, as values or as sentences."""
    with screen.progress.task(f"trying it for {desk.word}"):
        found = examined(path, desk)
    if as_json:
        return {"on_target": found.to_dict()}
    return {f"on {found.target}": [text for topic, text in lines_of(found) if topic != "ops"]}


def _tflite(path: Path) -> Inspection:
    from tfcompress.tflite import weights
    from tfcompress.tflite.flatbuffer import read_model_file
    from tfcompress.tflite.pack import read_metadata

    content = path.read_bytes()
    flat = read_model_file(content)
    about = read_metadata(content) or {}
    facts: dict[str, Any] = {
        "file": str(path),
        "size_bytes": len(content),
        "writer": about.get("tool"),
        "writer_version": about.get("version"),
        "calibration": about.get("calibration"),
        "inputs": [_stored(tensor) for tensor in flat.inputs],
        "outputs": [_stored(tensor) for tensor in flat.outputs],
        "parameters": flat.parameters,
        "nonzero": flat.nonzero,
        "macs": flat.macs,
        "weights_bytes": weights.bytes_by_dtype(flat.subgraphs),
        "ops": dict(flat.op_counts),
        "ops_by_dtype": weights.ops_by_dtype(flat.subgraphs),
        "notes": [f"multiply-accumulates are not counted: {flat.macs_note}"] if flat.macs_note else [],
    }
    columns = ["kernel", "op", "shape", "dtype", "size_bytes", "zeros_fraction", "values", "values_a_channel"]
    rows = [
        [
            k.name.split(";")[0] or f"kernel {place}",  # a packed file has no names inside its graph
            k.op,
            k.shape,
            k.dtype,
            k.size_bytes,
            k.zeros,
            k.distinct,
            k.distinct_per_channel,
        ]
        for place, k in enumerate(weights.facts(flat.subgraphs))
    ]
    return facts, columns, rows


def _stored(tensor: IOTensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": [None if size < 0 else size for size in tensor.shape],
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }


_NUMERIC = {"parameters", "nonzero", "macs", "size_bytes", "zeros_fraction", "values", "values_a_channel"}
"""Columns of numbers, which stand on the right."""
_SPARED = ("dtype", "nonzero", "values_a_channel", "zeros_fraction", "output_shape", "shape", "values")
"""Columns that a narrow terminal leaves out, in this order."""
_WIDEST = 10_000
"""Columns of characters that no table needs."""
_SUMMED = {"parameters", "nonzero", "macs"}
"""Those of which a nested model's line shows the sum over its layers."""


def print_found(screen: Terminal, facts: dict[str, Any], columns: list[str], rows: list[list[Any]]) -> None:
    """Print what was found of a file: its facts a line each, then its layers or kernels as a table."""
    shown = {name: value for name, value in facts.items() if value not in (None, [], {}) or name == "macs"}
    width = max(map(len, shown))
    for name, value in shown.items():
        screen.out.print(f"{name.replace('_', ' '):<{width}}  {_text(value)}", markup=False, soft_wrap=True)
    if not rows:
        return
    lines = _nested(columns, rows) if columns[0] == "name" else _plain(rows)
    screen.out.print()
    _print_table(screen.out, columns, lines)


def _print_table(console: Console, columns: list[str], lines: list[tuple[Text, list[Any]]]) -> None:
    """Print the table; in a narrow terminal without the columns that matter least, elsewhere as wide as it is."""
    from rich.text import Text

    shown, left = list(columns), [name for name in _SPARED if name in columns]
    wide = _width(console, _table(columns, shown, lines))
    if not console.is_terminal:
        console.width = max(console.width, wide)
    while left and _width(console, _table(columns, shown, lines)) > console.width:
        shown.remove(left.pop(0))
    console.print(_table(columns, shown, lines))
    if gone := [_title(name) for name in columns if name not in shown]:
        console.print(Text(f"no room for {', '.join(gone)}: --json has all columns", style="dim"))


def _width(console: Console, table: Table) -> int:
    from rich.measure import Measurement

    return Measurement.get(console, console.options.update_width(_WIDEST), table).maximum


def _title(column: str) -> str:
    return column.removesuffix("_fraction").replace("_", " ")


def _table(columns: list[str], shown: list[str], lines: list[tuple[Text, list[Any]]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in shown:
        number = column in _NUMERIC
        table.add_column(
            _title(column), justify="right" if number else "left", no_wrap=column != columns[0], overflow="fold"
        )
    for label, row in lines:
        texts = {column: Text(_text(value)) for column, value in zip(columns, row, strict=True)}
        table.add_row(label, *(texts[column] for column in shown[1:]))
    return table


def _plain(rows: list[list[Any]]) -> list[tuple[Text, list[Any]]]:
    from rich.text import Text

    return [(Text(_text(row[0])), row) for row in rows]


def _nested(columns: list[str], rows: list[list[Any]]) -> list[tuple[Text, list[Any]]]:
    """Return each line with its label: layers of a nested model indented below a line with its sums."""
    from rich.text import Text

    from tfcompress.reports.nesting import branches

    found = []
    for branch in branches([row[0] for row in rows]):
        label = Text(branch.indented, style="" if branch.is_layer else "bold")
        if branch.is_layer:
            found.append((label, rows[branch.members.start]))
        else:
            own = [rows[number] for number in branch.members]
            found.append((label, [_sum(own, n) if name in _SUMMED else "" for n, name in enumerate(columns)]))
    return found


def _sum(rows: list[list[Any]], column: int) -> int | None:
    values = [row[column] for row in rows]
    return None if None in values else sum(values)


def _text(value: object) -> str:
    if value is None:
        return "?"
    if isinstance(value, dict):
        return _tensor(value) if "shape" in value else ", ".join(f"{key} {count}" for key, count in value.items())
    if isinstance(value, list):
        return "; ".join(map(_text, value))
    if isinstance(value, tuple):
        return "x".join("any" if size is None else str(size) for size in value)
    if isinstance(value, float):
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _tensor(tensor: dict[str, Any]) -> str:
    sizes = ", ".join("any" if size is None else str(size) for size in tensor["shape"])
    quantized = f" scale {tensor['scale']:.6g} zero point {tensor['zero_point']}" if tensor.get("scale") else ""
    return f"{tensor['name']} {tensor['dtype']} ({sizes}){quantized}"
