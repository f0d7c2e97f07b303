"""What stages have made, kept by content: shared, whole, verified, and not too much of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfcompress.kept_stages import MADE, KeptStages, KeptWork
from tfcompress.resumption import Finished


@pytest.fixture(scope="module")
def loaded(keras: Any) -> Any:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2)])
    return SimpleNamespace(native=model, sha256="a" * 64, writer="keras3", refusal="")


def made(loaded: Any, kept: KeptStages, *parts: tuple[str, Any]) -> list[bool]:
    """Go through the parts of a run; return which had to be made."""
    found = []
    with kept.work(loaded, None) as work:
        for title, settings in parts:
            work.begin(title, settings)
            found.append(work.finished(title) is None)
            if found[-1]:
                work.keep(title, Finished(loaded.native, {"title": title}, ("told",)))
    return found


REWRITE, TRAIN, OTHER = ("channels 1", {"remove": 0.5}), ("training", {"epochs": 2}), ("training", {"epochs": 3})


def test_runs_that_begin_alike_share_what_they_have_in_common(loaded: Any, tmp_path: Path) -> None:
    kept = KeptStages(tmp_path / "kept")
    assert made(loaded, kept, REWRITE, TRAIN) == [True, True]
    assert made(loaded, kept, REWRITE, TRAIN) == [False, False]
    assert made(loaded, kept, REWRITE, OTHER) == [False, True]
    assert made(loaded, kept, TRAIN) == [True]  # of the model itself
    lines = [json.loads(line) for line in (kept.folder / MADE).read_text("utf-8").splitlines()]
    assert [line["title"] for line in lines] == ["channels 1", "training", "training", "training"]
    assert len({line["key"] for line in lines}) == 4


def test_another_model_shares_nothing(loaded: Any, tmp_path: Path) -> None:
    kept = KeptStages(tmp_path)
    other = SimpleNamespace(**{**vars(loaded), "sha256": "b" * 64})
    assert made(loaded, kept, TRAIN) == made(other, kept, TRAIN) == [True]


@pytest.mark.parametrize("damage", ["truncated model", "truncated facts", "no facts"])
def test_what_is_damaged_is_made_again(damage: str, loaded: Any, tmp_path: Path) -> None:
    kept = KeptStages(tmp_path)
    made(loaded, kept, TRAIN)
    (model,) = tmp_path.glob("*/model*")
    facts = next(tmp_path.glob("*/facts.json"))
    if damage == "no facts":
        facts.unlink()
    else:
        path = model if damage == "truncated model" else facts
        path.write_bytes(path.read_bytes()[:-20])
    assert made(loaded, kept, TRAIN) == [True]
    assert made(loaded, kept, TRAIN) == [False]


def test_what_was_used_longest_ago_goes_first(loaded: Any, tmp_path: Path) -> None:
    wide = KeptStages(tmp_path)
    made(loaded, wide, TRAIN)
    one = wide.size_bytes()
    kept = KeptStages(tmp_path, most_bytes=int(2.5 * one))
    made(loaded, kept, OTHER)
    made(loaded, kept, TRAIN)
    assert made(loaded, kept, REWRITE) == [True]
    assert kept.size_bytes() <= kept.most_bytes
    assert made(loaded, kept, TRAIN) == [False]
    assert made(loaded, kept, OTHER) == [True]


def test_a_smaller_size_holds_from_the_next_run_on_even_if_it_makes_nothing(loaded: Any, tmp_path: Path) -> None:
    wide = KeptStages(tmp_path)
    made(loaded, wide, OTHER)
    made(loaded, wide, TRAIN)
    kept = KeptStages(tmp_path, most_bytes=wide.size_bytes() - 1)
    with kept.work(loaded, None):
        assert kept.size_bytes() <= kept.most_bytes
    assert made(loaded, kept, TRAIN) == [False]


def test_two_runs_that_want_the_same_part_make_it_once(loaded: Any, tmp_path: Path) -> None:
    kept = KeptStages(tmp_path)
    first, waited = KeptWork(kept, loaded, None), []
    first.begin(*TRAIN)
    assert first.finished("training") is None
    second = threading.Thread(target=lambda: waited.extend(made(loaded, kept, TRAIN)))
    second.start()
    second.join(0.2)
    assert second.is_alive()
    first.keep("training", Finished(loaded.native, {}))
    second.join(20)
    assert waited == [False]


def test_a_run_that_fails_lets_the_next_one_try(loaded: Any, tmp_path: Path) -> None:
    kept = KeptStages(tmp_path)

    def fails() -> None:
        with kept.work(loaded, None) as work:
            work.begin(*TRAIN)
            assert work.finished("training") is None
            msg = "broken"
            raise ValueError(msg)

    with pytest.raises(ValueError, match="broken"):
        fails()
    assert made(loaded, kept, TRAIN) == [True]
