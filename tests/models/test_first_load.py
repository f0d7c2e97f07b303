import gc
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.models import small_models
from tests.models.small_models import build
from tfcompress import worker
from tfcompress.errors import ModelError, UntrustedCodeError, UsageError
from tfcompress.models import first_load
from tfcompress.models.first_load import GIB, FirstLoad, LoadLimits
from tfcompress.models.loading import load_model
from tfcompress.models.probing import FileInfo
from tfcompress.worker import KeptWorkers, Worker

INFO = FileInfo("keras", "keras3", "3.15.1", "Functional", 100)


@pytest.fixture(scope="module")
def children():
    """Hand out a child a test, started early enough."""
    made = []

    def child():
        made.append(Worker("tests.models.sleepy_load_child"))
        return made[-1]

    yield child
    for each in made:
        each.close()


def begin(child, name, limits=None):
    first = FirstLoad(child)
    first.start(Path("/somewhere") / name, INFO, trust=False, custom=(), limits=limits or LoadLimits())
    return first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hangs", "loading it takes longer than 0.3 s; it is damaged, or give more --load-seconds"),
        ("dawdles", "loading it takes longer than 0.3 s; it is damaged, or give more --load-seconds"),
        ("crashes", r"loading it killed the loading process \(SIGSEGV\); it is damaged"),
        ("aborts", r"\(SIGABRT\); loading it takes more than 4 GiB of memory; give more --load-memory"),
        ("hungers", "loading it takes more than 4 GiB of memory; give more --load-memory if you trust it"),
        ("fails", "LookupError: first line$"),
    ],
)
def test_what_goes_wrong_in_the_child_is_one_clear_line(name, message, children):
    limits = LoadLimits(seconds=0.3) if name in ("hangs", "dawdles") else LoadLimits()
    with begin(children(), name, limits) as first, pytest.raises(ModelError, match=message) as caught:
        first.finish()
    assert str(caught.value).startswith(f"model '/somewhere/{name}' cannot be loaded: ")


def test_memory_grows_with_the_weights_unless_it_is_said():
    assert LoadLimits().memory_for(INFO) == 4 * GIB
    assert LoadLimits().memory_for(FileInfo("h5", "keras2", None, None, 1, weights_bytes=GIB)) == 12 * GIB
    assert LoadLimits(memory_bytes=GIB).memory_for(INFO) == GIB


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0}, "limits.seconds must be above 0, got 0"),
        ({"seconds": float("inf")}, "limits.seconds must be above 0, got inf"),
        ({"memory_bytes": 1000}, "limits.memory_bytes must be at least 128 MiB, got 1000"),
    ],
)
def test_limits_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        LoadLimits(**options)


CHILD = "tests.models.sleepy_load_child"


@pytest.fixture
def started(monkeypatch):
    """Count the children that are started."""
    made = []

    def start(*args, **options):
        made.append(Worker(*args, **options))
        return made[-1]

    monkeypatch.setattr(worker, "Worker", start)
    monkeypatch.setattr(first_load, "CHILDREN", KeptWorkers(CHILD))
    yield made
    for each in made:
        each.close()


def load_once(name="fine", *, runs_code=False):
    with FirstLoad(runs_code=runs_code) as first:
        first.start(Path("/somewhere") / name, INFO, trust=False, custom=(), limits=LoadLimits())
        first.finish()


def test_one_child_serves_file_after_file_until_it_is_idle_for_long(started, monkeypatch):
    monkeypatch.setattr(first_load, "CHILDREN", KeptWorkers(CHILD, idle_seconds=2.0))
    load_once()
    load_once()
    assert len(started) == 1
    limit = time.monotonic() + 10
    while started[0].alive and time.monotonic() < limit:
        time.sleep(0.02)
    load_once()
    assert len(started) == 2


def test_a_child_that_may_have_run_code_meets_no_other_file(started):
    load_once()
    load_once(runs_code=True)
    assert len(started) == 2
    assert [each.alive for each in started] == [True, False]
    load_once()
    assert len(started) == 2


@pytest.mark.parametrize(("name", "alive"), [("fails", True), ("hungers", False), ("crashes", False)])
def test_a_child_that_refused_goes_on_and_one_that_suffered_does_not(name, alive, started):
    with pytest.raises(ModelError):
        load_once(name)
    assert started[0].alive is alive


