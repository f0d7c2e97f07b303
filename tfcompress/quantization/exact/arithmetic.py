"""The int8 ops of TFLite's reference kernels, on whole tensors.

Functions take :class:`~tfcompress.quantization.exact.values.Held` tensors and return a
:class:`~tfcompress.quantization.exact.values.Waiting` one where the op has a scale of its own for its output.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfcompress.quantization.exact.fixed_point import (
    Multiplier,
    divided,
    exponential,
    high_product,
    inverse_root,
    leading_zeros,
    reciprocal_of_one_and,
    round_half_away,
)
from tfcompress.quantization.exact.values import LARGEST, LEAST, Grid, Held, Sums, Waiting

_HEADROOM = 20  # bits that ADD and SUB shift their inputs up by
_SOFTMAX_BITS = 5
_ACCUMULATOR_BITS = 12
_FAR = 1e6  # steps that are beyond every grid


def weighted(given: Sums) -> Waiting:
    """CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED: sums plus bias, times a factor a channel.

    The kernel of FULLY_CONNECTED takes the factor in float64 where there are several, and in float32's product where
    there is one; the others hold it in 31 bits.
    """
    scale = given.factors.astype(np.float32).astype(np.float64)
    bias = given.bias.astype(np.float64)
    if given.bias_source is not None:  # training rounded it to steps of this
        trained = given.factors * given.bias_source
        bias = np.round(bias / trained) * trained
    step = given.source.scale * scale
    total = given.sums + np.rint(bias.astype(np.float32).astype(np.float64) / step).astype(np.int64)

    def rescale(grid: Grid) -> np.ndarray:
        if not given.dense:
            return Multiplier.of(step / grid.scale)(total) + grid.zero_point
        if scale.size == 1:
            return Multiplier.of(step.astype(np.float32).astype(np.float64) / grid.scale)(total) + grid.zero_point
        return round_half_away(total * (step / grid.scale)).astype(np.int64) + grid.zero_point

    return Waiting(rescale)


def added(first: Held, second: Held, sign: int = 1) -> Waiting:
    """ADD, or SUB where *sign* is -1."""
    twice = 2.0 * max(first.grid.scale, second.grid.scale)
    parts = [Multiplier.of(side.grid.scale / twice)(side.centred << _HEADROOM) for side in (first, second)]
    total = parts[0] + sign * parts[1]
    # the kernel multiplies the output's scale by 2**20 as float32, which is exact
    return Waiting(lambda grid: Multiplier.of(twice / (2.0**_HEADROOM * grid.scale))(total) + grid.zero_point)


def multiplied(first: Held, second: Held) -> Waiting:
    """MUL; the factor is computed in float32."""
    scale, product = np.float32(first.grid.scale) * np.float32(second.grid.scale), first.centred * second.centred
    return Waiting(lambda grid: Multiplier.of(float(scale / np.float32(grid.scale)))(product) + grid.zero_point)


def multiplied_matrices(sums: np.ndarray, first: Grid, second: Grid) -> Waiting:
    """BATCH_MATMUL: sums of products without zero points, int64; the product of the scales is float32."""
    scale = float(np.float32(first.scale) * np.float32(second.scale))
    return Waiting(lambda grid: Multiplier.of(scale / grid.scale)(sums) + grid.zero_point)


def rescaled(given: Held) -> Waiting:
    """QUANTIZE from one grid to another."""
    factor = given.grid.scale
    return Waiting(lambda grid: Multiplier.of(factor / grid.scale)(given.centred) + grid.zero_point)


def rectified(given: Held) -> Waiting:
    """RELU and RELU6 where no op before does them; the factor is computed in float32."""
    return Waiting(lambda grid: _float32_ratio(given.grid, grid)(given.centred) + grid.zero_point)


def magnitude(given: Held) -> Waiting:
    """ABS; the factor is computed in float32, and there is none where the scales are the same."""
    size = np.abs(given.centred)

    def rescale(grid: Grid) -> np.ndarray:
        same = given.grid.scale == grid.scale
        return (size if same else _float32_ratio(given.grid, grid)(size)) + grid.zero_point

    return Waiting(rescale)


def leaky(given: Held, slope: Held) -> Waiting:
    """PRELU: what is below zero is multiplied by a slope."""
    below = given.centred < 0
    product = given.centred * slope.centred
    scale = np.float32(given.grid.scale) * np.float32(slope.grid.scale)

    def rescale(grid: Grid) -> np.ndarray:
        steep, flat = _float32_ratio(given.grid, grid), Multiplier.of(float(scale / np.float32(grid.scale)))
        return np.where(below, flat(product), steep(given.centred)) + grid.zero_point

    return Waiting(rescale)


def leaky_by(given: Held, slope: float) -> Waiting:
    """LEAKY_RELU: the same with one slope, which goes into the factor."""
    below, scale = given.centred < 0, np.float32(given.grid.scale) * np.float32(slope)

    def rescale(grid: Grid) -> np.ndarray:
        steep, flat = _float32_ratio(given.grid, grid), Multiplier.of(float(scale / np.float32(grid.scale)))
        return np.where(below, flat(given.centred), steep(given.centred)) + grid.zero_point

    return Waiting(rescale)


def _float32_ratio(first: Grid, second: Grid) -> Multiplier:
    return Multiplier.of(float(np.float32(first.scale) / np.float32(second.scale)))


def averaged(given: Held, axes: tuple[int, ...], *, keep: bool) -> Waiting:
    """MEAN: the division by the count goes into the factor."""
    count = int(np.prod([given.numbers.shape[axis] for axis in axes]))
    total = given.centred.sum(axis=axes, keepdims=keep)

    def rescale(grid: Grid) -> np.ndarray:
        factor = Multiplier.of(given.grid.scale / grid.scale)
        shift = min(count.bit_length() - 1, 32, 31 + int(factor.exponent))
        mean = Multiplier((factor.mantissa << shift) // count, factor.exponent - shift)
        return mean(total) + grid.zero_point

    return Waiting(rescale)


def pooled(totals: np.ndarray, counts: np.ndarray, grid: Grid) -> Held:
    """AVERAGE_POOL_2D: the mean of the stored numbers, ties away from zero, on the input's grid.

    Args:
        totals: sums of the stored numbers, with their zero points, int64, shape (batch, …).
        counts: how many each is the sum of, of a shape that broadcasts.
        grid: of input and output.
    """
    half = counts // 2
    means = np.where(totals > 0, (totals + half) // counts, -((half - totals) // counts))
    return Held(np.clip(means, LEAST, LARGEST), grid)


def interpolated(given: Held, size: tuple[int, int]) -> Held:
    """RESIZE_BILINEAR between pixels' centres, on the input's grid: places and weights in steps of 1/1024.

    Args:
        given: shape (batch, height, width, channels).
        size: height and width of the result.
    """
    numbers = given.numbers
    for axis, extent in zip((1, 2), size, strict=True):
        lower, upper, weight = _neighbours(numbers.shape[axis], extent, rank=numbers.ndim, axis=axis)
        numbers = numbers.take(lower, axis) * ((1 << 10) - weight) + numbers.take(upper, axis) * weight
    half = np.where(numbers > 0, 1 << 19, -(1 << 19))
    return Held(np.sign(numbers) * (np.abs(numbers + half) >> 20), given.grid)


def _neighbours(inputs: int, outputs: int, *, rank: int, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each place along one axis the two places it lies between, and the weight of the second in 1/1024."""
    scale = ((inputs << 10) + outputs // 2) // outputs
    place = np.arange(outputs) * scale + scale // 2 - (1 << 9)
    lower = np.maximum(np.sign(place) * (np.abs(place) >> 10), 0)
    upper = np.minimum((place + (1 << 10) - 1) >> 10, inputs - 1)
    shape = [1] * rank
    shape[axis] = outputs
    return lower, upper, (place - (lower << 10)).reshape(shape)


def looked_up(given: Held, function: Callable[[np.ndarray], np.ndarray]) -> Waiting:
    """LOGISTIC, TANH and their like: a table of the function in float32, at each of the 256 numbers.

    Where the function has no value, as LOG at zero and below, the table holds the least number.
    """

    def rescale(grid: Grid) -> np.ndarray:
        numbers = np.arange(LEAST, LARGEST + 1)
        reals = np.float32(given.grid.scale) * (numbers - given.grid.zero_point).astype(np.float32)
        inverse = np.float32(1.0) / np.float32(grid.scale)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            steps = np.nan_to_num(function(reals) * inverse, nan=-_FAR)
        table = round_half_away(np.clip(steps, -_FAR, _FAR)).astype(np.int64) + grid.zero_point
        return np.asarray(table[given.numbers - LEAST])

    return Waiting(rescale)


def hard_swish(given: Held) -> Waiting:
    """HARD_SWISH, ``x * relu6(x + 3) / 6`` in 16 bits: a line times a ramp from 0 to 1 that saturates."""
    fine = given.centred << 7
    fine_scale = np.float32(1.0 / 128.0) * np.float32(given.grid.scale)
    ramp = Multiplier.of(float(fine_scale / np.float32(3.0 / 32768.0)))
    left = int(ramp.exponent)
    slope = fine if left <= 0 else _in_16_bits(fine << (left - 1))
    slope = _high_product_16(slope, ramp)
    slope = divided(slope, -left) if left <= 0 else _in_16_bits(slope << 1)
    share = (slope + (1 << 15)) >> 1

    def rescale(grid: Grid) -> np.ndarray:
        factor = Multiplier.of(float(fine_scale / np.float32(grid.scale)))
        product = share * _high_product_16(fine, factor)
        kept = np.sign(product) * (np.abs(product) >> 15)  # the kernel drops the rest, so as not to round twice
        return divided(kept, -factor.exponent) + grid.zero_point

    return Waiting(rescale)


def _in_16_bits(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(values, -(1 << 15), (1 << 15) - 1))


def _high_product_16(values: np.ndarray, factor: Multiplier) -> np.ndarray:
    """Multiply by the upper 16 bits of a mantissa and keep the upper 16 bits of the product, ties up."""
    mantissa = min((int(factor.mantissa) + (1 << 15)) >> 16, (1 << 15) - 1)
    return np.asarray((values * mantissa + (1 << 14)) >> 15)


def inverse_rooted(given: Held) -> Waiting:
    """RSQRT: a table in fixed point; of zero it is the largest number there is."""

    def rescale(grid: Grid) -> np.ndarray:
        divisor = np.sqrt(np.float32(given.grid.scale)) * np.float32(grid.scale)
        factor = Multiplier.of(1.0 / float(divisor))
        scaled = Multiplier(factor.mantissa, factor.exponent - _HEADROOM)
        table = np.full(2 * LARGEST + 2, LARGEST, np.int64)
        for value in range(1, len(table)):
            root = inverse_root(value)
            raised = Multiplier(root.mantissa, root.exponent + _HEADROOM)(np.asarray(1, np.int64))
            table[value] = scaled(raised) + grid.zero_point
        return np.asarray(table[np.maximum(given.centred, 0)])

    return Waiting(rescale)


def softmax(given: Held) -> Held:
    """SOFTMAX over the last axis, in fixed point, onto its one grid of 1/256 from -128.

    The exponentials are in Q0, their sum in Q12, the input's differences in Q5.
    """
    factor = Multiplier.of(min(given.grid.scale * 2.0 ** (31 - _SOFTMAX_BITS), 2.0**31 - 1.0))
    least = -int(np.floor((2**_SOFTMAX_BITS - 1) * 2.0 ** (31 - _SOFTMAX_BITS) / 2.0 ** float(factor.exponent)))
    difference = given.numbers - given.numbers.max(axis=-1, keepdims=True)
    counted = difference >= least
    powers = exponential(
        high_product(np.where(counted, difference, 0) << factor.exponent, factor.mantissa), _SOFTMAX_BITS
    )
    total = np.where(counted, divided(powers, _ACCUMULATOR_BITS), 0).sum(axis=-1, keepdims=True)
    headroom = leading_zeros(total)
    reciprocal = reciprocal_of_one_and((total << headroom) - (1 << 31))
    numbers = divided(high_product(reciprocal, powers), _ACCUMULATOR_BITS - headroom + 31 - 8) + LEAST
    return Held(np.where(counted, np.clip(numbers, LEAST, LARGEST), LEAST), Grid(1.0 / 256.0, LEAST))
