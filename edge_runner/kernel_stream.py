"""Kernels of a model as a stream of bits: the values of each channel by number in a book of those that occur.

A kernel whose weights were clustered holds few values; which of them stands where is what is left to be encoded (Han et
al., *Deep Compression*, ICLR 2016, with arithmetic coding in the place of Huffman's). Trained weights do not depend on
their neighbours: contexts beyond the kernel itself were tried on real files, and cost more than they saved.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from edge_runner.bit_coding import Tree

NO_BOOK, ONE_BOOK, BOOK_A_CHANNEL = range(3)
"""Values are encoded as they are; by number in a book of the kernel; by number in a book of their channel."""
MOST_IN_BOOK = 256
_REMEMBERED = 24  # bits that a kernel's frequencies count for in the next one

ChannelElements = list[list[int]]
"""Of each channel its elements, as whole numbers from 0 up; signed ones of 4 and 8 bits count from the least up."""


class KernelPlan(NamedTuple):
    """Where a kernel lies in the file, and how it is encoded.

    Attributes:
        gap: bytes between the kernel before it and this one.
        elements: how many; a multiple of *channels*.
        channels: how many.
        width: bits of an element: 4 (two a byte, the low half first), 8, 16 or 32.
        interleaved: neighbouring elements belong to different channels.
        book: one of :data:`NO_BOOK`, :data:`ONE_BOOK`, :data:`BOOK_A_CHANNEL`.
        longest: values of the longest book, at least 1; without a book 0.
    """

    gap: int
    elements: int
    channels: int
    width: int
    interleaved: bool
    book: int
    longest: int

    @property
    def size_bytes(self) -> int:
        """Bytes that it takes in the file."""
        return (self.elements * self.width + 7) // 8

    def problem(self) -> str:
        """Return why there is no such kernel; empty: there may be."""
        if self.width not in (4, 8, 16, 32) or self.book not in (NO_BOOK, ONE_BOOK, BOOK_A_CHANNEL):
            return "a kernel is encoded in an unknown way"
        if not 1 <= self.channels <= self.elements or self.elements % self.channels:
            return "a kernel's channels do not divide it"
        if self.book == NO_BOOK:
            return "" if self.width <= 8 and not self.longest else "a kernel is encoded in an unknown way"
        return "" if 1 <= self.longest <= MOST_IN_BOOK else "a kernel's book is too long"


class KernelCoder:
    """Writes or reads kernels, one after the other; both ways go through the same steps.

    Args:
        coder: reads numbers as :class:`edge_runner.bit_coding.Decoder` does, or writes them: its method ``numbers``
            takes, beside a tree and how many, the numbers that are to be written, and returns them.
    """

    def __init__(self, coder: Any) -> None:
        self._coder = coder
        self._trees: dict[int, Tree] = {}

    def code(self, plan: KernelPlan, given: ChannelElements | None = None) -> ChannelElements:
        """Write or read a kernel.

        Args:
            plan: of it.
            given: what is to be written; None: it is read.

        Returns:
            What was written or read.
        """
        size = plan.elements // plan.channels
        if plan.book == NO_BOOK:
            tree = self._trees.setdefault(plan.width, Tree(plan.width))
            tree.follow(_REMEMBERED)  # frequencies of weights are much the same from one kernel to the next
            return [self._numbers(tree, size, given[channel] if given else None) for channel in range(plan.channels)]
        books = self._books(plan, given)
        tree = Tree((plan.longest - 1).bit_length())
        found = []
        for channel in range(plan.channels):
            book = books[channel % len(books)]
            places = {value: number for number, value in enumerate(book)}
            own = [places[value] for value in given[channel]] if given else None
            numbers = self._numbers(tree, size, own)
            found.append([book[min(number, len(book) - 1)] for number in numbers])
        return found

    def _numbers(self, tree: Tree, count: int, given: list[int] | None) -> list[int]:
        found: list[int] = (
            self._coder.numbers(tree, count) if given is None else self._coder.numbers(tree, count, given)
        )
        return found

    def _books(self, plan: KernelPlan, given: ChannelElements | None) -> ChannelElements:
        """Write or read the books: how many values each has, the least, and the steps from one to the next."""
        lengths = Tree(8)
        steps = [_Steps(self._numbers, plan.width) for _ in range(2)]
        books = []
        for channel in range(plan.channels if plan.book == BOOK_A_CHANNEL else 1):
            own = None
            if given:
                own = sorted(set(given[channel]) if plan.book == BOOK_A_CHANNEL else set().union(*given))
            length = 1 + self._numbers(lengths, 1, None if own is None else [len(own) - 1])[0]
            book, least = [], 0
            for number in range(min(length, plan.longest)):
                step = steps[number > 0].code(None if own is None else own[number] - least)
                book.append(min(least + step, (1 << plan.width) - 1))
                least = book[-1] + 1
            books.append(book)
        return books


class _Steps:
    """Numbers of up to 32 bits, byte by byte, the highest first."""

    def __init__(self, numbers: Any, width: int) -> None:
        self._numbers = numbers
        self._trees = [Tree(min(8, width)) for _ in range(max(1, width // 8))]

    def code(self, given: int | None) -> int:
        """Write or read one."""
        found = 0
        for place, tree in enumerate(self._trees):
            shift = 8 * (len(self._trees) - 1 - place)
            found = found << 8 | self._numbers(tree, 1, None if given is None else [given >> shift & 255])[0]
        return found


def to_bytes(plan: KernelPlan, channels: ChannelElements) -> bytes:
    """Return a kernel as it lies in the file."""
    if plan.interleaved:
        elements = [value for row in zip(*channels) for value in row]
    else:
        elements = [value for row in channels for value in row]
    if plan.width <= 8:
        elements = [value ^ 1 << plan.width - 1 for value in elements]
    if plan.width == 4:
        elements = [*elements, 0] if len(elements) % 2 else elements
        return bytes(low | high << 4 for low, high in zip(elements[::2], elements[1::2]))
    size = plan.width // 8
    return b"".join(value.to_bytes(size, "little") for value in elements) if size > 1 else bytes(elements)
