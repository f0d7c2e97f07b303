"""The export contract: reopen what was written, and hold it against what was asked for.

By structure (:mod:`tfcompress.tflite.contract`) and by numbers (:mod:`tfcompress.tflite.agreement`): the file is run in
LiteRT on real samples and compared with the outputs of what was exported: the Keras model, or a float file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import ContractError
from tfcompress.models.specs import Signature
from tfcompress.recipe import Export
from tfcompress.tflite import contract
from tfcompress.tflite.agreement import OutputAgreement, agreements, output_step, within_steps
from tfcompress.tflite.exactness import Exactness, IntegerModel, check_exact, compare_exactly
from tfcompress.tflite.flatbuffer import FlatModel, IOTensor, read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.micro.record import MicroRecord
from tfcompress.tflite.mixed_record import MixedRecord
from tfcompress.tflite.packings import PackingRecord
from tfcompress.tflite.resolution import FINER, resolution_notes
from tfcompress.tflite.runtimes import RuntimeVerdict
from tfcompress.tflite.weights import bytes_by_dtype, ops_by_dtype

KERAS_MODEL = "the Keras model"
"""What messages call that which files are compared with."""
SAMPLES = 256
"""Samples that agreement is measured on, at most."""
QAT_SAMPLES = 1000
"""The same for a model trained with fake quantization, which claims to compute what the file computes."""
LEAST_DB: dict[str, float] = {"none": 60.0, "float16": 30.0, "dynamic": 15.0, "int8": 10.0, "int16x8": 15.0}
"""Least agreement by scheme, in dB, unless the export asks for another.

Set well below what good files reach and above what broken ones do. Measured over 40 models of both Kerases (MLP, CNN,
residual, separable, transformer, recurrent, MobileNetV2/V3, EfficientNetB0; tiny ones untrained, small ones trained):
float32 125 to 200 dB, float16 63 to 90, dynamic 38 to 85, int8 30 to 51, int16x8 40 to 74. The MLPerf Tiny ResNet8 on
CIFAR-10: 123, 55, 32, 25 and 32; on random images: 117, 49, 24, 19 and 26. Calibrated on samples scaled wrongly (x 255
or / 255, eight cases), int8 gave -7 to 3 dB, and in one case, whose inputs survived being rounded to 0 and 1, 34.
"""
LEAST_EQUAL = 0.5
NOTHING = 1e-5  # what counts as 0.0 where the Keras model gives 0.0 throughout
_KERNEL_STEPS = 8.0
_KERNEL_DB = 10.0
_REFERENCE_SAMPLES = 4
_REFERENCE_MACS = 2_000_000_000


@dataclass(frozen=True)
class TrialRecord:
    """One way to integers that was tried.

    Attributes:
        name: how ranges and weights were chosen: ``minmax + bias``.
        agreement_db: ratio of signal to noise against the model (or the float file that was given) on the samples held
            back, about the mean, the lowest over the outputs, in dB; None: no file came of it.
        top1: fraction of these samples with the same top-1, the lowest over the outputs; None: no output has classes.
        seconds: that correcting, converting and running took; 0.0 for the first, whose file was made anyway.
        refusal: why no file came of it; empty: one did.
        chosen: whether it is the one that was kept.
    """

    name: str
    agreement_db: float | None
    top1: float | None
    seconds: float
    refusal: str = ""
    chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was checked, and what was found; the record of an export that kept its contract.

    Attributes:
        ops: how often each op occurs.
        ops_by_dtype: how many ops compute in each dtype.
        float_ops: ops of an int8 or int16x8 file that compute in float, "OP at 'tensor'".
        inputs: as the file has them.
        outputs: as the file has them.
        weights_bytes: bytes of constants by dtype.
        macs: multiply-accumulates of one inference; None: the file does not say (loops, open extents).
        size_bytes: of the file.
        float_size_bytes: of the float file of the same model; None: not converted.
        size_note: why the file may be larger than the float file; mostly empty.
        agreement: one entry an output.
        samples: how many samples agreement was measured on.
        real_samples: they were real data, not random numbers.
        least_agreement_db: what was asked of every output.
        kernel_steps: largest difference between XNNPACK and the reference kernels, in quantization steps of the output;
            None: not compared (only int8 files are).
        kernel_note: why an int8 file was not compared; mostly empty.
        exact: the same comparison in integers, of a model trained with our own fake quantization; None: it is another.
        sparse: what became of the sparse encoding; empty: not tried.
        runtimes: where the file runs, one entry a runtime and version.
        notes: what no bound refuses and the user should know: inputs or outputs with hardly any steps.
        calibration: how the ranges were chosen, where it was not by the converter; mostly empty.
        trials: how each way to integers did that was tried; empty: only one was asked for.
        held_back: how many samples they were judged by, which none was calibrated on.
        packings: what became of each packing that was asked for.
        mixed: what each op would cost in other numbers, and which plans were tried; None: all were to be int8.
        tensor_names: what the tensors of each subgraph were called, where a packing took the names out of the file.
        micro: what was proven for a microcontroller; None: the file is for another target.
    """

    ops: Mapping[str, int]
    ops_by_dtype: Mapping[str, int]
    float_ops: tuple[str, ...]
    inputs: tuple[IOTensor, ...]
    outputs: tuple[IOTensor, ...]
    weights_bytes: Mapping[str, int]
    macs: int | None
    size_bytes: int
    float_size_bytes: int | None
    size_note: str
    agreement: tuple[OutputAgreement, ...]
    samples: int
    real_samples: bool
    least_agreement_db: float
    kernel_steps: float | None
    kernel_note: str = ""
    exact: Exactness | None = None
    sparse: str = ""
    runtimes: tuple[RuntimeVerdict, ...] = ()
    notes: tuple[str, ...] = ()
    calibration: str = ""
    trials: tuple[TrialRecord, ...] = ()
    held_back: int = 0
    packings: tuple[PackingRecord, ...] = ()
    tensor_names: tuple[tuple[str, ...], ...] = ()
    mixed: MixedRecord | None = None
    micro: MicroRecord | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return dataclasses.asdict(self)


