"""What the makers of hostile files have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Hostile(NamedTuple):
    """One file: what makes it in a folder and returns its path, and what its refusal says."""

    make: Callable[[Path], Path]
    says: str


class Bomb:
    """An object that leaves a trace when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        """Have a pickle run a command."""
        return os.system, ("touch /tmp/tfcompress-was-unpickled",)


def changed(make: Callable[[Path], Path], change: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    """Return what makes a file, then changes its bytes."""

    def remake(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return remake


def written(name: str, content: bytes) -> Callable[[Path], Path]:
    """Return what writes a file."""

    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make
