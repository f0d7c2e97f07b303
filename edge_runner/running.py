"""The run: measure, compare, write the JSON and a short table."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge_runner import (
    choosing,
    comparison,
    destinations,
    document,
    environment,
    extras,
    mcnemar,
    measure,
    runtimes,
    starting,
    table,
    wording,
)
from edge_runner.arguments import Options
from edge_runner.measure import Measured
from edge_runner.processes import Child
from edge_runner.shapes import ShapeError
from edge_runner.starting import Begun
from edge_runner.subject import Subject
from edge_runner.unpacking import Unpacking

ALL_FINE, SOME_FAILED, USAGE, NO_INTERPRETER = 0, 1, 2, 3
UNWRITTEN = "--outputs: cannot write"


def run_measurement(options: Options, begun: Begun | None) -> int:
    """Measure, write the document, and return the exit status.

    Args:
        options: what was asked for.
        begun: a process that was started already.
    """
    with Unpacking(say) as unpacking:
        try:
            result, subjects = document.start(options), measure.looked_at(options, unpacking)
        except ShapeError as error:
            say(str(error))
            return USAGE
        return _run_subjects(subjects, options, result, begun)  # while these were looked at, the interpreter loaded


def _run_subjects(subjects: list[Subject], options: Options, result: dict[str, Any], begun: Begun | None) -> int:
    chosen = starting.runtime_to_use(options, begun)
    if chosen.runtime is None:
        say(choosing.complaint(chosen.wanting))
        return NO_INTERPRETER
    result["runtime"] = {"name": chosen.runtime.name, "version": chosen.runtime.version}
    result["warnings"] = [f"{found.problem}; mend: {found.mend}" for found in chosen.wanting]
    try:
        with _outputs_folder(options) as folder:
            measured = _measure(subjects, options, result, folder, chosen.spare)
    except OSError as error:
        say(f"cannot write {options.outputs}: {error.strerror or error}; choose another place with --outputs")
        return USAGE
    result["environment"]["numpy"] = runtimes.numpy_version()
    result["start_to_first_ms"] = _start_to_first_ms(measured)
    result["environment"]["after"] = environment.changing()
    result["warnings"].extend(_heat(result["environment"]))
    return _deliver(options, result)


def _start_to_first_ms(measured: Measured) -> float | None:
    firsts = [subject.first_done_ns for subject in measured.subjects if subject.first_done_ns]
    started = environment.started_ns()
    return (min(firsts) - started) / 1e6 if firsts and started is not None else None


def _outputs_folder(options: Options) -> contextlib.AbstractContextManager[str | None]:
    """Return a folder on the disk that --outputs is on, gone at the end, or no folder when there is nothing to keep."""
    if options.outputs is None:
        return contextlib.nullcontext()
    return tempfile.TemporaryDirectory(prefix=".edge_runner-", dir=options.outputs.parent)


def _measure(
    subjects: list[Subject], options: Options, result: dict[str, Any], folder: str | None, spare: Child | None
) -> Measured:
    place, runtime = Path(folder) if folder else None, result["runtime"]["name"]
    with table.Status(sys.stderr) as status:
        measured = measure.measure_subjects(subjects, options, runtime, place, status.tell, spare)
        extras.extras(options, runtime, measured.subjects, status.tell)
        result["models"] = measured.entries
        if options.interleaved:
            result["comparisons"] = comparison.all_pairs(measured.entries, measured.groups, options.seed)
        result["accuracy_comparisons"] = mcnemar.compare_scored([subject.right for subject in measured.subjects])
    if place and options.outputs:
        try:
            measure.collect(place, options.outputs, result["models"])
        except OSError as error:  # hours of measuring are not lost for it
            result["warnings"].append(f"{UNWRITTEN} {options.outputs}: {error.strerror or error}")
    return measured


def _deliver(options: Options, result: dict[str, Any]) -> int:
    try:
        _write(options, result)
    except OSError as error:
        say(f"cannot write {options.output or 'to standard output'}: {error.strerror or error}")
        return USAGE
    failed = any(model["status"] != "ok" for model in result["models"])
    failed = failed or any(warning.startswith(UNWRITTEN) for warning in result["warnings"])
    return SOME_FAILED if failed else ALL_FINE


def _write(options: Options, result: dict[str, Any]) -> None:
    """Write the JSON where it is asked for, and the table where a person sees it.

    Raises:
        OSError: the JSON cannot be written.
    """
    shown = table.render(result)
    if options.output:
        destinations.write_whole(options.output, document.to_json(result))
    elif options.json or not sys.stdout.isatty():
        sys.stdout.flush()
        _all_of(document.to_json(result))
    else:
        print(shown)
        say("that is all of it in JSON: -o FILE.json; here: -o -")
        return
    print(shown, file=sys.stderr)


def _all_of(content: bytes) -> None:
    """Write bytes to standard output, past Python's buffer: what it could not write it would try again at the end."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(sys.stdout.fileno(), rest) :]


def _heat(facts: dict[str, Any]) -> list[str]:
    before, after = facts["before"]["throttled"], facts["after"]["throttled"]
    if after in (None, "0x0"):
        return []
    return [f"the firmware reports throttling or low voltage (get_throttled {before} before, {after} after)"]


def say(text: str) -> None:
    """Tell the user one line on standard error."""
    print(f"edge_runner: {wording.printable(text)}", file=sys.stderr)
