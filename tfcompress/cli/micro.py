"""What ``inspect --target`` and ``bench --device`` do for microcontrollers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError, UsageError, nearest
from tfcompress.targets.installed import check_installed
from tfcompress.targets.target import ACCELERATORS, Target
from tfcompress.targets.target_table import SUFFIX, TARGETS, find_target

if TYPE_CHECKING:
    import numpy as np

    from tfcompress.cli.terminal import Terminal
    from tfcompress.tflite.micro.examination import Examination

VELA = "vela:"
_FAMILY = "ethos-"


@dataclass(frozen=True)
class Desk:
    """A microcontroller that is tried at the desk.

    Attributes:
        word: what the user typed.
        target: what it stands for.
        run: whether TensorFlow Lite Micro runs the file; without, only Vela compiles it.
    """

    word: str
    target: Target
    run: bool = True


def desks(words: Sequence[str]) -> tuple[Desk, ...]:
    """Return the microcontrollers among the devices that were named; none: all are machines.

    Raises:
        UsageError: both kinds together, or an accelerator that Vela does not know.
        RecipeError: a file of a target that is none.
    """
    found = [_desk(word) for word in words]
    micro = tuple(desk for desk in found if desk is not None)
    if micro and len(micro) < len(found):
        machine = next(word for word, desk in zip(words, found, strict=True) if desk is None)
        msg = f"--device {micro[0].word} measures no time, and {machine} does: give each in a command of its own"
        raise UsageError(msg)
    return micro


def _desk(word: str) -> Desk | None:
    if word.startswith(VELA):
        accelerator = f"{_FAMILY}{word.removeprefix(VELA).removeprefix(_FAMILY)}"
        if accelerator not in ACCELERATORS:
            known = [f"{VELA}{name.removeprefix(_FAMILY)}" for name in ACCELERATORS]
            msg = f"--device must be one of {', '.join(known)} for Vela, got {word!r}{nearest(word, known)}"
            raise UsageError(msg)
        return Desk(word, TARGETS[accelerator], run=False)
    if word in TARGETS or word.endswith(SUFFIX):
        target = find_target(word, "--device")
        return Desk(word, target) if target.micro else None
    return None


def micro_target(name: str) -> Target:
    """Return the target that ``inspect`` is asked about.

    Raises:
        RecipeError: no such target.
        UsageError: one that has nothing to say of a file that is not run.
    """
    target = find_target(name, "--target")
    if not target.micro:
        micro = ", ".join(each for each, found in TARGETS.items() if found.micro)
        msg = f"--target must be a microcontroller for inspect ({micro}, or a {SUFFIX} file), got {name!r}"
        raise UsageError(msg)
    return target


def examined(path: Path, desk: Desk, data: Path | None = None) -> Examination:
    """Look at a file for a microcontroller.

    Raises:
        TfcompressError: what :func:`tfcompress.tflite.micro.examination.examine` raises, and of data that do not fit.
    """
    check_installed(desk.target, run=desk.run)
    from tfcompress.tflite.flatbuffer import read_model_file
    from tfcompress.tflite.micro.examination import examine, samples_by_input

    if not path.is_file():
        msg = f"{path} is no file; give a .tflite file, or a folder that export wrote"
        raise UsageError(msg)
    content = path.read_bytes()
    samples = None
    if data is not None and desk.run:
        samples = samples_by_input(_arrays(data), read_model_file(content), str(data))
    return examine(content, desk.target, samples=samples, run=desk.run)


def _arrays(path: Path) -> Mapping[str, np.ndarray]:
    import zipfile
    import zlib

    import numpy as np

    try:
        with path.open("rb") as stream:
            found = np.load(stream)  # Python objects are refused
            return {"x": found} if isinstance(found, np.ndarray) else dict(found)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        msg = f"--data {str(path)!r} cannot be read: {error}; give the .npz that export writes, or an .npy"
        raise DataError(msg) from error


def lines_of(found: Examination) -> Iterator[tuple[str, str]]:
    """Give what a person reads of a file, as pairs of a topic and a sentence."""
    from tfcompress.reports import microcontroller

    plain: dict[str, Any] = found.to_dict()
    yield "ops", ", ".join(f"{name} {count}" for name, count in found.ops.items())
    if found.micro is not None:
        yield from ((found.target, text) for text, _ in microcontroller.micro_sentences(plain))
    elif plain["npu"]:
        yield from ((found.target, text) for text, _ in microcontroller.npu_sentences(plain["npu"]))
    if found.round_to > 1:
        yield found.target, microcontroller.widths_text(found.round_to, found.round_to_source)


def bench(models: Sequence[Path], found: Sequence[Desk], data: Path | None, screen: Terminal, *, as_json: bool) -> None:
    """Try files for microcontrollers, and print what was found; no time is measured.

    Raises:
        TfcompressError: as :func:`examined`.
    """
    rows = []
    for path in models:
        for desk in found:
            with screen.progress.task(f"trying {path.name} for {desk.word}"):
                rows.append((path, desk, examined(path, desk, data)))
    if as_json:
        plain = [{"device": desk.word, "file": str(path), **one.to_dict()} for path, desk, one in rows]
        screen.write(json.dumps(plain, indent=1) + "\n")
        return
    for path, desk, one in rows:
        screen.out.print(f"{path} for {desk.word} (no latency: nothing here is the chip)", soft_wrap=True, markup=False)
        for topic, text in lines_of(one):
            screen.out.print(f"  {topic}: {text}", soft_wrap=True, markup=False)
