"""Write the tables in the docs that are made from the program's own tables.

    python -m tools.docs_tables           # rewrites them
    python -m tools.docs_tables --check   # fails where one is out of date

A table stands between the lines ``<!-- NAME: python -m tools.docs_tables -->`` and ``<!-- /NAME -->``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from tools import docs_reference

ROOT = Path(__file__).parents[1]


def stages_table() -> str:
    """Return the table of stages with what each brings."""
    from tfcompress.stages.stage_table import STAGES

    rows = [
        (*_names(kind), stage.about, stage.phase, ", ".join(stage.engines), *stage.gains)
        for kind, stage in STAGES.items()
    ]
    columns = ("stage", "flag", "what it does", "phase", "engines", "smaller file", "smaller download", "faster")
    return _table(columns, rows)


def short_stages_table() -> str:
    """Return the table of stages for a reader in a hurry."""
    from tfcompress.stages.stage_table import STAGES

    rows = [(*_names(kind), stage.about, *stage.gains) for kind, stage in STAGES.items()]
    return _table(("stage", "flag", "what it does", "smaller file", "smaller download", "faster"), rows)


def lessons_table() -> str:
    """Return the table of losses by which a student learns."""
    from tfcompress.stages.lessons import LESSON_LOSSES

    rows = [(f"`{name}`", loss.about, loss.of, loss.source) for name, loss in LESSON_LOSSES.items()]
    return _table(("`--distill-loss`", "what is compared", "of", "source"), rows)


def packings_table() -> str:
    """Return the table of packings."""
    from tfcompress.export_choices import PACKINGS

    rows = [(f"`{name}`", found.about, "yes" if found.default else "no") for name, found in PACKINGS.items()]
    return _table(("`--packing`", "what it does", "default"), rows)


def calibrators_table() -> str:
    """Return the table of calibrators."""
    from tfcompress.export_choices import CALIBRATIONS

    rows = [(f"`{name}`", found.about) for name, found in CALIBRATIONS.items()]
    return _table(("`--calibration`", "the range of a tensor"), rows)


def corrections_table() -> str:
    """Return the table of corrections."""
    from tfcompress.export_choices import CORRECTIONS

    rows = [(f"`{name}`", found.about) for name, found in CORRECTIONS.items()]
    return _table(("`--correct`", "what it does"), rows)


def roundings_table() -> str:
    """Return the table of ways to round weights."""
    from tfcompress.export_choices import ROUNDINGS

    return _table(("`--rounding`", "what it does"), [(f"`{name}`", found.about) for name, found in ROUNDINGS.items()])


def rungs_table() -> str:
    """Return the ways that are tried so that a file loses no more than it may."""
    from tfcompress.search.ladder import RUNGS

    return _table(("way", "what it does"), ((f"`{rung.name}`", rung.about) for rung in RUNGS))


def targets_table() -> str:
    """Return the table of targets."""
    from tfcompress.targets.target_table import TARGETS

    rows = [
        (
            f"`{name}`",
            target.about,
            ", ".join("float32" if scheme == "none" else scheme for scheme in target.schemes),
            target.ram or "-",
            str(target.round_to),
        )
        for name, target in TARGETS.items()
    ]
    return _table(("`--target`", "what it is", "numbers", "most arena", "widths go by"), rows)


def tasks_table() -> str:
    """Return the table of tasks with their figures, the main one first."""
    from tfcompress.tasks.figures import figure_kind
    from tfcompress.tasks.task_table import TASKS

    rows = [
        (
            f"`{name}`",
            "; ".join(figure_kind(figure).meaning for figure in task.figures),
            "yes" if task.needs_labels else "no",
            ", ".join(f"`--{setting.replace('_', '-')}`" for setting in task.heeds),
            task.constant,
        )
        for name, task in TASKS.items()
    ]
    return _table(("`--task`", "figures, the main one first", "needs labels", "heeds", "chance is"), rows)


def metrics_table() -> str:
    """Return the table of metrics of Keras that scores may hold."""
    from tfcompress.tasks.metric import KERAS_METRICS

    compared = {
        "values": "outputs and labels of one shape",
        "probabilities": "the same, outputs in [0, 1]",
        "classes": "class numbers and the probability of each class",
    }
    rows = [
        (f"`{name}`", each.kind.meaning, each.kind.better, compared[each.wants]) for name, each in KERAS_METRICS.items()
    ]
    return _table(("`--metric`", "what it is", "better", "it compares"), rows)


def compression_metrics_table() -> str:
    """Return the table of what compression is judged by."""
    from tfcompress.reports.compression_metrics import COMPRESSION_METRICS

    units = {"times": "times", "fraction": "fraction", "points": "percentage points, or the figure's unit"}
    rows = [
        (
            f"`{name}`",
            each.title + (f" ({each.short})" if each.short else ""),
            each.formula,
            units.get(each.unit, each.unit),
            each.better,
            each.interval or "none",
            each.source,
        )
        for name, each in COMPRESSION_METRICS.items()
    ]
    return _table(("name", "metric", "formula", "unit", "better", "interval", "source"), rows)


def layer_columns_table() -> str:
    """Return the table of what is told of each layer."""
    from tfcompress.reports.layer_changes import LAYER_COLUMNS

    return _table(("column", "what it holds"), ((f"`{each.name}`", each.about) for each in LAYER_COLUMNS))


def exits_table() -> str:
    """Return the table of exit codes."""
    from tfcompress import errors

    rows: dict[int, list[type[errors.TfcompressError]]] = {}
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.TfcompressError):
            rows.setdefault(kind.exit_code, []).append(kind)
    told = [
        (str(code), ", ".join(f"`{kind.__name__}`" for kind in kinds), (kinds[0].__doc__ or "").splitlines()[0])
        for code, kinds in sorted(rows.items())
    ]
    return _table(("exit code", "in Python", "what it means"), [*told, (str(errors.INTERRUPTED), "", "Ctrl-C.")])


def _names(kind: str) -> tuple[str, str]:
    from tfcompress.stages.flags import asking
    from tfcompress.stages.stage_table import STAGES

    flag = asking(STAGES[kind])
    typed = f"{flag.name} {flag.option.metavar}".strip().replace("|", "\\|")
    return f"`{STAGES[kind].__name__}`", f"`{typed}`"


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "stages": ("docs/stages.md", stages_table),
    "short-stages": ("README.md", short_stages_table),
    "lessons": ("docs/stages.md", lessons_table),
    "packings": ("docs/export.md", packings_table),
    "calibrators": ("docs/export.md", calibrators_table),
    "roundings": ("docs/export.md", roundings_table),
    "corrections": ("docs/export.md", corrections_table),
    "rungs": ("docs/export.md", rungs_table),
    "targets": ("docs/microcontroller.md", targets_table),
    "tasks": ("docs/tasks.md", tasks_table),
    "metrics": ("docs/tasks.md", metrics_table),
    "compression-metrics": ("docs/metrics.md", compression_metrics_table),
    "layer-columns": ("docs/metrics.md", layer_columns_table),
    "exits": ("docs/troubleshooting.md", exits_table),
    "recipe": ("docs/recipe.md", docs_reference.recipe_text),
    "report": ("docs/report-format.md", docs_reference.report_text),
}
"""Name -> the file that it stands in, and what makes it."""


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [tuple(columns)]
    lines += [("---",) * len(lines[0]), *map(tuple, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def updated(text: str, name: str, table: str) -> str:
    """Return *text* with the table between its markers.

    Raises:
        ValueError: there are no markers of that name.
    """
    begin, end = f"<!-- {name}: python -m tools.docs_tables -->", f"<!-- /{name} -->"
    pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        msg = f"there is no {begin}"
        raise ValueError(msg)
    return pattern.sub(lambda _: f"{begin}\n{table}\n{end}", text)


def main(words: list[str] | None = None) -> int:
    """Write the tables, or say which are out of date; return the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="write nothing; fail where a table is out of date")
    checks, stale = options.parse_args(words).check, []
    for name, (file, make) in TABLES.items():
        path = ROOT / file
        text = path.read_text("utf-8")
        new = updated(text, name, make())
        if new != text:
            stale.append(f"{file}: {name}")
            if not checks:
                path.write_text(new, "utf-8")
    sys.stdout.write("".join(f"{'out of date' if checks else 'written'}: {place}\n" for place in stale))
    return 1 if checks and stale else 0


if __name__ == "__main__":
    sys.exit(main())
