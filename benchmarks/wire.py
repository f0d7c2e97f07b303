"""Protocol buffers and TFRecords at the level of their bytes: enough to break a field and leave the rest whole."""

from __future__ import annotations

import random
import struct

Field = tuple[int, int, bytes]
"""Number, wire type, and the bytes that follow the tag (without the length of a length-delimited one)."""


def varint(value: int) -> bytes:
    """Return a number of at most 64 bits as a varint."""
    out, value = bytearray(), value % (1 << 64)
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _read(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[place]
        value, shift, place = value | (byte & 0x7F) << shift, shift + 7, place + 1
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise ValueError


def fields(content: bytes) -> list[Field] | None:
    """Return a message's fields, or None where the bytes are none."""
    found, place = [], 0
    try:
        while place < len(content):
            tag, place = _read(content, place)
            number, kind = tag >> 3, tag & 7
            start = place
            if kind == 0:
                _, place = _read(content, place)
            elif kind == 2:
                length, start = _read(content, place)
                place = start + length
            else:
                place += {1: 8, 5: 4}[kind]
            if number == 0 or place > len(content):
                return None
            found.append((number, kind, content[start:place]))
    except (IndexError, KeyError, ValueError):
        return None
    return found


def joined(message: list[Field]) -> bytes:
    """Return the bytes of a message."""
    parts = []
    for number, kind, body in message:
        parts.append(varint(number << 3 | kind) + (varint(len(body)) if kind == 2 else b"") + body)
    return b"".join(parts)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Drop, repeat, renumber or rewrite one field somewhere in a message; all lengths around it are right again."""
    message = fields(content)
    if not message:
        return content
    at = chance.randrange(len(message))
    number, kind, body = message[at]
    if kind == 2 and fields(body) and chance.random() < 0.85:
        message[at] = (number, kind, damaged(body, chance))
        return joined(message)
    deed = chance.randrange(4)
    if deed == 0:
        del message[at]
    elif deed == 1:
        message.insert(at, chance.choice(message))
    elif deed == 2:
        message[at] = (chance.choice([1, 2, 3, number + 1, 1000]), kind, body)
    elif kind == 0:
        message[at] = (number, kind, varint(chance.choice([0, 1, 2, 1 << 31, 1 << 40, -1, 1 << 63])))
    else:
        cut = chance.randrange(len(body) + 1)
        longer = [body[:cut], body + body, b"\xff" * len(body), body[::-1]]
        message[at] = (number, kind, chance.choice(longer) if kind == 2 else body[::-1])
    return joined(message)


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC32C = _table()


def masked_crc(content: bytes) -> bytes:
    """Return TFRecord's masked CRC-32C (RFC 3720, B.4; ``tensorflow/core/lib/hash/crc32c.h``)."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % (1 << 32))


def record(body: bytes, length: int | None = None) -> bytes:
    """Return one record of a TFRecord file, its checksums right, with another *length* than it has if one is given."""
    head = struct.pack("<Q", len(body) if length is None else length)
    return head + masked_crc(head) + body + masked_crc(body)
