"""Rounding a kernel so that what a layer gives stays near the float model's, not each weight near itself.

Weights are rounded one input after the other, and what rounding one does to the layer's sums is made good by those that
are not rounded yet (GPTQ: Frantar et al. 2023, arXiv:2210.17323, algorithm 1). The target are the sums of the float
model on float inputs, while the layer is fed with rounded ones: so what the layers before lost is made good, too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfcompress.models.copies import model_copy
from tfcompress.models.graph import leaf_layers
from tfcompress.quantization.post_training import Conditions, calibrated
from tfcompress.quantization.stepwise import Flow, SideBySide, Visited

DAMPING = 0.01
"""Of the mean of the Hessian's diagonal, added to it (the paper's section 3.3)."""
SHRINKING = np.linspace(1.0, 0.4, 25)
"""Parts of the largest weight that are tried as the end of the grid."""
_ROWS = 8192  # places that a layer's inputs are looked at, at most
_SPARE = 4
_WIDEST = 4096  # inputs of a sum, at most: the Hessian has as many rows


def to_the_nearest(model: Any, conditions: Conditions) -> Any:
    """Return the model itself: each weight goes to the nearest step of the grid that its largest one spans.

    Args:
        model: a functional or sequential Keras 3 model.
        conditions: not looked at.
    """
    del conditions
    return model


def towards_the_output(model: Any, conditions: Conditions) -> Any:
    """Return a copy of *model* whose kernels lie on the grid of their bits, rounded for the sake of the outputs.

    The grid of a channel ends where the squared error of its weights is least; its largest weight is at the end of it,
    so that whoever rounds to the nearest finds the same integers.

    Args:
        model: a functional or sequential Keras 3 model that is built; it is only read.
        conditions: samples, ranges and bits.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model; or one without a layer to quantize.
    """
    return _rounded(model, conditions, alone=0)


def each_by_itself(model: Any, conditions: Conditions, bits: int) -> Any:
    """Return a copy of *model* whose kernels lie on a grid of few bits, each rounded as if it alone had so few.

    All layers are fed as where every kernel has the bits of the conditions: for mixed precision, where it is not known
    yet which kernels will have few.

    Args:
        model: a functional or sequential Keras 3 model that is built; it is only read.
        conditions: samples, ranges and bits of the other kernels.
        bits: of each kernel.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model; or one without a layer to quantize.
    """
    return _rounded(model, conditions, alone=bits)


def _rounded(model: Any, conditions: Conditions, alone: int) -> Any:
    made = calibrated(model, conditions.inputs, conditions.calibrator, conditions.stage)
    new = model_copy(model)
    own = dict(leaf_layers(new))
    targets = {id(layer): own[path] for path, layer in made.layers.items() if path in own}

    def visit(seen: Visited) -> Flow:
        layer, target = seen.wrapper.layer, targets.get(id(seen.wrapper.layer))
        rounding = seen.wrapper.transforms.get("kernel")
        if target is None or not rounding or type(layer).__name__ not in COLUMNS:
            return seen.sums
        largest = float(2 ** (alone - 1) - 1) if alone else rounding[-1].largest
        kernel = kernel_on_grid(layer, seen.given, largest)
        if kernel is None:
            return seen.sums
        target.kernel.assign(kernel)
        if alone:
            return seen.sums
        layer.kernel.assign(kernel)
        return Flow(seen.sums.exact, seen.again())

    SideBySide(made.model, conditions.inputs).run(visit)
    return new


def kernel_on_grid(layer: Any, given: Flow, largest: float) -> np.ndarray | None:
    """Return the kernel of a layer on its grid, of the same shape; None: its sums are too wide.

    Args:
        layer: a Conv2D, DepthwiseConv2D or Dense.
        given: what it is fed with, in the float model and in the rounded one.
        largest: largest integer of the grid.
    """
    kernel = np.asarray(layer.kernel, np.float64)
    width = int(np.prod(kernel.shape[:-1])) // (kernel.shape[2] if _is_depthwise(layer) else 1)
    if width > _WIDEST or getattr(layer, "groups", 1) != 1:
        return None
    columns = COLUMNS[type(layer).__name__]
    exact, inputs = (columns(layer, tensor) for tensor in (given.exact, given.rounded))
    if _is_depthwise(layer):
        channels = [
            _one_kernel(kernel[:, :, c].reshape(width, -1), exact[:, :, c], inputs[:, :, c], largest)
            for c in range(kernel.shape[2])
        ]
        return np.stack(channels, axis=1).reshape(kernel.shape).astype(np.float32)
    flat = _one_kernel(kernel.reshape(width, -1), exact, inputs, largest)
    return flat.reshape(kernel.shape).astype(np.float32)


def _one_kernel(weights: np.ndarray, exact: np.ndarray, inputs: np.ndarray, largest: float) -> np.ndarray:
    """Return weights, shape (inputs, outputs), on the grid.

    The least squares of ``inputs @ q - exact @ w`` over *q* are those of ``inputs @ (q - best)``, where *best* is *w*
    moved by what solves ``inputs @ d = (exact - inputs) @ w``.
    """
    # TensorFlow's own matrices: those of numpy wait in a busy loop where other processes have the cores.
    hessian = tf.matmul(inputs, inputs, transpose_a=True)
    lost = tf.matmul(tf.matmul(inputs, exact, transpose_a=True) - hessian, weights)
    hessian += (
        DAMPING * tf.maximum(tf.linalg.trace(hessian) / len(weights), 1e-12) * tf.eye(len(weights), dtype="float64")
    )
    kept = weights != 0  # what was pruned stays zero
    best = weights + kept * np.asarray(tf.linalg.solve(hessian, lost))
    scale = least_squares_scale(best, largest)
    upper = np.asarray(tf.linalg.cholesky(tf.linalg.inv(hessian))).T  # upper.T @ upper is the inverse
    steps, left = np.empty_like(best), best.copy()
    for row in range(len(left)):
        steps[row] = kept[row] * np.clip(np.round(left[row] / scale), -largest, largest)
        error = (left[row] - steps[row] * scale) / upper[row, row]
        left[row + 1 :] -= np.outer(upper[row, row + 1 :], error)
    _reach_the_end_(steps, best, largest)
    return np.asarray(steps * scale)


def _reach_the_end_(steps: np.ndarray, best: np.ndarray, largest: float) -> None:
    """Put the largest weight of a channel at the end of its grid where no weight is there."""
    short = np.flatnonzero(np.abs(steps).max(axis=0) < largest)
    top = np.abs(best[:, short]).argmax(axis=0)
    steps[top, short] = np.where(best[top, short] < 0, -largest, largest)


def least_squares_scale(weights: np.ndarray, largest: float) -> np.ndarray:
    """Return for each output the step of the grid that costs least squared error, shape (outputs,).

    Args:
        weights: shape (inputs, outputs).
        largest: largest integer of the grid; the grid ends at most at the largest weight.
    """
    bound = np.abs(weights).max(axis=0)
    bound = np.where(bound > 0, bound, 1.0)
    found, least = bound / largest, np.full(bound.shape, np.inf)
    for part in SHRINKING:
        scale = part * bound / largest
        error = np.square(np.clip(np.round(weights / scale), -largest, largest) * scale - weights).sum(axis=0)
        found, least = np.where(error < least, scale, found), np.minimum(error, least)
    return np.asarray(found)


def _is_depthwise(layer: Any) -> bool:
    return type(layer).__name__.startswith("Depthwise")


def _rows(values: Any) -> np.ndarray:
    """Return at most so many rows of a matrix, evenly spaced, float64."""
    step = -(-int(values.shape[0]) // _ROWS)
    return np.asarray(values[::step], np.float64)


def _patches(layer: Any, tensor: Any) -> Any:
    """Return what each place of a convolution sees, shape (places, height, width, channels)."""
    height, width = layer.kernel_size
    places = math.prod(-(-int(size) // stride) for size, stride in zip(tensor.shape[1:3], layer.strides, strict=True))
    tensor = tensor[: max(1, -(-_SPARE * _ROWS // places))]  # as many samples as give enough places to choose from
    found = tf.image.extract_patches(
        tensor,
        [1, height, width, 1],
        [1, *layer.strides, 1],
        [1, *layer.dilation_rate, 1],
        layer.padding.upper(),
    )
    return tf.reshape(found, (-1, height, width, tensor.shape[-1]))


def _of_convolution(layer: Any, tensor: Any) -> np.ndarray:
    patches = _patches(layer, tensor)
    return _rows(tf.reshape(patches, (patches.shape[0], -1)))


def _of_depthwise(layer: Any, tensor: Any) -> np.ndarray:
    patches = _patches(layer, tensor)
    return _rows(tf.reshape(patches, (patches.shape[0], -1, tensor.shape[-1])))


def _of_dense(_: Any, tensor: Any) -> np.ndarray:
    return _rows(tf.reshape(tensor, (-1, tensor.shape[-1])))


COLUMNS = {"Conv2D": _of_convolution, "DepthwiseConv2D": _of_depthwise, "Dense": _of_dense}
"""For each class of layer, what lays its inputs out so that its outputs are their product with the kernel."""
