"""The command: what it measures, what it writes and joins, and how it ends."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from tfcompress.cli import bench
from tfcompress.cli.main import run_command
from tfcompress.devices import config, fleet, rows
from tfcompress.devices.bundle import Workload, bundle_of
from tfcompress.devices.config import Device
from tfcompress.devices.fleet import DeviceMeasurement
from tfcompress.errors import DataError, DeviceError, ModelError, UsageError
from tfcompress.files import sha256
from tfcompress.progress import SILENT
from tfcompress.reports import edge, report

DATA = Path(__file__).parents[1] / "data"
INT8 = DATA / "blobs_int8.tflite"
GOLDEN = sorted(DATA.glob("edge_format_*.json"))
HERE = config.parse_device("local", {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What export leaves: a file, its report and test samples."""
    made = tmp_path / "blobs-int8"
    made.mkdir()
    shutil.copy(INT8, made)
    (made / "test-samples.npz").write_bytes(b"samples")
    report.Report(
        tool_version="1",
        created_utc="2026-01-02T03:04:05Z",
        recipe_name="int8",
        recipe={},
        seeds={},
        versions={},
        machine=report.Machine(system="Linux", architecture="x86_64"),
        source=report.SourceModel(name="blobs.keras", writer="keras3"),
        result=report.ResultFile(name=INT8.name, sha256=sha256(INT8), size_bytes=1, gzip_bytes=1, quantize="int8"),
    ).save(made / "report.json")
    return made


