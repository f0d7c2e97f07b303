"""The flags of a command line, made from the fields of the stages and settings; and stages made from flags.

Nothing here knows a stage by name. A flag is called after its stage and field (``--prune-schedule``) unless the field
says otherwise. Where stages share a flag (``--criterion``), its value goes to every stage asked for whose field can
have it, and is refused where none of them can.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tfcompress.errors import RecipeError, UsageError
from tfcompress.schema import fields_of
from tfcompress.stages.option import Option, option_of
from tfcompress.stages.stage import Stage
from tfcompress.stages.stage_table import STAGES

Value = Literal["switch", "choice", "integer", "number", "text"]

ENGINE = "engine"
"""The field that stages with a choice of engine have, and its flag's key."""

_ENGINES = {"native": "in Keras 3, with the native engine", "tfmot": "in Keras 2, with tfmot"}


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One flag of a command line.

    Attributes:
        name: with its hyphens: ``--round-to``.
        owner: the stage or settings whose field it sets; a flag that stages share has one of these for each.
        field: name of the field; empty for the switch that asks for a stage.
        option: the field's note.
        value: what follows it on the command line: nothing, one of *choices*, a number, or text.
        choices: what the field can be.
        many: whether it may be repeated.
        default: what the help says of its default; empty: nothing.
        removes: the name that this flag takes out of the field; empty: it sets the field, or adds to it.
    """

    name: str
    owner: type
    field: str
    option: Option
    value: Value
    choices: Collection[Any] = ()
    many: bool = False
    default: str = ""
    removes: str = ""

    @property
    def key(self) -> str:
        """Its name as a word of Python: ``round_to``."""
        return self.name.removeprefix("--").replace("-", "_")

    def values(self, given: Any) -> dict[str, Any]:
        """Return values by field, from what the command line gave."""
        if self.option.read is not None:
            return self.option.read(given)
        if self.many:
            return {self.field: tuple(given)}
        if self.value == "choice":
            given = {str(choice): choice for choice in self.choices}[given]
        return {self.field: given}

    def values_over(self, before: Any, given: Any) -> dict[str, Any]:
        """Return values by field, as :meth:`values`; names of a table are added to those *before*, or taken out."""
        if self.removes:
            return {self.field: tuple(name for name in before if name != self.removes)}
        if self.many and self.option.table is not None:
            return {self.field: tuple(name for name in self.option.table if name in (*before, *given))}
        return self.values(given)


def is_given(value: Any) -> bool:
    """Return whether a command line's value was typed: not None, not an unset switch, not an empty list."""
    return value is not None and value is not False and value != ()


def flags_of(owner: type) -> tuple[Flag, ...]:
    """Return the flags of a stage, or of settings, in the order of the fields."""
    return _flags_of(owner)


@functools.cache
def _flags_of(owner: Any) -> tuple[Flag, ...]:
    hints = get_type_hints(owner)
    prefix = f"{owner.kind}-" if issubclass(owner, Stage) else ""
    found = []
    if issubclass(owner, Stage) and owner.switch:
        note = Option(help=owner.switch, asks=True)
        found.append(Flag(name=f"--{owner.kind}", owner=owner, field="", option=note, value="switch"))
    for field in fields_of(owner):
        note_or_none = option_of(field)
        if note_or_none is not None:
            flag = _flag(owner, field, note_or_none, hints[field.name], prefix)
            found += [flag, *_removing(flag, _default_of(field))]
    return tuple(found)


def _flag(owner: type, field: dataclasses.Field[Any], note: Option, hint: Any, prefix: str) -> Flag:
    value, choices = _kind_of(hint, note)
    return Flag(
        name=note.flag or f"--{prefix}{field.name}".replace("_", "-"),
        owner=owner,
        field=field.name,
        option=note,
        value="text" if note.read else value,
        choices=choices,
        many=note.repeated or (get_origin(hint) is tuple and note.read is None),
        default="" if note.asks else note.default or _text(_default_of(field)),
    )


def _removing(flag: Flag, default: Any) -> Iterator[Flag]:
    """Give the flags that take out of a field what it holds by default; of a field with a table and several values."""
    for name in default if flag.many and flag.option.table is not None else ():
        note = Option(help=f"Do without {flag.name} {name}.", needs=flag.option.needs)
        yield Flag(name=f"--no-{name}", owner=flag.owner, field=flag.field, option=note, value="switch", removes=name)


