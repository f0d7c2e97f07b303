"""What is computed at each step, and what is kept: from the outputs back to the frames that come in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.streaming.flat_graph import FlatGraph, LayerCall, StreamTensor
from tfcompress.streaming.spans import Span, Timeline, Upkeep, hull, upkeep
from tfcompress.streaming.time_rules import TimeRule, WholeWindow, merged, rule_of

ONE = Span(0, 1)
"""All there is of a tensor without frames."""


@dataclass(frozen=True, eq=False)
class PlannedCall:
    """A call, and how it treats time.

    Attributes:
        call: the call.
        rule: how it treats time; None: nothing that goes in has frames.
        given: what goes in along time, of all inputs together; None: they have no frames.
        whole: what comes out in one piece, where it has no steady frames.
    """

    call: LayerCall
    rule: TimeRule | None = None
    given: Timeline | None = None
    whole: Span = ONE


@dataclass(eq=False)
class StreamPlan:
    """What a streaming model does at each step.

    Attributes:
        graph: the model's.
        hop: new frames a step.
        window: frames of the model.
        work: the calls that are needed, in order.
        lines: the tensors that have frames.
        upkeep: what is done about each of them that is needed.
        frames_seen: frames of the input that an answer is made of: so many are fed before the first one is right.
        notes: layers that are computed on the whole window at each step.
    """

    graph: FlatGraph
    hop: int
    window: int
    frames_seen: int = 0
    work: list[PlannedCall] = field(default_factory=list)
    lines: dict[StreamTensor, Timeline] = field(default_factory=dict)
    upkeep: dict[StreamTensor, Upkeep] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def is_stream(self, tensor: StreamTensor) -> bool:
        """Say whether a tensor has frames that are kept apart."""
        return tensor in self.lines

    def answered(self, tensor: StreamTensor) -> Span:
        """Return what a step gives of an output: the new frames, or all of one that has none or fewer."""
        line = self.lines.get(tensor)
        return ONE if line is None else Span(max(0, line.frames - self.hop // line.rate), line.frames)


def plan_steps(graph: FlatGraph, hop: int | None) -> StreamPlan:
    """Plan the steps of a streaming model.

    Args:
        graph: the model.
        hop: new frames a step; None: as few as the model's strides allow.

    Raises:
        UnsupportedError: a model that has no window of a fixed number of frames, or more than one input.
        UsageError: a hop that does not fit the model's strides or window.
    """
    window = _window(graph)
    made = StreamPlan(graph, 0, window)
    made.lines[graph.inputs[0]] = Timeline(window, 1)
    for call in graph.calls:
        made.work.append(_work(call, made))
    made.hop = _checked_hop(hop, made)
    made.frames_seen = _frames_seen(made)
    _work_back_(made)
    return made


def _window(graph: FlatGraph) -> int:
    if len(graph.inputs) != 1:
        msg = f"streaming takes a model with one input, got {len(graph.inputs)}; join them before the first layer"
        raise UnsupportedError(msg)
    shape = graph.inputs[0].shape
    frames = shape[0] if shape else None
    if frames is None or frames < 2 or None in shape[1:]:
        text = ", ".join("any" if size is None else str(size) for size in shape)
        msg = (
            "streaming takes a model whose input is a window of a fixed number of frames (frames, …), at least 2, got "
            f"the shape ({text}); build the model with its window"
        )
        raise UnsupportedError(msg)
    return frames


def _work(call: LayerCall, made: StreamPlan) -> PlannedCall:
    lines = [made.lines.get(tensor) for tensor in call.inputs]
    if not any(lines):
        return PlannedCall(call)
    rule, given = rule_of(call, lines), merged(lines)
    line = rule.line(given)
    if line is not None and line.frames > 1 and line.steady.size > 0:
        made.lines[call.outputs[0]] = line
        return PlannedCall(call, rule, given)
    return PlannedCall(call, rule, given, Span(0, 1 if line is None else line.frames))


def _checked_hop(hop: int | None, made: StreamPlan) -> int:
    rates = {line.rate: tensor for tensor, line in reversed(made.lines.items())}
    least = math.lcm(*rates)
    found = least if hop is None else hop
    if found < 1 or found % least:
        worst = next((t for rate, t in sorted(rates.items()) if t.maker is not None and found % rate), None)
        which = f": {worst.maker.path} gives one frame for {made.lines[worst].rate}" if worst and worst.maker else ""
        msg = f"hop must be a multiple of {least} with this model's strides in time, got {found}{which}"
        raise UsageError(msg)
    if found > made.window:
        msg = f"hop must be at most the model's window of {made.window} frames, got {found}"
        raise UsageError(msg)
    return found


def _frames_seen(made: StreamPlan) -> int:
    """Return how many frames the newest answer is made of, whatever is kept of them."""
    needed = {tensor: made.answered(tensor) for tensor in made.graph.outputs}
    for work in reversed(made.work):
        span = hull(needed.get(tensor) for tensor in work.call.outputs)
        if span is None:
            continue
        span = span if made.is_stream(work.call.outputs[0]) else work.whole
        wanted = work.rule.needed(span, work.given) if work.rule and work.given else span
        for tensor in work.call.inputs:
            needed[tensor] = hull((needed.get(tensor), wanted)) or wanted
    first = needed.get(made.graph.inputs[0])
    return 0 if first is None else made.window - first.start


def _work_back_(made: StreamPlan) -> None:
    """Find what is needed of each tensor, from the last call to the first."""
    needed: dict[StreamTensor, list[Span]] = {}
    for tensor in made.graph.outputs:
        needed.setdefault(tensor, []).append(made.answered(tensor))
    kept: list[PlannedCall] = []
    for work in reversed(made.work):
        asked = [tensor for tensor in work.call.outputs if tensor in needed]
        if not asked:
            continue
        kept.append(work)
        for span in _spans(work, made, needed):
            for tensor in work.call.inputs:
                wanted = work.rule.needed(span, work.given) if work.rule and work.given else span
                needed.setdefault(tensor, []).append(wanted if made.is_stream(tensor) else ONE)
    made.work = kept[::-1]
    made.notes = list(dict.fromkeys(_notes(made.work)))
    _keep_input_(made, needed)


def _spans(work: PlannedCall, made: StreamPlan, needed: dict[StreamTensor, list[Span]]) -> Sequence[Span]:
    """Return the spans of a call's output that are computed at each step."""
    output = work.call.outputs[0]
    line = made.lines.get(output)
    if line is None:
        return [work.whole]
    made.upkeep[output] = upkeep(needed[output], line, made.hop // line.rate)
    return made.upkeep[output].computed


def _keep_input_(made: StreamPlan, needed: dict[StreamTensor, list[Span]]) -> None:
    """Plan the model's input: all that is new is there, needed or not."""
    source, window = made.graph.inputs[0], made.window
    first = min((span.start for span in needed.get(source, [])), default=window)
    fresh = Span(window - made.hop, window)
    if first < fresh.start:
        found = Upkeep(None, Span(first, fresh.start), fresh, Span(first + made.hop, window))
    else:
        found = Upkeep(None, None, fresh)
    made.upkeep[source] = found


def _notes(work: Sequence[PlannedCall]) -> Iterator[str]:
    for each in work:
        if isinstance(each.rule, WholeWindow) and each.rule.costly:
            kind = type(each.call.layer).__name__
            yield f"{each.call.path} ({kind}) is computed on all of its frames at each step: it keeps no part of them"
