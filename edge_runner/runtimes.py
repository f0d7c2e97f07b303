"""Which interpreters there are on this machine, whether they really work, and what to install when they don't.

An installed ``tflite_runtime`` beside numpy 2 imports without an error and then fails on the first model, so a runtime
counts as usable only after it has opened a small model, in a process of its own.
"""

from __future__ import annotations

import platform
import struct
import sys
from dataclasses import dataclass
from importlib import metadata, util

ORDER = ("litert", "tflite-runtime", "tensorflow")
MODULES = {"litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime", "tensorflow": "tensorflow"}
_DISTRIBUTIONS = {
    "litert": ("ai-edge-litert", "ai-edge-litert-nightly"),
    "tflite-runtime": ("tflite-runtime", "tflite-runtime-nightly"),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-aarch64"),
}
SMALLEST_MODEL = bytes.fromhex(
    "1800000054464c3300000e00140010000c000800000004000e00000010000000200000001800000003000000010000000800000004000400"
    "040000000000000001000000100000000c00140010000c00080004000c00000010000000100000000c000000100000000000000001000000"
    "0000000001000000100000000c000c0008000000000004000c000000080000000c00000001000000780000000100000001000000"
)
"""A model without ops whose output is its input, one float: version 3, one subgraph, one tensor ``x``."""


@dataclass(frozen=True)
class Found:
    """One runtime on this machine.

    Attributes:
        name: as in ``--runtime``.
        version: of its package; None when that is not known.
        problem: why it cannot be used; empty when it works.
        mend: what to do about it; empty when it works.
    """

    name: str
    version: str | None
    problem: str = ""
    mend: str = ""


def version(name: str) -> str | None:
    """Return the version of the package that provides the runtime *name*, or None."""
    for distribution in _DISTRIBUTIONS[name]:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def installed(name: str) -> bool:
    """Say whether there is a module of that runtime to import, without importing it."""
    return util.find_spec(MODULES[name]) is not None


def explain(name: str, error: str) -> Found:
    """Turn the error with which a runtime failed on the smallest model into a problem and its mend."""
    found, numpy = version(name), numpy_version()
    if name == "tflite-runtime" and numpy is not None and int(numpy.split(".")[0]) >= 2:
        problem = f"tflite-runtime {found or ''} was built for numpy 1 and cannot work with numpy {numpy}".replace(
            "  ", " "
        )
        return Found(name, found, problem, f'{sys.executable} -m pip install "numpy<2"')
    if numpy is None:
        return Found(name, found, "numpy is not installed", f"{sys.executable} -m pip install numpy")
    return Found(name, found, f"{name} {found or ''} does not start: {error}", advice())


def advice() -> str:
    """Return the pip line (or the sentence) that gives this Python on this architecture an interpreter."""
    packages = wheel(sys.version_info[:2], platform.machine(), struct.calcsize("P") * 8)
    if packages:
        return f"{sys.executable} -m pip install {packages}"
    here = f"Python {sys.version_info[0]}.{sys.version_info[1]} on {platform.machine()}"
    return (
        f"no interpreter is published for {here}; use a 64-bit system with Python 3.10 to 3.14 (ai-edge-litert), "
        "or Python 3.11 on a 32-bit one (tflite-runtime==2.14.0)"
    )


def wheel(python: tuple[int, int], machine: str, bits: int) -> str:
    """Return what pip has to be asked for, or an empty string when nothing fitting is published.

    Args:
        python: major and minor version.
        machine: as ``platform.machine()`` says; a 64-bit kernel may carry a 32-bit system.
        bits: of the Python process.
    """
    if bits == 64 and machine in ("x86_64", "AMD64", "aarch64", "arm64"):
        if python == (3, 9):
            return "ai-edge-litert==2.1.0"
        return "ai-edge-litert" if (3, 10) <= python <= (3, 14) else ""
    if bits == 32 and machine in ("armv7l", "armv8l", "aarch64"):
        return {(3, 9): '"tflite-runtime==2.11.0" "numpy<2"', (3, 11): '"tflite-runtime==2.14.0" "numpy<2"'}.get(
            python, ""
        )
    return ""


def numpy_version() -> str | None:
    """Return the version of the installed numpy, or None."""
    try:
        return metadata.version("numpy")
    except metadata.PackageNotFoundError:
        return None