@pytest.fixture
def named(device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    """Write a devices.toml that knows the loopback device as ``pi`` and one that nobody answers for as ``gone``."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "tfcompress").mkdir()
    keys = ("host", "ssh_config", "python", "folder")
    lines = [f"{key} = {json.dumps(getattr(device, key))}" for key in keys]
    text = "\n".join(["[pi]", *lines, "[gone]", *lines, "port = 1"])
    (tmp_path / "tfcompress" / "devices.toml").write_text(text)
    return device


def test_a_folder_of_export_stands_for_its_file_and_brings_its_samples(folder: Path) -> None:
    assert bench.workload_of((str(folder),), None, None, ()) == Workload(
        models=(folder / INT8.name,), data=folder / "test-samples.npz"
    )


def test_samples_of_one_model_are_not_taken_for_several(folder: Path) -> None:
    assert bench.workload_of((str(folder), str(INT8)), None, None, ()).data is None
    assert bench.workload_of((str(folder), str(INT8)), "d.npz", None, ()).data == Path("d.npz")


def test_folders_with_the_very_same_samples_bring_them(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    assert bench.workload_of((str(folder), str(other)), None, None, ()).data == folder / "test-samples.npz"
    (other / "test-samples.npz").write_bytes(b"other samples")
    assert bench.workload_of((str(folder), str(other)), None, None, ()).data is None


def test_the_runner_s_options_are_passed_on_as_they_are() -> None:
    given = {"threads": "1,2", "per_op": True, "quick": False, "runs": None, "also": "--seed 3"}
    assert bench.runner_arguments(given) == ("--threads", "1,2", "--per-op", "--seed", "3")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--also", "--outputs x"],
            "--also must not hold --outputs: tfcompress itself says where data and results are",
        ),
        (["--also", "-o=x"], "--also must not hold -o=x: "),
        (["--also", "'"], "--also must be options as on a command line, got"),
        (["--labels", "y.npy"], "--labels needs --data"),
        (["--cancel"], "--cancel is for devices that ssh reaches"),
        (["--device", "a;b"], "--device must be local, ssh://user@host"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["bench", str(INT8), *words]) == 2
    assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    ("workload", "kind", "message"),
    [
        (Workload(models=(Path("no.tflite"),)), ModelError, r"model 'no.tflite' cannot be read: No such file"),
        (Workload(models=(INT8,), data=Path("no.npz")), DataError, r"data 'no.npz' cannot be read: No such file"),
        (
            Workload(models=(INT8,), data=INT8, labels=DATA),
            DataError,
            r"labels '.*data' cannot be read: Is a directory",
        ),
    ],
)
def test_a_file_that_is_not_there_is_known_before_any_device_is(
    workload: Workload, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        bundle_of(workload)


def test_two_models_of_one_name_stay_apart(tmp_path: Path) -> None:
    (tmp_path / INT8.name).write_bytes(b"another")
    bundle = bundle_of(Workload(models=(INT8, tmp_path / INT8.name), data=INT8, labels=INT8))
    assert [Path(name).parent.name for name in bundle.files] == ["0", "1", "data", "labels"]
    assert list(bundle.arguments)[2:6] == ["--data", f"data/{INT8.name}", "--labels", f"labels/{INT8.name}"]


def test_several_devices_are_measured_and_one_that_is_gone_keeps_none_from_it(
    named: Device, runner: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--device", "gone", "--device", "pi", "--device", "local", "-o", str(tmp_path / "edge.json")]
    assert run_command(["bench", str(INT8), *words]) == 10
    shown = capfd.readouterr()
    assert [line.split()[:2] for line in shown.out.splitlines() if INT8.name in line] == [
        ["pi", INT8.name],
        ["local", INT8.name],
    ]
    assert "1 of 3 devices failed: device gone cannot be reached" in shown.err.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.glob("edge*")) == ["edge-local.json", "edge-pi.json"]
    assert edge.read_measurement(tmp_path / "edge-pi.json")["models"][0]["sha256"] == sha256(INT8)


def test_json_holds_each_device_s_own_document(named: Device, runner: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["bench", str(INT8), "--device", "pi", "--json"]) == 0
    (outcome,) = json.loads(capfd.readouterr().out)
    assert (outcome["device"], outcome["error"]) == ("pi", None)
    assert outcome["measurement"]["models"][0]["file"] == INT8.name


@pytest.mark.parametrize("several", [[], ["--device", "gone"]])
def test_a_model_is_not_written_over_by_its_measurement(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], several: list[str]
) -> None:
    model, data = tmp_path / "m-local.tflite", tmp_path / "eval-local.json"
    for path in (model, data):
        path.write_bytes(INT8.read_bytes())
    words = ["bench", str(model), "--data", str(data), "--device", "local", *several]
    for place in (model, data):
        named = place.with_name(place.name.replace("-local", "")) if several else place
        assert run_command([*words, "-o", str(named)]) == 8
        assert f"-o names {place}, which is to be measured" in capfd.readouterr().err
        assert place.read_bytes() == INT8.read_bytes()


def test_what_is_no_measurement_is_not_replaced_by_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    notes = tmp_path / "notes.json"
    notes.write_text("[]")
    assert run_command(["bench", str(INT8), "-o", str(notes)]) == 8
    assert "is no measurement that could be replaced" in capfd.readouterr().err
    assert run_command(["bench", str(INT8), "-o", str(tmp_path / "none" / "edge.json")]) == 8
    assert "is no folder" in capfd.readouterr().err


def test_one_device_s_error_is_the_command_s(named: Device, runner: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["bench", str(INT8), "--device", "gone"]) == 10
    assert capfd.readouterr().err.startswith("tfcompress: device gone cannot be reached: ")


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_a_measurement_is_joined_to_the_report_beside_the_model(folder: Path, golden: Path) -> None:
    outcome = DeviceMeasurement(device=HERE, document=edge.read_measurement(golden))
    bench.join([outcome], [folder / INT8.name], SILENT)
    (joined,) = report.read_report(folder).edge
    assert joined.result.sha256 == sha256(INT8)
    assert (folder / "report.html").is_file()


def test_a_report_of_another_file_is_left_alone(folder: Path) -> None:
    (folder / INT8.name).write_bytes(b"changed since")
    before = (folder / "report.json").read_bytes()
    bench.join(
        [DeviceMeasurement(device=HERE, document=edge.read_measurement(GOLDEN[-1]))], [folder / INT8.name], SILENT
    )
    assert (folder / "report.json").read_bytes() == before


def test_a_model_that_failed_is_told_at_the_end(folder: Path) -> None:
    document = edge.read_measurement(GOLDEN[-1])
    document["models"][1].update(status="failed", reason="it died")
    outcome = DeviceMeasurement(device=HERE, document=document)
    bench.join([outcome], [folder / INT8.name], SILENT)
    assert report.read_report(folder).edge == ()
    with pytest.raises(DeviceError, match=r"measuring blobs_int8.tflite on local failed: it died"):
        bench.complain([outcome])


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_rows_are_read_from_every_format(golden: Path) -> None:
    raw: dict[str, Any] = json.loads(golden.read_text())
    found = rows.device_rows(raw)
    assert [row.model for row in found] == [model["file"] for model in raw["models"]]
    assert [row.median_ms for row in found] == [model["timing"]["summary"]["median_ms"] for model in raw["models"]]
    assert [row.peak_bytes for row in found] == [model["memory"]["peak_bytes"] for model in raw["models"]]
    assert raw["runtime"]["name"] in rows.device_conditions(raw)


def test_an_assumed_power_is_called_one_and_a_ratio_comes_with_its_interval() -> None:
    document = edge.read_measurement(GOLDEN[-1])
    document["models"][1]["energy"].update(joules_per_inference=0.002, kind="assumed")
    document["comparisons"][0].update(ratio=1.5, low=1.25, high=1.75, verdict="faster")
    _, second = rows.device_rows(document)
    cells = bench.row_cells("pi", second)
    assert cells[5:7] == ["2 mJ (assumed)", "1.5x (1.25..1.75) faster"]


def test_ctrl_c_lets_go_of_the_devices_and_says_what_goes_on(
    device: Device, long: Workload, end: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    seen = fleet.Remote.measure

    def interrupted(remote: fleet.Remote, task: Any) -> edge.Document:
        class Interrupting:
            def describe(self, text: str) -> None:
                if text == "measuring":
                    pressed.set()

        return seen(remote, Interrupting())  # type: ignore[arg-type]

    pressed = threading.Event()

    def press(future: Any, *_: object) -> Any:
        pressed.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr(fleet.Remote, "measure", interrupted)
    monkeypatch.setattr(fleet.Future, "result", press)
    progress = type("Heard", (type(SILENT),), {"note": lambda self, text: notes.append(text)})()
    with pytest.raises(KeyboardInterrupt):
        fleet.measure_on_devices([device], long, progress=progress)
    assert notes[-1].startswith("it goes on on pi: the same command fetches the result")
    end.touch()


def test_unreadable_settings_of_a_folder_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"report '.*report.json' cannot be read"):
        bench.workload_of((str(tmp_path),), None, None, ())
