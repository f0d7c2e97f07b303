"""A TFLite file against the float model, tensor by tensor: where it goes wrong, by how much, and for which samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.diagnosis.debug_remarks import remarks
from tfcompress.diagnosis.kernel_faults import (
    LEAST_DB,
    KernelDifference,
    bisect_ops,
    op_differences,
    outputs_db,
    runner,
)
from tfcompress.diagnosis.layer_values import LayerValue, layer_values
from tfcompress.diagnosis.tensor_match import FileValue, Match, match_tensors
from tfcompress.diagnosis.tensor_statistics import TensorStatistics
from tfcompress.errors import DataError, UsageError
from tfcompress.models.samples import by_input_name
from tfcompress.models.signature import signature_of
from tfcompress.progress import SILENT, Progress
from tfcompress.reports.debug_facts import DebugFacts, SampleRow, TensorRow
from tfcompress.reports.remark import Remark
from tfcompress.tflite.agreement import CAP_DB
from tfcompress.tflite.interpret import InterpreterProcess, RuntimeName
from tfcompress.tflite.pack import data_free_note
from tfcompress.tflite.slices import Slicer
from tfcompress.tflite.tensors import StoredTensor
from tfcompress.tflite.weights import kernel_sizes

WORST = 5
"""Samples that are named."""
_MATCHED = 4
"""Runs on whose values layers are found."""
_COMPARED = 8
"""Runs on which kernels are compared."""
_MOST_BYTES = 128 << 20
"""Of all tensors of the runs that are held at a time."""
EIGHT_BITS_DB = 50.0
"""What 8 bits carry of a sine at its largest, 6.02 * 8 + 1.76: less than that is no loss of an op's own."""
CHILD = "tfcompress.tflite.interpreter_child"
"""Module that serves the interpreter."""


@dataclass(frozen=True)
class DebugSubject:
    """What is debugged.

    Attributes:
        content: the file.
        model: the float model, a Keras 3 one.
        inputs: samples by the model's input names, arrays of shape (samples, *shape).
        file, model_name, data: what they are called.
        runtime: the interpreter.
    """

    content: bytes
    model: Any
    inputs: Mapping[str, np.ndarray]
    file: str = "file"
    model_name: str = "model"
    data: str = "data"
    runtime: RuntimeName = "litert"


def debug_file(subject: DebugSubject, progress: Progress = SILENT) -> DebugFacts:
    """Compare a file with the model that it was made from.

    Every tensor is read under the reference kernels; XNNPACK is compared with those, op by op.

    Raises:
        ModelError: the file is malformed.
        UnsupportedError: it holds what this version cannot cut apart.
        UsageError: file and model do not take the same inputs.
        DataError: too few samples for the batch of the file.
        ContractError: the runtime refuses the file.
    """
    return _Debugging(subject, progress).facts()


