"""What the user said about tasks: which task each output is of, and what its scores are to look like."""

from __future__ import annotations

from dataclasses import dataclass

from tfcompress.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """What the user said about the tasks of a model's outputs; what is not said is chosen by the labels.

    Attributes:
        task: for all outputs ``NAME``, for one of them ``OUTPUT=NAME``; a name is a line of
            :data:`tfcompress.tasks.task_table.TASKS`, or ``module:object``.
        metrics: figures besides the task's own: ``NAME``, or ``module:function``.
        main_metric: the figure that is compared; None: the task's first.
        main_output: the output whose figures are compared; None: the first that is scored.
        ignore_label: the label of what does not count (pixels, steps); None: what the task says.
        windows_of: so many samples in a row are the windows of one clip, and scored together; None: each by itself.
    """

    task: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    main_metric: str | None = None
    main_output: str | None = None
    ignore_label: int | None = None
    windows_of: int | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            UsageError: two tasks for one output, or no windows.
        """
        outputs = [_parts(each)[0] for each in self.task]
        twice = next((output for output in outputs if outputs.count(output) > 1), None)
        if twice is not None:
            which = f"output {twice!r}" if twice else "all outputs"
            msg = f"--task must name one task for {which}, got {', '.join(self.task)}; give OUTPUT=NAME for each output"
            raise UsageError(msg)
        if self.windows_of is not None and self.windows_of < 1:
            msg = f"--windows-of must be at least 1, got {self.windows_of}"
            raise UsageError(msg)

    @property
    def by_output(self) -> dict[str, str]:
        """The name of the task said for each output; ``""`` stands for all that are not named."""
        return dict(map(_parts, self.task))

    def task_for(self, output: str) -> str | None:
        """Return the name of the task that was said for an output; None where nothing was."""
        return self.by_output.get(output, self.by_output.get(""))


def _parts(text: str) -> tuple[str, str]:
    output, equals, name = text.rpartition("=")
    return (output, name) if equals else ("", text)


UNSAID = Labelling()
"""Nothing was said: labels tell."""
