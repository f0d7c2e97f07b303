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
from tfcompress.quantization.bias_correction import bias_of, corrected_by
from tfcompress.quantization.post_training import Conditions, calibrated
from tfcompress.quantization.stepwise import Flow, SideBySide, Visited
from tfcompress.quantization.weight_fake_quant import least_squares_scale

DAMPING = 0.01
"""Of the mean of the Hessian's diagonal, added to it (the paper's section 3.3)."""
SWEEPS = 4
"""Times that each weight is looked at again."""
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
    yet which kernels will have few. Biases stay as they are, and what the kernels do to the means of the sums is left
    to them.

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
    made = calibrated(model, conditions.inputs, conditions.calibrator, conditions.stage, round_weights=False)
    new = model_copy(model)
    own = dict(leaf_layers(new))
    targets = {id(layer): own[path] for path, layer in made.layers.items() if path in own}

    def visit(seen: Visited) -> Flow:
        layer, target = seen.wrapper.layer, targets.get(id(seen.wrapper.layer))
        rounding = seen.wrapper.transforms.get("kernel")
        if target is None or not rounding or type(layer).__name__ not in COLUMNS:
            return seen.sums
        bias = bias_of(targets.get(id(seen.holder)))
        largest = float(2 ** (alone - 1) - 1) if alone else rounding[-1].largest
        kernel = kernel_on_grid(layer, seen.given, largest, centred=bias is not None)
        if kernel is None:
            return seen.sums
        target.kernel.assign(kernel)
        if alone:
            return seen.sums
        layer.kernel.assign(kernel)
        rounding[-1].fit_(kernel)
        sums = Flow(seen.sums.exact, seen.again())
        return sums if bias is None else corrected_by(bias, sums)

    SideBySide(made.model, conditions.inputs).run(visit)
    return new


def kernel_on_grid(layer: Any, given: Flow, largest: float, *, centred: bool = False) -> np.ndarray | None:
    """Return the kernel of a layer on its grid, of the same shape; None: its sums are too wide.

    Args:
        layer: a Conv1D, Conv2D, DepthwiseConv2D or Dense.
        given: what it is fed with, in the float model and in the rounded one.
        largest: largest integer of the grid.
        centred: the means of the sums are left to a bias.
    """
    kernel = np.asarray(layer.kernel, np.float64)
    width = int(np.prod(kernel.shape[:-1])) // (kernel.shape[2] if _is_depthwise(layer) else 1)
    if width > _WIDEST or getattr(layer, "groups", 1) != 1:
        return None
    columns = COLUMNS[type(layer).__name__]
    exact, inputs = (columns(layer, tensor) for tensor in (given.exact, given.rounded))
    if _is_depthwise(layer):
        channels = [
            _one_kernel(kernel[:, :, c].reshape(width, -1), exact[:, :, c], inputs[:, :, c], largest, centred=centred)
            for c in range(kernel.shape[2])
        ]
        return np.stack(channels, axis=1).reshape(kernel.shape).astype(np.float32)
    flat = _one_kernel(kernel.reshape(width, -1), exact, inputs, largest, centred=centred)
    return flat.reshape(kernel.shape).astype(np.float32)


def _one_kernel(
    weights: np.ndarray, exact: np.ndarray, inputs: np.ndarray, largest: float, *, centred: bool
) -> np.ndarray:
    """Return weights, shape (inputs, outputs), on the grid.

    The least squares of ``inputs @ q - exact @ w`` over *q* are those of ``inputs @ (q - best)``, where *best* is *w*
    moved by what solves ``inputs @ d = (exact - inputs) @ w``.
    """
    if centred:
        exact, inputs = exact - exact.mean(axis=0), inputs - inputs.mean(axis=0)
    # TensorFlow's own matrices: those of numpy wait in a busy loop where other processes have the cores.
    hessian = tf.matmul(inputs, inputs, transpose_a=True)
    lost = tf.matmul(tf.matmul(inputs, exact, transpose_a=True) - hessian, weights)
    hessian += (
        DAMPING * tf.maximum(tf.linalg.trace(hessian) / len(weights), 1e-12) * tf.eye(len(weights), dtype="float64")
    )
    kept = weights != 0  # what was pruned stays zero
    best = weights + kept * np.asarray(tf.linalg.solve(hessian, lost))
    order = np.argsort(-np.asarray(tf.linalg.diag_part(hessian)), kind="stable")  # what weighs most is rounded first
    rounding = _Rounding(np.asarray(hessian)[np.ix_(order, order)], best[order], kept[order], largest)
    made: np.ndarray = np.empty_like(best)
    made[order] = rounding.result()
    return made


