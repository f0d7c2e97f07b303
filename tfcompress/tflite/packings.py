"""Packings: passes over the bytes of a finished file that change no number, and the proof of that on every file.

What there is stands in :data:`tfcompress.export_choices.PACKINGS`. The file before and the file after are run on the
same samples in every interpreter at hand; where one bit of an output differs, or an interpreter no longer takes the
file, the packing is dropped, and the report says why.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfcompress.errors import TfcompressError, UnsupportedError
from tfcompress.export_choices import PACKINGS, Packing
from tfcompress.tflite.interpret import InterpreterProcess, RuntimeName

SAMPLES = 16
"""Samples that the files are compared on, at most."""
_REFERENCE_MACS = 500_000_000  # that the reference kernels are given: they are slow

_INTERPRETERS: tuple[tuple[str, RuntimeName, bool], ...] = (
    ("LiteRT", "litert", False),
    ("LiteRT's reference kernels", "litert", True),
    ("tflite-runtime", "tflite-runtime", False),
)
"""Where files are compared: what reports call it, the runtime, and whether by its reference kernels."""

Digest = Callable[[bytes], tuple[str, str]]
"""Runs a file on inputs of its own; returns a digest of the outputs, and why it does not run (empty: it does)."""


@dataclass(frozen=True, kw_only=True)
class PackingRecord:
    """What became of one packing of one file.

    Attributes:
        name: of the packing.
        before_bytes: size of the file that it was given.
        after_bytes: size of the file that was kept; the same where the packing was dropped.
        proven_in: interpreters in which the outputs of both files were equal, bit by bit.
        dropped: why the packing was dropped; empty: it was not.
    """

    name: str
    before_bytes: int
    after_bytes: int
    proven_in: tuple[str, ...] = ()
    dropped: str = ""


def pack(
    content: bytes,
    packings: Sequence[str],
    inputs: Mapping[str, np.ndarray],
    *,
    keep_names: bool = False,
    digests: Mapping[str, Digest] | None = None,
) -> tuple[bytes, tuple[PackingRecord, ...]]:
    """Do packings one after the other, each proven.

    Args:
        content: a file that LiteRT runs.
        packings: their names.
        inputs: samples by input name, arrays of shape (samples, *shape).
        keep_names: keep the names of graphs and of tensors inside them.
        digests: further interpreters to compare in, by name.

    Returns:
        The file, and what became of each packing.
    """
    records = []
    for name in packings:
        before = content
        content, record = _packed(name, PACKINGS[name], before, inputs, keep_names, digests or {})
        records.append(record)
    return content, tuple(records)


def _packed(
    name: str,
    packing: Packing,
    before: bytes,
    inputs: Mapping[str, np.ndarray],
    keep_names: bool,
    digests: Mapping[str, Digest],
) -> tuple[bytes, PackingRecord]:
    try:
        after: bytes = packing.load()(before, keep_names=keep_names)
    except UnsupportedError as error:
        return before, _dropped(name, before, str(error))
    if len(after) >= len(before):
        return before, _dropped(name, before, f"it would take {len(after):,} bytes")
    proven, difference = prove(before, after, inputs, packing.runtimes, digests)
    if difference:
        return before, _dropped(name, before, difference)
    return after, PackingRecord(name=name, before_bytes=len(before), after_bytes=len(after), proven_in=proven)


def _dropped(name: str, content: bytes, reason: str) -> PackingRecord:
    return PackingRecord(name=name, before_bytes=len(content), after_bytes=len(content), dropped=reason)


def prove(
    before: bytes,
    after: bytes,
    inputs: Mapping[str, np.ndarray],
    runtimes: Sequence[str] = ("litert",),
    digests: Mapping[str, Digest] | None = None,
) -> tuple[tuple[str, ...], str]:
    """Compare two files bit by bit in LiteRT, by its default and its reference kernels, and what else is at hand.

    That is tflite-runtime where it is installed, and *digests*.

    Args:
        before: one file.
        after: the other one.
        inputs: samples by input name, arrays of shape (samples, *shape).
        runtimes: where the second file claims to run; only these are asked.
        digests: further interpreters, by the runtime's name.

    Returns:
        The interpreters in which all outputs are equal, and the first difference (empty: there is none). An interpreter
        that does not run the first file is not asked about the second.
    """
    proven = []
    for where, runtime, reference in _INTERPRETERS:
        if runtime not in runtimes or not _is_installed(runtime):
            continue
        ran, difference = _compare(before, after, inputs, runtime, reference=reference)
        if difference:
            return (), f"in {where} {difference}"
        proven += [where] if ran else []
    for name, digest in (digests or {}).items():
        if name in runtimes:
            (one, refusal), (other, second) = digest(before), digest(after)
            if not refusal and (second or one != other):
                return (), f"in {name} {second or 'the outputs differ'}"
            proven += [] if refusal else [name]
    return tuple(proven), "" if proven else "no interpreter here runs the file: it cannot be proven"


def _is_installed(runtime: RuntimeName) -> bool:
    return runtime == "litert" or importlib.util.find_spec(runtime.replace("-", "_")) is not None


def _compare(
    before: bytes, after: bytes, inputs: Mapping[str, np.ndarray], runtime: RuntimeName, *, reference: bool
) -> tuple[bool, str]:
    """Return whether the first file ran, and how the second one differs; empty: it does not."""
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(InterpreterProcess(before, runtime=runtime, reference_kernels=reference, workers=1))
        other = stack.enter_context(InterpreterProcess(after, runtime=runtime, reference_kernels=reference, workers=1))
        macs = max(1, one.model.macs or 1)
        count = max(1, min(SAMPLES, _REFERENCE_MACS // macs)) if reference else SAMPLES
        few = {name: values[:count] for name, values in inputs.items()}
        try:
            expected = one.run(few)
        except TfcompressError:
            return False, ""
        try:
            got = other.run(few)
        except TfcompressError as error:
            return True, str(error)
    for name, values in expected.items():
        same = name in got and got[name].dtype == values.dtype and got[name].shape == values.shape
        if not same or got[name].tobytes() != values.tobytes():
            return True, f"output {name!r} differs"
    return True, ""
