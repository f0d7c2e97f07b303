"""The TFLite converter, in a process of its own: it can die by signal, and takes seconds to import.

This is the one module through which tfcompress converts; :mod:`tfcompress.tflite.converter_child` is its other half.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tfcompress.errors import ConversionError
from tfcompress.models.first_load import ENVIRONMENT
from tfcompress.recipe import Export
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.lower import ORDER
from tfcompress.tflite.lstm_scales import with_state_scales
from tfcompress.tflite.one_hot_scales import with_one_hot_scales
from tfcompress.tflite.rearrange import for_any_batch, in_order, with_unique_names
from tfcompress.worker import KeptWorkers, Worker, WorkerAnswerError, WorkerDiedError

_MISSING = r"not yet supported for op|Unsupported (input|output) type"  # the latter: where such an op is the last one
_CHILD = "tfcompress.tflite.converter_child"
CHILDREN = KeptWorkers(_CHILD, ENVIRONMENT)
"""The children that this process keeps for its next conversions."""
_SHOWN = 8
LOOPS = frozenset({"While", "StatelessWhile"})
"""Operations that TensorFlow's loops are."""
_PLUMBING = frozenset(
    {
        *("Const", "Identity", "IdentityN", "NoOp", "Placeholder", "Pack", "Shape", "StridedSlice", "Reshape"),
        *("VarHandleOp", "ReadVariableOp", "AssignVariableOp", "VarIsInitializedOp", "DisableCopyOnRead"),
        *("PartitionedCall", "StatefulPartitionedCall", "MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"),
        *("StaticRegexFullMatch", "StringJoin", "Select"),
    }
)

RETRIES = 4
"""More conversions at most where one of them fails by accident, or leaves an op in float that others do not."""


class MissingKernelError(ConversionError):
    """The converter refused because ops have no integer kernel."""


