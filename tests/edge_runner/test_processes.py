import signal
import sys
import time

import pytest

from edge_runner.processes import Child, ChildFailed

ECHO = "import sys, json\nfor line in sys.stdin: print(json.dumps({'got': json.loads(line)}), flush=True)"


def child(code, timeout=20.0):
    return Child(timeout, [sys.executable, "-c", code])


def test_a_request_is_answered():
    with child(ECHO) as process:
        assert process.ask({"do": 1}) == {"got": {"do": 1}}
        assert process.ask({"do": 2}) == {"got": {"do": 2}}


def test_a_long_answer_arrives_whole():
    with child(
        "input(); print('[' + '1,' * 300000 + '1]', flush=True); input()".replace("[", '{\\"a\\": [', 1).replace(
            "1]'", "1]}'"
        )
    ) as process:
        assert process.ask({}) == {"a": [1] * 300_001}


def test_signs_of_life_are_passed_on():
    heard = []
    code = 'input()\nfor m in (\'{"alive": "1"}\', \'{"alive": "2"}\', \'{}\'): print(m, flush=True)\ninput()'
    with child(code) as process:
        assert process.ask({}, heard.append) == {}
    assert heard == ["1", "2"]


def test_a_refusal_is_a_reason():
    with (
        child('input(); print(\'{"failed": "no such op"}\', flush=True)') as process,
        pytest.raises(ChildFailed, match=r"^no such op$"),
    ):
        process.ask({})


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGSEGV, "its process was killed by SIGSEGV"),
        (signal.SIGKILL, r"its process was killed by SIGKILL \(most often the system's answer to too little memory\)"),
        (signal.SIGABRT, "its process was killed by SIGABRT: double free"),
        (signal.SIGILL, r"killed by SIGILL \(the runtime was built for a newer processor\)"),
    ],
)
def test_death_by_a_signal_is_named(number, reason):
    said = "double free" if number == signal.SIGABRT else ""
    code = (
        f"import os, sys; input(); sys.stderr.write({said!r}); sys.stderr.flush(); os.kill(os.getpid(), {int(number)})"
    )
    with child(code) as process, pytest.raises(ChildFailed, match=reason):
        process.ask({})


def test_leaving_without_an_answer_is_named_with_its_last_words():
    with child("import sys; sys.exit('cannot go on')") as process:
        with pytest.raises(ChildFailed, match="its process ended with exit code 1: cannot go on"):
            process.ask({})
        assert process.said() == ["cannot go on"]


def test_silence_has_an_end():
    start = time.monotonic()
    with (
        child("import time; time.sleep(600)", timeout=0.5) as process,
        pytest.raises(ChildFailed, match=r"no sign of life for 0.5 s; give a longer --timeout"),
    ):
        process.ask({})
    assert time.monotonic() - start < 10


def test_what_it_prints_to_standard_error_does_not_block_it():
    code = "import sys; input(); sys.stderr.write('x' * 1000000 + '\\nlast\\n'); print('{}', flush=True); input()"
    with child(code) as process:
        assert process.ask({}) == {}
        assert process.said()[-1] == "last"


def test_a_process_that_will_not_end_is_ended(monkeypatch):
    monkeypatch.setattr("edge_runner.processes.EXIT_SECONDS", 0.2)
    process = child("import time\ntime.sleep(600)")
    process.close()
    assert process.process.returncode == -signal.SIGKILL


def test_a_process_that_closes_its_output_and_stays_is_ended(monkeypatch):
    monkeypatch.setattr("edge_runner.processes.EXIT_SECONDS", 0.2)
    code = "import os, time; os.close(1); os.close(2); time.sleep(600)"
    with child(code) as process, pytest.raises(ChildFailed, match="its process closed its output and went on"):
        process.ask({})
