"""How a trained model is lowered, and what the file must satisfy: the settings of an export."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tfcompress.errors import RecipeError, nearest
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
from tfcompress.limits import LATENCY_UNITS, SIZE_UNITS, read_limit, read_size
from tfcompress.schema import check_fields, check_value, pick
from tfcompress.stages.option import option
from tfcompress.targets.target import Target
from tfcompress.targets.target_table import LINUX, find_target

Quantize = Literal["none", "dynamic", "float16", "int8", "int16x8"]
IOType = Literal["auto", "float32", "int8", "uint8", "int16"]


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
            *correct* or *rounding* say what to do (``nearest`` to 8 bits, as in all these ways, does not), and for
            other numbers than int8, it is ``minmax`` (``mse`` where weights have 4 bits).
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
        max_latency: the most that a mixed file may take on *device*, measured with one thread: ``2ms``, or ``1.1x``
            the plain int8 file; empty: no limit, and ops are not timed.
        device: where what *max_latency* limits is measured: ``local`` (this machine), ``ssh://user@host``, a name from
            devices.toml (docs/devices.md).
        plans: how many plans of a mixed file are made into files and measured.
        packings: passes over the finished bytes that change no number, each proven on the file: ``slim``.
        keep_names: packings keep the names of tensors inside the graph, which no runtime reads.
        max_drop: points that the file may lose against float on the test split, in every scored output, proven by the
            upper end of the drop's 95 % interval; see :mod:`tfcompress.tasks.drop` for what a point is. None: whatever
            it loses is told.
        target: where the file is to run: a line of :data:`tfcompress.targets.target_table.TARGETS`, or the path of a
            ``.toml`` file. For a microcontroller, the finished file is run in TensorFlow Lite Micro's own interpreter.
        max_arena: the most that the file's tensor arena may take there, as that interpreter measures it (for an
            Ethos-U, the memory that Vela estimates): ``64KB``; empty: what the target allows.
        max_flash: the most bytes that the file may have for such a target; empty: what the target allows.
        lookup: write a second file beside it, whose int8 kernels with few values are look-up tables that TensorFlow
            Lite Micro alone runs (``-tflm.tflite``): see :mod:`tfcompress.tflite.lookup_tables`.
        streaming: write a second file beside it (``-streaming.tflite``) that takes new frames, keeps what it needs of
            those before, and answers as the file of the whole window does on the last one: see
            :func:`tfcompress.to_streaming`. Limits of a microcontroller then hold for it.
        hop: new frames that a streaming file takes at a time; None: as few as the model's strides in time allow.
        state: who keeps what a streaming file needs of earlier frames: ``external``, the caller, from outputs to
            inputs; ``internal``, the file, in resource variables.
        c_array: write the file (with *lookup* the one with tables) as sources for a firmware beside it, too, laid out
            for Arduino and ESP-IDF as well: see :mod:`tfcompress.firmware.package`.
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
            tries=(None, "gptq"),
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
            "Most time of a --mixed file, measured on --device: 2ms, or 1.1x the plain int8 file.",
            metavar="TIME",
            default="no limit",
        ),
    )
    device: str = field(
        default="local",
        metadata=option(
            "Where --max-latency is measured, ops and finished files alike: local, ssh://user@host[:port], or a name "
            "from devices.toml.",
            metavar="DEVICE",
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
    target: str = field(
        default=LINUX,
        metadata=option(
            "Where the file is to run: tflm, esp32-s3, ethos-u55-128 and the like run it in TensorFlow Lite Micro, and "
            "need tfcompress[mcu]; or a .toml file of your own.",
            metavar="NAME|FILE.toml",
        ),
    )
    max_arena: str = field(
        default="",
        metadata=option(
            "Most memory of the file's tensors on a microcontroller (64KB), measured by TensorFlow Lite Micro.",
            metavar="SIZE",
            default="what the target has",
        ),
    )
    max_flash: str = field(
        default="",
        metadata=option(
            "Most bytes of a file for a microcontroller (100KB).", metavar="SIZE", default="what the target has"
        ),
    )

    lookup: bool = field(
        default=False,
        metadata=option(
            "A second file, NAME-tflm.tflite, for TensorFlow Lite Micro alone: int8 kernels with few values "
            "(--cluster 8 --cluster-per-channel) as look-up tables; needs tfcompress[mcu].",
            needs="calibration",
        ),
    )

    streaming: bool = field(
        default=False,
        metadata=option(
            "A second file, NAME-streaming.tflite, for a window that slides (docs/streaming.md): it takes new frames, "
            "keeps state, and answers as the model does on its whole window."
        ),
    )
    hop: int | None = field(
        default=None,
        metadata=option(
            "New frames that the --streaming file takes at a time.", metavar="N", default="as few as the strides allow"
        ),
    )
    state: Literal["external", "internal"] = field(
        default="external",
        metadata=option("Who keeps the --streaming file's state: the caller, or the file, in resource variables."),
    )

    c_array: bool = field(
        default=False,
        metadata=option(
            "Sources for a firmware beside the file (docs/firmware.md), for --target tflm and boards without an NPU."
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
        text = f"false with quantize {self.quantize!r}: look-up tables hold int8 kernels"
        check_value("export.lookup", text, self.lookup, ok=self.quantize == "int8" or not self.lookup)
        self._check_choices()
        self._check_target()
        self._check_streaming()

    def _check_streaming(self) -> None:
        """Check what a streaming file can be."""
        allowed = "false with quantize 'int16x8': states would have two scales"
        check_value("export.streaming", allowed, self.streaming, ok=not (self.streaming and self.quantize == "int16x8"))
        others = {
            "mixed": self.mixed,
            "lookup": self.lookup,
            "weight_bits": self.weight_bits != 8,
            "an accelerator": bool(self.deployment.accelerator),
        }
        clash = next((name for name, given in others.items() if given), "")
        allowed = f"false with {clash}, which is for the file of the whole window alone"
        check_value("export.streaming", allowed, self.streaming, ok=not (self.streaming and clash))
        useful = self.streaming or self.hop is None
        check_value("export.hop", "left out without streaming", self.hop, ok=useful)
        check_value("export.hop", "at least 1", self.hop, ok=self.hop is None or self.hop >= 1)
        useful = self.streaming or self.state == "external"
        check_value("export.state", "'external' without streaming", self.state, ok=useful)

    def _check_target(self) -> None:
        """Check what the target has, and its limits."""
        found = self.deployment
        reason = found.why_not(self.quantize)
        if reason:
            msg = (
                f"export.quantize must be one of {', '.join(map(repr, found.schemes))} with target {self.target!r}, "
                f"got {self.quantize!r}: {reason}"
            )
            raise RecipeError(msg)
        useful = not (found.micro and self.select_ops)
        allowed = f"false with target {self.target!r}, which has no TensorFlow ops"
        check_value("export.select_ops", allowed, self.select_ops, ok=useful)
        alone = found.micro and not found.accelerator
        allowed = "false without a target that TensorFlow Lite Micro runs by itself (tflm, say)"
        check_value("export.c_array", allowed, self.c_array, ok=alone or not self.c_array)
        allowed = f"false with target {self.target!r}, whose compiler packs kernels itself"
        check_value("export.lookup", allowed, self.lookup, ok=not (found.accelerator and self.lookup))
        for name in ("max_arena", "max_flash"):
            text = getattr(self, name)
            allowed = "empty without a target for microcontrollers (tflm, say)"
            check_value(f"export.{name}", allowed, text, ok=found.micro or not text)
            try:
                read_size(text or "1")
            except ValueError as error:
                check_value(f"export.{name}", str(error), text, ok=False)

    @property
    def deployment(self) -> Target:
        """The target by its value; a file of the user's own is read each time.

        Raises:
            RecipeError: no such target, or a file that is none.
        """
        return find_target(self.target, "export.target")

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
        given = {"weight_bits": self.weight_bits != 8, "rounding": self.rounding is not None}
        for name, is_given in given.items():
            allowed = f"left out with mixed, which chooses the {name.replace('_', ' ')} itself"
            check_value(f"export.{name}", allowed, getattr(self, name), ok=not (self.mixed and is_given))
        for name, units in (("max_size", SIZE_UNITS), ("max_latency", LATENCY_UNITS)):
            text = getattr(self, name)
            check_value(f"export.{name}", "empty without mixed", text, ok=self.mixed or not text)
            if text:
                _check_limit(f"export.{name}", text, units)
        useful = bool(self.max_latency) or self.device == Export.device
        check_value("export.device", f"{Export.device!r} without max_latency", self.device, ok=useful)
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
        """Whether several ways to int8 are tried, where the model was not trained for it.

        A rounding of 8 bits to the nearest leaves that open: all ways have it, and older recipes that were written
        with every default name it.
        """
        chosen = self.calibration != AUTO or self.correct or (self.rounding is not None and self.prepares)
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
