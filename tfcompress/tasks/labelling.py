"""What the user said about tasks: which task each output is of, and what its scores are to look like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from tfcompress.errors import UsageError

Said = str | tuple[str, Any] | Any
"""``NAME`` or ``OUTPUT=NAME`` as on the command line; in Python also an object, or an output's name and an object."""


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """What the user said about the tasks of a model's outputs; what is not said is chosen by the labels.

    Attributes:
        task: for all outputs ``NAME``, for one of them ``OUTPUT=NAME``; a name is a line of
            :data:`tfcompress.tasks.task_table.TASKS`, or ``module:object``.
        metrics: figures besides the task's own, likewise: a line of :data:`tfcompress.tasks.metric.KERAS_METRICS`, or
            ``module:function``.
        main_metric: the figure of the main output that is compared; None: the task's first.
        main_output: the output whose figures are compared; None: the first that is scored.
        ignore_label: the label of what does not count (pixels, steps); None: what the task says.
        windows_of: so many samples in a row are the windows of one clip, and scored together; None: each by itself.
        options: what a data file says of the tasks that it names, by output (``""``: the only one): pairs of
            :meth:`tfcompress.tasks.task.Task.options`.
    """

    task: tuple[Said, ...] = ()
    metrics: tuple[Said, ...] = ()
    main_metric: str | None = None
    main_output: str | None = None
    ignore_label: int | None = None
    windows_of: int | None = None
    options: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            UsageError: two tasks for one output, or no windows.
        """
        outputs = [_parts(each)[0] for each in self.task]
        twice = next((output for output in outputs if outputs.count(output) > 1), None)
        if twice is not None:
            which = f"output {twice!r}" if twice else "all outputs"
            got = ", ".join(map(str, self.task))
            msg = f"--task must name one task for {which}, got {got}; give OUTPUT=NAME for each output"
            raise UsageError(msg)
        if self.windows_of is not None and self.windows_of < 1:
            msg = f"--windows-of must be at least 1, got {self.windows_of}"
            raise UsageError(msg)

    def over(self, told: Labelling) -> Labelling:
        """Return what was said here, and of what was not said what *told*, the data itself, says.

        Settings of a task that is said to be another one are not taken over.
        """
        if self.task:
            return self
        kept = {field.name: getattr(self, field.name) for field in fields(self)}
        return Labelling(**{name: getattr(told, name) if said in (None, ()) else said for name, said in kept.items()})

    @property
    def by_output(self) -> dict[str, Any]:
        """The task said for each output, its name or itself; ``""`` stands for all that are not named."""
        return dict(map(_parts, self.task))

    def task_for(self, output: str) -> Any:
        """Return the task that was said for an output, its name or itself; None where nothing was."""
        return self.by_output.get(output, self.by_output.get(""))

    def options_for(self, output: str) -> dict[str, Any]:
        """Return what a data file says of the task of an output."""
        told = dict(self.options)
        return dict(told.get(output, told.get("", ())))

    def metrics_for(self, output: str) -> list[Any]:
        """Return the metrics that were said for an output or for all, each its name or a function."""
        return [metric for name, metric in map(_parts, self.metrics) if name in ("", output)]

    @property
    def every_metric(self) -> list[Any]:
        """Every metric that was said, its name or a function."""
        return [metric for _, metric in map(_parts, self.metrics)]

    @property
    def outputs(self) -> list[tuple[str, str]]:
        """The flags that name an output, and the names."""
        named = [("--task", name) for name in self.by_output]
        named += [("--metric", _parts(each)[0]) for each in self.metrics]
        return [(flag, name) for flag, name in [*named, ("--main-output", self.main_output)] if name]


def labelling_of(
    *,
    task: Said | Iterable[Said] | Mapping[str, Any] | None = None,
    metrics: Said | Iterable[Said] | Mapping[str, Any] = (),
    main_metric: str | None = None,
    main_output: str | None = None,
    ignore_label: int | None = None,
    windows_of: int | None = None,
) -> Labelling:
    """Return what was said, however it was: one name or object, several, or a dict by output.

    Raises:
        UsageError: what contradicts itself.
    """
    return Labelling(
        task=_listed(task),
        metrics=_listed(metrics),
        main_metric=main_metric,
        main_output=main_output,
        ignore_label=ignore_label,
        windows_of=windows_of,
    )


_SEVERAL, _SINGLE = ("task", "metrics"), ("main_metric", "main_output", "ignore_label", "windows_of")
_UNSAID = "unsaid"
SAID = (*_SEVERAL, *_SINGLE, _UNSAID)
"""Names under which :func:`said_plainly` gives what was said."""


def said_plainly(said: Labelling) -> dict[str, Any]:
    """Return what was said as plain values, by the arguments of ``load_data``.

    What is no text (a task or a metric that is an object of Python) is named under ``unsaid``.
    """
    found: dict[str, Any] = {}
    for name in _SEVERAL:
        parts = [_parts(each) for each in getattr(said, name)]
        texts = [f"{output}={value}" if output else value for output, value in parts if isinstance(value, str)]
        found |= {name: texts} if texts else {}
        found |= {_UNSAID: [*found.get(_UNSAID, ()), name]} if len(texts) < len(parts) else {}
    rest = {name: getattr(said, name) for name in _SINGLE}
    return found | {name: value for name, value in rest.items() if value is not None}


def _listed(said: Any) -> tuple[Said, ...]:
    if said is None:
        return ()
    if isinstance(said, Mapping):
        return tuple(said.items())
    return tuple(said) if isinstance(said, list | tuple) else (said,)


def _parts(said: Said) -> tuple[str, Any]:
    if isinstance(said, tuple):
        return said[0], said[1]
    if not isinstance(said, str):
        return "", said
    output, equals, name = said.rpartition("=")
    return (output, name) if equals else ("", said)


UNSAID = Labelling()
"""Nothing was said: labels decide."""
