"""Whether one file answers as another does, sample by sample and bit by bit, without their answers being kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from tfcompress.errors import ContractError

_Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
"""From inputs by name, shape (samples, ...), to outputs by name, shape (samples, ...)."""

_DIGEST_BYTES = 16


class SameAnswers:
    """Holds the answers of a second file against those of a first one, to the same samples in the same order.

    Attributes:
        samples: whose answers were the same so far.
    """

    def __init__(self) -> None:
        """Know no answer yet."""
        self._digests: list[bytes] = []
        self.samples = 0

    def kept(self, predict: _Run) -> _Run:
        """Return what runs the first file, and remembers its answers."""

        def run(inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
            outputs = predict(inputs)
            self._digests += _digests(outputs)
            return outputs

        return run

    def held(self, predict: _Run, what: str) -> _Run:
        """Return what runs the second file, and refuses it where an answer is another.

        Args:
            predict: runs it; once the first file has answered.
            what: the second file, for the message.
        """

        def run(inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
            outputs = predict(inputs)
            for digest in _digests(outputs):
                if digest != self._digests[self.samples]:
                    msg = (
                        f"{what} must answer as the one that it was made of, sample {self.samples} of those that are "
                        "scored differs in TensorFlow Lite Micro; leave --lookup out"
                    )
                    raise ContractError(msg)
                self.samples += 1
            return outputs

        return run


def _digests(outputs: Mapping[str, np.ndarray]) -> Iterator[bytes]:
    """Give the digest of each sample's answers."""
    for number in range(len(next(iter(outputs.values())))):
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        for name in sorted(outputs):
            digest.update(np.ascontiguousarray(outputs[name][number]).tobytes())
        yield digest.digest()
