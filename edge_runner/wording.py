"""Words for the table that a person reads: accuracy, and names that any terminal can show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SIGNIFICANT = 0.05
UNRESOLVED = "not distinguishable from an empty call"
"""How the reason of a node that is too short to be timed begins."""
_FIGURES = {
    "mean_iou": "mean IoU",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "step_accuracy": "accuracy by step",
    "verification_auc": "verification AUC",
    "auc": "AUC",
}
"""What the table calls figures of tasks other than classification."""
_NAMED = 6
_BYTES = 0xDC00
"""How Python keeps a byte of a file's name that is no UTF-8: added to this (PEP 383)."""
_TURNS = "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Line breaks, and signs that turn the direction of writing."""


def printable(text: str) -> str:
    """Return a name with escapes for what is no UTF-8, and for what a terminal would act upon."""
    return "".join(_escaped(sign) if _unprintable(sign) else sign for sign in text)


def _unprintable(sign: str) -> bool:
    return sign < " " or "\x7f" <= sign < "\xa0" or "\ud800" <= sign <= "\udfff" or sign in _TURNS


def _escaped(sign: str) -> str:
    byte = ord(sign) - _BYTES
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else sign.encode("unicode_escape").decode("ascii")


def digits(value: float, places: int, *, sign: str = "") -> str:
    """Return a number rounded to so many digits: in full up to 15 of them, without a power of ten behind it.

    Args:
        value: the number.
        places: digits that count; those behind them are zeros.
        sign: ``+``: numbers above 0 have a sign, too.
    """
    return f"{float(f'{value:.{places}g}'):{sign},.15g}"


def accuracy(measured: dict[str, Any] | None) -> str:
    """Return the scores of a model's outputs in a few words; ``-`` when there are none."""
    if measured is None:
        return "-"
    return "; ".join(_score(score) for score in measured["outputs"].values()) or "-"


def _score(score: dict[str, Any]) -> str:
    parts = []
    if score["top1"] is not None:
        interval = "" if score["top1_low"] is None else f"{score['top1_low']:.2%}..{score['top1_high']:.2%}, "
        parts.append(f"{score['top1']:.2%} ({interval}{score['samples']} samples)")
    if score["top5"] is not None:
        parts.append(f"top-5 {score['top5']:.2%}")
    parts += [f"{title} {score[name]:.4f}" for name, title in _FIGURES.items() if score.get(name) is not None]
    if score["mae"] is not None and score["auc"] is None:
        parts.append(f"MAE {digits(score['mae'], 4)}")
    return ", ".join(parts) or "not a number"


def untimed(nodes: Sequence[dict[str, Any]]) -> list[str]:
    """Return which nodes have no time, and why, a line a reason; those too short for one share a line."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        if node["median_ms"] is None:
            reason = UNRESOLVED if node["reason"].startswith(UNRESOLVED) else node["reason"]
            found.setdefault(reason, []).append(f"{node['index']} {node['op']}")
    return [f"no time for {_listed(names)}: {reason}" for reason, names in found.items()]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def pairs(comparisons: Sequence[dict[str, Any]], names: Sequence[str]) -> list[str]:
    """Return what McNemar's test says of each pair of models.

    Args:
        comparisons: see :func:`edge_runner.mcnemar.compare_scored`.
        names: of all models.
    """
    return [_pair(entry, names) for entry in comparisons]


def _pair(entry: dict[str, Any], names: Sequence[str]) -> str:
    first, second = entry["only_first_right"], entry["only_second_right"]
    verdict = "no significant difference"
    if entry["p"] < SIGNIFICANT:
        verdict = f"{names[entry['first'] if first > second else entry['second']]} is significantly better"
    return (
        f"{names[entry['first']]} against {names[entry['second']]}: right alone on {first} and {second} of "
        f"{entry['samples']} samples; {verdict} (McNemar, p = {entry['p']:.2g})"
    )
