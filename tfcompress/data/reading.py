"""How a data set is to be read: the options beside where it is, and which kinds of data each has a meaning for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from tfcompress.errors import UsageError

TABLE, RECORDS, IMAGES, RECORDINGS, MASKS, ARRAYS, NAMED = (
    "tables",
    "records",
    "images",
    "recordings",
    "masks",
    "arrays",
    "named data sets",
)
"""Kinds of data."""


class Meaning(NamedTuple):
    """What an option says, and the kinds of data that it says it of."""

    words: str
    kinds: tuple[str, ...]


MEANINGS = {
    "label": Meaning("names the label column of a .csv or .parquet file", (TABLE,)),
    "features": Meaning("says what .tfrecord files hold", (RECORDS,)),
    "window": Meaning(
        "says how many rows of a table or an array make a sample (or samples of a recording)",
        (TABLE, ARRAYS, RECORDINGS),
    ),
    "stride": Meaning("says how many rows lie between the starts of windows", (TABLE, ARRAYS)),
    "group": Meaning("names the column or array that says which rows belong together", (TABLE, ARRAYS)),
    "vocabulary": Meaning("numbers the words of text columns of a .csv or .parquet file", (TABLE,)),
    "skip_corrupt": Meaning(
        "leaves out samples of folders, tables and arrays", (TABLE, IMAGES, RECORDINGS, MASKS, ARRAYS)
    ),
}
"""By the name of the option."""


def label_columns(given: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the names of the label columns; None where none were given.

    Args:
        given: a name, several separated by commas, or a list of names.

    Raises:
        UsageError: anything else, or a name that comes twice.
    """
    if given is None:
        return None
    names = tuple(part.strip() for part in given.split(",")) if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        msg = f"label must name a column, several separated by commas, or be a list of names, got {given!r:.200}"
        raise UsageError(msg)
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        msg = f"label must name different columns, {twice!r} is there twice"
        raise UsageError(msg)
    return tuple(names)


@dataclass(frozen=True)
class Reading:
    """The options.

    Attributes:
        label: label columns of a table.
        features: TOML file that says what TFRecord files hold.
        window: rows that make a sample; None: each row is one.
        stride: rows between the starts of two windows; None: as many as a window has.
        group: the column or array that says which rows belong together (a session, a person).
        vocabulary: file with a word a line, in the order of their numbers.
        skip_corrupt: whether samples that cannot be read, or hold NaN, are left out and counted.

    Raises:
        UsageError: a window or stride below 1; a stride without a window, or longer than it.
    """

    label: tuple[str, ...] | None = None
    features: Path | None = None
    window: int | None = None
    stride: int | None = None
    group: str | None = None
    vocabulary: Path | None = None
    skip_corrupt: bool = False

    def __post_init__(self) -> None:
        """Refuse windows that cannot be."""
        for name in ("window", "stride"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                msg = f"{name} must be a whole number of rows, at least 1, got {value!r}"
                raise UsageError(msg)
        if self.stride is not None and self.window is None:
            msg = "stride says where windows start, and there is no window; give --window ROWS too"
            raise UsageError(msg)
        if self.stride is not None and self.window is not None and self.stride > self.window:
            msg = f"stride must be at most the window's {self.window:,} rows, or some are in none, got {self.stride:,}"
            raise UsageError(msg)

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the options that were given."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name) not in (None, False))

    def plain(self) -> dict[str, Any]:
        """Return the options that were given as plain values, paths and several names as text and lists."""
        values = {name: getattr(self, name) for name in self.given}
        texts = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in texts.items()}

    def check_kind(self, kind: str, what: str) -> None:
        """Refuse an option that means nothing for such data.

        Args:
            kind: of the data.
            what: what messages call it.

        Raises:
            UsageError: naming the option.
        """
        for name in self.given:
            if kind not in MEANINGS[name].kinds:
                msg = f"--{name.replace('_', '-')} {MEANINGS[name].words}, it has no meaning for {what}; leave it out"
                raise UsageError(msg)
