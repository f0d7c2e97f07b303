"""What a run keeps to be looked at: weights before and after, confusion, and samples whose answer changed.

It lies beside the report as ``pictures.json``, so that a page can be drawn anywhere and at any time, without the model,
its data or numpy. Nothing here imports numpy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfcompress.errors import UsageError
from tfcompress.plain import JSON_BYTES, parse_json, read_text
from tfcompress.reports import codec

NAME = "pictures.json"
"""Of the file in a run's folder."""

FORMAT = 2
"""Number of its format. History: 1: first; 2: activations (a file of format 1 has none)."""

_KIND = "pictures of a run"
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True, kw_only=True)
class ValueCounts:
    """How often the weights of a kernel, or what comes out of a layer, take which value, before and after.

    Attributes:
        name: of the layer, or of the tensor where that is not known.
        low: lower end of the first bin.
        high: upper end of the last.
        before: how many values of the float model lie in each of the equally wide bins.
        after: of the result.
        zeros_before: fraction of exact zeros.
        zeros_after: likewise.
        distinct_after: different values in the result; None: not known.
        grid: the smallest and the largest number that is rounded to one which the result can hold; None: it holds real
            numbers, or (of weights) is made for these.
        beyond: fraction of the values before that lie outside; None: there is no grid.
    """

    name: str
    low: float
    high: float
    before: tuple[int, ...] = field(repr=False)
    after: tuple[int, ...] = field(repr=False)
    zeros_before: float
    zeros_after: float
    distinct_after: int | None = None
    grid: tuple[float, float] | None = None
    beyond: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        whole = len(self.before) == len(self.after) > 0 and min(*self.before, *self.after) >= 0
        if not whole or not math.isfinite(self.high - self.low) or not self.low < self.high:
            msg = f"the counts of {self.name!r} must be as many before as after, from 0 on, between finite ends"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class Confusions:
    """Which class was taken for which, on the same samples.

    Attributes:
        before: of the float file, ``[label][answer]``, whole numbers.
        after: of the result.
    """

    before: tuple[tuple[int, ...], ...] = field(repr=False)
    after: tuple[tuple[int, ...], ...] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what is no pair of matrices of one size."""
        rows, size = (*self.before, *self.after), len(self.before)
        if len(rows) != 2 * size or any(len(row) != size or min(row) < 0 for row in rows):
            msg = "before and after must be square matrices of one size, of counts from 0 on"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A sample's input, or an answer that is a picture, small enough to be shown.

    Attributes:
        title: what it is.
        png: a PNG file as base64; empty where it is no picture.
        channels: values of a signal over time, a row a channel; empty where it is none.
        text: words or numbers; empty where it is a picture or a signal.
    """

    title: str
    png: str = field(default="", repr=False)
    channels: tuple[tuple[float, ...], ...] = field(default=(), repr=False)
    text: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn, or would break out of the page."""
        if self.png and not _BASE64.fullmatch(self.png):
            msg = f"the picture of {self.title!r} is not base64"
            raise ValueError(msg)
        if not all(channel and all(map(math.isfinite, channel)) for channel in self.channels):
            msg = f"the signal of {self.title!r} must hold finite values"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class ChangedAnswer:
    """A sample that the result answers otherwise than the float file.

    Attributes:
        number: of the sample in the test split, from 0.
        shown: the sample.
        label: what is right, in words; empty where it is not known, or no words can say it.
        before: what the float file answers.
        after: what the result answers.
        verdict: ``lost`` (right before, wrong after), ``gained``, or empty.
    """

    number: int
    shown: tuple[Thumbnail, ...]
    label: str
    before: str
    after: str
    verdict: str = ""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What a page shows of a run beside its report.

    Attributes:
        sha256: of the result file; the report that they belong to has the same.
        samples: how many test samples' answers were compared; 0: none.
        changed: how many of them the result answers otherwise; None where answers are no classes.
        measure: what says how far an answer moved, for answers that are no classes.
        classes: names of the classes, in the order of their numbers; empty where they have none.
        weights: one entry a kernel.
        activations: one entry a layer of which it is known what comes out, on both sides.
        activations_on: what they were computed on, in words.
        confusions: None where there are no classes, or too many to be shown.
        answers: some of the samples whose answer changed, those that changed most first.
        notes: what is not there, and why.
    """

    sha256: str
    samples: int = 0
    changed: int | None = None
    measure: str = ""
    classes: tuple[str, ...] = ()
    weights: tuple[ValueCounts, ...] = field(default=(), repr=False)
    activations: tuple[ValueCounts, ...] = field(default=(), repr=False)
    activations_on: str = ""
    confusions: Confusions | None = None
    answers: tuple[ChangedAnswer, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return JSON text that :func:`read_pictures` reads back."""
        return codec.to_text({"format": FORMAT, "tool": "tfcompress", "kind": _KIND, **codec.to_plain(self)}) + "\n"


def read_pictures(folder: Path, sha256: str) -> Pictures | None:
    """Read what a run's folder holds to be looked at; None: nothing, or of another file than the report's.

    Args:
        folder: of the run.
        sha256: of the report's result.

    Raises:
        UsageError: the file cannot be read, or is none of this format.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        plain = parse_json(read_text(path, JSON_BYTES))
    except (OSError, ValueError) as error:
        msg = f"{str(path)!r} cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        raise UsageError(msg) from error
    found = _read(plain, str(path))
    return found if found.sha256 == sha256 else None


def _read(plain: Any, where: str) -> Pictures:
    if not isinstance(plain, Mapping) or plain.get("kind") != _KIND:
        msg = f"{where} does not hold the pictures of a run; export the model again, or remove the file"
        raise UsageError(msg)
    number = plain.get("format")
    if type(number) is not int or not 1 <= number <= FORMAT:
        msg = f"{where}: format must be a whole number between 1 and {FORMAT}, got {number!r}; upgrade tfcompress"
        raise UsageError(msg)
    rest = {key: value for key, value in plain.items() if key not in ("format", "tool", "kind")}
    return codec.from_plain(Pictures, rest, where)
