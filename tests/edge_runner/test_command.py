"""The runner as a user starts it: in a folder of its own, by its path, in a fresh process."""

import errno
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from edge_runner import arguments, measure, running, throughput

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
FLOAT, INT8 = DATA / "blobs_float.tflite", DATA / "blobs_int8.tflite"
FAST = ("--runs", "20", "--seconds", "0.01", "--warmup", "0", "--processes", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The runner's folder, copied on its own, and data made for the blobs' model."""
    place = tmp_path_factory.mktemp("device")
    shutil.copytree(ROOT / "edge_runner", place / "edge_runner", ignore=shutil.ignore_patterns("__pycache__"))
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 60)
    images = np.full((60, 8, 8, 1), -0.5, np.float32)
    for index, label in enumerate(labels):
        images[index, 4 * (label // 2) :, 4 * (label % 2) :][:4, :4] = 0.5
    np.savez(place / "eval.npz", **{"x.image": images, "y": labels})
    return place


def run(folder, *arguments, program=("edge_runner",), **options):
    command = [sys.executable, *program, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, **options)


@pytest.fixture(scope="module")
def measured(folder):
    """Two models measured together, on data."""
    done = run(
        folder, FLOAT, INT8, "--data", "eval.npz", "--outputs", "raw.npz", "--predictions", *FAST, "--warmup", "1"
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def result(measured):
    return json.loads(measured.stdout)


def test_the_json_names_the_models_by_hash_and_size(result):
    assert [model["size_bytes"] for model in result["models"]] == [FLOAT.stat().st_size, INT8.stat().st_size]
    assert [model["status"] for model in result["models"]] == ["ok", "ok"]
    assert len({model["sha256"] for model in result["models"]}) == 2


def test_raw_timings_are_kept_and_the_statistics_are_theirs(result):
    for model in result["models"]:
        timing = model["timing"]
        assert len(timing["samples_ns"]) == sum(block["runs"] for block in timing["blocks"]) >= 20
        assert [block["round"] for block in timing["blocks"]] == [place // 2 for place in range(20)]
        assert timing["summary"]["median_ms"] == pytest.approx(np.median(timing["samples_ns"]) / 1e6)
        assert timing["summary"]["p90_ms"] == pytest.approx(np.percentile(timing["samples_ns"], 90) / 1e6)
        assert [process["warmup_runs"] >= 1 for process in timing["processes"]] == [True]
        assert timing["preprocess"]["median_ms"] > 0
        assert timing["postprocess"]["p90_ms"] >= timing["postprocess"]["median_ms"] > 0


def test_both_models_are_right_about_clear_images(result):
    for model in result["models"]:
        scores = model["accuracy"]["outputs"]["scores"]
        assert scores["samples"] == 60
        assert scores["top1"] >= 0.95
    first, second = (model["accuracy"]["outputs"]["scores"]["predictions"] for model in result["models"])
    assert first == second


def test_raw_outputs_are_written_by_model_and_name(folder, result):
    with np.load(folder / "raw.npz") as raw:
        assert set(raw) == {"0.scores", "1.scores"}
        assert (raw["0.scores"].dtype, raw["1.scores"].dtype) == (np.float32, np.int8)
        predictions = result["models"][1]["accuracy"]["outputs"]["scores"]["predictions"]
        assert raw["1.scores"].argmax(-1).tolist() == predictions
    assert sorted(path.name for path in folder.iterdir()) == ["edge_runner", "eval.npz", "raw.npz"]


def test_what_was_not_measured_is_null(result):
    energy = result["models"][0]["energy"]
    assert energy["joules_per_inference"] is None
    assert energy["reason"]


def test_the_table_says_what_a_person_wants_to_know(measured):
    assert "blobs_int8.tflite" in measured.stderr
    assert "µs" in measured.stderr or "ms" in measured.stderr
    assert "60 samples" in measured.stderr


def keys(value):
    """The document's skeleton: nested keys, one entry a list, the names of outputs and classes left out."""
    if isinstance(value, dict):
        names = {"outputs": {"scores"}, "per_class": {"0", "1", "2", "3"}}
        return {
            key: keys(next(iter(item.values()))) if set(item) == names.get(key) else keys(item) if item else None
            for key, item in value.items()
            if isinstance(item, dict)
        } | {k: keys(v) for k, v in value.items() if not isinstance(v, dict)}
    if isinstance(value, list):
        return [keys(value[0])] if value and isinstance(value[0], dict) else []
    return None


def test_the_format_is_that_of_the_golden_file(result):
    golden = json.loads((DATA / "edge_format_4.json").read_text())
    assert result["format"] == golden["format"] == 4
    assert keys({**result, "models": result["models"][:1]}) == keys({**golden, "models": golden["models"][:1]})


SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "edge_runner" / "schema.json").read_text()))


