"""The command: what is asked for, and the exit status.

The modules that measure are imported inside the functions, after the process that loads the interpreter was started:
both then load at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from edge_runner import arguments, starting
from edge_runner.arguments import Options

INTERRUPTED = 130


def main(argv: Sequence[str]) -> int:
    """Run the command line *argv* and return the exit status."""
    options = arguments.parse(argv)
    try:
        return _doctor(options) if options.doctor else _run(options)
    except KeyboardInterrupt:
        print("edge_runner: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


def _run(options: Options) -> int:
    begun = starting.begin(options)
    from edge_runner import running

    return running.run(options, begun)


def _doctor(options: Options) -> int:
    from edge_runner import doctor

    return doctor.doctor(as_json=options.json)
