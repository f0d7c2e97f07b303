"""Make an emulated Raspberry Pi userland: Debian for ARM, with the runtimes that are published for it.

    python tools/make_pi_root.py arm64 bookworm ROOT

ARCH is arm64 or armhf, or amd64 for the same system without emulation, to compare results with. SUITE is bullseye
(Python 3.9), bookworm (3.11) or trixie (3.13), as in Raspberry Pi OS. What tools/pi_run.py then runs in ROOT has
Debian's own python3, and /opt/litert/bin/python and /opt/tflite/bin/python where there are wheels: environments with
ai-edge-litert and with tflite-runtime.

Packages come from the archive that this machine's apt uses, wheels from where its pip gets them. Packages are unpacked
and their scripts not run, so nothing is emulated until the end, when each runtime has to open a model. ROOT is whole or
absent; made by the same script with the same arguments it is left alone. It takes root, and the Debian packages
qemu-user-static, mmdebstrap and debian-archive-keyring.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = {"mmdebstrap": "mmdebstrap", "qemu-aarch64-static": "qemu-user-static", "qemu-arm-static": "qemu-user-static"}
PACKAGES = (
    *("base-files", "base-passwd", "libc-bin", "libstdc++6", "dash", "bash", "coreutils", "grep", "sed", "findutils"),
    *("hostname", "python3"),
)
STAMP = "etc/emulated/stamp"
MODEL = HERE.parent / "tests" / "data" / "blobs_int8.tflite"
MODULES = {"litert": "ai_edge_litert", "tflite": "tflite_runtime"}


@dataclass(frozen=True)
class Suite:
    """What one release of Debian has.

    Attributes:
        python: its version.
        glibc: minor version of its glibc: the newest manylinux that its pip takes.
    """

    python: str
    glibc: int


@dataclass(frozen=True)
class Architecture:
    """How one architecture is called: by the kernel and wheels, and by the linker; and what its processor says."""

    machine: str
    triplet: str
    cpuinfo: str


SUITES = {"bullseye": Suite("3.9", 31), "bookworm": Suite("3.11", 36), "trixie": Suite("3.13", 41)}
_CORE = "processor\t: {}\nBogoMIPS\t: 108.00\nFeatures\t: %s\nCPU implementer\t: 0x41\nCPU architecture: %d\n"
_CORE += "CPU variant\t: 0x0\nCPU part\t: %s\nCPU revision\t: 3\n\n"
ARCHITECTURES = {
    "arm64": Architecture(
        "aarch64", "aarch64-linux-gnu", _CORE % ("fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid", 8, "0xd08")
    ),
    "armhf": Architecture(
        "armv7l",
        "arm-linux-gnueabihf",
        _CORE % ("half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm", 7, "0xc07"),
    ),
    "amd64": Architecture("x86_64", "x86_64-linux-gnu", ""),
}
BOARD = "Raspberry Pi 4 Model B (emulated by qemu-user)"
"""Whoever reads a measurement made there sees what it is worth."""
_LITERT, _LITERT_39 = ("ai-edge-litert==2.3.0",), ("ai-edge-litert==2.1.0",)
_TFLITE, _TFLITE_39 = ("tflite-runtime==2.14.0", "numpy<2"), ("tflite-runtime==2.13.0", "numpy<2")
RUNTIMES: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {
    ("arm64", "bullseye"): {"litert": _LITERT_39, "tflite": _TFLITE_39},
    ("arm64", "bookworm"): {"litert": _LITERT, "tflite": _TFLITE},
    ("arm64", "trixie"): {"litert": _LITERT},
    ("armhf", "bullseye"): {"tflite": ("tflite-runtime==2.11.0",)},
    ("armhf", "bookworm"): {"tflite": ("tflite-runtime==2.14.0",)},
    ("armhf", "trixie"): {},
    ("amd64", "bullseye"): {
        "litert": _LITERT_39,
        "tflite": _TFLITE_39,
        "tflite-2.11": ("tflite-runtime==2.11.0", "numpy<2"),  # what armhf has
    },
    ("amd64", "bookworm"): {"litert": _LITERT, "tflite": _TFLITE},
    ("amd64", "trixie"): {"litert": _LITERT},
}
"""What is published. For armhf there is no numpy wheel: the environment shows Debian's."""


