"""From a float ``.tflite`` file to one in other numbers: the export of a file that came without its Keras model.

The contract is that of every export (:mod:`tfcompress.tflite.verify`), with the outputs of the float file itself in
the place of the Keras model's. Ranges and weights are litert-quantizer's work.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping

import numpy as np

from tfcompress.errors import ModelError
from tfcompress.models.specs import Signature, random_inputs
from tfcompress.models.tflite_source import TFLiteSource
from tfcompress.tflite.agreement import OutputAgreement, agreements, any_worse
from tfcompress.tflite.attempt import Attempt, Request
from tfcompress.tflite.best import LEAST_GAIN_DB
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.pack import add_metadata
from tfcompress.tflite.packings import pack
from tfcompress.tflite.quantizer import WEIGHTS, QuantizerRequest, quantized, quantizer_version
from tfcompress.tflite.routes import Made
from tfcompress.tflite.runtimes import check_runtimes, where_it_runs
from tfcompress.tflite.shares import NONE_HELD_BACK, Shares, shares
from tfcompress.tflite.verify import SAMPLES, TrialRecord, Verification, verify

FLOAT_FILE = "the float file"
"""What messages call the file that was given."""
_RANDOM = 32


def made_from_file(source: TFLiteSource, request: Request) -> Made:
    """Quantize a float file, and check what came of it.

    Args:
        source: the file.
        request: what is asked.

    Raises:
        DataError: numbers that need samples, without data.
        ConversionError: litert-quantizer refuses the file.
        ContractError: what it wrote is not what was asked for.
        MissingDependencyError: it is not installed.
        ModelError: the float file itself gives values that are not finite.
    """
    drawn = _drawn(source.signature, request)
    settings, progress = request.settings, request.progress
    with InterpreterProcess(source.content) as interpreter:
        expected = {
            part: _finite(interpreter.run(samples)) if _count(samples) else {}
            for part, samples in (("held_back", drawn.held_back), ("compared", drawn.compared))
        }
    with progress.task("quantizing"):
        content, trials = _contest(source, request, drawn, expected["held_back"])
    with progress.task("checking"):
        if request.metadata is not None:
            content = add_metadata(content, request.metadata)
        verification = verify(
            content,
            settings,
            signature=source.signature,
            inputs=drawn.compared,
            keras_outputs=expected["compared"],
            float_size_bytes=request.float_size_bytes or len(source.content),
            real_samples=request.data is not None,
            reference_name=FLOAT_FILE,
        )
        content, verification = _packed(content, verification, request, drawn.compared)
        in_tensorflow = request.converter.try_in_tensorflow
        verdicts = where_it_runs(content, trials={"tensorflow": in_tensorflow})
        check_runtimes(verdicts, settings.runtimes)
    chosen = next((trial for trial in trials if trial.chosen), None)
    verification = dataclasses.replace(
        verification,
        runtimes=verdicts,
        trials=trials if len(trials) > 1 else (),
        held_back=_count(drawn.held_back) if len(trials) > 1 else 0,
        calibration=_told(chosen, _count(drawn.calibration)),
    )
    notes = () if chosen is None else (f"quantized by litert-quantizer {quantizer_version()}",)
    if chosen is not None and settings.tries and not _count(drawn.held_back):
        notes = (*notes, f"{chosen.name} alone, no other way was tried: {NONE_HELD_BACK}")
    return Made(Attempt(content, source.signature, verification, qat=False), "litert-quantizer", notes)


def _told(chosen: TrialRecord | None, samples: int) -> str:
    """Say how ranges and weights were chosen, where there was a choice."""
    if chosen is None or not samples:
        return ""
    return f"the least and the largest value of {samples:,} samples; {chosen.name}"


def _drawn(signature: Signature, request: Request) -> Shares:
    if request.shares is not None:
        return request.shares
    settings = request.settings
    if request.data is None and not settings.needs_data:
        return Shares({}, {}, random_inputs(signature, _RANDOM, request.seed))
    if request.data is None or not settings.needs_data:
        return request.drawn()
    wanted = settings.sample_count
    return shares(request.data, request.seed, calibration=wanted, compared=SAMPLES, hold_back=settings.tries)


def _count(samples: Mapping[str, np.ndarray]) -> int:
    return len(next(iter(samples.values()), ()))


def _finite(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    for name, values in outputs.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            msg = f"output {name!r} of {FLOAT_FILE} must be finite, it holds NaN or infinity; mend the file or the data"
            raise ModelError(msg)
    return dict(outputs)


def _contest(
    source: TFLiteSource, request: Request, drawn: Shares, expected: Mapping[str, np.ndarray]
) -> tuple[bytes, tuple[TrialRecord, ...]]:
    """Return the file whose worst output is nearest to float's on the samples held back, and how each way did.

    One that is worse than the first way in any output is not kept.
    """
    settings = request.settings
    if settings.quantize == "none":
        return source.content, ()
    ways = tuple(WEIGHTS) if settings.tries and expected else tuple(WEIGHTS)[:1]
    made: list[tuple[bytes, TrialRecord]] = []
    judged: list[tuple[OutputAgreement, ...]] = []
    for way in ways:
        started = time.perf_counter()
        asked = QuantizerRequest(scheme=settings.quantize, float_ends=settings.io_dtype == "float32", weights=way)
        content = quantized(source.named, asked, drawn.calibration if settings.needs_data else None)
        judged.append(_judged(content, drawn.held_back, expected) if len(ways) > 1 else ())
        db = min((each.ratio_db for each in judged[-1] if each.ratio_db is not None), default=None)
        top1 = min((each.top1 for each in judged[-1] if each.top1 is not None), default=None)
        made.append((content, TrialRecord(f"weights by {way}", db, top1, time.perf_counter() - started)))
    sound = [place for place, found in enumerate(judged) if not any_worse(found, judged[0], LEAST_GAIN_DB)]
    best = max(sound, key=lambda place: (made[place][1].agreement_db or 0.0, -place))
    records = tuple(dataclasses.replace(record, chosen=place == best) for place, (_, record) in enumerate(made))
    return made[best][0], records


def _judged(
    content: bytes, samples: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> tuple[OutputAgreement, ...]:
    """Return how near each output is to float."""
    with InterpreterProcess(content) as interpreter:
        return agreements(read_model_file(content), expected, interpreter.run(samples))


def _packed(
    content: bytes, verification: Verification, request: Request, inputs: Mapping[str, np.ndarray]
) -> tuple[bytes, Verification]:
    settings = request.settings
    if not settings.packings:
        return content, verification
    packed, records = pack(
        content,
        settings.packings,
        inputs,
        keep_names=settings.keep_names,
        digests={"tensorflow": request.converter.digest_in_tensorflow},
    )
    names = read_model_file(content).tensor_names
    gone = () if read_model_file(packed).tensor_names == names else names
    return packed, dataclasses.replace(verification, size_bytes=len(packed), packings=records, tensor_names=gone)
