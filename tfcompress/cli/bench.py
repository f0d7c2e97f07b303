"""``tfcompress bench``: measure on devices, from here."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfcompress.errors import OutputError, TfcompressError, UsageError
from tfcompress.export_choices import RUNTIMES
from tfcompress.files import sha256
from tfcompress.schema import pick

if TYPE_CHECKING:
    from rich.console import Console

    from tfcompress.devices.bundle import Workload
    from tfcompress.devices.config import Device
    from tfcompress.devices.fleet import DeviceMeasurement
    from tfcompress.devices.rows import DeviceRow
    from tfcompress.progress import Progress
    from tfcompress.reports.report import Report

_VALUED = {
    "runs": ("N", "Time at least so many inferences,"),
    "seconds": ("T", "and for at least so long."),
    "warmup": ("N", "Untimed inferences before."),
    "processes": ("N", "Fresh processes for each model."),
    "mode": ("MODE", "single-stream or windows."),
    "threads": ("N[,N]", "Threads of the kernels; several are compared."),
    "kernels": ("KIND[,KIND]", "default, no-delegate, reference; several are compared."),
    "runtime": ("NAME", "litert, tflite-runtime, tensorflow or auto."),
    "limit": ("N", "Score only the first N samples."),
    "timeout": ("SECONDS", "Give a silent model up after so long."),
}
_FLAGS = {
    "quick": "A first look: few runs, a short time.",
    "throughput": "Also samples a second, by batch and by parallel interpreters.",
    "per-op": "Also the time by op.",
    "energy": "Also joules, where something measures power.",
    "predictions": "Keep each sample's predicted class in the JSON.",
}
_TITLES = ("device", "model", "median", "p90", "peak memory", "energy", "to the first", "score")
_OURS = ("-o", "--json", "--data", "--labels", "--outputs", "--doctor", "--child")


def _runner_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add edge_runner's main options; it checks their values itself, on the device."""
    for name, help_text in reversed(_FLAGS.items()):
        command = click.option(f"--{name}", is_flag=True, help=help_text)(command)
    for name, (metavar, help_text) in reversed(_VALUED.items()):
        command = click.option(f"--{name}", metavar=metavar, help=help_text)(command)
    return command


HELP = """\
Measure MODEL... (.tflite files, or folders that export wrote) on one device or on several at once.

\b
  tfcompress bench model-int8/ --device ssh://pi@192.168.1.20
  tfcompress bench float.tflite int8.tflite --device pi4 --device pi5 -o edge.json
  tfcompress bench model-int8/ --device tflm --device vela:u55-128

ssh logs in as it does for you: by key, to hosts it knows. edge_runner and the models are copied once, into one folder
there; a measurement goes on when the connection is lost, and is fetched when it is back, or by the same command. A
report.json beside a MODEL gets its measurement.

tflm, esp32-s3, ethos-u55-128 and the like are microcontrollers, tried at the desk: TensorFlow Lite Micro's own
interpreter runs the file (arena, ops, answers beside the reference kernels'), vela:u55-128 compiles it and reports
Vela's estimate. Neither measures a latency.
"""


