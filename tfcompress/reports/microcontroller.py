"""What was proven of a file for a microcontroller, as sentences and tables: measured, planned, and estimated apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfcompress.reports import wording
from tfcompress.reports.markup import NAME, NUMBER, html_note, html_table
from tfcompress.tasks.figures import figure_kind
from tfcompress.tasks.score import Figure

ON_64_BITS = "measured on 64 bits; a 32-bit chip's tail is shorter"
_NAMED = 6
"""How many ops a sentence names."""


def micro_sentences(verification: Mapping[str, Any]) -> Iterator[tuple[str, bool | None]]:
    """Give sentences on what was proven, each with whether that is good; none of a file for another target.

    Args:
        verification: of the result, as the report holds it.
    """
    if lookup := verification.get("lookup"):
        yield lookup_text(lookup), True
        if lookup.get("tested"):
            yield f"{lookup['name']}: {score_text(lookup['tested'], 'those of the file without tables')}", None
    found = verification.get("micro")
    if not found:
        return
    yield _run(found)
    if found.get("tested"):
        yield score_text(found["tested"], "the reference kernels'"), None
    yield arena_text(found), all(taken <= most for taken, most in _limits(found) if most is not None)
    if found.get("npu"):
        yield from npu_sentences(found["npu"])


def _run(found: Mapping[str, Any]) -> tuple[str, bool | None]:
    kind = "real" if found["real_samples"] else "random"
    text = f"runs in TensorFlow Lite Micro ({found['runtime']} {found['version']}): {alike_text(found)}, {kind}"
    if found["agreement_db"] is not None:
        text += f"; {found['agreement_db']:.1f} dB to the model"
    return text, True if found["equal"] == found["samples"] else None


def lookup_text(found: Mapping[str, Any]) -> str:
    """Say what the file with look-up tables is."""
    bits = sorted({table["bits"] for table in found["tables"]})
    each = f"{bits[0]}" if len(bits) == 1 else f"{bits[0]} to {bits[-1]}"
    count = len(found["tables"])
    return (
        f"{found['name']}: {wording.size(found['size_bytes'])}, {count} kernel{'s' * (count > 1)} as look-up tables of "
        f"{each} bits, outputs equal in every bit on {found['equal_samples']:,} samples in TensorFlow Lite Micro "
        f"{found['tflite_micro']}, which alone runs it (in an arena of at least "
        f"{wording.size(found['arena_bytes'])}{_kept_text(found.get('arena'))})"
    )


def _kept_text(arena: Mapping[str, Any] | None) -> str:
    """Say what is kept of an arena; empty of a report that does not tell."""
    if not arena:
        return ""
    return f", keeps head {wording.size(arena['head_bytes'])}, tail {wording.size(arena['tail_bytes'])}"


def alike_text(found: Mapping[str, Any]) -> str:
    """Say how TFLM's answers compare with the reference kernels'."""
    if found["kernel_note"]:
        return f"{found['samples']:,} samples, not compared with the reference kernels ({found['kernel_note']})"
    equal, samples = found["equal"], found["samples"]
    if equal == samples:
        return f"outputs equal to the reference kernels' in every bit on {samples:,} samples"
    steps = found["kernel_steps"]
    apart = f"{steps:.0f} step{'s' if round(steps) > 1 else ''}" if steps else f"{found['kernel_error']:.2g}"
    text = f"outputs equal to the reference kernels' in every bit on {equal:,} of {samples:,} samples"
    return f"{text}, the others within {apart}"


def score_text(tested: Mapping[str, Any], beside: str) -> str:
    """Say how the file did on test samples there, and how many of its answers are *beside*'s in every bit."""
    figure = Figure(tested["value"], tested["low"], tested["high"], tested["unit"])
    interval = f" ({wording.interval(figure)})" if wording.interval(figure) else ""
    equal = tested["equal"]
    alike = "" if equal is None else f", {equal:,} of them equal to {beside} in every bit"
    title = figure_kind(tested["figure"]).title
    return f"{title} there {wording.figure(figure)}{interval} on {tested['samples']:,} test samples{alike}"


def arena_text(found: Mapping[str, Any]) -> str:
    """Say what the file takes of the arena and of the flash, and the limits."""
    arena, npu = found["arena"], found.get("npu")
    planned = wording.size(found["planned_arena_bytes"])
    text = (
        f"runs in an arena of {wording.size(found['least_arena_bytes'])}, keeps head "
        f"{wording.size(arena['head_bytes'])}, tail {wording.size(arena['tail_bytes'])} ({ON_64_BITS})"
        f"{_scratch_text(found)}; the tensors alone, planned from the file: {planned}"
    )
    (taken, most), (file_bytes, most_file) = _limits(found)
    if most is not None:
        what = " of Vela's SRAM" if npu else ""
        text += f"; {'within' if taken <= most else 'above'} the limit{what} of {wording.size(round(most))}"
    if most_file is not None:
        text += f"; file {'within' if file_bytes <= most_file else 'above'} {wording.size(round(most_file))} of flash"
    return text


