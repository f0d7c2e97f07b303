"""Mending Keras 3's own ``.h5`` files: operations (``x + 1``) are written into them in a form that it cannot read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tfcompress.models.keras_private import operation_classes


def mend(path: Path, copy: Path) -> bool:
    """Write a copy of a Keras 3 HDF5 file whose operations say which module they are from, where there are any.

    The weights and everything else stay as they are. (Seen with Keras 3.15 and ``MobileNetV3Small().save("x.h5")``.)

    Args:
        path: the file.
        copy: where to write the mended one.

    Returns:
        Whether there was anything to mend; otherwise nothing is written.
    """
    import h5py

    with h5py.File(path, "r") as file:
        config = json.loads(file.attrs["model_config"])
    if not _mend_config_(config):
        return False
    shutil.copyfile(path, copy)
    with h5py.File(copy, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)
    return True


def _mend_config_(config: Any) -> int:
    """Give every operation in a model's configuration its module; return how many there were."""
    mended = 0
    inner = config.get("config")
    for entry in inner.get("layers", ()) if isinstance(inner, dict) else ():
        if "layers" in entry["config"]:
            mended += _mend_config_(entry)
        elif "dtype" not in entry["config"]:  # every layer has a dtype, no operation has
            module = _module_of(entry["class_name"])
            if module:
                entry.update(module=module, registered_name=entry["class_name"])
                mended += 1
    return mended


def _module_of(operation: str) -> str | None:
    found = operation_classes().get(operation)
    return None if found is None else str(found.__module__)
