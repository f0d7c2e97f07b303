"""Reference pages made from the code: recipes and reports field by field, commands option by option, public names.

The first two are parts of committed pages, which ``python -m tools.docs_tables`` writes; the others are written when
the site is built, since ``--help`` and the docstrings say the same.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import shlex
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "any value"}

SHELL_EXAMPLE = re.compile(r"^ *(tfcompress .*?)(?:  .*)?$", re.MULTILINE)
"""A line of a command's help that shows how it is called, up to what is said of it behind two spaces."""


def attributes_of(kind: type) -> dict[str, str]:
    """Return what a class's docstring says of its attributes (Google style), by name, on one line each."""
    text = inspect.cleandoc(kind.__doc__ or "")
    _, _, section = text.partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break
        begun = re.match(r"    (\w+): (.*)", line)
        if begun:
            name = begun[1]
            found[name] = begun[2]
        elif name:
            found[name] = f"{found[name]} {line.strip()}".rstrip()
    return found


def type_words(hint: Any) -> str:
    """Return a type hint in words: ``number, or null``, ``list of text``."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if isinstance(hint, types.UnionType):
        return ", or ".join("null" if each is type(None) else type_words(each) for each in inner)
    if origin is tuple:
        if inner[-1] is not Ellipsis and len({*inner}) > 1:
            return f"list: {', '.join(map(type_words, inner))}"
        return f"list of {_many(inner[0])}"
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return f"table of {_many(inner[1])} by name"
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _many(hint: Any) -> str:
    words = {int: "whole numbers", float: "numbers", Any: "values"}
    return words.get(hint) or (f"({type_words(hint)})" if " " in type_words(hint) else type_words(hint))


def _rows(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    columns = tuple(columns)
    for cells in (columns, ("---",) * len(columns), *rows):
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def recipe_text() -> str:
    """Return the parts of a recipe: each stage, the training, the export; key, flag, type, default, meaning."""
    from tfcompress.settings import Export
    from tfcompress.stages.stage_table import STAGES
    from tfcompress.train_settings import Train

    parts: list[str] = []
    for kind, stage in STAGES.items():
        parts += [f"## `[[stages]]` of kind `{kind}`", "", f"{stage.about}. In Python: `tfc.{stage.__name__}`.", ""]
        parts += [*_settings_rows(stage), ""]
    for name, owner in (("train", Train), ("export", Export)):
        parts += [f"## `[{name}]`", "", f"In Python: `tfc.{owner.__name__}`.", "", *_settings_rows(owner), ""]
    return "\n".join(parts).rstrip()


def _settings_rows(owner: type) -> Iterator[str]:
    from tfcompress.schema import fields_of
    from tfcompress.stages.flags import flags_of
    from tfcompress.stages.option import option_of

    meanings, hints = attributes_of(owner), get_type_hints(owner)
    said = [flag for flag in reversed(flags_of(owner)) if not flag.removes]
    flags = {name: flag.name for flag in said for name in (*flag.option.sets, flag.field)}
    rows = []
    for each in fields_of(owner):
        note = option_of(each)
        meaning = _sentence(meanings.get(each.name) or (note.help if note else ""))
        flag = f"`{flags[each.name]}`" if each.name in flags else ""
        rows.append((f"`{each.name}`", flag, type_words(hints[each.name]), _default_words(each), meaning))
    return _rows(("key", "flag", "type", "default", "what it is"), rows)


def _default_words(each: dataclasses.Field[Any]) -> str:
    if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
        return "needed"
    value = each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
    if value is None:
        return "left out"
    if isinstance(value, bool):
        return f"`{value}`".lower()
    return f"`{list(value)}`" if isinstance(value, tuple) else f"`{value!r}`".replace("'", '"')


def report_text() -> str:
    """Return the parts of ``report.json``: each object that stands in it, key by key."""
    from tfcompress.reports.report import FORMAT, Report

    parts = [f'A report of today has `"format": {FORMAT}` and `"tool": "tfcompress"`, and then:', ""]
    for kind in reachable(Report):
        first = inspect.cleandoc(kind.__doc__ or "").splitlines()[0].replace("; see the module's docstring", "")
        parts += [f"## {kind.__name__}", "", first, "", *_object_rows(kind), ""]
    return "\n".join(parts).rstrip()


def reachable(kind: type) -> list[type]:
    """Return a dataclass and those that its fields can hold, each once, in the order in which they are met."""
    found, waiting = [], [kind]
    while waiting:
        each = waiting.pop(0)
        if each not in found:
            found.append(each)
            waiting += [inner for hint in get_type_hints(each).values() for inner in _dataclasses_in(hint)]
    return found


def _dataclasses_in(hint: Any) -> Iterator[type]:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        yield hint
    for inner in get_args(hint):
        yield from _dataclasses_in(inner)


def _object_rows(kind: Any) -> Iterator[str]:
    meanings, hints = attributes_of(kind), get_type_hints(kind)
    rows = [
        (f"`{each.name}`", type_words(hints[each.name]), _sentence(meanings.get(each.name, "")))
        for each in dataclasses.fields(kind)
    ]
    return _rows(("key", "value", "what it is"), rows)


def commands_page() -> str:
    """Return the page of the commands, made from click's own records of them."""
    from tfcompress.cli.main import group

    parts = ["# Commands", "", "What `tfcompress COMMAND --help` says, on one page.", ""]
    for name, summary, command in commands():
        # click makes a command's help option once: by another context it would not know the group's -h afterwards
        context = click.Context(command, info_name=f"tfcompress {name}", **group.context_settings)
        usage = " ".join(command.collect_usage_pieces(context))
        parts += [f"## {name}", "", summary, "", "```text", f"tfcompress {name} {usage}", "```", ""]
        parts += [*_help_parts(command.help or ""), *_option_parts(command, context)]
    return "\n".join(parts)


