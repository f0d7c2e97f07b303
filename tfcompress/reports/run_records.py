"""The runs that a page shows: folders, reports and measurements as they are named on the command line."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfcompress.errors import UsageError
from tfcompress.files import sha256
from tfcompress.plain import JSON_BYTES, open_regular, parse_json, read_text
from tfcompress.reports import edge
from tfcompress.reports.measurements import MeasuredFile, PerOp
from tfcompress.reports.pictures import Pictures, read_pictures
from tfcompress.reports.report import Report, from_values

_REPORT, _EDGE = "report.json", "edge.json"
_HELD = ("*", "front/*")
"""Where the runs of a folder of runs lie: beside each other (``demo``), or as ``auto`` writes them."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run.

    Attributes:
        name: what tables call it: the end of its path that no other run has.
        report: with every measurement that was given.
        folder: as it was named, where it is one or the report lies in one.
        pictures: what it keeps to be looked at; None: nothing.
        per_op: time by op, with the conditions under which it was measured.
    """

    name: str
    report: Report
    folder: Path
    pictures: Pictures | None = None
    per_op: tuple[tuple[str, PerOp], ...] = ()


@dataclass(frozen=True)
class RunSet:
    """What a page is about.

    Attributes:
        records: the runs, in the order in which they were named.
        measured: files of measurements that no report is about.
        notes: what is not shown, and why.
    """

    records: tuple[RunRecord, ...]
    measured: tuple[MeasuredFile, ...] = ()
    notes: tuple[str, ...] = ()


def read_runs(places: Sequence[Path]) -> RunSet:
    """Read what the paths name.

    Args:
        places: folders of runs, folders that hold such folders, reports (``report.json``) and measurements by
            edge_runner; those are joined to the reports of the files that they measured.

    Raises:
        UsageError: a path that is none of these, or a file that cannot be read or is broken; naming it.
    """
    reports: dict[Path, Report] = {}
    documents: dict[Path, edge.Document] = {}
    for place in places:
        for file in _files(place):
            read = _parsed(file)
            if isinstance(read, Report):
                reports.setdefault(file, read)
            else:
                documents.setdefault(file, read)
    for file in reports:
        beside = file.parent / _EDGE
        if file.name == _REPORT and beside.is_file() and beside not in documents:
            documents[beside] = edge.read_measurement(beside)
    names = _names(list(reports))
    notes: list[str] = []
    rest: list[MeasuredFile] = []
    records = {file: _record(file, names[file], report) for file, report in reports.items()}
    for file, document in documents.items():
        left = _joined(records, file, document, notes)
        beside_a_report = file.name == _EDGE and file.parent / _REPORT in reports and file not in places
        rest += [] if beside_a_report else left
    return RunSet(tuple(records.values()), tuple(rest), tuple(notes))


def read_result_file(folder: Path, report: Report) -> bytes:
    """Return the file that a report is about.

    Args:
        folder: where it lies.
        report: of its run.

    Raises:
        UsageError: it is not there, or is another one.
    """
    file = folder / report.result.name
    try:
        with open_regular(file) as stream:
            content = stream.read()
    except OSError as error:
        msg = f"{str(file)!r} cannot be read: {error.strerror}; give the folder as export wrote it"
        raise UsageError(msg) from error
    if sha256(content) != report.result.sha256:
        msg = f"{str(file)!r} is not the file that its report is about; give the folder as export wrote it"
        raise UsageError(msg)
    return content


def _files(place: Path) -> list[Path]:
    """Return the reports and measurements that a path stands for."""
    if not place.is_dir():
        return [place]
    if (place / _REPORT).is_file():
        return [place / _REPORT]
    held = sorted(file for pattern in _HELD for file in place.glob(f"{pattern}/{_REPORT}"))
    if held:
        return held
    if (place / _EDGE).is_file():
        return [place / _EDGE]
    msg = f"{str(place)!r} holds no {_REPORT}, nor does a folder in it; give the folder that a run wrote"
    raise UsageError(msg)


def _parsed(file: Path) -> Report | edge.Document:
    try:
        text = read_text(file, JSON_BYTES)
    except (OSError, ValueError) as error:
        msg = f"{str(file)!r} cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        raise UsageError(msg) from error
    try:
        plain = parse_json(text)
    except ValueError as error:
        msg = f"{str(file)!r} is not JSON: {error}; give a run's folder, its report.json, or what edge_runner wrote"
        raise UsageError(msg) from error
    tool = plain.get("tool") if isinstance(plain, dict) else None
    if tool == "edge_runner":
        return edge.check_measurement(plain, str(file))
    if tool != "tfcompress":
        msg = f"{str(file)!r} is neither a report of tfcompress nor a measurement by edge_runner"
        raise UsageError(msg)
    return from_values(plain, str(file))


def _names(files: Sequence[Path]) -> dict[Path, str]:
    """Return the shortest end of each path that no other has; of a ``report.json``, its folder's."""
    whole = {
        file: (file.absolute().parent if file.name == _REPORT else file.absolute().with_suffix("")) for file in files
    }
    found: dict[Path, str] = {}
    length = 1
    while len(found) < len(files):
        ends = {file: "/".join(path.parts[-length:]) for file, path in whole.items() if file not in found}
        counts = Counter("/".join(path.parts[-length:]) for path in whole.values())
        for file, end in ends.items():
            if counts[end] == 1 or length >= len(whole[file].parts):
                found[file] = end
        length += 1
    return found


def _record(file: Path, name: str, report: Report) -> RunRecord:
    pictures = read_pictures(file.parent, report.result.sha256)
    return RunRecord(name=name, report=report, folder=file.parent, pictures=pictures)


def _joined(
    records: dict[Path, RunRecord], file: Path, document: edge.Document, notes: list[str]
) -> list[MeasuredFile]:
    """Join a measurement to the records that it is about; return the files that none is about."""
    where = str(file)
    measured = edge.measured_files(document, where)
    named = {str(model.get("sha256")): model for model in document["models"] if isinstance(model, dict)}
    known: set[str] = set()
    for key, record in records.items():
        sha = record.report.result.sha256
        known |= {sha, (record.report.baseline and record.report.baseline.sha256) or sha}
        model = named.get(sha)
        if model is None:
            continue
        if model.get("status") != "ok":
            notes.append(f"{where}: measuring {record.report.result.name} failed: {model.get('reason')}")
            continue
        report = record.report
        if all(run.created_utc != document["created_utc"] for run in report.edge):
            report = edge.join_measurement(report, document, where)
        ops = tuple((one.run.conditions, one.per_op) for one in measured if one.run.result.sha256 == sha and one.per_op)
        records[key] = dataclasses.replace(record, report=report, per_op=(*record.per_op, *ops))
    return [one for one in measured if one.run.result.sha256 not in known]
