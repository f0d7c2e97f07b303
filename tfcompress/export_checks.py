"""What the settings of an export may not be: values out of range, or that contradict each other."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tfcompress.errors import RecipeError, nearest
from tfcompress.export_choices import (
    AUTO,
    CALIBRATIONS,
    CORRECTIONS,
    PACKINGS,
    ROUNDINGS,
    RUNTIMES,
    WITHOUT_FOUR_BITS,
)
from tfcompress.input_ranges import read_input_ranges
from tfcompress.limits import LATENCY_UNITS, SIZE_UNITS, read_limit, read_size
from tfcompress.schema import check_fields, check_value, pick

if TYPE_CHECKING:
    from tfcompress.settings import Export


def check_export(export: Export) -> None:
    """Reject values that are out of range or contradict each other.

    Raises:
        RecipeError: with the field, what it may be, and what it is.
    """
    check_fields(export, "export")
    check_value("export.samples", "at least 1", export.samples, ok=export.samples is None or export.samples >= 1)
    possible: dict[str, tuple[str, ...]] = {
        "int8": ("auto", "float32", "int8", "uint8"),
        "int16x8": ("auto", "float32", "int16"),
    }
    allowed = possible.get(export.quantize, ("auto", "float32"))
    text = f"one of {', '.join(map(repr, allowed))} with quantize {export.quantize!r}"
    check_value("export.io", text, export.io, ok=export.io in allowed)
    for runtime in export.runtimes:
        _check_runtime(runtime)
    text = f"false with quantize {export.quantize!r}: look-up tables hold int8 kernels"
    check_value("export.lookup", text, export.lookup, ok=export.quantize == "int8" or not export.lookup)
    _check_choices(export)
    _check_target(export)
    _check_streaming(export)


def _check_streaming(export: Export) -> None:
    """Check what a streaming file can be."""
    allowed = "false with quantize 'int16x8': states would have two scales"
    fits = not export.streaming or export.quantize != "int16x8"
    check_value("export.streaming", allowed, export.streaming, ok=fits)
    allowed = "false with mixed, which chooses numbers for the ops of the file of the whole window"
    check_value("export.streaming", allowed, export.streaming, ok=not (export.streaming and export.mixed))
    useful = export.streaming or export.hop is None
    check_value("export.hop", "left out without streaming", export.hop, ok=useful)
    check_value("export.hop", "at least 1", export.hop, ok=export.hop is None or export.hop >= 1)
    useful = export.streaming or export.state == "external"
    check_value("export.state", "'external' without streaming", export.state, ok=useful)


def _check_target(export: Export) -> None:
    """Check what the target has, and its limits."""
    found = export.deployment
    reason = found.why_not(export.quantize)
    if reason:
        msg = (
            f"export.quantize must be one of {', '.join(map(repr, found.schemes))} with target {export.target!r}, "
            f"got {export.quantize!r}: {reason}"
        )
        raise RecipeError(msg)
    useful = not (found.micro and export.select_ops)
    allowed = f"false with target {export.target!r}, which has no TensorFlow ops"
    check_value("export.select_ops", allowed, export.select_ops, ok=useful)
    allowed = "false without a target for microcontrollers (tflm, say)"
    check_value("export.c_array", allowed, export.c_array, ok=found.micro or not export.c_array)
    allowed = f"false with target {export.target!r}, whose compiler packs kernels itself"
    check_value("export.lookup", allowed, export.lookup, ok=not (found.accelerator and export.lookup))
    eight = f"with target {export.target!r}, which computes with weights of 8 bits"
    wide = export.weight_bits == 8 or not found.accelerator
    check_value("export.weight_bits", f"8 {eight}", export.weight_bits, ok=wide)
    allowed = f"false {eight}, and floats not at all"
    check_value("export.mixed", allowed, export.mixed, ok=not (found.accelerator and export.mixed))
    for name in ("max_arena", "max_flash"):
        text = getattr(export, name)
        allowed = "empty without a target for microcontrollers (tflm, say)"
        check_value(f"export.{name}", allowed, text, ok=found.micro or not text)
        try:
            read_size(text or "1")
        except ValueError as error:
            check_value(f"export.{name}", str(error), text, ok=False)


def _check_choices(export: Export) -> None:
    """Check what goes by a table's names, and whether it would do anything."""
    pick("export.calibration", CALIBRATIONS, export.calibration)
    chosen = export.calibration in (AUTO, "minmax") or export.quantize == "int8"
    check_value("export.calibration", f"'minmax' with quantize {export.quantize!r}", export.calibration, ok=chosen)
    _check_corrections(export)
    _check_range(export)
    _check_mixed(export)
    once = len(set(export.packings)) == len(export.packings)
    check_value("export.packings", "names, each at most once", export.packings, ok=once)
    useful = bool(export.packings) or not export.keep_names
    check_value("export.keep_names", "false without packings", export.keep_names, ok=useful)
    for name in export.packings:
        opens = pick("export.packings item", PACKINGS, name).runtimes
        for text in export.runtimes:
            allowed = f"one of those that open {name!r} files ({', '.join(opens)})"
            check_value("export.runtimes item", allowed, text, ok=_runtime_name(text) in opens)
    possible = export.max_drop is None or 0 < export.max_drop < math.inf
    check_value("export.max_drop", "above 0", export.max_drop, ok=possible)


