"""The command: choose an interpreter, measure, write the JSON and a short table."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_runner import arguments, choosing, comparison, document, environment, mcnemar, measure, runtimes, table
from edge_runner.arguments import Options
from edge_runner.measure import Measured
from edge_runner.processes import Child, ChildFailed
from edge_runner.runtimes import Found

ALL_FINE, SOME_FAILED, USAGE, NO_INTERPRETER, INTERRUPTED = 0, 1, 2, 3, 130
PROBE_SECONDS = 120
UNWRITTEN = "--outputs: cannot write"


def main(argv: Sequence[str]) -> int:
    """Run the command line *argv* and return the exit status."""
    options = arguments.parse(argv)
    try:
        return doctor() if options.doctor else _run(options)
    except KeyboardInterrupt:
        _say("interrupted; nothing was written")
        return INTERRUPTED


def doctor() -> int:
    """Print which interpreters work here and what to do about the others."""
    facts = environment.fixed()
    print(f"{facts['board'] or facts['cpu'] or 'unknown machine'}, {facts['system']}, {facts['architecture']}")
    print(
        f"Python {facts['python']}, {facts['userland_bits']} bits, numpy {runtimes.numpy_version() or 'not installed'}"
    )
    found = [choosing.examine(name) for name in runtimes.ORDER]
    for runtime in found:
        print(
            f"{runtime.name:15} {'works, version ' + str(runtime.version) if not runtime.problem else runtime.problem}"
        )
        if runtime.problem and runtimes.installed(runtime.name):
            print(f"{'':15} mend it: {runtime.mend}")
    works = any(not runtime.problem for runtime in found)
    if not works:
        print(choosing.complaint(found))
    return ALL_FINE if works else NO_INTERPRETER


def _run(options: Options) -> int:
    age_ns, begun_ns = environment.process_age_ns(), time.monotonic_ns()
    runtime, spare, wanting = _started(options)
    if runtime is None:
        _say(choosing.complaint(wanting))
        return NO_INTERPRETER
    result = document.start(options, runtime)
    result["environment"]["numpy"] = runtimes.numpy_version()
    result["warnings"] = [f"{found.problem}; mend: {found.mend}" for found in wanting]
    try:
        with _outputs_folder(options) as folder:
            measured = _measure(options, result, folder, spare)
    except OSError as error:
        _say(f"cannot write {options.outputs}: {error.strerror or error}; choose another place with --outputs")
        return USAGE
    firsts = [subject.first_done_ns for subject in measured.subjects if subject.first_done_ns]
    if firsts and age_ns is not None:
        result["start_to_first_ms"] = (min(firsts) - begun_ns + age_ns) / 1e6
    result["environment"]["after"] = environment.changing()
    result["warnings"].extend(_heat(result["environment"]))
    return _deliver(options, result)


def _started(options: Options) -> tuple[Found | None, Child | None, list[Found]]:
    """Choose the runtime: the first that is installed and works, its process kept for the first model.

    Returns:
        The runtime, None when none works; a process that loaded it, None when choosing took a closer look; and what was
        found wanting.
    """
    names = runtimes.ORDER if options.runtime == "auto" else (options.runtime,)
    name = next((name for name in names if runtimes.installed(name)), None)
    if name and not options.affinity:
        child = Child(max(options.timeout, PROBE_SECONDS))
        try:
            found = Found(name, child.ask({"do": "probe", "runtime": name})["version"])
        except ChildFailed:
            child.close()
        else:
            child.timeout_seconds = options.timeout
            return found, child, []
    runtime, wanting = choosing.choose(options.runtime)
    return runtime, None, wanting


def _outputs_folder(options: Options) -> contextlib.AbstractContextManager[str | None]:
    """Return a folder on the disk that --outputs is on, gone at the end, or no folder when there is nothing to keep."""
    if options.outputs is None:
        return contextlib.nullcontext()
    return tempfile.TemporaryDirectory(prefix=".edge_runner-", dir=options.outputs.parent)


def _measure(options: Options, result: dict[str, Any], folder: str | None, spare: Child | None) -> Measured:
    place, runtime = Path(folder) if folder else None, result["runtime"]["name"]
    with table.Status(sys.stderr) as status:
        measured = measure.measure(options, runtime, place, status.tell, spare)
        result["models"] = measured.entries
        if options.interleaved:
            result["comparisons"] = comparison.all_pairs(measured.entries, measured.groups, options.seed)
        result["accuracy_comparisons"] = mcnemar.compare([subject.right for subject in measured.subjects])
    if place and options.outputs:
        try:
            measure.collect(place, options.outputs, result["models"])
        except OSError as error:  # hours of measuring are not lost for it
            result["warnings"].append(f"{UNWRITTEN} {options.outputs}: {error.strerror or error}")
    return measured


def _deliver(options: Options, result: dict[str, Any]) -> int:
    text = document.to_json(result)
    if options.output:
        try:
            document.write(options.output, text)
        except OSError as error:
            _say(f"cannot write {options.output}: {error.strerror or error}; choose another place with -o")
            return USAGE
    else:
        sys.stdout.write(text)
        sys.stdout.flush()
    print(table.render(result), file=sys.stderr)
    failed = any(model["status"] != "ok" for model in result["models"])
    failed = failed or any(warning.startswith(UNWRITTEN) for warning in result["warnings"])
    return SOME_FAILED if failed else ALL_FINE


def _heat(facts: dict[str, Any]) -> list[str]:
    before, after = facts["before"]["throttled"], facts["after"]["throttled"]
    if after in (None, "0x0"):
        return []
    return [f"the firmware reports throttling or low voltage (get_throttled {before} before, {after} after)"]


def _say(text: str) -> None:
    print(f"edge_runner: {text}", file=sys.stderr)
