"""``auto``: from limits to the best file, in one call."""

from __future__ import annotations

import dataclasses
import functools
import sqlite3
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tfcompress import files, plain
from tfcompress.errors import PromiseError, UntrustedCodeError, UsageError
from tfcompress.progress import Progress, ToldOnce, effective
from tfcompress.recipe import Recipe
from tfcompress.search.conclusions import Circumstances, concluded, shortfall
from tfcompress.search.followed_search import FollowedSearch, start_of_search
from tfcompress.search.goals import Limits
from tfcompress.search.preparation import Prepared, prepared_search
from tfcompress.search.trial import Opening, TrialBench
from tfcompress.search.wishes import EXPORT, TRAINING, Wishes
from tfcompress.settings import Export
from tfcompress.tracking.following import NOBODY, FollowedRun, Following
from tfcompress.tracking.run_values import tell_end
from tfcompress.tracking.tracker_table import open_trackers
from tfcompress.train_settings import Train

if TYPE_CHECKING:
    from tfcompress.models.first_load import LoadLimits
    from tfcompress.reports.search_facts import SearchFacts
    from tfcompress.search.driver import Search, SearchPlan, Watcher
    from tfcompress.search.executors import Executor
    from tfcompress.search.finals import Finalist
    from tfcompress.tracking.tracker import Tracker
    from tfcompress.workbench import Result, Workbench

PART_SAMPLES = 1000
"""Validation samples that an untrained file is scored on."""

FACTS_FILE, PAGE, STUDY = "front.json", "report.html", "study.db"
"""Files of the output, beside its folders."""

_LOG = "workers.txt"
_HURRIED = 2  # finalists after Ctrl-C: the best, and one that loses least
_USUAL_SECONDS = 20.0  # of making a file, before one was made


class WatcherContext(Protocol):
    """Makes what a search is shown to."""

    def __call__(self) -> AbstractContextManager[Watcher]:
        """Return it; it is shown the search within the block."""


@dataclass(frozen=True)
class AutoResult:
    """What a search gave.

    Attributes:
        best: the best file that keeps every limit, as :func:`tfcompress.compress` would give it.
        front: all files that were judged on the test split, the best included.
        facts: everything that ``front.json`` holds.
        folder: where it was written; None: nowhere.
    """

    best: Result
    front: tuple[Result, ...] = field(repr=False)
    facts: SearchFacts = field(repr=False)
    folder: Path | None

    def __repr__(self) -> str:
        """Say in a line what won."""
        return f"AutoResult({self.best!r}, {len(self.front)} on the front)"

    def _repr_html_(self) -> str:
        """Return the front and what was judged on it, as notebooks show it."""
        from tfcompress.reports.search_page import to_search_cell

        return to_search_cell(self.facts)


