"""``tfcompress pack``: a ``.tflite`` file in fewer bytes for the download."""

from __future__ import annotations

import json
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

The file that comes out again is the same byte by byte, held by its sha256. Kernels are told by the numbers of the
values that occur in them, so clustered and pruned files gain most (`export --cluster 8 --cluster-per-channel --qat`).
What other codecs would make of the file stands beside it.
"""


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
        from tfcompress.tflite.packaging import file_content, make_package

        content = file_content(source)
        package = make_package(content, screen.progress)
        write_atomic(target, package.content)
        if as_json:
            screen.write(json.dumps(_facts(source, target, package, sha256(content)), indent=1) + "\n")
            return
        screen.write(_table(target, package))


def _facts(source: Path, target: Path, package: Package, sha256: str) -> dict[str, object]:
    return {
        "file": str(source),
        "sha256": sha256,
        "package": str(target),
        "codec": package.codec,
        "size_bytes": package.raw_bytes,
        "package_bytes": len(package.content),
        "codec_bytes": package.codec_bytes,
        "kernel_bytes": package.kernel_bytes,
        "entropy_bytes": package.entropy_bytes,
    }


def _table(target: Path, package: Package) -> str:
    """Return what a person reads: each codec's size and its share of the file, the one kept marked."""
    rows = [("as it is", package.raw_bytes, "")]
    for name, size in sorted(package.codec_bytes.items(), key=lambda item: -item[1]):
        if name != "stored":
            rows.append((name, size, "  kept" if name == package.codec else ""))
    lines = [f"{name:>10}  {size:>12,} B  {size / package.raw_bytes:>6.1%}{note}\n" for name, size, note in rows]
    bound = (
        f"kernels: {package.kernel_bytes:,} B in the file; told by the frequencies of their values alone, "
        f"{package.entropy_bytes:,} B at best\n"
    )
    return "".join(lines) + bound + f"{target}: {len(package.content):,} B\n"