class ConverterProcess:
    """A child process that converts SavedModels, one after the other; a context manager.

    It starts at once and imports TensorFlow while the caller goes on: make it early, convert late. One that is done is
    kept for a while: whoever exports several times waits for TensorFlow once.
    """

    def __init__(self, log: Path | None = None, *, child: str = _CHILD) -> None:
        """Start the child.

        Args:
            log: file that everything TensorFlow prints is appended to; None: a private one.
            child: module that serves the requests.
        """
        self._log = log
        self._children = CHILDREN if child == _CHILD else KeptWorkers(child, ENVIRONMENT)
        self._worker = self._children.take(log=log)
        self._count = 0
        self._waiting: tuple[Path, str, dict[str, Any]] | None = None

    @property
    def loader(self) -> Worker:
        """The child, for the first load of a model: it has TensorFlow, and nothing to convert yet."""
        return self._worker

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time that the child has taken so far; None: not reported here."""
        return self._worker.cpu_seconds()

    def _replace_worker(self) -> None:
        """Let the next request find a living child."""
        self._worker.close()
        self._worker = self._children.take(log=self._log, new=True)

    def convert(
        self,
        saved_model: Path,
        export: Export,
        representative: Mapping[str, np.ndarray] | None,
        *,
        sparse: bool = False,
        qat: bool = False,
        batch: int = 1,
        float_ops: bool = False,
    ) -> bytes:
        """Convert a SavedModel and wait for the result; see :meth:`start`."""
        self.start(saved_model, export, representative, sparse=sparse, qat=qat, batch=batch, float_ops=float_ops)
        return self.result()

    def start(
        self,
        saved_model: Path,
        export: Export,
        representative: Mapping[str, np.ndarray] | None,
        *,
        sparse: bool = False,
        qat: bool = False,
        batch: int = 1,
        float_ops: bool = False,
    ) -> None:
        """Have a SavedModel converted while the caller goes on; :meth:`result` fetches what came of it.

        Args:
            saved_model: folder with a signature ``serving_default``.
            export: quantization, dtype of inputs and outputs, what to do with float ops.
            representative: for each input by its signature name, an array of shape (samples, *shape) to calibrate
                activation ranges on; None: none (ranges come from a model trained with fake quantization, or none are
                needed).
            sparse: use TFLite's sparse encoding for sparse kernels.
            qat: the model holds fake quantization.
            batch: batch size of the signature.
            float_ops: let ops that have no integer kernel stay in float.
        """
        if self._waiting is not None:  # its caller met an error of its own and will not fetch the result
            with contextlib.suppress(ConversionError):
                self._finish()
        self._count += 1
        folder = self._worker.folder
        target, samples = folder / f"{self._count}.tflite", folder / f"{self._count}.npz"
        if representative is not None:
            # prefixed: an input called "file" would be taken for savez's own argument
            arrays: dict[str, Any] = {f"x.{name}": np.asarray(values) for name, values in representative.items()}
            np.savez(samples, **arrays)
        request = {
            "saved_model": str(saved_model),
            "target": str(target),
            "quantize": export.quantize,
            "io": export.io_dtype,
            "qat": qat,
            "sparse": sparse,
            "select_ops": export.select_ops,
            "float_ops": float_ops,
            "batch": batch,
            "representative": None if representative is None else str(samples),
        }
        self._waiting = (target, _what(export, qat=qat), request)
        self._worker.send(request)

    def result(self) -> bytes:
        """Wait for what :meth:`start` began.

        Raises:
            MissingKernelError: ops have no integer kernel, and *float_ops* was off.
            ConversionError: the converter refused the model, naming the ops, or died, naming the signal.
        """
        folder = Path(self._waiting[2]["saved_model"]) if self._waiting else None
        target = self._finish()
        content = with_one_hot_scales(with_state_scales(target.read_bytes()))
        target.unlink()
        return self._rearranged(content, folder)

    def _rearranged(self, content: bytes, saved_model: Path | None) -> bytes:
        """Return a file in the model's order, with names of their own for its tensors, for any batch if that works."""
        order = saved_model / ORDER if saved_model else None
        if order is None or not order.exists():
            return content
        content = with_unique_names(in_order(content, **json.loads(order.read_text("utf-8"))))
        resizable = for_any_batch(content)
        return resizable if resizable != content and self._takes_batches(resizable) else content

    def _takes_batches(self, model: bytes) -> bool:
        """Say whether TensorFlow's interpreter gives each of two samples what it gives it alone."""
        self._count += 1
        path = self._worker.folder / f"{self._count}.tflite"
        path.write_bytes(model)
        shapes = {tensor.index: tensor.example_shape for tensor in read_model_file(model).inputs}
        try:
            return bool(self._worker.ask({"batches": str(path), "shapes": shapes})["same"])
        except WorkerDiedError:
            self._replace_worker()
        except WorkerAnswerError:
            pass
        return False

    def _finish(self) -> Path:
        """Wait until the converter has answered; returns the file that it wrote."""
        if self._waiting is None:
            msg = "ConverterProcess.result() must follow start()"
            raise RuntimeError(msg)
        (target, what, request), self._waiting = self._waiting, None
        try:
            self._receive(request)
        except WorkerDiedError as death:
            self._replace_worker()
            where = f"; what it printed is in {self._log}" if self._log else ""
            what_to_do = _remedy(death.reason, request) + where
            msg = f"the TFLite converter died by {death.reason} while converting to {what}; {what_to_do}"
            raise ConversionError(msg) from death
        except WorkerAnswerError as answer:
            kind = MissingKernelError if re.search(_MISSING, answer.text) else ConversionError
            msg = f"the TFLite converter refuses to convert to {what}: {_reason(answer.text)}"
            raise kind(msg) from answer
        return target

    def _receive(self, request: dict[str, Any]) -> None:
        """Wait for the answer; where it is a refusal without a word, ask again.

        The converter does not always do the same: in 1 of some 15 conversions of one GRU that was written out its
        quantizer raised a bare RuntimeError (TensorFlow 2.21).
        """
        for _ in range(RETRIES):
            try:
                self._worker.receive()
            except WorkerAnswerError as answer:
                if answer.text.strip():
                    raise
                self._worker.send(request)
            else:
                return
        self._worker.receive()

    def try_in_tensorflow(self, model: bytes) -> str:
        """Open a TFLite file in TensorFlow's interpreter, which this process has loaded already, and run it once.

        Returns:
            Why TensorFlow does not run it; empty: it does.
        """
        return self._open(model, random=False)[1]

    def digest_in_tensorflow(self, model: bytes) -> tuple[str, str]:
        """Run a TFLite file as :meth:`try_in_tensorflow`, on zeros and on random numbers that are always the same.

        Returns:
            The SHA-256 of its outputs, and an empty string; or an empty string, and why TensorFlow does not run it.
        """
        return self._open(model, random=True)

    def _open(self, model: bytes, *, random: bool) -> tuple[str, str]:
        self._count += 1
        path = self._worker.folder / f"{self._count}.tflite"
        path.write_bytes(model)
        try:
            shapes = {tensor.index: tensor.example_shape for tensor in read_model_file(model).inputs}
            answer = self._worker.ask({"open": str(path), "shapes": shapes, "random": random})
        except WorkerDiedError as death:
            self._replace_worker()
            return "", f"it died by {death.reason}"
        except WorkerAnswerError as refusal:
            return "", " ".join(refusal.text.split())[:400]
        return str(answer["sha256"]), ""

    def close(self) -> None:
        """Remove the child's files, and keep it for the next conversions unless it is still busy with one."""
        self._children.give_back(self._worker, usable=self._waiting is None and self._children is CHILDREN)

    def __enter__(self) -> ConverterProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _what(export: Export, *, qat: bool) -> str:
    name = "float32" if export.quantize == "none" else export.quantize
    return f"{name} (quantization-aware trained)" if qat else name


