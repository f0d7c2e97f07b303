"""The stage that leaves out blocks: from a model and what is asked to a shorter model of the same kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from tfcompress.blocks.bypassing import bypass_of, cost_of, without
from tfcompress.blocks.centres import shrink_kernels
from tfcompress.blocks.finding import Block, BlockAnalysis, find_blocks
from tfcompress.blocks.gating import InputArrays, distance, gated_distances, outputs_of
from tfcompress.blocks.refitting import cross_moments, readers_behind, refit_
from tfcompress.channels.cost import Cost
from tfcompress.channels.removal_plan import Measure
from tfcompress.channels.statistics import renew_
from tfcompress.errors import DataError, UnsupportedError, UsageError, nearest
from tfcompress.models.copies import check_graph, model_copy, set_weights_
from tfcompress.models.samples import Samples
from tfcompress.models.scope import check_scope, in_scope, listed
from tfcompress.progress import SILENT, Progress
from tfcompress.recipe import Blocks
from tfcompress.stages.rewriting import NEAR, RewritingContext, Rewritten

LOOKED_AT = 512
"""Samples that blocks are judged on, at most, and as many others that what stays is fitted on."""

MOST_NUMBERS = 20_000_000
"""Of outputs that are kept at once: of large ones, masks say, fewer samples are looked at."""

FINALISTS = 6
"""Blocks that are really left out, one at a time, with what stays fitted; of more, those that seem to cost least."""

TRACE = 1e-6
"""Added to how far outputs move, so that of blocks that change nothing the largest goes first."""

_UNITS = {"macs": "multiply-accumulates", "parameters": "parameters", "latency": "latency"}


@dataclass(frozen=True)
class BlocksResult:
    """What the stage came to.

    Attributes:
        model: the shorter model, not compiled.
        gone: names of the blocks that were left out, in that order.
        moved: how far the outputs moved on samples that nothing was fitted on; see
            :func:`~tfcompress.blocks.gating.distance`.
        before: cost of the model that was given.
        after: cost of the shorter model.
        removed: fraction of what was asked to shrink that is gone, counted from the original.
        notes: sentences for the report.
    """

    model: Any
    gone: tuple[str, ...]
    moved: float
    before: Cost
    after: Cost
    removed: float
    notes: tuple[str, ...]


def rewrite(model: Any, stage: Blocks, context: RewritingContext) -> Rewritten:
    """Leave out blocks as a stage of a run; see :func:`leave_out_blocks`."""
    found = leave_out_blocks(
        model,
        stage,
        samples=context.samples,
        measure=context.latency_ratio,
        left=context.left,
        seed=context.seed,
        progress=context.progress,
    )
    return Rewritten(found.model, found.notes, 1.0 - found.removed)


def check_removable(model: Any, stage: Blocks) -> None:
    """Refuse a model without blocks, or with fewer than are to go.

    Args:
        model: a functional or sequential Keras 3 model.
        stage: what would be asked.

    Raises:
        UsageError: more is asked than there is; a scope that matches nothing.
        UnsupportedError: there is nothing.
    """
    check_graph(model)
    _Asked(model, 1.0, stage).check(model)


def leave_out_blocks(
    model: Any,
    stage: Blocks,
    *,
    samples: Samples | None,
    measure: Measure | None = None,
    left: float = 1.0,
    seed: int = 0,
    progress: Progress = SILENT,
) -> BlocksResult:
    """Leave out the blocks without which a model's outputs move least, one after another.

    Every block is tried by letting its entry, scaled and shifted by channel, stand for its exit; the best few are
    really left out, the layers behind them fitted to what they read then, and BatchNormalization's averages taken anew
    where that brings the outputs nearer. Half of the samples are fitted on, the others judge.

    Args:
        model: a functional or sequential Keras 3 model; it stays as it is.
        stage: what is asked. Its ``cycles`` do not count here: call once a cycle, with one of its ``parts``.
        samples: representative data; labels are not looked at.
        measure: gives the ratio of latencies of a smaller model and a larger one, for ``of="latency"``.
        left: share that earlier cycles left, of which ``target`` counts.
        seed: of everything random.
        progress: where progress goes.

    Raises:
        DataError: there are no samples.
        UsageError: more is asked than can go, a scope that matches nothing, a latency without *measure*.
        UnsupportedError: the model has no block that can be left out, or no graph.
    """
    check_graph(model)
    if stage.of == "latency" and stage.target is not None and measure is None:
        msg = "blocks.of must be 'macs' or 'parameters' where no latency can be measured, got 'latency'"
        raise UsageError(msg)
    if samples is None or not samples.inputs:
        msg = "blocks needs samples to find which block costs least, got none; give training data"
        raise DataError(msg)
    plan = _Plan(model, left, stage, measure, dict(samples.inputs), seed, progress)
    return plan.done()


def leave_out_named(model: Any, names: Sequence[str], samples: Samples, *, seed: int = 0) -> Any:
    """Leave out blocks by their names, what stays fitted as in :func:`leave_out_blocks`.

    Args:
        model: a functional or sequential Keras 3 model; it stays as it is.
        names: of blocks of :func:`~tfcompress.blocks.finding.find_blocks`, of which none lies in another one.
        samples: representative data.
        seed: of everything random.

    Raises:
        UsageError: a block that is not there, or no longer.
    """
    plan = _Plan(model, 1.0, Blocks(remove=len(names)), None, dict(samples.inputs), seed, SILENT)
    return plan.without_named(model, names)


@dataclass(eq=False)
class _Asked:
    """What is asked of a model, and whether there is as much."""

    model: Any
    left: float
    stage: Blocks

    def __post_init__(self) -> None:
        self.of = "macs" if self.stage.of == "latency" else self.stage.of
        self.whole = self._amount(self.model) / self.left

    def _amount(self, model: Any, blocks: Sequence[Block] = ()) -> float:
        cost = cost_of(model, bypass_of(blocks))
        return float(cost.macs if self.of == "macs" else cost.parameters)

    def _allowed(self, found: BlockAnalysis) -> list[Block]:
        return [block for block in found.blocks if all(in_scope(path, self.stage.scope) for path in block.layers)]

    def check(self, model: Any) -> None:
        """Refuse what cannot be, before anything is measured.

        Raises:
            UsageError: more is asked than there is; a scope that matches nothing.
            UnsupportedError: there is nothing.
        """
        stage, found = self.stage, find_blocks(model)
        blocks = self._allowed(found)
        known = [path for block in found.blocks for path in block.layers]
        if known:
            check_scope("blocks", stage.scope, known, "layer of a block")
        if not blocks:
            reasons = [f"{path!r} {reason}" for path, reason in found.fixed.items()]
            why = "no block lies whole in blocks.scope" if found.blocks else listed(reasons) or "it has no kernels"
            msg = f"blocks finds nothing that can be left out of model {model.name!r} ({why})"
            raise UnsupportedError(msg, "leave blocks out")
        if stage.target is None and stage.remove > len(blocks):
            self._refuse_number(len(blocks), blocks)
        least = self._amount(model, blocks)
        if stage.target is not None and stage.of != "latency" and least > (1.0 - stage.target + NEAR) * self.whole:
            self._refuse_target(1.0 - least / self.whole)

    def _refuse_number(self, most: int, left: Sequence[Block]) -> NoReturn:
        names = listed([repr(block.name) for block in left])
        held = f" ({names})" if left else ""
        msg = f"blocks.remove must be at most {most} in model {self.model.name!r}{held}, got {self.stage.remove}"
        raise UsageError(msg)

    def _refuse_target(self, most: float) -> NoReturn:
        msg = (
            f"blocks.target must be at most {np.floor(1000 * max(most, 0.0)) / 1000:g} of the {_UNITS[self.stage.of]} "
            f"of this model, got {self.stage.target:g}; ask for less, or have channels removed as well"
        )
        raise UsageError(msg)


@dataclass(eq=False)
class _Plan(_Asked):
    """One removal: what is asked, and what has gone so far."""

    measure: Measure | None
    inputs: InputArrays
    seed: int
    progress: Progress

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = sum(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in self.model.outputs)
        most = min(LOOKED_AT, max(16, MOST_NUMBERS // numbers))
        first = 0 if len(next(iter(self.inputs.values()))) < 2 else 1
        self.fitted_on = {name: values[::2][:most] for name, values in self.inputs.items()}
        self.judged_on = {name: values[first::2][:most] for name, values in self.inputs.items()}
        self.reference = outputs_of(self.model, self.judged_on)

    def done(self) -> BlocksResult:
        """Cut the kernels, then leave out one block after another.

        Raises:
            UsageError: more is asked than can go.
            UnsupportedError: nothing of it can be done.
        """
        current = self.model
        notes: list[str] = []
        if self.stage.shrink_kernels is not None:
            with self.progress.task("cutting kernels"):
                current, notes = shrink_kernels(current, self.stage.shrink_kernels, self.stage.scope)
                self._improved(current, self._moved(current), self._renew)
        start, gone = current, list[Block]()
        if not self._reached(start, gone):
            self.check(start)
        with self.progress.task("leaving out blocks") as task:
            while not self._reached(current, gone):
                blocks = self._allowed(find_blocks(current))
                if not blocks:
                    self._run_out(current, gone)
                block, current = self._next(current, blocks)
                gone.append(block)
                task.describe(f"without {listed(each.name for each in gone)}")
            needed = self._needed(start, gone)
            if len(needed) < len(gone):
                current, gone = self.without_named(start, needed), [b for b in gone if b.name in needed]
        return self._result(model_copy(current) if current is self.model else current, gone, notes)

    def _needed(self, start: Any, gone: Sequence[Block]) -> list[str]:
        """Return the names of the blocks that a target takes, without those that later, larger ones made needless."""
        names = [block.name for block in gone]
        if self.stage.target is None or self.stage.of == "latency":
            return names
        blocks = {block.name: block for block in find_blocks(start).blocks}
        goal = (1.0 - self.stage.target + NEAR) * self.whole
        for name in list(names):
            rest = [other for other in names if other != name]
            if all(other in blocks for other in rest) and self._amount(start, [blocks[n] for n in rest]) <= goal:
                names = rest
        return names

    def without_named(self, model: Any, names: Sequence[str]) -> Any:
        """Leave out these blocks, one after another.

        Raises:
            UsageError: a block that is not there.
        """
        for name in names:
            found = {block.name: block for block in find_blocks(model).blocks}
            if name not in found:
                msg = f"model {model.name!r} has no block {name!r} that can be left out{nearest(name, found)}"
                raise UsageError(msg)
            model, _ = self._fitted(model, found[name])
        return model

    def _reached(self, current: Any, gone: Sequence[Block]) -> bool:
        target = self.stage.target
        if target is None:
            return len(gone) >= self.stage.remove
        return self._ratio(current) <= 1.0 - target + NEAR

    def _ratio(self, current: Any) -> float:
        """Return the share of what is to shrink that a model has left, counted from before the first cycle."""
        if self.stage.target is None or self.stage.of != "latency" or self.measure is None:
            return self._amount(current) / self.whole
        return self.left if current is self.model else self.left * self.measure(self.model, current)

    def _run_out(self, current: Any, gone: Sequence[Block]) -> NoReturn:
        if self.stage.target is None:
            self._refuse_number(len(gone), ())
        self._refuse_target(1.0 - self._ratio(current))

    def _next(self, current: Any, blocks: Sequence[Block]) -> tuple[Block, Any]:
        """Return the block that goes next, and the model without it."""
        here = self._amount(current)
        saved = {block.name: here - self._amount(current, [block]) for block in blocks}
        needed = here if self.stage.target is None else max(here - (1.0 - self.stage.target) * self.whole, 1.0)

        def price(block: Block, moved: float) -> tuple[float, float]:
            """How far the outputs move; where a part is to go, for each unit of it that the block takes away."""
            share = 1.0 if self.stage.target is None else max(min(saved[block.name], needed), 1e-9)
            return (moved + TRACE) / share, -saved[block.name]

        finalists = list(blocks)
        if len(blocks) > FINALISTS:
            moved = gated_distances(current, blocks, self.judged_on)
            order = sorted(range(len(blocks)), key=lambda number: price(blocks[number], moved[number]))
            finalists = [blocks[number] for number in order[:FINALISTS]]
        shorter = {block.name: self._fitted(current, block) for block in finalists}
        best = min(finalists, key=lambda block: price(block, shorter[block.name][1]))
        return best, shorter[best.name][0]

    def _fitted(self, current: Any, block: Block) -> tuple[Any, float]:
        """Return a model without a block, fitted as far as that helps, and how far its outputs moved."""
        shorter = without(current, [block])
        moved = self._moved(shorter)
        if moved == 0.0:
            return shorter, moved

        def refit(model: Any) -> int:
            paths = readers_behind(current, [block.exit])
            return refit_(model, cross_moments(self.model, model, self.fitted_on, paths))

        moved = self._improved(shorter, moved, refit)
        return shorter, self._improved(shorter, moved, self._renew)

    def _renew(self, model: Any) -> int:
        return renew_(model, self.fitted_on, seed=self.seed)

    def _improved(self, model: Any, moved: float, change: Callable[[Any], int]) -> float:
        """Change a model, and take that back unless its outputs come nearer; return how far they are."""
        before = model.get_weights()
        if not change(model):
            return moved
        now = self._moved(model)
        if now < moved:
            return now
        set_weights_(model, before)
        return moved

    def _moved(self, model: Any) -> float:
        return distance(self.reference, outputs_of(model, self.judged_on))

    def _result(self, model: Any, gone: Sequence[Block], more: Sequence[str]) -> BlocksResult:
        stage, before, after = self.stage, cost_of(self.model), cost_of(model)
        removed = 1.0 - self._ratio(model)
        moved = self._moved(model)
        notes = []
        if gone:
            names = listed([f"{block.name!r} ({block.kind})" for block in gone])
            asked = "" if stage.target is None else f" ({stage.target:.1%} asked)"
            notes.append(
                f"blocks: left out {names}: {removed:.1%} of the {_UNITS[stage.of]} of the original{asked}; "
                f"{before.macs:,} → {after.macs:,} multiply-accumulates, "
                f"{before.parameters:,} → {after.parameters:,} parameters; before any training the outputs move by "
                f"{moved:.1%} of their variance"
            )
        if stage.target is not None and gone and abs(removed - stage.target) > NEAR:
            off = abs(removed - stage.target)
            notes.append(f"blocks: {off:.1%} off what was asked: a block goes whole or not at all")
        left_out = tuple(block.name for block in gone)
        return BlocksResult(model, left_out, moved, before, after, removed, (*more, *notes))