def auto(
    model: Any,
    data: Any,
    *,
    max_drop: float | None = None,
    max_size: int | None = None,
    max_download: int | None = None,
    max_p90: float | None = None,
    max_energy: float | None = None,
    device: str | None = None,
    energy: bool = False,
    also: Sequence[str] = (),
    budget: float | None = None,
    trials: int | None = None,
    output: str | Path | None = None,
    force: bool = False,
    jobs: int = 1,
    engine: Literal["local", "ray"] = "local",
    address: str = "",
    architecture: bool = False,
    builder: str = "",
    storage: str = "",
    smaller: Literal["size", "download"] = "size",
    train: Train = TRAINING,
    export: Export = EXPORT,
    fixed: Sequence[str] = (),
    without: Sequence[str] = (),
    values: Mapping[str, Sequence[Any]] | None = None,
    cache: str | Path | None = None,
    trust: bool = False,
    custom: Sequence[str] = (),
    limits: LoadLimits | None = None,
    progress: Progress | bool | None = None,
    log: Path | None = None,
    trackers: Sequence[Tracker | str] = (),
) -> AutoResult:
    """Search recipes for the best file that keeps some limits.

    Candidates are trained on the training split and judged on the validation split (where the data has none, on a part
    of the training split that is kept apart); the test split decides among the last few and is not looked at before.
    Without any limit, a drop of one point is kept.

    Args:
        model: path of an .h5, .keras or SavedModel, or a model object of Keras 3 or tf_keras (which is left alone).
        data: what :func:`tfcompress.load_data` takes or gives. Workers beside each other need a model and data by path.
        max_drop: points that the file may lose on the test split, proven by the upper end of the drop's 95 % interval.
        max_size: bytes of the file.
        max_download: bytes of the file after gzip.
        max_p90: milliseconds that nine of ten inferences take at most.
        max_energy: joules of an inference above idle, where the device measures power.
        device: where latency is measured: ``local``, ``ssh://user@host``, a name of devices.toml.
        energy: make the energy of an inference there small, too.
        also: further arguments of edge_runner, which measures there.
        budget: seconds that everything may take, the last judging included.
        trials: candidates at most. A search ends by *budget*, by *trials*, or with its space.
        output: folder to write; None: nothing is written, and a search that is killed begins anew.
        force: replace an existing output folder.
        jobs: workers at most.
        engine: ``local``: workers are processes of this machine; ``ray``: they are those of a cluster.
        address: ``HOST:PORT`` of that cluster.
        architecture: try other widths, fewer blocks, smaller kernels and smaller pictures of the network, too.
        builder: ``module:function`` that takes ``hp`` as of KerasTuner and gives a network with the model's inputs and
            outputs: what it asks ``hp`` for is tried, too. It is code of yours, and needs *trust*.
        storage: URL of a database; empty: a SQLite file in the output.
        smaller: which bytes are made smaller.
        train: how candidates are trained, but for what is tried.
        export: how they are exported, likewise; its ``max_arena`` and ``max_flash`` are limits.
        fixed: ``train.FIELD`` and ``export.FIELD`` that are not tried.
        without: kinds of stages that are not tried.
        values: what is tried in place of the usual values, by name: ``{"channels.remove": (0.1, 0.25)}``; a stage that
            is in every candidate is ``{"channels": (True,)}``. ``tfcompress auto --dry-run`` prints the names.
        cache: folder in which stages keep what they made; None: the user's cache.
        trust: run code that the model file holds.
        custom: ``module:name`` of custom layers or functions that the file needs.
        limits: time and memory that loading the file may take; None: the default ones.
        progress: where progress goes; None: bars on a terminal and in a notebook; False: nowhere.
        log: file that libraries' words are appended to.
        trackers: who follows the search, with a run for each candidate; as of :func:`tfcompress.compress`.

    Raises:
        PromiseError: nothing that was tried keeps every limit; it says what comes nearest. *output* was written all
            the same, without a best file.
        KeyboardInterrupt: Ctrl-C before any candidate was run in full.
        TfcompressError: one of its classes.
    """
    wishes = Wishes(
        limits=Limits(drop=max_drop, size=max_size, download=max_download, p90=max_p90, energy=max_energy),
        smaller=smaller,
        device=device,
        energy=energy,
        also=tuple(also),
        budget_seconds=budget,
        trials=trials,
        jobs=jobs,
        engine=engine,
        address=address,
        architecture=architecture,
        builder=builder,
        storage=storage,
        train=train,
        export=export,
        fixed=tuple(fixed),
        without=tuple(without),
        values=dict(values or {}),
        kept=None if cache is None else Path(cache),
    )
    loading = {"trust": trust, "custom": tuple(custom), "limits": limits}
    opening = opening_of(model, data, loading, wishes)
    target, shown = None if output is None else Path(output), effective(progress)
    following = Following(open_trackers(trackers), shown.note)
    return searched(opening, wishes, output=target, force=force, progress=shown, log=log, following=following)


