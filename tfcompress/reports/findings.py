"""What a report comes down to: rows of before and after, and findings in a sentence each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_runner.flatbuffer import DATA_FREE
from edge_runner.wording import digits
from tfcompress.reports import wording
from tfcompress.reports.compression_metrics import Sides, metric_value
from tfcompress.reports.float_likeness import likeness_sentences
from tfcompress.reports.measurements import EdgeRun
from tfcompress.reports.microcontroller import micro_sentences
from tfcompress.reports.mixed_precision import mixed_sentences, planned_floats
from tfcompress.reports.report import Report
from tfcompress.reports.rungs import rung_sentences
from tfcompress.reports.score_rows import Row, both, score_rows
from tfcompress.reports.sections import ratio
from tfcompress.reports.streaming import streaming_sentences
from tfcompress.reports.trials import trial_sentences
from tfcompress.tasks.figures import figure_kind
from tfcompress.tasks.score import Difference
from tfcompress.tasks.task import Task
from tfcompress.tasks.task_table import TASKS, at_chance

SAME_MACS = 0.02
"""A ratio of multiply-accumulates this close to 1 is no change: folding and activations move them that much."""

FAR_DB = 6.0
"""Where the ratio about the mean is so much lower, half of the signal's amplitude or more is a constant."""

LEAST_SPREAD_DB = 20.0
"""A ratio about the mean below this is no agreement: the error is a tenth of the spread or more."""

_NAMED = 5
"""How many ops or layers a sentence names."""


@dataclass(frozen=True)
class Finding:
    """One sentence about the result.

    Attributes:
        topic: what it is about.
        text: the sentence.
        good: None when it is neither good nor bad.
    """

    topic: str
    text: str
    good: bool | None = None


def quantities(report: Report) -> list[Row]:
    """Return the quantities of a report, those on devices last."""
    return [*_sizes(report), *score_rows(report), *(row for run in report.edge for row in _device(run))]


def _sizes(report: Report) -> Iterator[Row]:
    source, before, after, change = report.source, report.baseline, report.result, report.comparison
    pair = (before.size_bytes if before else None, after.size_bytes)
    yield Row("file", *both(wording.size, pair), changed("smaller", "larger", change.size_ratio))
    pair = (before.gzip_bytes if before else None, after.gzip_bytes)
    yield Row("file, gzip", *both(wording.size, pair), changed("smaller", "larger", change.gzip_ratio))
    yield Row("parameters", *both(wording.count, (source.parameters, after.parameters)), "")
    fewer = changed("fewer", "more", change.parameter_ratio)
    yield Row("non-zero parameters", *both(wording.count, (source.nonzero, after.nonzero)), fewer)
    counted = wording.at_least(source.macs) if source.not_counted else wording.count(source.macs)
    yield Row("multiply-accumulates", counted, wording.count(after.macs), _fewer_macs(report))
    if after.package_bytes is not None:
        smaller = changed("smaller", "larger", metric_value("package_ratio", Sides(source, before, after)))
        yield Row("download package", "", wording.size(after.package_bytes), smaller)
    if after.kernels_entropy_bytes is not None:
        yield Row("kernels", "", wording.size(after.kernels_bytes), "")
        yield Row("kernels, entropy bound", "", wording.size(after.kernels_entropy_bytes), "")


def _fewer_macs(report: Report) -> str:
    """Return by how much the multiply-accumulates changed.

    Nothing where batch sizes or folding move them a little, and where only a part of the model's is counted.
    """
    change = report.comparison.macs_ratio
    same = change is not None and abs(change - 1) < SAME_MACS
    return "" if same or report.source.not_counted else changed("fewer", "more", change)


def changed(gain: str, loss: str, value: float | None) -> str:
    """Describe a ratio in words: a gain, or a loss where it is below 1."""
    if value is None or not value:
        return ""
    if f"{value:.3g}" == "1":
        return "the same"
    return f"{wording.times(value)} {gain}" if value > 1 else f"{wording.times(1 / value)} {loss}"