def _remedy(reason: str, request: Mapping[str, Any]) -> str:
    """Say what may help after the converter's death, by its signal and what the graph holds."""
    if reason == "SIGKILL":
        return "the machine has most likely run out of memory: use fewer or smaller calibration samples"
    held = operations(Path(request["saved_model"]))
    if held & LOOPS and request["quantize"] in ("int8", "int16x8"):
        written_out = "" if request["qat"] else "train with --qat, which writes recurrent layers out, or "
        return (
            f"the model holds a loop, as recurrent layers do, which it often cannot quantize: {written_out}build them "
            "with unroll=True, or quantize 'dynamic' or 'float16'"
        )
    named = ", ".join(sorted(held)[:_SHOWN]) + (" and more" if len(held) > _SHOWN else "")
    return f"the model holds {named or 'no known operation'}; choose another --quantize, or replace layers one by one"


def operations(saved_model: Path) -> set[str]:
    """Return the kinds of operations that compute in a SavedModel's graph, functions included; empty: it is unreadable.

    Left out are those that only hand tensors, variables and calls around.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((saved_model / "saved_model.pb").read_bytes())
    except (DecodeError, OSError):
        return set()
    graphs = [meta.graph_def for meta in saved.meta_graphs]
    lists = [nodes for graph in graphs for nodes in (graph.node, *(f.node_def for f in graph.library.function))]
    return {node.op for nodes in lists for node in nodes} - _PLUMBING


def _reason(text: str) -> str:
    """Return the line of the converter's message that says what is wrong, with the ops it names."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    unsupported = re.findall(r"TF Select ops: (.+)|Custom ops: (.+)|not yet supported for op: '(\w+)'", text)
    ops = ", ".join(dict.fromkeys(name for found in unsupported for name in found if name))
    if "TF Select ops" in text and re.search(r"[x<]b?f16>", text):
        return (
            "it computes in half precision, which no TFLite kernel does; export the Keras model that it was made from, "
            "or save it again under the dtype policy 'float32'"
        )
    if "TF Select ops" in text or "flex op" in text:
        return f"no TFLite op for {ops or 'some TensorFlow ops'}; replace those layers, or give --select-ops"
    if ops:
        kind = "integer " if "not yet supported" in text else ""
        return f"no {kind}kernel for {ops}; give --float-ops allow to keep them in float"
    if re.search(_MISSING, text):
        return f"{lines[0]} Its op has no integer kernel; give --float-ops allow and --io float32"
    return lines[0] if lines else "it gives no reason"
