"""What a command shows: results on stdout, progress and notes on stderr, the output of libraries in a log file."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from rich.console import Console

from tfcompress.errors import ConversionError, TfcompressError
from tfcompress.progress_bars import RichProgress


class Terminal:
    """The user's stdout and stderr, and the log that TensorFlow and other libraries write to meanwhile.

    Attributes:
        out: console on the real stdout, for results.
        err: console on the real stderr, for notes.
        log: file that holds everything printed by libraries.
    """

    def __init__(self, out: IO[str], err: IO[str], log: Path) -> None:
        wide = None if out.isatty() else 110
        self.out = Console(file=out, soft_wrap=False, width=wide, highlight=False, markup=False)
        self.err = Console(file=err, highlight=False, markup=False)
        self.log = log
        self.progress = RichProgress(self.err)

    def write(self, text: str) -> None:
        """Write *text* to stdout as it is."""
        self.out.file.write(text)
        self.out.file.flush()


@contextmanager
def terminal() -> Iterator[Terminal]:
    """Keep file descriptors 1 and 2 for ourselves while the block runs.

    TensorFlow's C++ writes there whatever its settings say. What it writes lands in a temporary log, which is removed
    at the end unless the block failed in a way that the log can explain.
    """
    handle, name = tempfile.mkstemp(prefix="tfcompress-", suffix=".log")
    log = Path(name)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    keep = False
    try:
        # A file's name may be no UTF-8, and a terminal may know less than that: neither ends a command at its result.
        streams = (os.fdopen(saved[place], "w", closefd=False, errors="backslashreplace") for place in (0, 1))
        with next(streams) as out, next(streams) as err:
            os.set_inheritable(handle, False)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            yield Terminal(out, err, log)
    except ConversionError as error:
        keep = True
        msg = f"{error} (the converter's output is in {log})"
        raise type(error)(msg) from error
    except TfcompressError:
        raise
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (*saved, handle):
            os.close(descriptor)
        if not keep:
            log.unlink(missing_ok=True)
