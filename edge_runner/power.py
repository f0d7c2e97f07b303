"""Whatever measures power on this machine, each kind as a small class.

Some count joules, most report watts at this moment; those are asked again and again while something runs. Every class
takes the place where /sys hangs, so that tests can give another one.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from edge_runner.environment import ROOT, number, system_text

T = TypeVar("T")
PERIOD_SECONDS = 0.05
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_HWMON_CHIPS = ("ina219", "ina220", "ina226", "ina230", "ina231", "ina238", "ina260", "ina3221")


class PowerError(Exception):
    """A source that cannot be read; the message says which and why."""


class PowerSource(ABC):
    """Something that measures the energy used while a call runs.

    Attributes:
        name: what it is and what it covers, for the result.
    """

    name: str

    @abstractmethod
    def measure(self, call: Callable[[], T]) -> tuple[T, float, float]:
        """Return what *call* returned, the joules used meanwhile, and how many seconds it took.

        Raises:
            PowerError: the source stopped answering.
        """


class Rapl(PowerSource):
    """The energy counters of x86 processors; they wrap around, and on most systems only root reads them.

    Args:
        root: where /sys hangs.
    """

    name = "RAPL (/sys/class/powercap: processor packages and memory, not the whole machine)"

    def __init__(self, root: Path = ROOT) -> None:
        zones = sorted((root / "sys/class/powercap").glob("*rapl:*"))
        self.zones = [zone for zone in zones if re.match(r"package|dram", system_text(zone / "name") or "")]

    @property
    def usable(self) -> bool:
        """Whether there are counters that this user may read."""
        return bool(self.zones) and all(number(zone / "energy_uj") is not None for zone in self.zones)

    def measure(self, call: Callable[[], T]) -> tuple[T, float, float]:
        """See :class:`PowerSource`."""
        before, start = self._counters(), time.perf_counter()
        result = call()
        seconds, after = time.perf_counter() - start, self._counters()
        used = 0
        for zone, first, last in zip(self.zones, before, after):
            wrapped = (number(zone / "max_energy_range_uj") or 0) if last < first else 0
            used += last - first + wrapped
        return result, used / 1e6, seconds

    def _counters(self) -> list[int]:
        found = [number(zone / "energy_uj") for zone in self.zones]
        if None in found:
            msg = "RAPL counters cannot be read any more"
            raise PowerError(msg)
        return [count for count in found if count is not None]


class Sampled(PowerSource):
    """A source of watts, asked every 50 ms in a thread; the mean counts.

    Args:
        name: what it is.
        watts: reads it once; raises PowerError.
    """

    def __init__(self, name: str, watts: Callable[[], float]) -> None:
        self.name = name
        self.watts = watts

    def measure(self, call: Callable[[], T]) -> tuple[T, float, float]:
        """See :class:`PowerSource`."""
        readings: list[float] = []
        problems: list[PowerError] = []
        over = threading.Event()

        def sample() -> None:
            while not over.is_set():
                try:
                    readings.append(self.watts())
                except PowerError as error:
                    problems.append(error)
                    return
                over.wait(PERIOD_SECONDS)

        thread = threading.Thread(target=sample, daemon=True)
        start = time.perf_counter()
        thread.start()
        try:
            result = call()
        finally:
            seconds = time.perf_counter() - start
            over.set()
            thread.join()
        if problems or not readings:
            raise problems[0] if problems else PowerError(f"{self.name}: no reading")
        return result, sum(readings) / len(readings) * seconds, seconds


def hwmon(root: Path = ROOT) -> PowerSource | None:
    """Return an INA2xx that the kernel knows, or None."""
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        kind = system_text(chip / "name")
        if kind in _HWMON_CHIPS and _hwmon_watts(chip) is not None:
            return Sampled(f"{kind} by hwmon", lambda chip=chip: _known(_hwmon_watts(chip), f"{chip}"))  # type: ignore[misc]
    return None


def _hwmon_watts(chip: Path) -> float | None:
    microwatts = number(chip / "power1_input")
    if microwatts is not None:
        return microwatts / 1e6
    milliamperes, millivolts = number(chip / "curr1_input"), number(chip / "in1_input")
    return None if milliamperes is None or millivolts is None else milliamperes * millivolts / 1e6


def battery(root: Path = ROOT) -> PowerSource | None:
    """Return the gauge of a battery that is discharging (one on the mains says nothing), or None."""
    for supply in sorted((root / "sys/class/power_supply").glob("*")):
        discharging = system_text(supply / "type") == "Battery" and system_text(supply / "status") == "Discharging"
        if discharging and _battery_watts(supply) is not None:
            return Sampled(
                f"battery gauge {supply.name} (the whole machine)",
                lambda supply=supply: _known(_battery_watts(supply), f"{supply}"),  # type: ignore[misc]
            )
    return None


def _battery_watts(supply: Path) -> float | None:
    microwatts = number(supply / "power_now")
    if microwatts is not None:
        return abs(microwatts) / 1e6
    microamperes, microvolts = number(supply / "current_now"), number(supply / "voltage_now")
    return None if microamperes is None or microvolts is None else abs(microamperes) * microvolts / 1e12


def _known(watts: float | None, where: str) -> float:
    if watts is None:
        msg = f"{where} cannot be read any more"
        raise PowerError(msg)
    return watts


def pmic() -> PowerSource | None:
    """Return the power chip of a Raspberry Pi 5, or None."""
    program = shutil.which("vcgencmd")
    if program is None:
        return None

    def watts() -> float:
        return pmic_watts(_said([program, "pmic_read_adc"]))

    try:
        watts()
    except PowerError:  # an older board answers with an error
        return None
    return Sampled("vcgencmd pmic_read_adc (the rails of the board's power chip, not the whole supply)", watts)


def pmic_watts(said: str) -> float:
    """Return the sum of current times voltage over the rails that report both.

    Args:
        said: lines such as ``VDD_CORE_A current(7)=1.19000A`` and ``VDD_CORE_V volt(15)=0.8800V``.

    Raises:
        PowerError: no rail reports both.
    """
    amperes = {name: float(value) for name, value in re.findall(r"(\w+)_A\s+current\(\d+\)=([\d.]+)A", said)}
    volts = {name: float(value) for name, value in re.findall(r"(\w+)_V\s+volt\(\d+\)=([\d.]+)V", said)}
    rails = amperes.keys() & volts.keys()
    if not rails:
        msg = "vcgencmd pmic_read_adc reported no rail's current and voltage"
        raise PowerError(msg)
    return sum(amperes[rail] * volts[rail] for rail in rails)


def command_source(line: str) -> PowerSource:
    """Return a program that prints watts: a USB meter's, a PDU's; the last number it prints counts.

    Raises:
        PowerError: it cannot be run, or prints no number.
    """
    program = shlex.split(line)

    def watts() -> float:
        numbers = _NUMBER.findall(_said(program))
        if not numbers:
            msg = f"--power-command {line!r} must print watts, got no number"
            raise PowerError(msg)
        return float(numbers[-1])

    watts()
    return Sampled(f"command {line}", watts)


def _said(program: list[str]) -> str:
    try:
        done = subprocess.run(program, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        msg = f"{shlex.join(program)!r} cannot be run: {error}"
        raise PowerError(msg) from error
    return done.stdout


NOTHING_HERE = (
    "nothing here measures power: no RAPL that this user may read, no INA sensor known to the kernel, no Raspberry "
    "Pi 5 power chip, no battery that is discharging; give --power-command, --ina, or --assume-watts"
)


def find_source(root: Path = ROOT) -> PowerSource | None:
    """Return the best source of this machine, or None: a sensor of the whole supply before a part's own counters."""
    rapl = Rapl(root)
    return hwmon(root) or pmic() or (rapl if rapl.usable else None) or battery(root)
