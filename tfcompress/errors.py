"""Every error a user can meet, and the exit code of its class.

::

    TfcompressError                  1   (a bug of ours: anything that is not one of the classes below)
    ├── UsageError                   2   an invalid argument
    │   └── RecipeError              2   a recipe that contradicts itself, or a misspelt key
    ├── ModelError                   3   a model file that cannot be read as a model
    │   └── UntrustedCodeError       3   a model file that wants to run code
    ├── DataError                    4   data that does not exist, or does not fit the model
    ├── UnsupportedError             5   a technique that refuses this model, naming the layers
    ├── ConversionError              6   the TFLite converter failed or died
    ├── ContractError                7   the exported file is not what was asked for; it was not written
    │   └── InfeasibleError          7   limits that nothing keeps, as is known before anything is made
    ├── OutputError                  8   the output cannot be written where it was asked for
    ├── MissingDependencyError       9   an optional package or runtime is not installed
    ├── DeviceError                 10   a device that cannot be reached, or gave no result
    ├── PromiseError                11   nothing that was tried keeps what was promised (--max-drop), or was written
    ├── GateError                   12   a condition of `tfcompress compare` holds
    └── CellError                   13   a cell of `tfcompress matrix` failed; the others were made
    (Ctrl-C                        130)

A message says where, what is allowed, what was given and what to do, in one line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

INTERRUPTED = 130

LONGEST_MESSAGE = 2_000
"""Characters of a message: whatever a file holds and a message quotes, a terminal shows it whole."""


class TfcompressError(Exception):
    """Root of the tree; raised itself only for a bug of ours.

    The message is one line whatever it quotes: names and reasons come out of files, and may hold anything.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class UsageError(TfcompressError):
    """An invalid argument, or a combination of arguments that contradict each other."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe that contradicts itself, holds an unknown key, or a value out of range."""


class ModelError(TfcompressError):
    """A model file or object that cannot be read as a model."""

    exit_code = 3


class UntrustedCodeError(ModelError):
    """A model file that holds code (a Lambda, say), met without permission to run it."""


class DataError(TfcompressError):
    """Data that does not exist, cannot be read, or does not fit the model."""

    exit_code = 4


class UnsupportedError(TfcompressError):
    """A technique that refuses this model; the message names the layers and what to do.

    Attributes:
        reason: the message without what to do: of no use where another technique takes over.
    """

    exit_code = 5

    def __init__(self, message: str = "", remedy: str = "") -> None:
        super().__init__(f"{message}; {remedy}" if remedy else message)
        self.reason = one_line(message)


class ConversionError(TfcompressError):
    """The TFLite converter refused the model, or its process died."""

    exit_code = 6


class ContractError(TfcompressError):
    """The converted file is not what was asked for; no file was written."""

    exit_code = 7


class InfeasibleError(ContractError):
    """Limits that no choice keeps.

    Attributes:
        least: name of each limit -> the least that can be had of it, whatever becomes of the others.
    """

    def __init__(self, message: str, least: Mapping[str, float]) -> None:
        super().__init__(message)
        self.least = dict(least)


class OutputError(TfcompressError):
    """The output cannot be written where it was asked for."""

    exit_code = 8


class MissingDependencyError(TfcompressError):
    """An optional package or runtime that this request needs is not installed."""

    exit_code = 9


class DeviceError(TfcompressError):
    """A device that cannot be reached, or that ended a measurement without a result."""

    exit_code = 10


class PromiseError(TfcompressError):
    """What the file was to keep (``max_drop``) is kept by nothing that was tried; nothing was written.

    Attributes:
        promise: what was tried and how each did, plain values as a report holds them in ``result.verification``.
    """

    exit_code = 11

    def __init__(self, message: str = "", promise: Mapping[str, Any] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.promise = promise


class GateError(TfcompressError):
    """A comparison that fails by a condition it was given."""

    exit_code = 12


class CellError(TfcompressError):
    """A cell of a matrix failed; all others were made and written."""

    exit_code = 13


def one_line(text: str) -> str:
    """Return *text* on one line of at most :data:`LONGEST_MESSAGE` characters that any terminal can show.

    White space becomes single spaces; what is not printable (terminal commands, halves of characters) is escaped.
    """
    words = " ".join(text[: 4 * LONGEST_MESSAGE].split())
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in words)
    return plain if len(plain) <= LONGEST_MESSAGE else f"{plain[: LONGEST_MESSAGE - 1]}…"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest of *known*, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
