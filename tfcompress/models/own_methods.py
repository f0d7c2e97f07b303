"""Methods by which a class of somebody's own replaces those of its Keras, and the functions behind them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

_LIBRARIES = ("keras.", "tf_keras.", "tfcompress.")

_INSIDE = ("func", "python_function", "__func__", "__wrapped__")
"""Where what calls a function keeps it: ``partial``, ``tf.function``, a bound or static method, a cache."""


def is_librarys(module: str | None) -> bool:
    """Say whether a module is one of Keras's or ours."""
    return f"{module}.".startswith(_LIBRARIES)


def is_own(model: Any, name: str) -> bool:
    """Say whether the class of a model has a method that is not its Keras's; what is put on the object is not seen."""
    owner = next((each for each in type(model).__mro__ if name in vars(each)), type(model))
    return not is_librarys(owner.__module__)


def implementations(kind: type, name: str) -> Iterator[Any]:
    """Give what the classes of *kind* that are somebody's own have under a name, in the order of resolution."""
    for each in kind.__mro__:
        if name not in vars(each):
            continue
        if is_librarys(each.__module__):
            return
        yield vars(each)[name]


def function_behind(found: Any) -> FunctionType | None:
    """Return the function that a ``tf.function``, ``partial``, method or cache calls, or itself; None: none tells."""
    for _ in range(100):  # one within the other
        if isinstance(found, FunctionType):
            return found
        inside = next((value for name in _INSIDE if (value := getattr(found, name, None)) is not None), None)
        if inside is None or isinstance(found, type):
            return None
        found = inside
    return None


def code_of(found: Any) -> list[CodeType]:
    """Return the compiled code of what is called, of the functions in it, and of those that it wraps or encloses."""
    codes: dict[CodeType, None] = {}
    waiting, seen = [found], set[int]()
    while waiting:
        function = function_behind(waiting.pop())
        if function is None or id(function) in seen:
            continue
        seen.add(id(function))
        codes.update(dict.fromkeys(_with_inner(function.__code__)))
        cells = [_content(cell) for cell in function.__closure__ or ()]
        waiting += [getattr(function, "__wrapped__", None), *(each for each in cells if not isinstance(each, type))]
    return list(codes)


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_inner(constant)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is in it yet
        return None


def only_hands_on(kind: type, name: str) -> bool:
    """Say whether all that classes of somebody's own do in a method is to call that of the class above.

    Each must be of the form ``return super().call(inputs, training=training)``, with its own arguments as they come;
    trailing ones may be missing. A ``tf.function`` around it counts as the function.
    """
    return all(_hands_on(getattr(each, "python_function", each), name) for each in implementations(kind, name))


def _hands_on(found: Any, name: str) -> bool:
    if not isinstance(found, FunctionType) or hasattr(found, "__wrapped__"):
        return False
    defaults = [*(found.__defaults__ or ()), *(found.__kwdefaults__ or {}).values()]
    if any(value is not None and value is not False for value in defaults):
        return False
    code = found.__code__
    if code.co_posonlyargcount or code.co_argcount < 1 or not code.co_name.isidentifier():
        return False
    return any(_same(code, _compiled(text)) for text in _forms(code, name, documented=found.__doc__ is not None))


def _forms(code: CodeType, name: str, *, documented: bool) -> Iterator[str]:
    """Give the text of every method that takes what *code* takes and hands it on."""
    count = code.co_argcount
    own, *positional = code.co_varnames[:count]
    alone = code.co_varnames[count : count + code.co_kwonlyargcount]
    rest = list(code.co_varnames[count + len(alone) :])
    stars = [f"*{rest.pop(0)}"] if code.co_flags & 0x04 else []
    double = [f"**{rest.pop(0)}"] if code.co_flags & 0x08 else []
    taken = [own, *positional, *(stars or (["*"] if alone else [])), *alone, *double]
    words = '"""Documented."""' if documented else ""
    for end in range(1 if positional else 0, len(positional) + 1):
        for first in range(end + 1):
            by_name = [f"{each}={each}" for each in (*positional[first:end], *alone)]
            handed = ", ".join([*positional[:first], *stars, *by_name, *double])
            yield f"class _:\n def {name}({', '.join(taken)}):\n  {words}\n  return super().{name}({handed})\n"


@functools.lru_cache
def _compiled(text: str) -> CodeType:
    """Compile a class of one method; return the method's code."""
    code = compile(text, "", "exec", dont_inherit=True)
    for _ in range(2):  # the class, then the method
        code = next(each for each in code.co_consts if isinstance(each, CodeType))
    return code


def _same(code: CodeType, other: CodeType) -> bool:
    def compared(each: CodeType) -> tuple[Any, ...]:
        constants = [constant for constant in each.co_consts if constant is not None and not isinstance(constant, str)]
        return each.co_code, each.co_names, each.co_varnames, each.co_freevars, constants

    return compared(code) == compared(other)
