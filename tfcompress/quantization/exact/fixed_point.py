"""Fixed-point arithmetic of TFLite's reference kernels: what a real multiplier, an exponential and a reciprocal become.

Arrays are int64 and hold values that fit into 32 bits, as the kernels' do. A value "in Q(n)" is a fraction of
``2**(31 - n)``: n integer bits. The formulas are those of TFLite's quantization scheme (Jacob et al. 2018,
arXiv:1712.05877, section 2.2 and appendix A.1 and B) as its runtime rounds them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ONE = (1 << 31) - 1  # 1.0 in Q0 saturates
_EXP_EIGHTH = 1895147668  # exp(-1/8) in Q0
_THIRD = 715827883  # 1/3 in Q0
_EXP_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)  # exp(-2**n), n from -2 to 4
_ONE_AND_A_HALF = 3 << 27  # in Q3
_ROOT_OF_HALF = 1518500250  # sqrt(1/2) in Q0
_NEWTON = (1515870810, -1010580540)  # 48/17 and -32/17 in Q2


@dataclass(frozen=True)
class Multiplier:
    """A real factor as the kernels hold it, ``mantissa * 2**(exponent - 31)``.

    Attributes:
        mantissa: 31 bits; one or an array of any shape.
        exponent: of the same shape.
    """

    mantissa: np.ndarray
    exponent: np.ndarray

    @classmethod
    def of(cls, factor: np.ndarray | float) -> Multiplier:
        """Return the nearest one to *factor*, float64, at least zero; below ``2**-32`` it becomes zero."""
        fraction, exponent = np.frexp(np.asarray(factor, np.float64))
        mantissa = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
        full = mantissa == 1 << 31
        mantissa, exponent = np.where(full, mantissa // 2, mantissa), exponent + full
        lost = exponent < -31
        return cls(np.where(lost, 0, mantissa), np.where(lost, 0, exponent).astype(np.int64))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Multiply *values*, int64, of a shape that broadcasts; rounded twice, as the kernels do."""
        left, right = np.maximum(self.exponent, 0), np.maximum(-self.exponent, 0)
        shifted = values << left if np.any(left) else values
        return divided(high_product(shifted, self.mantissa), right)


def high_product(first: np.ndarray | int, second: np.ndarray | int) -> np.ndarray:
    """Return ``first * second / 2**31`` to the nearest integer, ties up."""
    result = np.asarray(np.asarray(first, np.int64) * second)
    result += 1 << 30
    result >>= 31
    return result


def divided(values: np.ndarray, exponent: np.ndarray | int) -> np.ndarray:
    """Return ``values / 2**exponent`` to the nearest integer, ties away from zero."""
    exponent = np.asarray(exponent, np.int64)
    half = (np.int64(1) << exponent) >> 1
    result = np.asarray((values >> 63) * (exponent > 0))  # -1 where a tie has to go down
    result += values
    result += half
    result >>= exponent
    return result


def round_half_away(values: np.ndarray) -> np.ndarray:
    """Round to the nearest whole number, ties away from zero, as C's ``round`` does."""
    return np.asarray(np.trunc(values + np.copysign(0.5, values)))


def exponential(values: np.ndarray, integer_bits: int) -> np.ndarray:
    """Return ``exp(values)`` in Q0.

    Args:
        values: at most zero, in Q(*integer_bits*).
        integer_bits: at most 5.
    """
    quarter = 1 << (29 - integer_bits)
    within = (values & (quarter - 1)) - quarter
    result = _exponential_of_quarter(within << integer_bits)
    rest = within - values
    for power, factor in enumerate(_EXP_POWERS, -2):
        if power < integer_bits:
            chosen = (rest >> (31 - integer_bits + power)) & 1
            result = np.where(chosen != 0, high_product(result, factor), result)
    return np.where(values == 0, _ONE, result)


def _exponential_of_quarter(values: np.ndarray) -> np.ndarray:
    """Return ``exp(values)`` for values from -1/4 to 0, all in Q0: a Taylor series of fourth order around -1/8."""
    x = values + (1 << 28)
    x2 = high_product(x, x)
    x3, x4 = high_product(x2, x), high_product(x2, x2)
    series = divided(high_product(divided(x4, 2) + x3, _THIRD) + x2, 1)
    return _EXP_EIGHTH + high_product(_EXP_EIGHTH, x + series)


def reciprocal_of_one_and(values: np.ndarray) -> np.ndarray:
    """Return ``1 / (1 + values)`` for values from 0 to 1, all in Q0: three steps of Newton's division."""
    total = values + _ONE
    half = (total + 1) // 2
    x = _NEWTON[0] + high_product(half, _NEWTON[1])
    for _ in range(3):
        rest = (1 << 29) - high_product(half, x)
        x = x + saturated(high_product(x, rest) << 2)
    return saturated(x << 1)


def inverse_root(value: int) -> Multiplier:
    """Return ``1 / sqrt(value)`` of a whole number above zero: five steps of Newton's iteration in Q3."""
    if value == 1:
        return Multiplier(np.asarray(_ONE), np.asarray(0))
    pairs = (32 - value.bit_length() - 1) // 2 - 1
    given = np.asarray((value << (2 * pairs)) >> 1, np.int64)
    half, x = divided(given, 1), np.asarray(1 << 28, np.int64)
    for _ in range(5):
        cube = saturated(high_product(high_product(x, x), x) << 6)
        x = saturated((high_product(_ONE_AND_A_HALF, x) - high_product(half, cube)) << 3)
    x, shift = high_product(x, _ROOT_OF_HALF), 11 - pairs
    return Multiplier(x << max(-shift, 0), np.asarray(-max(shift, 0)))


def saturated(values: np.ndarray) -> np.ndarray:
    """Hold *values* in 32 bits."""
    return np.asarray(np.clip(values, -(1 << 31), _ONE))


def leading_zeros(values: np.ndarray) -> np.ndarray:
    """Count the zeros before the first one of 32 bits; *values* are above zero."""
    return 32 - np.frexp(values.astype(np.float64))[1].astype(np.int64)
