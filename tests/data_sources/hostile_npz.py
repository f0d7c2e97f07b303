"""Hostile .npz files; see :mod:`tests.data_sources.hostile_files`."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.data_sources.hostile_kit import Bomb, Hostile, changed, written

HUGE = 10**15


def npy(header: str, numbers: bytes = b"", version: int = 1) -> bytes:
    """Return an array with this header."""
    text = header.encode("latin1")
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + numbers


def header(descr: str = "'<f4'", shape: str = "(2,)") -> str:
    """Return the text of a header."""
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


def npz(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> Callable[[Path], Path]:
    """Return what makes an .npz of members as they are."""

    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "d.npz", "w", method) as archive:
            for name, content in members:
                archive.writestr(name, content)
        return folder / "d.npz"

    return make


def x_header(text: str, numbers: bytes = b"") -> Callable[[Path], Path]:
    """Return what makes an .npz whose x has this header."""
    return npz(("x.npy", npy(text, numbers)))


FINE = npy(header(), bytes(8))
GOOD = npz(("x.npy", FINE))


def central(at: int, value: bytes) -> Callable[[bytes], bytes]:
    """Return what overwrites bytes of the first central directory entry."""

    def change(content: bytes) -> bytes:
        place = content.index(b"PK\1\2") + at
        return content[:place] + value + content[place + len(value) :]

    return change


def overlapping(folder: Path) -> Path:
    """Write two members of which the second's entry leads to the first."""
    path = npz(("x.npy", FINE), ("y.npy", FINE))(folder)
    content = bytearray(path.read_bytes())
    second = content.index(b"PK\1\2", content.index(b"PK\1\2") + 4)
    content[second + 42 : second + 46] = bytes(4)
    path.write_bytes(content)
    return path


def twice(folder: Path) -> Path:
    """Write two members of one name."""
    path = npz(("x.npy", FINE), ("y.npy", FINE))(folder)
    path.write_bytes(path.read_bytes().replace(b"y.npy", b"x.npy"))
    return path


