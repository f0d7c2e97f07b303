"""A run as a model card: Markdown with YAML front matter, as Hugging Face reads it; every number is the report's."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from edge_runner.flatbuffer import DATA_FREE
from tfcompress.reports import wording
from tfcompress.reports.findings import findings, quantities, ranges_without_data
from tfcompress.reports.report import Report
from tfcompress.reports.run_details import recipe_toml
from tfcompress.tasks.figures import figure_kind
from tfcompress.tasks.score import Score
from tfcompress.tasks.task_table import TASKS

LIBRARY = "tflite"
"""The library that the Hub names for loading the file."""

METRIC_TYPES = {
    "top1": "accuracy",
    "top5": "top_5_accuracy",
    "auc": "roc_auc",
    "macro_f1": "f1",
    "r2": "r_squared",
    "step_accuracy": "accuracy",
}
"""What the Hub calls a figure, where it calls it otherwise."""

_PLAIN = re.compile(r"[A-Za-z0-9._-]+")


def front_matter(report: Report, *, title: str, license_id: str = "") -> dict[str, Any]:
    """Return what stands between the dashes, as plain values.

    Args:
        report: of the run.
        title: what the model is called.
        license_id: what the Hub calls the license (``apache-2.0``); empty: none is said.
    """
    result = report.result
    kinds = [result.quantize] if result.quantize != "none" else []
    stages = [str(stage.get("kind")) for stage in report.recipe.get("stages") or () if isinstance(stage, Mapping)]
    found: dict[str, Any] = {"library_name": LIBRARY}
    if license_id:
        found["license"] = license_id
    pipeline = _pipeline(report, result.score)
    if pipeline:
        found["pipeline_tag"] = pipeline
    marks = [DATA_FREE] if ranges_without_data(report) else []
    found["tags"] = list(dict.fromkeys(["tflite", "litert", "tfcompress", *kinds, *marks, *stages]))
    rows = list(_results(report))
    if rows:
        found["model-index"] = [{"name": title, "results": rows}]
    return found


def _pipeline(report: Report, score: Score | None) -> str:
    """Return the Hub's name of what is scored, by its task (the main output's) and what goes in; empty: none."""
    task = TASKS.get(score.task) if score is not None else None
    inputs = (report.data or {}).get("inputs")
    first = next(iter(inputs.values()), None) if isinstance(inputs, Mapping) else None
    shape = first.get("shape") if isinstance(first, Mapping) else None
    return "" if task is None or shape is None else task.pipelines.get(len(shape), "")


def _results(report: Report) -> Iterator[dict[str, Any]]:
    """Yield an entry for each scored output."""
    score = report.result.score
    if score is None:
        return
    data = report.data or {}
    name = data_name(report) or "unknown"
    for output, own in (score.outputs or {"": score}).items():
        yield {
            "task": {
                "type": _pipeline(report, own) or own.task,
                "name": f"{own.task}{f' ({output})' if output else ''}",
            },
            "dataset": {"name": name, "type": name, "split": "test", "args": {"sha256": data.get("sha256")}},
            "metrics": list(_metrics(own)),
        }


def _metrics(score: Score) -> Iterator[dict[str, Any]]:
    for name, figure in score.figures.items():
        if figure.value is not None:
            kind = {"type": METRIC_TYPES.get(name, name), "value": figure.value, "name": figure_kind(name).meaning}
            ends = {"low": figure.low, "high": figure.high, "samples": score.samples}
            yield {**kind, "args": {key: value for key, value in ends.items() if value is not None}}


def data_name(report: Report) -> str:
    """Return what the data is called, without the path to it."""
    return PurePath(str((report.data or {}).get("source") or "")).name


def published(report: Report) -> Report:
    """Return the report without the path to the data."""
    if report.data is None:
        return report
    return dataclasses.replace(report, data={**report.data, "source": data_name(report)})


def model_card(report: Report, *, title: str, license_id: str = "") -> str:
    """Return the text of ``README.md``; see :func:`front_matter` for the arguments."""
    parts = [
        f"---\n{_yaml(front_matter(report, title=title, license_id=license_id))}---",
        f"# {_text(title)}",
        _about(report),
        "## Before and after",
        _table(("", "float", "this file", ""), [(r.name, r.before, r.after, r.change) for r in quantities(report)]),
        "## What was checked",
        "\n".join(f"- {_text(one.topic)}: {_text(one.text)}" for one in findings(report)),
        "## Use",
        *_use(report),
        "## How it was made",
        *_made(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(report: Report) -> str:
    source, result = report.source, report.result
    numbers = "float32" if result.quantize == "none" else result.quantize
    return (
        f"`{_code(result.name)}` is a TFLite file ({wording.size(result.size_bytes)}, {numbers}) made of the "
        f"{source.kind_words} `{_code(PurePath(source.name).name)}` by tfcompress {report.tool_version}. "
        f"SHA-256: `{result.sha256}`. Figures are those of its report, `report.json`: of the finished file, run in its "
        "own interpreter."
    )


def _use(report: Report) -> Iterator[str]:
    """Yield what goes in and out, and how the file is run."""
    sides = {side: report.result.verification.get(side) or () for side in ("inputs", "outputs")}
    rows = [(side[:-1], *_tensor(one)) for side, ones in sides.items() for one in ones if isinstance(one, Mapping)]
    if rows:
        yield _table(("", "name", "shape", "dtype", "scale", "zero point"), rows)
    yield _preparation((report.data or {}).get("preprocessing") or {})
    yield (
        "```python\n"
        "import numpy as np\n"
        "from ai_edge_litert.interpreter import Interpreter as Runtime\n\n"
        f"file = {json.dumps(report.result.name)}\n"
        "runner = Runtime(file).get_signature_runner()\n"
        "inputs = {name: np.zeros(d['shape'], d['dtype']) for name, d in runner.get_input_details().items()}\n"
        "print(runner(**inputs))\n"
        "```"
    )


def _tensor(spec: Mapping[str, Any]) -> Sequence[str]:
    shape = "x".join(map(str, spec.get("shape") or ()))
    scale, zero = spec.get("scale"), spec.get("zero_point")
    quantized = (f"{scale:.6g}", str(zero)) if isinstance(scale, float) and scale else ("", "")
    return (str(spec.get("name", "")), shape, str(spec.get("dtype", "")), *quantized)


def _preparation(steps: Mapping[str, Any]) -> str:
    """Return in words how inputs were prepared before they went into the model."""
    done = [f"times {steps['scale']:.6g}"] if isinstance(steps.get("scale"), float | int) else []
    done += [f"{word} {steps[name]}" for name, word in (("mean", "minus"), ("std", "divided by")) if steps.get(name)]
    done += [f"then by `{_code(str(steps['function']))}`"] if steps.get("function") else []
    said = ", ".join(done) if done else "none: inputs are taken as the model was trained on them"
    scaled = "a stored integer stands for scale * (stored - zero point), where there is a scale"
    return f"Preparation of the inputs: {said}. In tensors of integers, {scaled}."


def _made(report: Report) -> Iterator[str]:
    data = report.data or {}
    samples = data.get("samples") or {}
    if data:
        counts = ", ".join(f"{count:,} {name}" for name, count in samples.items() if isinstance(count, int))
        hashed = f", SHA-256 `{data['sha256']}`" if data.get("sha256") else ""
        yield f"Data: `{_code(data_name(report))}` ({counts or 'size not known'}){hashed}."
    if report.training is not None:
        done = report.training
        notes = _text("; ".join(done.notes))
        yield f"Training: {done.epochs} epochs of {wording.count(done.samples)} samples; {notes}."
    fence = "`" * 4
    yield f"{fence}toml\n{recipe_toml(report.recipe).strip().replace(fence, '')}\n{fence}"
    warned = "\n".join(f"- {_text(line)}" for line in report.warnings)
    if warned:
        yield f"What a careful reader should know:\n\n{warned}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *([_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """Return text on one line that Markdown shows as it is, within a cell, too."""
    for sign in "\\`*_<>|[]#":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())


def _yaml(value: Mapping[str, Any]) -> str:
    return "".join(f"{line}\n" for line in _block(value))


def _block(value: Any) -> Iterator[str]:
    """Yield lines of YAML: mappings and lists in blocks, texts quoted as in JSON, which YAML holds."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _entry(f"{_word(str(key))}:", inner)
    else:
        for inner in value:
            lines = list(_block(inner)) if isinstance(inner, Mapping) else [_word(inner)]
            yield f"- {lines[0]}"
            yield from (f"  {line}" for line in lines[1:])


def _entry(start: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping | list):
        yield start if value else f"{start} {'{}' if isinstance(value, Mapping) else '[]'}"
        yield from (f"  {line}" for line in _block(value))
    else:
        yield f"{start} {_word(value)}"


_RESERVED = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def _word(value: Any) -> str:
    """Return a scalar: a plain word as it is, other text quoted."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value[0].isalpha() and value.lower() not in _RESERVED
        # YAML takes JSON's pair of escapes for one character beyond 16 bits as two characters.
        return value if plain else "".join(map(_yaml_sign, json.dumps(value, ensure_ascii=False)))
    return json.dumps(value)


def _yaml_sign(sign: str) -> str:
    """Return a character as a quoted text of YAML may hold it: control characters and line breaks are escaped."""
    if sign.isprintable():
        return sign
    return f"\\u{ord(sign):04x}" if ord(sign) < 1 << 16 else f"\\U{ord(sign):08x}"