def edited(path, change):
    """Change the configuration of a ``.keras`` file."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config["config"]["layers"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (parts | {"config.json": json.dumps(config)}).items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def chain(keras, tmp_path):
    model = build(small_models.frozen, keras)
    path = tmp_path / "model.keras"
    model.save(path)
    return path


@pytest.mark.slow
def test_a_layer_that_would_take_terabytes_takes_none(chain):
    def widen(layers):  # each extent is below the free one: only their product is out of proportion
        layers[0]["config"]["batch_shape"] = [None, 1 << 19]
        layers[1]["config"]["units"] = 1 << 19
        del layers[1]["build_config"]

    with pytest.raises(ModelError, match=r"loading it takes more than 4 GiB of memory"):
        load_model(edited(chain, widen))


@pytest.mark.slow
def test_a_limit_on_memory_holds_and_may_be_raised(chain):
    def widen(layers):  # a kernel of 256 MiB
        layers[0]["config"]["batch_shape"] = [None, 1 << 13]
        layers[1]["config"]["units"] = 1 << 13
        del layers[1]["build_config"]

    with pytest.raises(ModelError, match=r"loading it takes more than 200 MiB of memory; give more --load-memory"):
        load_model(edited(chain, widen), limits=LoadLimits(memory_bytes=200 << 20))
    with pytest.raises(ModelError, match="cannot be rebuilt"):  # its weights are not that large
        load_model(chain, limits=LoadLimits(memory_bytes=6 * GIB))


@pytest.mark.slow
def test_a_tensor_that_would_take_terabytes_is_named_by_its_layer(chain):
    def repeat(layers):
        layers[2] |= {"class_name": "RepeatVector", "config": {"name": "head", "n": 1 << 31}}

    with pytest.raises(ModelError, match=r"its layer 'head' gives a tensor of 24 GiB"):
        load_model(edited(chain, repeat))


@pytest.mark.slow
def test_memory_is_there_again_after_a_load(chain):
    for _ in range(3):
        load_model(chain)
    gc.collect()
    children = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "rss="], capture_output=True, text=True)
    assert all(int(size) < 2_000_000 for size in children.stdout.split())


AUDITED = """
import sys, pathlib
from tfcompress.safety.audit import forbidden_to_reach_outside
with forbidden_to_reach_outside(pathlib.Path("m.keras")):
    try:
        {what}
    except PermissionError:
        pass
print("went on")
"""


@pytest.mark.parametrize(
    ("what", "met"),
    [
        ("import os; os.system('true')", "os.system"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
        ("import os; os.fork()", "os.fork"),
        ("import socket; socket.create_connection(('localhost', 1))", "socket.getaddrinfo"),
        ("import marshal; marshal.loads(marshal.dumps(compile('1', '', 'eval')))", "marshal.loads"),
        ("import pickle, json; pickle.loads(pickle.dumps(json.JSONDecoder))", "pickle.find_class"),
        ("open('made', 'w')", "write to 'made'"),
        ("import os; os.open('made', os.O_CREAT | os.O_WRONLY)", "write to 'made'"),
        ("import os; os.mkdir('made')", "os.mkdir of 'made'"),
        ("import os; os.rename('there', '/tmp/made')", "os.rename of 'there'"),
        ("import os; os.remove('there')", "os.remove of 'there'"),
    ],
)
def test_a_first_load_is_kept_from_what_no_model_needs(what, met, tmp_path):
    (tmp_path / "home").mkdir()
    there = tmp_path / "home" / "there"
    there.write_text("here")
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": os.pathsep.join(sys.path)}
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", AUDITED.format(what=what)],
        cwd=there.parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    expected = (
        f"{UntrustedCodeError.__module__}.UntrustedCodeError: model 'm.keras' tried to reach outside itself ({met})"
    )
    assert expected in done.stderr
    assert "went on" not in done.stdout
    assert [path.name for path in there.parent.iterdir()] == ["there"]
    assert there.read_text() == "here"


HARMLESS = """
import pathlib, shutil, tempfile
from tfcompress.safety.audit import forbidden_to_reach_outside
with forbidden_to_reach_outside(pathlib.Path("m.keras")):
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as file:
        path = pathlib.Path(folder) / "copy"
        path.write_text("x")
        path.rename(path.with_name("moved"))
    open("there").read()
    import wave
import os
os.system("true")
print("went on")
"""


def test_temporary_files_reading_and_imports_are_no_harm_and_afterwards_all_is_allowed(tmp_path):
    (tmp_path / "there").write_text("here")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HARMLESS]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("went on\n", "")
