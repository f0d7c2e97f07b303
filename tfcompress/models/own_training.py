"""Models whose class trains in its own way: it survives in the copies that stages work on, or it is refused by name."""

from __future__ import annotations

import importlib
from typing import Any

from tfcompress.errors import UnsupportedError
from tfcompress.models.kinds import keras_of
from tfcompress.models.own_methods import code_of, implementations, is_own

METHODS = (
    "train_step",
    "test_step",
    "compute_loss",
    "compute_metrics",
    "compile",
    "fit",
    "make_train_function",
    "make_test_function",
)
"""Methods of a model by which a class says how it is trained and compiled."""

_OF_A_TRAINING = frozenset({"optimizer", "history", "stop_training", "stop_evaluating", "stop_predicting"})
"""What ``compile`` and ``fit`` of Keras leave on a model; another training makes its own."""


def own_training(model: Any) -> tuple[str, ...]:
    """Return which of :data:`METHODS` a model or its class has replaced.

    Args:
        model: a Keras 3 or tf_keras model.
    """
    return tuple(name for name in METHODS if name in vars(model) or is_own(model, name))


def in_class_of(model: Any, original: Any) -> Any:
    """Return *model* as one of the class of *original*, if that trains in its own way; else *model* itself.

    Args:
        model: a functional model of either Keras; the new one shares its layers and weights.
        original: the user's model, of the same Keras.

    Raises:
        UnsupportedError: the class cannot be built as ``type(original)(inputs, outputs)``, or the model holds layers
            or variables outside its graph, or methods that are not its class's.
    """
    names = own_training(original)
    if not names or model is original:
        return model
    if any(name in vars(original) for name in names):
        raise _refusal(original, "methods were put on the object itself")
    made = model if type(model) is type(original) else _built(model, original)
    for name, value in vars(original).items():
        if name in vars(made) or name in _OF_A_TRAINING or name.startswith("_"):
            continue
        if _is_tracked(value):
            raise _refusal(original, f"its attribute {name!r} holds weights that are not in its graph")
        setattr(made, name, value)
    return made


def _built(model: Any, original: Any) -> Any:
    try:
        return type(original)(model.input, model.output, name=model.name)
    except Exception as error:  # whatever somebody else's constructor raises
        raise _refusal(original, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error


def _is_tracked(value: Any) -> bool:
    return hasattr(value, "trainable_variables") or hasattr(value, "assign")


def refuse_own_training(model: Any, why: str) -> None:
    """Refuse a model whose class trains in its own way, where that would be lost.

    Raises:
        UnsupportedError: naming the class, what it replaces, and *why* it would be lost.
    """
    if own_training(model):
        raise _refusal(model, why)


def refuse_unheard_loss(model: Any, what: str) -> None:
    """Refuse to add to the loss of a model whose own ``train_step`` does not ask ``compute_loss`` for it.

    Args:
        model: of either Keras.
        what: adds to it, for the message.

    Raises:
        UnsupportedError: it does not.
    """
    if not _hears(model):
        raise _refusal(model, f"{what} adds to compute_loss, and its train_step does not call that")


def _hears(model: Any) -> bool:
    """Say whether a training step asks ``compute_loss``: by itself, by way of its helpers, or in the class above.

    A step that nobody can look into, as one of compiled code, does not.
    """
    put_on = [vars(model)["train_step"]] if "train_step" in vars(model) else []
    for step in (*put_on, *implementations(type(model), "train_step")):
        names = _names(type(model), step)
        if "compute_loss" in names:
            return True
        if "train_step" not in names:
            return False
    return True  # Keras's own does


def _names(kind: type, found: Any) -> set[str]:
    """Return the names that code uses, and those of the methods of *kind* that it calls and that are somebody's own."""
    names: set[str] = set()
    waiting = [found]
    while waiting:
        new = {name for code in code_of(waiting.pop()) for name in code.co_names} - names
        names |= new
        waiting += [each for name in new if name != "train_step" for each in implementations(kind, name)]
    return names


def _refusal(model: Any, why: str) -> UnsupportedError:
    kind, names = type(model).__name__, ", ".join(own_training(model))
    base = importlib.import_module("keras" if keras_of(model) == "keras3" else "tf_keras").__name__
    return UnsupportedError(
        f"model {model.name!r} trains in its own way ({kind} has its own {names}), which stages cannot keep: {why}",
        f"give {kind} a constructor that takes (inputs, outputs), or build the model as a plain {base}.Model",
    )
