"""Vela: a file compiled for an Ethos-U, and what the compiler estimates of it. Nothing here is measured."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfcompress.errors import ContractError, MissingDependencyError
from tfcompress.targets.installed import EXTRA
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.interpret import LOOKUP
from tfcompress.tflite.micro.npu_rewrites import npu_rewrite
from tfcompress.tflite.micro.op_places import NPU_OP, OpPlaces
from tfcompress.tflite.micro.record import FallenBack, NpuEstimate
from tfcompress.tflite.tree import Node, Text, parse_tree
from tfcompress.tflite.tree_writer import write_tree
from tfcompress.worker import Worker, WorkerAnswerError, WorkerDiedError, WorkerTimeoutError

_CHILD = "tfcompress.tflite.micro.compiler"
_SECONDS = 600.0
_REASON = re.compile(r"operator: \w+, ofm: '(?P<name>[^']*)'\s*\nReason: (?P<reason>[^\n]*)")
_OURS = re.compile(r" \(op\d+\w*\)$")
_COUNTS = re.compile(r"(CPU|NPU) operators = (\d+)")
_KIB = 1024
_FEW_BITS = ("int4", "int2")


@dataclass(frozen=True)
class Compiled:
    """A compiled file.

    Attributes:
        content: the file, for the chip and no other: its NPU op is no op of TensorFlow Lite.
        estimate: what Vela says of it.
    """

    content: bytes
    estimate: NpuEstimate


def compile_for(content: bytes, accelerator: str, places: OpPlaces | None = None) -> Compiled:
    """Compile a file, in a child process.

    Args:
        content: an int8 or int16x8 file.
        accelerator: as Vela's ``--accelerator-config`` calls it.
        places: what ops are called in the estimate; None: by the names in the file.

    Raises:
        ContractError: Vela refuses the file, dies on it, or finds no end.
        MissingDependencyError: it is not installed.
        ModelError: not a TFLite file.
        UnsupportedError: a file that holds what this version does not know.
    """
    places = places or OpPlaces(read_model_file(content))
    if NPU_OP in places.flat.op_counts:
        msg = "this file was compiled for an Ethos-U already; give the file that Vela was given"
        raise ContractError(msg)
    if LOOKUP in places.flat.op_counts:
        msg = f"Vela does not know look-up tables ({LOOKUP}); give the file that this one was made of"
        raise ContractError(msg)
    _check_bits(places.flat)
    named, numbers = _numbered(content)
    with Worker(_CHILD) as worker:
        source, folder = worker.folder / "model.tflite", worker.folder / "compiled"
        source.write_bytes(named)
        request = {"source": str(source), "accelerator": accelerator, "folder": str(folder)}
        try:
            answer = worker.ask(request, _SECONDS)
        except WorkerAnswerError as refusal:
            raise _error(refusal) from refusal
        except (WorkerDiedError, WorkerTimeoutError) as death:
            why = f"died by {death.reason}" if isinstance(death, WorkerDiedError) else f"took more than {_SECONDS:g} s"
            msg = f"Vela {why} on this file; choose another --target, or another --quantize"
            raise ContractError(msg) from death
        compiled = next(folder.glob("*_vela.tflite")).read_bytes()
        row = _summary(next(folder.glob("*_summary_*.csv")))
    estimate = _estimate(row, answer["text"], answer["version"], compiled, _Fallen(places, numbers, answer["text"]))
    return Compiled(compiled, estimate)


def _check_bits(flat: FlatModel) -> None:
    """Refuse weights that no Ethos-U computes with, on which Vela 5.2 dies by a signal."""
    few = sum(tensor.dtype in _FEW_BITS for graph in flat.subgraphs for tensor in graph.tensors)
    if few:
        what = "1 tensor has fewer" if few == 1 else f"{few} tensors have fewer"
        msg = f"an Ethos-U computes with weights of 8 bits, and {what} in this file; make it with weights of 8 bits"
        raise ContractError(msg)


def _error(refusal: WorkerAnswerError) -> ContractError | MissingDependencyError:
    if refusal.not_installed:
        return MissingDependencyError(f"Vela cannot be imported: {refusal.text}; {EXTRA}")
    lines = [line for line in refusal.text.splitlines() if line.strip() and not line.startswith("Warning: No ")]
    return ContractError(f"Vela refuses this file: {' '.join(lines[-3:])[:400]}")


def _numbered(content: bytes) -> tuple[bytes, dict[str, int]]:
    """Return the file with a name for the first output of each op of the main graph, and the ops by these names.

    Slimmed files have no names inside, and Vela names what it leaves to the CPU by them. Inputs and outputs keep
    theirs.
    """
    model = parse_tree(content)
    graphs = model.nodes("subgraphs")
    main = graphs[0]
    ends = {*main.numbers("inputs"), *main.numbers("outputs")}
    tensors, numbers = list(main.nodes("tensors")), dict[str, int]()
    for number, op in enumerate(main.nodes("operators")):
        first = next(iter(op.numbers("outputs")), -1)
        if first < 0:
            continue
        if first not in ends:
            tensors[first] = _renamed(tensors[first], f"op{number}")
        numbers[tensors[first].text("name")] = number
    return write_tree(model.having(subgraphs=(main.having(tensors=tuple(tensors)), *graphs[1:]))), numbers


def _renamed(tensor: Node, name: str) -> Node:
    return tensor.having(name=Text(name.encode()))


@dataclass(frozen=True)
class _Fallen:
    """Finds the ops that stay on the CPU, and why.

    Attributes:
        places: what ops are called.
        numbers: ops of the file that was compiled, by the name of their first output.
        text: that Vela printed.
    """

    places: OpPlaces
    numbers: Mapping[str, int]
    text: str

    def of(self, compiled: bytes) -> Iterator[FallenBack]:
        """Give the ops of the compiled file that are not the NPU's."""
        reasons = {found["name"]: _OURS.sub("", found["reason"].strip()) for found in _REASON.finditer(self.text)}
        graph = read_model_file(compiled).subgraphs[0]
        for op in graph.ops:
            if op.name == NPU_OP:
                continue
            given = (*op.outputs, *op.inputs)  # what only stores gives nothing, what runs a subgraph takes nothing
            name = graph.tensors[given[0]].name if given else ""
            number = self.numbers.get(name)
            unknown = f"{op.name} at {name!r}" if name else op.name
            where = unknown if number is None else self.places.of(number)
            constants = {place for place, n in enumerate(op.inputs) if n >= 0 and len(graph.tensors[n].data)}
            reason = reasons.get(name, "")
            yield FallenBack(op.name, where, reason, npu_rewrite(op.name, reason, constants))


def _summary(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as stream:
        return next(csv.DictReader(stream))


def _estimate(row: Mapping[str, str], text: str, version: str, compiled: bytes, fallen: _Fallen) -> NpuEstimate:
    def size(column: str) -> int:
        return round(float(row[column]) * _KIB)

    counts = {kind: int(count) for kind, count in _COUNTS.findall(text)}
    return NpuEstimate(
        accelerator=row["accelerator_configuration"].lower().replace("_", "-"),
        version=version,
        system_config=row["system_config"],
        memory_mode=row["memory_mode"],
        clock_hz=float(row["core_clock"]),
        sram_bytes=size("sram_memory_used"),
        dram_bytes=size("dram_memory_used"),
        flash_bytes=size("on_chip_flash_memory_used") + size("off_chip_flash_memory_used"),
        file_bytes=len(compiled),
        cycles=round(float(row["cycles_total"])),
        npu_cycles=round(float(row["cycles_npu"])),
        inference_ms=1e3 * float(row["inference_time"]),
        npu_ops=counts.get("NPU", 0),
        cpu_ops=tuple(fallen.of(compiled)),
    )
