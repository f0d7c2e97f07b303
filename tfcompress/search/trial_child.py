"""The process that does the steps of trials; started by :mod:`tfcompress.search.executors` and by nothing else.

The first request is ``open``: the fields of an :class:`~tfcompress.search.trial.Opening`, and ``threads`` that kernels
may use. Every other one is a :class:`~tfcompress.search.trial.TrialStep`; the answer is its result.
"""

from __future__ import annotations

from typing import Any

from tfcompress.search.trial import Opening, TrialBench, TrialStep
from tfcompress.serve import serve


def main(requests: int, answers: int, lifeline: int) -> None:
    """Serve steps, on one workbench that the first request opens."""
    bench: list[TrialBench] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if "open" in request:
            bench.append(opened(request["open"]))
            return {}
        return bench[0].run(TrialStep.from_dict(request)).to_dict()

    serve(answer, requests, answers, lifeline)


def opened(plain: dict[str, Any]) -> TrialBench:
    """Return a bench on an opening as JSON has it."""
    return TrialBench(Opening(**_limits_read(plain)))


def _limits_read(opening: dict[str, Any]) -> dict[str, Any]:
    """Return an opening whose limits on loading are values again."""
    from tfcompress.models.first_load import LoadLimits

    loading = dict(opening["loading"])
    if isinstance(loading.get("limits"), dict):
        loading["limits"] = LoadLimits(**loading["limits"])
    return {**opening, "loading": loading}
