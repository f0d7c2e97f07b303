"""What products of matrices and tensors do to channels: an axis that is summed over is read, the others pass."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfcompress.channels.claims import Count
from tfcompress.channels.elementwise import activated
from tfcompress.channels.ledger import Atoms, AxisChannels, Marks
from tfcompress.channels.trace import Rule, Step, pinned_whole
from tfcompress.models.macs import macs_of_call


def _spelt(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Return the letters of every operand and of the output, an ellipsis written out in letters of its own."""
    left, _, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    widths = [rank - len(term) + 3 for term, rank in zip(terms, ranks, strict=True) if "..." in term]
    spare = string.ascii_uppercase[: max(widths, default=0)]
    spelt = [
        term.replace("...", spare[len(spare) - (rank - len(term) + 3) :])
        for term, rank in zip(terms, ranks, strict=True)
    ]
    return spelt, right.replace("...", spare)


def einsum_dense(step: Step) -> list[Marks]:
    """Letters of the kernel alone are made; those it shares with the input are read, or pass with it."""
    layer, marks = step.layer, step.given[0]
    ranks = (len(marks), len(layer.kernel.shape))
    (given, kernel), out = _spelt(layer.equation, ranks)
    here = dict(zip(given, marks, strict=True))
    made = [letter for letter in kernel if letter not in given]
    if any(letter not in out for letter in made):
        return pinned_whole(step)
    found: dict[str, AxisChannels | None] = {
        k: c and c.becoming(np.where((c.dead == 0) & (layer.bias is None), 0.0, np.nan)) for k, c in here.items()
    }
    for axis, letter in enumerate(kernel):
        if letter in made:
            suffix = "" if letter == made[-1] else f":{letter}"
            span = math.prod(size for each, size in zip(kernel, layer.kernel.shape, strict=True) if each in made)
            span //= layer.kernel.shape[axis]
            found[letter] = AxisChannels.zero(step.produce(layer.kernel, axis, suffix, span=span))
        elif letter not in out:
            step.read(layer.kernel, axis, here[letter])
        else:
            channels = here[letter]
            step.claim(layer.kernel, axis, None if channels is None else channels.atoms, "makes")
            found[letter] = channels and AxisChannels.zero(channels.atoms)
    _count(step, kernel, here, found)
    _claim_bias(step, out, found)
    _set_output_shape(step, out, {k: c.atoms for k, c in found.items() if c is not None and k in out})
    return [tuple(activated(step, found[letter], layer.activation) for letter in out)]


def _count(
    step: Step, kernel: str, here: dict[str, AxisChannels | None], found: dict[str, AxisChannels | None]
) -> None:
    """Count the product: by the kernel alone, or by the channels too that only pass along axes of their own."""
    passing = [channels for letter, channels in here.items() if letter not in kernel and channels is not None]
    if not passing:
        step.multiply(step.layer.kernel)
        return
    step.product(step.times_all(), *(found.get(letter) or here.get(letter) for letter in kernel), *passing)


def _claim_bias(step: Step, out: str, found: dict[str, AxisChannels | None]) -> None:
    layer = step.layer
    if layer.bias is None:
        return
    letters = out[len(out) - len(layer.bias.shape) :]
    for axis, letter in enumerate(letters):
        channels = found[letter]
        if channels is not None and layer.bias.shape[axis] == len(channels):
            step.claim(layer.bias, axis, channels.atoms, "makes")


def _set_output_shape(step: Step, out: str, atoms: dict[str, Atoms]) -> None:
    def edit(config: dict[str, Any], count: Count) -> None:
        shape = config["output_shape"]
        sizes = [shape] if isinstance(shape, int) else list(shape)
        for axis, letter in enumerate(out[len(out) - len(sizes) :]):
            if letter in atoms and sizes[axis] is not None:
                sizes[axis] = count(atoms[letter])
        config["output_shape"] = tuple(sizes)

    step.reconfigure(edit)


def einsum(step: Step) -> list[Marks]:
    """``ops.einsum``."""
    operands = [arg for arg in step.args if not isinstance(arg, str)]
    if len(operands) != len(step.tensors):  # a constant is among them
        return pinned_whole(step)
    equation = step.layer.subscripts
    terms = equation.replace("...", "").replace("->", ",").split(",")
    if "->" not in equation or any(len(set(term)) < len(term) for term in terms):
        return pinned_whole(step)
    spelt, out = _spelt(equation, [len(marks) for marks in step.given])
    return _contract(step, spelt, out)


def matmul(step: Step) -> list[Marks]:
    """``ops.matmul`` of two tensors of at least two axes."""
    ranks = [len(marks) for marks in step.given]
    if len(ranks) != 2 or min(ranks) < 2:
        return pinned_whole(step)
    spare = string.ascii_uppercase[: max(ranks) - 2]
    first, second = (spare[len(spare) - rank + 2 :] for rank in ranks)
    return _contract(step, [f"{first}ij", f"{second}jk"], f"{spare}ik")


def dot(step: Step) -> list[Marks]:
    """``Dot``: the axes are summed over, of length 1 or not; the others follow each other."""
    layer, ranks = step.layer, [len(marks) for marks in step.given]
    if getattr(layer, "axes", None) is None or len(ranks) != 2:  # the operation ``Dot``, NumPy's, has none
        return pinned_whole(step)
    axes = [layer.axes, layer.axes] if isinstance(layer.axes, int) else list(layer.axes)
    spare = iter(string.ascii_lowercase[2:])
    spelt = [
        "".join("a" if n == 0 else "b" if n == axis % rank else next(spare) for n in range(rank))
        for rank, axis in zip(ranks, axes, strict=True)
    ]
    out = "a" + "".join(letter for term in spelt for letter in term if letter not in "ab")
    (found,) = _contract(step, spelt, out)
    return [found if len(out) > 1 else (*found, None)]


def _contract(step: Step, spelt: list[str], out: str) -> list[Marks]:
    """Tie what has one letter; what is summed over must be zero when dead."""
    found: dict[str, AxisChannels | None] = {}
    for letter in dict.fromkeys("".join(spelt)):
        parts = [
            (step.tensors[n].shape[term.index(letter)], step.given[n][term.index(letter)])
            for n, term in enumerate(spelt)
            if letter in term
        ]
        found[letter] = _one_letter(step, parts)
        channels = found[letter]
        if channels is not None and letter not in out and np.any(channels.dead != 0):
            step.trace.inexact.append((channels.atoms, f"read by {step.named}"))
    step.product(macs_of_call(step.layer, step.shapes), *found.values())
    return [tuple(found[letter] for letter in out)]


def _one_letter(step: Step, parts: list[tuple[int | None, AxisChannels | None]]) -> AxisChannels | None:
    wide = [(size, channels) for size, channels in parts if size != 1] or parts
    known = [channels for _, channels in wide if channels is not None]
    if not known:
        return None
    for channels in known[1:]:
        step.unite(known[0], channels)
    if len(known) < len(wide):
        step.pin(known[0], f"multiplied in {step.named} by channels that are fixed")
    zero = np.any([channels.dead == 0 for channels in known], axis=0)
    return known[0].becoming(np.where(zero, 0.0, np.nan))


RULES: dict[str, Rule] = {"EinsumDense": einsum_dense, "Einsum": einsum, "Matmul": matmul, "Dot": dot}
"""Class of a layer or operation -> its rule."""
