"""A target: the frozen value that says what a file must be to run somewhere."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Literal

from tfcompress.errors import nearest
from tfcompress.limits import read_size
from tfcompress.schema import check_fields, check_value

Prover = Literal["litert", "tflm"]

ACCELERATORS = (
    "ethos-u55-32",
    "ethos-u55-64",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65-256",
    "ethos-u65-512",
    "ethos-u85-128",
    "ethos-u85-256",
    "ethos-u85-512",
    "ethos-u85-1024",
    "ethos-u85-2048",
)
"""What Vela compiles for, as its ``--accelerator-config`` calls it."""

SCHEMES: Mapping[Prover, tuple[str, ...]] = MappingProxyType(
    {
        "litert": ("none", "dynamic", "float16", "int8", "int16x8"),
        "tflm": ("none", "int8", "int16x8"),
    }
)
"""Numbers that each prover computes in, as ``--quantize`` calls them."""

WHY_NOT: Mapping[str, str] = MappingProxyType(
    {
        "dynamic": "TFLM's kernels take no int8 weights beside float activations",
        "float16": "TFLM has no kernel that makes float32 of float16 weights",
        "none": "an Ethos-U computes in integers alone, all ops would stay on the CPU",
    }
)
"""Why numbers are not among those of a target, where the reason is always the same."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a file is to run.

    Attributes:
        name: what the user calls it.
        about: one sentence on it.
        runtime: the interpreter that proves files for it: ``litert`` (Linux), ``tflm`` (TensorFlow Lite Micro).
        accelerator: what Vela compiles for, one of :data:`ACCELERATORS`; empty: there is no accelerator.
        flash: the most that the file may take (``1MB``); empty: not limited, as always with ``litert``.
        ram: the most that the tensor arena may take; likewise.
        quantize: the numbers that files for it may have; empty: all those of the runtime.
        ops: the ops that there are, by TFLite's names; empty: all those of the runtime, as always with ``litert``.
        round_to: widths that are multiples of this use the target's kernels whole; 1: any width is as good.
        round_to_source: what says so, as a clause; empty: nobody said.
    """

    name: str = ""
    about: str = ""
    runtime: Prover = "litert"
    accelerator: str = ""
    flash: str = ""
    ram: str = ""
    quantize: tuple[str, ...] = ()
    ops: tuple[str, ...] = ()
    round_to: int = 1
    round_to_source: str = ""

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        check_fields(self, "target")
        for name in ("flash", "ram"):
            text = getattr(self, name)
            try:
                read_size(text or "1")
            except ValueError as error:
                check_value(f"target.{name}", str(error), text, ok=False)
        for name in ("flash", "ram", "ops"):
            given, allowed = getattr(self, name), "left out with runtime 'litert', which measures no such thing"
            check_value(f"target.{name}", allowed, given, ok=self.micro or not given)
        known = SCHEMES[self.runtime]
        allowed = f"among those of runtime {self.runtime!r} ({', '.join(known)})"
        check_value("target.quantize", allowed, self.quantize, ok=set(self.quantize) <= set(known))
        check_value("target.round_to", "at least 1", self.round_to, ok=self.round_to >= 1)
        fits = not self.accelerator or self.accelerator in ACCELERATORS
        check_value("target.accelerator", f"empty or one of {', '.join(ACCELERATORS)}", self.accelerator, ok=fits)
        beside = not self.accelerator or self.runtime == "tflm"
        check_value("target.runtime", "'tflm' with an accelerator", self.runtime, ok=beside)
        if self.ops:  # else TFLM's need not be read, which every command would pay for
            unknown = next((op for op in self.ops if op not in micro_ops()), None)
            allowed = f"names of TFLM's ops{nearest(unknown or '', micro_ops())}"
            check_value("target.ops item", allowed, unknown, ok=unknown is None)

    @property
    def micro(self) -> bool:
        """Whether TensorFlow Lite Micro runs the file there."""
        return self.runtime == "tflm"

    @property
    def schemes(self) -> tuple[str, ...]:
        """The numbers that files for it may have, as ``--quantize`` calls them."""
        return self.quantize or SCHEMES[self.runtime]

    @property
    def flash_bytes(self) -> float | None:
        """The most that the file may take, in bytes; None: not limited."""
        return read_size(self.flash) if self.flash else None

    @property
    def ram_bytes(self) -> float | None:
        """The most that the tensor arena may take, in bytes; None: not limited."""
        return read_size(self.ram) if self.ram else None

    def most_flash_bytes(self, asked: str) -> float | None:
        """Return the most that the file may take where *asked* (a size; empty: any) is a limit besides."""
        return _least(asked, self.flash_bytes)

    def most_arena_bytes(self, asked: str) -> float | None:
        """Return the same for the tensor arena."""
        return _least(asked, self.ram_bytes)

    def why_not(self, quantize: str) -> str:
        """Return why files for it may not have such numbers; empty: they may."""
        if quantize in self.schemes:
            return ""
        known = "" if self.micro and not self.accelerator and quantize == "none" else WHY_NOT.get(quantize, "")
        return known or f"the target's own quantize leaves {quantize!r} out"


def _least(text: str, own: float | None) -> float | None:
    limits = [*([read_size(text)] if text else []), *([own] if own is not None else [])]
    return min(limits, default=None)


_OWN_OPS = ("TFLM_DECODE",)
"""Ops of TensorFlow Lite Micro's own: what unpacks a look-up table."""


@functools.cache
def micro_ops() -> frozenset[str]:
    """Return the ops that TFLM has a kernel for: its own, and those that ``tools/probe_micro_ops.py`` measured."""
    text = (resources.files("tfcompress.targets") / "micro_ops.json").read_text(encoding="utf-8")
    return frozenset((*json.loads(text)["ops"], *_OWN_OPS))
