"""The paths that ``tfcompress report`` takes, and what they stand for."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from tests.reports.test_html import DOCUMENT, a_report
from tests.reports.test_pictures import some_pictures
from tfcompress.errors import UsageError
from tfcompress.reports.run_records import read_runs

EDGE = Path(__file__).parents[1] / "data" / "edge_format_1.json"
OLDER = Path(__file__).parent / "older_reports"


def a_run(folder: Path, **changes) -> Path:
    folder.mkdir(parents=True)
    report = a_report()
    dataclasses.replace(report, result=dataclasses.replace(report.result, **changes)).save(folder / "report.json")
    return folder


def test_a_folder_its_report_and_a_folder_of_folders_are_runs(tmp_path):
    one, two = a_run(tmp_path / "runs" / "one"), a_run(tmp_path / "runs" / "two")
    assert [record.name for record in read_runs([one, two / "report.json"]).records] == ["one", "two"]
    assert [record.name for record in read_runs([tmp_path / "runs"]).records] == ["one", "two"]
    assert len(read_runs([tmp_path / "runs", one]).records) == 2


def test_a_search_is_its_front(tmp_path):
    a_run(tmp_path / "out" / "best"), a_run(tmp_path / "out" / "front" / "000-int8")
    assert [record.name for record in read_runs([tmp_path / "out"]).records] == ["best", "000-int8"]


def test_names_are_as_long_as_they_must_be(tmp_path):
    folders = [a_run(tmp_path / first / "int8") for first in ("a", "b")]
    assert [record.name for record in read_runs(folders).records] == ["a/int8", "b/int8"]


def test_a_measurement_joins_the_run_that_it_is_about(tmp_path):
    folder = a_run(tmp_path / "one")
    found = read_runs([folder, EDGE])
    (record,) = found.records
    assert len(record.report.edge) == 1
    assert found.measured == ()
    assert len(read_runs([folder, EDGE, EDGE]).records[0].report.edge) == 1


def test_a_measurement_in_the_folder_counts_as_given(tmp_path):
    folder = a_run(tmp_path / "one")
    shutil.copyfile(EDGE, folder / "edge.json")
    found = read_runs([folder])
    assert len(found.records[0].report.edge) == 1
    assert found.measured == ()


def test_measured_files_without_a_report_are_kept(tmp_path):
    measured = read_runs([EDGE]).measured
    assert [one.name for one in measured] == [model["file"] for model in DOCUMENT["models"]]
    assert all(one.run.result.median_ms for one in measured)
    other = a_run(tmp_path / "one", sha256="0" * 64)
    assert len(read_runs([other, EDGE]).measured) == 1  # the float file is the report's own


def test_a_failed_measurement_is_told(tmp_path):
    document = json.loads(EDGE.read_text())
    sha = a_report().result.sha256
    for model in document["models"]:
        if model["sha256"] == sha:
            model |= {"status": "failed", "reason": "it died", "timing": None}
    (tmp_path / "e.json").write_text(json.dumps(document))
    found = read_runs([a_run(tmp_path / "one"), tmp_path / "e.json"])
    assert found.records[0].report.edge == ()
    assert found.notes[0].endswith("a&b.tflite failed: it died")


def test_pictures_lie_beside_the_report(tmp_path):
    folder = a_run(tmp_path / "one", sha256="ab")
    (folder / "pictures.json").write_text(some_pictures().to_json())
    assert read_runs([folder]).records[0].pictures == some_pictures()


@pytest.mark.parametrize("file", sorted(OLDER.iterdir()), ids=lambda file: file.stem)
def test_older_formats_are_read(file):
    (record,) = read_runs([file]).records
    assert record.name == file.stem


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not JSON"),
        ("[]", "is neither a report of tfcompress nor a measurement by edge_runner"),
        ('{"tool": "tfcompress", "format": 99}', "upgrade tfcompress"),
        ('{"tool": "edge_runner", "format": 99}', "upgrade tfcompress"),
        ('{"tool": "edge_runner", "format": 4, "models": [{}]}', "is not a complete measurement"),
    ],
)
def test_what_is_no_run_is_refused_in_a_line(tmp_path, content, said):
    file = tmp_path / "x.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UsageError, match=said) as error:
        read_runs([file])
    assert "x.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_report_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"holds no report.json, nor does a folder in it"):
        read_runs([tmp_path])


def test_only_what_lies_right_below_a_folder_is_looked_at(tmp_path):
    a_run(tmp_path / "a" / "b" / "c")
    with pytest.raises(UsageError, match=r"holds no report.json"):
        read_runs([tmp_path])
