"""``auto`` from end to end, on a network of a moment; what costs no model is tested in its own modules."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import tfcompress as tfc
from tfcompress.errors import DataError, DeviceError, OutputError, PromiseError, UsageError
from tfcompress.recipe import load_recipe
from tfcompress.search.automatic import FACTS_FILE, STUDY, interrupted_search, opening_of, take_over
from tfcompress.search.estimate import estimate_lines, estimated
from tfcompress.search.goals import Limits
from tfcompress.search.preparation import prepared_search
from tfcompress.search.trial import Opening, TrialBench
from tfcompress.search.wishes import Wishes

TRAIN = tfc.Train(epochs=1, batch_size=128)
FIXED = ("train.learning_rate",)


def samples(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return x, (x[:, :4].sum(axis=1) > 0).astype(np.int64)


@pytest.fixture(scope="module")
def problem(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write a network that answers nearly always right, and its data; return their paths."""
    folder = tmp_path_factory.mktemp("problem")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((8,), name="x"), keras.layers.Dense(48, "relu"), keras.layers.Dense(2, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    (x, y), (x_test, y_test) = samples(1000, 0), samples(800, 1)
    model.fit(x, y, epochs=25, batch_size=32, verbose=0)
    model.save(folder / "model.keras")
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return folder / "model.keras", folder / "data.npz"


@pytest.fixture(scope="module")
def found(problem: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[tfc.AutoResult, Path]:
    """Search in this process, since the data is opened already."""
    folder = tmp_path_factory.mktemp("found")
    result = tfc.auto(
        str(problem[0]),
        tfc.load_data(problem[1]),
        max_drop=2.0,
        trials=7,
        train=TRAIN,
        fixed=FIXED,
        output=folder / "out",
        cache=folder / "cache",
        progress=False,
    )
    return result, folder


@pytest.mark.slow
class TestSearch:
    def test_the_best_keeps_the_limit_by_its_interval_and_is_an_ordinary_export(
        self, found: tuple[tfc.AutoResult, Path]
    ) -> None:
        result, folder = found
        best = result.facts.best
        assert best is not None
        assert best.drop_high is not None
        assert best.drop_high <= 2.0
        report = json.loads((folder / "out" / "best" / "report.json").read_text("utf-8"))
        assert report["result"]["sha256"] == result.best.tflite.sha256
        assert report["result"]["score"]["samples"] == 800
        others = [each.figures["size"] for each in result.facts.finals if not each.misses]
        assert best.figures["size"] == min(others)

    def test_the_folder_holds_the_front_the_page_and_a_study_that_optuna_opens(
        self, found: tuple[tfc.AutoResult, Path]
    ) -> None:
        folder = found[1] / "out"
        facts = json.loads((folder / "front.json").read_text("utf-8"))
        assert all((folder / each["folder"] / "recipe.toml").is_file() for each in facts["finals"])
        page = (folder / "report.html").read_text("utf-8")
        assert "<svg" in page
        assert "http" not in page.replace("http://www.w3.org", "")
        (name,) = optuna.get_all_study_names(f"sqlite:///{folder / 'study.db'}")
        study = optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'study.db'}")
        assert study.metric_names == ["drop", "size"]
        found = {each.name for each in folder.iterdir() if not each.name.startswith("study.db-")}
        assert found == {"best", "front", "front.json", "report.html", "study.db"}

    def test_the_winner_is_made_again_by_its_recipe_without_a_search(
        self, found: tuple[tfc.AutoResult, Path], problem: tuple[Path, Path]
    ) -> None:
        result, folder = found
        again = tfc.compress(str(problem[0]), folder / "out" / "best" / "recipe.toml", str(problem[1]), progress=False)
        assert again.tflite.size_bytes == result.best.tflite.size_bytes
        assert again.report.result.score == result.best.report.result.score

    def test_no_part_is_made_twice_so_that_the_finals_train_nothing(self, found: tuple[tfc.AutoResult, Path]) -> None:
        result, folder = found
        made = (folder / "cache" / "made.jsonl").read_text("utf-8").splitlines()
        keys = [json.loads(line)["key"] for line in made]
        assert len(keys) == len(set(keys))
        trained = [each for each in result.facts.tried if each.trained_seconds]
        assert trained
        recipe = load_recipe(folder / "out" / result.facts.finals[0].folder / "recipe.toml")
        assert recipe.train.validation == 0.15

    def test_what_exists_is_not_replaced_and_a_finished_search_is_no_interrupted_one(
        self, found: tuple[tfc.AutoResult, Path], problem: tuple[Path, Path]
    ) -> None:
        out = found[1] / "out"
        assert interrupted_search(out) == ""
        with pytest.raises(OutputError, match="exists already"):
            tfc.auto(str(problem[0]), str(problem[1]), trials=1, output=out, progress=False)

    def test_limits_that_nothing_keeps_end_in_an_error_with_the_nearest_misses(
        self, problem: tuple[Path, Path], tmp_path: Path
    ) -> None:
        with pytest.raises(PromiseError, match=r"keeps every limit; what stops them: --max-size; near: .*allowed are"):
            tfc.auto(
                str(problem[0]),
                tfc.load_data(problem[1]),
                max_size=100,
                trials=2,
                train=TRAIN,
                output=tmp_path / "out",
                cache=tmp_path / "cache",
                progress=False,
            )
        assert json.loads((tmp_path / "out" / "front.json").read_text("utf-8"))["winner"] is None
        assert not (tmp_path / "out" / "best").exists()

    def test_ctrl_c_before_anything_is_finished_is_no_limit_that_nothing_keeps(
        self, problem: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(TrialBench, "run", interrupted)
        data = tfc.load_data(problem[1])
        with pytest.raises(KeyboardInterrupt):
            tfc.auto(str(problem[0]), data, trials=2, train=TRAIN, output=tmp_path / "out", progress=False)
        assert not (tmp_path / "out").exists()
        assert (tmp_path / ".out.partial" / STUDY).is_file()

    def test_a_dry_run_says_what_would_be_tried_and_for_how_long(self, problem: tuple[Path, Path]) -> None:
        opening = Opening(model=str(problem[0]), data={"spec": str(problem[1])}, loading={})
        wishes = Wishes(limits=Limits(drop=2.0), budget_seconds=3600.0, train=TRAIN)
        lines = "\n".join(estimate_lines(estimated(opening, wishes, tfc.progress.SILENT)))
        assert "prune.sparsity" in lines
        assert "a whole training" in lines
        assert "candidates that would be tried: " in lines

    def test_limits_that_the_test_split_cannot_prove_are_refused_before_any_work(
        self, problem: tuple[Path, Path]
    ) -> None:
        opening = Opening(model=str(problem[0]), data={"spec": str(problem[1])}, loading={})
        with (
            opening.workbench(judged_by="test", progress=False) as bench,
            pytest.raises((DataError, UsageError), match="--max-drop"),
        ):
            prepared_search(bench, Wishes(limits=Limits(drop=0.01), trials=1, train=dataclasses.replace(TRAIN)), None)


def test_a_device_that_nobody_reaches_is_told_before_the_model_is_opened() -> None:
    class Unopened:
        """A workbench of which nothing may be looked at yet."""

        progress = tfc.progress.SILENT

    wishes = Wishes(limits=Limits(p90=5.0), trials=1, device="ssh://pi@127.0.0.1:1")
    with pytest.raises(DeviceError, match=r"device pi@127\.0\.0\.1:1 cannot be reached: "):
        prepared_search(Unopened(), wishes, None)  # type: ignore[arg-type]


def test_workers_beside_each_other_need_paths() -> None:
    with pytest.raises(UsageError, match="jobs must be 1 for a model or data in memory, got 2"):
        tfc.auto(object(), samples(10, 0), trials=2, jobs=2)


@pytest.mark.parametrize("data", [{"x_train": [[0.0]], "y_train": [0]}, samples(4, 0)])
def test_arrays_are_opened_in_this_process_as_they_are(data: Any) -> None:
    opening = opening_of("model.keras", data, {}, Wishes(limits=Limits(), trials=1))
    assert not opening.portable
    assert opening.workbench().dataset is not None
    assert opening_of("model.keras", "data.npz", {}, Wishes(limits=Limits(), trials=1)).portable


def test_a_study_is_taken_over_with_what_stands_in_its_log(tmp_path: Path) -> None:
    out, folder = tmp_path / "out", tmp_path / "next"
    out.mkdir()
    (out / FACTS_FILE).write_text('{"interrupted": true, "key": "abc"}')
    with contextlib.closing(sqlite3.connect(out / STUDY)) as study:
        study.execute("PRAGMA journal_mode=WAL")
        study.execute("CREATE TABLE trials (number)")
        study.execute("INSERT INTO trials VALUES (7)")
        study.commit()
        for key, rows in (("other", None), ("abc", [(7,)])):
            folder.mkdir(exist_ok=True)
            take_over(out, folder, key)
            assert (folder / STUDY).exists() == (rows is not None)
    with contextlib.closing(sqlite3.connect(folder / STUDY)) as study:
        assert study.execute("SELECT number FROM trials").fetchall() == [(7,)]


def test_a_folder_of_an_interrupted_search_is_known_by_its_key(tmp_path: Path) -> None:
    assert interrupted_search(tmp_path) == ""
    for text, key in (
        ('{"interrupted": true, "key": "abc"}', "abc"),
        ('{"interrupted": false, "key": "abc"}', ""),
        ("[]", ""),
        ('{"interr', ""),
    ):
        (tmp_path / FACTS_FILE).write_text(text)
        assert interrupted_search(tmp_path) == key