def test_the_schema_is_one():
    SCHEMA.check_schema(SCHEMA.schema)


def test_the_schema_describes_what_is_written(result):
    SCHEMA.validate(result)


def test_the_schema_describes_the_golden_file():
    SCHEMA.validate(json.loads((DATA / "edge_format_4.json").read_text()))


def test_the_schema_would_notice_a_change(result):
    with pytest.raises(jsonschema.ValidationError, match="'extra' was unexpected"):
        SCHEMA.validate({**result, "extra": 1})


def test_files_that_are_no_models_do_not_stop_the_others(folder, tmp_path):
    (tmp_path / "empty.tflite").write_bytes(b"")
    (tmp_path / "half.tflite").write_bytes(INT8.read_bytes()[:1500])
    done = run(folder, tmp_path / "none.tflite", tmp_path / "empty.tflite", INT8, tmp_path / "half.tflite", *FAST)
    models = json.loads(done.stdout)["models"]
    SCHEMA.validate(json.loads(done.stdout))
    assert done.returncode == 1
    assert [model["status"] for model in models] == ["failed", "failed", "ok", "failed"]
    assert [model["reason"] for model in models[:3]] == [
        "cannot read the file: No such file or directory",
        "the file is empty",
        None,
    ]
    assert "none.tflite failed: cannot read the file: No such file or directory" in done.stderr


def test_a_model_whose_data_does_not_fit_is_an_entry(folder):
    done = run(folder, INT8, DATA / "lstm.tflite", "--data", "eval.npz", *FAST)
    assert done.returncode == 1
    good, bad = json.loads(done.stdout)["models"]
    assert (good["status"], bad["status"]) == ("ok", "failed")
    assert bad["reason"].startswith("data must hold 'x.steps'")


@pytest.fixture
def odd_interpreter(tmp_path):
    """An environment whose interpreter hangs on the float model and aborts on the int8 one."""
    broken = tmp_path / "ai_edge_litert"
    broken.mkdir()
    (broken / "__init__.py").write_text("")
    (broken / "interpreter.py").write_text(
        "import os, pathlib, time, numpy\n"
        "class OpResolverType: BUILTIN_REF = 1\n"
        "class Interpreter:\n"
        "    def __init__(self, model_content=None, model_path='', num_threads=1):\n"
        "        if 'int8' in model_path: os.abort()\n"
        "        if 'float' in model_path:\n"
        "            pathlib.Path(__file__).with_name('hangs').touch()\n"
        "            time.sleep(600)\n"
        "    def allocate_tensors(self): pass\n"
        "    def invoke(self): pass\n"
        "    def reset_all_variables(self): pass\n"
        "    def get_input_details(self): return []\n"
        "    def get_output_details(self): return []\n"
    )
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def test_a_hanging_interpreter_is_an_entry_and_the_next_model_goes_on(folder, odd_interpreter):
    models = (FLOAT, INT8, DATA / "two_inputs.tflite")
    done = run(folder, *models, *FAST, "--timeout", "8", env=odd_interpreter)
    assert done.returncode == 1, done.stderr
    assert [model["reason"] for model in json.loads(done.stdout)["models"]] == [
        "no sign of life for 8 s; give a longer --timeout if it is only slow",
        "its process was killed by SIGABRT",
        None,
    ]


