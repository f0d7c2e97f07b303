"""Words to numbers, by a file that lists them: what look-up layers do that TFLite has no op for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfcompress import plain
from tfcompress.data.arrays import CLASS_NAME_BYTES
from tfcompress.errors import UsageError

PADDING, UNKNOWN = 0, 1
"""The numbers of no word, and of one that the file does not list; the first listed is the next one."""

UNKNOWN_WORD = "[UNK]"
"""What Keras calls an unknown word."""


@dataclass(frozen=True, repr=False)
class Vocabulary:
    """The numbers of words.

    Attributes:
        places: by word.
        unknown: the number of a word that is not among them.
        note: how they are numbered, for the report.
    """

    places: Mapping[str, int]
    unknown: int
    note: str

    def __repr__(self) -> str:
        """Say how many words there are."""
        return f"Vocabulary({len(self.places):,} words)"

    def ids(self, texts: Sequence[str]) -> np.ndarray:
        """Return the number of each text as one word, int64, shape (texts,)."""
        return np.array([self.places.get(text, self.unknown) for text in texts], np.int64)

    def sequences(self, texts: Sequence[str], length: int) -> np.ndarray:
        """Return the numbers of each text's words, which white space parts, int64, shape (texts, length).

        Texts of more words are cut behind, others are filled up with :data:`PADDING` behind.
        """
        numbers = np.full((len(texts), length), PADDING, np.int64)
        for row, text in zip(numbers, texts, strict=True):
            found = self.ids(text.split(None, length)[:length])
            row[: len(found)] = found
        return numbers


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a file with a word a line.

    A file as tfcompress and Keras write it (``get_vocabulary()``: an empty line and ``[UNK]``, or only ``[UNK]``, in
    front) numbers its lines from 0. The words of any other file are numbered from 2 on: 0 is padding, 1 an unknown
    word.

    Raises:
        UsageError: no such file, no words, or one that is there twice.
    """
    try:
        lines = plain.read_text(path, CLASS_NAME_BYTES).removeprefix("\ufeff").split("\n")
    except (OSError, ValueError) as error:
        msg = f"vocabulary {str(path)!r} cannot be read: {error}"
        raise UsageError(msg) from error
    words = [line.removesuffix("\r") for line in lines]
    while len(words) > 1 and not words[-1]:
        words.pop()
    counted = words[:1] == [UNKNOWN_WORD] or words[:2] == ["", UNKNOWN_WORD]
    first = 0 if counted else UNKNOWN + 1
    places = {word: first + place for place, word in enumerate(words)}
    if not any(places):
        msg = f"vocabulary {str(path)!r} holds no words; give a file with one a line"
        raise UsageError(msg)
    if len(places) < len(words):
        twice = next(word for place, word in enumerate(words) if places[word] != first + place)
        msg = f"vocabulary {str(path)!r} holds {twice!r:.80} twice; each word needs one number: leave one out"
        raise UsageError(msg)
    unknown = places[UNKNOWN_WORD] if counted else UNKNOWN
    shown = ", ".join(f"{number} = {word}" for word, number in list(places.items())[:4] if word)
    note = (
        f"text: words of {path.name}, {len(places):,} of them, parted by white space: {shown}, ...; {unknown} = unknown"
    )
    return Vocabulary(places, unknown, f"{note}, {PADDING} = padding")