def _check_corrections(export: Export) -> None:
    for name in export.correct:
        pick("export.correct item", CORRECTIONS, name)
    useful = not export.correct or export.quantize == "int8"
    check_value("export.correct", f"empty with quantize {export.quantize!r}", export.correct, ok=useful)
    if export.rounding is not None:
        pick("export.rounding", ROUNDINGS, export.rounding)
    useful = export.rounding in (None, "nearest") or export.quantize == "int8"
    check_value("export.rounding", f"'nearest' with quantize {export.quantize!r}", export.rounding, ok=useful)
    useful = export.weight_bits == 8 or export.quantize == "int8"
    check_value("export.weight_bits", f"8 with quantize {export.quantize!r}", export.weight_bits, ok=useful)
    for text in export.runtimes if export.weight_bits == 4 else ():
        fits = _runtime_name(text) not in WITHOUT_FOUR_BITS
        allowed = "one that computes kernels of 4 bits rightly with weight_bits 4 (litert or tensorflow)"
        check_value("export.runtimes item", allowed, text, ok=fits)
    families = [CORRECTIONS[name].family for name in export.correct]
    once = len(set(families)) == len(families)
    check_value("export.correct", "at most one of those that do the same", export.correct, ok=once)


def _check_range(export: Export) -> None:
    given = export.input_range
    try:
        read_input_ranges(given)
    except ValueError as error:
        check_value("export.input_range", str(error), given, ok=False)
    useful = not given or export.quantize == "int8"
    check_value("export.input_range", f"empty with quantize {export.quantize!r}", given, ok=useful)


def _check_mixed(export: Export) -> None:
    useful = not export.mixed or export.quantize == "int8"
    allowed = f"false with quantize {export.quantize!r}: it gives ops of an 'int8' file other numbers"
    check_value("export.mixed", allowed, export.mixed, ok=useful)
    chosen = export.mixed and export.weight_bits != 8
    allowed = "left out with mixed, which chooses the bits of each layer's weights itself"
    check_value("export.weight_bits", allowed, export.weight_bits, ok=not chosen)
    for name, units in (("max_size", SIZE_UNITS), ("max_latency", LATENCY_UNITS)):
        text = getattr(export, name)
        check_value(f"export.{name}", "empty without mixed", text, ok=export.mixed or not text)
        if text:
            _check_limit(f"export.{name}", text, units)
    useful = bool(export.max_latency) or export.device == type(export).device
    check_value("export.device", f"{type(export).device!r} without max_latency", export.device, ok=useful)
    check_value("export.plans", "at least 1", export.plans, ok=export.plans >= 1)
    useful = export.mixed or export.plans == type(export).plans
    check_value("export.plans", f"{type(export).plans} without mixed", export.plans, ok=useful)


def _check_runtime(text: str) -> None:
    found = re.fullmatch(r"\s*([A-Za-z_-]+)\s*(?:>=\s*\d+(?:\.\d+)*\s*)?", text)
    name = _runtime_name(text)
    allowed = f"one of {', '.join(f'{known}>=VERSION' for known in RUNTIMES)}{nearest(name, RUNTIMES)}"
    check_value("export.runtimes item", allowed, text, ok=found is not None and name in RUNTIMES)


def _check_limit(where: str, text: str, units: Mapping[str, float]) -> None:
    try:
        read_limit(text, units)
    except ValueError as error:
        check_value(where, str(error), text, ok=False)


def _runtime_name(text: str) -> str:
    return text.partition(">")[0].strip().replace("_", "-")
