"""``model.h`` and ``model.cc``: the file as an array, and how its inputs and outputs stand for real numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfcompress.firmware.arena_size import ArenaSize
from tfcompress.firmware.c_text import byte_lines, comment, float_literal
from tfcompress.firmware.ports import Port

ALIGNMENT = 16
"""Bytes that the array lies on a multiple of, as TensorFlow Lite's schema asks."""


def model_header(name: str, about: str, size_bytes: int, arena: ArenaSize, ports: Sequence[Port]) -> str:
    """Return the header, which C99 and C++11 compilers read.

    Args:
        name: what the names in it begin with.
        about: which file it is, in one line.
        size_bytes: of the file.
        arena: for it.
        ports: its inputs, then its outputs.
    """
    big, guard = name.upper(), f"{name.upper()}_H_"
    parts = [
        f"/* {comment(about)} */\n#ifndef {guard}\n#define {guard}\n\n",
        "#include <math.h>\n#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n\n",
        '#ifdef __cplusplus\nextern "C" {\n#endif\n\n',
        f"/* The .tflite file, on a multiple of {ALIGNMENT} bytes. */\n",
        f"#define {big}_SIZE_BYTES {size_bytes}u\n",
        f"extern const unsigned char {name}_data[{big}_SIZE_BYTES];\n\n",
        f"/* Arena for TensorFlow Lite Micro: {comment(arena.how)}. */\n",
        f"#define {big}_ARENA_BYTES {arena.size_bytes}u\n\n",
        *(_port_text(name, port) for port in ports),
        f"#ifdef __cplusplus\n}}\n#endif\n\n#endif /* {guard} */\n",
    ]
    return "".join(parts)


def model_source(name: str, about: str, content: bytes) -> str:
    """Return the C++ source of the array.

    Args:
        name: what the header is called, and what the names in it begin with.
        about: which file it is, in one line.
        content: the file.
    """
    return (
        f'/* {comment(about)} */\n#include "{name}.h"\n\n'
        f"alignas({ALIGNMENT}) const unsigned char {name}_data[{name.upper()}_SIZE_BYTES] = {{\n"
        f"{byte_lines(content)}}};\n"
    )


def _port_text(name: str, port: Port) -> str:
    """Return the macros of an input or output, and its two functions where it is quantized."""
    stem = f"{name}_{port.kind}_{port.place}"
    shape = " x ".join(map(str, port.shape)) or "one number"
    text = (
        f"/* {port.kind.capitalize()} {port.place}, {comment(port.name)!r}: {shape} of {port.dtype}. */\n"
        f"#define {stem.upper()}_ELEMENTS {port.elements}u\n"
        f"typedef {port.c_type} {stem}_t;\n"
    )
    return text + (_conversions(stem, port) if port.scale else "") + "\n"


def _conversions(stem: str, port: Port) -> str:
    big, limits = stem.upper(), np.iinfo(np.dtype(port.dtype))
    return (
        f"#define {big}_SCALE {float_literal(float(np.float32(port.scale)))}\n"
        f"#define {big}_ZERO_POINT ({port.zero_point or 0})\n\n"
        "/* A real number as it is stored: rounded to the nearest step, held in range; NaN becomes the lowest. */\n"
        f"static inline {stem}_t {stem}_quantize(float value) {{\n"
        f"  const float stored = rintf(value / {big}_SCALE) + (float){big}_ZERO_POINT;\n"
        f"  if (!(stored > {limits.min}.0f)) return {limits.min};\n"
        f"  if (stored >= {limits.max}.0f) return {limits.max};\n"
        f"  return ({stem}_t)stored;\n"
        "}\n\n"
        "/* The real number that a stored one stands for. */\n"
        f"static inline float {stem}_dequantize({stem}_t stored) {{\n"
        f"  return ((float)stored - (float){big}_ZERO_POINT) * {big}_SCALE;\n"
        "}\n"
    )
