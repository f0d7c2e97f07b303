"""What the user says that a search tries: values of dimensions in place of those that the fields themselves name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tfcompress.errors import RecipeError, UsageError, nearest
from tfcompress.search.space import place_of, tried_fields
from tfcompress.settings import Export
from tfcompress.stages.stage_table import STAGES
from tfcompress.train_settings import Train

FLAG = "--values"


def known_values() -> dict[str, tuple[Any, ...]]:
    """Return what is tried of itself, by the names that ``--dry-run`` prints; of the network itself nothing."""
    found: dict[str, tuple[Any, ...]] = {}
    for stage in STAGES.values():
        if not (stage.choices or stage.builds):
            found[stage.kind] = (False, True)
            found |= {f"{stage.kind}.{name}": values for name, values in tried_fields(stage)}
    for owner in (Train, Export):
        found |= {f"{place_of(owner)}.{name}": values for name, values in tried_fields(owner)}
    return found


def read_values(texts: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Read ``NAME=A,B`` as the values of that name are written: numbers, words, ``true`` and ``false``, ``none``.

    Args:
        texts: as typed; of one name the last.

    Raises:
        UsageError: no such text, an unknown name, or a value of another kind than its others.
    """
    known, found = known_values(), dict[str, tuple[Any, ...]]()
    for text in texts:
        name, equals, listed = text.partition("=")
        if not equals or not listed.strip(", "):
            msg = f"{FLAG} must be NAME=A,B (channels.remove=0.1,0.25, say), got {text!r}"
            raise UsageError(msg)
        _check_name(name.strip(), known)
        words = (word.strip() for word in listed.split(","))
        found[name.strip()] = tuple(_read(word, name.strip(), known[name.strip()]) for word in words)
    return found


def _read(word: str, name: str, tried: Sequence[Any]) -> Any:
    """Return a value that is written as those that are tried."""
    kinds = {type(value) for value in tried}
    if str in kinds and (word in tried or word != "none"):
        return word
    if word == "none" and type(None) in kinds:
        return None
    if tuple in kinds:
        return tuple(part for part in word.split("+") if part)
    if bool in kinds and word in ("true", "false"):
        return word == "true"
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(word)
            except ValueError:
                continue
    what = "true or false" if bool in kinds else "a whole number" if float not in kinds else "a number"
    msg = f"{FLAG} {name}: must be {what}, got {word!r}"
    raise UsageError(msg)


def check_values(
    values: Mapping[str, Sequence[Any]], *, train: Train, export: Export, fixed: Sequence[str], without: Sequence[str]
) -> None:
    """Refuse values that no candidate can have.

    Args:
        values: by name of the dimension.
        train: what nothing is selected of.
        export: likewise.
        fixed: names of fields that the user has said.
        without: kinds of stages that are left out.

    Raises:
        UsageError: an unknown name, no value, or one that contradicts what else is asked.
        RecipeError: a value that its stage or settings refuse.
    """
    known = known_values()
    for name, chosen in values.items():
        _check_name(name, known)
        owner, _, field = name.partition(".")
        if not chosen:
            msg = f"{FLAG} {name}: there must be at least one value"
            raise UsageError(msg)
        if name in fixed:
            msg = f"{FLAG} {name}: the flag of its own says already what it is; give one of the two"
            raise UsageError(msg)
        if owner in without:
            msg = f"{FLAG} {name}: --without {owner} leaves that out; give one of the two"
            raise UsageError(msg)
        if owner not in STAGES:
            settings = train if owner == place_of(Train) else export
            for value in chosen:
                _check_setting(settings, field, value, fixed)
        elif field:
            for value in chosen:
                STAGES[owner](**{field: value})
        elif not all(isinstance(value, bool) for value in chosen):
            msg = f"{FLAG} {name}: must be true, false or both, got {', '.join(map(str, chosen))}"
            raise UsageError(msg)


def _check_name(name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        msg = f"{FLAG} knows no {name!r}{nearest(name, known)}; there are {', '.join(known)}"
        raise UsageError(msg)


def _check_setting(settings: Train | Export, field: str, value: Any, fixed: Sequence[str]) -> None:
    """Refuse a value that settings can have beside nothing that is tried."""
    place = place_of(type(settings))
    open_ones = ((name, tried) for name, tried in tried_fields(type(settings)) if f"{place}.{name}" not in fixed)
    refusals: list[RecipeError] = []
    for beside in ({}, *({name: other} for name, tried in open_ones for other in tried)):
        try:
            dataclasses.replace(settings, **{**beside, field: value})
        except RecipeError as refusal:
            refusals.append(refusal)
        else:
            return
    raise refusals[0]
