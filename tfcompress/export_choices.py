"""What an export does by name: the tables of packings, calibrators and corrections, one line each.

They say what there is, and where its implementation lies; the names are checked before anything heavy is imported.
"""

from __future__ import annotations

import importlib
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RUNTIMES = ("litert", "tflite-runtime", "tensorflow")
"""Runtimes that a file can be asked to run on."""

WITHOUT_FOUR_BITS = ("tflite-runtime",)
"""Those that refuse kernels of 4 bits, or compute them wrongly: see :mod:`tfcompress.tflite.trouble`."""

MIXED_WITHOUT_DATA = (
    "mixed precision needs samples: which layers cost most is measured on some that are held back, and a data-free "
    "file has none; give --data"
)
"""Why there is no mixed file without data."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One line of a table.

    Attributes:
        about: what it does, in one sentence.
        implementation: ``module:name`` of what does it.
    """

    about: str
    implementation: str

    def load(self) -> Any:
        """Import the implementation."""
        module, _, name = self.implementation.partition(":")
        return getattr(importlib.import_module(module), name)


@dataclass(frozen=True, kw_only=True)
class Packing(Choice):
    """A pass over the bytes of a finished file that changes no number.

    Its implementation takes the file, and ``keep_names``: whether graphs and the tensors inside them must keep their
    names; it returns the file that stands for it, or raises UnsupportedError where it cannot.

    Attributes:
        runtimes: which runtimes can open what it makes.
        default: whether it is done without being asked for.
        tried: whether a search tries files with it and without it; what is done by default is always done.
    """

    runtimes: tuple[str, ...] = RUNTIMES
    default: bool = False
    tried: bool = False


PACKINGS: dict[str, Packing] = {
    "slim": Packing(
        about="Writes what is equal once, and leaves out what no runtime reads: other names, the converter's record.",
        implementation="tfcompress.tflite.slim:slim",
        default=True,
    ),
}
"""Every packing by its name, in the order in which they are done."""


@dataclass(frozen=True, kw_only=True)
class Correction(Choice):
    """A change of a model's weights that makes rounding cost less, for :mod:`tfcompress.quantization.post_training`.

    Attributes:
        family: what it makes up for; of one family one correction is enough.
    """

    family: str


CORRECTIONS: dict[str, Correction] = {
    "equalize": Correction(
        about="Brings the channels of a tensor to one largest activation, function unchanged.",
        implementation="tfcompress.quantization.equalizing:by_activations",
        family="scales",
    ),
    "equalize-weights": Correction(
        about="Brings the kernels of neighbouring layers into balance, function unchanged.",
        implementation="tfcompress.quantization.equalizing:by_weights",
        family="scales",
    ),
    "bias": Correction(
        about="Takes what rounding does to the mean of each channel out of the biases, layer behind corrected layer.",
        implementation="tfcompress.quantization.bias_correction:sequential",
        family="means",
    ),
    "bias-once": Correction(
        about="Does the same for all layers at once.",
        implementation="tfcompress.quantization.bias_correction:one_pass",
        family="means",
    ),
}
"""Every correction by its name, in the order in which they are done."""

AFTER_ROUNDING = "means"
"""The family of corrections that make up for what the rounding of weights did: they are done after it."""

ROUNDINGS: dict[str, Choice] = {
    "nearest": Choice(
        about="Each weight to the nearest step.",
        implementation="tfcompress.quantization.gptq:to_the_nearest",
    ),
    "gptq": Choice(
        about="Towards the float model's outputs: weights make up for each other; steps of least squared error.",
        implementation="tfcompress.quantization.gptq:towards_the_output",
    ),
}
"""Every way to round weights by its name."""

CALIBRATORS: dict[str, Choice] = {
    "minmax": Choice(
        about="From the least to the largest value.",
        implementation="tfcompress.quantization.calibrators:MinMax",
    ),
    "percentile": Choice(
        about="Leaves out one value in ten thousand at either end.",
        implementation="tfcompress.quantization.calibrators:Percentile",
    ),
    "mse": Choice(
        about="The range in which rounding and cutting off together cost least squared error.",
        implementation="tfcompress.quantization.calibrators:LeastSquares",
    ),
}
"""Every calibrator by its name: a class that :class:`tfcompress.quantization.calibrators.Calibrator` describes."""


AUTO = "auto"
"""The choice of a calibration that is left to measurements."""

_CHOSEN = Choice(
    about="Tries minmax, and with it what is cheap and may be better; keeps what agrees best with float.",
    implementation="tfcompress.tflite.best:best_int8_of",
)

CALIBRATIONS: Mapping[str, Choice] = ChainMap({AUTO: _CHOSEN}, CALIBRATORS)
"""What can be asked for: each calibrator, and the choice among them; it sees what is added to the table."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One way to integers without training.

    Attributes:
        calibration: a line of :data:`CALIBRATORS`.
        correct: lines of :data:`CORRECTIONS`.
        rounding: a line of :data:`ROUNDINGS`.
    """

    calibration: str = "minmax"
    correct: tuple[str, ...] = ()
    rounding: str = "nearest"

    @property
    def label(self) -> str:
        """What reports call it: ``minmax + bias``."""
        rounding = () if self.rounding == "nearest" else (self.rounding,)
        return " + ".join((self.calibration, *rounding, *self.correct))


TRIALS: tuple[Trial, ...] = (
    Trial(),
    Trial(correct=("bias",)),
    Trial(correct=("equalize", "bias")),
    Trial(calibration="mse", correct=("bias",)),
)
"""What :data:`AUTO` tries, in this order; the first one is what the others must beat."""

TRIALS_OF_FOUR_BITS: tuple[Trial, ...] = (
    Trial(calibration="mse", correct=("bias",), rounding="gptq"),
    Trial(calibration="mse", correct=("equalize", "bias"), rounding="gptq"),
    Trial(correct=("bias",), rounding="gptq"),
)
"""The same for weights of 4 bits."""


def default_packings() -> tuple[str, ...]:
    """Return the names of the packings that are done without being asked for."""
    return tuple(name for name, packing in PACKINGS.items() if packing.default)


def packings_to_try() -> tuple[tuple[str, ...], ...]:
    """Return the packings that a search tries together: those done by default, then each further one with them."""
    usual = default_packings()
    further = (name for name, packing in PACKINGS.items() if packing.tried and not packing.default)
    return (usual, *(tuple(name for name in PACKINGS if name in (*usual, more)) for more in further))
