"""Every target by its name, and the way to a user's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tfcompress import plain
from tfcompress.errors import RecipeError, nearest
from tfcompress.schema import fill
from tfcompress.targets.target import ACCELERATORS, Target

LINUX = "linux"
"""The target of those who name none."""

NPU_WIDTH = 16
"""Channels that an Ethos-U lays side by side; other widths are filled up to the next multiple."""

NPU_SOURCE = (
    "an Ethos-U lays so many side by side; by Vela's estimate for each of them, three 3 x 3 convolutions of 17 "
    "channels take 2.1 to 3.0 times the cycles of 16"
)
CORTEX_SOURCE = (
    "CMSIS-NN's int8 kernels of July 2026, in instructions of an emulated Cortex-M4 over 8 x 8 places: 1 x 1 "
    "convolutions of 15 channels take 84 thousand, of 16 channels 73; depthwise ones, 3 x 3, 84 and 79"
)
"""Counted, not timed; kernels of other chips were not looked at."""
ESP_SOURCE = (
    "the source of ESP-NN 1.2.3, not measured: for other numbers 1 x 1 convolutions take a slower way, and depthwise "
    "ones with a filter a channel are plain C"
)

SUFFIX = ".toml"


def _accelerated(accelerator: str) -> Target:
    title = accelerator.removeprefix("ethos-").upper()
    return Target(
        name=accelerator,
        about=f"Arm Ethos-{title}, beside a Cortex-M with TensorFlow Lite Micro: proven in TFLM, compiled by Vela.",
        runtime="tflm",
        accelerator=accelerator,
        quantize=("int8", "int16x8"),
        round_to=NPU_WIDTH,
        round_to_source=NPU_SOURCE,
    )


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        LINUX: Target(name=LINUX, about="LiteRT on Linux: a PC, a Raspberry Pi."),
        "tflm": Target(
            name="tflm",
            about="TensorFlow Lite Micro on any chip, without limits of its own: --max-arena and --max-flash set them.",
            runtime="tflm",
            round_to=4,
            round_to_source=CORTEX_SOURCE,
        ),
        "esp32-s3": Target(
            name="esp32-s3",
            about="ESP32-S3 with TensorFlow Lite Micro: the arena must fit into its 512 KiB of SRAM.",
            runtime="tflm",
            ram="512KiB",
            round_to=8,
            round_to_source=ESP_SOURCE,
        ),
        **{accelerator: _accelerated(accelerator) for accelerator in ACCELERATORS},
    }
)
"""Every target that comes with tfcompress."""


def find_target(name_or_path: str, where: str = "target") -> Target:
    """Return a target by its name, or from a ``.toml`` file whose keys are the fields of :class:`Target`.

    Args:
        name_or_path: what the user gave.
        where: how messages call it.

    Raises:
        RecipeError: no such name or file, a file that is not TOML, an unknown key, or a value out of range.
    """
    if name_or_path in TARGETS:
        return TARGETS[name_or_path]
    if not name_or_path.endswith(SUFFIX):
        msg = (
            f"{where} must be one of {', '.join(TARGETS)}, or the path of a {SUFFIX} file, "
            f"got {name_or_path!r}{nearest(name_or_path, TARGETS)}"
        )
        raise RecipeError(msg)
    path = Path(name_or_path)
    try:
        table = plain.parse_toml(plain.read_text(path, plain.TOML_BYTES))
    except OSError as error:
        msg = f"{where} {name_or_path!r} cannot be read: {error.strerror}"
        raise RecipeError(msg) from error
    except ValueError as error:
        msg = f"{where} {name_or_path!r} is not TOML: {error}"
        raise RecipeError(msg) from error
    try:
        found = fill(Target, table, "target")
    except RecipeError as error:
        msg = f"{where} {name_or_path!r}: {error}"
        raise RecipeError(msg) from error
    return found if found.name else dataclasses.replace(found, name=path.stem)
