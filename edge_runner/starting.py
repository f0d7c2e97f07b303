"""Which runtime: the first that is installed, if it works; only when it does not, a closer look at all of them."""

from __future__ import annotations

from typing import NamedTuple

from edge_runner import runtimes
from edge_runner.arguments import Options
from edge_runner.processes import Child, ChildFailed
from edge_runner.runtimes import Found


class Begun(NamedTuple):
    """A process that is trying the runtime *name* on the smallest model."""

    name: str
    child: Child


class Chosen(NamedTuple):
    """Which runtime to use.

    Attributes:
        runtime: None when none works.
        spare: a process that has loaded it; None when choosing took a closer look.
        wanting: runtimes that were found wanting.
    """

    runtime: Found | None
    spare: Child | None
    wanting: list[Found]


def begin(options: Options, child: Child) -> Begun | None:
    """Let *child* try the first runtime that is installed; None when there is none.

    A model that is to be bound to cores gets a process of its own: one that has loaded the runtime is too late for it.
    """
    names = runtimes.ORDER if options.runtime == "auto" else (options.runtime,)
    name = next((name for name in names if runtimes.installed(name)), None)
    if name is None or options.affinity:
        child.close()
        return None
    child.timeout_seconds = max(options.timeout, child.timeout_seconds)
    child.send({"do": "probe", "runtime": name, "version": False})
    return Begun(name, child)


def runtime_to_use(options: Options, begun: Begun | None) -> Chosen:
    """Return the runtime that was begun with if it works, otherwise look closely at all that may be used."""
    if begun:
        version = runtimes.version(begun.name)  # looked up here while the process is busy
        try:
            begun.child.answer()
        except ChildFailed:
            begun.child.close()
        else:
            begun.child.timeout_seconds = options.timeout
            return Chosen(Found(begun.name, version), begun.child, [])
    from edge_runner import choosing

    runtime, wanting = choosing.choose_runtime(options.runtime)
    return Chosen(runtime, None, wanting)
