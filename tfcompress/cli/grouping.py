"""Options in groups: click's own help, with a heading for each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from tfcompress.stages.flags import Flag, asking, is_given

OTHER = "Other"
"""The heading of an option that names none."""

LONGEST_TERM = 34
"""Columns that an option may take before its help begins on a line of its own."""


class GroupedOption(click.Option):
    """An option with a heading to stand below."""

    def __init__(self, *args: Any, group: str = OTHER, **more: Any) -> None:
        """Take what :class:`click.Option` takes, and the heading."""
        super().__init__(*args, **more)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help lists options below their headings, in the order of their first options; others last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                groups.setdefault(getattr(parameter, "group", OTHER), []).append(record)
        for title, records in sorted(groups.items(), key=lambda group: group[0] == OTHER):
            with formatter.section(title):
                formatter.write_dl(records, col_max=LONGEST_TERM)


def option_for(flags: Sequence[Flag], group: str) -> GroupedOption:
    """Return the option that sets a flag.

    Args:
        flags: one, or for a flag that stages share one for each stage.
        group: the heading.
    """
    first = flags[0]
    choices = list(dict.fromkeys(str(choice) for flag in flags for choice in flag.choices))
    kinds: dict[str, Any] = {"choice": click.Choice(choices), "integer": click.INT, "number": click.FLOAT}
    is_switch = first.value == "switch"
    more: dict[str, Any] = {"is_flag": True, "default": None} if is_switch else {"multiple": first.many}
    return GroupedOption(
        [first.name],
        group=group,
        help=_sentence(flags),
        type=None if is_switch else kinds.get(first.value, click.STRING),
        metavar=first.option.metavar or None,
        callback=_checked(first),
        **more,
    )


def _sentence(flags: Sequence[Flag]) -> str:
    """Return the help: what each stage says, once, and the defaults."""
    helps = {flag.option.help.rstrip("."): asking(flag.owner).name for flag in flags if len(flags) > 1}
    text = flags[0].option.help
    if len(helps) > 1:
        text = "; ".join(f"{stage}: {part[0].lower()}{part[1:]}" for part, stage in helps.items()) + "."
    for name, choice in (flags[0].option.table or {}).items():
        text += f" {name}: {choice.about[0].lower()}{choice.about[1:]}"
    if flags[0].many:
        text += " May be repeated."
    defaults = list(dict.fromkeys(flag.default for flag in flags if flag.default))
    return f"{text} [default: {'; '.join(defaults)}]" if defaults else text


def _checked(flag: Flag) -> Any:
    """Return a callback that refuses a text which the flag cannot read, where click names the flag."""
    if flag.option.read is None:
        return None

    def check(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        try:
            if is_given(value):
                flag.values(value)
        except ValueError as error:
            raise click.BadParameter(str(error), context, parameter) from error
        return value

    return check
