"""What can this machine run, and what has to be installed or changed before its numbers mean something."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_runner import choosing, destinations, environment, runtimes
from edge_runner.runtimes import Found

WORKS, NONE_WORKS = 0, 3
FORMAT = 1
"""Number of the doctor's JSON format; a key that is added, removed or changes its meaning makes a new number."""
FEATURES = {
    "asimd": "64-bit ARM vectors",
    "neon": "32-bit ARM vectors",
    "asimddp": "int8 dot products",
    "i8mm": "int8 matrix products",
    "asimdhp": "float16 arithmetic",
    "sve": "scalable vectors",
    "avx2": "256-bit vectors",
    "avx512f": "512-bit vectors",
    "avx_vnni": "int8 dot products",
    "avx512_vnni": "int8 dot products",
    "amx_int8": "int8 matrix products",
}
"""What the kernels of the runtimes ask for, by its name in /proc/cpuinfo."""
THROTTLED = {
    0: "the supply voltage is too low now",
    1: "the frequency is capped now",
    2: "it is throttled now",
    3: "it is at its soft temperature limit now",
    16: "the supply voltage was too low since the start",
    17: "the frequency was capped since the start",
    18: "it was throttled since the start",
    19: "it was at its soft temperature limit since the start",
}
"""Bits of ``vcgencmd get_throttled``, as the Raspberry Pi documentation has them."""
HOT_CELSIUS = 75.0
LITTLE_MEMORY_BYTES = 200_000_000


def doctor(*, as_json: bool = False, output: Path | None = None) -> int:
    """Print what this machine can run and what to do about the rest; return the exit status.

    Args:
        as_json: print a JSON document, for programs.
        output: write the document here, and print the text.

    Raises:
        OSError: *output* cannot be written.
    """
    found = examination()
    content = json.dumps(found, indent=1)
    if output:
        destinations.write_whole(output, f"{content}\n".encode())
    print(examination_text(found) if output or not as_json else content)
    return WORKS if found["works"] else NONE_WORKS


def examination() -> dict[str, Any]:
    """Return all that was found out, None where the system does not say."""
    machine = runtimes.here()
    found = [choosing.examine_runtime(name) for name in runtimes.ORDER]
    facts = {
        **environment.fixed(),
        "numpy": runtimes.numpy_version(),
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "cpu_features": features(environment.system_text(Path("/proc/cpuinfo")) or ""),
        "memory_available_bytes": environment.available_memory_bytes(),
        "externally_managed": machine.managed,
        "now": environment.changing(),
    }
    works = any(not runtime.problem for runtime in found)
    return {
        "format": FORMAT,
        "tool": "edge_runner --doctor",
        "works": works,
        "machine": facts,
        "runtimes": [_entry(runtime) for runtime in found],
        "install": None if works else runtimes.advice(machine),
        "complaint": None if works else choosing.complaint(found),
        "remarks": remarks(facts),
    }


def _entry(runtime: Found) -> dict[str, Any]:
    installed = runtimes.installed(runtime.name)
    return {
        "name": runtime.name,
        "installed": installed,
        "works": not runtime.problem,
        "version": runtime.version,
        "problem": runtime.problem or None,
        "mend": (runtime.mend or None) if installed else None,
    }


def features(cpuinfo: str) -> list[str]:
    """Return those of :data:`FEATURES` that the processor has, from the text of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() in ("flags", "features"):
            return [name for name in FEATURES if name in value.split()]
    return []


def remarks(facts: dict[str, Any]) -> list[str]:
    """Return what makes measurements here slower or less certain than they could be."""
    now, found = facts["now"], []
    if facts["userland_bits"] == 32 and facts["architecture"] in ("aarch64", "x86_64"):
        found.append("a 32-bit system under a 64-bit kernel: a 64-bit one has newer runtimes and faster kernels")
    if facts["architecture"] == "aarch64" and facts["cpu_features"] and "asimddp" not in facts["cpu_features"]:
        found.append("no int8 dot products (asimddp): int8 gains less here than on processors that have them")
    if now["governor"] not in (None, "performance"):
        path = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        steady = f"echo performance | sudo tee {path}"
        found.append(f"the frequency follows the load (governor {now['governor']}); for steady numbers: {steady}")
    if (now["temperature_celsius"] or 0) > HOT_CELSIUS:
        found.append(f"it is {now['temperature_celsius']:.0f} °C: let it cool down before measuring")
    available = facts["memory_available_bytes"]
    if available is not None and available < LITTLE_MEMORY_BYTES:
        found.append(f"only {available / 1e6:.0f} MB of memory are left: end other programs before measuring")
    return found + throttling(now["throttled"])


def throttling(flags: str | None) -> list[str]:
    """Return what the Raspberry Pi firmware's flags mean."""
    try:
        value = int(flags or "0", 16)
    except ValueError:
        return []
    return [f"get_throttled is {flags}: {meaning}" for bit, meaning in THROTTLED.items() if value >> bit & 1]


def examination_text(found: dict[str, Any]) -> str:
    """Return the examination for a person."""
    facts, now = found["machine"], found["machine"]["now"]
    board = facts["board"] or facts["cpu"] or "unknown machine"
    managed = ", packages managed by the system" if facts["externally_managed"] else ""
    numpy = facts["numpy"] or "not installed"
    lines = [
        f"{board}, {facts['system']}, {facts['architecture']}, kernel {facts['kernel']}",
        f"Python {facts['python']}, {facts['userland_bits']} bits, {facts['libc'] or 'unknown libc'}, "
        f"numpy {numpy}{managed}",
        f"{facts['cores_usable'] or facts['cores']} cores: {_named(facts['cpu_features'])}",
        f"memory {_megabytes(facts['memory_bytes'])}, available {_megabytes(facts['memory_available_bytes'])}; "
        f"governor {now['governor'] or 'unknown'}; {_degrees(now['temperatures_celsius'])}",
    ]
    for runtime in found["runtimes"]:
        state = f"works, version {runtime['version']}" if runtime["works"] else runtime["problem"]
        lines.append(f"{runtime['name']:15} {state}")
        if runtime["mend"]:
            lines.append(f"{'':15} mend it: {runtime['mend']}")
    lines.extend(found["remarks"])
    if found["complaint"]:
        lines.append(found["complaint"])
    return "\n".join(lines)


def _named(names: Sequence[str]) -> str:
    return ", ".join(f"{name} ({FEATURES[name]})" for name in names) or "no vector instructions that it reports"


def _megabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:,.0f} MB"


def _degrees(zones: dict[str, float] | None) -> str:
    if not zones:
        return "no temperature sensor"
    return ", ".join(f"{name} {degrees:.0f} °C" for name, degrees in zones.items())
