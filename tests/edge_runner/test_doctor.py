import json
import re
import sys

import pytest

from edge_runner import choosing, doctor, environment, runtimes
from edge_runner.runtimes import Found

X86 = "processor\t: 0\nflags\t\t: fpu avx2 fma avx512f\n"
PI4 = "processor\t: 0\nFeatures\t: fp asimd crc32 cpuid\n\nprocessor\t: 1\nFeatures\t: fp asimd\n"
PI5 = "Features\t: fp asimd fphp asimdhp asimddp\n"
NOW = {
    "governor": "performance",
    "temperature_celsius": 48.0,
    "temperatures_celsius": {"0 cpu-thermal": 48.0},
    "throttled": "0x0",
}


@pytest.fixture
def works(monkeypatch):
    """A machine on which one runtime works, another is broken, the third is not there."""
    found = {
        "litert": Found("litert", "2.3.0"),
        "tflite-runtime": Found("tflite-runtime", "2.14.0", "it is broken", "mend it so"),
        "tensorflow": Found("tensorflow", None, "tensorflow is not installed", "pip line"),
    }
    monkeypatch.setattr(choosing, "examine_runtime", found.__getitem__)
    monkeypatch.setattr(runtimes, "installed", lambda name: name != "tensorflow")
    return found


@pytest.fixture
def broken(works, monkeypatch):
    """A machine on which none works."""
    works["litert"] = Found("litert", "2.3.0", "litert 2.3.0 does not start: ImportError: libc", "another pip line")
    monkeypatch.setattr(runtimes, "advice", lambda machine=None: "pip install it")


def test_a_machine_that_can_measure_is_described_and_ends_with_0(works, capsys):
    assert doctor.doctor() == 0
    said = capsys.readouterr().out
    assert "litert          works, version 2.3.0\n" in said
    assert "tflite-runtime  it is broken\n                mend it: mend it so\n" in said
    assert "tensorflow      tensorflow is not installed\n" in said
    assert f"Python {sys.version.split()[0]}, 64 bits" in said
    assert "pip line" not in said


def test_programs_get_json(works, capsys):
    assert doctor.doctor(as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["works"], found["install"], found["complaint"]) == (1, True, None, None)
    assert found["runtimes"][1] == {
        "name": "tflite-runtime",
        "installed": True,
        "works": False,
        "version": "2.14.0",
        "problem": "it is broken",
        "mend": "mend it so",
    }
    assert found["runtimes"][2]["mend"] is None
    assert found["machine"]["memory_available_bytes"] > 0


def test_a_machine_that_cannot_ends_with_3_and_what_to_do(broken, capsys):
    assert doctor.doctor() == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "litert 2.3.0 does not start: ImportError: libc: another pip line; it is broken: mend it so"
    assert doctor.doctor(as_json=True) == 3
    assert json.loads(capsys.readouterr().out)["install"] == "pip install it"


def test_the_instructions_that_kernels_use_are_told():
    assert doctor.features(X86) == ["avx2", "avx512f"]
    assert doctor.features(PI4) == ["asimd"]
    assert doctor.features(PI5) == ["asimd", "asimddp", "asimdhp"]
    assert doctor.features("") == []


@pytest.mark.parametrize(
    ("meminfo", "size"), [("MemFree: 9 kB\nMemAvailable:  1000 kB\n", 1_024_000), ("MemAvailable:", None), ("", None)]
)
def test_memory_is_what_programs_can_still_get(meminfo, size):
    assert environment.meminfo("MemAvailable", meminfo) == size


def facts(now=None, **changes):
    known = {
        "userland_bits": 64,
        "architecture": "aarch64",
        "cpu_features": ["asimd", "asimddp"],
        "memory_available_bytes": 3_000_000_000,
        "now": {**NOW, **(now or {})},
    }
    return {**known, **changes}


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({"userland_bits": 32}, "a 32-bit system under a 64-bit kernel: a 64-bit one has newer runtimes"),
        ({"cpu_features": ["asimd"]}, r"no int8 dot products \(asimddp\): int8 gains less here"),
        ({"now": {"governor": "ondemand"}}, r"the frequency follows the load \(governor ondemand\); .* sudo tee /sys"),
        ({"now": {"temperature_celsius": 81.2}}, "it is 81 °C: let it cool down before measuring"),
        ({"memory_available_bytes": 90_000_000}, "only 90 MB of memory are left: end other programs"),
        ({"now": {"throttled": "0x1"}}, "get_throttled is 0x1: the supply voltage is too low now"),
    ],
)
def test_what_spoils_a_measurement_is_remarked_upon(changes, remark):
    (said,) = doctor.remarks(facts(**changes))
    assert re.match(remark, said)


def test_a_machine_in_order_gets_no_remark():
    assert doctor.remarks(facts()) == []
    assert doctor.remarks(facts(now={"governor": None, "temperature_celsius": None, "throttled": None})) == []


def test_the_firmwares_flags_are_spelt_out():
    assert doctor.throttling("0x50005") == [
        "get_throttled is 0x50005: the supply voltage is too low now",
        "get_throttled is 0x50005: it is throttled now",
        "get_throttled is 0x50005: the supply voltage was too low since the start",
        "get_throttled is 0x50005: it was throttled since the start",
    ]
    assert doctor.throttling("?") == doctor.throttling(None) == doctor.throttling("0x0") == []


def test_what_the_system_does_not_say_is_unknown(works, capsys, monkeypatch):
    monkeypatch.setattr(environment, "system_text", lambda path: None)
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert doctor.doctor() == 0
    said = capsys.readouterr().out
    for unknown in ("unknown libc", "no vector instructions that it reports", "available unknown", "governor unknown"):
        assert unknown in said
