import os
import platform
import stat
import struct
import subprocess
import sys

from edge_runner import environment


def test_the_machine_is_this_one():
    facts = environment.fixed()
    assert facts["architecture"] == platform.machine()
    assert facts["python"] == platform.python_version()
    assert facts["userland_bits"] == struct.calcsize("P") * 8
    assert facts["memory_bytes"] > 2**20
    assert facts["cores_usable"] <= facts["cores"]


def test_a_file_that_is_not_there_says_nothing(tmp_path):
    assert environment.system_text(tmp_path / "none") is None
    assert environment.number(tmp_path / "none") is None


def test_a_boards_name_loses_its_zero_byte(tmp_path):
    (tmp_path / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert environment.system_text(tmp_path / "model") == "Raspberry Pi 5 Model B Rev 1.0"


def test_a_number_is_read_and_text_is_no_number(tmp_path):
    (tmp_path / "n").write_text("45678\n")
    (tmp_path / "t").write_text("warm")
    assert environment.number(tmp_path / "n") == 45678
    assert environment.number(tmp_path / "t") is None


def vcgencmd(folder, script, monkeypatch):
    program = folder / "vcgencmd"
    program.write_text(f"#!{sys.executable}\n{script}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_the_firmwares_throttling_flags_are_read(tmp_path, monkeypatch):
    vcgencmd(tmp_path, "import sys; assert sys.argv[1:] == ['get_throttled']; print('throttled=0x50000')", monkeypatch)
    assert environment.throttled() == "0x50000"
    assert environment.changing()["throttled"] == "0x50000"


def test_firmware_that_fails_says_nothing(tmp_path, monkeypatch):
    vcgencmd(tmp_path, "raise SystemExit(1)", monkeypatch)
    assert environment.throttled() is None


def test_without_the_firmwares_program_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.throttled() is None


def test_the_peak_of_memory_is_that_of_the_process():
    code = (
        "from edge_runner.environment import peak_memory_bytes as peak\n"
        "before = peak(); held = b'1' * 30_000_000; del held; print(peak() - before)"
    )
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 29_000_000 <= int(grown) <= 40_000_000
