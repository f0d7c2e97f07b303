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
    from tfcompress.tflite.flatbuffer import IOTensor


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


def _tflite(path: Path) -> Found:
    from tfcompress.tflite import weights
    from tfcompress.tflite.flatbuffer import read
    from tfcompress.tflite.pack import read_metadata

    content = path.read_bytes()
    flat = read(content)
    about = read_metadata(content) or {}
    facts: dict[str, Any] = {
        "file": str(path),
        "size_bytes": len(content),
        "writer": about.get("tool"),
        "writer_version": about.get("version"),
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


def _show(screen: Terminal, facts: dict[str, Any], columns: list[str], rows: list[list[Any]]) -> None:
    from rich.table import Table

    told = {name: value for name, value in facts.items() if value not in (None, [], {}) or name == "macs"}
    width = max(map(len, told))
    for name, value in told.items():
        screen.out.print(f"{name.replace('_', ' '):<{width}}  {_text(value)}", markup=False, soft_wrap=True)
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    numeric = {"parameters", "nonzero", "macs", "size_bytes", "zeros_fraction", "values", "values_a_channel"}
    for column in columns:
        table.add_column(
            column.removesuffix("_fraction").replace("_", " "),
            justify="right" if column in numeric else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*map(_text, row))
    screen.out.print()
    screen.out.print(table)


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
