"""What ``tfcompress inspect`` shows of a run: the report, and each layer before and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tfcompress.errors import UsageError

if TYPE_CHECKING:
    from tfcompress.cli.terminal import Terminal
    from tfcompress.reports.report import Report


def is_run(path: Path) -> bool:
    """Say whether a path is that of a run's folder or of its report."""
    return path.suffix.lower() == ".json" or (path / "report.json").is_file()


def show_run(screen: Terminal, report: Report, *, as_json: bool) -> None:
    """Print a run: as JSON what its report leaves to be computed, the metrics and the layers side by side."""
    import json

    from tfcompress.reports.compression_metrics import report_metrics
    from tfcompress.reports.layer_changes import LAYER_COLUMNS, layer_changes
    from tfcompress.reports.printing import print_layers, print_metrics, print_report

    if as_json:
        rows = [{column.name: column.value(row) for column in LAYER_COLUMNS} for row in layer_changes(report)]
        metrics = {name: found._asdict() for name, found in report_metrics(report).items()}
        screen.write(json.dumps({"file": report.result.name, "metrics": metrics, "layers": rows}, indent=1) + "\n")
        return
    print_report(report, screen.out)
    print_metrics(report, screen.out)
    print_layers(report, screen.out)


def run_csv(report: Report) -> str:
    """Return the layers of a run as CSV.

    Raises:
        UsageError: the report is of an older format, and has none.
    """
    from tfcompress.reports.layer_changes import layers_csv

    if not report.result.layers:
        msg = f"the report of {report.result.name} was written before reports had layers (format 6); export again"
        raise UsageError(msg)
    return layers_csv(report)
