"""What a search comes to: facts for ``front.json`` and the page, and in words which limit binds and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfcompress._version import __version__
from tfcompress.reports import facts
from tfcompress.reports.search_facts import FinalFacts, GateFacts, GoalFacts, SearchFacts, TriedFacts
from tfcompress.search.driver import Search
from tfcompress.search.finals import Finalist, score_text
from tfcompress.search.gates import GATES
from tfcompress.search.goals import GOALS, Goal, Limits
from tfcompress.search.trial_records import TrialRecord

NEAREST = 3
"""Nearest misses that are named."""


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What a search's conclusions need beside its trials.

    Attributes:
        key: of the search.
        model: name of the model.
        data: where the samples come from.
        judged: what the search judged by, in words.
        command: what makes the best file again without a search.
        conditions: of the device; empty: none.
        seconds: how long everything took.
        notes: further sentences.
    """

    key: str
    model: str
    data: str
    judged: str
    command: str
    conditions: str
    seconds: float
    notes: tuple[str, ...] = ()


def concluded(
    search: Search,
    judged: Sequence[Finalist],
    winner: Finalist | None,
    decides: Goal,
    around: Circumstances,
) -> SearchFacts:
    """Put together what a search found.

    Args:
        search: after its end.
        judged: the finalists.
        winner: the best of them that keeps the limits; None: none does.
        decides: the goal that decides.
        around: everything else.
    """
    limits, front = search.plan.limits, search.front
    return SearchFacts(
        key=around.key,
        model=around.model,
        data=around.data,
        judged=around.judged,
        tool_version=__version__,
        created_utc=facts.now_utc(),
        goals=tuple(
            GoalFacts(name=g.name, title=g.title, unit=g.unit, limit=limits.given.get(g.name), flag=g.flag)
            for g in search.plan.goals
        ),
        winner=None if winner is None else winner.record.number,
        tried=tuple(_tried(record, record in front) for record in search.records),
        finals=tuple(_final(each, limits) for each in judged),
        gates=tuple(_gate_facts(search)),
        words=(*_words(search, judged, winner, decides), *around.notes),
        command="" if winner is None else around.command,
        conditions=around.conditions,
        seconds=around.seconds,
        trained_seconds=sum(record.trained_seconds for record in search.records),
        interrupted=search.interrupted,
    )


def _tried(record: TrialRecord, on_front: bool) -> TriedFacts:
    return TriedFacts(
        number=record.number,
        name=record.name,
        source=record.source,
        state=record.state,
        reason=record.reason,
        figures=record.figures,
        trained_seconds=record.trained_seconds,
        on_front=on_front,
    )


def _final(each: Finalist, limits: Limits) -> FinalFacts:
    score, interval = score_text(each.result)
    return FinalFacts(
        number=each.record.number,
        name=each.record.name,
        folder=each.folder,
        figures=each.measured,
        drop_low=None if each.drop is None else each.drop.low,
        drop_high=None if each.drop is None else each.drop.bound,
        score=score,
        interval=interval,
        misses=each.misses(limits),
    )


def _gate_facts(search: Search) -> list[GateFacts]:
    names = {goal.name for goal in search.plan.goals}
    return [
        GateFacts(
            name=gate.name,
            trust="exact" if gate.exact else gate.trust(search.records),
            pairs=len(gate.pairs(search.records)),
            correlation=gate.correlation(search.records),
            stopped=sum(record.reason.startswith(f"{gate.name}: ") for record in search.records),
            spared=sum(gate.name in record.spared for record in search.records),
        )
        for gate in GATES
        if gate.goal in names
    ]


def _words(search: Search, judged: Sequence[Finalist], winner: Finalist | None, decides: Goal) -> list[str]:
    limits = search.plan.limits
    said = _binding(search, judged, winner, decides) if winner is not None else misses_in_words(judged, limits)
    if len(judged) > 1:
        said.append(f"{len(judged)} files were looked at on the test split, which the search had never seen")
    cut = sum(record.state == "running" for record in search.records)
    if search.interrupted:
        said.append("the search was interrupted; the same command goes on")
    elif cut:
        what = "1 candidate was" if cut == 1 else f"{cut} candidates were"
        said.append(f"{what} being made when the time for that was up, and left there; a larger --budget takes them in")
    return said


def _binding(search: Search, judged: Sequence[Finalist], winner: Finalist, decides: Goal) -> list[str]:
    """Say of each limit what a file that breaks only it would give."""
    limits, best, said = search.plan.limits, winner.figures.get(decides.name, float("inf")), []
    known = {each.record.number: each.figures for each in judged}
    for name, limit in limits.given.items():
        goal = GOALS[name]
        others = []
        for record in search.finished:
            figures = {**record.figures, **known.get(record.number, {})}
            excess = limits.excess(figures)
            alone = excess.get(name, 0.0) > 0 and all(each <= 0 for other, each in excess.items() if other != name)
            gains = figures[decides.name] < best if name != decides.name else False
            if alone and gains:
                others.append((figures[name], figures[decides.name], record))
        if not others:
            continue
        needs, gives, record = min(others, key=lambda found: found[0])
        said.append(
            f"{goal.flag} {_limit_text(goal, limit)} binds: {goal.text(needs)} instead would give "
            f"{decides.title} {decides.text(gives)} in place of {decides.text(best)} ({record.name})"
        )
    if not said and limits.given:
        said.append(f"no limit binds: nothing that was tried and breaks just one of them has a better {decides.title}")
    return said


def _limit_text(goal: Goal, limit: float) -> str:
    return f"{limit:g}" if goal.unit == "points" else goal.text(limit)


def misses_in_words(judged: Sequence[Finalist], limits: Limits) -> list[str]:
    """Say which files come nearest to the limits, and which limit each of them does not keep."""
    ordered = sorted(judged, key=lambda each: limits.violation(each.figures))[:NEAREST]
    return [f"near: {each.record.name}, {_missed(each, limits)}" for each in ordered]


def _missed(each: Finalist, limits: Limits) -> str:
    parts = []
    for name in each.misses(limits):
        goal, limit = GOALS[name], limits.given[name]
        value = each.figures.get(name)
        told = goal.text(value) if value is not None else "not known"
        if name == "drop" and each.drop is not None:
            told = f"{goal.text(each.drop.points)} measured, up to {each.drop.bound:.2f} by its interval"
        parts.append(f"{goal.title} {told}, allowed are {_limit_text(goal, limit)}")
    return "; ".join(parts)


def shortfall(judged: Sequence[Finalist], limits: Limits) -> str:
    """Return in a line why nothing was good enough, and what would be: for the error that a search ends in."""
    stopping = sorted({GOALS[name].flag for each in judged for name in each.misses(limits)})
    near = misses_in_words(judged, limits)
    return f"nothing that was tried keeps every limit; what stops them: {', '.join(stopping)}; {'; '.join(near)}"