def verify(
    model: bytes,
    export: Export,
    *,
    signature: Signature,
    inputs: Mapping[str, np.ndarray],
    keras_outputs: Mapping[str, np.ndarray],
    float_size_bytes: int | None,
    real_samples: bool,
    trained: IntegerModel | None = None,
    islands: frozenset[str] = frozenset(),
    reference_name: str = KERAS_MODEL,
) -> Verification:
    """Check a written file.

    Args:
        model: the file.
        export: what was asked for.
        signature: of what was exported, the Keras model or a float file.
        inputs: samples by input name, arrays of shape (samples, *shape), real values.
        keras_outputs: its outputs for them by name, arrays of shape (samples, *shape).
        float_size_bytes: size of the float file of the same model; None: this is it, or it is not known.
        real_samples: whether *inputs* are real data.
        trained: the model computed in integers, where quantization-aware training made it.
        islands: names of the tensors of ops that were asked for in float, and of their kernels.
        reference_name: what messages call that which gave *keras_outputs*.

    Raises:
        ContractError: what was written is not what was asked for, or not what was trained.
        ModelError: the outputs of what was exported are not finite.
    """
    flat = read_model_file(model)
    size_note = check_structure(flat, export, signature, float_size_bytes, sampled=real_samples, islands=islands)
    least = LEAST_DB[export.quantize] if export.min_agreement_db is None else export.min_agreement_db
    with contextlib.ExitStack() as stack:
        interpreter = stack.enter_context(InterpreterProcess(model))
        reference = None
        if export.quantize == "int8":  # it opens the file while the other one runs
            reference = stack.enter_context(InterpreterProcess(model, reference_kernels=True))
        outputs = interpreter.run(inputs)
        found = agreements(flat, keras_outputs, outputs)
        coarse = tuple(resolution_notes(flat, inputs, keras_outputs)) if real_samples and export.needs_data else ()
        mend = what_to_do(
            export,
            real_samples=real_samples,
            trained=trained is not None,
            trainable=reference_name == KERAS_MODEL,
            coarse=coarse,
        )
        _check_outputs(flat, keras_outputs, found, export, least, mend, reference_name, varied=real_samples)
        steps, kernel_note = compare_kernels(reference, inputs, outputs) if reference else (None, "")
        exact = None
        if trained and reference and not kernel_note:
            exact = compare_exactly(trained, flat, reference, inputs, outputs)
            if export.min_agreement_db is None:
                check_exact(exact, found)
    return Verification(
        ops=flat.op_counts,
        ops_by_dtype=ops_by_dtype(flat.subgraphs),
        float_ops=tuple(map(str, contract.float_ops(flat))) if export.needs_data else (),
        inputs=flat.inputs,
        outputs=flat.outputs,
        weights_bytes=bytes_by_dtype(flat.subgraphs),
        macs=flat.macs,
        size_bytes=len(model),
        float_size_bytes=float_size_bytes,
        size_note=size_note,
        agreement=found,
        samples=len(next(iter(inputs.values()))),
        real_samples=real_samples,
        least_agreement_db=least,
        kernel_steps=steps,
        kernel_note=kernel_note,
        exact=exact,
        notes=coarse,
    )


