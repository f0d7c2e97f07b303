"""Joules of one inference above idle: idle and load in turns, and from the spread of their differences an interval.

What the machine uses anyway is measured right before each load window and taken off, so that a slow change of it (a
display that dims, a core that warms up) does not end in the result.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_runner import document, heat, ina, power
from edge_runner.arguments import Options
from edge_runner.power import PowerError, PowerSource
from edge_runner.processes import Child, ChildFailed
from edge_runner.subject import Subject, Tell

WINDOWS = 5
WINDOW_SECONDS = 1.0
REST_SECONDS = 0.3
_T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}
"""Student's t for 95 %, two-sided, by degrees of freedom."""


@dataclass(frozen=True)
class Window:
    """An idle window and the load window after it.

    Attributes:
        idle_watts: of the machine doing nothing.
        load_joules: used during the load.
        load_seconds: how long that was.
        inferences: run meanwhile.
    """

    idle_watts: float
    load_joules: float
    load_seconds: float
    inferences: int

    @property
    def joules(self) -> float:
        """Of one inference, above idle."""
        return (self.load_joules - self.idle_watts * self.load_seconds) / self.inferences


def chosen_source(options: Options) -> PowerSource | None:
    """Return what to measure with: what was named, else the best that is found; None when there is nothing.

    Raises:
        PowerError: what was named does not work.
    """
    if options.power_command:
        return power.command_source(options.power_command)
    if options.ina:
        return ina.sensor_source(ina.wiring(options.ina))
    return power.find_source()


def energy(subject: Subject, options: Options, runtime: str, tell: Tell) -> dict[str, Any]:
    """Return the document's entry for a model that was measured."""
    if options.assume_watts is not None:
        return assumed(options.assume_watts, subject.entry["timing"]["summary"]["mean_ms"])
    try:
        meter = chosen_source(options)
        if meter is None:
            return document.no_energy(power.NOTHING_HERE)
        windows = _windows(meter, subject, options, runtime, tell)
    except PowerError as error:
        return document.no_energy(str(error))
    except ChildFailed as error:
        return document.no_energy(f"the model failed while its energy was measured: {error}")
    if not windows:
        return document.no_energy("the machine was throttled during all windows")
    return summary(windows, meter.name)


def assumed(watts: float, mean_ms: float) -> dict[str, Any]:
    """Return joules from a power that somebody assumes; every word of it says so."""
    return {
        **document.no_energy(f"not measured: {watts:g} W above idle were assumed by --assume-watts"),
        "joules_per_inference": watts * mean_ms / 1e3,
        "kind": "assumed",
        "source": f"assumption: {watts:g} W above idle",
    }


def summary(windows: list[Window], name: str) -> dict[str, Any]:
    """Return the mean of the windows and its 95 % interval by Student's t; no interval of a single window."""
    values = [window.joules for window in windows]
    count, mean = len(values), sum(values) / len(values)
    low = high = None
    if count > 1:
        spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1) / count)
        reach = _T95[min(count - 1, max(_T95))] * spread
        low, high = mean - reach, mean + reach
    return {
        "joules_per_inference": mean,
        "low": low,
        "high": high,
        "kind": "measured",
        "source": name,
        "idle_watts": sum(window.idle_watts for window in windows) / count,
        "load_watts": sum(window.load_joules / window.load_seconds for window in windows) / count,
        "windows": count,
        "reason": None if low is None or low > 0 else "the interval holds zero: longer or hungrier work is needed here",
    }


def _windows(meter: PowerSource, subject: Subject, options: Options, runtime: str, tell: Tell) -> list[Window]:
    request = {
        "do": "time",
        "runs": 1,
        "seconds": WINDOW_SECONDS,
        "untimed_seconds": 0.0,
        "most": 1,
        "full_time": True,
    }
    watch, found = heat.Watch(), []
    with Child(options.timeout) as child:
        child.ask(subject.opening(options, runtime))
        for number in range(WINDOWS):
            tell(f"{subject.label}: energy, window {number + 1} of {WINDOWS}")
            time.sleep(REST_SECONDS)
            _, idle_joules, idle_seconds = meter.measure(_idle)
            block, joules, seconds = meter.measure(_asking(child, request))
            if not watch.throttled():
                found.append(Window(idle_joules / idle_seconds, joules, seconds, block["runs"]))
    return found


def _asking(child: Child, request: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    return lambda: child.ask(request)


def _idle() -> None:
    time.sleep(WINDOW_SECONDS)
