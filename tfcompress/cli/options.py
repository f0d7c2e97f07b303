"""Options that several commands share, and what they mean together."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tfcompress.cli.grouping import GroupedOption
from tfcompress.errors import OutputError, UsageError
from tfcompress.tracking.tracker_table import TRACKERS, read_tracker

if TYPE_CHECKING:
    from tfcompress.data.dataset import Dataset

Command = TypeVar("Command", bound=Callable[..., Any])

TASK_FLAGS = ("task", "metric", "main_metric", "main_output", "ignore_label", "windows_of")

READING_FLAGS = ("label", "features", "classes", "window", "stride", "group", "vocabulary", "skip_corrupt")
"""Options of :func:`tfcompress.load_data` that are called as its arguments are."""

DATA_FLAGS = ("data", *READING_FLAGS, "scale", "mean", "std", "preprocess", *TASK_FLAGS)

LOADING, DATA = "Loading the model", "Model and data"
"""The headings of the options, where a command has its help in groups."""


def _option(group: str, *names: str, **more: Any) -> Callable[[Command], Command]:
    return click.option(*names, cls=GroupedOption, group=group, **more)


_LOADING = (
    _option(
        LOADING,
        "--trust",
        is_flag=True,
        help="Run code that the model file holds (Lambda layers), and let it reach other files. Only if you wrote it.",
    ),
    _option(
        LOADING,
        "--custom",
        metavar="MODULE:NAME",
        multiple=True,
        help="A custom layer or function the model needs, importable from here. May be repeated.",
    ),
    _option(
        LOADING,
        "--load-seconds",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Longest time that loading the model may take.  [default: 120]",
    ),
    _option(
        LOADING,
        "--load-memory",
        metavar="SIZE",
        help="Most memory that loading the model may take, e.g. 16GiB.  [default: 4GiB and 8 times its weights]",
    ),
)

_DATA = (
    _option(
        DATA,
        "--data",
        metavar="SOURCE",
        help="An .npz (x_train, y_train, x_test, y_test; or x, y), a folder of class folders with images or .wav "
        "files, a folder of images/ and masks/, .csv, .parquet, .tfrecord, module:function, keras:NAME or tfds:NAME.",
    ),
    _option(DATA, "--label", metavar="COLUMN", help="CSV/Parquet: the column that holds the label."),
    _option(DATA, "--features", metavar="FILE.toml", help="TFRecord: what the records hold (see docs/data.md)."),
    _option(
        DATA,
        "--classes",
        metavar="A,B,...|FILE",
        help="Names of the classes in the order of the model's outputs, or a file with one a line. [default: those the "
        "data holds, else alphabetical]",
    ),
    _option(
        DATA,
        "--window",
        type=click.IntRange(min=1),
        metavar="ROWS",
        help="Tables and arrays of readings: cut them into windows of so many rows. Recordings: samples of each that "
        "--preprocess gets.",
    ),
    _option(
        DATA,
        "--stride",
        type=click.IntRange(min=1),
        metavar="ROWS",
        help="Rows from the start of a window to that of the next.  [default: as many as a window has]",
    ),
    _option(
        DATA,
        "--group",
        metavar="COLUMN",
        help="The column (or array beside x) that says which rows belong together, a session or a person: no window "
        "crosses it, and no group lies in two splits.",
    ),
    _option(
        DATA,
        "--vocabulary",
        metavar="FILE",
        help="CSV/Parquet: numbers the words of text columns: a word a line, the first is 2 (0 padding, 1 unknown).",
    ),
    _option(
        DATA,
        "--skip-corrupt",
        is_flag=True,
        default=None,
        help="Leave out samples that cannot be read or hold NaN, and say which; without it the first is an error.",
    ),
    _option(DATA, "--scale", metavar="NUMBER", help="Multiply the inputs by this, e.g. 1/255."),
    _option(DATA, "--mean", metavar="A[,B,C]", help="Then subtract this (one number, or one a channel)."),
    _option(DATA, "--std", metavar="A[,B,C]", help="Then divide by this."),
    _option(DATA, "--preprocess", metavar="MODULE:FUNCTION", help="Then call this function: a batch in, a batch out."),
)


TASK = "What the labels mean"
"""The heading of the options about tasks."""

_TASK = (
    _option(
        TASK,
        "--task",
        metavar="NAME|OUTPUT=NAME",
        multiple=True,
        help="A task of docs/tasks.md, or MODULE:OBJECT. May be repeated, for each output. [default: inferred from the "
        "labels and the model, and said]",
    ),
    _option(
        TASK,
        "--metric",
        metavar="NAME|MODULE:FUNCTION",
        multiple=True,
        help="A figure besides the task's own: a metric of Keras (docs/tasks.md has which), or a function of outputs "
        "and labels. May be repeated, also as OUTPUT=NAME.",
    ),
    _option(TASK, "--main-metric", metavar="NAME", help="The figure that is compared. [default: the task's first]"),
    _option(TASK, "--main-output", metavar="NAME", help="The output whose figures are compared. [default: the first]"),
    _option(
        TASK, "--ignore-label", type=int, metavar="N", help="The label of what does not count. [default: the task's]"
    ),
    _option(
        TASK,
        "--windows-of",
        type=click.IntRange(min=1),
        metavar="N",
        help="So many samples in a row are the windows of one clip, and scored together.",
    ),
)


def track_option(group: str) -> GroupedOption:
    """Return ``--track``, which names trackers of the table.

    Args:
        group: its heading.
    """
    places = "; ".join(f"{name}: {choice.where}" for name, choice in TRACKERS.items())
    return GroupedOption(
        ["--track"],
        group=group,
        multiple=True,
        callback=_named_trackers,
        metavar="NAME[:WHERE]",
        help=f"Have the run followed by {', '.join(TRACKERS)}, each an extra (pip install tfcompress[NAME]). WHERE is "
        f"for {places}. May be repeated.",
    )


def _named_trackers(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse names of no tracker where the line is read; whether one is installed is asked when the work begins."""
    for text in value:
        read_tracker(text)
    return value


