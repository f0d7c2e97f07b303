"""The user's own code that a model runs, as a hash of what it does: neither weights nor configuration hold it."""

from __future__ import annotations

import functools
import hashlib
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from tfcompress.models.fingerprints import add_array_
from tfcompress.models.keras_private import all_layers
from tfcompress.models.kinds import has_layers
from tfcompress.models.own_methods import function_behind

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def own_code_sha256(model: Any) -> str:
    """Return a hash of the code of a model's own classes and functions; empty: it has none, or holds it itself.

    What counts is what Python compiled: the methods of the classes of layers and of the model, functions that layers
    keep (an activation, an initializer) or that the model was compiled with, and all that these name in turn, as far
    as it belongs to no installed package. Comments and places do not count. Another version of Python gives another
    hash.

    Args:
        model: a Keras 3 or tf_keras model; the path of a SavedModel, or a file, which hold all that they compute.
    """
    if not has_layers(model):
        return ""
    seen = _Code()
    for part in all_layers(model, itself=True):
        seen.add_kept_by_(part)
    return seen.hexdigest()


class _Code:
    """A digest of code; each class and function counts once."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._known: set[int] = set()
        self._empty = True

    def hexdigest(self) -> str:
        return "" if self._empty else self._digest.hexdigest()

    def add_kept_by_(self, part: Any) -> None:
        """Count the class of a layer or model, and the functions and own objects that it keeps."""
        self.add_(type(part))
        for _, value in sorted(vars(part).items()):
            for each in _members(value):
                self.add_(each)

    def add_(self, found: Any) -> None:
        """Count a function or class, or that of an object, unless it is an installed package's, and what it names."""
        if isinstance(found, functools.partial):
            self._say(*found.keywords)
            for value in (*found.args, *found.keywords.values()):
                self._add_value_(value)
        found = _code_of(found)
        if id(found) in self._known or _is_installed(found.__module__):
            return
        self._known.add(id(found))
        self._empty = False
        if isinstance(found, type):
            self._add_class_(found)
        else:
            self._add_function_(found)

    def _add_class_(self, found: type) -> None:
        self._say("class", found.__qualname__)
        for base in found.__bases__:
            self.add_(base)
        for name, value in sorted(vars(found).items()):
            held = value.fget if isinstance(value, property) else value
            if not isinstance(held, _PLAIN):
                self.add_(held)
            elif not name.startswith("__"):
                self._say(name, repr(held))

    def _add_function_(self, found: FunctionType) -> None:
        self._say("function", found.__qualname__)
        self._add_compiled_(found.__code__, found.__globals__)
        cells = [cell.cell_contents for cell in found.__closure__ or () if _is_filled(cell)]
        for value in [*(found.__defaults__ or ()), *(found.__kwdefaults__ or {}).values(), *cells]:
            self._add_value_(value)

    def _add_compiled_(self, code: CodeType, names: dict[str, Any]) -> None:
        self._say(code.co_code.hex(), *code.co_names, *code.co_varnames)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._add_compiled_(constant, names)
            else:
                self._say(repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant))
        found = [names[name] for name in code.co_names if name in names]
        for module in [each for each in found if isinstance(each, ModuleType) and not _is_installed(each.__name__)]:
            found += [vars(module)[name] for name in code.co_names if name in vars(module)]
        for value in found:
            self._add_value_(value)

    def _add_value_(self, value: Any) -> None:
        for each in _members(value):
            if isinstance(each, _PLAIN):
                self._say(repr(each))
            elif isinstance(each, np.ndarray):
                add_array_(self._digest, each)
            else:
                self.add_(each)

    def _say(self, *texts: str) -> None:
        for text in texts:
            self._digest.update(f"{text}\n".encode())


def _code_of(found: Any) -> Any:
    """Return the function behind what calls it (a method, ``partial``, ``tf.function``, a cache), else a class."""
    return found if isinstance(found, type) else function_behind(found) or type(found)


def _members(value: Any) -> Iterator[Any]:
    """Yield a value, or those in a list, tuple or dictionary: Keras has classes of its own for those of layers."""
    if isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()
    else:
        yield value


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - reading it is the question
    except ValueError:
        return False
    return True


@functools.lru_cache
def _is_installed(module: str | None) -> bool:
    """Return whether a module is Python's or an installed package's; ours is, wherever it lies."""
    root = (module or "").partition(".")[0]
    if root in ("tfcompress", "keras", "tf_keras", "tensorflow") or root in sys.builtin_module_names:
        return True
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    if file is None:  # typed in at a prompt
        return root in sys.stdlib_module_names and root != "__main__"
    path = Path(file).resolve()
    return any(path.is_relative_to(folder) for folder in _installed_folders())


@functools.cache
def _installed_folders() -> tuple[Path, ...]:
    known = sysconfig.get_paths()
    folders = {known[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(Path(folder).resolve() for folder in {*folders, *site.getsitepackages(), site.getusersitepackages()})
