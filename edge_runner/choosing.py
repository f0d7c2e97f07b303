"""Choose an interpreter that works on this machine, or say what to install."""

from __future__ import annotations

from edge_runner import runtimes
from edge_runner.processes import Child, ChildFailed
from edge_runner.runtimes import Found

_PROBE_SECONDS = 120


def examine_runtime(name: str) -> Found:
    """Try the runtime *name* on the smallest model, in a process of its own."""
    if not runtimes.installed(name):
        return Found(name, None, f"{runtimes.MODULES[name]} is not installed", runtimes.advice())
    with Child(_PROBE_SECONDS) as child:
        try:
            answer = child.ask({"do": "probe", "runtime": name})
        except ChildFailed as error:
            return runtimes.explain_failure(name, str(error))
    return Found(name, answer["version"])


def choose_runtime(asked: str) -> tuple[Found | None, list[Found]]:
    """Return the runtime to use and those that were found wanting before it.

    Args:
        asked: a runtime's name, or ``auto`` for the first of them that works.

    Returns:
        None for the runtime when none works. The others are those installed but broken, or all when none works.
    """
    wanting: list[Found] = []
    for name in runtimes.ORDER if asked == "auto" else (asked,):
        found = examine_runtime(name)
        if not found.problem:
            return found, [other for other in wanting if runtimes.installed(other.name)]
        wanting.append(found)
    return None, wanting


def complaint(wanting: list[Found]) -> str:
    """Return one line for a machine on which nothing works: what is broken first, else what to install."""
    broken = [found for found in wanting if runtimes.installed(found.name)]
    if broken:
        return "; ".join(f"{found.problem}: {found.mend}" for found in broken)
    if len(wanting) == 1:
        return f"{wanting[0].problem}; {_install(wanting[0])}"
    names = ", ".join(runtimes.MODULES[found.name] for found in wanting)
    return f"no interpreter is installed (looked for {names}): {runtimes.advice()}"


def _install(found: Found) -> str:
    return f"install it, or leave --runtime out; what fits this machine: {found.mend}"
