"""What needs no emulated Pi: by which programs the kernel recognises one, and what a root says about itself."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from tools import make_pi_root, pi_run


def elf(bits: int, machine: int, kind: int = 2) -> bytes:
    """Return the first 20 bytes of a program: little-endian, System V."""
    return struct.pack("<4sBBBB8xHH", b"\x7fELF", bits // 32, 1, 1, 0, kind, machine)


def recognised(rule: str, header: bytes) -> bool:
    """Match as the kernel's binfmt_misc does: equal wherever the mask has a bit."""
    magic, mask = (bytes.fromhex(re.sub(r"\\x", "", text)) for text in rule.split(":")[4:6])
    return all(one & bits == two & bits for one, two, bits in zip(header, magic, mask, strict=True))


@pytest.mark.parametrize(("arch", "bits", "machine"), [("arm64", 64, 183), ("armhf", 32, 40)])
def test_programs_of_the_architecture_are_recognised_and_no_others(arch: str, bits: int, machine: int) -> None:
    rule = pi_run.EMULATORS[arch].rule
    assert recognised(rule, elf(bits, machine))
    assert recognised(rule, elf(bits, machine, kind=3))  # position-independent
    assert not recognised(rule, elf(bits, 62))
    assert not recognised(rule, elf(96 - bits, machine))


@pytest.mark.parametrize("arch", pi_run.EMULATORS)
def test_a_root_s_shell_tells_its_architecture(tmp_path: Path, arch: str) -> None:
    emulator = pi_run.EMULATORS[arch]
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "dash").write_bytes(elf(emulator.bits, emulator.machine) + b"rest")
    assert pi_run.emulator_of(tmp_path) == emulator


def test_a_folder_that_is_no_root_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="125"):
        pi_run.emulator_of(tmp_path)
    assert "is no root that tools/make_pi_root.py made: it has no /usr/bin/dash" in capsys.readouterr().err


def test_the_emulated_processor_is_named_because_qemu_s_own_computes_wrongly() -> None:
    environment = pi_run.environment("pi", pi_run.EMULATORS["arm64"])
    assert (environment["QEMU_CPU"], environment["HOME"]) == ("cortex-a72", "/home/pi")


@pytest.mark.parametrize("arch", ["arm64", "armhf"])
def test_every_runtime_on_arm_has_its_like_on_amd64(arch: str) -> None:
    for suite in make_pi_root.SUITES:
        native = {packages[0] for packages in make_pi_root.RUNTIMES["amd64", suite].values()}
        assert {packages[0] for packages in make_pi_root.RUNTIMES[arch, suite].values()} <= native