def _device(run: EdgeRun) -> Iterator[Row]:
    before, after = run.baseline, run.result
    device = run.device or run.architecture or "device"
    pair = (before.median_ms if before else None, after.median_ms)
    yield Row(f"latency on {device}", *both(wording.duration, pair), _faster(run))
    pair = (before.summary.get("p90_ms") if before else None, after.summary.get("p90_ms"))
    yield Row("latency, 90th percentile", *both(wording.duration, pair), "")
    arena = (before.planned_arena_bytes if before else None, after.planned_arena_bytes)
    if arena[1] is not None:
        yield Row("planned arena", *both(wording.size, arena), changed("smaller", "larger", ratio(*arena)))
    memory = (before.peak_memory_bytes if before else None, after.peak_memory_bytes)
    yield Row("peak memory on the device", *both(wording.size, memory), "")
    energy = (before.energy_joules if before else None, after.energy_joules)
    less = "not measured" if energy == (None, None) else changed("less", "more", ratio(*energy))
    yield Row("energy of an inference", *both(wording.joules, energy), less)


def _faster(run: EdgeRun) -> str:
    """Return how many times as fast, with its interval where there is one."""
    words, compared = changed("faster", "slower", run.speedup), run.compared
    if compared is None or compared.verdict is None or compared.low is None or compared.high is None:
        return words
    interval = f"({compared.low:.3g}..{compared.high:.3g})"
    return f"indistinguishable {interval}" if compared.verdict == "indistinguishable" else f"{words} {interval}"


def conditions(run: EdgeRun) -> str:
    """Return the conditions without which a latency means nothing."""
    options = run.environment.get("options") or {}
    warm_up = f"after {run.result.warmup_runs or 0:,} warm-up runs"
    turns = "alternating with the other files, " if options.get("interleaved") else ""
    kernels = {"XNNPACK": "XNNPACK", "none": "no delegate"}.get(run.delegate or "", "delegate not known")
    if run.environment.get("kernels") == "reference":
        kernels = "reference kernels"
    threads = f"{run.threads} thread{'s' if run.threads > 1 else ''}"
    runtime = f"{run.runtime} {run.runtime_version or ''}".strip()
    return (
        f"median of {len(run.result.samples_ns):,} inferences, {turns}{warm_up}; "
        f"{runtime}, {threads}, {kernels}; {run.cpu or 'cpu not known'}, {run.architecture}"
    )


def findings(report: Report) -> list[Finding]:
    """Return what was proven or refuted about the result."""
    return [
        *_chance(report),
        *growth(report),
        *_not_counted(report),
        *_operators(report),
        *_agreement(report),
        *(Finding("agreement", text) for text in likeness_sentences(report.result.verification)),
        *_verdicts(report),
        *_promises(report),
        *_limit(report),
        *_runtimes(report),
        *_packings(report),
        *(Finding("microcontroller", text, good=good) for text, good in micro_sentences(report.result.verification)),
        *(Finding("streaming", text, good=good) for text, good in streaming_sentences(report.result.verification)),
        *(Finding("mixed", text) for text in mixed_sentences(report.result.verification)),
        *(Finding("warning", text, good=False) for text in report.warnings),
        *(
            Finding("warning", text, good=False)
            for run in report.edge
            for text in (*run.warnings, *run.result.warnings)
        ),
    ]


def ranges_without_data(report: Report) -> str:
    """Return how the ranges of an int8 file were chosen that no sample was seen for; empty: of any other file."""
    told = str(report.result.verification.get("calibration") or "")
    return told if told.startswith(DATA_FREE) else ""


def growth(report: Report) -> Iterator[Finding]:
    """Say that the file is larger than the float file, where it is."""
    larger = report.comparison.size_ratio
    if larger is not None and f"{larger:.3g}" != "1" and larger < 1:
        yield Finding("size", f"the file is {changed('smaller', 'larger', larger)} than the float file", good=False)


def _not_counted(report: Report) -> Iterator[Finding]:
    """Say why multiply-accumulates are not known, or only of a part: then no ratio of them is shown, either."""
    topic, left = "multiply-accumulates", report.source.not_counted
    if left:
        names = ", ".join(left[:_NAMED]) + (f" and {len(left) - _NAMED:,} more" if len(left) > _NAMED else "")
        yield Finding(topic, f"those of {names} in the model are not counted")
    if note := report.result.verification.get("macs_note"):
        yield Finding(topic, f"those of the file are not known: {note}")


def _operators(report: Report) -> Iterator[Finding]:
    found = report.result.verification
    ops = sum(report.result.operators.values())
    if "float_ops" not in found or not ops:
        return
    left = list(found["float_ops"])
    if left and len(left) == planned_floats(found):
        yield Finding("ops", f"{len(left)} of {ops} compute in float, as planned: {', '.join(left[:_NAMED])}")
    elif left:
        yield Finding("ops", f"{len(left)} of {ops} compute in float: {', '.join(left[:_NAMED])}", good=False)
    elif report.result.quantize in ("int8", "int16x8"):
        yield Finding("ops", _integer_ops(ops, found.get("ops_by_dtype") or {}, report.result.quantize), good=True)
    else:
        scheme = "float32" if report.result.quantize == "none" else report.result.quantize
        yield Finding("ops", f"{ops}, {scheme} as asked", good=True)


