"""A draft of a model's file held against a target: ops that it lacks, where it would run them, and its limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from tfcompress.diagnosis.file_layers import file_layers
from tfcompress.errors import TfcompressError
from tfcompress.reports.checkup_facts import TargetCheck
from tfcompress.reports.remark import Gravity, Remark
from tfcompress.targets.installed import EXTRA
from tfcompress.targets.target import Target, micro_ops
from tfcompress.tflite.contract import float_ops
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.micro.arena import planned_arena_bytes, widest_op
from tfcompress.tflite.micro.least_arena import least_arena_bytes
from tfcompress.tflite.micro.op_places import OpPlaces, layer_named
from tfcompress.tflite.micro.process import MicroProcess, check_extents
from tfcompress.tflite.micro.proof import op_places_of
from tfcompress.tflite.micro.vela import compile_for
from tfcompress.tflite.weights import facts

_SMALLER = "take channels away (--channels), or choose another target"
_SHOWN = 5
_INTEGERS = ("int8", "int16x8")


@dataclass(frozen=True)
class TargetDraft:
    """A file of the model as it would be for the target, made only to be looked at.

    Attributes:
        content: the file, with the names of its tensors.
        size_bytes: that it has once it is packed.
        quantize: its numbers, as ``--quantize`` calls them.
        inputs: samples that it may be run on, arrays of shape (samples, *shape) by input name.
        refusal: why there is none of the numbers that were wanted; empty: these are they.
    """

    content: bytes
    size_bytes: int
    quantize: str
    inputs: Mapping[str, np.ndarray]
    refusal: str = ""


def check_on_target(target: Target, draft: TargetDraft, model: Any) -> tuple[TargetCheck, list[Remark]]:
    """Find out what a target would make of a model.

    Where TensorFlow Lite Micro and Vela are installed, they are asked; else memory is planned from the file, and what
    kernels take while they run is not in it.

    Args:
        target: where the file is to run.
        draft: the file.
        model: the Keras model that it was made of.
    """
    rows = file_layers(draft.content, facts(read_model_file(draft.content).subgraphs), model, draft.inputs).rows
    owners = {place: row.name for row in rows for place in row.places}
    return _Look(target, draft, op_places_of(draft.content, model), owners).result()


class _Look:
    """One draft on one target."""

    def __init__(self, target: Target, draft: TargetDraft, places: OpPlaces, owners: Mapping[int, str]) -> None:
        self._target, self._draft, self._places, self._owners = target, draft, places, owners
        self._remarks: list[Remark] = []
        self._check = TargetCheck(
            name=target.name,
            quantize=draft.quantize,
            schemes=target.schemes,
            file_bytes=draft.size_bytes,
            most_file_bytes=target.flash_bytes,
            most_arena_bytes=target.ram_bytes,
        )

    @property
    def _flat(self) -> FlatModel:
        return self._places.flat

    def result(self) -> tuple[TargetCheck, list[Remark]]:
        """Look at everything."""
        if self._draft.refusal:
            self._say("fault", "file", self._draft.refusal)
        lacking = self._lacking()
        self._remarks += lacking
        self._remarks += self._in_float()
        if self._target.micro:
            self._memory(runs=not lacking)
        self._remarks += self._beyond()
        return self._check, self._remarks

    def _say(self, gravity: Gravity, where: str, what: str, remedy: str = "") -> None:
        self._remarks.append(Remark(gravity, where, what, remedy))

    def _lacking(self) -> list[Remark]:
        """Name the ops without a kernel, a remark a layer."""
        if not self._target.micro:
            return []
        known = micro_ops() & set(self._target.ops or micro_ops())
        found: dict[str, list[str]] = {}
        for name in (name for name in self._flat.op_counts if name not in known):
            for where in self._wheres(name):
                found.setdefault(where, []).append(name)
        return [
            Remark(
                "fault",
                where,
                f"it becomes {', '.join(names)} in the file, and target {self._target.name!r} has no kernel for "
                f"{'that' if len(names) == 1 else 'these'}",
                "replace the layer, or choose another --target",
            )
            for where, names in found.items()
        ]

    def _wheres(self, op: str) -> list[str]:
        ops = self._flat.subgraphs[0].ops
        return list(dict.fromkeys(self._where(n) for n, each in enumerate(ops) if each.name == op)) or ["file"]

    def _where(self, number: int) -> str:
        name = self._places.tensor_name(number)
        return self._owners.get(number) or layer_named(name, self._places.layers) or name or f"op {number}"

    def _in_float(self) -> Iterator[Remark]:
        """Name the ops that stay in float in a file of integers, where the target computes no float."""
        if self._draft.quantize not in _INTEGERS or "none" in self._target.schemes:
            return
        for op in float_ops(self._flat):
            where = layer_named(op.tensor, self._places.layers) or op.tensor
            yield Remark(
                "fault",
                where,
                f"{op.op} stays in float, and target {self._target.name!r} computes {', '.join(self._target.schemes)}",
                "replace the layer, or choose another --target",
            )

    def _memory(self, *, runs: bool) -> None:
        """Find out how much memory the file takes there, and what its accelerator leaves to the CPU."""
        try:
            check_extents(self._flat)
        except TfcompressError as refusal:
            self._say("fault", "file", str(refusal))
            return
        self._set_arena(planned_arena_bytes(self._draft.content), "planned")
        asks_vela = bool(self._target.accelerator) and find_spec("ethosu") is not None
        asks_micro = find_spec("tflite_micro") is not None
        if runs and asks_micro:
            self._run()
        if asks_vela and self._draft.quantize in _INTEGERS:
            self._compile()
        if not asks_micro or (self._target.accelerator and not asks_vela):
            what = "memory is planned from the file, without what kernels need while they run, and nothing ran there"
            self._say("note", "target", what, EXTRA)

    def _set_arena(self, size_bytes: int, by: str) -> None:
        self._check = dataclasses.replace(self._check, arena_bytes=size_bytes, arena_by=by)

    def _run(self) -> None:
        try:
            with MicroProcess(self._draft.content, places=self._places) as process:
                kept = process.arena.total_bytes
            self._set_arena(least_arena_bytes(self._draft.content, kept), "TensorFlow Lite Micro")
        except TfcompressError as refusal:
            self._say("fault", "file", str(refusal))

    def _compile(self) -> None:
        try:
            compiled = compile_for(self._draft.content, self._target.accelerator, self._places)
        except TfcompressError as refusal:
            self._say("fault", "file", str(refusal))
            return
        estimate = compiled.estimate
        self._set_arena(estimate.sram_bytes, "Vela")
        self._check = dataclasses.replace(self._check, file_bytes=estimate.file_bytes)
        places: dict[tuple[str, str, str], list[str]] = {}
        for fallen in estimate.cpu_ops:
            kind = (fallen.op, fallen.reason, fallen.rewrite)
            places.setdefault(kind, []).append(fallen.where.removeprefix(f"{fallen.op} at "))
        for (op, reason, rewrite), found in places.items():
            shown = ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
            what = f"the accelerator leaves it to the CPU at {shown}{f': {reason}' if reason else ''}"
            self._say("risk", op, what, rewrite or "replace the layer")

    def _beyond(self) -> Iterator[Remark]:
        """Say which limits the draft would not keep."""
        check = self._check
        if check.most_file_bytes is not None and check.file_bytes > check.most_file_bytes:
            what = f"a file of {check.file_bytes:,} bytes, and the target has {check.most_file_bytes:,.0f} for it"
            yield Remark("fault", "flash", what, _SMALLER)
        taken, most = check.arena_bytes, check.most_arena_bytes
        if taken is not None and most is not None and taken > most:
            where = self._where(widest_op(self._draft.content))
            what = f"tensors take {taken:,} bytes, most of them at {where}, and the target has {most:,.0f} for them"
            yield Remark("fault", "ram", what, _SMALLER)
