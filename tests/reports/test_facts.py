import platform
import re

from tfcompress.reports import facts


def test_the_machine_is_this_one():
    machine = facts.machine()
    assert machine.architecture == platform.machine()
    assert machine.system == f"{platform.system()} {platform.release()}"
    assert machine.cores >= 1
    assert machine.memory_bytes > 2**20


def test_versions_are_those_installed_and_null_otherwise(monkeypatch):
    monkeypatch.setattr(facts, "PACKAGES", {"pytest": ("no-such-package", "pytest"), "none": ("no-such-package",)})
    versions = facts.versions()
    assert list(versions) == ["python", "pytest", "none"]
    assert versions["python"] == platform.python_version()
    assert re.match(r"\d+\.", versions["pytest"])
    assert versions["none"] is None


def test_the_time_is_utc_to_the_second():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", facts.now_utc())