def main() -> None:
    """Read the command line and make the root."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("arch", choices=ARCHITECTURES)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("root", type=Path)
    parser.add_argument("--mirror", default="", help="another Debian archive than the one apt uses here")
    given = parser.parse_args()
    stamp = hashlib.sha256(f"{Path(__file__).read_text()} {given.arch} {given.suite}".encode()).hexdigest()
    root = given.root.resolve()
    if root.exists():
        made_by = (root / STAMP).read_text() if (root / STAMP).is_file() else sys.exit(f"{root} exists: remove it")
        if made_by == stamp:
            print(f"{root} is up to date")
            return
    _check_machine()
    new = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}."))
    try:
        new.chmod(0o755)
        make(new, given.arch, given.suite, given.mirror or _mirror())
        (new / STAMP).write_text(stamp)
        if root.exists():
            shutil.rmtree(root)
        new.rename(root)
    finally:
        if new.exists():
            shutil.rmtree(new)
    print(f"made {root}")


def _check_machine() -> None:
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if missing:
        sys.exit(f"not installed: {' '.join(missing)}; apt-get install {' '.join(missing)} debian-archive-keyring")
    if os.getuid() != 0:
        sys.exit("this needs root: packages are unpacked with their owners")


def _mirror() -> str:
    """Return the Debian archive in this machine's apt sources; empty (mmdebstrap's default) if there is none."""
    command = ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages", "Origin: Debian"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = (line.split() for line in done.stdout.splitlines())
    return next((words[1] for words in found if len(words) == 2 and words[0] == "Debian"), "")


def make(root: Path, arch: str, suite: str, mirror: str) -> None:
    """Unpack, configure, install and try, in an empty folder."""
    print(f"Debian {suite} for {arch}", flush=True)
    unpack(root, arch, suite, mirror)
    configure(root, arch)
    if ARCHITECTURES[arch].cpuinfo:
        show_a_pi(root, ARCHITECTURES[arch].cpuinfo)
    for name, wanted in RUNTIMES[arch, suite].items():
        install(root / "opt" / name, wanted, ARCHITECTURES[arch], SUITES[suite])
    for name in RUNTIMES[arch, suite]:
        print(f"trying /opt/{name}", flush=True)
        command = [sys.executable, str(HERE / "pi_run.py"), "--user", "root", "--bind", f"{MODEL.parent}:/mnt"]
        module = MODULES[name.partition("-")[0]]
        program = f"from {module}.interpreter import Interpreter\nInterpreter('/mnt/{MODEL.name}').allocate_tensors()"
        subprocess.run([*command, str(root), "--", f"/opt/{name}/bin/python", "-c", program], check=True)


def unpack(root: Path, arch: str, suite: str, mirror: str) -> None:
    """Unpack Debian's packages. /usr is merged before, because older ones still hold /bin and /lib."""
    packages = [*PACKAGES, *(["python3-numpy"] if arch == "armhf" else [])]
    merge = 'for name in bin sbin lib; do mkdir -p "$1/usr/$name"; ln -s "usr/$name" "$1/$name"; done'
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=extract", f"--architectures={arch}"]
    command += [f"--include={','.join(packages)}", "--aptopt=Acquire::Languages none", f"--setup-hook={merge}"]
    subprocess.run([*command, suite, str(root), *([mirror] if mirror else [])], check=True)


def configure(root: Path, arch: str) -> None:
    """Make what the packages' scripts would have made, as far as Python needs it."""
    for name in ("proc", "sys", "dev", "run", "tmp", "mnt", "opt", "root", "home/pi"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    with (root / "etc/passwd").open("a") as users, (root / "etc/group").open("a") as groups:
        users.write("pi:x:1000:1000::/home/pi:/bin/bash\n")
        groups.write("pi:x:1000:\n")
    os.chown(root / "home/pi", 1000, 1000)
    (root / "etc/hosts").write_text("127.0.0.1 localhost raspberrypi\n")
    if not (root / "bin/sh").exists():
        (root / "bin/sh").symlink_to("dash")
    libraries = root / "usr/lib" / ARCHITECTURES[arch].triplet
    for name in ("blas", "lapack"):  # Debian's numpy wants what update-alternatives links
        if (libraries / name).is_dir():
            (libraries / f"lib{name}.so.3").symlink_to(f"{name}/lib{name}.so.3")
    (root / STAMP).parent.mkdir()


def show_a_pi(root: Path, core: str) -> None:
    """Make what tools/pi_run.py shows in /proc and /sys: four cores that each say *core*."""
    folder = root / "etc/emulated"
    tree, processors = folder / "sys/firmware/devicetree/base", folder / "sys/devices/system/cpu"
    tree.mkdir(parents=True)
    processors.mkdir(parents=True)
    (tree / "model").write_text(BOARD + "\0")
    for name in ("possible", "present", "online"):
        (processors / name).write_text("0-3\n")
    (folder / "cpuinfo").write_text("".join(core.format(n) for n in range(4)) + f"Model\t\t: {BOARD}\n")


def install(environment: Path, wanted: tuple[str, ...], architecture: Architecture, suite: Suite) -> None:
    """Make a virtual environment by hand and unpack wheels into it: pip under emulation would take minutes."""
    own_numpy = architecture.machine != "armv7l"
    packages = environment / "lib" / f"python{suite.python}" / "site-packages"
    packages.mkdir(parents=True)
    (environment / "bin").mkdir()
    for name in ("python", "python3"):
        (environment / "bin" / name).symlink_to("/usr/bin/python3")
    system = "false" if own_numpy else "true"
    config = f"home = /usr/bin\ninclude-system-site-packages = {system}\nversion = {suite.python}\n"
    (environment / "pyvenv.cfg").write_text(config)
    with tempfile.TemporaryDirectory() as folder:
        _download(Path(folder), [*wanted, *([] if own_numpy else ["--no-deps"])], architecture.machine, suite)
        for wheel in sorted(Path(folder).glob("*.whl")):
            print(f"  {environment.name}: {'-'.join(wheel.name.split('-')[:2])}", flush=True)
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(packages)


def _download(folder: Path, wanted: list[str], machine: str, suite: Suite) -> None:
    """Download wheels for another machine. Every platform is named: pip does not widen the newest to older ones."""
    names = [*(f"manylinux_2_{n}_{machine}" for n in range(5, suite.glibc + 1)), f"manylinux2014_{machine}"]
    platforms = [word for name in (*names, f"linux_{machine}") for word in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--dest", str(folder)]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", suite.python, *platforms]
    subprocess.run([*command, *wanted], check=True)


if __name__ == "__main__":
    main()
