"""A matrix of recipes over models and data: what is kept, what fails, and that the rest goes on."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from tests.reports.test_printing import a_report
from tfcompress.errors import DataError, OutputError, TfcompressError, UnsupportedError, UsageError
from tfcompress.recipe import load_recipe
from tfcompress.reports.matrix_record import MatrixRecord, matrix_from_json
from tfcompress.search.generality import RECORD, MatrixPair, MatrixRun, folders_of, read_pair

MADE: list[tuple[str, str]] = []


class Bench(contextlib.nullcontext[Any]):
    """Stands in for the workbench."""

    def __init__(self, model: str, data: Any, **_: Any) -> None:
        super().__init__(self)
        self.model, self.loaded = model, f"{model} loaded"
        if "broken" in model:
            msg = "no model"
            raise UnsupportedError(msg)

    def data(self, _: Any) -> str:
        return "bound"


def climb(bench: Bench, recipe: Any, *, output: Path, force: bool) -> None:
    MADE.append((bench.model, recipe.name))
    assert force
    if recipe.name == "dynamic" and bench.model == "odd.h5":
        msg = "dynamic refuses it"
        raise UnsupportedError(msg)
    if recipe.name == "float16" and bench.model == "odd.h5":
        msg = "oh"
        raise ZeroDivisionError(msg)
    if recipe.name == "float32" and bench.model == "stopped.h5":
        raise KeyboardInterrupt
    output.mkdir(parents=True, exist_ok=True)
    a_report(recipe_name=recipe.name).save(output / "report.json")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tfcompress.workbench.Workbench", Bench)
    monkeypatch.setattr("tfcompress.search.ladder.climb", climb)
    monkeypatch.setattr("tfcompress.resumption.run_key", lambda loaded, data, _: f"{loaded} {data}")
    MADE.clear()
    return tmp_path


def opened(spec: str) -> Any:
    if spec == "gone.npz":
        msg = "no such data"
        raise DataError(msg)
    return spec


def matrix(*pairs: tuple[str, str], recipes: tuple[str, ...] = ("float32", "float16"), **more: Any) -> MatrixRecord:
    run = MatrixRun(
        recipes=[load_recipe(name) for name in recipes],
        pairs=[MatrixPair(*pair) for pair in pairs],
        folder=Path("out"),
        open_data=opened,
        loading={},
        **more,
    )
    return run.record()


def test_every_recipe_runs_on_every_pair_into_a_folder_of_its_own(here: Path) -> None:
    found = matrix(("a.h5", "x.npz"), ("b.h5", "x.npz"))
    assert [(model, recipe) for model in ("a.h5", "b.h5") for recipe in ("float32", "float16")] == MADE
    assert [cell.folder for cell in found.cells] == ["a-x/float32", "a-x/float16", "b-x/float32", "b-x/float16"]
    assert all((here / "out" / cell.folder / "report.json").is_file() for cell in found.cells)
    assert matrix_from_json((here / "out" / RECORD).read_text(), RECORD) == found
    assert found.failed == ()
    assert {each.cells for each in found.summaries} == {2}


def test_what_is_there_is_kept_and_only_what_is_new_is_made(here: Path) -> None:
    matrix(("a.h5", "x.npz"))
    MADE.clear()
    found = matrix(("a.h5", "x.npz"), ("b.h5", "x.npz"))
    assert MADE == [("b.h5", "float32"), ("b.h5", "float16")]
    assert [cell.kept for cell in found.cells] == [True, True, False, False]
    MADE.clear()
    matrix(("a.h5", "x.npz"), force=True)
    assert len(MADE) == 2


def test_other_bytes_of_a_model_make_its_cells_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix(("a.h5", "x.npz"))
    monkeypatch.setattr("tfcompress.resumption.run_key", lambda *_: "other")
    MADE.clear()
    assert [cell.kept for cell in matrix(("a.h5", "x.npz")).cells] == [False, False]


def test_a_cell_that_fails_is_told_and_the_rest_goes_on(here: Path) -> None:
    found = matrix(("odd.h5", "x.npz"), ("a.h5", "x.npz"), recipes=("dynamic", "float16", "float32"))
    assert [(cell.recipe, cell.error, cell.exit_code) for cell in found.failed] == [
        ("dynamic", "dynamic refuses it", UnsupportedError.exit_code),
        ("float16", "a bug in tfcompress, sorry: ZeroDivisionError oh", TfcompressError.exit_code),
    ]
    assert [cell.error for cell in found.cells[2:]] == [""] * 4
    assert matrix_from_json((here / "out" / RECORD).read_text(), RECORD) == found


@pytest.mark.parametrize(
    ("pair", "error"), [(("broken.h5", "x.npz"), "no model"), (("a.h5", "gone.npz"), "no such data")]
)
def test_a_pair_that_cannot_be_opened_fails_in_all_its_cells(here: Path, pair: tuple[str, str], error: str) -> None:
    found = matrix(pair, ("b.h5", "x.npz"))
    assert [cell.error for cell in found.cells] == [error, error, "", ""]


def test_one_that_failed_is_tried_again(here: Path) -> None:
    matrix(("odd.h5", ""), recipes=("dynamic",))
    MADE.clear()
    assert matrix(("odd.h5", ""), recipes=("dynamic",)).failed
    assert MADE == [("odd.h5", "dynamic")]


def test_a_matrix_that_is_stopped_has_told_what_it_made(here: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        matrix(("a.h5", ""), ("stopped.h5", ""), recipes=("float16", "float32"))
    told = matrix_from_json((here / "out" / RECORD).read_text(), RECORD)
    assert [cell.model for cell in told.cells] == ["a.h5", "a.h5", "stopped.h5"]


def test_a_folder_that_is_no_matrix_stays_as_it_is(here: Path) -> None:
    (here / "out").mkdir()
    (here / "out" / "mine").touch()
    with pytest.raises(OutputError, match="out exists already and is no matrix; choose another place with -o"):
        matrix(("a.h5", ""))
    (here / "out" / RECORD).write_text("{}")
    with pytest.raises(UsageError, match="is not the record of a matrix"):
        matrix(("a.h5", ""))
    assert MADE == []


def test_recipes_and_pairs_are_given_once(here: Path) -> None:
    with pytest.raises(UsageError, match="recipe must be given once each, got 'float16' twice"):
        matrix(("a.h5", ""), recipes=("float16", "float32", "float16"))
    with pytest.raises(UsageError, match=r"--on must be given once each, got 'a\.h5:x' twice"):
        matrix(("a.h5", "x"), ("a.h5", "x"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("net.h5:data.npz", ("net.h5", "data.npz")),
        ("net.h5", ("net.h5", "")),
        ("net.h5:mine:function", ("net.h5", "mine:function")),
        ("a:b.h5:data.npz", ("a:b.h5", "data.npz")),
    ],
)
def test_a_pair_is_a_model_that_is_there_and_its_data(here: Path, text: str, expected: tuple[str, str]) -> None:
    for name in ("net.h5", "a:b.h5"):
        (here / name).touch()
    assert read_pair(text) == MatrixPair(*expected)


@pytest.mark.parametrize("text", ["gone.h5:data.npz", "gone.h5", ":data.npz", "net.h5:"])
def test_a_pair_without_a_model_is_refused(here: Path, text: str) -> None:
    (here / "net.h5").touch()
    with pytest.raises(UsageError, match="--on must be MODEL:DATA, with a model that is there, got"):
        read_pair(text)


def test_folders_are_called_after_both_sides_and_no_two_alike() -> None:
    given = (("a/net.h5", "x.npz"), ("b/net.h5", "x.npz"), ("net.h5", ""), ("c.h5", "my mod:fn"))
    pairs = [MatrixPair(*pair) for pair in given]
    assert folders_of(pairs) == ["net-x", "net-x-2", "net", "c-fn"]
    assert folders_of([MatrixPair("/", "")]) == ["model"]
