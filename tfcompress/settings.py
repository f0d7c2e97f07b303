"""How stages are trained, and how the result is lowered: the two settings of a recipe beside its stages."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tfcompress.errors import nearest
from tfcompress.export_choices import (
    AUTO,
    CALIBRATIONS,
    CORRECTIONS,
    PACKINGS,
    ROUNDINGS,
    RUNTIMES,
    TRIALS,
    TRIALS_OF_FOUR_BITS,
    WITHOUT_FOUR_BITS,
    Trial,
    default_packings,
    packings_to_try,
)
from tfcompress.keras_names import LOSSES, OPTIMIZERS
from tfcompress.limits import LATENCY_UNITS, SIZE_UNITS, read_limit
from tfcompress.schema import check_fields, check_value, pick
from tfcompress.stages.option import option

Quantize = Literal["none", "dynamic", "float16", "int8", "int16x8"]
IOType = Literal["auto", "float32", "int8", "uint8", "int16"]


Division = tuple[float, float, int]
"""How data is divided: the fraction held out for testing, that of the training split for validation, and the seed."""

UNDIVIDED: Division = (0.0, 0.0, 0)
"""The same of data that comes divided."""


def _read_range(text: str) -> dict[str, tuple[float, ...]]:
    """Read ``LOW,HIGH``."""
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        msg = f"must be LOW,HIGH, two numbers with a comma between them (0,1), got {text!r}"
        raise ValueError(msg) from None
    return {"input_range": (low, high)}


@dataclass(frozen=True, kw_only=True)
class Export:
    """How the trained model is lowered to TFLite, and what the file must satisfy.

    Attributes:
        quantize: ``none`` (float32), ``dynamic`` (int8 weights, float activations), ``float16`` (weights), ``int8``
            (weights and activations), ``int16x8`` (int16 activations, int8 weights).
        io: dtype of the file's inputs and outputs; ``auto``: int8 for ``int8``, int16 for ``int16x8``, else float32.
            Integer inputs of the model (token ids) keep their dtype.
        samples: how many training samples calibrate the activation ranges, and weights that are rounded by them; None:
            500 where weights have 4 bits, else 200.
        sparse: ``auto`` stores sparse kernels in TFLite's sparse encoding where that makes the file smaller and every
            runtime in *runtimes* runs it; ``never`` keeps them dense.
        optimize_for: the file's ``size``, or the ``download``: a package of the file (``.tfz``) is written beside it,
            and *sparse* goes by the file after gzip (sparse encoding helps that rarely).
        runtimes: runtimes the file must run on, e.g. ``litert>=2.1``, ``tflite-runtime>=2.14``, ``tensorflow>=2.20``.
        float_ops: ``refuse`` fails when an op of an int8/int16x8 file stays in float; ``allow`` reports it.
        select_ops: allow TensorFlow (Flex) ops, which only the big runtime has.
        min_agreement_db: least signal-to-noise ratio between the Keras model's outputs and the file's, on real samples,
            in dB; None: the default of the scheme.
        calibration: how an int8 file's ranges follow from the samples: ``minmax``, ``percentile``, ``mse``. The last
            two rewrite the model by the rules of quantization-aware training, without training. ``auto`` tries several
            ways, with corrections, and keeps what agrees best with float on samples that are held back; where
            *correct* or *rounding* say what to do, and for other numbers than int8, it is ``minmax`` (``mse`` where
            weights have 4 bits).
        correct: how the weights of an int8 file are prepared for rounding, without training: ``equalize``,
            ``equalize-weights``, ``bias``, ``bias-once``.
        rounding: how the weights of an int8 file are rounded: ``nearest``, ``gptq``; None: ``gptq`` where they have 4
            bits, else ``nearest``.
        weight_bits: bits of a weight of an int8 file that was not trained for it: 8, or 4 in the kernels of Conv2D and
            Dense (by the rules of quantization-aware training).
        input_range: least and largest value of the model's inputs, for int8 without data; empty: it follows from a
            Rescaling that comes first.
        mixed: give ops of an int8 file other numbers where that pays most: float where int8 costs much, kernels of 4
            bits where they cost little (int16 activations where *max_latency* counts what they take). What each costs
            is measured on samples held back, an integer programme chooses, and the best *plans* are tried.
        max_size: the most that a mixed file may have: ``60KB``, or ``1.1x`` the plain int8 file; empty: 1.25x.
        max_latency: the most that a mixed file may take on this machine, measured with one thread: ``2ms``, or ``1.1x``
            the plain int8 file; empty: no limit, and ops are not timed.
        plans: how many plans of a mixed file are made into files and measured.
        packings: passes over the finished bytes that change no number, each proven on the file: ``slim``.
        keep_names: packings keep the names of tensors inside the graph, which no runtime reads.
        max_drop: points that the file may lose against float on the test split, in every scored output, proven by the
            upper end of the drop's 95 % interval; see :mod:`tfcompress.tasks.drop` for what a point is. None: whatever
            it loses is told.
    """

    quantize: Quantize = field(
        default="none",
        metadata=option(
            "Numbers in the file; none is float32.",
            default="int8 with --qat, else none",
            tries=("none", "dynamic", "float16", "int8", "int16x8"),
        ),
    )
    io: IOType = field(
        default="auto",
        metadata=option("dtype of inputs and outputs.", default="auto: int8 for int8, int16 for int16x8, else float32"),
    )
    samples: int | None = field(
        default=None,
        metadata=option(
            "Training samples that calibrate int8 ranges.",
            metavar="N",
            default="500 with weights of 4 bits, else 200",
            needs="calibration",
        ),
    )
    sparse: Literal["auto", "never"] = field(
        default="auto", metadata=option("Store sparse kernels encoded where smaller.")
    )
    optimize_for: Literal["size", "download"] = field(
        default="size",
        metadata=option(
            "The file, or its download: a package (.tfz), which edge_runner takes, is written beside the file."
        ),
    )
    runtimes: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "The file must run there, e.g. 'tflite-runtime>=2.14'.",
            flag="--runtime",
            metavar="NAME>=VERSION",
            default="litert as it is here",
        ),
    )
    float_ops: Literal["refuse", "allow"] = field(
        default="refuse", metadata=option("Ops without an int8 kernel.", needs="calibration")
    )
    select_ops: bool = field(default=False, metadata=option("Allow TensorFlow (Flex) ops, which need the big runtime."))
    min_agreement_db: float | None = field(
        default=None,
        metadata=option("Least agreement with the Keras model.", metavar="DB", default="by --quantize"),
    )
    calibration: str = field(
        default=AUTO,
        metadata=option("How int8 ranges follow from the samples.", table=CALIBRATIONS, needs="calibration"),
    )
    correct: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "Prepare the weights for rounding, without training.",
            table=CORRECTIONS,
            default="as --calibration auto finds best",
            needs="calibration",
        ),
    )
    rounding: str | None = field(
        default=None,
        metadata=option(
            "How int8 weights are rounded, without training.",
            table=ROUNDINGS,
            default="gptq to 4 bits, else nearest",
            needs="calibration",
            tries=("nearest", "gptq"),
        ),
    )
    weight_bits: Literal[8, 4] = field(default=8, metadata=option("Bits of a weight of an int8 file.", tries=(8, 4)))
    input_range: tuple[float, ...] = field(
        default=(),
        metadata=option(
            "Range of the inputs, for int8 without --data.",
            metavar="LOW,HIGH",
            default="0,255 where a Rescaling that comes first says so",
            needs="no data",
            read=_read_range,
        ),
    )
    mixed: bool = field(
        default=False,
        metadata=option(
            "Layers that int8 costs much become float, those that bear it 4-bit, within --max-size and --max-latency.",
            needs="calibration",
        ),
    )
    max_size: str = field(
        default="",
        metadata=option(
            "Most bytes of a --mixed file: 60KB, or 1.1x the plain int8 file.", metavar="SIZE", default="1.25x"
        ),
    )
    max_latency: str = field(
        default="",
        metadata=option(
            "Most time of a --mixed file, measured here: 2ms, or 1.1x the plain int8 file.",
            metavar="TIME",
            default="no limit",
        ),
    )
    plans: int = field(
        default=4, metadata=option("Plans of a --mixed file that are made into files and measured.", metavar="N")
    )
    packings: tuple[str, ...] = field(
        default_factory=default_packings,
        metadata=option(
            "Pack the finished file's bytes; no number changes, which is proven.",
            flag="--packing",
            table=PACKINGS,
            tries=packings_to_try,
        ),
    )
    keep_names: bool = field(
        default=False, metadata=option("Packings keep the names of tensors inside the file's graph.")
    )
    max_drop: float | None = field(
        default=None,
        metadata=option(
            "Lose at most so much against float, proven on the test split: tries one way after the other, cheap ones "
            "first, training only if --epochs or a stage allows it, and fails if none does. A point is 1 % of a "
            "fraction or an area (accuracy, AUC), of other figures 1 % of float's (MAE).",
            metavar="POINTS",
            default="whatever is lost is told",
        ),
    )

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        check_fields(self, "export")
        check_value("export.samples", "at least 1", self.samples, ok=self.samples is None or self.samples >= 1)
        possible: dict[str, tuple[str, ...]] = {
            "int8": ("auto", "float32", "int8", "uint8"),
            "int16x8": ("auto", "float32", "int16"),
        }
        allowed = possible.get(self.quantize, ("auto", "float32"))
        text = f"one of {', '.join(map(repr, allowed))} with quantize {self.quantize!r}"
        check_value("export.io", text, self.io, ok=self.io in allowed)
        for runtime in self.runtimes:
            _check_runtime(runtime)
        self._check_choices()

    def _check_choices(self) -> None:
        """Check what goes by a table's names, and whether it would do anything."""
        pick("export.calibration", CALIBRATIONS, self.calibration)
        chosen = self.calibration in (AUTO, "minmax") or self.quantize == "int8"
        check_value("export.calibration", f"'minmax' with quantize {self.quantize!r}", self.calibration, ok=chosen)
        self._check_corrections()
        self._check_range()
        self._check_mixed()
        once = len(set(self.packings)) == len(self.packings)
        check_value("export.packings", "names, each at most once", self.packings, ok=once)
        useful = bool(self.packings) or not self.keep_names
        check_value("export.keep_names", "false without packings", self.keep_names, ok=useful)
        for name in self.packings:
            opens = pick("export.packings item", PACKINGS, name).runtimes
            for text in self.runtimes:
                allowed = f"one of those that open {name!r} files ({', '.join(opens)})"
                check_value("export.runtimes item", allowed, text, ok=_runtime_name(text) in opens)
        possible = self.max_drop is None or 0 < self.max_drop < math.inf
        check_value("export.max_drop", "above 0", self.max_drop, ok=possible)

    def _check_corrections(self) -> None:
        for name in self.correct:
            pick("export.correct item", CORRECTIONS, name)
        useful = not self.correct or self.quantize == "int8"
        check_value("export.correct", f"empty with quantize {self.quantize!r}", self.correct, ok=useful)
        if self.rounding is not None:
            pick("export.rounding", ROUNDINGS, self.rounding)
        useful = self.rounding in (None, "nearest") or self.quantize == "int8"
        check_value("export.rounding", f"'nearest' with quantize {self.quantize!r}", self.rounding, ok=useful)
        useful = self.weight_bits == 8 or self.quantize == "int8"
        check_value("export.weight_bits", f"8 with quantize {self.quantize!r}", self.weight_bits, ok=useful)
        for text in self.runtimes if self.weight_bits == 4 else ():
            fits = _runtime_name(text) not in WITHOUT_FOUR_BITS
            allowed = "one that computes kernels of 4 bits rightly with weight_bits 4 (litert or tensorflow)"
            check_value("export.runtimes item", allowed, text, ok=fits)
        families = [CORRECTIONS[name].family for name in self.correct]
        once = len(set(families)) == len(families)
        check_value("export.correct", "at most one of those that do the same", self.correct, ok=once)

    def _check_range(self) -> None:
        ends = self.input_range
        rising = not ends or (len(ends) == 2 and -math.inf < ends[0] < ends[1] < math.inf)
        check_value("export.input_range", "empty, or two numbers that rise", ends, ok=rising)
        useful = not ends or self.quantize == "int8"
        check_value("export.input_range", f"empty with quantize {self.quantize!r}", ends, ok=useful)

    def _check_mixed(self) -> None:
        useful = not self.mixed or self.quantize == "int8"
        check_value("export.mixed", f"false with quantize {self.quantize!r}", self.mixed, ok=useful)
        given = {"weight_bits": self.weight_bits != 8, "rounding": self.rounding not in (None, "nearest")}
        for name, is_given in given.items():
            allowed = f"left out with mixed, which chooses the {name.replace('_', ' ')} itself"
            check_value(f"export.{name}", allowed, getattr(self, name), ok=not (self.mixed and is_given))
        for name, units in (("max_size", SIZE_UNITS), ("max_latency", LATENCY_UNITS)):
            text = getattr(self, name)
            check_value(f"export.{name}", "empty without mixed", text, ok=self.mixed or not text)
            if text:
                _check_limit(f"export.{name}", text, units)
        check_value("export.plans", "at least 1", self.plans, ok=self.plans >= 1)
        useful = self.mixed or self.plans == Export.plans
        check_value("export.plans", f"{Export.plans} without mixed", self.plans, ok=useful)

    @property
    def needs_samples(self) -> bool:
        """Whether what was chosen for the numbers needs samples: without them an int8 file is data-free."""
        chosen = self.calibration not in (AUTO, "minmax") or self.prepares or self.mixed
        return self.quantize == "int16x8" or chosen

    @property
    def calibrator(self) -> str:
        """The calibrator that is used where nothing is tried: a line of the table."""
        plain = self.trials[0].calibration
        return plain if self.calibration == AUTO else self.calibration

    @property
    def rounds(self) -> str:
        """How weights are rounded: a line of the table."""
        return self.rounding or self.trials[0].rounding

    @property
    def sample_count(self) -> int:
        """How many training samples are calibrated on."""
        return self.samples or (200 if self.weight_bits == 8 else 500)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The ways to its weights that are tried where nothing was chosen."""
        return TRIALS if self.weight_bits == 8 else TRIALS_OF_FOUR_BITS

    @property
    def tries(self) -> bool:
        """Whether several ways to int8 are tried, where the model was not trained for it."""
        chosen = self.correct or self.rounding is not None or self.calibration != AUTO
        return self.quantize == "int8" and not chosen

    @property
    def prepares(self) -> bool:
        """Whether something was chosen for the weights, without training."""
        return bool(self.correct) or self.rounds != "nearest" or self.weight_bits != 8

    @property
    def io_dtype(self) -> str:
        """The dtype that ``auto`` stands for: float32, int8, uint8 or int16."""
        return {"int8": "int8", "int16x8": "int16"}.get(self.quantize, "float32") if self.io == "auto" else self.io

    @property
    def needs_data(self) -> bool:
        """Whether activation ranges have to be calibrated on samples."""
        return self.quantize in ("int8", "int16x8")


@dataclass(frozen=True, kw_only=True)
class Train:
    """How stages are trained.

    Attributes:
        epochs: passes over the training split.
        batch_size: samples a step.
        learning_rate: of the optimizer; None: 1e-3 where channels go, 1e-4 where layers are taken apart, weights pruned
            or of 4 bits, else 1e-5. (ResNet8 on CIFAR-10, two epochs, half pruned with QAT: 86.6 % at 1e-4, 82.5 % at
            1e-5; QAT alone: 88.7 % at 1e-5.)
        optimizer: name of a Keras optimizer. ``muon`` takes convolutions, too (native engine): of the steps of one pass
            over the data it makes more than ``adam``, at a higher rate of learning (3e-3, say).
        loss: name of a Keras loss; ``auto`` chooses by the labels and the last activation. For some of several outputs
            ``OUTPUT=NAME``, separated by commas; a name by itself is for all others.
        seed: seed of everything random: shuffling, calibration samples, initial centroids.
        holdout: fraction of the data kept for testing when it comes as one piece without a test split.
        validation: fraction of the training split that is kept apart as a validation split, chosen by *seed*; 0: none.
            Only for data that has no validation split of its own.
        limit: use at most so many training samples (None: all), chosen by *seed*.
        decay: ``constant`` keeps the learning rate; ``cosine`` lets it fall to zero along half a cosine
            (Loshchilov & Hutter 2017, arXiv:1608.03983).
        augment: how training images are varied, each anew in every epoch: ``none``; ``flip`` (left and right, at
            random); ``alternating-flip`` (mirrored in every other epoch, half of them in the first; Jordan 2024,
            arXiv:2404.00498, section 3.6: no image comes twice in a row); each with ``-shift``: also moved by up to an
            eighth of their sides, edges repeated.
        keep: whose weights are kept: those of the epoch with the lowest validation loss (``best``) or of the ``last``
            one; ``auto``: the best where the data has a validation split, else the last. An epoch counts from where
            the schedules have ended.
        patience: end the training when the validation loss has not fallen for so many epochs, never before the
            schedules have ended; None: train for all *epochs*.
        ema: what is left of the weights' moving average after a step, in (0, 1): the average of the last steps is kept
            where its loss is lower than that of the weights themselves, on the validation samples or else on training
            samples; None: there is no average.
        balance: weigh classes by their inverse frequency in the training split, on top of the data's sample weights.
        if_needed: without a stage that was asked for, train for the numbers of the file where nothing cheaper keeps
            ``export.max_drop``.
    """

    epochs: int = field(
        default=2,
        metadata=option(
            "Passes over the training data; without a stage, with --max-drop, if nothing cheaper keeps that.",
            metavar="N",
            needs="training",
            sets=("if_needed",),
        ),
    )
    batch_size: int = field(default=64, metadata=option("Samples a training step.", metavar="N", needs="training"))
    learning_rate: float | None = field(
        default=None,
        metadata=option(
            "Of the optimizer.",
            metavar="RATE",
            default="1e-3 with --channels, 1e-4 with --low-rank, --prune or 4 bits, else 1e-5",
            needs="training",
            tries=(None, 3e-4, 1e-3, 3e-3),
        ),
    )
    optimizer: str = field(
        default="adam",
        metadata=option(
            "Name of a Keras optimizer; muon makes more of short trainings (Keras 3).",
            metavar="NAME",
            needs="training",
        ),
    )
    loss: str = field(
        default="auto",
        metadata=option(
            "Name of a Keras loss; for some of several outputs OUTPUT=NAME, separated by commas.",
            metavar="NAME",
            default="by the labels and the outputs",
            needs="training",
        ),
    )
    seed: int = field(default=0, metadata=option("Seed of everything random.", metavar="N"))
    holdout: float = field(
        default=0.2,
        metadata=option("Part kept for testing where the data has no test split.", metavar="FRACTION", needs="data"),
    )
    validation: float = field(
        default=0.0,
        metadata=option(
            "Part of the training data kept apart for validation, where the data has no validation split.",
            metavar="FRACTION",
            default="none",
            needs="training",
        ),
    )
    limit: int | None = field(
        default=None,
        metadata=option("Train on N samples only, drawn by the seed.", metavar="N", default="all", needs="training"),
    )
    decay: Literal["constant", "cosine"] = field(
        default="constant", metadata=option("Of the learning rate.", needs="training")
    )
    augment: Literal["none", "flip", "flip-shift", "alternating-flip", "alternating-flip-shift"] = field(
        default="none", metadata=option("Vary training images.", needs="training")
    )
    keep: Literal["auto", "best", "last"] = field(
        default="auto",
        metadata=option(
            "Keep the weights of the epoch with the lowest validation loss, or of the last one.",
            default="best where the data has a validation split, else last",
            needs="training",
        ),
    )
    patience: int | None = field(
        default=None,
        metadata=option(
            "End the training when the validation loss has not fallen for N epochs.",
            metavar="N",
            default="never",
            needs="training",
        ),
    )
    ema: float | None = field(
        default=None,
        metadata=option(
            "Average the weights over the steps, each leaving FRACTION (0.99, say); the better of the two is kept.",
            metavar="FRACTION",
            default="no average",
            needs="training",
        ),
    )
    balance: bool = field(default=False, metadata=option("Weigh classes by their inverse frequency.", needs="training"))
    if_needed: bool = False

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        check_fields(self, "train")
        check_value("train.epochs", "at least 1", self.epochs, ok=self.epochs >= 1)
        check_value("train.batch_size", "at least 1", self.batch_size, ok=self.batch_size >= 1)
        rate = self.learning_rate
        check_value("train.learning_rate", "above 0", rate, ok=rate is None or 0 < rate < math.inf)
        _check_name(
            "train.optimizer", "the name of a Keras optimizer", self.optimizer, self.optimizer.lower(), OPTIMIZERS
        )
        for name in self.losses.values():
            _check_name("train.loss", "'auto' or the name of a Keras loss", name, name, ("auto", *LOSSES))
        check_value("train.seed", "between 0 and 2**32 - 1", self.seed, ok=0 <= self.seed < 2**32)
        check_value("train.holdout", "in (0, 1)", self.holdout, ok=0 < self.holdout < 1)
        check_value("train.validation", "in [0, 1)", self.validation, ok=0 <= self.validation < 1)
        check_value("train.limit", "at least 1", self.limit, ok=self.limit is None or self.limit >= 1)
        check_value("train.ema", "in (0, 1)", self.ema, ok=self.ema is None or 0 < self.ema < 1)
        check_value("train.patience", "at least 1", self.patience, ok=self.patience is None or self.patience >= 1)

    @property
    def division(self) -> Division:
        """How data that is not divided yet is."""
        return self.holdout, self.validation, self.seed

    @property
    def losses(self) -> dict[str, str]:
        """Names of losses by output; under the empty name the one for all others, if there is one."""
        parts = [part.rpartition("=") for part in self.loss.split(",")]
        names = {output.strip(): name.strip() for output, _, name in parts}
        check_value("train.loss", "one name for each output", self.loss, ok=len(names) == len(parts))
        return names

    def loss_of(self, output: str) -> str:
        """Return the name of the loss of an output, ``auto`` where none is given."""
        names = self.losses
        return names.get(output, names.get("", "auto"))


def _check_name(where: str, allowed: str, given: str, name: str, known: Collection[str]) -> None:
    if name not in known and not _is_registered(name):
        check_value(where, f"{allowed}{nearest(name, known)}", given, ok=False)


def _is_registered(name: str) -> bool:
    """Return whether a name is one that Keras gives to a registered class of the user's (``package>name``)."""
    return ">" in name


def _check_runtime(text: str) -> None:
    found = re.fullmatch(r"\s*([A-Za-z_-]+)\s*(?:>=\s*\d+(?:\.\d+)*\s*)?", text)
    name = _runtime_name(text)
    allowed = f"one of {', '.join(f'{known}>=VERSION' for known in RUNTIMES)}{nearest(name, RUNTIMES)}"
    check_value("export.runtimes item", allowed, text, ok=found is not None and name in RUNTIMES)


def _check_limit(where: str, text: str, units: Mapping[str, float]) -> None:
    try:
        read_limit(text, units)
    except ValueError as error:
        check_value(where, str(error), text, ok=False)


def _runtime_name(text: str) -> str:
    return text.partition(">")[0].strip().replace("_", "-")
