"""On which runtimes a TFLite file runs: tried where they are installed, concluded from op versions otherwise.

``op_versions.json`` holds the highest version of every op that a runtime's wheel accepts, measured by
``tools/probe_runtimes.py``. What a runtime accepts and then computes wrongly is in :mod:`tfcompress.tflite.trouble`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from typing import Literal, cast, get_args

import numpy as np

from tfcompress.errors import ContractError, TfcompressError, UsageError, nearest
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.interpret import PACKAGES, InterpreterProcess, RuntimeName
from tfcompress.tflite.trouble import Version, known_trouble

TryModel = Callable[[bytes], str]
"""Opens and runs a file; returns why it does not run, or an empty string."""


@dataclass(frozen=True)
class RuntimeVerdict:
    """Whether a file runs on one version of a runtime.

    Attributes:
        runtime: litert, tensorflow or tflite-runtime.
        version: of the runtime's package.
        verdict: ``runs`` and ``refuses`` were tried; ``should run`` and ``should refuse`` follow from op versions.
        how: which of the two.
        reason: why not; mostly empty.
    """

    runtime: str
    version: str
    verdict: Literal["runs", "refuses", "should run", "should refuse"]
    how: Literal["tried", "op versions"]
    reason: str = ""

    @property
    def good(self) -> bool:
        """Whether the file runs there, or should."""
        return self.verdict in ("runs", "should run")


@dataclass(frozen=True)
class Requirement:
    """A runtime that a file must run on, from *version* up; an empty version: the newest one known."""

    runtime: RuntimeName
    version: Version


def parse_requirement(text: str) -> Requirement:
    """Read a requirement such as ``litert>=2.1`` or ``tensorflow``.

    Raises:
        UsageError: an unknown runtime, or something that is no version, or one older than all that were measured.
    """
    found = re.fullmatch(r"\s*([a-z_-]+)\s*(?:>=\s*(\d+(?:\.\d+)*)\s*)?", text)
    name = found[1].replace("_", "-") if found else text
    known = get_args(RuntimeName)
    if found is None or name not in known:
        allowed = ", ".join(f"'{runtime}>=VERSION'" for runtime in known)
        msg = f"runtime must be one of {allowed}, got {text!r}{nearest(name.partition('>')[0], known)}"
        raise UsageError(msg)
    runtime = cast("RuntimeName", name)
    wanted = _version(found[2]) if found[2] else ()
    measured = sorted(map(_version, measured_table()[runtime]))
    if wanted and wanted < measured[0][: len(wanted)]:
        oldest = ".".join(map(str, measured[0]))
        msg = f"runtime {text!r} must ask for at least {oldest}, the oldest {runtime} that was measured"
        raise UsageError(msg)
    return Requirement(runtime, wanted)


def where_it_runs(model: bytes, *, trials: Mapping[RuntimeName, TryModel] | None = None) -> tuple[RuntimeVerdict, ...]:
    """Find out where a file runs.

    Args:
        model: the file.
        trials: how to try a runtime, instead of opening the file in a process of its own.

    Returns:
        One verdict for each runtime installed, and one for each other version that was measured.
    """
    flat, verdicts = read_model_file(model), []
    for runtime in get_args(RuntimeName):
        installed = _installed(runtime)
        if installed is not None:
            trial = (trials or {}).get(runtime) or functools.partial(_try, runtime)
            verdicts.append(_tried(flat, runtime, installed, trial(model)))
        for version in sorted(measured_table()[runtime], key=_version, reverse=True):
            if version != installed:
                reason = _by_table(flat, runtime, version)
                verdict: Literal["should run", "should refuse"] = "should refuse" if reason else "should run"
                verdicts.append(RuntimeVerdict(runtime, version, verdict, "op versions", reason))
    return tuple(verdicts)


def _tried(flat: FlatModel, runtime: RuntimeName, version: str, refusal: str) -> RuntimeVerdict:
    if refusal:
        return RuntimeVerdict(runtime, version, "refuses", "tried", refusal)
    trouble = known_trouble(flat, runtime, _version(version))
    if trouble:  # it runs, and computes something else
        return RuntimeVerdict(runtime, version, "should refuse", "op versions", trouble)
    return RuntimeVerdict(runtime, version, "runs", "tried")


def check_runtimes(verdicts: Iterable[RuntimeVerdict], wanted: Iterable[str]) -> None:
    """Check that the file runs on every runtime in *wanted*.

    ``NAME>=VERSION`` asks for each known version from that one up; where VERSION itself is not known, the next older
    one stands for it. A name alone asks for its newest known version.

    Raises:
        ContractError: naming the runtime and its reason.
        UsageError: *wanted* is not understood.
    """
    listed = list(verdicts)
    for text in wanted:
        requirement = parse_requirement(text)
        for verdict in _asked(listed, requirement):
            if not verdict.good:
                told = "" if verdict.how == "tried" else ", by its op versions,"
                where = f"{verdict.runtime} {verdict.version}{told}"
                msg = f"the file must run on {text}, but {where} refuses it: {verdict.reason}; quantize otherwise"
                raise ContractError(msg)


def _asked(verdicts: list[RuntimeVerdict], requirement: Requirement) -> list[RuntimeVerdict]:
    of_runtime = sorted((v for v in verdicts if v.runtime == requirement.runtime), key=lambda v: _version(v.version))
    if not requirement.version:
        return of_runtime[-1:]
    older = [v for v in of_runtime if _version(v.version)[: len(requirement.version)] < requirement.version]
    newer = of_runtime[len(older) :]
    exact = newer and _version(newer[0].version)[: len(requirement.version)] == requirement.version
    return newer if exact else older[-1:] + newer


def _version(text: str) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


@functools.cache
def measured_table() -> dict[str, dict[str, dict[str, int]]]:
    """Return the measured table: runtime -> version -> op -> highest version of the op."""
    text = (resources.files("tfcompress.tflite") / "op_versions.json").read_text(encoding="utf-8")
    return {name: {v: row["ops"] for v, row in rows.items()} for name, rows in json.loads(text)["runtimes"].items()}


def _installed(runtime: RuntimeName) -> str | None:
    try:
        return metadata.version(PACKAGES[runtime])
    except metadata.PackageNotFoundError:
        return None


def installed_version(runtime: RuntimeName) -> Version | None:
    """Return the version of a runtime that is installed here; None: it is not."""
    text = _installed(runtime)
    return None if text is None else _version(text)


def refusal_by_table(flat: FlatModel, runtime: RuntimeName) -> str:
    """Return why the newest measured version of a runtime should refuse a file; empty: it should run it."""
    newest = max(measured_table()[runtime], key=_version)
    reason = _by_table(flat, runtime, newest)
    return f"{runtime} {newest} refuses it: {reason}" if reason else ""


def _by_table(flat: FlatModel, runtime: RuntimeName, version: str) -> str:
    accepted = measured_table()[runtime][version]
    missing = dict.fromkeys(
        f"{op.name} version {op.version}" for op in flat.ops if not op.custom and accepted.get(op.name, 0) < op.version
    )
    if missing:
        return f"it has no {', '.join(missing)}"
    flex = {op.name for op in flat.ops if op.flex}
    if flex and runtime != "tensorflow":
        return f"it has no {', '.join(sorted(flex))}"
    return known_trouble(flat, runtime, _version(version))


def _try(runtime: RuntimeName, model: bytes) -> str:
    """Open and run a file once, on zeros."""
    try:
        with InterpreterProcess(model, runtime=runtime, workers=1) as interpreter:
            inputs = {tensor.name: np.zeros(tensor.example_shape) for tensor in interpreter.model.inputs}
            outputs = interpreter.run(inputs)
    except TfcompressError as error:
        return str(error)
    broken = [name for name, values in outputs.items() if not np.isfinite(values).all()]
    return f"output {', '.join(broken)} is not finite" if broken else ""
