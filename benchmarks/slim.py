"""What the packing ``slim`` takes away: bytes before and after, proven bit-equal in each interpreter at hand.

    python -m benchmarks.slim [MODEL.keras | MODEL.h5 | FILE.tflite …] [--tflite-runtime PYTHON]
        [--update docs/benchmarks.md]

Keras models (the demo's always) are converted to every scheme, on random samples: the number of bytes does not depend
on what they are. TensorFlow Lite Micro is asked where it is installed and has all of a file's ops; tflite-runtime wants
a numpy below 2 and so a Python of its own, which is given. With ``--update`` the table replaces what stands between its
markers in that file.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from benchmarks.native_qat import percent, table, update
from tfcompress.demo import MODEL
from tfcompress.errors import ConversionError
from tfcompress.models.loading import load_model
from tfcompress.models.specs import random_inputs
from tfcompress.recipe import Export
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.export import export
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.lower import lower
from tfcompress.tflite.micro.process import digest_in_micro
from tfcompress.tflite.packings import Digest, PackingRecord, pack
from tfcompress.tflite.slim import slim

Scheme = Literal["none", "float16", "dynamic", "int8", "int16x8"]
SAMPLES = 16
SHORT = {"LiteRT's reference kernels": "reference"}
"""What the table calls an interpreter."""
HEAD = ("file", "scheme", "before", "after", "less", "with names kept", "bit-equal in", "proof")


def main(given: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="Keras models, and .tflite files as they are")
    parser.add_argument("--tflite-runtime", metavar="PYTHON", help="a Python that has tflite-runtime")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    options = parser.parse_args(given)
    rows, others = [], dict[str, Digest]()
    if options.tflite_runtime:
        others["tflite-runtime"] = functools.partial(digest_by_child, options.tflite_runtime)
    with ConverterProcess() as converter:
        for name, scheme, content in contents([MODEL, *options.files], converter):
            rows.append(row(name, scheme, content, converter, others))
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
            yield path.stem, "int8, int4 weights", with_few_bits(path, samples, converter)


def with_few_bits(path: Path, samples: Mapping[str, np.ndarray], converter: ConverterProcess) -> bytes:
    """Return the int8 file of a Keras model with kernels of 4 bits; how well it answers is not asked."""
    settings = Export(quantize="int8", weight_bits=4, rounding="nearest", packings=(), min_agreement_db=-100.0)
    made = export(load_model(path).native, settings, data=dict(samples), converter=converter, progress=False)
    return made.content


def digest_by_child(python: str, content: bytes) -> tuple[str, str]:
    """Run a file by tflite-runtime in another Python; return a digest of its outputs, and why it does not run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.tflite"
        path.write_bytes(content)
        child = Path(__file__).with_name("slim_child.py")
        done = subprocess.run([python, str(child), str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        return "", f"it died ({done.returncode}): {done.stderr[-200:]}"
    told = json.loads(done.stdout)
    return told["digest"], told["refusal"]


def row(
    name: str, scheme: str, content: bytes, converter: ConverterProcess, others: Mapping[str, Digest]
) -> tuple[str, ...]:
    """Slim one file and return its line of the table."""
    with InterpreterProcess(content) as interpreter:
        inputs = random_inputs(interpreter.signature, SAMPLES, 0)
    started = time.perf_counter()
    digests = {"tensorflow": converter.digest_in_tensorflow, **others}
    packed, (record,) = pack(content, ["slim"], inputs, digests=digests)
    where = [*(SHORT.get(each, each) for each in record.proven_in), *in_micro(content, packed, inputs)]
    seconds = time.perf_counter() - started
    named = len(slim(content, keep_names=True))
    return (
        name,
        scheme,
        *_sizes(record),
        f"{named:,} B",
        record.dropped or ", ".join(where),
        f"{seconds:.1f} s",
    )


def in_micro(before: bytes, after: bytes, inputs: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Name TensorFlow Lite Micro where it runs a file, and answers the same after slimming."""
    one, refusal = digest_in_micro(inputs, before)
    if not refusal:
        other, second = digest_in_micro(inputs, after)
        yield "TFLM" if one == other else f"NOT in TFLM: {second or 'other outputs'}"


def _sizes(record: PackingRecord) -> tuple[str, str, str]:
    less = 1 - record.after_bytes / record.before_bytes
    return f"{record.before_bytes:,} B", f"{record.after_bytes:,} B", percent(less)


if __name__ == "__main__":
    main()
