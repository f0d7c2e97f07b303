"""A child for tests of tfcompress.tflite.convert: it refuses some requests without a word, then converts."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

from tfcompress.serve import serve

COUNT = itertools.count(1)
CONVERTED = Path(__file__).parents[1] / "data" / "blobs_float.tflite"


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if next(COUNT) <= int(os.environ["WORDLESS_CHILD_REFUSALS"]):
        raise RuntimeError
    Path(request["target"]).write_bytes(CONVERTED.read_bytes())
    return {}


def main(requests: int, answers: int, lifeline: int) -> None:
    serve(answer, requests, answers, lifeline)
