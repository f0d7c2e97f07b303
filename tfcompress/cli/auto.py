"""``tfcompress auto``: from limits to the best file."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfcompress.cli.bench import runner_words
from tfcompress.cli.grouping import GroupedCommand, GroupedOption, option_for
from tfcompress.cli.options import (
    DATA_FLAGS,
    data_arguments,
    data_options,
    loading_options,
    parse_size,
    track_option,
)
from tfcompress.cli.recipe_flags import alone
from tfcompress.errors import RecipeError, UsageError
from tfcompress.kept_stages import KEPT_BYTES
from tfcompress.search.goals import Limits
from tfcompress.search.own_values import read_values
from tfcompress.search.space import tried_fields
from tfcompress.search.wishes import EXPORT, TRAINING, VALIDATION, Wishes
from tfcompress.settings import Export
from tfcompress.stages.flags import Flag, flags_of, is_given, naming
from tfcompress.stages.stage_table import STAGES
from tfcompress.tracking.tracker_table import check_trackers, open_trackers
from tfcompress.train_settings import Train

if TYPE_CHECKING:
    from tfcompress.cli.terminal import Terminal
    from tfcompress.reports.search_facts import SearchFacts

HELP = """\
Search for the best .tflite file of MODEL that keeps your limits: stages, their settings and the numbers of the file.

\b
  tfcompress auto model.keras --data data.npz --max-drop 1.0 --budget 2h -o out
  tfcompress auto model.keras --data data.npz --max-size 100KB --budget 30m -o out
  tfcompress auto model.h5 --data data.npz --max-drop 0.5 --max-p90 5ms --device pi5 --budget 8h -o out
  tfcompress auto model.h5 --data data.npz --trials 40 --jobs 2 --dry-run

