"""What was proven of a streaming file, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_runner.wording import digits
from tfcompress.reports import wording
from tfcompress.reports.microcontroller import lookup_text, npu_sentences
from tfcompress.tasks.figures import figure_kind
from tfcompress.tasks.score import Figure


def streaming_sentences(verification: Mapping[str, Any]) -> Iterator[tuple[str, bool | None]]:
    """Give sentences on the streaming file, each with whether that is good; none where there is none.

    Args:
        verification: of the result, as the report holds it.
    """
    found = verification.get("streaming")
    if not found:
        return
    yield _about(found), None
    yield _work(found), None
    whole, written = found["whole"], found["written"]
    kind = "real" if found["real_samples"] else "random"
    what = "a file of the whole window with the same numbers" if written else "the file of the whole window"
    yield f"fed frame by frame ({kind} windows): {alike(whole, what)}", _good(whole)
    if written:
        yield (
            f"the file of the whole window written beside it has other numbers: {alike(written, 'that file')}",
            _good(written),
        )
    if found["micro"]:
        micro = found["micro"]
        beside = alike(micro["reference"], "the reference kernels")
        told = f" (states of {wording.size(micro['state_bytes'])} among it)" if micro["state_bytes"] else ""
        yield (
            f"in TensorFlow Lite Micro {micro['version']}: {beside}; runs in an arena of "
            f"{wording.size(micro['least_arena_bytes'])}{told}",
            _good(micro["reference"]),
        )
    if found.get("npu"):
        yield from ((f"a step: {text}", good) for text, good in npu_sentences(found["npu"]))
    if found.get("lookup"):
        yield lookup_text(found["lookup"]), True
    if found["tested"]:
        yield _tested(found["tested"]), None


def _good(found: Mapping[str, Any]) -> bool | None:
    """Return whether all answers are equal; None: the others were let pass, as near as rounding is."""
    return True if found["equal"] == found["windows"] else None


def _about(found: Mapping[str, Any]) -> str:
    count = len(found["states"])
    who = "the file keeps" if found["kept"] == "internal" else "the caller keeps"
    states = f"{who} {count} state{'s' * (count != 1)} of {wording.size(found['state_bytes'])}"
    return (
        f"{found['name']}: {wording.size(found['size_bytes'])}, takes {_frames(found['hop'])} of a window of "
        f"{found['window']} at a time; {states if count else 'no state'}; answers are right from step "
        f"{found['first_answer']} on ({_frames(found['frames_seen'])})"
    )


def _frames(count: int) -> str:
    return f"{count:,} frame{'s' * (count != 1)}"


def _work(found: Mapping[str, Any]) -> str:
    step, whole = found["macs"], found["whole_macs"]
    if not step or not whole:
        return "multiply-accumulates of a step: not known"
    times = digits(whole / step, 3)
    return f"a step takes {step:,} multiply-accumulates, the whole window {whole:,}: {times} times as many"


def alike(found: Mapping[str, Any], what: str) -> str:
    """Say how answers compare with others'.

    Args:
        found: the comparison.
        what: gave the others.
    """
    equal, windows = found["equal"], found["windows"]
    if equal == windows:
        return f"answers equal to those of {what} in every bit on {windows:,} windows"
    apart = (
        f"{found['steps']:.0f} step{'s' * (round(found['steps']) > 1)}" if found["steps"] else f"{found['error']:.2g}"
    )
    return (
        f"answers equal to those of {what} in every bit on {equal:,} of {windows:,} windows, the others within {apart}"
    )


def _tested(tested: Mapping[str, Any]) -> str:
    figure = Figure(tested["value"], tested["low"], tested["high"], tested["unit"])
    interval = f" ({wording.interval(figure)})" if wording.interval(figure) else ""
    title = figure_kind(tested["figure"]).title
    return (
        f"{title} frame by frame {wording.figure(figure)}{interval} on {tested['samples']:,} test samples "
        f"({tested['runtime']})"
    )
