"""Heat: was the machine throttled during a turn, and resting until it is cool."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from edge_runner import environment

NOW_BITS = 0xF
"""Low bits of get_throttled: under-voltage, frequency capped, throttled, soft temperature limit; each at this moment.
The same bits from 16 on say that it happened since the start of the machine."""
MOST_REST_SECONDS = 300.0
_LOOK_SECONDS = 1.0


class Watch:
    """Tells after each turn whether the machine was throttled during it.

    Args:
        root: where /sys hangs; another one in tests.
    """

    def __init__(self, root: Path = environment.ROOT) -> None:
        self.root = root
        self.flags = environment.throttled(root)
        self.events = environment.throttle_events(root)

    def throttled(self) -> bool:
        """Say whether throttling is on, or came and went since the last question."""
        flags = environment.throttled(self.root) if self.flags is not None else None
        events = environment.throttle_events(self.root) if self.events is not None else None
        before, after = _bits(self.flags), _bits(flags)
        came = (before & NOW_BITS) or (after & NOW_BITS) or (after & ~before)
        counted = self.events is not None and events is not None and events > self.events
        self.flags, self.events = flags, events
        return bool(came) or counted


def _bits(flags: str | None) -> int:
    try:
        return int(flags or "0", 16)
    except ValueError:
        return 0


def rest(
    seconds: float | None,
    celsius: float | None,
    tell: Callable[[str], None],
    *,
    root: Path = environment.ROOT,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Wait until the hottest zone is down to *celsius*, at most *seconds*; without *celsius*, that long.

    Args:
        seconds: None: no rest, or with *celsius* at most 300.
        celsius: None: the whole of *seconds*; so too on a machine without sensors.
        tell: takes a line about what is under way.
        root: where /sys hangs.
        sleep: waits.

    Returns:
        Seconds waited.
    """
    if seconds is None and celsius is None:
        return 0.0
    limit = MOST_REST_SECONDS if seconds is None else seconds
    if celsius is not None and not environment.temperatures(root) and seconds is None:
        return 0.0
    waited = 0.0
    while waited < limit:
        hottest = max(environment.temperatures(root).values(), default=None)
        if celsius is not None and hottest is not None and hottest <= celsius:
            break
        tell(f"resting: {'' if hottest is None else f'{hottest:.0f} °C, '}{limit - waited:.0f} s left")
        step = min(_LOOK_SECONDS, limit - waited)
        sleep(step)
        waited += step
    return waited