Writes a folder: best/ (as export writes one), front/ (every file that was judged), front.json, report.html with the
Pareto picture, and study.db, which optuna-dashboard opens. Candidates are judged on the validation split, or on a part
of the training split that is kept apart; the test split decides at the end and is not looked at before. What was
trained once is not trained again. A search that was killed is taken up by the same command; Ctrl-C ends it with the
best so far. Flags of training and file that you give are kept as they are; the others are tried.
"""

INPUT, LIMITS, SEARCH, TRAINING_GROUP, FILE, OUTPUT = (
    "Model and data",
    "Limits",
    "The search",
    "Training of every candidate",
    "The file",
    "Output",
)

_SIZE = "Bytes of the file, e.g. 100KB."
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_MS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
_JOULES = {"uJ": 1e-6, "µJ": 1e-6, "mJ": 1e-3, "J": 1.0}

_OPTIONS = (
    GroupedOption(
        ["--max-drop"],
        group=LIMITS,
        type=click.FLOAT,
        metavar="POINTS",
        help="Lose at most so much against float, proven on the test split. A point is 1 % of a fraction or an area "
        "(accuracy, AUC), of other figures 1 % of float's. [default: 1 where no limit is given]",
    ),
    GroupedOption(["--max-size"], group=LIMITS, metavar="SIZE", help=_SIZE),
    GroupedOption(["--max-download"], group=LIMITS, metavar="SIZE", help="Bytes of the file after gzip."),
    GroupedOption(
        ["--max-p90"],
        group=LIMITS,
        metavar="TIME",
        help="What nine of ten inferences take at most, e.g. 5ms, on --device.",
    ),
    GroupedOption(
        ["--device"],
        group=LIMITS,
        metavar="DEVICE",
        help="Measure latency there and make it small: local, ssh://user@host[:port], a name from devices.toml.",
    ),
    GroupedOption(
        ["--max-energy"],
        group=LIMITS,
        metavar="ENERGY",
        help="What an inference takes above idle at most, e.g. 5mJ, where --device measures power.",
    ),
    GroupedOption(
        ["--energy"], group=LIMITS, is_flag=True, help="Make the energy of an inference on --device small, too."
    ),
    GroupedOption(
        ["--also"],
        group=LIMITS,
        default="",
        metavar="TEXT",
        help="Further options of edge_runner on --device, as one text: '--threads 4 --power-command ./watts', say.",
    ),
    GroupedOption(
        ["--budget"], group=SEARCH, metavar="TIME", help="Time for everything, e.g. 30m or 2h. This or --trials."
    ),
    GroupedOption(["--trials"], group=SEARCH, type=click.INT, metavar="N", help="Candidates at most."),
    GroupedOption(
        ["--jobs"],
        group=SEARCH,
        type=click.INT,
        default=1,
        show_default=True,
        metavar="N",
        help="Candidates that are made beside each other, as far as memory allows.",
    ),
    GroupedOption(
        ["--engine"],
        group=SEARCH,
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Make candidates in processes of this machine, or on a Ray cluster (pip install tfcompress[ray]).",
    ),
    GroupedOption(
        ["--address"],
        group=SEARCH,
        metavar="HOST:PORT",
        default="",
        help="Of the running cluster, from a machine of it. Off this machine it must demand a token.",
    ),
    GroupedOption(
        ["--architecture"],
        group=SEARCH,
        is_flag=True,
        help="Try other widths, fewer blocks, smaller kernels and pictures of the network, too; as it is, it teaches.",
    ),
    GroupedOption(
        ["--builder"],
        group=SEARCH,
        metavar="MODULE:FUNCTION",
        default="",
        help="Try networks that your own build(hp) gives, too, hp as of KerasTuner; MODEL teaches. Needs --trust.",
    ),
    GroupedOption(
        ["--without"],
        group=SEARCH,
        type=click.Choice(list(STAGES)),
        multiple=True,
        help="Leave a stage out. May be repeated.",
    ),
    GroupedOption(
        ["--values"],
        group=SEARCH,
        metavar="NAME=A,B",
        multiple=True,
        help="Try these values of NAME, as --dry-run names it: channels.remove=0.1,0.2; channels=true: always. May be "
        "repeated.",
    ),
    GroupedOption(
        ["--storage"],
        group=SEARCH,
        metavar="URL",
        default="",
        help="Database of the search: sqlite:///FILE, postgresql+psycopg://USER@HOST/DATABASE. [default: study.db in "
        "the output]",
    ),
    GroupedOption(
        ["--cache"],
        group=SEARCH,
        metavar="FOLDER",
        help="Where stages keep what they made. [default: in the user's cache]",
    ),
    GroupedOption(["--cache-size"], group=SEARCH, metavar="SIZE", help="How large that may become. [default: 4GiB]"),
    GroupedOption(
        ["--dry-run"],
        group=SEARCH,
        is_flag=True,
        help="Print what would be tried, the gates, and how long it would take by the cost of a few steps.",
    ),
    GroupedOption(["-o", "--output"], group=OUTPUT, metavar="FOLDER", help="Where to write. [default: MODEL-auto]"),
    track_option(OUTPUT),
    GroupedOption(["--force"], group=OUTPUT, is_flag=True, help="Replace an existing output folder."),
    GroupedOption(["--json", "as_json"], group=OUTPUT, is_flag=True, help="Print front.json instead of a table."),
)

_DEFAULTS = {"validation": f"{VALIDATION:g} where there is none"}
"""What is done where a flag is not given, by its field, where the settings do not say it."""

_CHIP = ("max_arena", "max_flash")
"""Fields of the export that are limits here: of what a microcontroller is given."""

_NOT_HERE = ("max_drop", "max_size", "max_latency", "device", "mixed", "plans", "input_range", "packings")
"""Fields of the settings without a flag here: auto has its own, or has no use for them."""


def run_auto(
    model: str,
    output: str | None,
    force: bool,
    as_json: bool,
    dry_run: bool,
    loading: dict[str, Any],
    track: tuple[str, ...],
    **flags: Any,
) -> None:
    """Search as the command line asks, and print what was found."""
    if flags["data"] is None:
        msg = "auto trains and judges candidates, and needs --data (an .npz with x_train, y_train, x_test, y_test, say)"
        raise UsageError(msg)
    target = Path(output) if output else Path(f"{Path(model).stem or 'model'}-auto")
    data = data_arguments(**{name: flags[name] for name in DATA_FLAGS})
    wishes = read_wishes(flags, _command(model, flags, loading, target))
    from tfcompress.cli.terminal import terminal

    with terminal() as screen:
        check_trackers(track)
        from tfcompress.search.automatic import opening_of, searched
        from tfcompress.tracking.following import Following

        opening = opening_of(model, data, loading, wishes)
        if dry_run:
            _estimate(screen, opening, wishes)
            return
        more = {} if not screen.err.is_terminal else {"watcher": _live(screen)}
        more |= {"progress": screen.progress, "log": screen.log}
        following = Following(open_trackers(track), screen.progress.note)
        found = searched(opening, wishes, output=target, force=force, following=following, **more)
        if as_json:
            screen.write(found.facts.to_json())
            return
        show_search(found.facts, target, screen)


def _live(screen: Terminal) -> Any:
    from tfcompress.search.live import LiveTable

    return lambda: LiveTable(screen.err)


def read_wishes(flags: Mapping[str, Any], command: str = "") -> Wishes:
    """Return what the flags ask for.

    Args:
        flags: what was given for each option, by its name.
        command: what makes the best file again without a search.

    Raises:
        UsageError: a text that is no size or time, or wishes that contradict each other.
        RecipeError: values that training or export refuse.
    """
    train, by_train = _given(Train, flags)
    export, by_export = _given(Export, flags)
    with naming({**by_train, **by_export}):
        settings = dataclasses.replace(TRAINING, **train), _export_with(export)
    return Wishes(
        limits=Limits(
            drop=flags["max_drop"],
            size=_size(flags, "max_size"),
            download=_size(flags, "max_download"),
            p90=None if flags["max_p90"] is None else parse_time(flags["max_p90"], "--max-p90", _MS),
            energy=None if flags["max_energy"] is None else parse_energy(flags["max_energy"], "--max-energy"),
        ),
        smaller=settings[1].optimize_for,
        device=flags["device"],
        energy=flags["energy"],
        also=tuple(runner_words(flags["also"])),
        budget_seconds=None if flags["budget"] is None else parse_time(flags["budget"], "--budget", _SECONDS),
        trials=flags["trials"],
        jobs=flags["jobs"],
        engine=flags["engine"],
        address=flags["address"],
        architecture=flags["architecture"],
        builder=flags["builder"],
        storage=flags["storage"],
        train=settings[0],
        export=settings[1],
        fixed=(*(f"train.{name}" for name in train), *(f"export.{name}" for name in export)),
        without=flags["without"],
        values=read_values(flags["values"]),
        kept=None if flags["cache"] is None else Path(flags["cache"]),
        command=command,
        kept_bytes=_size(flags, "cache_size") or KEPT_BYTES,
    )


def _export_with(given: Mapping[str, Any]) -> Export:
    """Return an export with what was given, and numbers that go with it where none were: others are tried, too.

    Raises:
        RecipeError: it goes with no numbers.
    """
    numbers = (given.get("quantize"),) if "quantize" in given else dict(tried_fields(Export))["quantize"]
    refusals = []
    for each in numbers:
        try:
            return dataclasses.replace(EXPORT, **{**given, "quantize": each})
        except RecipeError as refusal:
            refusals.append(refusal)
    raise refusals[0]


def _size(flags: Mapping[str, Any], name: str) -> int | None:
    return None if flags[name] is None else parse_size(flags[name], f"--{name.replace('_', '-')}")


def parse_time(text: str, flag: str, units: Mapping[str, float]) -> float:
    """Return a time such as ``2h`` or ``5ms`` in the unit whose factor is 1.

    Args:
        text: as typed.
        flag: for messages.
        units: the units that may be named, with their factors.

    Raises:
        UsageError: it is none.
    """
    return _parsed(text, flag, units, f"a time such as {'5ms' if 'ms' in units else '90s, 30m or 2h'}")


def parse_energy(text: str, flag: str) -> float:
    """Return an energy such as ``5mJ`` in J; see :func:`parse_time`."""
    return _parsed(text, flag, _JOULES, "an energy such as 5mJ")


def _parsed(text: str, flag: str, units: Mapping[str, float], what: str) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zµJ]+)\s*", text)
    if found is None or found[2] not in units:
        msg = f"{flag} must be {what} (units: {', '.join(units)}), got {text!r}"
        raise UsageError(msg)
    return float(found[1]) * units[found[2]]


def _given(kind: type[Train | Export], flags: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values that flags give, by field, and the flags by the place of a value in messages."""
    values: dict[str, Any] = {}
    given = [flag for flag in _flags(kind) if is_given(flags[flag.key])]
    for flag in given:
        values |= {name: value for name, value in flag.values(flags[flag.key]).items() if name == flag.field}
    return values, {f"{kind.__name__.lower()}.{flag.field}": flag.name for flag in given}


