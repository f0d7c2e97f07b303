"""What the measurement ran on: read from the system, None where it does not say."""

from __future__ import annotations

import os
import platform
import struct
import time
from pathlib import Path
from typing import Any

ROOT = Path("/")
_CPU = "sys/devices/system/cpu"


def system_text(path: Path) -> str | None:
    """Return the stripped text of a file of the system, None when it cannot be read or is empty."""
    try:
        content = path.read_text("utf-8", "replace")
    except OSError:
        return None
    return content.strip("\0 \n\t") or None


def number(path: Path) -> int | None:
    """Return the whole number a file of the system holds, or None."""
    content = system_text(path)
    try:
        return None if content is None else int(content)
    except ValueError:
        return None


def fixed() -> dict[str, Any]:
    """Return what does not change while the runner runs."""
    return {
        "board": system_text(Path("/proc/device-tree/model")),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "memory_bytes": memory_bytes(),
        "system": _system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "userland_bits": struct.calcsize("P") * 8,
        "python": platform.python_version(),
    }


def changing(root: Path = ROOT) -> dict[str, Any]:
    """Return what changes under load: read before and after the measurement.

    Args:
        root: where /sys and /proc hang; another one in tests.
    """
    cores = sorted((root / _CPU).glob("cpu[0-9]*"), key=lambda core: int(core.name[3:]))
    governors = [governor for core in cores if (governor := system_text(core / "cpufreq/scaling_governor"))]
    frequencies = [hz for core in cores if (hz := number(core / "cpufreq/scaling_cur_freq")) is not None]
    warm = temperatures(root)
    return {
        "governor": governors[0] if governors else None,
        "governors": sorted(set(governors)) if len(set(governors)) > 1 else None,
        "frequency_hz": frequencies[0] * 1000 if frequencies else None,
        "frequencies_hz": [hz * 1000 for hz in frequencies] or None,
        "temperature_celsius": max(warm.values(), default=None),
        "temperatures_celsius": warm or None,
        "throttled": throttled(root),
        "throttle_events": throttle_events(root),
        "load_average_1min": _load(),
    }


def temperatures(root: Path = ROOT) -> dict[str, float]:
    """Return °C by thermal zone, ``NUMBER TYPE``; empty where there are none."""
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone[0-9]*"), key=lambda zone: int(zone.name[12:]))
    found = {f"{zone.name[12:]} {system_text(zone / 'type') or ''}".strip(): number(zone / "temp") for zone in zones}
    return {name: degrees / 1000 for name, degrees in found.items() if degrees is not None}


def hottest(root: Path = ROOT) -> float | None:
    """Return the °C of the hottest zone, None where there are none."""
    return max(temperatures(root).values(), default=None)


def throttle_events(root: Path = ROOT) -> int | None:
    """Return how often x86 cores report having been throttled since the start, None where they do not count."""
    counts = [number(path) for path in (root / _CPU).glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def throttled(root: Path = ROOT) -> str | None:
    """Return the Raspberry Pi firmware's throttling flags (``0x0``: never), None on other machines."""
    from_kernel = system_text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    if from_kernel is not None:
        return f"0x{from_kernel.removeprefix('0x')}"
    import shutil  # these take longer to load than a model's process can spare at its start
    import subprocess

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
    for line in (system_text(Path("/proc/cpuinfo")) or "").splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return found.get("model name") or found.get("Hardware") or found.get("Model") or platform.processor() or None


def memory_bytes() -> int | None:
    """Return the machine's memory as the system counts it, None when it is not known."""
    told = meminfo("MemTotal", system_text(Path("/proc/meminfo")) or "")
    try:
        return told or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _system() -> str | None:
    for line in (system_text(Path("/etc/os-release")) or "").splitlines():
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
    for line in (system_text(Path("/proc/self/status")) or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def available_memory_bytes() -> int | None:
    """Return how much memory the system could give without swapping, None where /proc does not say."""
    return meminfo("MemAvailable", system_text(Path("/proc/meminfo")) or "")


def meminfo(name: str, content: str) -> int | None:
    """Return the bytes that /proc/meminfo, whose text is *content*, gives for *name*; None when it does not say."""
    for line in content.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == f"{name}:" and words[1].isdecimal():
            return int(words[1]) * 1024
    return None


def started_ns() -> int | None:
    """Return when this process was started, on the monotonic clock, to a hundredth of a second; None without /proc."""
    stat = system_text(Path("/proc/self/stat"))
    if stat is None or not hasattr(time, "CLOCK_BOOTTIME"):
        return None
    ticks = int(stat.rpartition(")")[2].split()[19])
    if ticks <= 0:  # emulators that make the file up
        return None
    age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return time.monotonic_ns() - age_ns