def check_structure(
    flat: FlatModel,
    export: Export,
    signature: Signature,
    float_size_bytes: int | None,
    *,
    sampled: bool = True,
    islands: frozenset[str] = frozenset(),
) -> str:
    """Check everything that needs no interpreter; returns the note on the file's size.

    Raises:
        ContractError: naming ops, tensors or numbers; all that is not as asked, in one message.
    """
    contract.check_all(
        (
            lambda: contract.check_ops(flat, export),
            lambda: contract.check_integer(flat, export, sampled=sampled, islands=islands),
            lambda: contract.check_io(flat, export, signature),
            lambda: contract.check_weights(flat, export, islands),
        )
    )
    if float_size_bytes is None or export.quantize == "none":
        return ""
    return contract.check_size(flat, float_size_bytes)


def _check_outputs(
    flat: FlatModel,
    references: Mapping[str, np.ndarray],
    found: Sequence[OutputAgreement],
    export: Export,
    least: float,
    mend: str,
    reference_name: str,
    *,
    varied: bool,
) -> None:
    contract.check_all(
        functools.partial(check_agreement, flat, references[each.name], each, least, export, mend, reference_name)
        for each in found
    )
    if varied and export.min_agreement_db is None:
        contract.check_all(
            functools.partial(check_varies, flat, references[each.name], each, reference_name) for each in found
        )


def check_agreement(
    flat: FlatModel,
    reference: np.ndarray,
    found: OutputAgreement,
    least: float,
    export: Export,
    mend: str,
    reference_name: str = KERAS_MODEL,
) -> None:
    """Check that one output is near enough to the Keras model's.

    Args:
        flat: the file.
        reference: the Keras model's output, of shape (samples, *shape).
        found: how it compares.
        least: what was asked, in dB.
        export: what was asked for.
        mend: what to do where it is not.
        reference_name: what messages call that which gave *reference*.

    Raises:
        ContractError: with the numbers and the likely causes.
    """
    fixed = output_step(flat, found.name)[1]
    rounded = export.min_agreement_db is None and within_steps(reference, found, fixed=fixed)
    wanted = f"output {found.name!r} of the file must agree with {reference_name} by at least {least:g} dB"
    if reference.dtype.kind != "f":
        near = (found.top1 or 0.0) >= LEAST_EQUAL
        wanted = f"output {found.name!r} of the file must equal {reference_name}'s in {LEAST_EQUAL:.0%} of its values"
        got = f"{found.top1 or 0.0:.0%}"
    elif found.sqnr_db is None:
        near = rounded or found.max_abs_error < NOTHING
        got = f"{found.max_abs_error:.3g} where it gives 0 throughout"
    else:
        near = rounded or found.sqnr_db >= least
        got = f"{found.sqnr_db:.1f} dB (largest error {found.max_abs_error:.3g})"
    if not near:
        msg = f"{wanted}, got {got}; {mend}"
        raise ContractError(msg)