class _Debugging:
    """One file under debugging."""

    def __init__(self, subject: DebugSubject, progress: Progress) -> None:
        self._subject, self._progress = subject, progress
        self._slicer = Slicer(subject.content)
        self._graph = self._slicer.model.subgraphs[0]
        self._batch = _batch_of(self._slicer)
        _check_inputs(self._slicer, subject)
        self._inputs = self._runs()
        self._statistics = {n: TensorStatistics(self._graph.tensors[n]) for n in self._shown}
        self._matches: dict[int, Match] = {}
        self._layers: list[LayerValue] = []  # of the last chunk
        self._first: list[LayerValue] = []  # of the first
        self._errors: list[np.ndarray] = []
        self._tops: list[np.ndarray] = []
        self._kept: dict[int, np.ndarray] = {}
        self._kernels = kernel_sizes(self._graph)
        self._differences: dict[int, KernelDifference] = {}
        self._fast: dict[int, np.ndarray] = {}  # XNNPACK's values where they are otherwise than the reference kernels'
        self._run = runner(subject.runtime, CHILD)

    @property
    def _shown(self) -> tuple[int, ...]:
        """Numbers of the tensors that get a row: inputs, then what ops compute."""
        return (*self._graph.inputs, *(n for n in self._slicer.readable if n not in self._graph.inputs))

    def _runs(self) -> dict[str, np.ndarray]:
        """Return the inputs with an axis of runs before that of the file's batch."""
        count = len(next(iter(self._subject.inputs.values()))) // self._batch
        if not count:
            msg = f"the file takes {self._batch} samples at a time, and the data holds fewer; give more"
            raise DataError(msg)
        return {
            name: np.asarray(values[: count * self._batch]).reshape(count, self._batch, *values.shape[1:])
            for name, values in self._subject.inputs.items()
        }

    @property
    def _count(self) -> int:
        return len(next(iter(self._inputs.values()))) * self._batch

    def facts(self) -> DebugFacts:
        """Measure, and put together what was found."""
        version = self._read_all()
        whole_db, culprit = self._compare_outputs()
        rows = self._with_losses(self._rows())
        worst = self._worst()
        subject = self._subject
        facts = DebugFacts(
            file=subject.file,
            model=subject.model_name,
            data=subject.data,
            samples=self._count,
            runtime=f"{subject.runtime} {version}",
            outputs_db=whole_db,
            culprit=culprit,
            rows=tuple(rows),
            worst=worst,
            remarks=(),
        )
        return dataclasses.replace(facts, remarks=(*remarks(facts), *_without_samples(self._subject.content)))

    def _read_all(self) -> str:
        """Run both on all samples; return the runtime's version."""
        part = self._slicer.whole()
        with InterpreterProcess(
            part.content,
            runtime=self._subject.runtime,
            reference_kernels=True,
            whole=True,
            workers=1,
            child=CHILD,
        ) as interpreter:
            version = interpreter.opened()
            chunks = list(self._chunks())
            with self._progress.task("comparing tensors", len(chunks)) as task:
                for chunk in chunks:
                    given = {n: self._inputs[name][chunk] for name, n in self._io("inputs").items()}
                    outputs = interpreter.run({name: given[number] for name, number in part.inputs.items()})
                    self._take_in({**given, **{n: outputs[name] for name, n in part.outputs.items()}}, chunk)
                    task.advance()
        return version

    def _io(self, side: str) -> dict[str, int]:
        return {tensor.name: tensor.index for tensor in getattr(self._slicer.model, side)}

    def _chunks(self) -> Iterator[slice]:
        """Cut the runs so that all tensors of some of them fit into memory."""
        total = len(next(iter(self._inputs.values())))
        elements = sum(self._graph.tensors[number].elements for number in self._shown)
        step = max(1, min(64, _MOST_BYTES // (4 * max(1, elements))))
        return (slice(start, start + step) for start in range(0, total, step))

    def _take_in(self, values: dict[int, np.ndarray], chunk: slice) -> None:
        inputs = {name: runs[chunk].reshape(-1, *runs.shape[2:]) for name, runs in self._inputs.items()}
        self._layers = layer_values(self._subject.model, inputs)
        stored = {n: _on_grid(v, self._graph.tensors[n]) if n in self._graph.inputs else v for n, v in values.items()}
        if not self._kept:
            self._first = self._layers
            self._kept = {number: array[:_COMPARED] for number, array in stored.items()}
            self._differences, self._fast = op_differences(self._slicer, self._kept, self._run)
            self._matches = self._found(stored)
        for number in self._shown:
            self._statistics[number].add(stored[number], self._float_of(number, values))
        self._compare_samples(values)

    def _found(self, values: Mapping[int, np.ndarray]) -> dict[int, Match]:
        count = min(_MATCHED, len(next(iter(values.values()))))
        layers = [dataclasses.replace(v, values=v.values[: count * self._batch]) for v in self._layers]
        numbers = [n for n in self._slicer.readable if self._graph.tensors[n].dtype != "bool"]
        found, other = (
            match_tensors([self._file_value(n, {**values, **more}[n][:count]) for n in numbers], layers)
            for more in ({}, self._fast)
        )
        spoilt = {n: other[n] for n in self._fast if n in other and (n not in found or found[n].how == "place")}
        return {**found, **spoilt}

    def _file_value(self, number: int, values: np.ndarray) -> FileValue:
        op = self._graph.ops[self._slicer.made[number]]
        outputs = {number: name for name, number in self._io("outputs").items()}
        kernel = self._kernels.get(self._slicer.made[number], 0)
        return FileValue(number, self._graph.tensors[number].name, values, op.name, outputs.get(number, ""), kernel)

    def _float_of(self, number: int, given: Mapping[int, np.ndarray]) -> np.ndarray | None:
        """Return what the float model has in the place of a tensor; None: nothing is known."""
        if number in self._graph.inputs:
            return given[number]
        match = self._matches.get(number)
        return None if match is None else self._layers[match.place].values

    def _compare_samples(self, values: Mapping[int, np.ndarray]) -> None:
        errors, tops = [], []
        for number in self._graph.outputs:
            layer = self._float_of(number, values)
            if layer is None or layer.dtype.kind != "f":
                continue
            rows = layer.reshape(len(layer), -1).astype(np.float64)
            other = values[number].reshape(rows.shape)
            spread = float(np.sqrt(np.mean(rows.var(axis=0)))) or 1.0
            errors.append(np.nan_to_num(np.sqrt(np.mean((rows - other) ** 2, axis=1)) / spread, nan=np.inf))
            if layer.ndim == 2 and layer.shape[1] > 1:
                tops.append(rows.argmax(1) == other.argmax(1))
        if errors:
            self._errors.append(np.max(errors, axis=0))
        if tops:
            self._tops.append(np.min(tops, axis=0))

    def _compare_outputs(self) -> tuple[float, int | None]:
        with self._progress.task("comparing kernels"):
            whole_db = outputs_db(self._slicer, self._kept, self._run)
            if whole_db >= LEAST_DB and not self._fast:
                return whole_db, None
            return whole_db, bisect_ops(self._slicer, self._kept, self._run, whole_db)

    def _right_kernel(self, number: int) -> str:
        """Say which of two kernels that differ is near the float model; empty: not known."""
        if number not in self._fast or number not in self._matches:
            return ""
        fast, plain = self._fast[number], self._kept[number]
        layer = self._first[self._matches[number].place].values[: len(fast) * self._batch].reshape(fast.shape)
        errors = [
            float(np.nan_to_num(np.mean((values - layer.astype(np.float64)) ** 2), nan=np.inf))
            for values in (fast, plain)
        ]
        if max(errors) < 4 * min(errors) or errors[0] == errors[1]:
            return ""
        return "XNNPACK" if errors[0] < errors[1] else "reference"

    def _rows(self) -> Iterator[TensorRow]:
        for number in self._shown:
            tensor, told = self._graph.tensors[number], self._statistics[number]
            match, kernel = self._matches.get(number), self._differences.get(number)
            place = self._slicer.made.get(number)
            yield TensorRow(
                number=number,
                op="input" if place is None else self._graph.ops[place].name,
                layer=self._layers[match.place].path if match else self._input_name(number),
                how=match.how if match else "",
                dtype=tensor.dtype,
                shape=tensor.shape,
                snr_db=told.snr_db,
                used=told.used,
                clipped=told.clipped,
                distinct=told.distinct,
                grid=told.grid,
                reached=told.reached,
                kernel_steps=kernel.steps if kernel else None,
                kernel_db=kernel.ratio_db if kernel else None,
                right_kernel=self._right_kernel(number),
            )

    def _input_name(self, number: int) -> str:
        return next((name for name, index in self._io("inputs").items() if index == number), "")

    def _with_losses(self, rows: Iterator[TensorRow]) -> Iterator[TensorRow]:
        known: dict[int, float] = {}
        for row in rows:
            place = self._slicer.made.get(row.number)
            before = [] if place is None else [known[n] for n in self._graph.ops[place].inputs if n in known]
            most = EIGHT_BITS_DB if row.dtype in ("int8", "uint8") else CAP_DB
            loss = min(*before, most) - row.snr_db if before and row.snr_db is not None else None
            if row.snr_db is not None:
                known[row.number] = row.snr_db
            elif before:
                known[row.number] = min(before)
            yield dataclasses.replace(row, loss_db=loss)

    def _worst(self) -> tuple[SampleRow, ...]:
        if not self._errors:
            return ()
        errors = np.concatenate(self._errors)
        tops = np.concatenate(self._tops) if self._tops else None
        order = np.argsort(-errors, kind="stable")[:WORST]
        return tuple(SampleRow(int(n), float(errors[n]), None if tops is None else bool(tops[n])) for n in order)


def _batch_of(slicer: Slicer) -> int:
    shape = slicer.model.inputs[0].shape
    return max(1, shape[0]) if shape else 1


def _check_inputs(slicer: Slicer, subject: DebugSubject) -> None:
    """Refuse a file and a model that are not fed alike, and samples that do not fit."""
    specs = signature_of(subject.model).inputs
    file, model = [t.name for t in slicer.model.inputs], [spec.name for spec in specs]
    if sorted(file) != sorted(model):
        msg = (
            f"{subject.file} must be made from {subject.model_name}: it takes {', '.join(file)}, the model "
            f"{', '.join(model)}; give the model that it was exported from"
        )
        raise UsageError(msg)
    by_input_name(subject.inputs, specs)


def _on_grid(values: np.ndarray, tensor: StoredTensor) -> np.ndarray:
    """Return what a quantized input holds of the values it is given."""
    if len(tensor.scales) != 1 or not np.issubdtype(np.dtype(tensor.dtype), np.integer):
        return values
    limits = np.iinfo(tensor.dtype)
    step, zero = np.float32(tensor.scales[0]), tensor.zero_points[0]
    stored = np.clip(np.rint(values.astype(np.float32) / step) + zero, limits.min, limits.max)
    real: np.ndarray = ((stored - zero) * step).astype(np.float32)
    return real


def _without_samples(content: bytes) -> Iterator[Remark]:
    """Say that the ranges of a file saw no sample."""
    if told := data_free_note(content):
        yield Remark("note", "ranges", told, "a few unlabelled samples as --data of export would measure them")