def test_an_unusable_interpreter_ends_with_3_and_the_mend(folder, tmp_path):
    for name in ("ai_edge_litert", "tflite_runtime", "tensorflow"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('built for another system')")
    done = run(folder, INT8, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 3
    assert done.stdout == ""
    assert "does not start: ImportError: built for another system: " in done.stderr
    assert "pip install" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_json_goes_into_a_file_when_asked(folder, tmp_path):
    done = run(folder, INT8, *FAST, "-o", tmp_path / "e.json")
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads((tmp_path / "e.json").read_text())["models"][0]["status"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give at least one .tflite file, or --doctor"),
        ([INT8, "--modl"], "there is no option --modl; did you mean --mode?"),
        ([INT8, "--qqq"], "there is no option --qqq; --help shows them all"),
        ([INT8, "--runs", "0"], "argument --runs: must be a whole number of at least 1, got '0'"),
        ([INT8, "--runs", "many"], "must be a whole number of at least 1, got 'many'"),
        ([INT8, "--seconds", "-1"], "argument --seconds: must be a number above 0, got '-1'"),
        ([INT8, "--seconds", "nan"], "must be a number above 0, got 'nan'"),
        ([INT8, "--data", "none.npz"], "no such data file: 'none.npz'"),
        ([INT8, "--outputs", "o.npz"], "--outputs needs --data"),
        ([INT8, "-o", "none/e.json"], "'none' is no folder to write 'e.json' into"),
        ([INT8, "--runtime", "onnx"], "argument --runtime: invalid choice: 'onnx'"),
    ],
)
def test_arguments_that_cannot_be_meant_end_with_2(folder, arguments, message):
    done = run(folder, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_teaches_with_examples(folder):
    done = run(folder, "--help")
    assert done.returncode == 0
    assert "python3 edge_runner float.tflite int8.tflite --data eval.npz -o edge.json" in done.stdout


def test_the_doctor_says_what_works(folder):
    done = run(folder, "--doctor")
    assert done.returncode == 0
    assert "litert          works, version " in done.stdout
    assert f"Python {sys.version.split()[0]}" in done.stdout


def test_the_doctor_writes_its_document_where_it_is_asked_to(folder, tmp_path):
    (tmp_path / "doctor.json").write_text('{"tool": "edge_runner --doctor", "of": "an earlier time"}')
    done = run(folder, "--doctor", "-o", tmp_path / "doctor.json")
    assert done.returncode == 0
    assert "works, version " in done.stdout
    document = json.loads((tmp_path / "doctor.json").read_text())
    assert (document["tool"], document.get("of")) == ("edge_runner --doctor", None)


def test_a_model_without_a_name_is_an_entry(folder):
    done = run(folder, "", *FAST)
    assert done.returncode == 1
    assert "failed: not a regular file" in done.stderr


def test_it_also_starts_as_a_module_and_under_another_name(folder):
    done = run(folder, INT8, *FAST, program=("-m", "edge_runner"))
    assert done.returncode == 0, done.stderr
    shutil.copytree(folder / "edge_runner", folder / "renamed")
    try:
        done = run(folder, INT8, *FAST, program=("renamed",))
    finally:
        shutil.rmtree(folder / "renamed")
    assert done.returncode == 0, done.stderr


def test_no_file_of_the_runner_is_taken_for_the_standard_librarys(folder):
    names = {path.stem for path in (ROOT / "edge_runner").glob("*.py")} - {"__init__", "__main__"}
    assert not names & set(sys.stdlib_module_names)


def test_the_parent_imports_no_numpy_and_never_tfcompress(folder):
    code = (
        "import sys; sys.path.insert(0, '.'); import edge_runner.command, edge_runner.running, edge_runner.child;"
        "print(*sorted({'numpy', 'tfcompress', 'ai_edge_litert'} & set(sys.modules)))"
    )
    assert run(folder, program=("-c", code)).stdout.split() == []


def test_models_timed_apart_are_not_compared(folder):
    result = json.loads(run(folder, FLOAT, INT8, *FAST, "--rounds", "1", "--apart").stdout)
    assert [len(model["timing"]["blocks"]) for model in result["models"]] == [2, 2]
    assert (result["options"]["interleaved"], result["comparisons"]) == (False, [])


def test_ctrl_c_ends_with_130_and_no_file(folder, tmp_path, odd_interpreter):
    command = [sys.executable, "edge_runner", str(FLOAT), "-o", str(tmp_path / "e.json")]
    options = {"cwd": folder, "env": odd_interpreter, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **options) as process:
        while not (tmp_path / "ai_edge_litert" / "hangs").exists():
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "edge_runner: interrupted; nothing was written" in said
    assert "Traceback" not in said
    assert not (tmp_path / "e.json").exists()


def test_outputs_that_cannot_be_written_do_not_lose_the_measurement(folder, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(measure, "collect", full)
    places = [
        "--data",
        str(folder / "eval.npz"),
        "--outputs",
        str(tmp_path / "raw.npz"),
        "-o",
        str(tmp_path / "e.json"),
    ]
    assert running.run_measurement(arguments.parse_arguments([str(INT8), *places, *FAST]), None) == 1
    result = json.loads((tmp_path / "e.json").read_text())
    assert result["models"][0]["status"] == "ok"
    assert result["warnings"] == [f"--outputs: cannot write {tmp_path}/raw.npz: No space left on device"]
    assert "No space left on device" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["e.json"]


def test_many_models_are_timed_in_groups_that_fit_into_memory(folder):
    quick = ("--runs", "10", "--seconds", "0.001", "--warmup", "0", "--processes", "1", "--rounds", "2")
    result = json.loads(run(folder, *[FLOAT] * 9, *quick).stdout)
    assert [len(model["timing"]["blocks"]) for model in result["models"]] == [4] * 9
    assert [(pair["first"], pair["second"]) for pair in result["comparisons"]] == [
        (first, second) for first in range(8) for second in range(first + 1, 8)
    ]
    assert {pair["verdict"] for pair in result["comparisons"]} == {None}


def test_several_processes_and_ways_of_running_are_compared_pair_by_pair(folder):
    done = run(
        folder, INT8, "--threads", "1,2", "--kernels", "default,reference", *FAST, "--processes", "2", "--rounds", "2"
    )
    result = json.loads(done.stdout)
    SCHEMA.validate(result)
    ways = [(model["settings"]["kernels"], model["settings"]["threads"]) for model in result["models"]]
    assert ways == [("default", 1), ("default", 2), ("reference", 1), ("reference", 2)]
    assert [model["delegate"] for model in result["models"]] == ["XNNPACK", "XNNPACK", "none", "none"]
    assert [len(model["timing"]["processes"]) for model in result["models"]] == [2, 2, 2, 2]
    assert len(result["comparisons"]) == 6
    assert {(pair["processes"], pair["rounds"]) for pair in result["comparisons"]} == {(2, 4)}
    assert "blobs_int8.tflite, 2 threads, reference" in done.stderr


def test_windows_are_timed_for_their_whole_time_and_their_median_counts(folder):
    done = run(folder, INT8, "--mode", "windows", "--windows", "3", "--seconds", "0.05")
    result = json.loads(done.stdout)
    SCHEMA.validate(result)
    timing = result["models"][0]["timing"]
    assert len(timing["blocks"]) == len(timing["windows"]["per_second"]) == 3
    assert timing["windows"]["median_per_second"] == sorted(timing["windows"]["per_second"])[1]
    assert timing["windows"]["median_ms"] == 1000 / timing["windows"]["median_per_second"]


def test_what_the_delegate_took_is_counted(result):
    for model in result["models"]:
        taken = model["delegation"]
        assert (taken["nodes"], taken["partitions"] >= 1) == (model["contents"]["operators"], True)
        assert taken["delegated"] == sum(op["delegated"] for op in taken["by_op"].values()) > 0


def test_the_models_can_be_bound_to_a_core(folder):
    core = min(os.sched_getaffinity(0))
    result = json.loads(run(folder, INT8, *FAST, "--affinity", str(core)).stdout)
    assert (result["models"][0]["status"], result["options"]["affinity"]) == ("ok", [core])


def test_a_core_that_is_not_there_is_known_before_anything_is_measured(folder):
    done = run(folder, INT8, *FAST, "--affinity", "0,999")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--affinity: there is no core 999; they are 0 to {os.cpu_count() - 1}" in done.stderr


def test_the_start_to_the_first_inference_is_told(result):
    process = result["models"][0]["timing"]["processes"][0]
    assert process["first_ns"] < process["start_to_first_ns"] < result["start_to_first_ms"] * 1e6 + 1e7


def test_where_the_time_goes_how_many_a_second_and_joules_when_asked_for(folder):
    asked = ("--per-op", "--throughput", "--batches", "1", "--parallel", "2", "--assume-watts", "5")
    done = run(folder, INT8, *FAST, *asked)
    result = json.loads(done.stdout)
    SCHEMA.validate(result)
    (model,) = result["models"]
    assert [node["op"] for node in model["per_op"]["nodes"]] == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    assert [entry["compared_with"] for entry in model["delegation"]["difference"]] == ["no-delegate", "reference"]
    assert [(entry["batch"], entry["interpreters"]) for entry in model["throughput"]] == [(1, 1), (1, 2)]
    assert model["energy"]["kind"] == "assumed"
    for said in ("by op, each node alone", "nodes run by XNNPACK", "samples a second:", "mJ (assumed)"):
        assert said in done.stderr


def test_the_planned_arena_is_told_apart_from_the_measured_memory(result):
    memory = result["models"][0]["memory"]
    assert memory["planned_arena_bytes"] == 8 * 8 * 4 + 2 * 4 * 4 * 6 * 4
    assert memory["planned_by"].startswith("greedy by size")
    assert memory["before_bytes"] < memory["peak_bytes"]


def throttling(folder, flags):
    """A vcgencmd whose firmware says these flags, one a question, the last for ever."""
    program = folder / "vcgencmd"
    program.write_text(
        f"#!/bin/sh\ncd {folder}\necho x >> asked\nset -- {flags}\n"
        'n=$(wc -l < asked)\n[ "$n" -gt $# ] && n=$#\nshift $((n - 1))\necho "throttled=$1"\n'
    )
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_throttled_turns_are_discarded_and_counted(folder, tmp_path):
    environment = throttling(tmp_path, "0x0 0x0 0x0 0x4 0x0")  # before, at the start, then after each turn
    result = json.loads(run(folder, INT8, *FAST, "--rounds", "2", env=environment).stdout)
    (model,) = result["models"]
    assert [block["throttled"] for block in model["timing"]["blocks"]] == [False, True, True, False]
    assert model["heat"]["discarded_blocks"] == 2
    assert model["timing"]["discarded_runs"] > 0
    assert "2 of 4 turns were throttled and left out" in model["warnings"]


def test_a_machine_that_is_throttled_all_the_time_measures_nothing(folder, tmp_path):
    done = run(folder, INT8, *FAST, "--rounds", "1", env=throttling(tmp_path, "0x4"))
    assert done.returncode == 1
    (model,) = json.loads(done.stdout)["models"]
    assert model["reason"].startswith("the machine was throttled during all of its 2 turns; cool it")


def test_it_rests_before_it_measures_when_asked(folder):
    start = time.monotonic()
    (model,) = json.loads(run(folder, INT8, *FAST, "--cool-down", "0.3").stdout)["models"]
    assert time.monotonic() - start > 0.3
    assert model["heat"]["cooled_seconds"] == 0.3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "1,0"], "argument --threads: must be a whole number of at least 1, got '0'"),
        (["--kernels", "fast"], "argument --kernels: must be of default, no-delegate, reference, got 'fast'"),
        (["--cool-to", "999"], "argument --cool-to: must be a temperature in °C, got '999'"),
        (["--ina", "lm75@1:1"], "argument --ina: must be ina219, ina226 or ina260"),
        (["--assume-watts", "5", "--power-command", "x"], "give one of --assume-watts, --power-command and --ina"),
        (["--labels", "y.npy"], "--labels needs --data"),
        (["--affinity", "1,x"], "argument --affinity: must be a whole number of at least 0, got 'x'"),
    ],
)
def test_further_arguments_that_cannot_be_meant_end_with_2(folder, arguments, message):
    done = run(folder, INT8, *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def shown_on_a_terminal(folder, *arguments):
    """Start it with a terminal as standard output, and return the exit status and what it shows there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "edge_runner", *map(str, arguments)]
    with subprocess.Popen(command, cwd=folder, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 1 << 16):
                shown += piece
        except OSError:  # Linux ends a terminal whose other side is closed that way
            pass
    os.close(ours)
    return process.returncode, shown.decode()


def test_a_terminal_shows_the_table_and_the_json_only_when_asked(folder):
    code, shown = shown_on_a_terminal(folder, INT8, *FAST)
    assert (code, "samples_ns" in shown, "blobs_int8.tflite" in shown) == (0, False, True)
    code, shown = shown_on_a_terminal(folder, INT8, *FAST, "-o", "-")
    assert (code, json.loads(shown)["tool"]) == (0, "edge_runner")


def test_a_pipe_that_closes_is_one_line(folder):
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "edge_runner", str(INT8), *FAST]
    done = subprocess.run(command, cwd=folder, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["edge_runner: cannot write to standard output: Broken pipe"]


def test_a_slip_in_the_order_of_the_arguments_overwrites_no_model(folder, tmp_path):
    model, other = tmp_path / "m.tflite", tmp_path / "n.tflite"
    for path in (model, other):
        shutil.copy(INT8, path)
    for slip in (("-o", model, other), ("-o", model, model), (model, "-o", model)):
        assert run(folder, *slip, *FAST).returncode == 2
    assert model.read_bytes() == other.read_bytes() == INT8.read_bytes()


def test_a_name_that_is_no_utf_8_is_measured_and_escaped(folder, tmp_path):
    model = os.fsencode(tmp_path) + b"/caf\xe9\x1b[2J.tflite"
    shutil.copy(INT8, model)
    done = run(folder, os.fsdecode(model), "--data", "eval.npz", *FAST, "--per-op")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["models"][0]["file"] == r"caf\xe9\x1b[2J.tflite"
    assert "\x1b" not in done.stderr


def test_a_place_that_cannot_be_written_is_known_before_anything_is_measured(folder, tmp_path, odd_interpreter):
    done = run(folder, INT8, "-o", tmp_path, env=odd_interpreter)  # this interpreter would hang
    assert done.returncode == 2
    assert f"-o: '{tmp_path}' is no plain file; give '-o -' for JSON on standard output" in done.stderr


def test_an_image_of_any_size_is_timed_at_the_size_asked_for_and_never_at_one_pixel(folder, tmp_path):
    model = DATA / "tflite" / "open_extents.tflite"
    alone = run(folder, model, *FAST)
    assert alone.returncode == 1
    reason = "input 'image' takes any shape of (any, any, any, 3): give --shape image=1,N,N,3, or --data"
    assert json.loads(alone.stdout)["models"][0]["reason"] == reason
    given = run(
        folder,
        model,
        "--shape",
        "image=1,64,48,3",
        *FAST,
        "--throughput",
        "--batches",
        "2",
        "--parallel",
        "1",
        "--per-op",
    )
    assert given.returncode == 0, given.stderr
    (measured,) = json.loads(given.stdout)["models"]
    assert measured["inputs"][0]["shape"] == [1, 64, 48, 3]
    assert measured["memory"]["planned_arena_bytes"] is None
    assert measured["throughput"][0]["reason"] is None
    assert measured["per_op"]["reason"].startswith("the file leaves open the shape of image")
    assert {entry["reason"] for entry in measured["delegation"]["difference"]} == {None}
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 32, 32, 3), np.float32))
    by_data = run(folder, model, "--data", tmp_path / "x.npz", *FAST)
    assert json.loads(by_data.stdout)["models"][0]["inputs"][0]["shape"] == [1, 32, 32, 3]


def test_throughput_runs_at_the_extents_of_the_data(folder, tmp_path, monkeypatch):
    model = DATA / "tflite" / "open_extents.tflite"
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 32, 32, 3), np.float32))
    asked, not_run = [], {"per_second": None, "reason": "not run"}
    monkeypatch.setattr(throughput, "measured_throughput", lambda request, *_: asked.append(request) or not_run)
    places = ["--data", str(tmp_path / "x.npz"), "-o", str(tmp_path / "e.json"), "--throughput", "--batches", "1"]
    assert (
        running.run_measurement(arguments.parse_arguments([str(model), *places, "--parallel", "1", *FAST]), None) == 0
    )
    assert [(request["data"], request["shapes"]) for request in asked] == [(None, {"image": [1, 32, 32, 3]})]


def test_a_shape_of_an_input_that_no_file_has_ends_with_2(folder):
    done = run(folder, INT8, "--shape", "picture=1,8,8,1", *FAST)
    assert done.returncode == 2
    assert done.stderr == "edge_runner: --shape names 'picture', which is no input of any file; they have image\n"
