"""How a field is set on the command line: a note in the field's metadata that flags are made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass
from typing import Any, Literal

from tfcompress.export_choices import Choice

KEY = "option"

Need = Literal["", "training", "calibration", "data", "no data"]


@dataclass(frozen=True, kw_only=True)
class Option:
    """A note on a field.

    Attributes:
        help: one sentence for ``--help``, without the default.
        flag: the flag; empty: made from the names of the stage and the field (``--prune-schedule``).
        metavar: what stands for the value in the help; empty: by the field's type.
        default: what the help says of the default; empty: the field's own default.
        asks: whether giving the flag asks for the stage.
        needs: without what the flag would do nothing: a stage that trains, a calibration, data, or their
            absence in an int8 export.
        read: makes values of fields, by their names, from the text; None: the text is the field's value. Raises
            ValueError with what is allowed, for a text that is none.
        sets: names of further fields that *read* may set.
        repeated: the flag may be given several times; *read* takes all its texts at once, a tuple.
        table: what the field can hold, by name; the help says what each is about. Of a field that holds several, the
            flag adds to the others; and each that is there by default has a flag that takes it out (``--no-slim``).
        tries: values that a search has reason to try, the plain one first, or a function that gives them when they
            are asked for; empty: a search leaves the field as it is.
    """

    help: str
    flag: str = ""
    metavar: str = ""
    default: str = ""
    asks: bool = False
    needs: Need = ""
    read: Callable[[Any], dict[str, Any]] | None = None
    sets: tuple[str, ...] = ()
    repeated: bool = False
    table: Mapping[str, Choice] | None = None
    tries: tuple[Any, ...] | Callable[[], tuple[Any, ...]] = ()

    @property
    def worth_trying(self) -> tuple[Any, ...]:
        """The values that a search has reason to try, as they are now: a table may have got further lines."""
        return self.tries() if callable(self.tries) else self.tries


def option(
    sentence: str,
    *,
    flag: str = "",
    metavar: str = "",
    default: str = "",
    asks: bool = False,
    needs: Need = "",
    read: Callable[[Any], dict[str, Any]] | None = None,
    sets: tuple[str, ...] = (),
    repeated: bool = False,
    table: Mapping[str, Choice] | None = None,
    tries: tuple[Any, ...] | Callable[[], tuple[Any, ...]] = (),
) -> dict[str, Option]:
    """Return metadata for :func:`dataclasses.field`: see :class:`Option` for the arguments."""
    note = Option(
        help=sentence,
        flag=flag,
        metavar=metavar,
        default=default,
        asks=asks,
        needs=needs,
        read=read,
        sets=sets,
        repeated=repeated,
        table=table,
        tries=tries,
    )
    return {KEY: note}


def option_of(field: Field[Any]) -> Option | None:
    """Return a field's note, or None where no flag sets the field."""
    return field.metadata.get(KEY)
