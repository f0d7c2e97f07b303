"""``tfcompress stages``: what can be done to a model, and what it can be trained for."""

from __future__ import annotations

import importlib
import json
import textwrap
from importlib.util import find_spec
from typing import Any

import click

from tfcompress.stages.flags import asking, flags_of
from tfcompress.stages.stage import Stage
from tfcompress.stages.stage_table import STAGES

HELP = """\
List the stages: what each does to a model, when, by which engines, and the flags of tfcompress export that set it.

A stage that rewrites gives another model before the training, in the order of the flags; those that train do so
together. Below them: the tasks that a model's outputs can have, and the figures that each is scored by.
"""

_WIDTH = 110


@click.command("stages", help=HELP, short_help="List the stages and tasks.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    stages, tasks = [describe(stage) for stage in STAGES.values()], list_tasks()
    if as_json:
        click.echo(json.dumps({"stages": stages, "tasks": tasks}, indent=2, ensure_ascii=False))
        return
    for stage in stages:
        click.echo(f"{stage['flag']}\n  {stage['about']}.")
        click.echo(f"  {stage['phase']}; engines: {', '.join(stage['engines'])}")
        others = [flag["flag"] for flag in stage["flags"] if flag["flag"] != stage["flag"].split(" ")[0]]
        if others:
            click.echo(_wrapped(" ".join(others)))
    for task in tasks:
        click.echo(f"task {task['name']}: {', '.join(task['figures'])}")


def describe(stage: type[Stage]) -> dict[str, Any]:
    """Return what there is to say about a stage, as plain values."""
    asked_by = asking(stage)
    return {
        "kind": stage.kind,
        "class": stage.__name__,
        "about": stage.about,
        "phase": {"rewrite": "rewrites the model before the training", "train": "works while the model trains"}[
            stage.phase
        ],
        "engines": list(stage.engines),
        "gains": stage.gains._asdict(),
        "flag": f"{asked_by.name} {asked_by.option.metavar}".strip(),
        "flags": [
            {"flag": flag.name, "field": flag.field or None, "help": flag.option.help, "default": flag.default or None}
            for flag in flags_of(stage)
        ],
    }


def list_tasks() -> list[dict[str, Any]]:
    """Return each task's name and figures, the main one first, from the table of tasks."""
    if find_spec("tfcompress.tasks") is None:
        return []
    tasks = importlib.import_module("tfcompress.tasks.task_table").TASKS
    return [{"name": name, "figures": list(task.figures)} for name, task in tasks.items()]


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
