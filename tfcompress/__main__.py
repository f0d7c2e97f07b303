"""The ``tfcompress`` command, also as ``python -m tfcompress``."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line and return its exit code; help and version answer before click is imported."""
    words = sys.argv[1:]
    if words in ([], ["-h"], ["--help"]):
        from tfcompress.cli.overview import overview

        sys.stdout.write(overview())
        return 0
    if words == ["--version"]:
        from tfcompress._version import __version__

        sys.stdout.write(f"tfcompress {__version__}\n")
        return 0
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's own programs run Keras on
    from tfcompress.cli.main import run_command

    return run_command(words)


if __name__ == "__main__":
    sys.exit(main())
