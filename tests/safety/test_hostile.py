"""A model file runs nothing and touches nothing outside the model, unless the user says that it may."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.safety.hostile import HOSTILE
from tests.safety.hostile_forms import EVIL_MODULES, Trap
from tfcompress.errors import ModelError
from tfcompress.models.first_load import LoadLimits
from tfcompress.models.loading import load_model

pytestmark = pytest.mark.slow

SECONDS = 60
LOAD_SECONDS = 10
"""A file is refused in less: half of it is the children's imports on a busy machine."""
MORE_BYTES = 8 << 30
"""Address space that loading may take beyond what the process has."""
MORE_RESIDENT_BYTES = 3 << 29
"""Memory that loading may fill beyond what the process, or a child of it, has filled before."""
CHILD_BYTES = 3 << 29
"""Memory that a child of it may fill: TensorFlow, both Kerases and a small model."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.bind", "urllib.Request")
PROCESSES = ("os.system", "os.exec", "os.posix_spawn", "os.startfile", "pty.spawn")
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate")


class Watch:
    """Notes what the interpreter is asked to do while it is armed; audit hooks cannot be taken off again."""

    def __init__(self):
        self.trap = None
        self.seen = []
        sys.addaudithook(self.hook)

    @contextmanager
    def armed(self, trap):
        """Watch for what concerns a trap; give the list of what was seen."""
        self.trap, self.seen = trap, []
        try:
            yield self.seen
        finally:
            self.trap = None

    def hook(self, event, args):
        """Note an event that no honest loading makes."""
        if self.trap is not None and self.is_forbidden(event, args):
            self.seen.append((event, repr(args)[:200]))

    def is_forbidden(self, event, args):
        """Say whether an event is none of loading's."""
        if event == "open":
            return self.is_forbidden_opening(*args)
        if event == "import":
            return args[0].partition(".")[0] in EVIL_MODULES
        if event == "subprocess.Popen":
            return not is_own_child(args[1])
        if event == "marshal.loads":
            return not sys._getframe(2).f_code.co_filename.startswith("<frozen importlib")
        if event in CHANGES:
            folder = args[-1] if isinstance(args[-1], int) and args[-1] >= 0 else None
            return not self.is_allowed(args[0], f"/proc/self/fd/{folder}" if folder is not None else "")
        return event in NETWORK or event in PROCESSES

    def is_forbidden_opening(self, path, mode, flags):
        """Say whether a file is opened that loading has nothing to do with."""
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        if Path(os.fsdecode(path)).resolve() == self.trap.secret.resolve():
            return True
        return bool(flags & WRITING) and not self.is_allowed(path)

    def is_allowed(self, path, folder=""):
        """Say whether a path may be written: temporary files, but not the trap's, and bytecode."""
        if isinstance(path, int):
            return True
        resolved = Path(folder, os.fsdecode(path)).resolve()
        if resolved.is_relative_to(self.trap.folder.resolve()):
            return False
        temporary = resolved.is_relative_to(Path(tempfile.gettempdir()).resolve())
        return temporary or "__pycache__" in resolved.parts or resolved == Path(os.devnull)


def is_own_child(command):
    """Say whether a command is one of tfcompress's own child processes."""
    words = [os.fsdecode(word) for word in ([command] if isinstance(command, str | bytes) else command)]
    return words[0] == sys.executable and any("tfcompress." in word for word in words[1:])


@pytest.fixture(scope="module")
def watch():
    return Watch()


@contextmanager
def bounded():
    """Stop what takes too long or too much memory, and say so.

    TensorFlow's own code is not stopped by a signal: should it hang in this process, pytest's limit ends the whole run.
    """

    def too_long(*_):
        pytest.fail(f"loading took more than {SECONDS} s")

    before = resource.getrlimit(resource.RLIMIT_AS)
    children = ChildrenMemory()
    previous = signal.signal(signal.SIGALRM, too_long)
    resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes() + MORE_BYTES, before[1]))
    signal.alarm(SECONDS)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with children:
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident) * 1024 < MORE_RESIDENT_BYTES
    assert children.most_bytes <= CHILD_BYTES