def _scratch_text(found: Mapping[str, Any]) -> str:
    """Say what kernels take of the head beside their tensors; empty where it is not known."""
    asking = found.get("scratch")
    if asking is None:
        return ""
    if not asking:
        return ", no scratch memory of kernels"
    most = max(asking, key=lambda each: int(each["size_bytes"]))
    return f"; of the head at most {wording.size(most['size_bytes'])} are kernels' scratch memory ({most['where']})"


def _limits(found: Mapping[str, Any]) -> tuple[tuple[int, float | None], tuple[int, float | None]]:
    """Return what the file takes of the arena and of the flash, each with its limit; None: there is none."""
    npu = found.get("npu")
    arena, flash = ("sram_bytes", "file_bytes") if npu else ("least_arena_bytes", "flash_bytes")
    own = npu or found
    return (own[arena], found["most_arena_bytes"]), (own[flash], found["most_flash_bytes"])


def npu_sentences(npu: Mapping[str, Any]) -> Iterator[tuple[str, bool | None]]:
    """Give sentences on what Vela estimates, each with whether that is good."""
    dram = f", DRAM {wording.size(npu['dram_bytes'])}" if npu["dram_bytes"] else ""
    yield (
        f"estimate for {npu['accelerator']}, not measured: SRAM {wording.size(npu['sram_bytes'])}{dram}, flash "
        f"{wording.size(npu['flash_bytes'])}, compiled file {wording.size(npu['file_bytes'])}, {npu['cycles']:,} "
        f"cycles an inference ({wording.duration(npu['inference_ms'])} at {npu['clock_hz'] / 1e6:.0f} MHz; Vela "
        f"{npu['version']}, {npu['system_config']}, {npu['memory_mode']})",
        None,
    )
    left = npu["cpu_ops"]
    if not left:
        yield f"all ops run on the {npu['accelerator']}, by Vela's estimate", True
        return
    named = "; ".join(f"{op['where']}{f' ({reason})' if (reason := op['reason']) else ''}" for op in left[:_NAMED])
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    ops = "1 op stays" if len(left) == 1 else f"{len(left)} ops stay"
    yield f"{ops} on the CPU, by Vela's estimate: {named}{more}", False
    for advice in dict.fromkeys(op.get("rewrite", "") for op in left):
        if advice:
            yield f"the NPU would take another form of {_ops_of(left, advice)}: {advice}", None


def _ops_of(left: Sequence[Mapping[str, Any]], advice: str) -> str:
    """Return the kinds of ops that an advice is about."""
    return ", ".join(dict.fromkeys(str(op["op"]) for op in left if op.get("rewrite") == advice))


def widths_text(round_to: int, source: str) -> str:
    """Say which numbers of channels suit a target's kernels, and what says so."""
    return f"numbers of channels go by {round_to}{f': {source}' if source else ''}"


def micro_table(verification: Mapping[str, Any]) -> str:
    """Return the recorder's table as HTML; empty for a file of another target.

    Args:
        verification: of the result, as the report holds it.
    """
    found = verification.get("micro")
    if not found:
        return ""
    arena = found["arena"]
    rows = [
        ("the smallest arena that it runs in", wording.size(found["least_arena_bytes"]), "", ""),
        ("of it kept", wording.size(arena["total_bytes"]), "", ""),
        ("head: tensors between ops, kernels' scratch memory", wording.size(arena["head_bytes"]), "", ""),
        *(
            (f"scratch memory of {each['where']}, while it runs", wording.size(each["size_bytes"]), "", "")
            for each in found.get("scratch") or ()
        ),
        ("tail: what stays", wording.size(arena["tail_bytes"]), "", ""),
        *(
            (
                part["name"],
                wording.size(part["used_bytes"]),
                wording.size(part["requested_bytes"]),
                f"{part['allocations']:,}",
            )
            for part in arena["parts"]
        ),
        ("planned for the tensors alone, not measured", wording.size(found["planned_arena_bytes"]), "", ""),
    ]
    table = html_table(("memory", "used", "requested", "allocations"), rows, (NAME, NUMBER, NUMBER, NUMBER))
    note = f"By the recorder of TensorFlow Lite Micro, {ON_64_BITS}."
    if found.get("scratch"):
        note += " Scratch memory is that of its own kernels, each op measured alone; ops share the place of it."
    return table + html_note(note)
