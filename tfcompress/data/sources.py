"""Where data comes from: one function that understands every kind of source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfcompress.data import npz
from tfcompress.data.arrays import flattened, splits_of
from tfcompress.data.dataset import Dataset
from tfcompress.data.preprocessing import Preprocessing
from tfcompress.errors import DataError

POSSIBLE = "an .npz file"


def load(spec: Any, *, preprocessing: Preprocessing | None = None) -> Dataset:
    """Load data (interim: .npz files and arrays)."""
    preprocessing = preprocessing or Preprocessing()
    if isinstance(spec, Mapping):
        return Dataset("arrays", splits_of(flattened(spec), "arrays"), preprocessing)
    path = Path(spec)
    if not path.exists():
        msg = f"data {str(spec)!r} does not exist"
        raise DataError(msg)
    members = npz.read_members(path)
    return Dataset(
        str(spec), splits_of(members, str(spec)), preprocessing, npz.small_text(members, "labels"), files=(path,)
    )
