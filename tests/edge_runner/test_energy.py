import stat
import statistics
import sys
from pathlib import Path

import pytest

from edge_runner import energy, power
from edge_runner.arguments import Options
from edge_runner.energy import Window
from edge_runner.subject import Subject

INT8 = Path(__file__).parents[1] / "data" / "blobs_int8.tflite"


def silent(text):
    pass


@pytest.fixture
def subject():
    found = Subject(INT8, 0)
    found.entry["timing"] = {"summary": {"mean_ms": 4.0}}
    return found


@pytest.fixture(autouse=True)
def short_windows(monkeypatch):
    monkeypatch.setattr(energy, "WINDOW_SECONDS", 0.1)
    monkeypatch.setattr(energy, "REST_SECONDS", 0.01)


def test_what_the_machine_uses_anyway_is_taken_off():
    assert Window(idle_watts=2.0, load_joules=10.0, load_seconds=3.0, inferences=8).joules == (10 - 2 * 3) / 8


def test_the_interval_is_students():
    values = [1.0, 2.0, 3.0]
    found = energy.summary([Window(0.0, value, 1.0, 1) for value in values], "meter")
    reach = 4.303 * statistics.stdev(values) / 3**0.5
    assert (found["joules_per_inference"], found["windows"], found["kind"]) == (2.0, 3, "measured")
    assert (found["low"], found["high"]) == (pytest.approx(2 - reach), pytest.approx(2 + reach))
    assert found["load_watts"] == 2.0
    assert "the interval holds zero" in found["reason"]


def test_one_window_has_no_interval():
    found = energy.summary([Window(1.0, 3.0, 1.0, 2)], "meter")
    assert (found["joules_per_inference"], found["low"], found["reason"]) == (1.0, None, None)


def test_an_assumption_is_called_one_everywhere(subject):
    found = energy.energy(subject, Options((INT8,), assume_watts=10.0), "litert", silent)
    assert found["joules_per_inference"] == pytest.approx(10.0 * 0.004)
    assert (found["kind"], found["low"], found["windows"]) == ("assumed", None, None)
    assert found["source"] == "assumption: 10 W above idle"
    assert found["reason"] == "not measured: 10 W above idle were assumed by --assume-watts"


def test_a_machine_without_a_meter_has_none_and_says_why(subject, monkeypatch):
    monkeypatch.setattr(power, "find_source", lambda: None)
    found = energy.energy(subject, Options((INT8,), energy=True), "litert", silent)
    assert found["joules_per_inference"] is None
    assert found["reason"].startswith("nothing here measures power: no RAPL")


def test_a_command_is_asked_while_the_model_runs(subject, tmp_path):
    meter = tmp_path / "meter"
    meter.write_text(f"#!{sys.executable}\nprint('3.0 W')")
    meter.chmod(meter.stat().st_mode | stat.S_IXUSR)
    found = energy.energy(subject, Options((INT8,), power_command=str(meter)), "litert", silent)
    assert (found["idle_watts"], found["load_watts"]) == (pytest.approx(3.0), pytest.approx(3.0))
    assert found["joules_per_inference"] == pytest.approx(0.0, abs=1e-9)
    assert found["windows"] == energy.WINDOWS


class Counter(power.PowerSource):
    """Three watts always, and two more while a model runs."""

    name = "counter"

    def measure(self, call):
        result = call()
        return result, 0.5 if result else 0.3, 0.1


def test_joules_are_shared_among_the_inferences(subject, monkeypatch):
    monkeypatch.setattr(power, "find_source", Counter)
    monkeypatch.setattr(energy, "WINDOW_SECONDS", 0.02)
    found = energy.energy(subject, Options((INT8,), energy=True), "litert", silent)
    assert found["joules_per_inference"] > 0
    assert (found["idle_watts"], found["load_watts"]) == (pytest.approx(3.0), pytest.approx(5.0))


def test_throttled_windows_are_left_out(subject, monkeypatch):
    monkeypatch.setattr(power, "find_source", Counter)
    monkeypatch.setattr(energy, "WINDOW_SECONDS", 0.02)
    states = iter([True, False, True, False, True])
    monkeypatch.setattr("edge_runner.heat.Watch.throttled", lambda self: next(states))
    assert energy.energy(subject, Options((INT8,), energy=True), "litert", silent)["windows"] == 2
    monkeypatch.setattr("edge_runner.heat.Watch.throttled", lambda self: True)
    found = energy.energy(subject, Options((INT8,), energy=True), "litert", silent)
    assert found["reason"] == "the machine was throttled during all windows"


def test_a_command_that_does_not_work_is_the_reason(subject):
    found = energy.energy(subject, Options((INT8,), power_command="/nowhere"), "litert", silent)
    assert "'/nowhere' cannot be run" in found["reason"]
    found = energy.energy(subject, Options((INT8,), ina="ina219@77:0x40"), "litert", silent)
    assert "no sensor at address 0x40" in found["reason"]


def test_a_model_that_fails_meanwhile_is_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(power, "find_source", Counter)
    subject = Subject(tmp_path / "none.tflite", 0)
    found = energy.energy(subject, Options((INT8,), energy=True), "litert", silent)
    assert found["reason"].startswith("the model failed while its energy was measured: ")
