"""``tfcompress runner``: edge_runner as a folder to copy to a device."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from tfcompress.errors import OutputError
from tfcompress.files import output_errors

HELP = """\
Put a copy of the edge_runner folder into FOLDER, to be copied on to a device.

\b
  tfcompress runner
  scp -r edge_runner model-int8/ pi:
  ssh pi python3 edge_runner model-int8/model-int8.tflite --data model-int8/test-samples.npz

It is plain Python (3.9 and later) and needs numpy and one of ai-edge-litert, tflite-runtime, tensorflow there.
"""


@click.command("runner", help=HELP, short_help="Copy edge_runner.")
@click.option(
    "-o", "--output", default=".", show_default=True, metavar="FOLDER", help="Where to put the edge_runner folder."
)
def command(output: str) -> None:
    from tfcompress.devices.local import runner_folder

    target = Path(output) / "edge_runner"
    if target.exists():
        msg = f"{target} exists already; remove it, or choose another place with -o"
        raise OutputError(msg)
    with output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(runner_folder(), target, ignore=shutil.ignore_patterns("__pycache__"))
    click.echo(target)
