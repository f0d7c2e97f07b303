"""What a report says of how alike the result and the float file answer, where no labels score them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfcompress.reports import wording


def likeness_sentences(verification: Mapping[str, Any]) -> Iterator[str]:
    """Give a sentence for each output that was compared with the float file's."""
    found: Mapping[str, Any] = verification.get("likeness") or {}
    for output in found.get("outputs") or ():
        parts = [] if output.get("top1") is None else [f"the same top-1 on {wording.percent(output['top1'], 1)}"]
        parts += [] if output.get("sqnr_db") is None else [f"{output['sqnr_db']:.1f} dB"]
        parts.append(f"largest difference {output['max_abs_error']:.3g}")
        where = f"{found['samples']:,} samples of {found['split']!r}"
        yield f"{output['name']} against the float file, {where}: {', '.join(parts)}"
