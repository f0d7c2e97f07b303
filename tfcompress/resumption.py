"""What lets a killed run go on: which run it was, and the models and epochs that it had finished.

A run is known by the content of everything that its training depends on: weights, data, settings and library versions.
What one run has left behind serves only a run of the same key.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tfcompress import files, plain
from tfcompress.errors import TfcompressError
from tfcompress.models.fingerprints import (
    add_array_,
    code_sha256,
    library_versions,
    model_sha256,
    own_classes,
    source_sha256,
)
from tfcompress.models.kinds import keras_of

if TYPE_CHECKING:
    import numpy as np

    from tfcompress.data.dataset import BoundData
    from tfcompress.models.loading import Loaded
    from tfcompress.recipe import Recipe
    from tfcompress.settings import Export
    from tfcompress.stages.stage import Stage

_PIECE = 256  # samples that are hashed at a time
_LABELS = 1 << 14  # labels that are
_EPOCHS = "-epochs"
_FACTS = "facts.json"
_FACTS_BYTES = 64 << 20


def run_key(loaded: Loaded, data: BoundData | None, recipe: Recipe) -> str:
    """Return a hash of everything that a run's training depends on.

    Data whose content cannot be known without training on it (a stream) gives another key every time, so that nothing
    of an earlier run is taken up.

    Args:
        loaded: the model.
        data: the bound data.
        recipe: what is done; how the result is exported counts only as far as stages are decided by it.
    """
    described, stages = recipe.to_dict(), recipe.stages
    decided = decided_by(stages, recipe.export)
    return hash_of([ground_of(loaded, data), described["stages"], described["train"], sources_sha256(stages), decided])


def ground_of(loaded: Loaded, data: BoundData | None) -> dict[str, Any]:
    """Return what every training of a model on some data depends on, as plain values; see :func:`run_key`."""
    from tfcompress.models.own_code import own_code_sha256  # knows Keras's layers, which a --help need not

    return {
        "model": loaded.sha256 or model_sha256(loaded.native),
        "code": own_code_sha256(loaded.native),
        "data": None if data is None else data_sha256(data) or uuid.uuid4().hex,
        "bound": None if data is None else _bound(data),
        "versions": library_versions(),
    }


def hash_of(values: object) -> str:
    """Return the SHA-256 of plain values, as hexadecimal text; what is none counts by its ``str``.

    Equal values have one hash: 1 and 1.0, which recipes and command lines write for the same number, and lists and
    tuples.
    """
    return files.sha256(json.dumps(_alike(values), sort_keys=True, default=str).encode())


def _alike(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _alike(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_alike(value) for value in values]
    return int(values) if isinstance(values, float) and values.is_integer() else values


def decided_by(stages: Sequence[Stage], export: Export) -> list[Any]:
    """Return what of an export decides what stages leave open: none of a stage that leaves nothing open."""
    return [found for stage in stages if (found := stage.decided_by(export)) is not None]


def sources_sha256(stages: Sequence[Stage]) -> list[str]:
    """Return a hash of each of what stages read besides the model, and of the user's code that they run."""
    found = []
    for stage in stages:
        found += [*map(source_sha256, stage.sources), *map(code_sha256, stage.code)]
    return found


def _bound(data: BoundData) -> dict[str, Any]:
    dataset = data.dataset
    labelling = dataclasses.asdict(dataset.labelling)
    return {"preprocessing": dataset.preprocessing.to_dict(), "h": data.holdout, "labelling": labelling}


def data_sha256(data: BoundData) -> str | None:
    """Return a hash of the data: of its files, or of every sample in memory; None for a stream.

    What is made of them counts as well, as far as the first samples and all labels show it: other columns, another
    function that prepares the inputs.

    Args:
        data: the bound data.
    """
    digest = hashlib.sha256(json.dumps([data.dataset.sha256, list(data.dataset.labels)]).encode())
    for name, split in data.splits.items():
        known = hasattr(split, "table")
        if data.dataset.sha256 is None and not known:
            return None
        digest.update(f"\n{name} {split.size}\n".encode())
        for values in _made_of(split, whole=data.dataset.sha256 is None, labels=known):
            add_array_(digest, values)
    return digest.hexdigest()


