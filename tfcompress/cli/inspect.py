"""``tfcompress inspect``: what is in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfcompress.cli.options import loading_options, refuse_loading_flags

if TYPE_CHECKING:
    from tfcompress.cli.terminal import Terminal
    from tfcompress.models.probing import FileInfo


HELP = """\
Show what is in FILE (.tflite, .h5, .keras or a SavedModel): layers or ops, parameters, MACs, dtypes, bytes.

\b
  tfcompress inspect model.h5
  tfcompress inspect model-int8.tflite --json

A .tflite is read by a parser of our own, which neither runs nor trusts it.
"""


@click.command("inspect", help=HELP, short_help="Show what is in a file.")
@click.argument("model", metavar="FILE")
@loading_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: str, as_json: bool, loading: dict[str, Any]) -> None:
    from tfcompress.cli.terminal import terminal

    with terminal() as screen:
        from tfcompress.models.loading import probe

        path = Path(model)
        info = probe(path)
        if info.kind == "tflite":
            refuse_loading_flags(loading, path)
            facts, columns, rows = _tflite(path)
        else:
            with screen.progress.task("loading the model"):
                facts, columns, rows = _keras(path, info, loading)
        if as_json:
            listed = [dict(zip(columns, row, strict=True)) for row in rows]
            screen.write(
                json.dumps({**facts, "kernels" if info.kind == "tflite" else "layers": listed}, indent=1) + "\n"
            )
            return
        _show(screen, facts, columns, rows)


Found = tuple[dict[str, Any], list[str], list[list[Any]]]


def _keras(path: Path, info: FileInfo, loading: dict[str, Any]) -> Found:
    from tfcompress.models.loading import load
    from tfcompress.models.profile import profile
    from tfcompress.models.signature import signature_of

    loaded = load(path, **loading)
    signature = signature_of(loaded.native)
    facts: dict[str, Any] = {
        "file": str(path),
        "size_bytes": info.size_bytes,
        "written_by": " ".join(part for part in (info.writer, info.writer_version) if part),
        "inputs": [_tensor(spec) for spec in signature.inputs],
        "outputs": [_tensor(spec) for spec in signature.outputs],
    }
    if loaded.refusal:
        facts["limits"] = loaded.refusal
    if loaded.saved_model is not None:
        return facts, ["name"], []
    costs = profile(loaded.native)
    facts |= {"parameters": costs.parameters, "nonzero": costs.nonzero, "macs": costs.macs}
    if costs.not_counted:
        facts["macs_not_counted_in"] = list(costs.not_counted)
    columns = ["name", "type", "output_shape", "parameters", "nonzero", "macs", "dtype"]
    return facts, columns, [[getattr(layer, column) for column in columns] for layer in costs.layers]


def _tensor(spec: Any) -> str:
    return f"{spec.name} {spec.dtype} ({', '.join('any' if size is None else str(size) for size in spec.shape)})"


def _tflite(path: Path) -> Found:
    from tfcompress.tflite import weights
    from tfcompress.tflite.flatbuffer import read
    from tfcompress.tflite.pack import read_metadata

    content = path.read_bytes()
    flat = read(content)
    facts: dict[str, Any] = {
        "file": str(path),
        "size_bytes": len(content),
        "inputs": [str(tensor) for tensor in flat.inputs],
        "outputs": [str(tensor) for tensor in flat.outputs],
        "parameters": flat.parameters,
        "nonzero": flat.nonzero,
        "macs": flat.macs,
        "weights_bytes": weights.bytes_by_dtype(flat.subgraphs),
        "ops": dict(flat.op_counts),
        "ops_by_dtype": weights.ops_by_dtype(flat.subgraphs),
    }
    about = read_metadata(content)
    if about:
        facts["made_by"] = f"{about.get('tool')} {about.get('version')}"
    columns = ["kernel", "op", "shape", "dtype", "size_bytes", "zeros", "values", "values_a_channel"]
    rows = [
        [
            k.name.split(";")[0] or f"kernel {place}",  # a packed file has no names inside its graph
            k.op,
            k.shape,
            k.dtype,
            k.size_bytes,
            f"{k.zeros:.1%}",
            k.distinct,
            k.distinct_per_channel,
        ]
        for place, k in enumerate(weights.facts(flat.subgraphs))
    ]
    return facts, columns, rows


def _show(screen: Terminal, facts: dict[str, Any], columns: list[str], rows: list[list[Any]]) -> None:
    from rich.table import Table

    width = max(map(len, facts))
    for name, value in facts.items():
        screen.out.print(f"{name.replace('_', ' '):<{width}}  {_text(value)}", markup=False, soft_wrap=True)
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    numeric = {"parameters", "nonzero", "macs", "size_bytes", "zeros", "values", "values_a_channel"}
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right" if column in numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_text, row))
    screen.out.print()
    screen.out.print(table)


def _text(value: object) -> str:
    if value is None:
        return "?"
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    if isinstance(value, list):
        return "; ".join(map(str, value))
    if isinstance(value, tuple):
        return "x".join("any" if size is None else str(size) for size in value)
    return f"{value:,}" if isinstance(value, int) else str(value)