def check_varies(
    flat: FlatModel, reference: np.ndarray, found: OutputAgreement, reference_name: str = KERAS_MODEL
) -> None:
    """Check that an output tells samples apart, as far as no op such as softmax fixes its range.

    Values far from zero that differ by less than a step all become one, while their ratio of signal to noise, whose
    signal is the distance from zero, is excellent.

    Args:
        flat: the file.
        reference: the Keras model's output, of shape (samples, *shape).
        found: how it compares.
        reference_name: what messages call that which gave *reference*.

    Raises:
        ContractError: it is the same for all samples; with its step, and the spread that it should have.
    """
    step, fixed = output_step(flat, found.name)
    if not found.stuck or fixed:
        return
    rows = reference.astype(np.float64).reshape(len(reference), -1)
    widest = int(rows.std(axis=0).argmax())
    spread, mean = rows[:, widest].std(), rows[:, widest].mean()
    grid = f", whose step is {step:.3g}" if step else ""
    msg = (
        f"output {found.name!r} of the file must tell samples apart, as {reference_name}'s does (it spreads by "
        f"{spread:.3g} around {mean:.6g}), got the same values{grid} for all {len(reference)} samples; {FINER}, or "
        "accept it with --min-agreement-db"
    )
    raise ContractError(msg)


def what_to_do(
    export: Export, *, real_samples: bool, trained: bool, trainable: bool = True, coarse: Sequence[str] = ()
) -> str:
    """Say what to do about outputs that do not agree, of what has not been done yet.

    Args:
        export: what was asked for.
        real_samples: whether they were compared on real data.
        trained: whether quantization-aware training made the file.
        trainable: whether it can.
        coarse: inputs and outputs of too few steps, with their remedies: where there are some, they are the cause.
    """
    if coarse:
        return f"{'; '.join(coarse)}, or accept it with --min-agreement-db"
    further = "otherwise train with --qat" if trainable else "otherwise quantize the Keras model it was made from"
    ways = ["accept it with --min-agreement-db"]
    if export.quantize != "none":
        ways.insert(0, "choose another --quantize")
    if not real_samples:
        ways.insert(0, "give --data (it was compared on random numbers)")
    if trained:
        ways.insert(0, "train it for longer, or at a lower --learning-rate")
    elif export.needs_data:
        ways[:0] = [f"check that the calibration samples are preprocessed as in training; {further}"]
    return ", ".join(ways[:-1]) + (", or " if len(ways) > 1 else "") + ways[-1]


def compare_kernels(
    reference: InterpreterProcess, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> tuple[float | None, str]:
    """Compare what XNNPACK gave for an int8 file with what the reference kernels give, on a few samples.

    Args:
        reference: has the file open with the reference kernels.
        inputs: samples by input name, arrays of shape (samples, *shape).
        outputs: XNNPACK's outputs for them by name, arrays of shape (samples, *shape).

    Returns:
        The largest difference in quantization steps of the output, and an empty string; or None, and why the reference
        kernels cannot run the file. (They lack some versions of ops, TILE 3 for one, and abort on the degenerate scales
        of some untrained networks.)

    Raises:
        ContractError: more than kernels may differ by; one of them is wrong (LiteRT#8928).
    """
    flat = reference.model
    count = min(_REFERENCE_SAMPLES, max(1, _REFERENCE_MACS // max(1, flat.least_macs)))  # reference kernels are slow
    try:
        theirs = reference.run({name: values[:count] for name, values in inputs.items()})
    except ContractError as error:
        return None, f"not compared with the reference kernels: {error}"
    found = agreements(flat, theirs, {name: values[:count] for name, values in outputs.items()})
    check_kernels(found)
    return max((item.max_abs_error / item.step for item in found if item.step), default=0.0), ""


def check_kernels(found: Sequence[OutputAgreement]) -> None:
    """Check that two kinds of kernels give the same outputs.

    They round in different ways, which is one step or two in most files (measured: at most 3 in 30 models). A softmax
    over coarse logits makes many steps of one, though: so they only fail who differ by much of the signal as well.

    Raises:
        ContractError: with the numbers.
    """
    for item in found:
        steps = item.max_abs_error / item.step if item.step else 0.0
        if steps > _KERNEL_STEPS and (item.sqnr_db or 0.0) < _KERNEL_DB:
            msg = (
                f"XNNPACK and the reference kernels must agree on output {item.name!r}, they differ by {steps:.0f} "
                f"quantization steps; one of them is wrong, so do not trust the file: choose another --quantize"
            )
            raise ContractError(msg)
