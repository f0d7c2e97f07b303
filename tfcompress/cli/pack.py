"""``tfcompress pack``: a ``.tflite`` file in fewer bytes for the download."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfcompress.cli.options import new_file

if TYPE_CHECKING:
    from tfcompress.tflite.packaging import Package

HELP = """\
Pack FILE.tflite for the way to the device; edge_runner takes FILE.tfz as it is, and `tfcompress unpack` gives it back.

\b
  tfcompress pack model-int8/model-int8.tflite
  tfcompress pack model.tflite -o model.tfz --json

The file that comes out again is the same byte by byte, held by its sha256. Kernels are stored as the numbers of the
values that occur in them, so clustered and pruned files gain most (`export --cluster 8 --qat`).
What other codecs would make of the file stands beside it.
"""


EXTRA = "tfcompress[codecs]"
"""What installs the codecs that Python does not bring."""


@click.command("pack", help=HELP, short_help="Pack a file for the download.")
@click.argument("file", metavar="FILE.tflite")
@click.option("-o", "--output", metavar="FILE.tfz", help="Where to write. [default: beside FILE, as .tfz]")
@click.option("--force", is_flag=True, help="Replace the file at -o.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: str, output: str | None, force: bool, as_json: bool) -> None:
    from tfcompress.cli.terminal import terminal
    from tfcompress.files import sha256, write_atomic

    source = Path(file)
    target = new_file(output or source.with_suffix(".tfz"), (".tfz",), "a package", force=force)
    with terminal() as screen:
        from tfcompress.tflite.flatbuffer import read_model_file
        from tfcompress.tflite.packaging import file_content, make_package, other_codecs
        from tfcompress.tflite.weights import facts

        content = file_content(source)
        package = make_package(content, screen.progress)
        write_atomic(target, package.content)
        sizes = {**package.codec_bytes, **other_codecs(content)}
        kernels = facts(read_model_file(content).subgraphs)
        stored = sum(each.size_bytes for each in kernels)
        bound = sum(each.size_bytes if each.entropy_bytes is None else each.entropy_bytes for each in kernels)
        if as_json:
            told = {
                "file": str(source),
                "sha256": sha256(content),
                "package": str(target),
                "codec": package.codec,
                "size_bytes": package.raw_bytes,
                "package_bytes": len(package.content),
                "codec_bytes": sizes,
                "kernel_bytes": stored,
                "entropy_bytes": bound,
            }
            screen.write(json.dumps(told, indent=1) + "\n")
            return
        screen.write(_table(package, sizes))
        screen.write(
            f"kernels: {stored:,} B in the file; coded by the frequencies of their values alone, {bound:,} B at best\n"
        )
        screen.write(f"{target}: {len(package.content):,} B\n")


def _table(package: Package, sizes: Mapping[str, int | None]) -> str:
    """Return what a person reads: each codec's size and its share of the file, the one kept marked."""
    rows = [("as it is", package.raw_bytes, "")]
    measured = {name: size for name, size in sizes.items() if size is not None and name != "stored"}
    for name, size in sorted(measured.items(), key=lambda item: -item[1]):
        rows.append((name, size, "  kept" if name == package.codec else ""))
    lacking = [name for name, size in sizes.items() if size is None]
    said = f"not installed: {', '.join(lacking)} (pip install '{EXTRA}')\n" if lacking else ""
    lines = [f"{name:>10}  {size:>12,} B  {size / package.raw_bytes:>6.1%}{note}\n" for name, size, note in rows]
    return "".join((*lines, said))
