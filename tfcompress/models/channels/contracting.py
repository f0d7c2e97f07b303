"""What products of matrices and tensors do to channels: an axis that is summed over is read, the others pass."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfcompress.models.channels.elementwise import activated
from tfcompress.models.channels.ledger import Atoms, Channels, Marks
from tfcompress.models.channels.records import Count
from tfcompress.models.channels.trace import Rule, Step, refused
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
    step.multiply(layer.kernel)
    here = dict(zip(given, marks, strict=True))
    made = [letter for letter in kernel if letter not in given]
    if any(letter not in out for letter in made):
        return refused(step)
    found: dict[str, Channels | None] = {k: c and c.becoming(np.nan) for k, c in here.items()}
    for axis, letter in enumerate(kernel):
        if letter in made:
            suffix = "" if letter == made[-1] else f":{letter}"
            found[letter] = Channels.zero(step.produce(layer.kernel, axis, suffix))
        elif letter not in out:
            step.read(layer.kernel, axis, here[letter])
        else:
            channels = here[letter]
            step.claim(layer.kernel, axis, None if channels is None else channels.atoms, "makes")
            found[letter] = channels and Channels.zero(channels.atoms)
    _claim_bias(step, out, found)
    _set_output_shape(step, out, {k: c.atoms for k, c in found.items() if c is not None and k in out})
    return [tuple(activated(step, found[letter], layer.activation) for letter in out)]


def _claim_bias(step: Step, out: str, found: dict[str, Channels | None]) -> None:
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
    if not all(
        isinstance(arg, str) or arg is tensor for arg, tensor in zip(step.args, ("", *step.tensors), strict=False)
    ):
        return refused(step)
    equation = step.layer.subscripts
    if "->" not in equation or any(len(set(term)) < len(term) for term in equation.replace("...", "").split(",")):
        return refused(step)
    spelt, out = _spelt(equation, [len(marks) for marks in step.given])
    return _contract(step, spelt, out)


def matmul(step: Step) -> list[Marks]:
    """``ops.matmul`` of two tensors of at least two axes."""
    ranks = [len(marks) for marks in step.given]
    if len(ranks) != 2 or min(ranks) < 2:
        return refused(step)
    spare = string.ascii_uppercase[: max(ranks) - 2]
    first, second = (spare[len(spare) - rank + 2 :] for rank in ranks)
    return _contract(step, [f"{first}ij", f"{second}jk"], f"{spare}ik")


def _contract(step: Step, spelt: list[str], out: str) -> list[Marks]:
    """Tie what has one letter; what is summed over must be zero when dead."""
    found: dict[str, Channels | None] = {}
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


def _one_letter(step: Step, parts: list[tuple[int | None, Channels | None]]) -> Channels | None:
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


RULES: dict[str, Rule] = {"EinsumDense": einsum_dense, "Einsum": einsum, "Matmul": matmul}
"""Class of a layer or operation -> its rule."""
