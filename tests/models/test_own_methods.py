"""Methods that a class replaces, and what they do: hand on what they get, or more."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from tfcompress.models.own_methods import code_of, function_behind, implementations, is_own, only_hands_on


class Above:
    """What stands for a class of Keras's own."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None, *, flag: Any = None) -> Any:
        return inputs


Above.__module__ = "keras.src.models"


class Plain(Above):
    def call(self, inputs: Any) -> Any:
        return super().call(inputs)


class Documented(Above):
    def call(self, inputs: Any, training: Any = False, mask: Any = None) -> Any:
        """Hand on."""
        return super().call(inputs, training=training, mask=mask)


class Starred(Above):
    def call(self, *args: Any, **kwargs: Any) -> Any:
        return super().call(*args, **kwargs)


class Mixed(Above):
    def call(self, inputs: Any, training: Any = None, **kwargs: Any) -> Any:
        return super().call(inputs, training, **kwargs)


class Alone(Above):
    def call(self, inputs: Any, *, flag: Any = None) -> Any:
        return super().call(inputs, flag=flag)


class Twice(Starred):
    def call(self, a: Any) -> Any:
        return super().call(a)


class Changed(Above):
    def call(self, inputs: Any) -> Any:
        return 1 - super().call(inputs)


class Fixed(Above):
    def call(self, inputs: Any, training: Any = None) -> Any:
        return super().call(inputs, training=True)


class Swapped(Above):
    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return super().call(inputs, mask, training)


class TrainsAlways(Above):
    def call(self, inputs: Any, training: Any = True) -> Any:
        return super().call(inputs, training=training)


class Other(Above):
    def call(self, inputs: Any) -> Any:
        return super().other(inputs)  # type: ignore[misc]


class OverChanged(Changed):
    def call(self, inputs: Any) -> Any:
        return super().call(inputs)


def doubling(function: Any) -> Any:
    @functools.wraps(function)
    def doubled(*args: Any, **kwargs: Any) -> Any:
        return 2 * function(*args, **kwargs)

    return doubled


class Decorated(Above):
    @doubling
    def call(self, inputs: Any) -> Any:
        return super().call(inputs)


@pytest.mark.parametrize("kind", [Plain, Documented, Starred, Mixed, Alone, Twice])
def test_a_method_that_hands_on_what_it_gets_is_known(kind: Any) -> None:
    assert is_own(kind(), "call")
    assert only_hands_on(kind, "call")


@pytest.mark.parametrize("kind", [Changed, Fixed, Swapped, TrainsAlways, Other, OverChanged, Decorated])
def test_a_method_that_does_more_or_less_is_not(kind: Any) -> None:
    assert not only_hands_on(kind, "call")


def test_what_a_library_has_is_not_somebodys_own() -> None:
    assert not is_own(Above(), "call")
    assert list(implementations(Twice, "call")) == [Twice.call, Starred.call]


def test_the_function_is_found_behind_whatever_calls_it() -> None:
    def step(data: Any) -> Any:
        return data.inner

    class Traced:
        def __init__(self, python_function: Any) -> None:
            self.python_function = python_function

        def __call__(self, data: Any) -> Any:
            return self.python_function(data)

    for wrapped in (step, functools.partial(Traced(step)), Traced(functools.partial(step)), staticmethod(step)):
        assert function_behind(wrapped) is step
    assert function_behind(len) is None
    assert function_behind(functools.partial(len)) is None
    names = {name for code in code_of(Traced(doubling(step))) for name in code.co_names}
    assert "inner" in names
