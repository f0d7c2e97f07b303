"""What a process prints, whether in Python or in C++."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2


def printed(act: Callable[[], object], *descriptors: int) -> str:
    """Do something and return what it printed.

    Args:
        act: what is done; what it raises comes through, and the text is lost.
        descriptors: :data:`STANDARD_OUTPUT`, :data:`STANDARD_ERROR`, or both.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(descriptor) for descriptor in descriptors]
    with tempfile.TemporaryFile() as stream:
        for descriptor in descriptors:
            os.dup2(stream.fileno(), descriptor)
        try:
            act()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for before, descriptor in zip(kept, descriptors, strict=True):
                os.dup2(before, descriptor)
                os.close(before)
        stream.seek(0)
        return stream.read().decode(errors="replace")