def _integer_ops(ops: int, by_dtype: Mapping[str, int], scheme: str) -> str:
    """Say how many ops compute in the scheme's integers, as ``inspect`` counts; others compare, index or convert."""
    dtype = {"int16x8": "int16"}.get(scheme, scheme)
    quantized = by_dtype.get(dtype, 0)
    if not by_dtype:
        return f"none of {ops} computes in float"
    if quantized == ops:
        return f"all {ops} are {scheme}"
    rest = ", ".join(f"{count} {other}" for other, count in by_dtype.items() if other != dtype)
    return f"{quantized} of {ops} output {dtype}, the others {rest}; none computes in float"


def _packings(report: Report) -> Iterator[Finding]:
    found = report.result.verification
    if ranges_without_data(report):
        yield Finding("ranges", ranges_without_data(report), good=False)
    elif found.get("calibration"):
        yield Finding("ranges", f"chosen by {found['calibration']}")
    yield from (Finding("ranges", text) for text in trial_sentences(found))
    for packing in found.get("packings") or ():
        if packing["dropped"]:
            yield Finding("bytes", f"{packing['name']} was left out: {packing['dropped']}", good=False)
            continue
        before, saved = packing["before_bytes"], packing["before_bytes"] - packing["after_bytes"]
        share = wording.percent(saved / before, 1)
        where = ", ".join(packing["proven_in"])
        text = f"{packing['name']} took {saved:,} of {before:,} bytes ({share}) away; outputs bit-equal in {where}"
        yield Finding("bytes", text, good=True)


def _agreement(report: Report) -> Iterator[Finding]:
    found = report.result.verification
    kind = "real" if found.get("real_samples") else "random"
    yield from _exactness(report, kind)
    if note := found.get("kernel_note"):
        yield Finding("agreement", note, good=False)
    for output in found.get("agreement") or ():
        parts, (ratio, fine) = [], _ratio(output)
        if ratio:
            parts.append(ratio)
        if output.get("top1") is not None and _has_classes(report, str(output.get("name"))):
            parts.append(f"the same top-1 on {wording.percent(output['top1'], 1)}")
        elif output.get("top1") is not None and not ratio:  # whole numbers
            parts.append(f"equal in {wording.percent(output['top1'], 1)} of the values")
        if output.get("cosine") is not None and _teaching(report, str(output.get("name"))) == "directions":
            parts.append(f"a mean cosine of {output['cosine']:.5f}")
        if output.get("near") is not None:
            parts.append(f"{wording.percent(output['near'], 2)} of the values at most 2 steps apart")
        if output.get("distinct") is not None and _teaching(report, str(output.get("name"))) == "numbers":
            parts.append(f"{output['distinct']:,} different values")
        if parts:
            given = report.source.kind_words
            text = f"{output.get('name')} against the {given}, {found.get('samples')} {kind} samples: "
            yield Finding("agreement", text + ", ".join(parts), good=fine)