def opening_of(model: Any, data: Any, loading: Mapping[str, Any], wishes: Wishes) -> Opening:
    """Return what workers open.

    Args:
        model: path or object.
        data: path, the arguments of :func:`tfcompress.load_data` by name, or a data set.
        loading: how the model is loaded.
        wishes: say where stages keep what they made.

    Raises:
        UsageError: several workers for what only this process has.
        UntrustedCodeError: a builder without trust.
    """
    kept = wishes.kept or files.cache_folder("stages")
    opening = Opening(
        model=str(model) if isinstance(model, str | Path) else model,
        data={"spec": str(data)} if isinstance(data, str | Path) else data,
        loading=loading,
        kept=str(kept),
        kept_bytes=wishes.kept_bytes,
    )
    if wishes.builder and not loading.get("trust"):
        msg = f"--builder runs the function {wishes.builder!r}; give --trust if you know what it does"
        raise UntrustedCodeError(msg)
    if not opening.portable and (wishes.jobs > 1 or wishes.engine != "local"):
        what = f"jobs must be 1 for a model or data in memory, got {wishes.jobs}"
        what = what if wishes.engine == "local" else f"engine {wishes.engine!r} takes no model or data in memory"
        msg = f"{what}: give both by their paths"
        raise UsageError(msg)
    return opening


def searched(
    opening: Opening,
    wishes: Wishes,
    *,
    output: Path | None,
    force: bool = False,
    progress: Progress,
    log: Path | None = None,
    watcher: WatcherContext | None = None,
    following: Following = NOBODY,
) -> AutoResult:
    """Search; see :func:`auto`.

    Args:
        opening: the model and the data.
        wishes: what is asked for.
        output: folder to write; None: nothing is written.
        force: replace an existing output folder.
        progress: where progress goes.
        log: file that libraries' words are appended to.
        watcher: makes what the search is shown to; None: a line a trial, to *progress*.
        following: the trackers.
    """
    from tfcompress.preconditions import check_preconditions, need_keras
    from tfcompress.search.finals import BEST

    began = time.monotonic()
    need_keras(opening.model)
    earlier = "" if output is None else interrupted_search(output)
    asked = Recipe(export=wishes.export)
    check_preconditions(opening.model, asked, has_data=True, output=output, force=force or bool(earlier))
    with ExitStack() as stack:
        bench = stack.enter_context(opening.workbench(judged_by="test", progress=ToldOnce(progress), log=log))
        ready = prepared_search(bench, wishes, output)
        followed = stack.enter_context(following.run(start_of_search(ready, output)))
        session = functools.partial(
            _Session,
            opening=opening,
            ready=ready,
            bench=bench,
            log=log,
            watcher=watcher,
            followed=followed,
            began=began,
        )
        if output is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tfcompress-")))
            found = session(folder=folder, output=None).result()
            shown = None
        else:
            again = force or earlier == ready.key
            files.check_target(output, force=again)
            with files.output_folder(output, key=ready.key, force=again) as folder:
                take_over(output, folder, ready.key)
                found = session(folder=folder, output=output).result()
            shown = output
        facts, judged, best = found
        if best is None:
            where = "" if shown is None else f"; {shown}/{PAGE} shows everything that was tried"
            msg = f"{shortfall(judged, ready.wishes.limits)}{where}"
            raise PromiseError(msg, facts.to_dict())
        winner = _result_in(best, shown, BEST)
        tell_end(followed, winner)
    return AutoResult(winner, tuple(_result_in(each, shown, each.folder) for each in judged), facts, shown)


def _result_in(finalist: Finalist, output: Path | None, place: str) -> Result:
    """Return a finalist's result with the folder that it has in a search's output."""
    return dataclasses.replace(finalist.result, folder=None if output is None else output / place)


def interrupted_search(output: Path) -> str:
    """Return the key of the search that wrote a folder when Ctrl-C ended it; empty: none did.

    The same command goes on from there.
    """
    try:
        found = plain.parse_json(plain.read_text(output / FACTS_FILE, plain.JSON_BYTES))
    except (OSError, ValueError):
        return ""
    return str(found.get("key", "")) if isinstance(found, dict) and found.get("interrupted") is True else ""


