"""``tfcompress evaluate``: the accuracy of a file on data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfcompress.cli.options import data_options, loading_options, open_data, refuse_loading_flags
from tfcompress.errors import UsageError

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData, Dataset
    from tfcompress.progress import Progress
    from tfcompress.tasks.score import Score

_WORST = 3
"""How many classes are named: those with the lowest accuracy."""

HELP = """\
Measure how well MODEL (.tflite, .h5, .keras or a SavedModel) does on your data.

\b
  tfcompress evaluate model-int8.tflite --data data.npz --scale 1/255
  tfcompress evaluate model.h5 --data photos/ --scale 1/255 --json

A .tflite runs in the interpreter that devices use; quantized inputs and outputs are converted by the file's own
scales.
"""


@click.command("evaluate", help=HELP, short_help="Measure accuracy.")
@click.argument("model", metavar="MODEL")
@data_options
@loading_options
@click.option(
    "--split",
    default="test",
    show_default=True,
    help="Which split: test, train or val. Unnamed data (x, y) is all test.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: str, split: str, as_json: bool, loading: dict[str, Any], **flags: Any) -> None:
    if flags["data"] is None:
        msg = "evaluate needs data to evaluate on: give --data"
        raise UsageError(msg)
    from tfcompress.cli.terminal import terminal
    from tfcompress.reports import codec

    with terminal() as screen:
        data = open_data(**flags)
        score, source = score_file(Path(model), data, split, loading, screen.progress)
        about = {"model": model, "data": source, "split": split}
        if as_json:
            screen.write(json.dumps({**about, **codec.to_plain(score)}, indent=1) + "\n")
            return
        lines = [*about.items(), *score_lines(score)]
        width = max(len(name) for name, _ in lines)
        screen.write("".join(f"{name:>{width}}  {value}\n" for name, value in lines))


def score_file(
    model: Path, data: Dataset, split: str, loading: dict[str, Any], progress: Progress
) -> tuple[Score, str]:
    """Evaluate a Keras or TFLite file; also return the data's name."""
    from tfcompress.models.loading import load_model, probe

    if probe(model).kind == "tflite":
        refuse_loading_flags(loading, model)
        from tfcompress.tflite.interpret import InterpreterProcess
        from tfcompress.tflite.pack import data_free_note

        if told := data_free_note(model.read_bytes()):
            progress.note(told)
        with InterpreterProcess(model) as interpreter:
            bound = data.bind(interpreter.signature, holdout=None)
            says = "; a .tflite does not say what it was trained for"
            return _score(bound, split, interpreter.run, progress, says), data.source
    from tfcompress.models.signature import call

    with progress.task("loading the model"):
        loaded = load_model(model, **loading)
    bound = data.bind(loaded.signature, holdout=None)
    return _score(bound, split, lambda inputs: call(loaded.native, inputs), progress), data.source


def _score(bound: BoundData, split: str, predict: Any, progress: Progress, says: str = "") -> Score:
    from tfcompress.evaluate.scoring import evaluate as measure
    from tfcompress.file_scores import class_orders

    if split not in bound.splits:
        msg = f"--split must be one of {', '.join(bound.splits)} (what the data holds), got {split!r}"
        raise UsageError(msg)
    warnings = bound.lint()
    for line in bound.choices:
        progress.note(f"{line}{says}")
    for line in warnings:
        if line not in bound.choices:
            progress.note(line)
    samples = bound.splits[split]
    with progress.task("evaluating", samples.size) as task:
        orders = class_orders(bound)
        score = measure(predict, samples, bound.tasks, **bound.figures, orders=orders, progress_task=task).score
    for line in orders.lines(bound.dataset.labels):
        progress.note(line)
    return score


def score_lines(score: Score) -> list[tuple[str, str]]:
    """Return what a person reads of a score: task, samples and each figure with its interval, of every output."""
    from tfcompress.reports import wording
    from tfcompress.tasks.figures import figure_kind
    from tfcompress.tasks.task_table import at_chance

    if score.outputs:
        each = [(f"{name}: {title}", text) for name, of in score.outputs.items() for title, text in score_lines(of)]
        return [("main output", next(iter(score.outputs))), *each]
    lines = [("task", score.task), ("samples", f"{score.samples:,}")]
    for name, figure in score.figures.items():
        interval = wording.interval(figure)
        lines.append((figure_kind(name).title, wording.figure(figure) + (f" (95 %: {interval})" if interval else "")))
    if score.per_class:
        worst = sorted(score.per_class.items(), key=lambda item: item[1])[:_WORST]
        lines.append(("worst classes", ", ".join(f"{name} ({wording.percent(value, 1)})" for name, value in worst)))
    if score.confusion:
        pairs = (f"{one} for {other} ({count:,})" for one, other, count in score.confusion[:_WORST])
        lines.append(("most often taken", ", ".join(pairs)))
    constant = at_chance(score)
    if constant:
        lines.append(("!", f"no better than {constant}: check the labels, their order and the preprocessing"))
    return lines