def _made_of(split: Any, *, whole: bool, labels: bool) -> Iterator[np.ndarray]:
    """Yield the first samples as the model gets them, then all labels, then all samples as they are stored."""
    for inputs, targets in split.batches(_PIECE, limit=_PIECE):
        yield from _arrays(inputs, targets)
    for part in split.labels(split.label_batch(_LABELS)) if labels else ():
        yield from _arrays(part)
    for piece in split.pieces(_PIECE) if whole else ():
        yield from _arrays(piece.x, piece.y)


def _arrays(*values: Any) -> Iterator[np.ndarray]:
    import numpy as np

    for each in values:
        named = each if isinstance(each, Mapping) else {"": each}
        yield from (np.asarray(part) for _, part in sorted(named.items()) if part is not None)


@dataclass(frozen=True)
class Finished:
    """A model that a part of a run has finished, and what there is to say of it.

    Attributes:
        model: the model.
        facts: plain values about it.
        warnings: what the run warned of meanwhile.
    """

    model: Any
    facts: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


class Work:
    """A run's folder for what lets it go on after a kill; without a folder nothing is kept and nothing is found."""

    def __init__(self, folder: Path | None, loaded: Loaded, *, trust: bool = False) -> None:
        """Look into a folder.

        Args:
            folder: the run's hidden output folder (:func:`tfcompress.files.output_folder`); None: nothing is kept.
            loaded: the run's model; classes of its layers may occur in what was kept.
            trust: run code that a kept model holds, as the user allowed for the model itself.
        """
        self._folder = None if folder is None else folder / files.WORK
        self._loaded, self._trust = loaded, trust

    def begin(self, title: str, *settings: Any) -> None:
        """Say what is about to be looked for, or made, under a title.

        Args:
            title: of the part.
            settings: all that it depends on beside the model, the data and the parts that were begun before it; a run's
                own folder needs no such thing, since it serves that run only.
        """

    def place(self, title: str) -> Path | None:
        """Return the folder of a part; None: nothing is kept."""
        return None if self._folder is None else self._folder / _named(title)

    def epochs(self, title: str) -> Path | None:
        """Return the folder for the state after each epoch of a training; None: it is not kept."""
        place = self.place(title)
        return None if place is None else place.with_name(f"{place.name}{_EPOCHS}")

    def finished(self, title: str) -> Finished | None:
        """Return what a killed run had finished under this title; None: it had not, or it cannot be read again."""
        folder = self.place(title)
        if folder is None or not (folder / _FACTS).is_file():
            return None
        try:
            stored = cast("dict[str, Any]", plain.parse_json(plain.read_text(folder / _FACTS, _FACTS_BYTES)))
            path = folder / stored["file"]
            if files.sha256(path) != stored["sha256"]:
                return None
            return Finished(self._read(path), stored["facts"], tuple(stored["warnings"]))
        except (OSError, ValueError, KeyError, TfcompressError):
            return None  # done again, which takes longer and gives the same

    def _read(self, path: Path) -> Any:
        from tfcompress.models.file_reading import read_file
        from tfcompress.models.probing import probe

        return read_file(path, probe(path), _own_classes(self._loaded), trust=self._trust)

    def keep(self, title: str, made: Finished) -> None:
        """Keep a finished model; it is there whole or not at all.

        A model that its Keras cannot save is not kept: what made it would be done again.

        Raises:
            OutputError: the disk is full, or cannot be written.
        """
        target = self.place(title)
        if target is None:
            return
        from tfcompress.models.saving import save

        partial = target.with_name(f"{target.name}.partial")
        for stale in (target, partial):
            shutil.rmtree(stale, ignore_errors=True)
        with files.output_errors(partial):
            partial.mkdir(parents=True)
        try:
            path = save(made.model, partial, "model")
        except (NotImplementedError, TypeError, ValueError):
            shutil.rmtree(partial, ignore_errors=True)
            return
        stored = {"file": path.name, "sha256": files.sha256(path), "facts": made.facts, "warnings": made.warnings}
        files.write_atomic(partial / _FACTS, json.dumps(stored))
        with files.output_errors(target):
            partial.rename(target)
        shutil.rmtree(target.with_name(f"{target.name}{_EPOCHS}"), ignore_errors=True)


def _named(title: str) -> str:
    return title.replace(" ", "-").replace(",", "")


def _own_classes(loaded: Loaded) -> dict[str, Any]:
    """Return the classes of a model's layers that are not Keras's own, by name: a kept model may hold them."""
    return {} if keras_of(loaded.native) == "savedmodel" or loaded.refusal else own_classes(loaded.native)
