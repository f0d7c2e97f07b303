"""Running a TFLite file on real values, in a child process: a malformed file can corrupt the heap of whoever opens it.

This is the one module through which tfcompress opens an interpreter; :mod:`tfcompress.tflite.interpreter_child` is its
other half.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, ClassVar, Literal

import numpy as np

from edge_runner import check
from tfcompress import errors
from tfcompress.errors import ContractError, DataError, MissingDependencyError, TfcompressError, UnsupportedError
from tfcompress.fork_server import ForkServer
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.tflite.flatbuffer import FlatModel, IOTensor, read_model_file
from tfcompress.worker import Worker, WorkerAnswerError, WorkerDiedError

RuntimeName = Literal["litert", "tensorflow", "tflite-runtime"]
PACKAGES: dict[str, str] = {
    "litert": "ai-edge-litert",
    "tensorflow": "tensorflow",
    "tflite-runtime": "tflite-runtime",
    "tflm": "'tfcompress[mcu]'",
}
"""What to install for each runtime."""
_CHILD = "tfcompress.tflite.interpreter_child"
_OUTSIDE_TABLE = "gather index out of bounds"  # what runtimes say of a number that a table does not have
FORKS = ForkServer(_CHILD, ["ai_edge_litert.interpreter"])
"""What starts the processes that open a file in LiteRT: it has imported that, and no other runtime beside it."""
_ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
LOOKUP = check.LOOKUP
"""The custom op that unpacks a look-up table of TensorFlow Lite Micro."""
NO_MORE: Mapping[str, Any] = MappingProxyType({})
CHUNK_BYTES = 64 << 20
"""What goes through a file at a time: memory stays flat however many samples there are."""


class InterpreterProcess:
    """A child process with a TFLite file open in it; a context manager.

    It starts at once and opens the file while the caller goes on; a file that cannot be opened is reported by the first
    :meth:`opened` or :meth:`run`.

    Attributes:
        resizes: whether the runtime can give an axis of any size another size than the file has.
        unpacks: whether the runtime knows look-up tables of TensorFlow Lite Micro.
    """

    resizes: ClassVar[bool] = True
    unpacks: ClassVar[bool] = False

    def __init__(
        self,
        model: bytes | Path,
        *,
        runtime: RuntimeName | Literal["tflm"] = "litert",
        reference_kernels: bool = False,
        threads: int = 1,
        workers: int = 2,
        whole: bool = False,
        continuous: bool = False,
        refusal: type[TfcompressError] = ContractError,
        child: str = _CHILD,
        more: Mapping[str, Any] = NO_MORE,
    ) -> None:
        """Start the child and have it open *model*.

        Args:
            model: a TFLite file, or its content.
            runtime: which interpreter to use.
            reference_kernels: use the plain reference kernels, without XNNPACK (slow).
            threads: threads of each interpreter.
            workers: interpreters that share the samples.
            whole: a sample is all that a tensor holds, its first axis too: tensors inside a graph need not have the
                samples along it. Arrays then have the shape (samples, *all sizes).
            continuous: samples are steps of one stream: variables in the file keep what one leaves to the next.
            refusal: class of the error when the runtime refuses the file, or dies on it.
            child: module that serves the requests.
            more: what it is given besides when it opens the file.

        Raises:
            ModelError: the content is not a TFLite file.
            UnsupportedError: it holds look-up tables, which the runtime does not know.
        """
        content = model if isinstance(model, bytes) else model.read_bytes()
        self.model: FlatModel = read_model_file(content)
        if not self.unpacks:
            _check_tables(self.model)
        self._runtime, self._refusal, self._whole, self._count = runtime, refusal, whole, 0
        self._continuous = continuous
        self._version: str | None = None
        self._refused: TfcompressError | None = None
        workers = 1 if continuous else workers
        self._options = {"reference": reference_kernels, "threads": threads, "workers": workers, **more}
        forked = child == _CHILD and runtime == "litert"
        self._worker = Worker(FORKS if forked else child, environment=_ENVIRONMENT)
        self._path = self._worker.folder / "model.tflite"
        self._open(content)

    def reopen(self, content: bytes) -> None:
        """Open another file in the place of the one that is open; what refuses it is reported as for the first.

        Raises:
            ModelError: the content is not a TFLite file.
            TfcompressError: as :meth:`opened`, of the file before.
        """
        self.opened()
        self.model, self._version = read_model_file(content), None
        self._path.unlink()  # what is open keeps its bytes until it is closed; written over, it would not
        self._open(content)

    def _open(self, content: bytes) -> None:
        self._path.write_bytes(content)
        graph = self.model.subgraphs[0]
        self._worker.send(
            {
                **self._options,
                "open": str(self._path),
                "runtime": self._runtime,
                "whole": self._whole,
                "inputs": [self._spec(tensor, graph.inputs) for tensor in self.model.inputs],
                "outputs": [self._spec(tensor, graph.outputs) for tensor in self.model.outputs],
                "stateful": not self._continuous
                and (
                    any(t.variable for graph in self.model.subgraphs for t in graph.tensors)
                    or any(op.name == "VAR_HANDLE" for op in self.model.ops)
                ),
            }
        )

    def _spec(self, tensor: IOTensor, side: Sequence[int]) -> dict[str, Any]:
        shape = self.model.subgraphs[0].tensors[tensor.index].shape
        about = {"shape": shape, "free": self.resizes and min(tensor.shape, default=0) < 0}
        place = side.index(tensor.index) if tensor.index in side else None
        return {**dataclasses.asdict(tensor), **about, "place": place}

    @property
    def signature(self) -> Signature:
        """Inputs and outputs of the file, by name; quantized ones count as float32, as :meth:`run` takes them."""
        return signature_of_file(self.model)

    def opened(self) -> str:
        """Wait until the file is open and return the runtime's version.

        Raises:
            TfcompressError: of the class *refusal*: the runtime refuses the file, or died on it.
            MissingDependencyError: the runtime is not installed, or cannot be imported.
        """
        if self._refused is not None:  # it is answered once; to wait for that again would be for ever
            raise self._refused
        if self._version is None:
            try:
                self._version = str(self._receive()["version"])
            except TfcompressError as refusal:
                self._refused = refusal
                raise
        return self._version

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the file on samples.

        Args:
            inputs: for each input by name an array of shape (samples, *shape) of real values; they are quantized as the
                file asks for.

        Returns:
            For each output by name an array of shape (samples, *shape) of real values, float32 where the file's output
            is quantized.

        Raises:
            DataError: names, shapes or numbers of samples that do not fit the file.
            TfcompressError: as :meth:`opened`.
        """
        self.opened()
        samples = _check(inputs, self.model, whole=self._whole)
        per_sample = max(1, sum(np.asarray(v[:1]).nbytes for v in inputs.values()))
        step = max(1, CHUNK_BYTES // per_sample)
        pieces = [
            self._run({name: np.asarray(values[start : start + step]) for name, values in inputs.items()})
            for start in range(0, samples, step)
        ]
        return {
            name: np.concatenate([piece[name] for piece in pieces]) for name in (o.name for o in self.model.outputs)
        }

    def timed(self, inputs: Mapping[str, np.ndarray], runs: int) -> tuple[float, ...]:
        """Run the file on its first sample again and again.

        Args:
            inputs: as for :meth:`run`.
            runs: how often.

        Returns:
            Seconds that each invocation took, by one interpreter, without setting inputs and reading outputs.

        Raises:
            TfcompressError: as :meth:`run`.
        """
        self.run({name: values[:1] for name, values in inputs.items()})
        self._worker.send({"time": runs})
        return tuple(self._receive()["seconds"])

    def _run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self._count += 1
        source = self._worker.folder / f"in{self._count}.npz"
        target = self._worker.folder / f"out{self._count}.npz"
        names = list(inputs)  # a name of the model need not be a valid name of a member
        arrays: dict[str, Any] = {f"x{place}": inputs[name] for place, name in enumerate(names)}
        np.savez(source, **arrays)
        self._worker.send({"inputs": names, "source": str(source), "target": str(target)})
        self._receive()
        with np.load(target) as stored:
            result = {tensor.name: stored[f"y{place}"] for place, tensor in enumerate(self.model.outputs)}
        source.unlink()
        target.unlink()
        return result

    def asked(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the child something of its own, and return its answer.

        Raises:
            TfcompressError: as :meth:`opened`.
        """
        self._worker.send(request)
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        try:
            return self._worker.receive()
        except WorkerDiedError as death:
            msg = f"{self._runtime} died by {death.reason} on this file; it is malformed, or uses what cannot run there"
            raise self._refusal(msg) from death
        except WorkerAnswerError as answer:
            raise self._error(answer) from answer

    def _error(self, answer: WorkerAnswerError) -> TfcompressError:
        if answer.not_installed:
            package = PACKAGES[self._runtime]
            return MissingDependencyError(f"{self._runtime} cannot be imported: {answer.text}; pip install {package}")
        if isinstance(known := getattr(errors, answer.kind, None), type) and issubclass(known, TfcompressError):
            return known(answer.text)
        if _OUTSIDE_TABLE in answer.text:
            msg = "data: a sample holds a number outside the table that the file looks it up in; give those it knows"
            return DataError(msg)
        return self._refusal(self.said(answer.text))

    def said(self, words: str) -> str:
        """Return what the runtime's words about the open file come down to, for the message of a refusal."""
        text = " ".join(words.split())[:400]  # one tensor after the other, where every one of them is refused
        return f"{self._runtime} refuses this file: {text}"

    def close(self) -> None:
        """End the child and remove its files."""
        self._worker.close()

    def __enter__(self) -> InterpreterProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _check_tables(model: FlatModel) -> None:
    if any(op.name == LOOKUP for op in model.ops):
        msg = (
            f"the file holds look-up tables ({LOOKUP}), which TensorFlow Lite Micro alone runs; give the file that it "
            "was made of, without -tflm in its name"
        )
        raise UnsupportedError(msg)


def signature_of_file(model: FlatModel) -> Signature:
    """Return inputs and outputs of a file, by name; quantized ones count as float32."""
    return Signature(*(tuple(map(_real_spec, side)) for side in (model.inputs, model.outputs)))


def _real_spec(tensor: IOTensor) -> TensorSpec:
    shape = tuple(None if size < 0 else size for size in tensor.shape[1:])
    return TensorSpec(tensor.name, shape, tensor.dtype if tensor.scale is None else "float32")


def _check(inputs: Mapping[str, np.ndarray], model: FlatModel, *, whole: bool) -> int:
    """Return the number of samples."""
    names = [tensor.name for tensor in model.inputs]
    if set(inputs) != set(names):
        msg = f"inputs must be named {', '.join(names)}, got {', '.join(inputs) or 'none'}"
        raise DataError(msg)
    for tensor in model.inputs:
        shape = np.shape(inputs[tensor.name])
        sizes = tensor.shape if whole else tensor.shape[1:]
        fits = len(shape) == len(sizes) + 1 and all(
            size in (-1, given) for size, given in zip(sizes, shape[1:], strict=True)
        )
        if not fits:
            wanted = ", ".join(["samples", *("any" if s < 0 else str(s) for s in sizes)])
            msg = f"input {tensor.name!r} must have the shape ({wanted}), got {shape}"
            raise DataError(msg)
    counts = {name: len(values) for name, values in inputs.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        msg = f"inputs must hold the same number of samples, at least one, got {counts}"
        raise DataError(msg)
    return next(iter(counts.values()))