def commands() -> Iterator[tuple[str, str, click.Command]]:
    """Give each command's name, its sentence, and click's record of it."""
    from tfcompress.cli.main import group
    from tfcompress.cli.overview import COMMANDS

    context = click.Context(group, info_name="tfcompress")
    for name, about in COMMANDS.items():
        command = group.get_command(context, name)
        assert command is not None, name
        yield name, about.summary, command


def _help_parts(text: str) -> Iterator[str]:
    """Give the paragraphs of a help text; those that click leaves as they are, as blocks."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            yield from ("```text", inspect.cleandoc("\n" + paragraph[1:].strip("\n")), "```", "")
        else:
            yield from (re.sub(r"([<*_\[])", r"\\\1", paragraph), "")


def examples_of(text: str) -> list[list[str]]:
    """Return the calls that a command's help shows, as words."""
    left = [paragraph for paragraph in text.split("\n\n") if paragraph.lstrip().startswith("\b")]
    return [shlex.split(found) for paragraph in left for found in SHELL_EXAMPLE.findall(paragraph)]


def _option_parts(command: click.Command, context: click.Context) -> Iterator[str]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            term, text = record
            groups.setdefault(getattr(parameter, "group", "Options"), []).append((f"`{term}`", _plain(text)))
    for title, records in groups.items():
        yield from (f"**{_plain(title)}**", "", *_rows(("option", "what it does"), records), "")


def _plain(text: str) -> str:
    """Return text in which Markdown finds nothing to do."""
    return re.sub(r"([<*_\[`])", r"\\\1", text)


def names_page() -> str:
    """Return the page of the public names, which Sphinx fills from their docstrings."""
    import tfcompress

    kinds: dict[str, list[str]] = {"Functions": [], "Classes": [], "Stages": [], "Errors": []}
    for name in tfcompress.__all__:
        kinds.get(_kind_of(name), []).append(name)
    parts = ["# Python", "", "Everything that `import tfcompress as tfc` gives.", ""]
    for title, names in kinds.items():
        parts += [f"## {title}", "", "```{eval-rst}"]
        for name in names:
            parts += [*_directive(title, name), ""]
        parts += ["```", ""]
    return "\n".join(parts)


def _kind_of(name: str) -> str:
    import tfcompress
    from tfcompress.stages.stage import Stage

    value = getattr(tfcompress, name)
    if not inspect.isclass(value):
        return "Functions" if callable(value) else ""
    bases = {Stage: "Stages", BaseException: "Errors"}
    return next((kind for base, kind in bases.items() if issubclass(value, base)), "Classes")


def _directive(title: str, name: str) -> list[str]:
    kinds = {"Functions": "autofunction", "Errors": "autoexception"}
    lines = [f".. {kinds.get(title, 'autoclass')}:: tfcompress.{name}"]
    return [*lines, "   :members:"] if title == "Classes" else lines
