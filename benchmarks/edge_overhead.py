"""What edge_runner itself costs: against a bare ``invoke()`` loop, and beside the benchmark that ai-edge-litert ships.

    python benchmarks/edge_overhead.py model.tflite

Three questions, each answered in one run of everything in turns:

- Is the median that it reports the bare loop's? Both loops around one interpreter, in one process, block by block: a
  bare loop that reads the clock around every call, and one that reads it around five, whose means are compared with the
  means of five of edge_runner's. The first tells what its bookkeeping costs, the second what reading the clock does.
- How much later is the first inference, and how much more memory is used at most, than in a script of ten lines?
- What does ``litert-benchmark`` say of the same file? It rounds to hundredths of a millisecond.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CHUNK = 5
BLOCK_SECONDS = 0.05
BARE = """\
import sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
for entry in interpreter.get_input_details():
    interpreter.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
interpreter.invoke()
first = time.monotonic_ns()
samples = []
while len(samples) < 500:
    start = time.perf_counter_ns()
    interpreter.invoke()
    samples.append(time.perf_counter_ns() - start)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(first, peak, sorted(samples)[len(samples) // 2])
"""


def main() -> None:
    """Print the table for each file."""
    parser = argparse.ArgumentParser(description="What edge_runner costs, against a bare loop and litert-benchmark.")
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.tflite")
    parser.add_argument("--blocks", type=int, default=40, help="pairs of blocks in one process")
    parser.add_argument("--starts", type=int, default=7, help="fresh starts of each program")
    parser.add_argument("--benchmark", default=str(Path(sys.executable).parent / "litert-benchmark"))
    options = parser.parse_args()
    for model in options.models:
        print(model.name)
        print("  " + same_interpreter(model, options.blocks).replace("; ", "\n  "))
        print("\n".join(f"  {line}" for line in starts(model, options.starts, options.benchmark)))


def same_interpreter(model: Path, blocks: int) -> str:
    """Time both loops around one interpreter, in turns, and return a line."""
    sys.path.insert(0, str(ROOT))
    from edge_runner.child import ChildSession

    session = ChildSession(lambda text: None)
    session.open(
        path=str(model),
        runtime="litert",
        threads=1,
        kernels="default",
        affinity=None,
        names={},
        data=None,
        labels=None,
        shapes={},
        expects={},
        seed=0,
    )
    usual_ns = session.warm(runs=50, seconds=0.3)["median_ns"]
    runs = CHUNK * max(1, int(BLOCK_SECONDS * 1e9 / usual_ns / CHUNK))
    ours, bare, chunked = list[float](), list[float](), list[float]()
    invoke = session.model.interpreter.invoke
    turns: list[Callable[[], None]] = [
        lambda: ours.extend(
            session.time(runs=runs, seconds=0.0, untimed_seconds=0.003, most=runs, full_time=False)["samples_ns"]
        ),
        lambda: bare.extend(bare_loop(invoke, runs, 1)),
        lambda: chunked.extend(bare_loop(invoke, runs // CHUNK, CHUNK)),
    ]
    for number in range(blocks):
        for turn in turns if number % 2 else reversed(turns):
            turn()
    means = [statistics.fmean(ours[start : start + CHUNK]) for start in range(0, len(ours), CHUNK)]
    return f"{_against(ours, bare, 'every call')}; {_against(means, chunked, f'{CHUNK} calls')}"


def _against(ours: list[float], bare: list[float], around: str) -> str:
    pair = statistics.median(ours) / 1e3, statistics.median(bare) / 1e3
    return (
        f"median of the same interpreter: edge_runner {pair[0]:.2f} µs, bare loop {pair[1]:.2f} µs, "
        f"difference {pair[0] / pair[1] - 1:+.2%} (clock around {around})"
    )


def bare_loop(invoke: Callable[[], Any], chunks: int, size: int) -> list[float]:
    """Return nanoseconds a call, each the mean of a chunk of *size* calls with nothing between them."""
    ready = time.perf_counter() + 0.003  # as long as a turn of edge_runner itself runs untimed
    while time.perf_counter() < ready:
        invoke()
    found = []
    for _ in range(chunks):
        start = time.perf_counter_ns()
        for _ in range(size):
            invoke()
        found.append((time.perf_counter_ns() - start) / size)
    return found


def starts(model: Path, count: int, benchmark: str) -> list[str]:
    """Start each program *count* times in turns and return lines."""
    found: dict[str, list[dict[str, float]]] = {"bare loop": [], "edge_runner": [], "litert-benchmark": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            found["bare loop"].append(start_bare(model))
            found["edge_runner"].append(start_runner(model, Path(folder) / "e.json"))
            found["litert-benchmark"].append(start_benchmark(benchmark, model, Path(folder) / "b.json"))
    lines = []
    for name, runs in found.items():
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        lines.append(f"{name:17}" + ", ".join(f"{key} {value:.4g}" for key, value in middle.items()))
    least = {key: min(run[key] for run in found["edge_runner"]) for key in ("first s", "peak MB")}
    base = {key: min(run[key] for run in found["bare loop"]) for key in least}
    later, more = (least[key] - base[key] for key in least)
    lines.append(
        f"edge_runner above the bare loop, least of {count} each: first inference {later:+.3f} s, {more:+.1f} MB"
    )
    return lines


def start_bare(model: Path) -> dict[str, float]:
    """Run the script of ten lines."""
    start = time.monotonic_ns()
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(model)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    first, peak, median = map(int, done.stdout.split())
    return {"median µs": median / 1e3, "first s": (first - start) / 1e9, "peak MB": peak * 1024 / 1e6}


def start_runner(model: Path, target: Path) -> dict[str, float]:
    """Run edge_runner as a user does."""
    options = ["--processes", "1", "--runs", "500", "--seconds", "0.05", "-o", str(target)]
    command = [sys.executable, str(ROOT / "edge_runner"), str(model), *options]
    subprocess.run(command, stderr=subprocess.DEVNULL, check=True)
    result = json.loads(target.read_text("utf-8"))
    (entry,) = result["models"]
    return {
        "median µs": entry["timing"]["summary"]["median_ms"] * 1e3,
        "first s": result["start_to_first_ms"] / 1e3,
        "peak MB": entry["memory"]["peak_bytes"] / 1e6,
    }


def start_benchmark(benchmark: str, model: Path, target: Path) -> dict[str, float]:
    """Run the benchmark of the ai-edge-litert wheel."""
    options = ["--model", str(model), "--num_runs", "500", "--warmup_runs", "50", "--result_json", str(target)]
    subprocess.run([benchmark, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return {"median µs": json.loads(target.read_text("utf-8"))["latency"]["median_ms"] * 1e3}


if __name__ == "__main__":
    main()
