"""Kernels cut to their centre: a 5x5 convolution becomes a 3x3 one that starts from the middle of its kernel.

With "same" padding the centre of the window stays where it was, whatever the stride and the dilation, as long as the
smaller window is at least as large as the stride; so where the border of a kernel is zero, nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfcompress.errors import UnsupportedError
from tfcompress.models.copies import rebuilt_model, set_weights_
from tfcompress.models.graph import leaf_layers
from tfcompress.models.layer_copies import unbuilt_copy
from tfcompress.models.scope import in_scope, listed

KINDS = ("Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
"""Layers whose first weight is a kernel with its window along the first axes."""


def shrink_kernels(model: Any, size: int, scope: Sequence[str] = ()) -> tuple[Any, list[str]]:
    """Cut the kernels of convolutions to their centre.

    Args:
        model: a functional or sequential Keras 3 model; it stays as it is.
        size: the largest odd size that stays.
        scope: names of layers that may be cut, ``*`` and ``?`` allowed; empty: every one.

    Returns:
        The model with smaller kernels, and sentences for the report.

    Raises:
        UnsupportedError: nothing can be cut, with the reasons.
    """
    layers = dict(leaf_layers(model))
    cut, reasons = _cuts(model, size, scope)
    if not cut:
        why = listed([f"{path!r} {reason}" for path, reason in reasons.items()]) or f"none is larger than {size}"
        msg = f"no kernel of model {model.name!r} can be cut to {size} ({why}); leave shrink_kernels out"
        raise UnsupportedError(msg)

    def smaller(path: str, layer: Any) -> Any:
        return unbuilt_copy(layer, kernel_size=cut[path]) if path in cut else unbuilt_copy(layer)

    new = rebuilt_model(model, smaller)
    kernels = {id(layers[path].weights[0]): window for path, window in cut.items()}
    values = []
    for weight in model.weights:
        window = kernels.get(id(weight))
        array = weight.numpy()
        values.append(array if window is None else _centre(array, window))
    set_weights_(new, values)
    notes = [f"kernels of {listed(map(repr, cut))} were cut to their centre of {size}"]
    if reasons:
        left = listed([f"{path!r} ({reason})" for path, reason in reasons.items()])
        notes.append(f"kernels left as they are: {left}")
    return new, notes


def cuttable(model: Any, size: int) -> bool:
    """Say whether :func:`shrink_kernels` finds something to cut."""
    return bool(_cuts(model, size, ())[0])


def _cuts(model: Any, size: int, scope: Sequence[str]) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Return the windows that kernels are cut to, and why others cannot be, by path."""
    layers = {path: layer for path, layer in leaf_layers(model) if type(layer).__name__ in KINDS}
    wide = {path: layer for path, layer in layers.items() if max(layer.kernel_size) > size and in_scope(path, scope)}
    reasons = {path: reason for path, layer in wide.items() if (reason := _why_not(layer, size))}
    return {path: _window(layer, size) for path, layer in wide.items() if path not in reasons}, reasons


def _window(layer: Any, size: int) -> tuple[int, ...]:
    return tuple(min(width, size) for width in layer.kernel_size)


def _why_not(layer: Any, size: int) -> str:
    """Say why a kernel cannot be cut; empty: it can."""
    if layer.padding != "same":
        return f"has {layer.padding!r} padding: a smaller window would see other pixels"
    pairs = list(zip(layer.kernel_size, _window(layer, size), layer.strides, strict=True))
    if any(width != window and width % 2 == 0 for width, window, _ in pairs):
        return f"has a kernel of {' x '.join(map(str, layer.kernel_size))}, which has no centre"
    if any(width != window and window < stride for width, window, stride in pairs):
        return f"has a stride of {' x '.join(map(str, layer.strides))}, more than {size}"
    return ""


def _centre(kernel: Any, window: Sequence[int]) -> Any:
    begins = [(width - kept) // 2 for width, kept in zip(kernel.shape, window, strict=False)]
    return kernel[tuple(slice(begin, begin + kept) for begin, kept in zip(begins, window, strict=True))]
