"""The same recipes over several models and data sets: how general what they bring is.

Every cell is a run of its own with a folder of its own. One that fails is reported, and the others go on; one that an
earlier run of the same matrix has made of the same model, data, recipe and versions is not made again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress import files
from tfcompress._version import __version__
from tfcompress.errors import OutputError, TfcompressError, UsageError
from tfcompress.progress import SILENT, Progress
from tfcompress.reports.matrix_record import MatrixCell, MatrixRecord, cell_of, matrix_from_json, summaries_of
from tfcompress.reports.report import read_report

if TYPE_CHECKING:
    from tfcompress.data.dataset import Dataset
    from tfcompress.recipe import Recipe
    from tfcompress.workbench import Workbench

RECORD = "matrix.json"
"""The record's file, in the matrix's folder."""
_KEY = "cell.json"
"""File in a cell's folder that says what it was made of."""
OpenData = Callable[[str], "Dataset"]


@dataclass(frozen=True)
class MatrixPair:
    """A model and its data.

    Attributes:
        model: path of the model.
        data: what :func:`tfcompress.load_data` takes; empty: none.
    """

    model: str
    data: str = ""


def read_pair(text: str) -> MatrixPair:
    """Read ``MODEL:DATA``, or ``MODEL`` alone for recipes that need no data.

    Either side may hold colons: the first one counts before which a file or folder is named that is there.

    Raises:
        UsageError: no such model.
    """
    if Path(text).exists():
        return MatrixPair(text)
    for place in (match.start() for match in re.finditer(":", text)):
        if text[:place] and Path(text[:place]).exists():
            if not text[place + 1 :]:
                break
            return MatrixPair(text[:place], text[place + 1 :])
    msg = f"--on must be MODEL:DATA, with a model that is there, got {text!r}"
    raise UsageError(msg)


def folders_of(pairs: Sequence[MatrixPair]) -> list[str]:
    """Return a folder's name for each pair, after the names of model and data; no two are the same."""
    found: list[str] = []
    for pair in pairs:
        parts = (Path(part).stem if part else "" for part in (pair.model, pair.data.rpartition(":")[2]))
        name = "-".join(filter(None, (re.sub(r"[^\w.]+", "_", part).strip("._") for part in parts))) or "model"
        number = sum(1 for other in found if other == name or re.fullmatch(rf"{re.escape(name)}-\d+", other))
        found.append(f"{name}-{number + 1}" if number else name)
    return found


@dataclass(frozen=True, kw_only=True)
class MatrixRun:
    """What a matrix is made of.

    Attributes:
        recipes: what is done to each pair, by different names.
        pairs: models with their data.
        folder: where cells and record are written.
        open_data: opens the data of a pair.
        loading: how models are loaded, see :class:`tfcompress.workbench.Workbench`.
        force: make every cell again.
        progress: where progress goes.
        log: file for TensorFlow's words.
    """

    recipes: Sequence[Recipe]
    pairs: Sequence[MatrixPair]
    folder: Path
    open_data: OpenData
    loading: Mapping[str, Any]
    force: bool = False
    progress: Progress = SILENT
    log: Path | None = None

    def check(self) -> None:
        """Refuse what is known to be wrong before any work.

        Raises:
            UsageError: recipes or pairs that are given twice.
            OutputError: the folder holds something else than a matrix.
        """
        pairs = [f"{pair.model}:{pair.data}" if pair.data else pair.model for pair in self.pairs]
        for what, names in (("recipe", [each.name for each in self.recipes]), ("--on", pairs)):
            twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
            if twice is not None:
                msg = f"{what} must be given once each, got {twice!r} twice"
                raise UsageError(msg)
        record = self.folder / RECORD
        if record.is_file():
            matrix_from_json(record.read_text("utf-8"), str(record))
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            msg = f"{self.folder} exists already and is no matrix; choose another place with -o"
            raise OutputError(msg)

    def record(self) -> MatrixRecord:
        """Make every cell, and return what came of them; the record is written after each."""
        self.check()
        with files.output_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        cells: list[MatrixCell] = []
        self._write(cells)
        with self.progress.task("matrix", len(self.pairs) * len(self.recipes)) as task:
            for pair, name in zip(self.pairs, folders_of(self.pairs), strict=True):
                for cell in self._cells(pair, name):
                    cells.append(cell)
                    self._write(cells)
                    task.advance()
        return self._write(cells)

    def _write(self, cells: Sequence[MatrixCell]) -> MatrixRecord:
        record = MatrixRecord(tool_version=__version__, cells=tuple(cells), summaries=summaries_of(cells))
        files.write_atomic(self.folder / RECORD, record.to_json())
        return record

    def _cells(self, pair: MatrixPair, name: str) -> Iterator[MatrixCell]:
        """Make the cells of one pair on one workbench; where there is none, all of them fail for that reason."""
        from tfcompress.workbench import Workbench

        waiting = list(self.recipes)
        try:
            data = self.open_data(pair.data) if pair.data else None
            with Workbench(pair.model, data, **self.loading, progress=self.progress, log=self.log) as bench:
                while waiting:
                    recipe = waiting.pop(0)
                    yield self._cell(bench, pair, recipe, f"{name}/{recipe.name}")
        except TfcompressError as error:
            for recipe in waiting:
                yield self._failed(error, pair, recipe, f"{name}/{recipe.name}")

    def _cell(self, bench: Workbench, pair: MatrixPair, recipe: Recipe, folder: str) -> MatrixCell:
        from tfcompress.search.ladder import climb

        target = self.folder / folder
        try:
            key = _cell_key(bench, recipe)
            kept = not self.force and _made_of(target) == key
            if not kept:
                climb(bench, recipe, output=target, force=True)
                files.write_atomic(target / _KEY, json.dumps({"key": key}) + "\n")
            return cell_of(read_report(target), model=pair.model, data=pair.data, folder=folder, kept=kept)
        except Exception as error:  # noqa: BLE001  the boundary of a cell: a bug in one costs the others nothing
            return self._failed(error, pair, recipe, folder)

    def _failed(self, error: Exception, pair: MatrixPair, recipe: Recipe, folder: str) -> MatrixCell:
        known = isinstance(error, TfcompressError)
        text = str(error) if known else f"a bug in tfcompress, sorry: {type(error).__name__} {error}"
        self.progress.note(f"{recipe.name} on {pair.model}: {text}")
        code = error.exit_code if isinstance(error, TfcompressError) else TfcompressError.exit_code
        return MatrixCell(
            recipe=recipe.name, model=pair.model, data=pair.data, folder=folder, error=text, exit_code=code
        )


def _cell_key(bench: Workbench, recipe: Recipe) -> str:
    """Return a hash of everything that a cell is made of."""
    from tfcompress.resumption import hash_of, run_key

    return hash_of([run_key(bench.loaded, bench.data(recipe.train), recipe), recipe.to_dict()])


def _made_of(folder: Path) -> str | None:
    """Return the key of a cell that an earlier run has finished; None: there is none."""
    try:
        found = json.loads((folder / _KEY).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    key = found.get("key") if isinstance(found, dict) else None
    return key if isinstance(key, str) and (folder / "report.json").is_file() else None
