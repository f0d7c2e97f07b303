"""``auto`` from end to end, on a network of a moment; what costs no model is tested in its own modules."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import tfcompress as tfc
from tfcompress.errors import DataError, DeviceError, OutputError, PromiseError, UsageError
from tfcompress.recipe import load_recipe
from tfcompress.reports.report import read_report
from tfcompress.search.automatic import FACTS_FILE, STUDY, call_again, interrupted_search, opening_of, take_over
from tfcompress.search.estimate import estimate_lines, estimated
from tfcompress.search.executors import Clock, InProcessExecutor
from tfcompress.search.goals import Limits
from tfcompress.search.preparation import prepared_search, settled_wishes
from tfcompress.search.space import Candidate
from tfcompress.search.trial import Opening, TrialBench, TrialStep
from tfcompress.search.wishes import Wishes

TRAIN = tfc.Train(epochs=1, batch_size=128)
FIXED = ("train.learning_rate",)
ARENA = "2000"
"""Bytes of arena that float files of the network below run in, and int8 ones, which quantize what goes in, do not."""


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
        places = [found[0].best.folder, *(each.folder for each in found[0].front)]
        assert places == [folder / "best", *(folder / each["folder"] for each in facts["finals"])]
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

    def test_a_target_and_its_limit_are_kept_by_the_best_and_by_every_file_of_the_front(
        self, problem: tuple[Path, Path], tmp_path: Path
    ) -> None:
        pytest.importorskip("tflite_micro", reason="tflite-micro is not installed: pip install 'tfcompress[mcu]'")
        result = tfc.auto(
            str(problem[0]),
            tfc.load_data(problem[1]),
            max_drop=3.0,
            trials=5,
            train=TRAIN,
            fixed=FIXED,
            export=tfc.Export(target="tflm", max_arena=ARENA),
            output=tmp_path / "out",
            cache=tmp_path / "cache",
            progress=False,
        )
        assert [goal.name for goal in result.facts.goals] == ["drop", "size", "arena"]
        tried = {each.name: each.figures["arena"] for each in result.facts.tried if "arena" in each.figures}
        assert max(tried.values()) > float(ARENA) >= min(tried.values())
        folders = [tmp_path / "out" / "best", *(tmp_path / "out" / "front").iterdir()]
        for folder in folders:
            recipe, report = load_recipe(folder / "recipe.toml"), read_report(folder)
            assert (recipe.export.target, recipe.export.max_arena) == ("tflm", ARENA)
            micro = report.result.verification["micro"]
            assert micro["target"] == "tflm"
            assert micro["least_arena_bytes"] <= micro["most_arena_bytes"] == float(ARENA)
        figures = {each.folder: each.figures["arena"] for each in result.facts.finals}
        assert figures.keys() == {f"front/{folder.name}" for folder in folders[1:]}

    def test_a_limit_of_a_chip_that_nothing_keeps_is_named_with_the_nearest_misses(
        self, problem: tuple[Path, Path], tmp_path: Path
    ) -> None:
        pytest.importorskip("tflite_micro", reason="tflite-micro is not installed: pip install 'tfcompress[mcu]'")
        line = r"what stops them: --max-arena; near: int8, arena 2,\d\d\d B, allowed are 500 B"
        with pytest.raises(PromiseError, match=line):
            tfc.auto(
                str(problem[0]),
                tfc.load_data(problem[1]),
                trials=4,
                train=TRAIN,
                export=tfc.Export(target="tflm", quantize="int8", max_arena="500"),
                fixed=(*FIXED, "export.quantize"),
                output=tmp_path / "out",
                cache=tmp_path / "cache",
                progress=False,
            )
        facts = json.loads((tmp_path / "out" / "front.json").read_text("utf-8"))
        untrained = {"int8", "int8-weights4"}
        trained = [each for each in facts["tried"] if each["name"] not in untrained]
        assert trained
        assert len(facts["tried"]) == len(trained) + len(untrained)
        assert all(
            re.match(r"untrained: arena: arena \d,\d\d\d B, allowed are 500 B$", each["reason"]) for each in trained
        )
        assert {each["trained_seconds"] for each in trained} == {0.0}
        (misses,) = (each for each in facts["finals"])
        page = (tmp_path / "out" / misses["folder"] / "report.html").read_text("utf-8")
        assert "above the limit of 500 B" in page

    def test_what_the_network_has_nothing_for_is_not_tried_and_that_is_said(self, problem: tuple[Path, Path]) -> None:
        opening = Opening(model=str(problem[0]), data={"spec": str(problem[1])}, loading={})
        with opening.workbench(judged_by="test", progress=False) as bench:
            ready = prepared_search(bench, Wishes(limits=Limits(drop=2.0), trials=1, train=TRAIN), None)
        kinds = {each.name.partition(".")[0] for each in ready.space.dimensions}
        assert "blocks" not in kinds
        assert {"channels", "prune"} <= kinds
        told = [note.partition(" of ")[0] for note in ready.notes if "is not tried" in note]
        assert told == ["blocks is not tried: blocks finds nothing that can be left out"]
        values = {each.name: each.values for each in ready.space.dimensions}
        assert values["low_rank.target"] == (0.75,), "a layer of so few units cannot lose more"

    def test_a_step_whose_time_is_up_ends_in_the_middle_and_the_bench_is_good_for_the_next(
        self, problem: tuple[Path, Path]
    ) -> None:
        clock, opening = Clock(), Opening(model=str(problem[0]), data=tfc.load_data(problem[1]))
        train = dataclasses.replace(TRAIN, epochs=10_000, validation=0.15)
        step = TrialStep(candidate=Candidate(tfc.Recipe(stages=(tfc.Prune(),), train=train)), kind="full")
        short = TrialStep(candidate=Candidate(tfc.Recipe(train=train)), kind="full")
        with TrialBench(opening, progress=clock) as bench:
            executor = InProcessExecutor(bench, clock)
            executor.submit(0, step)
            end = time.monotonic() + 10.0
            assert executor.wait(0.1, lambda: time.monotonic() < end) == ()
            assert time.monotonic() - end < 10.0
            executor.submit(1, short)
            (done,) = executor.wait(0.1)
        assert done.result is not None
        assert done.result.points == pytest.approx(0.0)

    def test_how_well_a_file_agrees_is_asked_of_the_whole_training_only(self, problem: tuple[Path, Path]) -> None:
        """What is not trained for its numbers yet may agree badly, and what is trained be the best file there is."""
        export = tfc.Export(quantize="int8", min_agreement_db=300.0)
        train = dataclasses.replace(TRAIN, validation=0.15)
        candidate = Candidate(tfc.Recipe(stages=(tfc.QAT(),), train=train, export=export))
        with TrialBench(Opening(model=str(problem[0]), data=tfc.load_data(problem[1]))) as bench:
            refusals = [
                bench.run(TrialStep(candidate=candidate, kind=kind)).refusal for kind in ("draft", "short", "full")
            ]
        assert refusals[:2] == ["", ""]
        assert "must agree with the Keras model by at least 300 dB" in refusals[2]

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


def test_the_call_without_a_search_reads_model_and_data_as_the_search_did(tmp_path: Path) -> None:
    reading = {"spec": "d.csv", "label": "y"}
    loading = {"trust": True, "custom": ("m:L",), "limits": None}
    told = call_again(Opening(model="m.keras", data=reading, loading=loading), Path("out"))
    assert told == (
        "tfcompress.compress('m.keras', 'out/best/recipe.toml', tfcompress.load_data('d.csv', label='y'), "
        "trust=True, custom=('m:L',))"
    )
    told = call_again(Opening(model="m.keras", data={"spec": "d.npz"}), Path("out"))
    assert told == "tfcompress.compress('m.keras', 'out/best/recipe.toml', 'd.npz')"
    told = call_again(Opening(model=object(), data=(1, 2)), None)
    assert told == "tfcompress.compress(model, tfcompress.recipe.from_dict(found.best.report.recipe), data)"


@pytest.mark.parametrize(
    ("more", "device", "limits", "note"),
    [
        ({}, None, Limits(drop=1.0), "no limit was given: --max-drop 1 is kept"),
        ({"energy": True}, "local", Limits(drop=1.0), "no --device: latency and energy are measured on this machine"),
        ({"limits": Limits(p90=5.0)}, "local", Limits(p90=5.0), "no --device: latency is measured on this machine"),
        ({"export": tfc.Export(target="tflm", max_arena="9KB")}, None, Limits(arena=9e3), ""),
        ({"export": tfc.Export(target="tflm", max_flash="8KB")}, None, Limits(flash=8e3), ""),
        ({"export": tfc.Export(target="esp32-s3")}, None, Limits(drop=1.0, arena=512.0 * 1024), "no limit was given"),
    ],
)
def test_what_is_left_open_is_settled_and_said(
    more: dict[str, Any], device: str | None, limits: Limits, note: str
) -> None:
    notes: list[str] = []
    wishes = Wishes(**{"limits": Limits(), "trials": 1, **more})
    settled, found = settled_wishes(wishes, notes)
    assert (settled.limits, settled.device, None if found is None else found.name) == (limits, device, device)
    assert any(line.startswith(note) for line in notes) == bool(note)
    assert bool(notes) == bool(note)


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