@click.command("bench", help=HELP, short_help="Measure on devices.")
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option(
    "--device",
    "--target",
    "devices",
    metavar="DEVICE",
    multiple=True,
    default=("local",),
    show_default=True,
    help="local, ssh://user@host[:port], a name from devices.toml, a host that ssh knows; tflm, vela:u55-128 and other "
    "microcontrollers, at the desk. May be repeated.",
)
@click.option("--data", metavar="FILE", help="Samples for accuracy: the .npz that export writes, or an .npy.")
@click.option("--labels", metavar="FILE.npy", help="The labels that belong to an .npy.")
@_runner_options
@click.option("--also", default="", metavar="TEXT", help="Further options of edge_runner, as one text.")
@click.option(
    "-o", "--output", metavar="FILE.json", help="Write edge_runner's JSON here (several devices: FILE-DEVICE.json)."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--cancel", is_flag=True, help="End what the same command left running on the devices.")
def command(
    models: tuple[str, ...],
    devices: tuple[str, ...],
    data: str | None,
    labels: str | None,
    output: str | None,
    as_json: bool,
    cancel: bool,
    **runner: Any,
) -> None:
    from tfcompress.cli import micro
    from tfcompress.cli.terminal import terminal
    from tfcompress.devices import config, fleet

    tried = micro.desks(devices)
    if tried:
        _refuse_timing(tried[0].word, {**runner, "labels": labels, "output": output, "cancel": cancel})
    workload = workload_of(models, data, labels, runner_arguments(runner))
    if tried:
        with terminal() as screen:
            micro.bench(workload.models, tried, workload.data, screen, as_json=as_json)
        return
    found = config.find_devices(devices)
    with terminal() as screen:
        if cancel:
            fleet.cancel(found, workload)
            return
        if output is not None:
            check_output(output, found, workload)
        outcomes = fleet.measure_on_devices(found, workload, progress=screen.progress)
        keep(outcomes, output, screen.progress)
        join(outcomes, workload.models, screen.progress)
        if as_json:
            screen.write(json.dumps([_plain(outcome) for outcome in outcomes]) + "\n")
        else:
            show(outcomes, screen.out)
    complain(outcomes)


def _refuse_timing(device: str, given: dict[str, Any]) -> None:
    """Refuse options that say how to measure what a microcontroller at the desk is not asked for.

    Raises:
        UsageError: naming the option.
    """
    name = next((name for name, value in given.items() if value not in (None, False, "")), None)
    if name is not None:
        msg = f"--{name.replace('_', '-')} would do nothing: --device {device} measures no time"
        raise UsageError(msg)


def runner_arguments(runner: dict[str, Any]) -> tuple[str, ...]:
    """Return edge_runner's arguments."""
    also = runner_words(runner.pop("also"))
    if runner.get("runtime") is not None:
        pick("--runtime", dict.fromkeys(("auto", *RUNTIMES)), runner["runtime"], UsageError)
    given = {name.replace("_", "-"): value for name, value in runner.items() if value not in (None, False)}
    words = [word for name, value in given.items() for word in (f"--{name}", *([] if value is True else [str(value)]))]
    return (*words, *also)


def runner_words(also: str) -> list[str]:
    """Return the options of edge_runner that ``--also`` holds, a word each.

    Raises:
        UsageError: not as on a command line, or an option that only we may give.
    """
    try:
        words = shlex.split(also)
    except ValueError as error:
        msg = f"--also must be options as on a command line, got {also!r}: {error}"
        raise UsageError(msg) from error
    ours = next((word for word in words if word.partition("=")[0] in _OURS), None)
    if ours is not None:
        msg = f"--also must not hold {ours}: tfcompress itself says where data and results are"
        raise UsageError(msg)
    return words


def workload_of(models: Sequence[str], data: str | None, labels: str | None, arguments: tuple[str, ...]) -> Workload:
    """Return what to measure; a folder stands for its report's file, and brings its test samples along.

    Raises:
        UsageError: a folder without a report, or labels without data.
    """
    from tfcompress.devices.bundle import Workload
    from tfcompress.devices.local import Settings
    from tfcompress.reports import report

    if labels is not None and data is None:
        msg = "--labels needs --data: the samples that they belong to"
        raise UsageError(msg)
    files, samples = [], []
    for path in map(Path, models):
        if path.is_dir():
            files.append(path / report.read_report(path).result.name)
            samples += [path / "test-samples.npz"] if (path / "test-samples.npz").is_file() else []
        else:
            files.append(path)
    alike = len(samples) == len(files) and len({sha256(path) for path in samples}) == 1
    beside = samples[0] if alike else None
    return Workload(
        models=tuple(files),
        data=Path(data) if data is not None else beside,
        labels=None if labels is None else Path(labels),
        settings=Settings(more=arguments),
    )


def _place(output: str, device: Device, *, several: bool) -> Path:
    """Return the file that a device's document goes into."""
    path = Path(output)
    if not several:
        return path
    name = "".join(sign if sign.isalnum() or sign in "._-@" else "_" for sign in device.name)
    return path.with_name(f"{path.stem}-{name}{path.suffix}")


def check_output(output: str, devices: Sequence[Device], workload: Workload) -> None:
    """Refuse, before anything is measured, a place where a document would be lost or would replace something else.

    Raises:
        OutputError: it is a file that is to be measured, no measurement, no file, or lies in no folder.
    """
    from tfcompress.reports import edge

    read = [path for path in (*workload.models, workload.data, workload.labels) if path is not None]
    for device in devices:
        path = _place(output, device, several=len(devices) > 1)
        if not path.parent.is_dir():
            msg = f"cannot write {path}: {path.parent} is no folder; choose another place with -o"
            raise OutputError(msg)
        if not path.exists():
            continue
        if any(other.exists() and path.samefile(other) for other in read):
            msg = (
                f"-o names {path}, which is to be measured: JSON would be written over it; choose another place with -o"
            )
            raise OutputError(msg)
        try:
            edge.read_measurement(path)
        except UsageError as error:
            msg = f"{path} exists already and is no measurement that could be replaced; choose another place with -o"
            raise OutputError(msg) from error


def keep(outcomes: Sequence[DeviceMeasurement], output: str | None, progress: Progress) -> None:
    """Write each device's document, as edge_runner wrote it.

    Raises:
        OutputError: a file cannot be written.
    """
    from tfcompress.files import write_atomic

    for outcome in outcomes:
        if output is not None and outcome.document is not None:
            path = _place(output, outcome.device, several=len(outcomes) > 1)
            write_atomic(path, json.dumps(outcome.document, indent=1) + "\n")
            progress.note(f"wrote {path}")


def join(outcomes: Sequence[DeviceMeasurement], models: Sequence[Path], progress: Progress) -> None:
    """Put the measurements into the reports that lie beside the models and are about them.

    Raises:
        OutputError: a report cannot be written.
    """
    from tfcompress.files import write_atomic
    from tfcompress.reports import edge
    from tfcompress.reports.html import to_html

    for folder, report in _reports(models):
        joined = report
        for outcome in outcomes:
            if outcome.document is not None and _measured(outcome.document, report.result.sha256):
                joined = edge.join_measurement(joined, outcome.document, f"the measurement on {outcome.device.name}")
        if joined is not report:
            write_atomic(folder / "report.html", to_html(joined))
            joined.save(folder / "report.json")
            progress.note(f"joined to {folder / 'report.json'}")


def _reports(models: Sequence[Path]) -> Iterator[tuple[Path, Report]]:
    from tfcompress.files import sha256
    from tfcompress.reports import report

    for model in models:
        if (model.parent / "report.json").is_file():
            with contextlib.suppress(UsageError):  # a file of that name that is not ours
                found = report.read_report(model.parent)
                if found.result.sha256 == sha256(model):
                    yield model.parent, found


def _measured(document: dict[str, Any], sha256: str) -> bool:
    return any(model["sha256"] == sha256 and model["status"] == "ok" for model in document["models"])


def _plain(outcome: DeviceMeasurement) -> dict[str, Any]:
    return {
        "device": outcome.device.name,
        "error": None if outcome.error is None else str(outcome.error),
        "measurement": outcome.document,
    }


def show(outcomes: Sequence[DeviceMeasurement], console: Console) -> None:
    """Print one table of all devices, then the conditions of each."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tfcompress.devices.rows import device_conditions, device_rows
    from tfcompress.reports import wording

    measured = [(outcome.device.name, outcome.document) for outcome in outcomes if outcome.document is not None]
    found = [row_cells(name, row) for name, document in measured for row in device_rows(document)]
    shown = [n for n in range(len(_TITLES)) if n < 4 or any(cells[n] != wording.NONE for cells in found)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for n in shown:
        table.add_column(_TITLES[n], justify="left" if n < 2 else "right", overflow="fold", no_wrap=n > 1)
    for cells in found:
        table.add_row(*(Text(cells[n]) for n in shown))
    if found:
        console.print(table)
    for name, document in measured:
        console.print(Text(f"{name}: {device_conditions(document)}", style="dim"), soft_wrap=True)


def row_cells(device: str, row: DeviceRow) -> list[str]:
    """Return a row's texts, in the order of the titles."""
    from tfcompress.reports import wording

    return [
        device,
        row.model,
        "failed" if row.failure else wording.duration(row.median_ms),
        wording.duration(row.p90_ms),
        wording.size(row.peak_bytes),
        wording.joules(row.joules) + (" (assumed)" if row.assumed else ""),
        _against(row),
        wording.main_figure(row.score),
    ]


def _against(row: DeviceRow) -> str:
    from tfcompress.reports import wording

    if row.against is None:
        return wording.NONE
    interval = f" ({row.interval[0]:.3g}..{row.interval[1]:.3g})" if row.interval else ""
    return f"{wording.times(row.against[0])}{interval} {row.against[1]}".strip()


def complain(outcomes: Sequence[DeviceMeasurement]) -> None:
    """Raise for the first device or model that failed, once everything that worked is written and shown.

    Raises:
        TfcompressError: the device's own error, or one that names the model.
    """
    from tfcompress.devices.rows import device_rows

    failed = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failed:
        if len(outcomes) == 1 or outcome.error is None:
            raise outcome.error or TfcompressError
        msg = f"{len(failed)} of {len(outcomes)} devices failed: {'; '.join(str(o.error) for o in failed)}"
        raise type(outcome.error)(msg) from outcome.error
    for outcome in outcomes:
        for row in device_rows(outcome.document) if outcome.document else ():
            if row.failure:
                from tfcompress.errors import DeviceError

                msg = f"measuring {row.model} on {outcome.device.name} failed: {row.failure}"
                raise DeviceError(msg)
