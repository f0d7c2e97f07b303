"""What fits into memory, asked before it is taken, and what has been taken."""

from __future__ import annotations

import os
from pathlib import Path

from tfcompress.errors import DataError

UNASKED_BYTES = 256 << 20
"""Less than this is taken without asking."""


def available_bytes() -> int:
    """Return how much memory a new array may take: what the kernel would free for it, or all where it doesn't say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """Return the most memory that this process and each of its children that live have had resident, in sum.

    It is an upper bound of what they had at one time; 0 where the kernel doesn't say. (``getrusage`` would count the
    memory of the process that started this one: it goes on across an exec.)
    """
    return _peak_with_children("self")


def _peak_with_children(process: str) -> int:
    folder = Path("/proc", process)
    try:
        lines = (folder / "status").read_text("utf-8").splitlines()
        children = [child for task in folder.glob("task/*/children") for child in task.read_text("ascii").split()]
    except OSError:  # it has just ended, or there is no such folder
        return 0
    own = next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)
    return own + sum(map(_peak_with_children, children))


def need(size_bytes: int, what: str) -> None:
    """Refuse what would not fit.

    Args:
        size_bytes: what is about to be taken.
        what: for the message: "512 samples of x of shape (3,) and float32".

    Raises:
        DataError: less memory is available.
    """
    if size_bytes <= UNASKED_BYTES:
        return
    available = available_bytes()
    if size_bytes > available:
        msg = f"data: {what} take {size_bytes:,} bytes in memory, {available:,} are available; give smaller samples"
        raise DataError(msg)
