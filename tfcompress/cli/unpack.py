"""``tfcompress unpack``: the ``.tflite`` file in a package."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from tfcompress.cli.options import new_file

HELP = """\
Give back the .tflite file that `tfcompress pack` put into FILE.tfz.

\b
  tfcompress unpack model.tfz
  tfcompress unpack model.tfz -o model.tflite --force

It is the same file byte by byte, or none is written: its sha256 stands in the package.
"""


@click.command("unpack", help=HELP, short_help="Give back what was packed.")
@click.argument("file", metavar="FILE.tfz")
@click.option("-o", "--output", metavar="FILE.tflite", help="Where to write. [default: beside FILE, as .tflite]")
@click.option("--force", is_flag=True, help="Replace the file at -o.")
def command(file: str, output: str | None, force: bool) -> None:
    from tfcompress.files import write_atomic

    source = Path(file)
    checked_target = partial(new_file, output or source.with_suffix(".tflite"), (".tflite",), "a TFLite file")
    checked_target(force=True)  # the name alone: whether the file is there is asked of a package only
    from tfcompress.cli.terminal import terminal
    from tfcompress.tflite.packaging import open_package, read_package

    with terminal() as screen:
        packed = read_package(source)
        target = checked_target(force=force)
        with screen.progress.task("unpacking"):
            content = open_package(packed)
        write_atomic(target, content)
        screen.write(f"{target}: {len(content):,} B\n")
