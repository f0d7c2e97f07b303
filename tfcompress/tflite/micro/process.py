"""A file in TensorFlow Lite Micro's own interpreter, in a child process: what it answers, and the arena it takes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from tfcompress.errors import ContractError, TfcompressError
from tfcompress.files import sha256
from tfcompress.targets.target import micro_ops
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.micro.arena import ArenaUse, planned_arena_bytes, read_allocations
from tfcompress.tflite.micro.op_places import NPU_OP, OpPlaces

_CHILD = "tfcompress.tflite.micro.interpreter"
_ARENA_BYTES = 4 << 20
_FEW_SAMPLES = 4
_ARENA_TIMES = 8  # some kernels keep several copies of a tensor beside it while they run
_LACKING = re.compile(r"Didn't find op for builtin opcode '(\w+)'")
_FAILED = re.compile(r"Node (\w+) \(number (\d+)\)")
_CUSTOM = "Failed to get registration from op code CUSTOM"
_NOISE = re.compile(r"^(Node \w+ \(number \d+f?\) .*|Failed to get registration.*|tensorflow/lite/\S+ )", re.MULTILINE)


class MicroProcess(InterpreterProcess):
    """A child process with a file open in TFLM's interpreter; a context manager.

    Its reference kernels compute; those of a chip's maker (CMSIS-NN, ESP-NN) are made to give the same numbers.
    """

    resizes: ClassVar[bool] = False
    unpacks: ClassVar[bool] = True

    def __init__(
        self,
        model: bytes | Path,
        *,
        places: OpPlaces | None = None,
        continuous: bool = False,
        refusal: type[TfcompressError] = ContractError,
    ) -> None:
        """Start the child and have it open *model*.

        Args:
            model: a TFLite file, or its content.
            places: what ops are called in messages; None: by the names in the file.
            continuous: samples are steps of one stream.
            refusal: class of the error when TFLM refuses the file, or dies on it.

        Raises:
            ModelError: the content is not a TFLite file.
            TfcompressError: of the class *refusal*: an input or output of any size, which an arena has no place for.
        """
        content = model if isinstance(model, bytes) else model.read_bytes()
        flat = read_model_file(content)
        check_extents(flat, refusal)
        self._places = places or OpPlaces(flat)
        self._arena: ArenaUse | None = None
        more = {"arena_bytes": roomy_arena_bytes(content)}
        super().__init__(
            content, runtime="tflm", workers=1, continuous=continuous, refusal=refusal, child=_CHILD, more=more
        )

    def __enter__(self) -> MicroProcess:
        return self

    @property
    def arena(self) -> ArenaUse:
        """What the open file takes of the arena, measured by TFLM's recorder.

        Raises:
            TfcompressError: as :meth:`opened`.
        """
        if self._arena is None:
            self.opened()
            self._arena = read_allocations(str(self.asked({"allocations": True})["text"]))
        return self._arena

    def said(self, words: str) -> str:
        """Name the ops that TFLM lacks or refuses, with the layers that they came from."""
        lacking, failed = _LACKING.search(words), _FAILED.search(words)
        if lacking:
            return lacking_text(self._places, [lacking[1]])
        if _CUSTOM in words:
            return self._custom_text()
        reason = " ".join(_NOISE.sub("", words).split())[:300].rstrip(".")
        if failed:
            where = self._places.of(int(failed[2]), failed[1])
            remedy = "replace that layer, or choose another --target"
            return f"TFLM refuses {where}: {reason or words.strip()[:300]}; {remedy}"
        return f"TFLM refuses this file: {reason or words.strip()[:300]}"

    def _custom_text(self) -> str:
        custom = sorted({op.name for op in self.model.ops if op.custom})
        if custom == [NPU_OP]:
            return "this file was compiled for an Ethos-U, which no interpreter runs; give the file that Vela was given"
        return f"TensorFlow Lite Micro lacks a custom op of this file ({', '.join(custom)}); replace it"


def roomy_arena_bytes(content: bytes) -> int:
    """Return the size of an arena in which a file is set up before it is known how much it takes."""
    return _ARENA_BYTES + _ARENA_TIMES * planned_arena_bytes(content)


def digest_in_micro(inputs: Mapping[str, np.ndarray], content: bytes) -> tuple[str, str]:
    """Run a file in TFLM.

    Args:
        inputs: samples by input name, arrays of shape (samples, *shape); a few of them are run.
        content: the file.

    Returns:
        A digest of its outputs, and why it does not run (empty: it does).
    """
    try:
        with MicroProcess(content) as process:
            outputs = process.run({name: values[:_FEW_SAMPLES] for name, values in inputs.items()})
    except TfcompressError as error:
        return "", str(error)
    return sha256(b"".join(outputs[name].tobytes() for name in sorted(outputs))), ""


def lacking_text(places: OpPlaces, named: Collection[str] = ()) -> str:
    """Say which ops of a file TFLM lacks, and where they are; empty: none, as far as is known.

    Args:
        places: of the file.
        named: ops that TFLM itself says it lacks, whatever is known of it.
    """
    custom = {op.name for op in places.flat.ops if op.custom}  # it has some of those, and which is not known
    lacking = [n for n in places.flat.op_counts if n in named or (n not in micro_ops() and n not in custom)]
    if not lacking:
        return ""
    where = "; ".join(f"{name} ({places.all_of(name)})" for name in lacking)
    return f"TensorFlow Lite Micro has no kernel for {where}: replace those layers, or choose another --target"


def check_extents(flat: FlatModel, refusal: type[TfcompressError] = ContractError) -> None:
    """Refuse a file with an axis of any size behind the first: an arena is planned once, for one shape.

    Raises:
        TfcompressError: of the class *refusal*, naming the input or output.
    """
    for tensor in (*flat.inputs, *flat.outputs):
        if any(size < 0 for size in tensor.shape[1:]):
            msg = (
                f"TensorFlow Lite Micro plans its arena for one shape, and {tensor.name!r} has axes of any size "
                f"({shape_text(tensor.shape)}); give the model a fixed input shape"
            )
            raise refusal(msg)


def shape_text(shape: Sequence[int | None]) -> str:
    """Return sizes as text, ``any`` where they are not settled."""
    return ", ".join("any" if size is None or size < 0 else str(size) for size in shape)