def _flags(kind: type[Train | Export]) -> list[Flag]:
    """Return the flags of settings, with what auto does where they are not given."""
    base: Train | Export = TRAINING if kind is Train else EXPORT
    tried = {name for name, _ in tried_fields(kind)}
    return [
        _as_auto_has_it(flag, base, tried)
        for flag in flags_of(kind)
        if not flag.removes and flag.field not in _NOT_HERE
    ]


def _as_auto_has_it(flag: Flag, base: Train | Export, tried: Collection[str]) -> Flag:
    value = getattr(base, flag.field)
    if flag.field in tried or flag.field in _DEFAULTS:
        flag = dataclasses.replace(flag, default=_DEFAULTS.get(flag.field, "tried"))
    elif value != getattr(type(base)(), flag.field):
        flag = dataclasses.replace(flag, default=str(value))
    return alone(flag)


def _command(model: str, flags: Mapping[str, Any], loading: Mapping[str, Any], target: Path) -> str:
    """Return the command that makes the best file again without a search."""
    words = ["tfcompress", "export", model, "--recipe", f"{target}/best/recipe.toml"]
    for name in DATA_FLAGS:
        value, flag = flags[name], f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif value not in (None, (), False):
            words += [word for each in (value if isinstance(value, tuple) else (value,)) for word in (flag, str(each))]
    words += ["--trust"] if loading["trust"] else []
    words += [word for each in loading["custom"] for word in ("--custom", each)]
    if loading["limits"] is not None:
        words += ["--load-seconds", f"{loading['limits'].seconds:g}"]
        words += ["--load-memory", str(size)] if (size := loading["limits"].memory_bytes) else []
    return shlex.join(words)


