"""Writes the kernels of a ``.tflite`` file as the stream of bits that :mod:`edge_runner.kernel_stream` reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edge_runner.bit_coding import TOP_BYTE, WORD, Tree
from edge_runner.graph import Graph
from edge_runner.kernel_stream import BOOK_A_CHANNEL, MOST_IN_BOOK, NO_BOOK, ONE_BOOK, KernelCoder, KernelPlan
from edge_runner.package import MOST_ELEMENTS, MOST_KERNELS
from tfcompress.tflite.tensors import BITS, with_values
from tfcompress.tflite.weights import Kernel, kernels

_VALUE_BITS = 6  # that a value of a book takes, about
_ALL_VALUES_BITS = 250  # that it takes to learn which of all values occur
_LONGEST_SHARED, _LONGEST_OWN = 64, 32  # books of a kernel and of a channel that are worth it for elements of a byte


class PlannedKernel(NamedTuple):
    """A kernel and how it is encoded.

    Attributes:
        start: byte of the file that it starts at.
        plan: how; its gap is yet to be filled in.
        channels: of each channel its elements as whole numbers from 0 up, an array of shape (channels, elements).
    """

    start: int
    plan: KernelPlan
    channels: np.ndarray


class Encoder:
    """Writes bits by probabilities; the counterpart of :class:`edge_runner.bit_coding.Decoder`."""

    def __init__(self) -> None:
        self._low, self._high = 0, WORD
        self._written = bytearray()

    def numbers(self, tree: Tree, count: int, given: Sequence[int]) -> Sequence[int]:
        """Write *count* numbers of ``tree.bits`` bits, and return them."""
        probability, learn = tree.probability, tree.learn
        for number in given[:count]:
            node = 1
            for shift in range(tree.bits - 1, -1, -1):
                bit = number >> shift & 1
                self._bit(probability(node), bit)
                learn(node, bit)
                node = node << 1 | bit
        return given

    def _bit(self, likely: int, bit: int) -> None:
        middle = self._low + ((self._high - self._low) >> 16) * likely
        if bit:
            self._high = middle
        else:
            self._low = middle + 1
        while not (self._low ^ self._high) & TOP_BYTE:
            self._written.append(self._high >> 24)
            self._low = self._low << 8 & WORD
            self._high = self._high << 8 & WORD | 255

    def finish(self) -> bytes:
        """Return what was written: with zeros behind it, it lies between the bounds."""
        ending = self._low if not self._low else (self._low | 0xFFFFFF) + 1
        if ending <= self._high:
            self._written += (ending >> 24).to_bytes(1, "big")
        else:
            self._written += self._high.to_bytes(4, "big")
        return bytes(self._written)


def planned_kernels(graph: Graph, content: bytes) -> list[PlannedKernel]:
    """Return the kernels of a file that can be encoded one by one, in the order of the file.

    What cannot is left among the rest: kernels in the sparse encoding, and floats of more than 256 values.
    """
    found: dict[int, PlannedKernel] = {}
    for kernel in kernels(with_values(graph, content)):
        start, size = graph.buffers[kernel.tensor.buffer]
        planned = None if kernel.tensor.sparse else _planned(kernel, start)
        if planned and planned.plan.size_bytes == size:
            found[start] = planned
    ordered: list[PlannedKernel] = []
    end = elements = 0
    for start, planned in sorted(found.items()):
        elements += planned.plan.elements
        if start >= end and elements <= MOST_ELEMENTS and len(ordered) < MOST_KERNELS:
            ordered.append(planned._replace(plan=planned.plan._replace(gap=start - end)))
            end = start + planned.plan.size_bytes
    return ordered


def _planned(kernel: Kernel, start: int) -> PlannedKernel | None:
    tensor, width = kernel.tensor, BITS.get(kernel.tensor.dtype, 0)
    if width not in (4, 8, 16, 32) or not tensor.elements or tensor.dtype == "string":
        return None
    stored = np.frombuffer(tensor.data.tobytes(), np.uint8)
    if width == 4:
        elements = np.stack([stored & 15, stored >> 4], axis=1).reshape(-1)[: tensor.elements]
    else:
        elements = stored.view(f"<u{width // 8}")
    if elements.size != tensor.elements:
        return None
    last = kernel.axis % len(tensor.shape) == len(tensor.shape) - 1 if tensor.shape else False
    channels = tensor.shape[kernel.axis] if tensor.shape else 1
    interleaved = last and len(tensor.shape) > 1
    rows = elements.reshape(-1, channels).T if interleaved else elements.reshape(channels, -1)
    if width <= 8:
        rows = rows ^ (1 << width - 1)
    told = _cheapest_book(rows, width)
    if told is None:
        return None
    plan = KernelPlan(0, elements.size, channels, width, interleaved, *told)
    return PlannedKernel(start, plan, rows.astype(np.int64))


def _cheapest_book(rows: np.ndarray, width: int) -> tuple[int, int] | None:
    """Return which book encodes a kernel in the fewest bits, about, and how long it is; None: none can.

    Args:
        rows: elements by channel, an array of shape (channels, elements).
        width: bits of an element.
    """
    narrow = width <= 8
    values, counts = np.unique(rows, return_counts=True)
    own = [np.unique(row, return_inverse=True) for row in rows]
    longest = max(len(book) for book, _ in own)
    costs: dict[tuple[int, int], float] = {}
    shared = rows.size * _entropy_bits(counts)
    if narrow:
        costs[NO_BOOK, 0] = shared + len(values) * _VALUE_BITS + _ALL_VALUES_BITS
    if len(values) <= (_LONGEST_SHARED if narrow else MOST_IN_BOOK):
        costs[ONE_BOOK, len(values)] = shared + len(values) * (_VALUE_BITS if narrow else width)
    if longest <= (_LONGEST_OWN if narrow else MOST_IN_BOOK):
        numbers = np.bincount(np.concatenate([places.reshape(-1) for _, places in own]))
        books = sum(len(book) for book, _ in own) * (_VALUE_BITS if narrow else width)
        costs[BOOK_A_CHANNEL, longest] = rows.size * _entropy_bits(numbers) + books
    return min(costs, key=lambda told: costs[told], default=None)


def _entropy_bits(counts: np.ndarray) -> float:
    """Return the entropy of frequencies in bits (Shannon 1948)."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def kernel_bits(planned: Sequence[PlannedKernel]) -> bytes:
    """Return kernels as a stream of bits."""
    encoder = Encoder()
    coder = KernelCoder(encoder)
    for each in planned:
        coder.code(each.plan, each.channels.tolist())
    return encoder.finish()