class ChildrenMemory:
    """Watches how much memory each child of this process, and each of theirs, fills, beyond what it has filled before.

    The resource usage of ended children would do for a child that serves one file; ours serves many, and ends with any.
    """

    EVERY_SECONDS = 0.02

    def __init__(self):
        self.most_bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._before = {child: filled_bytes(child) for child in child_processes()}

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _watch(self):
        while not self._over.wait(self.EVERY_SECONDS):
            for child in child_processes():
                more = filled_bytes(child) - self._before.get(child, 0)
                self.most_bytes = max(self.most_bytes, more)


def child_processes(process="self"):
    """Return the children of a process, theirs among them: some of ours are forked by another."""
    found = []
    with suppress(OSError):  # the process has ended
        for task in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):  # the thread has ended
                found += map(int, (task / "children").read_text().split())
    return [*found, *(each for child in found for each in child_processes(child))]


def filled_bytes(process):
    """Return the memory that a child fills; nothing while it has yet to become one, and shares all of ours."""
    try:
        if Path(f"/proc/{process}/cmdline").read_bytes() == Path("/proc/self/cmdline").read_bytes():
            return 0
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):  # it has ended
        return 0
    return pages * resource.getpagesize()


def address_space_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def identity(file):
    return f"{file.form}: {file.name}"


@pytest.fixture
def aimed(request, tmp_path, monkeypatch):
    """Write a hostile file, aimed at a trap that is the current directory."""
    file = request.param
    trap = Trap(tmp_path / "trap").set()
    path = tmp_path / file.filename
    file.write(path, trap)
    monkeypatch.chdir(trap.folder)
    monkeypatch.syspath_prepend(trap.folder)
    return file, path, trap.set()


def listing(folder):
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))


@pytest.mark.parametrize("aimed", HOSTILE, ids=identity, indirect=True)
def test_a_hostile_file_does_nothing_and_is_refused_in_one_line(aimed, watch):
    file, path, trap = aimed
    before = listing(trap.folder)
    refusal = None
    with watch.armed(trap) as seen, bounded():  # which ends its thread before the watch ends
        try:
            load_model(path, limits=LoadLimits(seconds=LOAD_SECONDS))
        except ModelError as error:
            refusal = str(error)
    assert (trap.traces(), seen) == ([], [])
    assert listing(trap.folder) == before
    assert file.loads or refusal
    assert "\n" not in (refusal or "")


def test_each_kind_and_form_is_among_the_files():
    assert len({identity(file) for file in HOSTILE}) == len(HOSTILE) >= 80
    assert {file.form for file in HOSTILE} == {
        *("keras3.keras", "keras3.h5", "keras2.keras", "keras2.h5", "savedmodel"),
    }


@pytest.mark.payloads
@pytest.mark.timeout(1800)  # it waits for what hangs
def test_the_payloads_are_real(tmp_path):
    program = Path(__file__).with_name("hostile_range.py")
    environment = os.environ | {"HOME": str(tmp_path), "KERAS_HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, check=True, env=environment
    )
    fired = json.loads(done.stdout.splitlines()[-1])
    assert len(fired) > 80
    assert [name for name, traces in fired.items() if not traces] == []


@pytest.mark.parametrize("trace", ["read", "created", "changed", "imported"])
def test_the_trap_catches(trace, tmp_path):
    trap = Trap(tmp_path).set()
    assert trap.traces() == []
    act = {
        "read": trap.secret.read_bytes,
        "created": trap.created.touch,
        "changed": trap.secret.unlink,
        "imported": lambda: subprocess.run([sys.executable, "-c", "import evil_module"], cwd=tmp_path, check=True),
    }
    act[trace]()
    assert trap.traces() == [trace]


def test_the_memory_of_children_is_seen():
    filling = "block = b'x' * (400 << 20); print(flush=True); import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", filling], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as earlier:
        earlier.stdout.readline()
        with ChildrenMemory() as of_earlier:
            time.sleep(0.2)
        earlier.stdin.close()
        earlier.wait()
    with ChildrenMemory() as own:
        subprocess.run([sys.executable, "-c", filling], input=b"", capture_output=True, check=True)
    assert of_earlier.most_bytes < 100 << 20 < 350 << 20 < own.most_bytes


def test_the_watch_sees(watch, tmp_path):
    trap = Trap(tmp_path / "trap").set()
    with watch.armed(trap) as seen:
        trap.secret.read_bytes()
        trap.created.touch()
        (tmp_path / "elsewhere").touch()
        subprocess.run(["true"], check=True)
    assert [event for event, _ in seen] == ["open", "open", "subprocess.Popen"]
