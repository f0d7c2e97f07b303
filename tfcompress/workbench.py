"""The line that everything runs on: load → stages → export → packings → verify → score → report.

A :class:`Workbench` is opened once for a model and its data, and runs as many recipes on them as are wanted.
:func:`tfcompress.search.compression.compress` is one run on a workbench of its own, or several until a limit is kept;
:func:`tfcompress.tflite.export.export` is its second half, and :func:`tfcompress.job.attach` its first for those who
have a fit loop of their own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from tfcompress import files, output, preconditions
from tfcompress.baselines import Baselines
from tfcompress.bindings import Bindings, size_of
from tfcompress.drop_limit import check_provable, check_test_split, kept_or_refused
from tfcompress.errors import ConversionError, DataError
from tfcompress.execution import rewritten_model, run_stages
from tfcompress.file_scores import evaluate_file, tested_frame_by_frame, tested_in_micro
from tfcompress.kept_stages import KeptStages, work_for
from tfcompress.progress import Progress, effective
from tfcompress.recipe import Export, Recipe, Train, load_recipe
from tfcompress.result import Result as Result
from tfcompress.resumption import decided_by, run_key
from tfcompress.run import Run, Trained
from tfcompress.tracking.following import Following
from tfcompress.tracking.run_values import start_of, tell_end
from tfcompress.tracking.tracker_table import open_trackers
from tfcompress.train_settings import Division

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData, Dataset
    from tfcompress.models.first_load import LoadLimits
    from tfcompress.models.loading import Loaded
    from tfcompress.reports.report import Report
    from tfcompress.reports.sections import SourceModel
    from tfcompress.stages.stage import InputSize
    from tfcompress.tasks.task import Evaluation
    from tfcompress.tflite.convert import ConverterProcess
    from tfcompress.tflite.export import TFLiteModel
    from tfcompress.tracking.tracker import Tracker


class Workbench:
    """A model and its data, on which recipes are run; a context manager.

    What several recipes need is made when the first of them asks for it, and kept: the loaded model, the data bound to
    it, the converter's process, the float file and its score. Each recipe gives what it would give on a workbench of
    its own.

    Example::

        with Workbench("model.h5", "data.npz") as bench:
            for name in ("int8", "qat-int8"):
                print(bench.run(name).report.result.size_bytes)
    """

    def __init__(
        self,
        model: Any,
        data: Any = None,
        *,
        trust: bool = False,
        custom: Sequence[str] = (),
        limits: LoadLimits | None = None,
        progress: Progress | bool | None = None,
        log: Path | None = None,
        judged_by: Literal["test", "val"] = "test",
        kept: KeptStages | None = None,
        bounded: bool = True,
        trackers: Sequence[Tracker | str] = (),
    ) -> None:
        """Lay the model and the data ready; nothing is loaded yet.

        Args:
            model: path of an .h5, .keras or SavedModel, of a float .tflite file (which is quantized as it is), or a
                model object of Keras 3 or tf_keras (left alone).
            data: what :func:`tfcompress.load_data` takes or gives; needed by stages and by int8.
            trust: run code that the model file holds.
            custom: ``module:name`` of custom layers or functions that the file needs.
            limits: time and memory that loading the file may take; None: the default ones.
            progress: where progress goes; None: bars on a terminal and in a notebook; False: nowhere.
            log: file that TensorFlow's and the converter's words are appended to, copied into every output.
            judged_by: the split that files are scored on; by ``val`` the test split is never looked at.
            kept: where what stages have made is kept for other runs; None: each run trains by itself.
            bounded: whether a file that takes more of a microcontroller than it may is refused; else reports say so.
            trackers: who follows each run: ``NAME[:WHERE]`` (docs/integrations.md), or a ``tfcompress.Tracker``.
        """
        self._model, self._data, self._load_seconds = model, data, 0.0
        self._trust, self._custom, self._limits = trust, tuple(custom), limits
        self._progress, self._log = effective(progress), log
        self._converter: ConverterProcess | None = None
        self._judged_by, self._kept, self._bounded = judged_by, kept, bounded
        self._following = Following(open_trackers(trackers), self._progress.note)
        self._baselines = Baselines(self._progress)
        self._calibrations: dict[tuple[int, Division], tuple[str, ...]] = {}
        self._last: tuple[Any, Trained, tuple[str, ...]] | None = None

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the converter's process; the next run would start another one."""
        if self._converter is not None:
            self._converter.close()
            self._converter = None

    @property
    def progress(self) -> Progress:
        """Where progress goes."""
        return self._progress

    def check(self, recipe: Recipe, *, output: str | Path | None = None, force: bool = False) -> None:
        """Load the model and the data, and refuse what :meth:`run` would refuse before it works; see there."""
        self._opened(self._checked(recipe, output, force=force)).close()

    def _checked(self, recipe: Recipe | str | Path, output: str | Path | None, *, force: bool) -> Recipe:
        """Return a recipe with nothing left open, after what is refused before the model is loaded."""
        recipe = (recipe if isinstance(recipe, Recipe) else load_recipe(recipe)).resolved()
        preconditions.check_code(recipe, trust=self._trust)
        target = None if output is None else Path(output)
        trained = preconditions.check_preconditions(
            self._model, recipe, has_data=self._data is not None, output=target, force=force
        )
        if recipe.stages and self.dataset is not None and not trained:
            self.dataset.check_trainable()
        return recipe

    @property
    def converter(self) -> ConverterProcess:
        """The converter's process."""
        if self._converter is None:
            from tfcompress.tflite.convert import ConverterProcess

            self._converter = ConverterProcess(self._log)
        return self._converter

    @functools.cached_property
    def loaded(self) -> Loaded:
        """The model.

        Raises:
            ModelError: not a model that can be read, or one with weights that are not finite.
            UntrustedCodeError: the file holds code, and *trust* is off.
        """
        converter = self.converter  # imports TensorFlow while we do, and loads the file first
        from tfcompress.models.loading import load_model
        from tfcompress.models.signature import check_finite
        from tfcompress.tflite.source_file import is_tflite, load_source

        started = time.perf_counter()
        with self._progress.task("loading the model"):
            if is_tflite(self._model):
                return load_source(Path(self._model))
            loaded = load_model(
                self._model, trust=self._trust, custom=self._custom, limits=self._limits, loader=converter.loader
            )
            check_finite(loaded.native)
        self._load_seconds = time.perf_counter() - started
        return loaded

    @functools.cached_property
    def dataset(self) -> Dataset | None:
        """The data before the model is known; None: there is none.

        Raises:
            DataError: no such data, or it cannot be read.
        """
        from tfcompress.data.dataset import Dataset
        from tfcompress.data.sources import load_data

        return self._data if self._data is None or isinstance(self._data, Dataset) else load_data(self._data)

    def data(self, train: Train = Train(), size: InputSize | None = None) -> BoundData | None:  # noqa: B008 - a frozen value
        """Return the data, bound to the model.

        Args:
            train: its ``holdout``, ``validation`` and ``seed`` divide data that comes undivided.
            size: of the pictures, for the model at that size; None: at its own.

        Raises:
            DataError: data that does not fit the model, or does not come in that size.
            UnsupportedError: a model that takes no pictures, or labels that lie in them.
        """
        return None if self._bindings is None else self._bindings.data(train, size)

    @functools.cached_property
    def _bindings(self) -> Bindings | None:
        data = self.dataset
        return None if data is None else Bindings(data, self.loaded.signature, self._judged_by)

    @functools.cached_property
    def _source(self) -> SourceModel:
        return output.describe_source(self.loaded, trust=self._trust, custom=self._custom)

    @property
    def baseline(self) -> output.FloatFile | None:
        """The float file of the model as it came; None where float was trained away.

        Raises:
            ConversionError: TFLite has no float op for something in it.
        """
        return self.float_baseline()

    def float_baseline(self, train: Train = Train()) -> output.FloatFile | None:  # noqa: B008 - a frozen value
        """Return :attr:`baseline` with its score on data that *train* divides."""
        found = self._baselines.file(self.loaded, self.converter, select_ops=False)
        if isinstance(found, ConversionError):
            raise found
        if found is None:
            return None
        return output.FloatFile(found, self._float_score(found, train, select_ops=False)[0])

    def _float_score(self, content: bytes, train: Train, *, select_ops: bool) -> tuple[Evaluation | None, list[str]]:
        return self._baselines.score(content, self.data(train), train.division, select_ops=select_ops)

    def rewritten(self, recipe: Recipe) -> Any:
        """Return the model after a recipe's rewriting stages in full, with nothing trained.

        What stages have kept is used, and what they make is kept.

        Args:
            recipe: its stages that train do nothing here.

        Raises:
            TfcompressError: one of its classes.
        """
        recipe = self._checked(recipe, None, force=False)
        with (
            contextlib.closing(self._opened(recipe)) as run,
            work_for(self._kept, None, run.loaded, run.data, trust=self._trust) as work,
        ):
            return rewritten_model(run, work)

    def score(self, file: TFLiteModel | bytes | str | Path, train: Train = Train()) -> Evaluation:  # noqa: B008 - a frozen value
        """Evaluate a TFLite file on the test split.

        Args:
            file: what a run or :meth:`export` gave, its bytes, or its path.
            train: its ``holdout`` and ``seed`` divide data that comes in one piece.

        Raises:
            DataError: there is no test split, or no data at all.
            ContractError: the interpreter refuses the file, or dies of it.
        """
        content = file if isinstance(file, bytes) else Path(file) if isinstance(file, str | Path) else file.content
        data = None if self.dataset is None else self.data(train, size_of(content, self.loaded.signature))
        if data is None:
            msg = "a score needs data with a test split, and this workbench has none; give data to Workbench"
            raise DataError(msg)
        return evaluate_file(content, data, "evaluating the file", self._progress)

    def export(self, trained: Any, settings: Export = Export(), *, train: Train = Train()) -> TFLiteModel:  # noqa: B008 - frozen values
        """Lower a model to a TFLite file and check it; see :func:`tfcompress.tflite.export.export`.

        Args:
            trained: the model, or what became of it in some training.
            settings: how to lower it, and what the file must satisfy.
            train: its ``holdout`` and ``seed`` divide data that comes in one piece, and draw the samples.

        Raises:
            TfcompressError: one of its classes.
        """
        found = self._baselines.file(self.loaded, self.converter, select_ops=settings.select_ops)
        size = len(found) if isinstance(found, bytes) else None
        data = None if self.dataset is None else self.data(train, size_of(trained, self.loaded.signature))
        return self._exported(trained, settings, data, size, train.seed)

    def _exported(
        self,
        model: Any,
        settings: Export,
        data: BoundData | None,
        float_size_bytes: int | None,
        seed: int,
        metadata: Mapping[str, Any] | None = None,
    ) -> TFLiteModel:
        from tfcompress.devices.stopwatch import stopwatch_for
        from tfcompress.tflite.export import export

        return export(
            model,
            settings,
            data=data,
            metadata=metadata,
            converter=self.converter,
            float_size_bytes=float_size_bytes,
            progress=self._progress,
            seed=seed,
            stopwatch=stopwatch_for(settings.device, progress=self._progress),
            bounded=self._bounded,
        )

    def run(
        self,
        recipe: Recipe | str | Path,
        *,
        output: str | Path | None = None,
        force: bool = False,
        test_samples: int | None = None,
        examine: Callable[[Result], Report] | None = None,
    ) -> Result:
        """Run a recipe, from the model as it came to the report.

        Where the recipe limits what may be lost (``export.max_drop``), this run must keep that; other ways are tried by
        :func:`tfcompress.search.ladder.climb`.

        Args:
            recipe: what to do; a named recipe or a .toml file also by its name.
            output: folder to write; None: nothing is written.
            force: replace an existing output folder.
            test_samples: how many test samples are written for edge_runner; None: 1,000, or as many as fit into 32 MB.
            examine: takes the result before anything is written, and returns the report to write, or raises; None:
                what the recipe promises is checked.

        Raises:
            TfcompressError: one of its classes (see :mod:`tfcompress.errors`); nothing has been written then.
        """
        recipe, target = self._checked(recipe, output, force=force), None if output is None else Path(output)
        examine = examine or (lambda result: kept_or_refused(result.report, recipe))
        with contextlib.closing(self._opened(recipe)) as run, self._following.run(start_of(run)) as run.followed:
            written = functools.partial(self._written, force=force, test_samples=test_samples)
            result = self._finished(run, None, examine) if target is None else written(run, examine, target)
            tell_end(run.followed, result)
        return result

    def _written(
        self, run: Run, examine: Callable[[Result], Report], target: Path, *, force: bool, test_samples: int | None
    ) -> Result:
        """Do the line, and write what came out into a folder."""
        key = run_key(run.loaded, run.data, run.recipe)
        opened = functools.partial(files.output_folder, target, key=key, force=force)
        # What another way has trained stays in the folder until this one is done.
        late = run.recipe.promises and not run.recipe.stages
        with contextlib.ExitStack() as stack:
            folder = None if late else stack.enter_context(opened())
            result = self._finished(run, folder, examine)
            report = self._write(folder or stack.enter_context(opened()), run, result, test_samples)
        return dataclasses.replace(result, report=report, folder=target)

    def _opened(self, recipe: Recipe) -> Run:
        """Load the model and the data, and check that they fit each other."""
        fresh = "loaded" not in vars(self)
        converter, dataset = self.converter, self.dataset
        loading = {"trust": self._trust, "custom": self._custom, "limits": self._limits}
        run = Run(recipe, self.loaded, None, converter, self._progress, loading)
        if fresh:
            run.wall_seconds["load"] = self._load_seconds
        for note in run.loaded.notes:
            run.warn(note)
        warnings: list[str] = []
        if dataset is not None:
            with run.phase("check data"), self._progress.task("checking the data"):
                run.data = self.data(recipe.train)
                warnings = run.data.lint() if run.data else []
        run.metadata = output.metadata(recipe, run.data)
        preconditions.check_deployment(run)
        if recipe.input_size is not None and not run.loaded.qat:
            run.model_data, run.data = run.data, self.data(recipe.train, recipe.input_size)
        preconditions.check_stages(run)
        preconditions.check_input_ranges(run)
        preconditions.check_streaming(run)
        check_test_split(run)
        for warning in (*warnings, *self._calibration_warnings(run)):
            run.warn(warning)
        return run

    def _calibration_warnings(self, run: Run) -> tuple[str, ...]:
        """Return what is wrong with the samples that a calibration would take; each is looked at once."""
        export, train = run.recipe.export, run.recipe.train
        if not export.needs_data or run.loaded.qat:
            return ()
        key = (export.sample_count, train.division)
        if key not in self._calibrations:
            self._calibrations[key] = preconditions.calibration_warnings(run, self._source.macs)
        return self._calibrations[key]

    def _finished(self, run: Run, folder: Path | None, examine: Callable[[Result], Report]) -> Result:
        """Do the line from the loaded model to the report, which is examined before anybody sees it."""
        recipe = run.recipe
        baseline = self._baselines.compared_with(run)
        if baseline is not None:
            preconditions.warn_of_lacking_ops(run, baseline)
            self._judge(run, baseline)
        trained = self._trained(run, folder)
        model = run.loaded.native if trained is None else trained.model
        with run.phase("export"):
            size = None if baseline is None else len(baseline)
            settings = dataclasses.replace(recipe.export, max_drop=None)  # is checked by the scores, below
            tflite = self._exported(model, settings, run.data, size, recipe.train.seed, run.metadata)
        from tfcompress.tflite.kernel_rest import size_remarks
        from tfcompress.tflite.promise_check import check_content

        kept = check_content(() if trained is None else trained.promises, tflite.content)
        for note in (*tflite.notes, *kept, *size_remarks(recipe, tflite)):
            run.warn(note)
        if baseline is None:
            self._tune(run, run.data, tflite.content)
        scores, data = self._scores(run, baseline, tflite), run.data
        tflite = tested_frame_by_frame(tested_in_micro(tflite, run), run)
        with run.phase("layers"), run.progress.task("comparing layers"):
            layers = output.file_layer_rows(tflite, model, self._source, data, recipe.train.seed)
        run.scores, run.baseline, run.compared = scores, baseline, layers.found
        made = output.report(
            recipe=recipe,
            loaded=run.loaded,
            source=self._source,
            data=data,
            float_data=run.float_data,
            trained=trained,
            baseline=None if baseline is None else output.FloatFile(baseline, scores.get("float")),
            tflite=tflite,
            scores=scores,
            layers=layers,
            wall_seconds=run.wall_seconds,
            notes=run.warnings,
        )
        return Result(model, tflite, examine(Result(model, tflite, made, None)), None)

    def _write(self, folder: Path, run: Run, made: Result, test_samples: int | None) -> Report:
        from tfcompress.gallery.run_pictures import pictures_of

        more: dict[str, Any] = {"test_samples": test_samples, "vocabularies": run.loaded.vocabularies}
        if run.recipe.export.optimize_for == "download":
            from tfcompress.tflite.packaging import make_package

            more["package"] = make_package(made.tflite.content, run.progress).content
        with run.progress.task("writing"):
            more |= {"pictures": pictures_of(run, made, self._source.layers)}
            return output.write_output(folder, made.report, made.tflite, run.recipe, run.data, self._log, **more)

    def _trained(self, run: Run, folder: Path | None) -> Trained | None:
        """Do the stages, and keep the model beside the file; None: there is nothing to train."""
        if not run.recipe.stages or run.loaded.qat:
            return None
        trained = self._stages_done(run, folder)
        for note in trained.notes:
            run.warn(note)
        if folder is not None:
            from tfcompress.models.saving import save

            save(trained.model, folder, "trained")
        return trained

    def _stages_done(self, run: Run, folder: Path | None) -> Trained:
        """Do the stages, or take what the run before had made of the same: another export of it costs no training."""
        asked = (run.recipe.stages, run.recipe.train, decided_by(run.recipe.stages, run.recipe.export))
        if self._last is not None and self._last[0] == asked:
            for warning in self._last[2]:
                run.warn(warning)
            return self._last[1]
        told = len(run.warnings)
        with work_for(self._kept, folder, run.loaded, run.data, trust=self._trust) as work:
            trained = run_stages(run, work)
        if run.recipe.promises:
            self._last = asked, trained, tuple(run.warnings[told:])
        return trained

    def _judge(self, run: Run, baseline: bytes) -> None:
        """Score the float file before any work, so that what cannot be scored as asked for is refused by then."""
        self._tune(run, run.float_data, baseline)
        with run.phase("evaluate"):
            score, order_lines = self._float_score(baseline, run.recipe.train, select_ops=run.recipe.export.select_ops)
        limit = run.recipe.export.max_drop
        if limit is not None and score is not None and run.data is not None:
            check_provable(run.data, score, limit)
        for line in order_lines:
            run.warn(line)

    def _tune(self, run: Run, data: BoundData | None, content: bytes) -> None:
        """Let tasks look at what a file makes of the training split, where that is what they score by."""
        if data is not None and self._bindings is not None and self._bindings.tune_(run, data, content):
            self._baselines.forget_scores()

    def _scores(self, run: Run, baseline: bytes | None, tflite: TFLiteModel) -> dict[str, Evaluation]:
        """Evaluate the float file and the result on the test split, in the interpreter."""
        if run.data is None or run.data.scored is None:
            return {}
        found = {}
        with run.phase("evaluate"):
            if baseline is not None:
                recipe = run.recipe
                found["float"], _ = self._float_score(baseline, recipe.train, select_ops=recipe.export.select_ops)
            what = "evaluating the result file"
            found["result"] = evaluate_file(tflite.content, run.data, what, self._progress, keep_answers=True)
        return {name: score for name, score in found.items() if score is not None}
