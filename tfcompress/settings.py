"""How a trained model is lowered, and what the file must satisfy: the settings of an export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tfcompress.export_checks import check_export
from tfcompress.export_choices import (
    AUTO,
    CALIBRATIONS,
    CORRECTIONS,
    PACKINGS,
    ROUNDINGS,
    TRIALS,
    TRIALS_OF_FOUR_BITS,
    Trial,
    default_packings,
    packings_to_try,
)
from tfcompress.input_ranges import read_range_flags
from tfcompress.stages.option import option
from tfcompress.targets.target import Target
from tfcompress.targets.target_table import LINUX, find_target

Quantize = Literal["none", "dynamic", "float16", "int8", "int16x8"]
IOType = Literal["auto", "float32", "int8", "uint8", "int16"]

ANY_AGREEMENT_DB = -1000.0
"""A least agreement that every file has: for files that are only looked at on the way to another one."""


def _read_ranges(texts: Sequence[str]) -> dict[str, tuple[float | str, ...]]:
    """Read ``LOW,HIGH`` and ``NAME=LOW,HIGH``."""
    return {"input_range": read_range_flags(texts)}


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
        min_agreement_db: least signal-to-noise ratio between the outputs of the Keras model (of the float file, where
            that is what was given) and the file's, on real samples, in dB; None: the default of the scheme.
        calibration: how an int8 file's ranges follow from the samples: ``minmax``, ``percentile``, ``mse``. The last
            two rewrite the model by the rules of quantization-aware training, without training. ``auto`` tries several
            ways, with corrections, and keeps what agrees best with float on samples that are held back; where
            *correct* or *rounding* say what to do (``nearest`` to 8 bits, as in all these ways, does not), and for
            other numbers than int8, it is ``minmax`` (``mse`` where weights have 4 bits).
        correct: how the weights of an int8 file are prepared for rounding, without training: ``equalize``,
            ``equalize-weights``, ``bias``, ``bias-once``.
        rounding: how the weights of an int8 file are rounded: ``nearest``, ``gptq``; None: ``gptq`` where they have 4
            bits (in a mixed file, too), else ``nearest``.
        weight_bits: bits of a weight of an int8 file that was not trained for it: 8, or 4 in the kernels of Conv2D and
            Dense (by the rules of quantization-aware training).
        input_range: least and largest value of the model's inputs, for int8 without data: two numbers for all of them,
            ``NAME=LOW,HIGH`` for one, or both; of an input of which nothing is said it follows from the Rescaling that
            reads it.
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
        keep_names: packings keep the names of graphs and of tensors inside them, which no runtime reads.
        max_drop: points that the file may lose against float on the test split, in every scored output, proven by the
            upper end of the drop's 95 % interval; see :mod:`tfcompress.tasks.drop` for what a point is. None: whatever
            it loses is reported.
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
        c_array: write the file (with *lookup* the one with tables; for an Ethos-U what Vela makes of it) as sources for
            a firmware beside it, too, laid out for Arduino and ESP-IDF as well, which have no Ethos-U: see
            :mod:`tfcompress.firmware.package`.
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
        metadata=option(
            "Least agreement with the Keras model, or with the float file where that is what was given.",
            metavar="DB",
            default="by --quantize",
        ),
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
    input_range: tuple[float | str, ...] = field(
        default=(),
        metadata=option(
            "Range of the inputs, or of the one called NAME, for int8 without --data.",
            metavar="[NAME=]LOW,HIGH",
            default="0,255 of an input whose Rescaling says so",
            needs="no data",
            read=_read_ranges,
            repeated=True,
        ),
    )
    mixed: bool = field(
        default=False,
        metadata=option(
            "Layers that int8 costs much become float, those that bear it 4-bit, within --max-size and --max-latency.",
            needs="calibration",
            tries=(False, True),
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
        default=False, metadata=option("Packings keep the names of graphs and of tensors inside them.")
    )
    max_drop: float | None = field(
        default=None,
        metadata=option(
            "Lose at most so much against float, proven on the test split: tries one way after the other, cheap ones "
            "first, training only if --epochs or a stage allows it, and fails if none does. A point is 1 % of a "
            "fraction or an area (accuracy, AUC), of other figures 1 % of float's (MAE).",
            metavar="POINTS",
            default="whatever is lost is reported",
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
            "(--cluster 8) as look-up tables; needs tfcompress[mcu].",
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
            "Sources for a firmware beside the file (docs/firmware.md), for --target tflm and other microcontrollers."
        ),
    )

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        check_export(self)

    @property
    def deployment(self) -> Target:
        """The target by its value; a file of the user's own is read each time.

        Raises:
            RecipeError: no such target, or a file that is none.
        """
        return find_target(self.target, "export.target")

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