def _default_of(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _kind_of(hint: Any, note: Option) -> tuple[Value, Collection[Any]]:
    if note.table is not None:
        return "choice", note.table
    if isinstance(hint, types.UnionType):
        hint = next(each for each in get_args(hint) if each is not type(None))
    if get_origin(hint) is Literal:
        return "choice", get_args(hint)
    kinds: dict[Any, Value] = {bool: "switch", int: "integer", float: "number"}
    return kinds.get(hint, "text"), ()


def _text(default: Any) -> str:
    if default is None or isinstance(default, bool):
        return ""
    if isinstance(default, tuple):
        return ", ".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def stage_flags() -> dict[str, tuple[Flag, ...]]:
    """Return the flags of all stages by name, in the order of the table; a shared one has an entry for each stage."""
    found: dict[str, tuple[Flag, ...]] = {}
    for stage in STAGES.values():
        for flag in flags_of(stage):
            found[flag.name] = (*found.get(flag.name, ()), flag)
    return found


def asking(stage: type[Stage]) -> Flag:
    """Return the flag that asks for a stage."""
    return next(flag for flag in flags_of(stage) if flag.option.asks)


def read_stages(given: Mapping[str, Any]) -> tuple[Stage, ...]:
    """Make stages from flags.

    Args:
        given: what the command line gave for each flag, by its key, in the order in which it was typed.

    Returns:
        What rewrites, in the order in which it was asked for; then what trains, in the table's.

    Raises:
        UsageError: a value that no stage asked for can have, or two flags that set one field.
        RecipeError: a value that a stage refuses; the flag is named.
    """
    asked = [stage for stage in STAGES.values() if is_given(given.get(asking(stage).key))]
    typed = {key: place for place, key in enumerate(given)}
    asked.sort(key=lambda stage: (stage.phase == "train", stage.phase == "rewrite" and typed[asking(stage).key]))
    _check_engine(asked, given)
    _check_shared(asked, given)
    return tuple(_stage(stage, given) for stage in asked)


def stages_over(stages: Sequence[Stage], given: Mapping[str, Any]) -> tuple[Stage, ...]:
    """Return a recipe's stages, changed where flags say how a stage works.

    Args:
        stages: of the recipe.
        given: as for :func:`read_stages`.

    Raises:
        UsageError: a value that none of the stages can have, or two flags that set one field.
        RecipeError: a value that a stage refuses; the flag is named.
    """
    kinds = {type(stage): None for stage in stages}
    _check_engine(kinds, given)
    _check_shared(kinds, given)
    return tuple(_stage(type(stage), given, stage) for stage in stages)


def _stage(stage: type[Stage], given: Mapping[str, Any], before: Stage | None = None) -> Stage:
    by, values = _typed(stage, given)
    with naming({f"{stage.kind}.{name}": flag.name for name, flag in by.items()}):
        return stage(**values) if before is None else dataclasses.replace(before, **values)


def _typed(stage: type[Stage], given: Mapping[str, Any]) -> tuple[dict[str, Flag], dict[str, Any]]:
    """Return flags and values by the fields of a stage that were set on the command line."""
    values: dict[str, Any] = {}
    by: dict[str, Flag] = {}
    for flag in flags_of(stage):
        if not flag.field or not is_given(given.get(flag.key)) or not _fits(flag, given[flag.key]):
            continue
        for name, value in flag.values(given[flag.key]).items():
            if name in by:
                msg = f"{by[name].name} and {flag.name} both say {stage.kind}.{name}; give one of them"
                raise UsageError(msg)
            by[name], values[name] = flag, value
    return by, values


def _fits(flag: Flag, value: Any) -> bool:
    return flag.value != "choice" or value in map(str, flag.choices)


def _check_engine(asked: Iterable[type[Stage]], given: Mapping[str, Any]) -> None:
    engine = given.get(ENGINE)
    for stage in asked:
        if is_given(engine) and engine not in ("auto", *stage.engines):
            works = " or ".join(_ENGINES[name] for name in stage.engines)
            msg = f"{asking(stage).name} works {works}; leave --engine {engine} out"
            raise UsageError(msg)


def _check_shared(asked: Iterable[type[Stage]], given: Mapping[str, Any]) -> None:
    """Refuse a choice of a shared flag that no stage asked for knows."""
    wanted = list(asked)
    for name, flags in stage_flags().items():
        value, here = given.get(flags[0].key), [flag for flag in flags if flag.owner in wanted]
        if here and is_given(value) and not any(_fits(flag, value) for flag in here):
            allowed = ", ".join(map(str, here[0].choices))
            msg = f"{name} must be one of {allowed} with {asking(here[0].owner).name}, got {value!r}"
            raise UsageError(msg)


@contextmanager
def naming(flags: Mapping[str, str]) -> Iterator[None]:
    """Put the flag before the message of an error about a value that it set.

    Args:
        flags: the flags that were typed, by the place of their value as messages call it (``prune.sparsity``).

    Raises:
        RecipeError: the same error, with the flag.
    """
    try:
        yield
    except RecipeError as error:
        flag = flags.get(str(error).split(" ", 1)[0])
        if flag is None:
            raise
        msg = f"{flag}: {error}"
        raise RecipeError(msg) from error


def idle_flags(given: Mapping[str, Any], recipe: Sequence[Stage] | None = None) -> dict[str, str]:
    """Return, by key, the flags that say how a stage works which is not there, and why they would do nothing.

    Args:
        given: as for :func:`read_stages`.
        recipe: the stages of a recipe that has been named; None: flags ask for stages.
    """
    found: dict[str, str] = {}
    if recipe is None:
        asked = [stage for stage in STAGES.values() if is_given(given.get(asking(stage).key))]
    else:
        asked = [stage for stage in STAGES.values() if stage in map(type, recipe)]
    for flags in stage_flags().values():
        if flags[0].field == ENGINE and asked:
            found |= _idle_engine(flags[0], asked)
            continue
        if any(flag.owner in asked for flag in flags):
            continue
        if flags[0].field == ENGINE:  # every stage has one, also where only one engine has the stage
            found[flags[0].key] = "nothing is trained without a stage"
            continue
        owners = [flag.owner for flag in flags if issubclass(flag.owner, Stage)]
        if recipe is None:
            have, names = "there is", [asking(owner).name for owner in owners]
        else:
            have, names = "the recipe has", [f"stage {owner.kind!r}" for owner in owners]
        lacking = f"no {names[0]}" if len(names) == 1 else f"neither {' nor '.join(names)}"
        found[flags[0].key] = f"{have} {lacking}"
    return found


def _idle_engine(flag: Flag, asked: Sequence[type[Stage]]) -> dict[str, str]:
    """Return why a choice of engine would do nothing: none of the stages leaves one."""
    if any(len(stage.engines) > 1 for stage in asked):
        return {}
    names = " and ".join(asking(stage).name for stage in asked)
    return {flag.key: f"there is no choice, {names} only {'works' if len(asked) == 1 else 'work'} in Keras 3"}
