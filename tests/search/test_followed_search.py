"""A search as trackers are told of it: a run for each candidate, with what its steps gave and how it ended."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.search.toy_search import ToyExecutor, toy_search
from tests.tracking.recorder import Recorder
from tfcompress.search.driver import Search
from tfcompress.search.followed_search import FollowedSearch
from tfcompress.tracking.following import Following
from tfcompress.tracking.tracker import TrackedStart

TRIALS = 12


class Watcher(contextlib.nullcontext["Watcher"]):
    def __init__(self) -> None:
        super().__init__(self)
        self.shown, self.notes = 0, list[str]()

    def show(self, search: Search) -> None:
        self.shown += 1

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_every_candidate_is_a_run_that_ends_as_the_candidate_does(tmp_path: Path) -> None:
    recorder, inner = Recorder(), Watcher()
    with Following([recorder], pytest.fail).run(TrackedStart(name="net-auto")) as followed:
        with FollowedSearch(inner, followed) as watcher:
            watcher.note("a line")
            search = toy_search(tmp_path, ToyExecutor(), trials=TRIALS, watcher=watcher)
            search.run()
            watcher.show(search)
        assert inner.notes == ["a line"]
        assert inner.shown > 1
    (run,) = recorder.runs
    assert len(run.children) == TRIALS
    states = {"finished": "finished", "stopped": "interrupted", "refused": "failed"}
    for record, child in zip(search.records, run.children, strict=True):
        assert child.start.name == f"{record.number:03d}-{record.candidate.recipe.name}"
        assert child.start.parent == "net-auto"
        assert [end.outcome for end in child.ends] == [states[record.state]]
        assert child.ends[0].reason == record.reason
        assert len(child.rows) == len(record.steps)
        assert child.rows[max(child.rows)]["candidate/size_bytes"] == record.figures["size"]
    assert max(run.rows) == TRIALS
    assert run.rows[TRIALS]["search/front"] == len(search.front)


def test_what_the_end_of_a_search_cuts_off_is_interrupted(tmp_path: Path) -> None:
    recorder = Recorder()
    following = Following([recorder], pytest.fail)
    with following.run(TrackedStart(name="net-auto")) as followed, FollowedSearch(Watcher(), followed) as watcher:
        search = toy_search(tmp_path, ToyExecutor(), trials=2, watcher=watcher)
        search.run()
        search.records[0].state = "running"
        recorder.runs[0].children.clear()
        with FollowedSearch(Watcher(), followed) as again:
            again.show(search)
    cut = recorder.runs[0].children[0].ends[0]
    assert (cut.outcome, cut.reason) == ("interrupted", "the search ended before it")
