"""The start: as a folder (``python3 edge_runner``), as a module (``python3 -m edge_runner``), or as a child."""

import os
import sys


def _become_package() -> None:
    """Make ``import edge_runner.…`` work when this folder was started by its path, whatever it is called.

    Python then puts the folder itself in front of the search path; it is taken out, so that no file of it can be taken
    for a module of the standard library.
    """
    from importlib import util

    here = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - pathlib is loaded while the first child starts
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != here]
    start = f"{here}{os.sep}__init__.py"
    spec = util.spec_from_file_location("edge_runner", start, submodule_search_locations=[here])
    if spec is None or spec.loader is None:
        sys.exit(f"edge_runner: cannot load {start}; copy the folder whole")
    package = util.module_from_spec(spec)
    sys.modules["edge_runner"] = package
    spec.loader.exec_module(package)


if sys.version_info < (3, 9):  # noqa: UP036 - said to whoever starts it with an older one
    sys.exit(f"edge_runner needs Python 3.9 or later, got {sys.version.split()[0]}; start it with a newer python3")
if __name__ == "__main__":
    if not __package__:
        _become_package()
    if sys.argv[1:] == ["--child"]:
        from edge_runner.child import serve_requests as child_main

        sys.exit(child_main())
    from edge_runner.command import run_command_line

    sys.exit(run_command_line(sys.argv[1:]))