class _Rounding:
    """The integers and steps of a kernel, with the least error of its sums that is found.

    The error of an output is ``(q * scale - best) @ hessian @ (q * scale - best)``.
    """

    def __init__(self, hessian: np.ndarray, best: np.ndarray, kept: np.ndarray, largest: float) -> None:
        self._hessian, self._best, self._kept, self._largest = hessian, best, kept, largest
        top = np.abs(best).argmax(axis=0)
        self._held = np.zeros(best.shape, bool)  # the largest weight of a channel is at the end of its grid
        self._held[top, np.arange(best.shape[1])] = True
        self._ends = np.where(best < 0, -largest, largest)

    def result(self) -> np.ndarray:
        """Round one weight after the other, then look at each again (Behdin et al. 2023, arXiv:2309.01885)."""
        scale = least_squares_scale(self._best, self._largest, np.diag(self._hessian))
        steps = self._in_one_go(scale)
        for _ in range(SWEEPS):
            scale = self._scale_of(steps, scale)
            if not self._improve_(steps, scale):
                break
        return np.asarray(steps * scale)

    def _whole(self, row: int, wish: np.ndarray) -> np.ndarray:
        found = np.clip(np.round(wish), -self._largest, self._largest)
        return np.asarray(self._kept[row] * np.where(self._held[row], self._ends[row], found))

    def _in_one_go(self, scale: np.ndarray) -> np.ndarray:
        upper = np.asarray(tf.linalg.cholesky(tf.linalg.inv(self._hessian))).T  # upper.T @ upper is the inverse
        steps, left = np.empty_like(self._best), self._best.copy()
        for row in range(len(left)):
            steps[row] = self._whole(row, left[row] / scale)
            error = (left[row] - steps[row] * scale) / upper[row, row]
            left[row + 1 :] -= np.outer(upper[row, row + 1 :], error)
        return steps

    def _scale_of(self, steps: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Return the scale that suits the integers best; shape (outputs,)."""
        weighed = np.asarray(tf.matmul(self._hessian, steps))
        over, under = (weighed * self._best).sum(axis=0), (weighed * steps).sum(axis=0)
        return np.where((over > 0) & (under > 0), over / np.where(under > 0, under, 1.0), scale)

    def _improve_(self, steps: np.ndarray, scale: np.ndarray) -> bool:
        """Move each weight to where the error is least with all others as they are; returns whether one moved."""
        slope = np.array(tf.matmul(self._hessian, steps * scale - self._best))
        moved = False
        for row in range(len(steps)):
            change = self._whole(row, steps[row] - slope[row] / (scale * self._hessian[row, row])) - steps[row]
            if change.any():
                steps[row] += change
                slope += np.outer(self._hessian[:, row], change * scale)
                moved = True
        return moved


def _is_depthwise(layer: Any) -> bool:
    return type(layer).__name__.startswith("Depthwise")


def _rows(values: Any) -> np.ndarray:
    """Return at most so many rows of a matrix, evenly spaced, float64."""
    step = -(-int(values.shape[0]) // _ROWS)
    return np.asarray(values[::step], np.float64)


def _patches(layer: Any, tensor: Any) -> Any:
    """Return what each place of a convolution sees, shape (places, height, width, channels)."""
    height, width = layer.kernel_size
    return _places_of(tensor, (height, width), layer.strides, layer.dilation_rate, layer.padding)


def _places_of(
    tensor: Any, size: tuple[int, int], strides: tuple[int, int], dilation: tuple[int, int], padding: str
) -> Any:
    height, width = size
    places = math.prod(-(-int(size) // stride) for size, stride in zip(tensor.shape[1:3], strides, strict=True))
    tensor = tensor[: max(1, -(-_SPARE * _ROWS // places))]  # as many samples as give enough places to choose from
    found = tf.image.extract_patches(
        tensor,
        [1, height, width, 1],
        [1, *strides, 1],
        [1, *dilation, 1],
        padding.upper(),
    )
    return tf.reshape(found, (-1, height, width, tensor.shape[-1]))


def _of_convolution(layer: Any, tensor: Any) -> np.ndarray:
    patches = _patches(layer, tensor)
    return _rows(tf.reshape(patches, (patches.shape[0], -1)))


def _of_line(layer: Any, tensor: Any) -> np.ndarray:
    """Lay out what a convolution along a line sees: that of an image of one row."""
    (length,), (stride,), (dilation,) = layer.kernel_size, layer.strides, layer.dilation_rate
    padding = layer.padding
    if padding == "causal":
        tensor, padding = tf.pad(tensor, ((0, 0), (dilation * (length - 1), 0), (0, 0))), "valid"
    patches = _places_of(tensor[:, tf.newaxis], (1, length), (1, stride), (1, dilation), padding)
    return _rows(tf.reshape(patches, (patches.shape[0], -1)))


def _of_depthwise(layer: Any, tensor: Any) -> np.ndarray:
    patches = _patches(layer, tensor)
    return _rows(tf.reshape(patches, (patches.shape[0], -1, tensor.shape[-1])))


def _of_dense(_: Any, tensor: Any) -> np.ndarray:
    return _rows(tf.reshape(tensor, (-1, tensor.shape[-1])))


COLUMNS = {"Conv1D": _of_line, "Conv2D": _of_convolution, "DepthwiseConv2D": _of_depthwise, "Dense": _of_dense}
"""For each class of layer, what lays its inputs out so that its outputs are their product with the kernel."""
