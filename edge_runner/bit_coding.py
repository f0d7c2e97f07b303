"""Adaptive binary arithmetic coding: numbers go bit by bit, each predicted from the bits above it and what came before.

The coder is the carry-less one with two 32-bit bounds (Witten, Neal and Cleary, *Arithmetic coding for data
compression*, 1987, for bits). Everything is computed in whole numbers, so that what was written on one machine is read
on any other.
"""

from __future__ import annotations

WORD = (1 << 32) - 1
TOP_BYTE = 0xFF000000
_MOST_SEEN = 1023
RATES = [(2 << 16) // (2 * seen + 3) for seen in range(_MOST_SEEN + 1)]
"""How far a probability moves towards a bit, in 65536ths, by how many bits it has seen: about the mean of them all."""


class Tree:
    """Probabilities of the bits of numbers, by the bits above them.

    Args:
        bits: of a number.
    """

    __slots__ = ("bits", "likely", "seen")

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.likely = [1 << 15] * (1 << bits)
        self.seen = [0] * (1 << bits)

    def follow(self, seen: int) -> None:
        """Go on with other numbers of about the same frequencies: what was learnt counts for *seen* bits, at most."""
        self.seen = [min(seen, count) for count in self.seen]

    def learn(self, node: int, bit: int) -> None:
        """Move the probability at *node* towards a bit that was seen there."""
        count = self.seen[node]
        self.likely[node] += ((65535 if bit else 0) - self.likely[node]) * RATES[count] >> 16
        if count < _MOST_SEEN:
            self.seen[node] = count + 1

    def probability(self, node: int) -> int:
        """Return the probability of a 1 at *node* in 65536ths, from 32 to 65504."""
        return max(32, min(65504, self.likely[node]))


class Decoder:
    """Reads numbers that were written by probabilities.

    Args:
        data: what the encoder wrote; behind its end there are zeros.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 4
        self._code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        self._low, self._high = 0, WORD

    def numbers(self, tree: Tree, count: int) -> list[int]:
        """Return so many numbers of ``tree.bits`` bits, from 0 up."""
        end, probability, learn = 1 << tree.bits, tree.probability, tree.learn
        found = []
        for _ in range(count):
            node = 1
            while node < end:
                bit = self._bit(probability(node))
                learn(node, bit)
                node = node << 1 | bit
            found.append(node - end)
        return found

    def _bit(self, likely: int) -> int:
        middle = self._low + ((self._high - self._low) >> 16) * likely
        bit = int(self._code <= middle)
        if bit:
            self._high = middle
        else:
            self._low = middle + 1
        while not (self._low ^ self._high) & TOP_BYTE:
            self._low = self._low << 8 & WORD
            self._high = self._high << 8 & WORD | 255
            following = self._data[self._place] if self._place < len(self._data) else 0
            self._code = self._code << 8 & WORD | following
            self._place += 1
        return bit
