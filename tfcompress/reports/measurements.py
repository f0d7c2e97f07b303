"""What edge_runner measured of a report's files: frozen values, their units in their names."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_runner.summary import median, percentile
from tfcompress.reports import wording
from tfcompress.reports.sections import ratio
from tfcompress.tasks.score import Score


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One file as edge_runner measured it.

    Attributes:
        sha256: of the file that was measured.
        samples_ns: every timed inference, in nanoseconds.
        blocks: how many of them each turn took; turns of files measured together alternate, those in which the
            machine was throttled left out.
        summary: edge_runner's statistics of them: ``median_ms``, ``p90_ms``, …
        load_ms: opening the file and allocating its tensors.
        first_ms: first inference.
        warmup_runs: untimed inferences before the timed ones.
        peak_memory_bytes: of a fresh process that opened and ran it.
        planned_arena_bytes: what the file's tensors need at once, computed from the file and not measured.
        energy_joules: of one inference, measured; an assumed power makes none.
        score: on the device's data; None without data, and for a model of several scored outputs.
        warnings: what to know before trusting these numbers.
        op_ms: median time of each op of the main subgraph, cut out and run alone; None: that one could not be timed.
            Empty: ``--per-op`` was not asked for.
    """

    sha256: str
    samples_ns: tuple[int, ...] = field(repr=False)
    summary: Mapping[str, float | None]
    blocks: tuple[int, ...] = field(default=(), repr=False)
    load_ms: float | None = None
    first_ms: float | None = None
    warmup_runs: int | None = None
    peak_memory_bytes: int | None = None
    planned_arena_bytes: int | None = None
    energy_joules: float | None = None
    score: Score | None = None
    warnings: tuple[str, ...] = ()
    op_ms: tuple[float | None, ...] = field(default=(), repr=False)

    @property
    def median_ms(self) -> float | None:
        """Median latency."""
        return self.summary.get("median_ms")

    @property
    def turn_medians_ns(self) -> list[float]:
        """Median latency of each turn, in nanoseconds."""
        return self.turn_percentiles_ns(0.5)

    def turn_percentiles_ns(self, fraction: float) -> list[float]:
        """Return for each turn the latency, in nanoseconds, below which *fraction* of its inferences lie."""
        ends = list(itertools.accumulate(self.blocks))
        turns = (self.samples_ns[end - count : end] for end, count in zip(ends, self.blocks, strict=True) if count)
        return [percentile(sorted(turn), fraction) for turn in turns]


def faster(before: Measurement | None, after: Measurement | None) -> float | None:
    """Return how many times faster *after* is than *before*, both from one run; None unless both were measured.

    Files measured in turns are compared turn by turn, and the median of those ratios is taken: what slows the machine
    for a while slows both sides of a turn, but may fall on one side of the whole run's medians.
    """
    if before is None or after is None:
        return None
    pair = before.turn_medians_ns, after.turn_medians_ns
    if len(pair[0]) != len(pair[1]) or len(pair[0]) < 2:
        return ratio(before.median_ms, after.median_ms)
    return median([one / other for one, other in zip(*pair, strict=True) if other])


@dataclass(frozen=True, kw_only=True)
class Compared:
    """How much faster than its float file a result is, as edge_runner found it over several processes.

    Attributes:
        ratio: how many times as fast.
        low: lower end of its interval.
        high: upper end.
        confidence: of the interval.
        verdict: ``faster``, ``slower`` or ``indistinguishable``; None when there was one process only.
    """

    ratio: float
    low: float | None
    high: float | None
    confidence: float
    verdict: str | None


@dataclass(frozen=True, kw_only=True)
class EdgeRun:
    """One run of edge_runner on one device, restricted to this report's files.

    Attributes:
        created_utc: when.
        device: board or host.
        cpu: the processor.
        architecture: the machine's.
        runtime: the interpreter.
        runtime_version: its version.
        delegate: what ran the kernels.
        threads: how many.
        environment: everything else that edge_runner wrote about the device.
        result: the result file's measurement.
        baseline: the float file's, from the same run (interleaved), if it was measured.
        compared: the result against the baseline, where edge_runner compared them.
        warnings: about the run as a whole.
    """

    created_utc: str
    device: str | None
    cpu: str | None
    architecture: str | None
    runtime: str
    runtime_version: str | None
    delegate: str | None
    threads: int
    environment: Mapping[str, Any]
    result: Measurement
    baseline: Measurement | None = None
    compared: Compared | None = None
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Say in a line what was measured where: ``EdgeRun(Raspberry Pi 4: 0.203 ms, litert 2.1.3, 1 thread)``."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        where, runtime = self.device or self.architecture, f"{self.runtime} {self.runtime_version or ''}".strip()
        return f"EdgeRun({where}: {wording.duration(self.result.median_ms)}, {runtime}, {threads})"

    @property
    def speedup(self) -> float | None:
        """How many times faster than the float file the result is; None unless both ran in this run."""
        return self.compared.ratio if self.compared and self.baseline else faster(self.baseline, self.result)

    @property
    def conditions(self) -> str:
        """Say on what, and by what, it was measured, in a line: what is to be compared has the same."""
        kernels = self.environment.get("kernels") or "default"
        by = "reference kernels" if kernels == "reference" else self.delegate or "delegate not known"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        runtime = f"{self.runtime} {self.runtime_version or ''}".strip()
        return f"{self.device or self.cpu or self.architecture or 'device not known'}, {runtime}, {threads}, {by}"


@dataclass(frozen=True, kw_only=True)
class OpTime:
    """How long one op takes, cut out of its file and run alone.

    Attributes:
        op: its name.
        output: name of the tensor that it makes.
        median_ms: its time; None: it could not be timed.
        share: of the sum over the ops that could.
        reason: why not; None where it was.
    """

    op: str
    output: str
    median_ms: float | None = None
    share: float | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class PerOp:
    """The ops of a file as edge_runner timed them, in the file's order.

    Attributes:
        method: how.
        sum_ms: of all that could be timed.
        whole_ms: an inference of the whole file, in the same turns.
        nodes: one entry an op.
    """

    method: str
    sum_ms: float | None
    whole_ms: float | None
    nodes: tuple[OpTime, ...]


@dataclass(frozen=True, kw_only=True)
class MeasuredFile:
    """A file in a document of edge_runner, whether or not there is a report of it.

    Attributes:
        name: of the file.
        size_bytes: of the file.
        run: what was measured, without a float file beside it.
        per_op: time by op; None: not asked for.
    """

    name: str
    size_bytes: int | None
    run: EdgeRun
    per_op: PerOp | None = None