def take_over(output: Path, folder: Path, key: str) -> None:
    """Go on with the study of a search that Ctrl-C ended, where it is the same one.

    Args:
        output: of that search.
        folder: of this one, while it goes on.
        key: of this one.
    """
    (folder / files.WORK).mkdir(exist_ok=True)
    kept, place = output / STUDY, folder / STUDY
    if interrupted_search(output) == key and kept.is_file() and not place.exists():
        partial = folder / files.WORK / STUDY
        partial.unlink(missing_ok=True)
        # Not a copy of the file: what was written last may stand in the log beside it, if somebody else has it open.
        with closing(sqlite3.connect(kept)) as source, closing(sqlite3.connect(partial)) as copy:
            source.backup(copy)
        partial.rename(place)


def call_again(opening: Opening, output: Path | None) -> str:
    """Return the Python call that makes the best file of a search again without one.

    Args:
        opening: the model and the data; what has no path is called ``model`` and ``data``.
        output: folder of the search; None: it wrote none, and its result is called ``found``.
    """
    model = repr(opening.model) if isinstance(opening.model, str) else "model"
    data = "data"
    if isinstance(opening.data, Mapping) and isinstance(opening.data.get("spec"), str):
        reading = [f"{name}={value!r}" for name, value in opening.data.items() if name != "spec"]
        spec = repr(opening.data["spec"])
        data = f"tfcompress.load_data({', '.join([spec, *reading])})" if reading else spec
    recipe = "tfcompress.recipe.from_dict(found.best.report.recipe)"
    recipe = recipe if output is None else repr(str(output / "best" / "recipe.toml"))
    loading = [f"{name}={value!r}" for name, value in opening.loading.items() if value]
    return f"tfcompress.compress({', '.join([model, recipe, data, *loading])})"


Concluded = tuple["SearchFacts", list["Finalist"], "Finalist | None"]


