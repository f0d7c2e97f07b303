"""What an array is called in annotations; a module of its own, for reading files takes modules that load slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]
else:
    Array = np.ndarray  # numpy before 1.22 takes no parameters there; Debian's on a 32-bit bullseye is 1.19
