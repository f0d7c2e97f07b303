"""What a search found, as plain values: what ``front.json`` holds and its page shows."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FORMAT = 1
"""Format of ``front.json``. History: 1 — first."""


@dataclass(frozen=True, kw_only=True)
class GoalFacts:
    """A figure that was made smaller.

    Attributes:
        name: its key.
        title: what tables call it.
        unit: ``points``, ``bytes``, ``ms`` or ``joules``.
        limit: what it must keep; None: nothing.
        flag: what limits it on the command line.
    """

    name: str
    title: str
    unit: str
    limit: float | None
    flag: str


@dataclass(frozen=True, kw_only=True)
class TriedFacts:
    """A candidate that was tried.

    Attributes:
        number: in the study.
        name: its parts.
        source: why it was tried.
        state: ``finished``, ``stopped``, ``refused``, ``failed`` or ``running``.
        reason: why it was stopped, refused or failed.
        figures: what is known of it by the names of goals, on the validation split.
        trained_seconds: how long it was trained.
        on_front: whether no other finished one beats it in everything.
    """

    number: int
    name: str
    source: str
    state: str
    reason: str
    figures: Mapping[str, float]
    trained_seconds: float
    on_front: bool = False


@dataclass(frozen=True, kw_only=True)
class FinalFacts:
    """A candidate that was judged on the test split.

    Attributes:
        number: of the candidate.
        name: its parts.
        folder: of its export, within the output.
        figures: of the finished file, by the names of goals; the drop as measured on the test split.
        drop_low: lower end of the drop's 95 % interval, in points; None: it has none.
        drop_high: upper end, which must keep the limit.
        score: main figure on the test split, as people read it.
        interval: its 95 % interval, likewise.
        misses: names of goals whose limits it does not keep.
    """

    number: int
    name: str
    folder: str
    figures: Mapping[str, float]
    drop_low: float | None
    drop_high: float | None
    score: str
    interval: str
    misses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GateFacts:
    """A gate, and how it did.

    Attributes:
        name: what it looks at.
        trust: ``watching``, ``on``, ``wide``, ``off``; ``exact`` for one that needs no trust.
        pairs: finished trials that it can be judged by.
        correlation: rank correlation of its figure with the one at the end; None: too few.
        stopped: trials that it stopped.
        spared: trials that it would have stopped and let through, to be judged.
    """

    name: str
    trust: str
    pairs: int
    correlation: float | None
    stopped: int
    spared: int


@dataclass(frozen=True, kw_only=True)
class SearchFacts:
    """A search.

    Attributes:
        key: a hash of all that the results depend on.
        model: the file, or the model's name.
        data: where the samples come from.
        judged: what the search judged by, in words.
        tool_version: of tfcompress.
        created_utc: when it ended.
        goals: what was made smaller.
        winner: number of the candidate in ``best/``; None: none keeps the limits.
        tried: every candidate.
        finals: those that were judged on the test split, the best first.
        gates: how each gate did.
        words: what binds, what relaxing it would give, and what else there is to say; sentences.
        command: what makes the winner again without a search; empty: there is none.
        conditions: of the device, without which a latency means nothing; empty: none was measured.
        seconds: how long the search took, judging included.
        trained_seconds: how much of it was training.
        interrupted: whether Ctrl-C ended it.
    """

    key: str
    model: str
    data: str
    judged: str
    tool_version: str
    created_utc: str
    goals: tuple[GoalFacts, ...]
    winner: int | None
    tried: tuple[TriedFacts, ...]
    finals: tuple[FinalFacts, ...]
    gates: tuple[GateFacts, ...]
    words: tuple[str, ...]
    command: str
    conditions: str = ""
    seconds: float = 0.0
    trained_seconds: float = 0.0
    interrupted: bool = False
    format: int = field(default=FORMAT)

    @property
    def best(self) -> FinalFacts | None:
        """The winner, as it was judged."""
        return next((each for each in self.finals if each.number == self.winner), None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Return what ``front.json`` holds."""
        return json.dumps(self.to_dict(), indent=1) + "\n"