class _Session:
    """One search from its preparation to what it writes."""

    def __init__(
        self,
        opening: Opening,
        ready: Prepared,
        bench: Workbench,
        folder: Path,
        log: Path | None,
        watcher: WatcherContext | None,
        followed: FollowedRun,
        output: Path | None,
        began: float,
    ) -> None:
        self._opening, self._ready, self._bench, self._folder = opening, ready, bench, folder
        self._log, self._watcher, self._followed = log, watcher, followed
        self._output, self._began = output, began
        self._meter = ready.meter(bench.progress)

    def result(self) -> Concluded:
        """Search, judge, and write."""
        search = self._done()
        judged, winner = self._judged(search)
        facts = concluded(search, judged, winner, self._ready.decides, self._circumstances(search))
        self._write(facts)
        return facts, judged, winner

    def _done(self) -> Search:
        from tfcompress.search.driver import Search
        from tfcompress.search.proposals import Proposals, recipes_by_hand
        from tfcompress.search.study_store import StudyStore

        ready, wishes = self._ready, self._ready.wishes
        url = wishes.storage or f"sqlite:///{(self._folder / STUDY).absolute()}"
        store = StudyStore(url, f"tfcompress-{ready.key[:16]}", ready.goals, note=self._bench.progress.note)
        proposals = Proposals(ready.space, store, seed=wishes.train.seed, goals=len(ready.goals), trials=wishes.trials)
        if not store.facts().get("begun"):
            proposals.enqueue(recipes_by_hand(ready.space))
            store.keep_facts({"begun": True, "model": ready.model, "data": ready.data})
        self._bench.close()  # its converter is not needed before the end
        with ExitStack() as stack:
            watcher = stack.enter_context(self._shown())
            executor = self._executor(stack)
            search = Search(self._plan(executor), ready.space, store, proposals, executor, watcher)
            search.run()
            watcher.show(search)
        store.close()
        return search

    def _shown(self) -> AbstractContextManager[Watcher]:
        from tfcompress.search.live import Lines

        shown = Lines(self._bench.progress) if self._watcher is None else self._watcher()
        return FollowedSearch(shown, self._followed) if self._followed.followed else shown

    def _executor(self, stack: ExitStack) -> Executor:
        from tfcompress.search.executors import Clock, InProcessExecutor, LocalExecutor

        log = self._folder / files.WORK / _LOG
        log.parent.mkdir(exist_ok=True)
        if self._ready.wishes.engine == "ray":
            from tfcompress.search.ray_cluster import RayExecutor

            return stack.enter_context(RayExecutor(self._opening, self._ready.wishes))
        if self._opening.portable:
            return LocalExecutor(self._opening, self._ready.wishes.jobs, log=log, progress=self._bench.progress)
        clock = Clock()
        return InProcessExecutor(stack.enter_context(TrialBench(self._opening, progress=clock, log=self._log)), clock)

    def _plan(self, executor: Executor) -> SearchPlan:
        from tfcompress.search.driver import SearchPlan
        from tfcompress.search.finals import MOST_FINALISTS

        drafts = self._folder / files.WORK / "drafts"
        drafts.mkdir(parents=True, exist_ok=True)
        return SearchPlan(
            limits=self._ready.wishes.limits,
            goals=self._ready.goals,
            decides=self._ready.decides,
            seconds=self._ready.wishes.budget_seconds,
            reserve=functools.partial(_reserved, MOST_FINALISTS),
            trials=self._ready.wishes.trials,
            samples=PART_SAMPLES,
            files=drafts,
            measure=None if self._meter is None else executor.measure(self._meter) or self._meter.figures,
            prepared_seconds=time.monotonic() - self._began,
        )

    def _judged(self, search: Search) -> tuple[list[Finalist], Finalist | None]:
        from tfcompress.search.finals import Finals, finalists, judge_all, winner_of

        limits, decides = self._ready.wishes.limits, self._ready.decides
        if not search.finished:
            if search.interrupted:
                raise KeyboardInterrupt  # there is nothing to write yet; the study stays for the same command
            if not search.records:
                msg = "nothing that is left to try goes together: --values and --without leave no candidate"
                raise UsageError(msg)
            why = next((f": {each.name}, {each.reason}" for each in search.records if each.reason), "")
            msg = f"no candidate was run in full{why}; give more time (--budget)"
            raise PromiseError(msg)
        chosen = finalists(search.front, limits, decides, self._finalist_count(search))
        finals = Finals(self._bench, self._folder, self._meter)
        with self._bench.progress.task("judging on the test split"):
            judged = judge_all(finals, chosen)
        winner = winner_of(judged, limits, decides)
        if winner is not None:
            finals.crown(winner)
        return judged, winner

    def _finalist_count(self, search: Search) -> int:
        """Return for how many files there is time to judge them; a few there always is time for."""
        from tfcompress.search.finals import MOST_FINALISTS

        if search.interrupted:
            return _HURRIED
        if search.plan.seconds is None:
            return MOST_FINALISTS
        left = search.plan.seconds - search.spent_seconds
        return max(_HURRIED, min(MOST_FINALISTS, int(left / (search.usual_seconds or _USUAL_SECONDS))))

    def _circumstances(self, search: Search) -> Circumstances:
        ready = self._ready
        return Circumstances(
            model=ready.model,
            data=ready.data,
            judged=ready.judged,
            key=ready.key,
            command=ready.wishes.command or call_again(self._opening, self._output),
            conditions="" if self._meter is None else self._meter.conditions,
            seconds=search.spent_seconds,
            notes=ready.notes,
        )

    def _write(self, facts: SearchFacts) -> None:
        from tfcompress.reports.search_page import to_search_page

        files.write_atomic(self._folder / PAGE, to_search_page(facts))
        files.write_atomic(self._folder / FACTS_FILE, facts.to_json())


def _reserved(finalists: int, usual_seconds: float) -> float:
    """Return the time that judging will need."""
    return finalists * (usual_seconds or _USUAL_SECONDS)