def _ratio(output: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the ratio of signal to noise of an output in words, and whether the signal stands out.

    Where a constant is most of the signal (values far from zero that differ by little) what counts is the ratio about
    the mean.
    """
    whole, spread = output.get("sqnr_db"), output.get("spread_db")
    if whole is None:
        return "", True
    if spread is None or whole - spread < FAR_DB:
        return f"{whole:.1f} dB", True
    return f"{spread:.1f} dB about its mean ({whole:.1f} dB with it)", spread >= LEAST_SPREAD_DB


def _has_classes(report: Report, output: str) -> bool:
    """Whether the largest value of an output is a class, as far as its labels are known."""
    task = _task(report, output)
    return task is None or task.has_classes


def _teaching(report: Report, output: str) -> str | None:
    """Return what an output is to a model that learns from it; None where its task is not known."""
    task = _task(report, output)
    return None if task is None else task.teaching


def _task(report: Report, output: str) -> Task | None:
    names: Mapping[str, Any] = (report.data or {}).get("tasks") or {}
    only = next(iter(names.values())) if len(names) == 1 else None
    return TASKS.get(names.get(output, only) or "")


def _exactness(report: Report, kind: str) -> Iterator[Finding]:
    """Say how the file compares with the model where both are computed in integers."""
    found: Mapping[str, Any] = report.result.verification.get("exact") or {}
    if found.get("equal") is None:
        return
    parts = [f"{wording.percent(found['equal'], 2)} of the values equal"]
    for output in found["agreement"]:
        if output["top1"] is not None and _has_classes(report, str(output["name"])):
            parts.append(f"the same top-1 of {output['name']} on {wording.percent(output['top1'], 1)}")
        parts.append(f"{wording.percent(output['near'], 2)} at most 2 steps apart")
    parts += [f"the runtime's own two kernels: {wording.percent(k['near'], 2)}" for k in found["kernels"]]
    unknown = f"; not exact in {', '.join(found['rounded'])}" if found["rounded"] else ""
    text = f"file against the model in integers, {found['samples']:,} {kind} samples: {', '.join(parts)}{unknown}"
    yield Finding("agreement", text, good=found["near"])


def _chance(report: Report) -> Iterator[Finding]:
    """Warn where the float model itself does no better than a constant: then little else here means much."""
    score = report.baseline.score if report.baseline else report.result.score
    constant = at_chance(score) if score else None
    if score is None or score.chance is None or constant is None:
        return
    main, title = score.main_figure, figure_kind(score.main).title
    interval = f" ({wording.interval(main)})" if wording.interval(main) else ""
    level = wording.figure(dataclasses.replace(main, value=score.chance))
    yield Finding(
        title,
        f"the {'float ' if report.baseline else ''}model itself does no better than {constant}: "
        f"{wording.figure(main)}{interval} against {level} on {score.samples:,} samples; "
        "check the labels, their order and the preprocessing (--scale) before anything else",
        good=False,
    )


def _verdicts(report: Report) -> Iterator[Finding]:
    several, main = report.comparison.outputs, report.comparison.main
    for name, found in several.items() if several else [("", main)]:
        if found is not None and found.verdict is not None:
            yield _verdict(name, found)


def _verdict(output: str, found: Difference) -> Finding:
    title, span = figure_kind(found.figure).title, wording.difference_interval(found)
    test = f"{wording.probability(found.p)}, {found.test}"
    between = f", between {span}" if span else ""
    if found.verdict in ("better", "worse"):
        text = f"significantly {found.verdict} than float{between} ({test})"
    elif found.verdict == "same":
        text = f"no significant difference from float{between} ({test})"
    else:
        text = f"cannot tell whether it differs from float{between} ({test})"
        text += "" if not span else "; more test samples would tell"
    good = {"better": True, "same": True, "worse": False}.get(str(found.verdict))
    return Finding(f"{output}: {title}" if output else title, text, good=good)


def _promises(report: Report) -> Iterator[Finding]:
    for what in dict.fromkeys(promise.what for promise in report.result.promises):
        kept = [promise for promise in report.result.promises if promise.what == what]
        got = [promise.got for promise in kept if isinstance(promise.got, int | float)]
        asked = ", ".join(dict.fromkeys(_number(promise.asked) for promise in kept))
        span = f", got {_number(min(got))} to {_number(max(got))}" if got else ""
        layers = f"{len(kept)} layer{'s' if len(kept) > 1 else ''}"
        yield Finding("promise", f"{what} kept in {layers}: requested {asked}{span}", good=True)


def _limit(report: Report) -> Iterator[Finding]:
    """Say which way loses no more than may be lost, and how the others did."""
    for text in rung_sentences(report.result.verification.get("promise") or {}):
        yield Finding("drop", text, good=True if text.startswith("at most") else None)


def _number(value: object) -> str:
    return digits(value, 4) if isinstance(value, float) else str(value)


def _runtimes(report: Report) -> Iterator[Finding]:
    for good, words in ((True, ("runs", "should run")), (False, ("refuses", "should refuse"))):
        for word in words:
            found: dict[tuple[str, str], list[str]] = {}
            for runtime in report.result.runtimes:
                if runtime.verdict == word:
                    found.setdefault((runtime.how, runtime.reason), []).append(f"{runtime.runtime} {runtime.version}")
            for (how, reason), names in found.items():
                verdict = word.removesuffix("s") if len(names) > 1 and word in ("runs", "refuses") else word
                why = f": {reason}" if reason else ""
                yield Finding("runtime", f"{', '.join(names)} {verdict} it ({how}){why}", good=good)
