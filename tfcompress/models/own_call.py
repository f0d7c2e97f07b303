"""Models whose class computes more than its graph of layers says: what is built anew from the graph would lose that."""

from __future__ import annotations

from typing import Any

from tfcompress.errors import UnsupportedError
from tfcompress.models.keras_private import has_graph
from tfcompress.models.kinds import is_model, library_of
from tfcompress.models.own_methods import is_librarys, is_own, only_hands_on

METHODS = ("call", "__call__")
"""Methods of a model by which a class says what it computes."""

WAY_OUT = "move that into a layer of the model, or export it without stages"


def own_call(model: Any) -> tuple[str, ...]:
    """Return which of :data:`METHODS` a model or its class has replaced, so that its graph is not what it computes.

    A method that only hands on what it is given to that of its Keras is none; nor is one that we put on the object.

    Args:
        model: a Keras 3 or tf_keras model, functional or sequential.
    """
    kind = type(model)
    replaced = [name for name in METHODS if is_own(model, name) and not only_hands_on(kind, name)]
    put_on = vars(model).get("call")  # Python looks for __call__ in the class alone
    if put_on is not None and not is_librarys(getattr(put_on, "__module__", None)):
        replaced.append("call")
    return tuple(dict.fromkeys(replaced))


def with_own_call(model: Any) -> Any | None:
    """Return the first model with an own call among a functional or sequential model and those in it; None: none.

    Args:
        model: of either Keras, or what is none.
    """
    if not is_model(model):
        return None
    if (has_graph(model) or isinstance(model, library_of(model).Sequential)) and own_call(model):
        return model
    for layer in model.layers:
        inside = getattr(layer, "layer", None)  # a TimeDistributed model, say
        found = with_own_call(inside if is_model(inside) else layer)
        if found is not None:
            return found
    return None


def told_own_call(model: Any) -> str:
    """Say of a model with an own call why stages cannot be applied."""
    names = " and ".join(own_call(model))
    return (
        f"{type(model).__name__} has its own {names}, which its graph of layers does not hold, and what stages build "
        "anew from that would compute something else"
    )


def refuse_own_call(model: Any) -> None:
    """Refuse a model that computes, or holds a model that computes, something else than its graph of layers says.

    Args:
        model: of either Keras.

    Raises:
        UnsupportedError: naming the model, its class and what to do.
    """
    found = with_own_call(model)
    if found is not None:
        msg = f"model {found.name!r}: {told_own_call(found)}"
        raise UnsupportedError(msg, WAY_OUT)
