"""How :mod:`benchmarks.file_mutations` breaks files: by bytes, and by what they mean with checksums right again."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import mutations, wire

Damage = Callable[[bytes, random.Random], bytes]

AWKWARD = (0, -1, 1, 2, 3, 255, 1 << 16, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63), 1 << 64, 10**30, 0.5, 1e308)
"""Numbers that stand where others stood."""


def by_bytes(content: bytes, chance: random.Random) -> bytes:
    """Flip, cut, splice or copy bytes."""
    changed = bytearray(content)
    if len(changed) >= 8:
        chance.choice(list(mutations.KINDS.values()))(changed, chance)
    return bytes(changed)


def value(plain: Any, chance: random.Random) -> Any:
    """Return a JSON value that stands where *plain* stood."""
    strings = ["", "x" * 5000, "../../etc/passwd", "Lambda", "\u0000\n\x1b[2J", "os.system", "builtins"]
    drawn = [chance.choice(AWKWARD), chance.choice(strings)]
    others: list[Any] = [None, [], {}, True, *drawn, [[]], {"class_name": "Dense"}]
    if isinstance(plain, bool | None):
        return chance.choice(others)
    if isinstance(plain, int | float):
        return chance.choice([*AWKWARD, -plain, plain + 1, *others])
    if isinstance(plain, str):
        return chance.choice([*strings, plain[::-1], plain + plain, *others])
    if isinstance(plain, list) and plain:
        return chance.choice([[], plain[::-1], plain[:-1], [*plain, chance.choice(plain)]])
    return chance.choice(others)


def _places(plain: Any) -> list[tuple[Any, Any]]:
    """Return (container, key) of everything inside."""
    found: list[tuple[Any, Any]] = []
    waiting = [plain]
    while waiting:
        item = waiting.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        for key in keys:
            found.append((item, key))
            waiting.append(item[key])
    return found


def by_json(content: bytes, chance: random.Random) -> bytes:
    """Drop, rename, swap or replace one to three values of JSON text."""
    plain = json.loads(content)
    for _ in range(chance.randint(1, 3)):
        places = _places(plain)
        if not places:
            break
        (item, key), (other, other_key) = chance.choice(places), chance.choice(places)
        deed = chance.randrange(5)
        if deed == 0:
            del item[key]
        elif deed == 1 and isinstance(item, dict):
            item[chance.choice([f"{key}_", "class_name", "config", "module"])] = item.pop(key)
        elif deed == 2:
            item[key] = json.loads(json.dumps(other[other_key]))
        else:
            item[key] = value(item[key], chance)
    return json.dumps(plain).encode()


def by_h5_configuration(content: bytes, chance: random.Random) -> bytes:
    """Break the configuration inside an HDF5 model."""
    import h5py

    stream = io.BytesIO(content)
    with h5py.File(stream, "r+") as file:
        stored = file.attrs["model_config"]
        text = stored.encode() if isinstance(stored, str) else stored
        file.attrs["model_config"] = by_json(text, chance).decode()
    return stream.getvalue()


def rezipped(content: bytes, chance: random.Random, pattern: str, damage: Damage) -> bytes:
    """Break one member of a zip whose name matches, and zip again with its checksum right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        names = [info.filename for info in old.infolist() if re.search(pattern, info.filename)]
        victim = chance.choice(names)
        for info in old.infolist():
            data = old.read(info)
            new.writestr(info, damage(data, chance) if info.filename == victim else data, info.compress_type)
            if info.filename == victim and chance.random() < 0.05:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    new.writestr(info, data)
    return out.getvalue()


