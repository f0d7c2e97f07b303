"""tfcompress beside other systems that make networks small: same networks, images and machine.

    python -m benchmarks.league resnet8.h5:cifar10.npz:1:numbers.npy mobile.keras:cifar10.npz:1/255 --output FOLDER \
        [--peers onnxruntime openvino …] [--images 10000] [--rounds 200] [--latency] [--update docs/league.md]

A network is MODEL:DATA.npz:SCALE, with the numbers of its calibration images in x_train behind a third colon where they
are not simply the first 500. ``python -m benchmarks.best_networks mobile`` trains the small MobileNet.

Each peer works in an environment of its own, which is made with pip in FOLDER at its first use, by a script that knows
nothing of tfcompress (:mod:`benchmarks.league_peers`). What a peer made and measured is kept as JSON in FOLDER, and not
made again; a peer that cannot be installed, or fails, is named with its reason. All runtimes get one thread. Latencies
are measured with all runtimes open at once, a few runs of each in turns, and told as ratios to the float TFLite file
in the same round; ``--latency`` measures them anew.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.league_tables import league_page
from benchmarks.native_qat import update

CALIBRATED = 500
ROOT = Path(__file__).parents[1]
PEERS_SCRIPT = Path(__file__).with_name("league_peers.py")
RUNS = 5
"""Runs of one file before the next one's turn."""


@dataclass(frozen=True)
class Peer:
    """A system.

    Attributes:
        about: what is done with it.
        packages: for pip; empty: the environment that this script runs in.
        inside: its environment sees the packages of this one, too.
        source: the form of the network that it takes.
    """

    about: str
    packages: tuple[str, ...] = ()
    inside: bool = False
    source: str = "float.onnx"


PEERS: dict[str, Peer] = {
    "float": Peer("the float TFLite file, LiteRT", source="float.tflite"),
    "tfcompress": Peer("`export --quantize int8`, `dynamic`, and `--quantize int8` of the .tflite", source="model"),
    "tfmot": Peer("TensorFlow's converter and tfmot by hand: post-training int8", source="model"),
    "litert-quantizer": Peer(
        "static int8 as its README has it", ("litert-quantizer>=0.11,<0.12",), source="float.tflite"
    ),
    "onnxruntime": Peer(
        "static QDQ, per channel, min/max and percentile", ("onnxruntime>=1.20", "onnx>=1.16", "numpy")
    ),
    "openvino": Peer("NNCF post-training int8, fast and full bias correction", ("openvino>=2025", "nncf>=3", "numpy")),
    "mnn": Peer("weights of 8 and of 4 bits", ("MNN>=3", "numpy")),
    "thop": Peer("multiply-accumulates", ("thop", "torch", "onnx>=1.16", "numpy"), source="float.onnx"),
}
"""Every peer by its name."""
EXPORTER = ("tf2onnx>=1.16", "onnx>=1.16", "requests", "ml_dtypes")
"""What writes ONNX files, beside the packages of this environment."""


@dataclass(frozen=True)
class Place:
    """Where things of one network are.

    Attributes:
        name: of the network.
        folder: of its files.
        model: the Keras model.
    """

    name: str
    folder: Path
    model: Path


def main(given: Sequence[str] | None = None) -> None:
    """Measure, and print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", help="MODEL:DATA.npz:SCALE[:NUMBERS.npy]")
    parser.add_argument("--output", type=Path, required=True, help="where environments, files and results go")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS), help="which systems")
    parser.add_argument("--images", type=int, default=10_000, help="test images, at most")
    parser.add_argument("--rounds", type=int, default=200, help="turns of the latency measurement")
    parser.add_argument("--latency", action="store_true", help="measure latencies anew")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the tables between the markers of this file")
    options = parser.parse_args(given)
    results: dict[str, dict[str, Any]] = {}
    for text in options.networks:
        place = laid_out(text, options.output.resolve(), options.images)
        results[place.name] = {name: made_by(name, place, options.output.resolve()) for name in options.peers}
        latencies(place, results[place.name], options.output.resolve(), options.rounds, again=options.latency)
    page = league_page({name: peer.about for name, peer in PEERS.items()}, results)
    print(page)
    if options.update:
        options.update.write_text(update(options.update.read_text(), "tables", page, "league"))


def laid_out(text: str, output: Path, images: int) -> Place:
    """Lay the images and the float files of a network ready, where they are not yet.

    Args:
        text: MODEL:DATA.npz:SCALE[:NUMBERS.npy].
        output: the folder of all.
        images: test images, at most.
    """
    model, data, scale, *numbers = text.split(":")
    place = Place(Path(model).stem, output / Path(model).stem, Path(model).resolve())
    place.folder.mkdir(parents=True, exist_ok=True)
    if not (place.folder / "labels.npy").exists():
        arrays, factor = np.load(data), np.float32(Fraction(scale))
        chosen = np.load(numbers[0]) if numbers else np.arange(CALIBRATED)
        np.save(place.folder / "calibration.npy", arrays["x_train"][chosen[:CALIBRATED]].astype(np.float32) * factor)
        np.save(place.folder / "test.npy", arrays["x_test"][:images].astype(np.float32) * factor)
        np.save(place.folder / "labels.npy", arrays["y_test"][:images].reshape(-1).astype(np.int64))
    if not (place.folder / "float.tflite").exists():
        _write_float(place)
    return place


def _write_float(place: Place) -> None:
    """Write the float TFLite file with its tensors' names, and a SavedModel for what makes ONNX of it."""
    import tfcompress as tfc
    from tfcompress.models.loading import load_model
    from tfcompress.tflite.lower import lower

    loaded = load_model(place.model)
    lower(loaded.native, place.folder / "saved")
    tfc.export(loaded.native, tfc.Export(packings=()), progress=False).save(place.folder / "float.tflite")


