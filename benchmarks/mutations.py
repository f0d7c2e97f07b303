"""Feed edge_runner broken models: `python -m benchmarks.mutations --count 10000 [--seed 0] [MODEL.tflite ...]`.

Every file is a model with seeded damage: flipped bits, a cut-off end, numbers replaced (a spliced offset or length),
or a piece copied over another. Batches of them go through the whole of edge_runner. Each file has to become an entry of
the JSON, measured or failed with a reason, and no run may end otherwise than with status 0 or 1. The counts are
printed; the exit status is 1 if any file was lost.

Without models, those of tests/data are broken.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "tests" / "data"
BATCH = 200
BRIEF = ("--runs", "1", "--seconds", "0.001", "--warmup", "0", "--processes", "1", "--apart", "--timeout", "10")
LIMITED = ("sh", "-c", f'ulimit -d {2 << 20} && exec "$@"', "sh")
"""A broken number may ask for any amount of memory: no process gets more than 2 GB."""
_NUMBERS = (0, 1, 3, 4, 7, 0x7F, 0x8000, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF)

Damage = Callable[[bytearray, random.Random], None]


def flip(content: bytearray, chance: random.Random) -> None:
    """Flip one to eight bits."""
    for _ in range(chance.randint(1, 8)):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def truncate(content: bytearray, chance: random.Random) -> None:
    """Cut the end off, anything from one byte to all."""
    del content[chance.randrange(len(content)) :]


def splice(content: bytearray, chance: random.Random) -> None:
    """Replace one to three aligned numbers by an awkward one, a neighbour's, one off, or another place of the file."""
    for _ in range(chance.randint(1, 3)):
        at = 4 * chance.randrange(len(content) // 4)
        (old,) = struct.unpack_from("<I", content, at)
        other = 4 * chance.randrange(len(content) // 4)
        new = chance.choice(
            [
                chance.choice(_NUMBERS),
                struct.unpack_from("<I", content, other)[0],
                old + chance.randint(-8, 8),
                other - at,
            ]
        )
        struct.pack_into("<I", content, at, new % (1 << 32))


def copy(content: bytearray, chance: random.Random) -> None:
    """Copy a piece of up to 64 bytes over another place."""
    length = chance.randint(1, min(64, len(content)))
    source, target = (chance.randrange(len(content) - length + 1) for _ in range(2))
    content[target : target + length] = content[source : source + length]


KINDS: dict[str, Damage] = {"flipped bits": flip, "truncated": truncate, "spliced numbers": splice, "copied": copy}


def mutant(models: Sequence[bytes], number: int, seed: int) -> tuple[str, bytes]:
    """Return how file *number* is broken, and its bytes; the same for the same seed."""
    chance = random.Random(f"{seed} {number}")
    kind = list(KINDS)[number % len(KINDS)]
    content = bytearray(models[chance.randrange(len(models))])
    KINDS[kind](content, chance)
    return kind, bytes(content)


@dataclass
class Counts:
    """What became of the files.

    Attributes:
        outcomes: by kind of damage and outcome, how many.
        reasons: why files failed, numbers taken out, the most frequent first.
        lost: files without an entry, and runs that ended otherwise than they may.
        longest_seconds: of any run of edge_runner, of a batch.
    """

    outcomes: collections.Counter[tuple[str, str]] = field(default_factory=collections.Counter)
    reasons: collections.Counter[str] = field(default_factory=collections.Counter)
    lost: list[str] = field(default_factory=list)
    longest_seconds: float = 0.0


def outcome(entry: dict[str, Any]) -> str:
    """Return in a few words what became of a file, by its entry in the JSON."""
    reason = entry["reason"] or ""
    if entry["status"] == "ok":
        return "measured"
    if entry["contents"] is None:
        return "refused by the check of the file"
    killed = re.search(r"killed by (SIG\w+)", reason)
    if killed:
        return f"its process was killed by {killed[1]}"
    if "out of memory" in reason or "bad_alloc" in reason:
        return "it asked for too much memory"
    if "no sign of life" in reason:
        return "its process hung and was ended"
    if "its process ended" in reason:
        return "its process ended by itself"
    return "refused by the interpreter"


def run_batch(python: str, models: Sequence[bytes], numbers: Sequence[int], seed: int) -> Counts:
    """Put a batch of broken files through edge_runner and count what became of them."""
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        made = {}
        for number in numbers:
            kind, content = mutant(models, number, seed)
            made[f"{number:06d}.tflite"] = (kind, hashlib.sha256(content).hexdigest())
            (place / f"{number:06d}.tflite").write_bytes(content)
        begin = time.monotonic()
        command = [*LIMITED, python, str(ROOT / "edge_runner"), *made, *BRIEF, "-o", "edge.json"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        counts.longest_seconds = time.monotonic() - begin
        if done.returncode not in (0, 1) or not (place / "edge.json").is_file():
            counts.lost.append(f"files {numbers[0]}..{numbers[-1]}: status {done.returncode}: {done.stderr[-500:]}")
            return counts
        entries = {entry["file"]: entry for entry in json.loads((place / "edge.json").read_text())["models"]}
    for name, (kind, sha256) in made.items():
        _count(counts, name, kind, sha256, entries.get(name))
    return counts


def _count(counts: Counts, name: str, kind: str, sha256: str, entry: dict[str, Any] | None) -> None:
    if entry is None or entry["sha256"] != sha256 or (entry["status"] != "ok" and not entry["reason"]):
        counts.lost.append(f"{name}: no entry with a reason")
        return
    counts.outcomes[kind, outcome(entry)] += 1
    if entry["status"] != "ok":
        plain = re.sub(r"'[^']*'|\([^)]*\)|\[[^\]]*\]…?", "…", entry["reason"])
        counts.reasons[re.sub(r"-?\d[\d.,]*", "N", plain)[:110]] += 1


def run(
    models: Sequence[bytes], count: int, seed: int, *, python: str = sys.executable, parallel: int | None = None
) -> Counts:
    """Put *count* broken files through edge_runner, several batches at once."""
    parallel = parallel or os.cpu_count() or 1
    size = max(1, min(BATCH, -(-count // parallel)))
    batches = [range(start, min(start + size, count)) for start in range(0, count, size)]
    total = Counts()
    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        for done in pool.map(lambda numbers: run_batch(python, models, numbers, seed), batches):
            total.outcomes += done.outcomes
            total.reasons += done.reasons
            total.lost += done.lost
            total.longest_seconds = max(total.longest_seconds, done.longest_seconds)
    return total


def table(counts: Counts) -> str:
    """Return the counts as text: one line an outcome, one column a kind of damage."""
    outcomes = sorted({found for _, found in counts.outcomes}, key=lambda found: -_sum(counts, found))
    width = max(map(len, outcomes), default=0)
    lines = [" " * width + "".join(f"{kind:>17}" for kind in KINDS) + f"{'all':>9}"]
    for found in outcomes:
        cells = "".join(f"{counts.outcomes[kind, found]:17,}" for kind in KINDS)
        lines.append(f"{found:{width}}{cells}{_sum(counts, found):9,}")
    lines.append(f"{'files with an entry':{width}}{'':{17 * len(KINDS)}}{sum(counts.outcomes.values()):9,}")
    return "\n".join(lines)


def _sum(counts: Counts, found: str) -> int:
    return sum(counts.outcomes[kind, found] for kind in KINDS)


def main() -> int:
    """Read the command line, run, print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL.tflite", help="what to break")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--python", default=sys.executable, help="whose interpreter edge_runner uses")
    given = parser.parse_args()
    paths = given.models or sorted(MODELS.glob("*.tflite"))
    begin = time.monotonic()
    counts = run([path.read_bytes() for path in paths], given.count, given.seed, python=given.python)
    print(f"{given.count:,} files from {', '.join(path.name for path in paths)}, seed {given.seed}:")
    print(table(counts))
    print(f"lost: {len(counts.lost)}; {time.monotonic() - begin:.0f} s in all")
    print("\n".join(counts.lost[:20]))
    print("the most frequent reasons:")
    print("\n".join(f"{count:7,}  {reason}" for reason, count in counts.reasons.most_common(25)))
    return 1 if counts.lost else 0


if __name__ == "__main__":
    sys.exit(main())
