import sys

import pytest

from edge_runner import choosing, flatbuffer, runtimes
from edge_runner.processes import ChildFailed
from edge_runner.runtimes import Found, Machine


@pytest.mark.parametrize(
    ("python", "machine", "bits", "package"),
    [
        ((3, 9), "x86_64", 64, "ai-edge-litert==2.1.0"),
        ((3, 11), "aarch64", 64, "ai-edge-litert"),
        ((3, 13), "aarch64", 64, "ai-edge-litert"),
        ((3, 15), "aarch64", 64, ""),
        ((3, 9), "armv7l", 32, "tflite-runtime==2.11.0"),
        ((3, 11), "armv7l", 32, "tflite-runtime==2.14.0"),
        ((3, 11), "aarch64", 32, "tflite-runtime==2.14.0"),
        ((3, 13), "armv7l", 32, ""),
        ((3, 11), "armv6l", 32, ""),
        ((3, 11), "riscv64", 64, ""),
    ],
)
def test_what_to_install_follows_the_published_wheels(python, machine, bits, package):
    assert runtimes.wheel(Machine(python, machine, bits)) == package


def test_no_wheel_is_for_another_c_library():
    assert runtimes.wheel(Machine((3, 11), "aarch64", 64, glibc=False)) == ""


@pytest.mark.parametrize(
    ("machine", "line"),
    [
        (Machine((3, 11), "aarch64", 64), "python3 -m pip install ai-edge-litert"),
        (
            Machine((3, 13), "aarch64", 64, managed=True),
            "python3 -m venv ~/edge && ~/edge/bin/pip install ai-edge-litert, then start with ~/edge/bin/python",
        ),
        (
            Machine((3, 11), "armv7l", 32, managed=True, venv=False),
            "sudo apt install python3-numpy python3-venv && python3 -m venv --system-site-packages ~/edge && "
            "~/edge/bin/pip install --no-deps tflite-runtime==2.14.0, then start with ~/edge/bin/python",
        ),
        (
            Machine((3, 9), "armv7l", 32, pip=False, executable="/usr/bin/python3"),
            "sudo apt install python3-numpy python3-pip && "
            "/usr/bin/python3 -m pip install --no-deps tflite-runtime==2.11.0",
        ),
    ],
)
def test_the_line_says_all_that_has_to_be_typed(machine, line):
    assert runtimes.advice(machine) == line


def test_where_nothing_is_published_the_advice_says_so():
    advice = runtimes.advice(Machine((3, 11), "riscv64", 64))
    assert (
        "no interpreter is published for Python 3.11 on 64-bit riscv64; use a 64-bit system with Python 3.10" in advice
    )
    assert "on 64-bit x86_64 without glibc;" in runtimes.advice(Machine((3, 11), "x86_64", 64, glibc=False))


def test_the_python_that_runs_this_is_described(monkeypatch, tmp_path):
    assert (runtimes.here().python, runtimes.here().executable) == (sys.version_info[:2], sys.executable)
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert not runtimes.here().managed
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    assert runtimes.here().managed


def test_tflite_runtime_beside_numpy_2_is_told_apart(monkeypatch):
    versions = {"tflite-runtime": "2.14.0", "numpy": "2.4.0"}
    monkeypatch.setattr("importlib.metadata.version", versions.__getitem__)
    found = runtimes.explain_failure("tflite-runtime", "SystemError: returned a result with an exception set")
    assert found.problem == "tflite-runtime 2.14.0 was built for numpy 1 and cannot work with numpy 2.4.0"
    assert found.mend == f'{sys.executable} -m pip install "numpy<2"'


def test_without_numpy_numpy_is_what_is_missing(monkeypatch):
    monkeypatch.setattr(runtimes, "numpy_version", lambda: None)
    found = runtimes.explain_failure("litert", "ModuleNotFoundError: No module named 'numpy'")
    assert (found.problem, found.mend) == ("numpy is not installed", f"{sys.executable} -m pip install numpy")


def test_another_failure_is_quoted(monkeypatch):
    monkeypatch.setattr(runtimes, "version", lambda name: "2.3.0")
    found = runtimes.explain_failure("litert", "ImportError: libc is too old")
    assert found.problem == "litert 2.3.0 does not start: ImportError: libc is too old"


def test_the_smallest_model_is_a_model():
    assert flatbuffer.read_facts(runtimes.SMALLEST_MODEL).version == 3


def test_a_runtime_that_works_is_found_and_named():
    assert choosing.examine_runtime("litert").problem == ""
    assert choosing.examine_runtime("litert").version is not None


def test_a_module_that_is_not_there_is_not_installed(monkeypatch):
    monkeypatch.setitem(runtimes.MODULES, "litert", "no_such_module")
    found = choosing.examine_runtime("litert")
    assert found.problem == "no_such_module is not installed"


class BrokenChild:
    def __init__(self, timeout):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def ask(self, request):
        msg = "its process was killed by SIGILL"
        raise ChildFailed(msg)


def test_a_runtime_that_dies_at_once_does_not_work(monkeypatch):
    monkeypatch.setattr(choosing, "Child", BrokenChild)
    assert choosing.examine_runtime("litert").problem.endswith("does not start: its process was killed by SIGILL")


def stand(monkeypatch, **problems):
    monkeypatch.setattr(runtimes, "installed", lambda name: name in problems)
    answers = {name: Found(name, "1.0", problem, "mend it so") for name, problem in problems.items()}
    missing = "is not installed"
    monkeypatch.setattr(
        choosing, "examine_runtime", lambda name: answers.get(name, Found(name, None, f"{name} {missing}", "pip"))
    )


def test_the_first_that_works_is_chosen_and_the_broken_ones_before_it_are_told(monkeypatch):
    stand(monkeypatch, **{"tflite-runtime": "broken", "tensorflow": ""})
    chosen, wanting = choosing.choose_runtime("auto")
    assert chosen.name == "tensorflow"
    assert [found.name for found in wanting] == ["tflite-runtime"]


def test_what_is_asked_for_is_not_replaced_by_another(monkeypatch):
    stand(monkeypatch, tensorflow="")
    chosen, wanting = choosing.choose_runtime("litert")
    assert chosen is None
    assert (
        choosing.complaint(wanting)
        == "litert is not installed; install it, or leave --runtime out; what fits this machine: pip"
    )


def test_a_broken_runtime_is_complained_about_with_its_mend(monkeypatch):
    stand(monkeypatch, **{"tflite-runtime": "it is broken"})
    chosen, wanting = choosing.choose_runtime("auto")
    assert chosen is None
    assert choosing.complaint(wanting) == "it is broken: mend it so"


def test_on_a_machine_with_none_the_install_line_is_given(monkeypatch):
    stand(monkeypatch)
    _, wanting = choosing.choose_runtime("auto")
    line = choosing.complaint(wanting)
    assert line.startswith("no interpreter is installed (looked for ai_edge_litert, tflite_runtime, tensorflow): ")
    assert line.endswith(runtimes.advice())
