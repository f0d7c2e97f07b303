"""Reading a model file with the Keras that wrote it: the one module that chooses a Keras.

A Keras 2 file is never handed to Keras 3, or the other way round: each reads a part of the other's files, and some of
those wrongly.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tfcompress.errors import ModelError, TfcompressError, UntrustedCodeError, UsageError
from tfcompress.models.keras3_h5 import mend
from tfcompress.models.keras_private import application_layers
from tfcompress.models.probing import FileInfo
from tfcompress.safety.allowed_classes import import_our_layers, is_library, refused_names
from tfcompress.safety.configuration import NATIVE_QUANTIZERS
from tfcompress.safety.tfmot_scopes import tfmot_scopes


def read_file(path: Path, info: FileInfo, objects: dict[str, Any], *, trust: bool) -> Any:
    """Have the Keras that wrote a file read it, if the file names nothing that is not known.

    Args:
        path: an HDF5 or ``.keras`` file.
        info: what :func:`probe` found in it.
        objects: the classes and functions that the user gave, by name.
        trust: run code that the file holds.

    Raises:
        MemoryError: there is not enough memory for it.
        ModelError: the model cannot be rebuilt.
        UntrustedCodeError: the file names what is not part of a model, and *trust* is off.
    """
    import_keras(info)
    _check_names(path, info, objects, trust=trust)
    objects = application_layers(info.names, "keras3" if info.writer == "keras3" else "keras2") | objects
    with ExitStack() as stack:
        try:
            named = stack.enter_context(_properly_named(path, info))
            if _holds_tfmot(info):
                stack.enter_context(tfmot_scopes())
            return _load_model(named, info, objects, trust=trust)
        except (TfcompressError, MemoryError):
            raise
        except Exception as error:  # Keras raises whatever a damaged file makes it stumble over
            if type(error).__name__ == "ResourceExhaustedError":
                raise MemoryError from error
            raise _unreadable(path, info, error) from error


def _holds_tfmot(info: FileInfo) -> bool:
    return not NATIVE_QUANTIZERS.issuperset(info.wrappers)


def import_keras(info: FileInfo) -> None:
    """Import the Keras that reads a file, and register our layers with it if the file holds some."""
    if info.writer == "keras3":
        import keras

        backend = keras.backend.backend()
        if backend != "tensorflow":
            msg = f"Keras 3 must run on tensorflow here, its backend is {backend}; set KERAS_BACKEND=tensorflow"
            raise UsageError(msg)
    elif info.writer == "keras2":
        import tf_keras  # noqa: F401
    else:
        import tensorflow  # noqa: F401
    if info.ours:
        import_our_layers("keras2" if info.writer == "keras2" else "keras3")


def _load_model(path: str, info: FileInfo, objects: Mapping[str, Any], *, trust: bool) -> Any:
    if info.writer == "keras3":
        import keras

        return keras.saving.load_model(path, custom_objects=dict(objects), compile=False, safe_mode=not trust)
    import tf_keras

    options = {} if info.kind == "h5" else {"safe_mode": not trust}
    return tf_keras.models.load_model(path, custom_objects=dict(objects), compile=False, **options)


@contextmanager
def _properly_named(path: Path, info: FileInfo) -> Iterator[str]:
    """Give a path to the file that ends as its content says (both Kerases go by the ending), mended if need be."""
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / f"model.{info.kind}"
        if info.writer == "keras3" and info.kind == "h5" and mend(path, other):
            yield str(other)
        elif path.suffix == other.suffix:
            yield str(path)
        else:
            other.symlink_to(path.resolve())
            yield str(other)


def _unreadable(path: Path, info: FileInfo, error: Exception) -> ModelError:
    text = str(error)
    unknown = re.search(r"(?:Unknown [\w ]+:|Could not locate (?:class|function)) '?([\w>]+)'?", text)
    if unknown:
        return _needs_custom(path, unknown[1].rpartition(">")[2])
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reason = lines[0] if lines else type(error).__name__
    name = {"keras2": "Keras 2", "keras3": "Keras 3"}[info.writer]
    tfmots = info.qat and info.kind == "keras" and info.writer == "keras2"
    hint = "; save the quantization-aware model as .h5 instead" if tfmots else ""
    written = f"written by {name} {info.writer_version or 'or older'}"
    return ModelError(f"model {str(path)!r}, {written}, cannot be rebuilt: {reason}{hint}")


def _check_names(path: Path, info: FileInfo, objects: Mapping[str, Any], *, trust: bool) -> None:
    """Refuse names that are neither Keras's nor the user's."""
    if info.writer not in ("keras2", "keras3"):
        return
    for name in refused_names(info.names, info.writer, objects, tfmot=_holds_tfmot(info)):
        short = name.name.rpartition(">")[2]
        if not is_library(name) and (name.kind != "identifier" or short.isidentifier()):
            raise _needs_custom(path, short, name.module or "module")
        if not trust:
            what = f"{name.module}.{short}" if name.module else short
            registered = name.registered or short
            other = f", registered as {registered!r}," if registered.rpartition(">")[2] != short else ""
            msg = (
                f"model {str(path)!r} names {what!r}{other} in layer {name.layer!r}, which is no layer, activation or"
                " the like of Keras's; load it with --trust if you know where it comes from"
            )
            raise UntrustedCodeError(msg)


def _needs_custom(path: Path, name: str, module: str = "module") -> ModelError:
    return ModelError(f"model {str(path)!r} needs {name!r}, which is not part of Keras; give --custom {module}:{name}")
