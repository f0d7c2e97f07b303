"""Reading all weights of an HDF5 file once, following nothing that leads out of it.

Light: the child that looks into a file imports this.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import h5py

EXPANSION = 1000
"""A file that claims more bytes of weights than so many times its size is refused: it would fill the memory."""
PIECE_BYTES = 1 << 24
OBJECTS = 1_000_000
"""Most groups and weights in a file; the largest of Keras's own networks have some thousand."""


class UnreadableError(Exception):
    """The file cannot be read as a model; the message says why."""


class Weights(NamedTuple):
    """How much a file holds.

    Attributes:
        numbers: how many.
        size_bytes: theirs, unpacked.
    """

    numbers: int
    size_bytes: int


def read_weights(file: Any, size_bytes: int) -> Weights:
    """Read every dataset of an open HDF5 file.

    Args:
        file: the file.
        size_bytes: its size.

    Raises:
        UnreadableError: it is linked to other files, is nested without end, or claims more than it can hold.
    """
    count = total = 0
    seen = {_address(file)}
    stack = [file]
    while stack:
        group = stack.pop()
        for name in group:
            item = _item(group, name)
            if item is None or _address(item) in seen:
                continue
            seen.add(_address(item))
            if len(seen) > OBJECTS:
                msg = f"it holds more than {OBJECTS:,} parts"
                raise UnreadableError(msg)
            if isinstance(item, h5py.Group):
                stack.append(item)
            elif isinstance(item, h5py.Dataset):
                count, total = count + int(item.size or 0), total + item.nbytes
                _check_size(total, size_bytes)
                _read(item, name)
    return Weights(count, total)


def _address(item: Any) -> Any:
    """Return what two names of one group or dataset have in common."""
    info = h5py.h5o.get_info(item.id)
    return info.fileno, info.addr


def _item(group: Any, name: str) -> Any:
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        msg = f"{name!r} in it is a link to another file"
        raise UnreadableError(msg)
    return None if isinstance(link, h5py.SoftLink) else group[name]


def _check_size(total: int, size_bytes: int) -> None:
    if total > EXPANSION * size_bytes:
        msg = "it claims far more weights than it can hold"
        raise UnreadableError(msg)


def _read(dataset: Any, name: str) -> None:
    if dataset.external or dataset.is_virtual:
        msg = f"the weights {name!r} in it are stored in another file"
        raise UnreadableError(msg)
    if not dataset.shape:
        dataset[()]
        return
    row_bytes = max(1, dataset.nbytes // max(1, dataset.shape[0]))
    if row_bytes > 64 * PIECE_BYTES:
        msg = f"the weights {name!r} in it have rows of {row_bytes:,} bytes"
        raise UnreadableError(msg)
    rows = max(1, PIECE_BYTES // row_bytes)
    for start in range(0, dataset.shape[0], rows):
        dataset[start : start + rows]
