"""What the measurement ran on: read from the system, None where it does not say."""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

_CPU = Path("/sys/devices/system/cpu")


def text(path: Path) -> str | None:
    """Return the stripped text of a file of the system, None when it cannot be read or is empty."""
    try:
        content = path.read_text("utf-8", "replace")
    except OSError:
        return None
    return content.strip("\0 \n\t") or None


def number(path: Path) -> int | None:
    """Return the whole number a file of the system holds, or None."""
    content = text(path)
    try:
        return None if content is None else int(content)
    except ValueError:
        return None


def fixed() -> dict[str, Any]:
    """Return what does not change while the runner runs."""
    return {
        "board": text(Path("/proc/device-tree/model")),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "memory_bytes": _memory_bytes(),
        "system": _system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "userland_bits": struct.calcsize("P") * 8,
        "python": platform.python_version(),
    }


def changing() -> dict[str, Any]:
    """Return what changes under load: read before and after the measurement."""
    temperature = number(Path("/sys/class/thermal/thermal_zone0/temp"))
    frequency = number(_CPU / "cpu0/cpufreq/scaling_cur_freq")
    return {
        "governor": text(_CPU / "cpu0/cpufreq/scaling_governor"),
        "frequency_hz": None if frequency is None else frequency * 1000,
        "temperature_celsius": None if temperature is None else temperature / 1000,
        "throttled": throttled(),
        "load_average_1min": _load(),
    }


def throttled() -> str | None:
    """Return the Raspberry Pi firmware's throttling flags (``0x0``: never), None on other machines."""
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        done = subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().partition("=")[2] or None


def _cpu() -> str | None:
    found: dict[str, str] = {}
    for line in (text(Path("/proc/cpuinfo")) or "").splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return found.get("model name") or found.get("Hardware") or found.get("Model") or platform.processor() or None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _system() -> str | None:
    for line in (text(Path("/etc/os-release")) or "").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip('"')
    return platform.system() or None


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def peak_memory_bytes() -> int | None:
    """Return the most memory this process ever had resident (VmHWM), None where /proc does not say."""
    for line in (text(Path("/proc/self/status")) or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