def _estimate(screen: Terminal, opening: Any, wishes: Wishes) -> None:
    from tfcompress.search.estimate import estimate_lines, estimated

    for line in estimate_lines(estimated(opening, wishes, screen.progress, screen.log)):
        screen.out.print(line, soft_wrap=True, markup=False)


def show_search(found: SearchFacts, target: Path, screen: Terminal) -> None:
    """Print the judged files as a table, what binds, and how the best is made again."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tfcompress.reports import wording
    from tfcompress.reports.search_page import drop_interval

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    titles = ("", "recipe", *(goal.title for goal in found.goals), "drop, 95 %", "score")
    for place, title in enumerate(titles):
        table.add_column(title, justify="left" if place < 2 else "right", overflow="fold", no_wrap=place > 1)
    for each in found.finals:
        mark = "best" if each.number == found.winner else "" if not each.misses else "misses"
        cells = (wording.of_unit(each.figures.get(goal.name), goal.unit) for goal in found.goals)
        table.add_row(*map(Text, (mark, each.name, *cells, drop_interval(each), each.score)))
    screen.out.print(table)
    for line in found.words:
        screen.out.print(Text(line), soft_wrap=True)
    screen.out.print(Text(f"again without a search: {found.command}"), soft_wrap=True)
    screen.out.print(f"written to {target}/ (open {target}/report.html)", soft_wrap=True, markup=False)


def make_command() -> click.Command:
    """Return the command, with the options of training and export that are not auto's own."""
    body = data_options(loading_options(run_auto))
    shared = {name: option for option in reversed(body.__click_params__) for name in [option.name]}  # type: ignore[attr-defined]
    loading = [option for name, option in shared.items() if name not in DATA_FLAGS]
    own = {option.name for option in _OPTIONS}

    def _new(flag: Flag) -> bool:
        return flag.key not in own

    return GroupedCommand(
        "auto",
        help=HELP,
        short_help="Search for the best file that keeps limits.",
        callback=body,
        params=[
            click.Argument(["model"], metavar="MODEL"),
            *(shared[name] for name in DATA_FLAGS),
            *(option for option in _OPTIONS if option.group != OUTPUT),
            *(option_for([flag], TRAINING_GROUP) for flag in _flags(Train) if _new(flag)),
            *(option_for([flag], LIMITS if flag.field in _CHIP else FILE) for flag in _flags(Export) if _new(flag)),
            *(option for option in _OPTIONS if option.group == OUTPUT),
            *loading,
        ],
    )


command = make_command()
