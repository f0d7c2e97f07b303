"""Run a command in an emulated Raspberry Pi userland that tools/make_pi_root.py made.

    python tools/pi_run.py ROOT [--user root] [--bind FOLDER:PATH] [--ssh] -- COMMAND [ARGUMENT...]

qemu-user runs the ARM programs, also those that COMMAND starts. Everything that this needs (binfmt_misc, mounts, host
name) lives in namespaces of its own and goes with the last process, so the machine stays as it is. It takes root and
Linux 6.7 or newer, the first with a binfmt_misc for each user namespace.

The command replaces this process: exit code, signals and streams are its own. Its environment is a login's, not ours.
With ``--ssh`` it is the one that an ssh client asked for (sshd's ForceCommand), run by the shell of the userland.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

NEW_NAMES, NEW_MOUNTS, NEW_USERS = 0x04000000, 0x00020000, 0x10000000  # CLONE_NEWUTS, CLONE_NEWNS, CLONE_NEWUSER
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000  # MS_BIND, MS_REC, MS_PRIVATE
ALL_IDS = "0 0 4294967295"
USERS = {"pi": (1000, "/home/pi"), "root": (0, "/root")}
FAKES = "etc/emulated"
"""Folder of a root that holds what is shown for /proc/cpuinfo and /sys."""


@dataclass(frozen=True)
class Emulator:
    """How programs of one architecture are run.

    Attributes:
        binary: qemu's, statically linked; empty where the machine runs them itself.
        cpu: what it pretends to be. Never its default, ``max``: Debian 12's qemu computes SME instructions wrongly, and
            LiteRT's int8 kernels then return garbage without an error.
        machine: number of the architecture in an ELF header.
        bits: of its programs.
    """

    binary: str
    cpu: str
    machine: int
    bits: int

    @property
    def rule(self) -> str:
        """What binfmt_misc is told: run programs with this ELF header by that binary, opened now (F), argv kept (P)."""
        header = bytes([0x7F, *b"ELF", self.bits // 32, 1, 1, *[0] * 9, 2, 0, self.machine, 0])
        mask = bytes([*[255] * 7, 0, *[255] * 8, 0xFE, 255, 255, 255])
        texts = ["".join(f"\\x{byte:02x}" for byte in part) for part in (header, mask)]
        return f":{self.binary}:M::{texts[0]}:{texts[1]}:{shutil.which(self.binary)}:PF"


EMULATORS = {
    "arm64": Emulator("qemu-aarch64-static", "cortex-a72", 0xB7, 64),
    "armhf": Emulator("qemu-arm-static", "cortex-a7", 0x28, 32),
    "amd64": Emulator("", "", 0x3E, 64),
}
_libc = ctypes.CDLL(None, use_errno=True)


def emulator_of(root: Path) -> Emulator:
    """Tell from the ELF header of its shell what runs the programs in *root*."""
    try:
        header = (root / "usr/bin/dash").read_bytes()[:20]
    except OSError:
        fail(f"{root} is no root that tools/make_pi_root.py made: it has no /usr/bin/dash")
    found = next((emulator for emulator in EMULATORS.values() if header[18] == emulator.machine), None)
    if found is None:
        fail(f"{root} holds programs of another architecture than {' and '.join(EMULATORS)}")
    return found


def fail(message: str) -> NoReturn:
    """End with one line."""
    print(f"pi_run: {message}", file=sys.stderr)
    raise SystemExit(125)


def call(name: str, *arguments: object) -> None:
    """Call a function of libc, raising OSError if it fails."""
    texts = (value.encode() if isinstance(value, str) else value for value in arguments)
    if getattr(_libc, name)(*texts) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}{arguments}: {os.strerror(number)}")


def mount(source: str | Path, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount a file system of *kind*, or bind *source*."""
    call("mount", str(source), str(target), kind or None, ctypes.c_ulong(flags), options or None)