def by_npy_header(content: bytes, chance: random.Random) -> bytes:
    """Break the header of an array, its length right again."""
    (length,) = struct.unpack_from("<H", content, 8)
    header, rest = content[10 : 10 + length].decode("latin1"), content[10 + length :]
    numbers = ["-1", "0", "1", str(1 << 31), str(1 << 62), "9" * 30, "2**9", "(1,)", "None", "1e3"]
    kinds = ["|O", "<f8", ">f4", "<U9", "|S0", "<U0", "<M8[ns]", "|V4", "<c16", "<f16", "|b1", "<f3", "i4,f4", "T"]
    changes: list[Callable[[], str]] = [
        lambda: re.sub(r"\d+(?=[,)])", lambda _: chance.choice(numbers), header),
        lambda: re.sub(r"'descr': '[^']*'", f"'descr': '{chance.choice(kinds)}'", header),
        lambda: header.replace("False", chance.choice(["True", "0", "__import__('os')", "[]"])),
        lambda: header.replace("(", "(" * chance.choice([2, 300, 9000])),
        lambda: header.replace("shape", chance.choice(["shap", "descr", "'", "\\", "\x00"])),
        lambda: header[: chance.randrange(len(header))],
        lambda: "-" * chance.choice([1, 5000, 60_000]) + header,
        lambda: by_bytes(header.encode("latin1"), chance).decode("latin1"),
    ]
    changed = chance.choice(changes)().encode("latin1", "replace")[:65_535]
    version = chance.choice([1, 1, 1, 2, 3, 9])
    size = struct.pack("<H" if version == 1 else "<I", len(changed))
    return b"\x93NUMPY" + bytes([version, 0]) + size + changed + rest


def by_cells(content: bytes, chance: random.Random) -> bytes:
    """Break the text of a table: cells, quotes, separators, lines."""
    awkward = [b"", b'"', b'""', b"nan", b"inf", b"1e999", b"9" * 400, b"\0", b"\xff", b"a\nb", b"text", b"-0", b","]
    lines = content.splitlines(keepends=True)
    for _ in range(chance.randint(1, 4)):
        at = chance.choice([0, chance.randrange(len(lines))])
        cells = re.split(rb"([,\t])", lines[at])
        deed = chance.randrange(5)
        if deed < 3:
            cells[chance.randrange(len(cells))] = chance.choice(awkward)
            lines[at] = b"".join(cells)
        elif deed == 3:
            lines[at] = chance.choice([b"", lines[at].rstrip() * 2, lines[at].rstrip(), b"\r", b","])
        else:
            lines.insert(at, chance.choice(lines))
    return b"".join(lines)


def by_ihdr(content: bytes, chance: random.Random) -> bytes:
    """Give a PNG another size, depth or kind, its checksum right again."""
    if not content.startswith(b"\x89PNG"):
        return by_bytes(content, chance)
    sizes = (0, 1, 5, 9, 9000, 60_000, 1 << 27, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
    head = bytearray(content[12:29])
    for _ in range(chance.randint(1, 2)):
        if chance.random() < 0.6:
            struct.pack_into(">I", head, chance.choice([4, 8]), chance.choice(sizes))
        else:
            head[chance.randrange(12, 17)] = chance.choice([0, 1, 2, 3, 4, 6, 8, 16, 255])
    return content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]


def by_records(content: bytes, chance: random.Random) -> bytes:
    """Break one record of a TFRecord file as a protocol buffer, or its length, all checksums right again."""
    records, place = [], 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        records.append(content[place + 12 : place + 12 + length])
        place += 16 + length
    victim = chance.randrange(len(records))
    out = []
    for number, record in enumerate(records):
        body, length = record, None
        if number == victim and chance.random() < 0.7:
            body = wire.damaged(record, chance)
        elif number == victim:
            length = chance.choice([0, 1, len(record) - 1, len(record) + 1, 1 << 32, 1 << 40, 1 << 62, (1 << 64) - 1])
        out.append(wire.record(body, length))
    return b"".join(out)


def by_footer(content: bytes, chance: random.Random) -> bytes:
    """Break bytes in the footer of a Parquet file, where its structure stands, the footer's length right again."""
    (length,) = struct.unpack_from("<I", content, len(content) - 8)
    start = len(content) - 8 - length
    footer = by_bytes(content[start : start + length], chance)
    return content[:start] + footer + struct.pack("<I", len(footer)) + b"PAR1"


def by_gzip(content: bytes, chance: random.Random) -> bytes:
    """Break the text inside a .gz, or, where it is none, the text itself."""
    if content.startswith(b"\x1f\x8b"):
        return gzip.compress(by_cells(gzip.decompress(content), chance), mtime=0)
    return by_cells(content, chance)