def environment_of(name: str, packages: Sequence[str], output: Path, *, inside: bool = False) -> Path:
    """Return the Python of an environment with some packages; it is made if it is not there.

    Args:
        name: of the environment.
        packages: for pip; none: this one.
        output: the folder of all.
        inside: it sees the packages of this environment, too, and gets none that *packages* need.

    Raises:
        RuntimeError: they cannot be installed; with pip's last line.
    """
    if not packages:
        return Path(sys.executable)
    folder = output / "environments" / name
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists():
        return python
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    command = [str(python), "-m", "pip", "install", "--quiet", *(["--no-deps"] if inside else []), *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line] or ["pip failed"]
        msg = f"pip cannot install {' '.join(packages)}: {lines[-1]}"
        raise RuntimeError(msg)
    if inside:
        ours = [path for path in sys.path if path.endswith("site-packages")]
        site = next((folder / "lib").glob("python*/site-packages"))
        (site / "ours.pth").write_text("".join(f"{path}\n" for path in ours))
    ready.touch()
    return python


def made_by(name: str, place: Place, output: Path) -> dict[str, Any]:
    """Return what a peer made of a network: ``rows``, or ``refusal``; it is made where it is not kept yet."""
    peer, kept = PEERS[name], place.folder / f"{name}.json"
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text())
        return found
    print(f"{place.name}: {name}", flush=True)
    try:
        if peer.source == "float.onnx":
            _need_onnx(place, output)
        python = environment_of(name, peer.packages, output, inside=peer.inside)
        asked = [str(python), str(PEERS_SCRIPT), "make", name, str(place.folder), str(place.model)]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, env=_environment())
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise RuntimeError(lines[-1])
        found = json.loads((place.folder / f"{name}.made.json").read_text())
    except (RuntimeError, subprocess.CalledProcessError) as error:
        found = {"refusal": str(error)}
        print(f"{place.name}: {name}: {error}", flush=True)
        return found  # tried again the next time
    kept.write_text(json.dumps(found, indent=1))
    return found


def _environment() -> dict[str, str]:
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), "1")
    return {**os.environ, **one, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}


def _need_onnx(place: Place, output: Path) -> None:
    target = place.folder / "float.onnx"
    if target.exists():
        return
    python = environment_of("tf2onnx", EXPORTER, output, inside=True)
    command = [str(python), "-m", "tf2onnx.convert", "--saved-model", str(place.folder / "saved"), "--opset", "17"]
    done = subprocess.run(
        [*command, "--output", str(target)], capture_output=True, text=True, check=False, env=_environment()
    )
    if done.returncode or not target.exists():
        msg = f"tf2onnx: {(done.stderr.strip().splitlines() or ['no word'])[-1]}"
        raise RuntimeError(msg)


@contextlib.contextmanager
def _serving(name: str, place: Place, output: Path) -> Iterator[subprocess.Popen[str]]:
    python = environment_of(name, PEERS[name].packages, output, inside=PEERS[name].inside)
    process = subprocess.Popen(
        [str(python), str(PEERS_SCRIPT), "serve", name, str(place.folder), str(place.model)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_environment(),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def latencies(place: Place, found: Mapping[str, Any], output: Path, rounds: int, *, again: bool) -> None:
    """Measure all files that peers made, in turns, and put each row's ratio to float into *found*.

    Args:
        place: the network.
        found: what peers made, by name.
        output: the folder of all.
        rounds: how many turns.
        again: measure what is kept, too.
    """
    kept = place.folder / "latencies.json"
    known = {} if again or not kept.exists() else json.loads(kept.read_text())
    rows = {(name, row["file"]): row for name, made in found.items() for row in made.get("rows", ()) if row.get("file")}
    if any(f"{name} {file}" not in known for name, file in rows):
        known = _measured(place, list(rows), output, rounds)
        kept.write_text(json.dumps(known, indent=1))
    for (name, file), row in rows.items():
        row |= known.get(f"{name} {file}", {})


def _measured(place: Place, asked: Sequence[tuple[str, str]], output: Path, rounds: int) -> dict[str, Any]:
    names = dict.fromkeys(name for name, _ in asked)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in asked}
    load = os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(_serving(name, place, output)) for name in names}
        for turn in range(rounds + 1):
            for name, file in asked:
                seconds = _asked(servers[name], file, RUNS)
                if turn:  # the first one opens the file and warms it up
                    times[name, file].append(min(seconds))
    base = times["float", "float.tflite"]
    found = {}
    for (name, file), values in times.items():
        ratios = sorted(one / other for one, other in zip(values, base, strict=True))
        found[f"{name} {file}"] = {
            "ratio": statistics.median(ratios),
            "ratio_low": ratios[len(ratios) // 4],
            "ratio_high": ratios[3 * len(ratios) // 4],
            "least_ms": 1e3 * min(values),
            "rounds": rounds,
            "load": [round(load, 1), round(os.getloadavg()[0], 1)],
            "at": time.strftime("%Y-%m-%d"),
        }
    return found


def _asked(server: subprocess.Popen[str], file: str, runs: int) -> list[float]:
    if server.stdin is None or server.stdout is None:
        msg = "a server has pipes"
        raise RuntimeError(msg)
    server.stdin.write(json.dumps({"file": file, "runs": runs}) + "\n")
    server.stdin.flush()
    while True:
        line = server.stdout.readline()
        if not line:
            msg = f"the runtime of {file} ended while it was measured"
            raise RuntimeError(msg)
        if line.startswith("{"):  # whatever libraries print
            return [float(each) for each in json.loads(line)["seconds"]]


if __name__ == "__main__":
    main()