def enter_namespaces() -> None:
    """Move this process into a user namespace in which every user is himself, with mounts and a name of its own."""
    us = os.getpid()
    moved, mapped = os.pipe(), os.pipe()
    helper = os.fork()
    if helper == 0:  # the maps must be written from outside
        os.close(moved[1])
        os.read(moved[0], 1)
        for name in ("gid_map", "uid_map"):
            Path(f"/proc/{us}/{name}").write_text(ALL_IDS)
        os.write(mapped[1], b".")
        os._exit(0)
    call("unshare", NEW_USERS)
    os.write(moved[1], b".")
    os.close(mapped[1])
    if not os.read(mapped[0], 1):
        fail("the kernel refused the user namespace's maps; this needs to be started as root")
    os.waitpid(helper, 0)
    for end in (*moved, mapped[0]):
        os.close(end)
    call("unshare", NEW_MOUNTS | NEW_NAMES)
    mount("none", Path("/"), flags=RECURSIVE | PRIVATE)


def furnish(root: Path, emulator: Emulator, binds: list[str]) -> None:
    """Mount what programs expect, with a Pi's processor in /proc and /sys."""
    mount("/proc", root / "proc", flags=BIND | RECURSIVE)
    _furnish_devices(root / "dev")
    if emulator.binary:
        registry = root / "proc/sys/fs/binfmt_misc"
        mount("binfmt_misc", registry, "binfmt_misc")
        (registry / "register").write_text(emulator.rule)
        mount(root / FAKES / "cpuinfo", root / "proc/cpuinfo", flags=BIND)
        mount(root / FAKES / "sys", root / "sys", flags=BIND)
    for bind in binds:
        source, _, target = bind.partition(":")
        place = root / target.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        mount(Path(source).resolve(), place, flags=BIND | RECURSIVE)
    socket.sethostname("raspberrypi")


def _furnish_devices(devices: Path) -> None:
    mount("tmpfs", devices, "tmpfs", options="mode=755")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (devices / name).touch()
        mount(f"/dev/{name}", devices / name, flags=BIND)
    for name in ("shm", "pts"):
        (devices / name).mkdir()
    mount("tmpfs", devices / "shm", "tmpfs", options="mode=1777")
    mount("devpts", devices / "pts", "devpts", options="newinstance,ptmxmode=0666")
    for name, target in {"ptmx": "pts/ptmx", "fd": "/proc/self/fd"}.items():
        (devices / name).symlink_to(target)


def become(user: str, root: Path) -> None:
    """Change into the root, its home, and the user."""
    number, home = USERS[user]
    os.chroot(root)
    os.chdir(home)
    os.setgroups([])
    os.setgid(number)
    os.setuid(number)


def environment(user: str, emulator: Emulator) -> dict[str, str]:
    """Return what a login there would have; qemu's own variable must reach every program."""
    return {
        "HOME": USERS[user][1],
        "USER": user,
        "LOGNAME": user,
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TERM": os.environ.get("TERM", "dumb"),
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "QEMU_CPU": emulator.cpu,
    }


def main() -> None:
    """Read the command line and become the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--user", choices=USERS, default="pi")
    parser.add_argument("--bind", action="append", default=[], metavar="FOLDER:PATH", help="show a folder there")
    parser.add_argument("--ssh", action="store_true", help="run $SSH_ORIGINAL_COMMAND")
    parser.add_argument("command", nargs="*")
    given = parser.parse_args()
    command = given.command
    if given.ssh:
        asked = os.environ.get("SSH_ORIGINAL_COMMAND")
        command = ["/bin/bash", "-c", asked] if asked else ["/bin/bash", "-l"]
    if not command:
        parser.error("no command")
    root = given.root.resolve()
    emulator = emulator_of(root)
    if emulator.binary and shutil.which(emulator.binary) is None:
        fail(f"{emulator.binary} is not installed: apt-get install qemu-user-static")
    try:
        enter_namespaces()
        furnish(root, emulator, given.bind)
        become(given.user, root)
        os.execvpe(command[0], command, environment(given.user, emulator))
    except OSError as error:
        fail(f"{error} (it takes root, and Linux 6.7 or newer)")


if __name__ == "__main__":
    main()
