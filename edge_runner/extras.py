"""What is measured only when asked for, model by model, after the comparison."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runner import energy, per_op, throughput
from edge_runner.arguments import Options
from edge_runner.subject import Subject, Tell


def extras(options: Options, runtime: str, subjects: Sequence[Subject], tell: Tell) -> None:
    """Fill in time by op, throughput and energy of every model that could be measured."""
    for subject in subjects:
        if subject.entry["status"] != "ok":
            continue
        if options.per_op:
            subject.entry["per_op"] = per_op.per_op(subject, options, runtime, tell)
            if subject.entry["delegation"]:
                subject.entry["delegation"]["difference"] = per_op.differences_by_kernels(
                    subject, options, runtime, tell
                )
        if options.throughput:
            subject.entry["throughput"] = throughput.throughput(subject, options, runtime, tell)
        if options.energy:
            subject.entry["energy"] = energy.energy(subject, options, runtime, tell)