def by_chunks(content: bytes, chance: random.Random) -> bytes:
    """Give a WAV another format, or one of its chunks another length, name or place; the whole's length right again."""
    chunks, place = [], 12
    while place + 8 <= len(content):
        name, length = content[place : place + 4], struct.unpack_from("<I", content, place + 4)[0]
        chunks.append((name, length, content[place + 8 : place + 8 + length]))
        place += 8 + length + length % 2
    at = chance.randrange(len(chunks))
    name, length, body = chunks[at]
    deed = chance.randrange(5)
    if deed == 0:
        length = chance.choice([0, 1, 3, length - 1, length + 1, 16, 40, (1 << 31) - 1, (1 << 32) - 1])
    elif deed == 1:
        name = chance.choice([b"fmt ", b"data", b"LIST", b"fact", b"ds64", bytes(4)])
    elif deed == 2:
        body = by_bytes(body, chance)
    elif deed == 3:
        chunks.insert(chance.randrange(len(chunks) + 1), chance.choice(chunks))
    else:
        at = next((number for number, chunk in enumerate(chunks) if chunk[0] == b"fmt "), at)
        name, length, body = chunks[at]
        form, size = chance.choice([(0, 2), (2, 2), (4, 4), (12, 2), (14, 2)])
        most = (1 << 8 * size) - 1
        number = chance.choice([0, 1, 2, 3, 7, 8, 12, 16, 24, 32, 33, 64, most - 1, most])
        body = body[:form] + number.to_bytes(size, "little") + body[form + size :]
    chunks[min(at, len(chunks) - 1)] = name, length, body
    whole = b"".join(name + struct.pack("<I", length) + body + b"\0" * (len(body) % 2) for name, length, body in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(whole)) + b"WAVE" + whole


KINDS: dict[str, dict[str, Damage]] = {
    "h5": {"bytes": by_bytes, "configuration": by_h5_configuration},
    "keras": {
        "bytes": by_bytes,
        "configuration": lambda content, chance: rezipped(content, chance, r"(config|metadata)\.json$", by_json),
        "weights": lambda content, chance: rezipped(content, chance, r"\.h5$", by_bytes),
    },
    "savedmodel": {"bytes": by_bytes, "fields": wire.damaged},
    "npz": {
        "bytes": by_bytes,
        "headers": lambda content, chance: rezipped(content, chance, r"\.npy$", by_npy_header),
        "members": lambda content, chance: rezipped(content, chance, r"\.npy$", by_bytes),
    },
    "csv": {"bytes": by_bytes, "cells": by_gzip},
    "parquet": {"bytes": by_bytes, "footer": by_footer},
    "tfrecord": {"bytes": by_bytes, "records": by_records},
    "images": {"bytes": by_bytes, "sizes": by_ihdr},
    "recordings": {"bytes": by_bytes, "chunks": by_chunks},
    "masks": {"bytes": by_bytes, "sizes": by_ihdr},
}
"""By kind of file, the ways in which it is broken."""


def mutant(origins: Path, kind: str, number: int, seed: int, folder: Path) -> tuple[str, Path]:
    """Write mutant *number* of a kind into *folder*, the same for the same seed; return its damage and its path.

    Args:
        origins: holds a folder of honest files for each kind.
        kind: one of :data:`KINDS`.
        number: which mutant.
        seed: with *number*, what is done to which file.
        folder: an empty folder.
    """
    chance = random.Random(f"{kind} {seed} {number}")
    origin = chance.choice(sorted(path for path in (origins / kind).iterdir() if path.suffix != ".toml"))
    target = folder / origin.name
    if origin.is_dir():
        shutil.copytree(origin, target)
    else:
        shutil.copy(origin, target)
    name = list(KINDS[kind])[number % len(KINDS[kind])]
    files = sorted(file for file in target.rglob("*") if file.is_file()) if target.is_dir() else [target]
    if kind == "savedmodel":
        files = [file for file in files if name == "bytes" or file.name == "saved_model.pb"]
    victim = chance.choice(files)
    victim.write_bytes(KINDS[kind][name](victim.read_bytes(), chance))
    return f"{kind} {name}", target
