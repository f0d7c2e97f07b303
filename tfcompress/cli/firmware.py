"""``tfcompress firmware``: a ``.tflite`` file as sources for a microcontroller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfcompress.cli.options import data_options, open_data, refuse_lonely_flags
from tfcompress.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from tfcompress.firmware.package import Firmware

HELP = """\
Write FILE.tflite as C and C++ sources for a firmware with TensorFlow Lite Micro.

\b
  tfcompress firmware model-int8/model-int8.tflite
  tfcompress firmware model.tflite -o net/ --name net --data data.npz --scale 1/255 --samples 3
  tfcompress firmware model.tflite --arduino --esp-idf

The folder holds the file as an array (NAME.h, NAME.cc), the ops to register (NAME_ops.h), the arena's size, functions
that quantize inputs and dequantize outputs, golden inputs and outputs (NAME_golden.h), and a test that runs one against
the other (NAME_golden_test.h, main_test.cc). With tflite-micro installed the file is run in it, and the arena measured.
"""


@click.command("firmware", help=HELP, short_help="Sources for a microcontroller.")
@click.argument("file", metavar="FILE.tflite")
@data_options
@click.option("-o", "--output", metavar="FOLDER", help="Where to write. [default: beside FILE, FILE-firmware]")
@click.option("--name", metavar="NAME", default="model", show_default=True, help="What files and names begin with.")
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Golden samples: the first of the test split of --data, or drawn by --seed.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draws golden inputs.")
@click.option(
    "--lookup", is_flag=True, help="Store kernels with few values as look-up tables first, where that is smaller."
)
@click.option("--arduino", is_flag=True, help="An Arduino library, too.")
@click.option("--esp-idf", is_flag=True, help="An ESP-IDF project with the model as its component, too.")
@click.option("--force", is_flag=True, help="Replace the folder at -o.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    file: str,
    output: str | None,
    name: str,
    samples: int,
    seed: int,
    lookup: bool,
    arduino: bool,
    esp_idf: bool,
    force: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    refuse_lonely_flags(flags)
    from tfcompress.cli.terminal import terminal
    from tfcompress.files import check_target, output_folder, sha256, write_atomic

    source = Path(file)
    target = Path(output) if output else source.with_name(f"{source.stem}-firmware")
    check_target(target, force=force)
    asked = [layout for layout, wanted in (("arduino", arduino), ("esp-idf", esp_idf)) if wanted]
    with terminal() as screen:
        from tfcompress.firmware.package import make_firmware
        from tfcompress.tflite.lookup_tables import SUFFIX, with_lookup_tables
        from tfcompress.tflite.packaging import file_content

        content = file_content(source)
        values, told = (None, "") if flags["data"] is None else golden_samples(content, flags, samples)
        if lookup:
            with screen.progress.task("writing look-up tables"):
                content = with_lookup_tables(content, values, seed=seed).content
        with screen.progress.task("running the golden samples"):
            made = make_firmware(
                content,
                name=name,
                source=source.name,
                samples=samples,
                seed=seed,
                values=values,
                values_from=told,
                layouts=asked,
            )
        with output_folder(target, key=sha256(content), force=force) as folder:
            made.save(folder)
            if lookup:
                write_atomic(folder / f"{source.stem}{SUFFIX}", content)
            facts = json.dumps(_facts(source, target, made), indent=1) + "\n"
            write_atomic(folder / "firmware.json", facts)
        screen.write(facts if as_json else _table(target, made))


def golden_samples(content: bytes, flags: dict[str, Any], count: int) -> tuple[dict[str, np.ndarray], str]:
    """Return the first samples of the test split of the data, by input name, and where they come from.

    Raises:
        DataError: data that cannot be read, or does not fit the file.
        UsageError: data without a test split.
    """
    from tfcompress.models.specs import Signature
    from tfcompress.tflite.flatbuffer import read_model_file
    from tfcompress.tflite.interpret import signature_of_file

    signature: Signature = signature_of_file(read_model_file(content))
    bound = open_data(**flags).bind(signature, holdout=None)
    if bound.test is None:
        msg = f"golden samples come from a test split, and --data {flags['data']} has none"
        raise UsageError(msg)
    inputs, _ = next(iter(bound.test.batches(count)))
    return dict(inputs), f"test samples of {bound.dataset.source}"


def _facts(source: Path, target: Path, made: Firmware) -> dict[str, object]:
    return {
        "file": str(source),
        "sha256": made.sha256,
        "size_bytes": made.size_bytes,
        "folder": str(target),
        "ops": list(made.methods),
        "arena": {
            "size_bytes": made.arena.size_bytes,
            "needed_bytes": made.arena.needed_bytes,
            "measured": made.arena.measured,
            "how": made.arena.how,
        },
        "golden": {
            "samples": made.golden.samples,
            "inputs": made.golden.inputs_from,
            "outputs": made.golden.outputs_from,
            "tflite_micro_difference": made.golden.micro_steps,
        },
        "files": sorted(made.texts),
    }


def _table(target: Path, made: Firmware) -> str:
    """Return what a person reads."""
    rows = [
        ("flash", f"{made.size_bytes:,} B for the model, without kernels and golden samples"),
        ("arena", f"{made.arena.size_bytes:,} B: {made.arena.how}"),
        ("ops", ", ".join(method.removeprefix("Add") for method in made.methods)),
        (
            "golden",
            f"{made.golden.samples} sample(s), {made.golden.inputs_from}; outputs from {made.golden.outputs_from}",
        ),
    ]
    if made.golden.micro_steps is not None:
        same = "equal" if made.golden.micro_steps == 0 else f"apart by {made.golden.micro_steps:.6g} at most"
        rows.append(("", f"in tflite-micro: {same}"))
    rows.append(("written", f"{target}: {', '.join(sorted(path for path in made.texts if '/' not in path))}"))
    rows += [("", f"{target / layout}") for layout in sorted({p.split("/")[0] for p in made.texts if "/" in p})]
    return "".join(f"{name:>8}  {text}\n" for name, text in rows)