def loading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how a model file is read; the command gets them as ``loading``, for ``load_model``."""

    @functools.wraps(command)
    def with_loading(
        *, trust: bool, custom: tuple[str, ...], load_seconds: float | None, load_memory: str | None, **flags: Any
    ) -> Any:
        from tfcompress.models.first_load import LoadLimits

        limits = None
        if load_seconds is not None or load_memory is not None:
            size = None if load_memory is None else parse_size(load_memory, "--load-memory")
            limits = LoadLimits(load_seconds or LoadLimits.seconds, size)
        return command(loading={"trust": trust, "custom": custom, "limits": limits}, **flags)

    return _add(with_loading, _LOADING)


def parse_size(text: str, flag: str) -> int:
    """Return a size such as ``512MB`` or ``16GiB`` in bytes.

    Raises:
        UsageError: it is none; naming the flag.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?))?B?\s*", text, re.IGNORECASE)
    size = 0
    if found:
        power = " KMGT".index((found[2] or " ").upper())
        size = round(float(found[1]) * (1024 if found[3] else 1000) ** power)
    if size <= 0:
        msg = f"{flag} must be a size such as 512MB or 16GiB, got {text!r}"
        raise UsageError(msg)
    return size


def refuse_loading_flags(loading: Mapping[str, Any], path: Path, what: str = "a TFLite file") -> None:
    """Refuse the options of :func:`loading_options` for *what* is never loaded by a Keras.

    Raises:
        UsageError: naming the option.
    """
    names = {"trust": "--trust", "custom": "--custom", "limits": "--load-seconds and --load-memory"}
    idle = next((flag for name, flag in names.items() if loading[name]), None)
    if idle:
        msg = f"{idle} says how a Keras model is loaded, and has no meaning for {str(path)!r}, {what}"
        raise UsageError(msg)


def data_options(command: Command) -> Command:
    """Add the options that say where data comes from, how it is preprocessed, and what its labels mean."""
    return _add(command, (*_DATA, *_TASK))


def _add(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def refuse_lonely_flags(flags: Mapping[str, Any]) -> None:
    """Refuse an option about data where there is no ``--data``.

    Raises:
        UsageError: naming the option.
    """
    lonely = next((name for name in DATA_FLAGS[1:] if flags[name] not in (None, ())), None)
    if flags["data"] is None and lonely:
        msg = f"--{lonely.replace('_', '-')} says something about data, but there is no --data"
        raise UsageError(msg)


def open_data(
    *, data: str, scale: str | None, mean: str | None, std: str | None, preprocess: str | None, **reading: Any
) -> Dataset:
    """Open the data that the options name; see :func:`data_arguments` for the arguments.

    Raises:
        UsageError: invalid preprocessing, or a task or metric that there is not.
        DataError: data that cannot be read.
    """
    from tfcompress.data.preprocessing import Preprocessing
    from tfcompress.data.sources import load_data

    arguments = data_arguments(data=data, scale=scale, mean=mean, std=std, preprocess=preprocess, **reading)
    steps = Preprocessing(**arguments.pop("preprocessing"))
    return load_data(arguments.pop("spec"), preprocessing=steps, **arguments)


def data_arguments(
    *, data: str, scale: str | None, mean: str | None, std: str | None, preprocess: str | None, **reading: Any
) -> dict[str, Any]:
    """Return the arguments of :func:`tfcompress.load_data` that the options stand for, as plain values.

    Args:
        data: where it is.
        scale: see :class:`tfcompress.data.preprocessing.Preprocessing`, as the next.
        mean: as typed.
        std: as typed.
        preprocess: ``module:function``.
        reading: the options of :data:`READING_FLAGS` and :data:`TASK_FLAGS`.

    Raises:
        UsageError: invalid preprocessing.
    """
    from tfcompress.data.preprocessing import parse_numbers, parse_scale

    steps = {
        "scale": None if scale is None else parse_scale(scale),
        "mean": () if mean is None else parse_numbers(mean, "--mean"),
        "std": () if std is None else parse_numbers(std, "--std"),
        "function": preprocess or "",
    }
    named = {name: reading[name] for name in (*READING_FLAGS, *TASK_FLAGS)}
    return {"spec": data, "preprocessing": steps, "metrics": named.pop("metric"), **named}


def new_file(
    output: str | Path, suffixes: Sequence[str], what: str, *, force: bool, any_case: bool = True, flag: str = "-o"
) -> Path:
    """Return where a command writes its file, before any work.

    Args:
        output: as typed, or the default.
        suffixes: what the name may end in, in lower case.
        what: what is written, for the message.
        force: a file that is there is replaced.
        any_case: capital letters in the ending are as good.
        flag: by which it was typed.

    Raises:
        UsageError: the name promises something else.
        OutputError: the file is there.
    """
    target = Path(output)
    if (target.suffix.lower() if any_case else target.suffix) not in suffixes:
        msg = f"{flag} must end in {', '.join(suffixes)}: {what} is written, got {str(target)!r}"
        raise UsageError(msg)
    if target.exists() and not force:
        msg = f"{target} exists already; give --force to replace it, or choose another place with {flag}"
        raise OutputError(msg)
    return target