def terabytes(folder: Path) -> Path:
    """Write a deflated member of some bytes that claims to unpack to ten terabytes, as its header does."""
    content = npy(header(shape=f"({10**13 // 4}, 1)"))
    with zipfile.ZipFile(folder / "d.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
        archive.filelist[0].file_size = len(content) + 10**13  # into the central directory
    return folder / "d.npz"


def short_inside(folder: Path) -> Path:
    """Write a deflated member that unpacks to less than its entry, its header and its checksum say."""
    content = npy(header(shape="(1000,)"), bytes(16))
    path = npz(("x.npy", content), method=zipfile.ZIP_DEFLATED)(folder)
    size = struct.pack("<I", len(content) - 16 + 4000)
    return changed(lambda _: path, central(24, size))(folder)


NPZ = {
    "an object array": Hostile(npz(("x.npy", npy(header("'|O'"), pickle.dumps(Bomb())))), "Python objects"),
    "a pickle called npy": Hostile(npz(("x.npy", pickle.dumps(Bomb()))), "instead of NumPy's magic string"),
    "an npz in an npz": Hostile(npz(("x.npy", b"PK\3\4" + bytes(40))), "instead of NumPy's magic string"),
    "an open string": Hostile(x_header("{'descr': '<f4"), "its header is"),  # TokenError
    "an open bracket": Hostile(x_header("{'descr': ((((("), "records of named fields"),
    "deep brackets": Hostile(x_header("(" * 9_000), "its header is"),  # RecursionError, MemoryError
    "many minus signs": Hostile(x_header("-" * 9_000 + "1"), "its header is"),
    "a call": Hostile(x_header("__import__('os').system('true')"), "its header is"),
    "a null byte": Hostile(x_header("{'descr': '\0'}"), "its header is|is none of"),
    "a long header": Hostile(npz(("x.npy", npy(" " * 20_000 + header(), b"", 2))), "claims 20,0.. bytes"),
    "a header of 4 GB": Hostile(npz(("x.npy", b"\x93NUMPY\2\0\xff\xff\xff\xff")), "claims 4,294,967,295 bytes"),
    "a cut header": Hostile(npz(("x.npy", FINE[:20])), "header is cut short"),
    "a key twice": Hostile(x_header("{'shape': (1,), 'shape': (1,), 'descr': '<f4'}"), "its header is"),
    "a huge number": Hostile(x_header(header(shape=f"({'9' * 5000},)")), "its header is"),
    "a shape that wraps": Hostile(x_header(header(shape="(4294967296, 4294967296)")), "needs 73,786,976,294,838"),
    "a negative shape": Hostile(x_header(header(shape="(-1, -2)")), r"shape \(-1, -2\) is none"),
    "a hundred axes": Hostile(x_header(header(shape=f"({'1, ' * 100})"), bytes(4)), "is none"),
    "no bytes each": Hostile(x_header(header("'<U0'", f"({HUGE},)")), "dtype '<U0' is none"),
    "samples of nothing": Hostile(x_header(header(shape=f"({HUGE}, 0)")), "samples of no values"),
    "text": Hostile(x_header(header("'<U2'"), bytes(16)), "x must hold numbers, got dtype <U2"),
    "void": Hostile(x_header(header("'|V4'"), bytes(8)), "x must hold numbers"),
    "times": Hostile(x_header(header("'<M8[ns]'"), bytes(16)), "x must hold numbers"),
    "complex": Hostile(x_header(header("'<c8'"), bytes(16)), "x must hold numbers"),
    "pointers to strings": Hostile(x_header(header("'T'"), bytes(32)), "dtype 'T' is none"),
    "fields": Hostile(x_header(header("[('a', '<f4')]"), bytes(8)), "records of named fields"),
    "fields by commas": Hostile(x_header(header("'i4,f4'"), bytes(16)), "dtype 'i4,f4' is none"),
    "no dtype": Hostile(x_header(header("'<f3'"), bytes(6)), "dtype '<f3' is none"),
    "characters that are none": Hostile(
        npz(("x.npy", FINE), ("labels.npy", npy(header("'<U1'"), b"\xff" * 8))), "its characters are none"
    ),
    "labels that are none": Hostile(
        npz(("x.npy", FINE), ("y.npy", npy(header("'<U1'"), b"\xff" * 8))), "their characters are none"
    ),
    "a million names": Hostile(
        npz(("x.npy", FINE), ("labels.npy", npy(header("'|S1'", "(1000001,)"), bytes(1_000_001)))), "at most 1,000,000"
    ),
    "two of one name": Hostile(twice, "another array has the same name"),
    "one over another": Hostile(overlapping, "it lies over"),
    "an encrypted one": Hostile(changed(GOOD, central(8, b"\1\0")), "encrypted|password"),
    "an unknown method": Hostile(changed(GOOD, central(10, b"\x63\0")), "zip method 99"),
    "lzma": Hostile(npz(("x.npy", FINE), method=zipfile.ZIP_LZMA), "zip method 14"),
    "a stored one of two sizes": Hostile(changed(GOOD, central(24, b"\0\0\0\x70")), "bytes are said to be"),
    "terabytes": Hostile(terabytes, "cannot be unpacked into .*: 10,000,000,000,... bytes needed, .* free"),
    "less than it says": Hostile(short_inside, "x is damaged or cut short"),
    "an entry outside": Hostile(changed(GOOD, central(42, b"\xff\xff\xff\x7f")), "cut short or damaged"),
    "a directory of garbage": Hostile(changed(GOOD, central(0, b"XX")), "cut short or damaged"),
    "an escaping name": Hostile(npz(("../../x.npy", FINE)), r"must hold x_train .*it holds \.\./\.\./x"),
    "a name of commands": Hostile(npz(("\x1b[2Jevil\n.npy", FINE)), r"it holds \\x1b\[2Jevil"),
    "only a comment": Hostile(written("d.npz", b"PK\5\6" + bytes(18)), "without arrays"),
}
