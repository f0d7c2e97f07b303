"""``tfcompress explore``: a run by op, for Model Explorer."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfcompress.errors import UsageError

if TYPE_CHECKING:
    from tfcompress.reports.run_records import RunRecord

HELP = """\
Write what a run knows of each op of its file, for Model Explorer (pip install ai-edge-model-explorer) to colour by.

\b
  tfcompress explore model-int8/ -o explore/
  tfcompress explore model-int8/ pi.json -o explore/
  model-explorer model-int8/model-int8.tflite --node_data_paths explore/error.json,explore/bits.json

RUN is a folder that export wrote. Written are error.json (signal to noise of each layer against the Keras model, in
dB), bits.json (of each kernel) and, where a measurement by edge_runner with --per-op is beside the report or given,
time.json (ms). Model Explorer is not needed to write them.
"""


@click.command("explore", help=HELP, short_help="Write a run by op for Model Explorer.")
@click.argument("run", metavar="RUN")
@click.argument("measured", metavar="[EDGE.json]...", nargs=-1)
@click.option("-o", "--output", metavar="FOLDER", help="Where to write. [default: RUN-explore]")
@click.option("-f", "--force", is_flag=True, help="Replace files that are there.")
def command(run: str, measured: tuple[str, ...], output: str | None, force: bool) -> None:
    from tfcompress.cli.terminal import terminal
    from tfcompress.reports.run_records import read_runs

    with terminal() as screen:
        found = read_runs([Path(run), *map(Path, measured)])
        if len(found.records) != 1:
            msg = f"explore is about one run, and {run!r} holds {len(found.records)}; name one of them"
            raise UsageError(msg)
        for note in found.notes:
            screen.progress.note(note)
        (record,) = found.records
        file, texts = _texts(record)
        target = Path(output) if output else Path(f"{Path(run).resolve().name}-explore")
        _write(target, texts, force=force)
        paths = ",".join(str(target / f"{name}.json") for name in texts)
        screen.write(f"written: {paths.replace(',', ', ')}\n")
        screen.write(f"to look at: model-explorer {shlex.quote(str(file))} --node_data_paths {shlex.quote(paths)}\n")


def _texts(record: RunRecord) -> tuple[Path, dict[str, str]]:
    """Return the run's file, and what to write of it.

    Raises:
        UsageError: no file beside the report, another one, or a report without layers.
    """
    from tfcompress.reports.node_data import node_data
    from tfcompress.reports.run_records import read_result_file
    from tfcompress.tflite.flatbuffer import read_model_file
    from tfcompress.tflite.weights import bits_by_op

    result = record.report.result
    content = read_result_file(record.folder, record.report)
    if not result.layers:
        msg = f"the report of {result.name} was written before reports had layers (format 6); export again"
        raise UsageError(msg)
    bits = bits_by_op(read_model_file(content).subgraphs[0])
    return record.folder / result.name, node_data(record.report, bits)


def _write(target: Path, texts: dict[str, str], *, force: bool) -> None:
    from tfcompress.errors import OutputError
    from tfcompress.files import output_errors, write_atomic

    files = {target / f"{name}.json": text for name, text in texts.items()}
    there = next((file for file in files if file.exists()), None)
    if there is not None and not force:
        msg = f"{there} exists already; give --force to replace it, or choose another place with -o"
        raise OutputError(msg)
    with output_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        write_atomic(file, text)
