"""Which layers of a student are compared with which of its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tfcompress.errors import UnsupportedError, UsageError, nearest
from tfcompress.models.graph import calls, is_graph

Size = tuple[int | None, ...]
"""Sizes of a layer's output, without samples and channels."""


class Pair(NamedTuple):
    """Two layers, by name."""

    student: str
    teacher: str


def check_layers_known(model: Any, name: str) -> None:
    """Refuse a model whose layers are not known.

    Raises:
        UnsupportedError: naming it.
    """
    if model is None or not is_graph(model):
        msg = (
            f"teacher {name!r} has no graph of layers to look into, only outputs; give a Keras file, or a loss of "
            "outputs (soft, cosine, relations)"
        )
        raise UnsupportedError(msg)


def named_tensors(model: Any, names: Sequence[str]) -> list[Any]:
    """Return what layers of a Keras 3 graph give, by name; of a layer that is called several times, the last time.

    Raises:
        UsageError: no layer of that name gives one tensor of shape (samples, ..., channels).
    """
    if not names:
        return []
    known = _tensors(model)
    for name in names:
        if name not in known:
            msg = f"distill.layers: model {model.name!r} has no layer {name!r} to compare{nearest(name, known)}"
            raise UsageError(msg)
    return [known[name] for name in names]


def found_pairs(student: Any, teacher: Any, least_axes: int) -> list[Pair]:
    """Return the last layers of each size that both models have: deep features of each resolution.

    A layer counts where a kernel comes behind it, so that outputs are none. What has no positions (after a pooling over
    all of them, or in a net of Dense layers) is one size by itself.

    Args:
        student: a Keras 3 graph.
        teacher: another one.
        least_axes: fewest axes of a layer's output besides the samples': 2 where there must be positions.

    Returns:
        A pair for each size, in the order of the student's layers; empty: they have none in common.
    """
    own, teachers = _deepest(student, least_axes), _deepest(teacher, least_axes)
    return [Pair(own[size], teachers[size]) for size in own if size in teachers]


def check_pairs(student: Any, teacher: Any, name: str, pairs: Sequence[Pair], least_axes: int) -> None:
    """Refuse pairs of layers that cannot be compared.

    Raises:
        UsageError: no such layer, other positions, or fewer axes than *least_axes*; no pairs at all.
    """
    if not pairs:
        sizes = [", ".join(map(str, _deepest(each, least_axes))) or "none" for each in (student, teacher)]
        msg = (
            f"no layers of the student and of teacher {name!r} have the same size (the student's: {sizes[0]}; the "
            f"teacher's: {sizes[1]}); say which to compare by --distill-layers STUDENT=TEACHER"
        )
        raise UsageError(msg)
    for pair in pairs:
        own, other = named_tensors(student, [pair.student])[0], named_tensors(teacher, [pair.teacher])[0]
        shapes = [tuple(tensor.shape[1:]) for tensor in (own, other)]
        if shapes[0][:-1] != shapes[1][:-1] or len(shapes[0]) < least_axes:
            wanted = "positions beside the channels" if least_axes > 1 else "as many positions as each other"
            msg = (
                f"distill.layers {pair.student}={pair.teacher} must have {wanted}, and the same ones, got "
                f"{shapes[0]} of the student and {shapes[1]} of teacher {name!r}"
            )
            raise UsageError(msg)


def _tensors(model: Any) -> dict[str, Any]:
    """Return what each layer gives, where that is one tensor of floats with channels."""
    return {
        call.layer.name: call.outputs[0]
        for call in calls(model)
        if len(call.outputs) == 1 and len(call.outputs[0].shape) > 1 and "float" in str(call.outputs[0].dtype)
    }


def _deepest(model: Any, least_axes: int) -> dict[Size, str]:
    """Return the name of the last layer of each size that has a kernel behind it."""
    feeding = _feeding_kernels(model)
    found: dict[Size, str] = {}
    for name, tensor in _tensors(model).items():
        shape = tuple(tensor.shape[1:])
        if id(tensor) in feeding and len(shape) >= least_axes and shape[-1] is not None:
            found[shape[:-1]] = name
    return found


def _feeding_kernels(model: Any) -> set[int]:
    """Return the ids of the tensors that some layer with a kernel is computed from."""
    from tfcompress.models.call_template import leaves

    found: set[int] = set()
    for call in reversed(list(calls(model))):
        behind = any(id(tensor) in found for tensor in call.outputs)
        weights = getattr(call.layer, "weights", ())
        if behind or any(len(weight.shape) > 1 for weight in weights):
            found |= {id(leaf) for leaf in leaves((call.args, call.kwargs)) if hasattr(leaf, "shape")}
    return found
