"""The command: what is asked for, and the exit status.

Loading Python's own modules, the interpreter and the model takes longer than the first inference; done one after the
other, in two processes, it would come twice. So the first model's process is started before anything else is, and the
modules that this one needs are imported while that one loads numpy and the interpreter.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from edge_runner.processes import Child

USAGE, INTERRUPTED = 2, 130
_PROBE_SECONDS = 120
_MEASURES_NOTHING = {"-h", "--help", "--doctor"}


def run_command_line(argv: Sequence[str]) -> int:
    """Run the command line *argv* and return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error does: no µ ends a measurement
    try:
        return _doctor(argv) if _MEASURES_NOTHING & set(argv) else _run(argv)
    except KeyboardInterrupt:
        print("edge_runner: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


def _run(argv: Sequence[str]) -> int:
    with Child(_PROBE_SECONDS) as child:
        from edge_runner import arguments, starting

        options = arguments.parse_arguments(argv)
        begun = starting.begin(options, child)
        from edge_runner import running

        return running.run_measurement(options, begun)


def _doctor(argv: Sequence[str]) -> int:
    from edge_runner import arguments, doctor

    options = arguments.parse_arguments(argv)
    try:
        return doctor.doctor(as_json=options.json, output=options.output)
    except OSError as error:
        print(f"edge_runner: cannot write {options.output}: {error.strerror}", file=sys.stderr)
        return USAGE
