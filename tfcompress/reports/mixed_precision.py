"""What mixed precision chose, and how its plans did, as tables and sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfcompress.reports import wording
from tfcompress.reports.markup import NAME, NUMBER, html_note, html_table

_NAMED = 5
"""How many layers a sentence names."""
_PLAN_HEAD = (
    "plan",
    "predicted",
    "measured",
    "changed top-1, predicted",
    "changed top-1",
    "predicted bytes",
    "bytes",
    "predicted time",
    "time",
    "",
)
_LAYER_HEAD = ("layer", "op", "chosen", "what each precision adds to the noise", "bytes", "not to be had")


def planned_floats(verification: Mapping[str, Any]) -> int:
    """Return how many ops of a file were chosen to compute in float."""
    found = verification.get("mixed") or {}
    return sum(layer["chosen"] == "float" for layer in found.get("layers") or ())


def plan_rows(verification: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for the plain int8 file and for each plan: what was predicted of it, and what was measured.

    Args:
        verification: of the result, as the report holds it.
    """
    found = verification.get("mixed") or {}
    return [
        (
            _plan_name(plan),
            f"{plan['predicted_db']:.1f} dB",
            wording.NONE if plan["agreement_db"] is None else f"{plan['agreement_db']:.1f} dB",
            _changed(plan.get("predicted_top1")),
            _changed(plan["top1"]),
            wording.size(plan["predicted_bytes"]),
            wording.size(plan["size_bytes"]),
            wording.duration(plan["predicted_ms"]),
            wording.duration(plan["latency_ms"]),
            "kept" if plan["chosen"] else str(plan["refusal"]),
        )
        for plan in found.get("plans") or ()
    ]


def _changed(top1: float | None) -> str:
    """Return how many answers are others, in points."""
    return wording.NONE if top1 is None else f"{100 * (1 - top1):.1f} pt"


def choice_rows(verification: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each op whose numbers could be chosen: what was chosen, and what each precision costs.

    Args:
        verification: of the result, as the report holds it.
    """
    found = verification.get("mixed") or {}
    return [
        (
            str(layer["layer"]),
            str(layer["op"]),
            str(layer["chosen"]),
            ", ".join(f"{name} {noise:.2g}" for name, noise in layer["noise"].items()),
            ", ".join(f"{name} {size:+,}" for name, size in layer["size_bytes"].items() if size),
            "; ".join(f"{name}: {why}" for name, why in layer["refused"].items()),
        )
        for layer in found.get("layers") or ()
    ]


def mixed_tables(verification: Mapping[str, Any]) -> str:
    """Return both tables as HTML; empty where all was to be int8."""
    found = verification.get("mixed")
    if not found:
        return ""
    roles = (NAME, *(NUMBER for _ in _PLAN_HEAD[2:]), NAME)
    where = f" Times are those of {found['device']}." if found.get("device") else ""
    note = (
        f"Noise is that of the outputs with this one op rounded so, as a fraction of what they vary by, on "
        f"{found['held_back']} samples held back; of an op, bytes are what it adds to the plain int8 file.{where}"
    )
    plans = html_table(_PLAN_HEAD, plan_rows(verification), roles)
    return plans + html_table(_LAYER_HEAD, choice_rows(verification), (NAME, NAME, NAME)) + html_note(note)


def mixed_sentences(verification: Mapping[str, Any]) -> Iterator[str]:
    """Say which plan was kept, what was predicted of it and came of it, and which ops could not be chosen for."""
    found = verification.get("mixed")
    if not found:
        return
    kept = next(plan for plan in found["plans"] if plan["chosen"])
    plain = found["plans"][0]
    limit = f"within {wording.size(found['largest_bytes'])} ({found['limit']})"
    before = wording.NONE if plain["agreement_db"] is None else f"{plain['agreement_db']:.1f} dB"
    if kept is plain:
        yield f"all int8 is best {limit}: {before}, better than {len(found['plans']) - 1} plans that were tried"
    else:
        yield (
            f"{_plan_name(kept)}, best of {len(found['plans']) - 1} plans {limit}: {kept['agreement_db']:.1f} dB "
            f"(predicted {kept['predicted_db']:.1f}) on {found['held_back']} samples held back, all int8 {before}"
        )
    yield from _additivity(found["plans"])
    for precision, layers in _refused(found).items():
        more = f" and {len(layers) - _NAMED} more" if len(layers) > _NAMED else ""
        why = next(layer["refused"][precision] for layer in found["layers"] if precision in layer["refused"])
        yield f"no {precision} for {', '.join(layers[:_NAMED])}{more}: {why}"
    yield from found["notes"]


def _additivity(plans: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say how well what was predicted of single layers, added up, was what plans measured."""
    measured = [plan for plan in plans if plan["agreement_db"] is not None]
    if len(measured) < 2:
        return
    off = max(abs(plan["predicted_db"] - plan["agreement_db"]) for plan in measured)
    both = [(plan.get("predicted_top1"), plan["top1"]) for plan in measured]
    points = [abs(predicted - top1) for predicted, top1 in both if predicted is not None and top1 is not None]
    told = f", and changed top-1 by at most {100 * max(points):.1f} points" if points else ""
    yield f"predictions from single layers miss what {len(measured)} files measured by at most {off:.1f} dB{told}"


def _refused(found: Mapping[str, Any]) -> dict[str, list[str]]:
    by_precision: dict[str, list[str]] = {}
    for layer in found["layers"]:
        for precision in layer["refused"]:
            by_precision.setdefault(precision, []).append(layer["layer"])
    return by_precision


def _plan_name(plan: Mapping[str, Any]) -> str:
    """Return ``2 ops in float, 3 in int4``."""
    counts = Counter(plan["layers"].values())
    told = [f"{count} {'op' if count == 1 else 'ops'} in {name}" for name, count in counts.items()]
    return ", ".join(told) or "all int8"
