"""Which interpreters there are on this machine, whether they really work, and what to install when they don't.

An installed ``tflite_runtime`` beside numpy 2 imports without an error and then fails on the first model, so a runtime
counts as usable only after it has opened a small model, in a process of its own.
"""

from __future__ import annotations

import platform
import struct
import sys
from importlib import metadata, util
from pathlib import Path
from typing import NamedTuple

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


class Found(NamedTuple):
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
    from importlib import metadata  # takes longer than everything else that is imported at the start

    for distribution in _DISTRIBUTIONS[name]:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def installed(name: str) -> bool:
    """Say whether there is a module of that runtime to import, without importing it."""
    return util.find_spec(MODULES[name]) is not None


def explain_failure(name: str, error: str) -> Found:
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


class Machine(NamedTuple):
    """What decides which runtime can be installed, and how.

    Attributes:
        python: major and minor version.
        machine: as ``platform.machine()`` says; a 64-bit kernel may carry a 32-bit system.
        bits: of the Python process.
        glibc: whether the C library is glibc, which all published wheels want.
        managed: pip may not touch this Python, its packages belong to the system (PEP 668).
        venv: whether it can make environments.
        pip: whether it has pip.
        executable: of Python.
    """

    python: tuple[int, int]
    machine: str
    bits: int
    glibc: bool = True
    managed: bool = False
    venv: bool = True
    pip: bool = True
    executable: str = "python3"


def here() -> Machine:
    """Describe the Python that runs this."""
    import sysconfig

    own = sys.prefix != sys.base_prefix
    return Machine(
        python=sys.version_info[:2],
        machine=platform.machine(),
        bits=struct.calcsize("P") * 8,
        glibc=platform.libc_ver()[0] == "glibc",
        managed=not own and (Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED").is_file(),
        venv=util.find_spec("ensurepip") is not None,
        pip=own or _has_pip(),
        executable=sys.executable or "python3",
    )


def _has_pip() -> bool:
    try:  # looking for the module would have setuptools put distutils into the place of Python's, with a warning
        metadata.version("pip")
    except metadata.PackageNotFoundError:
        return False
    return True


def advice(machine: Machine | None = None) -> str:
    """Return the line (or the sentence) that gives this Python on this architecture an interpreter."""
    machine = machine or here()
    package = wheel(machine)
    if not package:
        libc = "" if machine.glibc else " without glibc"
        name = f"Python {machine.python[0]}.{machine.python[1]} on {machine.bits}-bit {machine.machine}{libc}"
        return (
            f"no interpreter is published for {name}; use a 64-bit system with Python 3.10 to 3.14 (ai-edge-litert), "
            "or Python 3.11 on a 32-bit one (tflite-runtime==2.14.0)"
        )
    # there are no numpy wheels for 32-bit ARM: the system's own is used, which is a numpy 1 where there is a runtime
    small = machine.bits == 32
    missing = not machine.venv if machine.managed else not machine.pip
    packages = ["python3-numpy"] * small + ["python3-venv" if machine.managed else "python3-pip"] * missing
    first = f"sudo apt install {' '.join(packages)} && " if packages else ""
    install = f"pip install {'--no-deps ' if small else ''}{package}"
    if not machine.managed:
        return f"{first}{machine.executable} -m {install}"
    place = f"{'--system-site-packages ' if small else ''}~/edge"
    return f"{first}{machine.executable} -m venv {place} && ~/edge/bin/{install}, then start with ~/edge/bin/python"


def wheel(machine: Machine) -> str:
    """Return what pip has to be asked for, or an empty string when nothing fitting is published."""
    if not machine.glibc:
        return ""
    if machine.bits == 64 and machine.machine in ("x86_64", "AMD64", "aarch64", "arm64"):
        if machine.python == (3, 9):
            return "ai-edge-litert==2.1.0"
        return "ai-edge-litert" if (3, 10) <= machine.python <= (3, 14) else ""
    if machine.bits == 32 and machine.machine in ("armv7l", "armv8l", "aarch64"):
        return {(3, 9): "tflite-runtime==2.11.0", (3, 11): "tflite-runtime==2.14.0"}.get(machine.python, "")
    return ""


def numpy_version() -> str | None:
    """Return the version of the installed numpy, or None."""
    from importlib import metadata  # see above

    try:
        return metadata.version("numpy")
    except metadata.PackageNotFoundError:
        return None
