"""What the packing ``slim`` takes away: bytes before and after, proven bit-equal in each interpreter at hand.

    python -m benchmarks.slim [MODEL.keras | MODEL.h5 | FILE.tflite …] [--update docs/benchmarks.md]

Keras models (the demo's always) are converted to every scheme, on random samples: the number of bytes does not depend
on what they are. With ``--update`` the table replaces what stands between its markers in that file.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

from benchmarks.native_qat import percent, table, update
from tfcompress.demo import MODEL
from tfcompress.errors import ConversionError
from tfcompress.models.loading import load_model
from tfcompress.models.specs import random_inputs
from tfcompress.recipe import Export
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.lower import lower
from tfcompress.tflite.packings import PackingRecord, pack
from tfcompress.tflite.slim import slim

Scheme = Literal["none", "float16", "dynamic", "int8", "int16x8"]
SAMPLES = 16
HEAD = ("file", "scheme", "before", "after", "less", "with names kept", "bit-equal in", "proof")


def main(given: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="Keras models, and .tflite files as they are")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    options = parser.parse_args(given)
    rows = []
    with ConverterProcess() as converter:
        for name, scheme, content in contents([MODEL, *options.files], converter):
            rows.append(row(name, scheme, content, converter))
            print(" ".join(rows[-1]), flush=True)
    text = table(HEAD, rows)
    print(text)
    if options.update:
        options.update.write_text(update(options.update.read_text(), "files", text, "slim"))


def contents(files: Sequence[Path], converter: ConverterProcess) -> Iterator[tuple[str, str, bytes]]:
    """Go through all files: name, scheme and content; models in every scheme that the converter has for them."""
    for path in files:
        if path.suffix == ".tflite":
            yield path.stem, "", path.read_bytes()
            continue
        with tempfile.TemporaryDirectory() as folder:
            lowered = lower(load_model(path).native, Path(folder) / "model")
            samples = random_inputs(lowered.signature, SAMPLES, 0)
            for scheme in get_args(Scheme):
                settings = Export(quantize=scheme)
                try:
                    content = converter.convert(lowered.folder, settings, samples if settings.needs_data else None)
                except ConversionError as error:
                    print(f"{path.stem} {scheme}: {error}")
                    continue
                yield path.stem, "float32" if scheme == "none" else scheme, content


def row(name: str, scheme: str, content: bytes, converter: ConverterProcess) -> tuple[str, ...]:
    """Slim one file and return its line of the table."""
    with InterpreterProcess(content) as interpreter:
        inputs = random_inputs(interpreter.signature, SAMPLES, 0)
    started = time.perf_counter()
    _, (record,) = pack(content, ["slim"], inputs, digests={"tensorflow": converter.digest_in_tensorflow})
    seconds = time.perf_counter() - started
    named = len(slim(content, keep_names=True))
    return (
        name,
        scheme,
        *_sizes(record),
        f"{named:,} B",
        ", ".join(record.proven_in) or record.dropped,
        f"{seconds:.1f} s",
    )


def _sizes(record: PackingRecord) -> tuple[str, str, str]:
    less = 1 - record.after_bytes / record.before_bytes
    return f"{record.before_bytes:,} B", f"{record.after_bytes:,} B", percent(less)


if __name__ == "__main__":
    main()
