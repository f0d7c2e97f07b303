"""The line that everything runs on: load, train the stages, export, check, evaluate, report.

``compress`` is the one implementation behind the command line and the Python call; ``tfcompress.job.attach`` is its
part for those who have a fit loop of their own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress import files
from tfcompress import output as outcome
from tfcompress.errors import ConversionError, DataError, ModelError, TfcompressError, UnsupportedError, UsageError
from tfcompress.execution import Run, run_stages
from tfcompress.progress import SILENT, Progress, effective
from tfcompress.recipe import Recipe
from tfcompress.recipe import load as load_recipe

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData, Dataset
    from tfcompress.job import Job
    from tfcompress.models.first_load import LoadLimits
    from tfcompress.quantization.transform import Quantized
    from tfcompress.reports.report import Report
    from tfcompress.tasks.task import Evaluation
    from tfcompress.tflite.convert import ConverterProcess
    from tfcompress.tflite.export import TFLiteModel

RUNNER_SAMPLES = 1000
"""Most test samples written for edge_runner."""


@dataclass(frozen=True)
class Result:
    """What a run made.

    Attributes:
        model: the trained Keras model (for QAT with its fake quantization); the model itself when nothing was trained.
        tflite: the checked file in memory.
        report: what was done and what came out.
        folder: where it was written; None when no output was asked for.
    """

    model: Any
    tflite: TFLiteModel
    report: Report
    folder: Path | None

    def __repr__(self) -> str:
        """Say in a line what came out: ``Result(int8: 53,104 B, 92.90 %, in 'net-int8')``."""
        inside = repr(self.report).removeprefix("Report(").removesuffix(")")
        return f"Result({inside}{'' if self.folder is None else f', in {str(self.folder)!r}'})"

    def _repr_html_(self) -> str:
        """Return the float model beside the result, as notebooks show it."""
        return self.report._repr_html_()


def check(model: Any, recipe: Recipe, *, has_data: bool, output: Path | None = None, force: bool = False) -> None:
    """Refuse before anything slow happens what is bound to fail: no TensorFlow is imported here.

    Raises:
        ModelError: a file that is no Keras model.
        DataError: stages or int8 without data.
        OutputError: an output that cannot be written.
    """
    qat = False
    if isinstance(model, str | Path):
        from tfcompress.models.loading import probe

        info = probe(Path(model))
        if info.kind == "tflite":
            msg = f"model {str(model)!r} is a TFLite file already; give the Keras model it was made from"
            raise ModelError(msg)
        qat = info.qat
    if output is not None:
        files.check_target(output, force=force)
    if not has_data:
        _check_without_data(recipe, qat=qat, is_object=not isinstance(model, str | Path))


def _check_without_data(recipe: Recipe, *, qat: bool, is_object: bool) -> None:
    if recipe.stages and not qat and not is_object:
        name = recipe.stages[-1].kind
        msg = (
            f"{name} trains the model, and needs data: give --data (an .npz with x_train, y_train, x_test, y_test, say)"
        )
        raise DataError(msg)
    if recipe.export.needs_data and not recipe.stage("qat") and not qat:
        msg = (
            f"quantize {recipe.export.quantize!r} needs samples to calibrate activation ranges: give --data, "
            "or use 'dynamic' or 'float16', which need none"
        )
        raise DataError(msg)


def compress(
    model: Any,
    recipe: Recipe | str | Path,
    data: Any = None,
    *,
    output: str | Path | None = None,
    force: bool = False,
    trust: bool = False,
    custom: Sequence[str] = (),
    limits: LoadLimits | None = None,
    progress: Progress | bool | None = None,
    log: Path | None = None,
) -> Result:
    """Take a trained Keras model, make it small and fast, and export a TFLite file that is proven to be what was asked.

    Args:
        model: path of an .h5, .keras or SavedModel, or a model object of Keras 3 or tf_keras (which is left alone).
        recipe: what to do; a named recipe or a .toml file also by its name.
        data: what :func:`tfcompress.load_data` takes or gives; needed by stages and by int8.
        output: folder to write; None: nothing is written.
        force: replace an existing output folder.
        trust: run code that the model file holds.
        custom: ``module:name`` of custom layers or functions that the file needs.
        limits: time and memory that loading the file may take; None: the default ones.
        progress: where progress goes; None: bars on a terminal and in a notebook; False: nowhere.
        log: file that TensorFlow's and the converter's words are appended to, copied into the output.

    Raises:
        TfcompressError: one of its classes (see :mod:`tfcompress.errors`); nothing has been written then.
    """
    recipe = (recipe if isinstance(recipe, Recipe) else load_recipe(recipe)).resolved()
    progress, target = effective(progress), None if output is None else Path(output)
    check(model, recipe, has_data=data is not None, output=target, force=force)
    from tfcompress.tflite.convert import ConverterProcess

    with ConverterProcess(log) as converter:
        loading = {"trust": trust, "custom": custom, "limits": limits, "loader": converter.loader}
        run = _open(model, recipe, data, converter, loading, progress)
        if target is None:
            return _finish(run, None, None)
        with files.output_folder(target, key=_key(run), force=force) as folder:
            result = _finish(run, folder, log)
    return Result(result.model, result.tflite, result.report, target)


def _open(
    model: Any,
    recipe: Recipe,
    data: Any,
    converter: ConverterProcess,
    loading: Mapping[str, Any],
    progress: Progress,
) -> Run:
    """Load the model and the data, and check that they fit each other."""
    from tfcompress.models.loading import load
    from tfcompress.models.signature import check_finite, signature_of

    dataset = _dataset(data)
    started = time.perf_counter()
    with progress.task("loading the model"):
        loaded = load(model, **loading)
        check_finite(loaded.native)
    run = Run(recipe, loaded, None, converter, progress, {"load": time.perf_counter() - started})
    for note in loaded.notes:
        run.warn(note)
    warnings: list[str] = []
    if dataset is not None:
        with run.phase("check data"), progress.task("checking the data"):
            run.data = dataset.bind(signature_of(loaded.native), holdout=recipe.train.holdout, seed=recipe.train.seed)
            warnings = run.data.lint()
    _check_stages(run)
    for warning in warnings:
        run.warn(warning)
    return run


def _dataset(data: Any) -> Dataset | None:
    from tfcompress.data.dataset import Dataset
    from tfcompress.data.sources import load

    return data if data is None or isinstance(data, Dataset) else load(data)


def _check_stages(run: Run) -> None:
    """Refuse stages that this model cannot take, before any work."""
    others = [stage.kind for stage in run.recipe.stages if stage.kind != "qat"]
    if run.loaded.qat:
        if others:
            msg = f"the model is quantization-aware trained already; {others[0]} has to come before that"
            raise UnsupportedError(msg)
        if run.recipe.export.quantize != "int8":
            msg = "the model holds quantization-aware training, which fits int8 only; give --qat or --quantize int8"
            raise UsageError(msg)
        if run.recipe.stages:
            run.warn("the model is quantization-aware trained already: it was exported as it is, without training")
        return
    if run.recipe.stages:
        if run.data is None:
            _check_without_data(run.recipe, qat=False, is_object=False)
            return
        run.data.need_train()


def _key(run: Run) -> str:
    """Return a hash of everything that training depends on: a killed run's epochs serve only a run of the same key."""
    described = run.recipe.to_dict()
    parts = {
        "model": run.loaded.sha256 or run.loaded.source,
        "data": None if run.data is None else run.data.describe(),
        "stages": described["stages"],
        "train": described["train"],
    }
    return files.sha256(json.dumps(parts, sort_keys=True, default=str).encode())


def _finish(run: Run, folder: Path | None, log: Path | None) -> Result:
    """Run the line from the loaded model to the report."""
    baseline = _float_baseline(run)
    trains = bool(run.recipe.stages) and not run.loaded.qat
    model, job, training = run.loaded.native, None, None
    if trains:
        staged = run_stages(run, folder)
        model, job, training = staged.model, staged.job, staged.training
        for note in job.notes:
            run.warn(note)
        if folder is not None:
            outcome.save_model(model, folder)
    tflite = _export(run, model, None if baseline is None else len(baseline))
    if job is not None:
        for note in _check_promises(job, tflite):
            run.warn(note)
    scores = _scores(run, baseline, tflite)
    report = outcome.report(
        recipe=run.recipe,
        loaded=run.loaded,
        data=run.data,
        job=job,
        training=training,
        baseline=baseline,
        tflite=tflite,
        scores=scores,
        wall_seconds=run.wall_seconds,
        notes=run.warnings,
    )
    if folder is not None:
        with run.progress.task("writing"):
            outcome.write(folder, report, tflite, run.recipe, run.data, log, limit=RUNNER_SAMPLES)
    return Result(model, tflite, report, None)


def _float_baseline(run: Run) -> bytes | None:
    """Convert the model as it came, in float32.

    None where the result itself is that, where float was trained away, or where TFLite has no float op for it: an int8
    file of it may be had all the same.
    """
    import tempfile

    from tfcompress.recipe import Export
    from tfcompress.tflite.lower import to_saved_model

    plain = run.recipe.export.quantize == "none" and not run.recipe.stages
    if plain or run.loaded.qat:
        return None
    with (
        run.phase("float baseline"),
        run.progress.task("converting the float model"),
        tempfile.TemporaryDirectory() as scratch,
    ):
        saved = Path(scratch) / "float"
        to_saved_model(run.loaded.native, saved)
        settings = Export(select_ops=run.recipe.export.select_ops)
        try:
            return run.converter.convert(saved, settings, None)
        except ConversionError as refusal:
            if run.recipe.export.quantize != "int8" or run.loaded.refusal:
                raise
            run.warn(f"there is no float file to compare with: {str(refusal).partition('; ')[0]}")
            return None


def _export(run: Run, model: Any, float_size_bytes: int | None) -> TFLiteModel:
    """Export; where the converter's own post-training quantization fails, by our own rules."""
    from tfcompress.tflite.contract import FloatOpsError

    with run.phase("export"):
        try:
            return _exported(run, model, float_size_bytes)
        except (ConversionError, FloatOpsError) as refusal:
            made = _calibrated(run, model)
            if made is None:
                raise
            try:
                file = _exported(run, made.model, float_size_bytes, reference=model)
            except TfcompressError as second:
                run.progress.note(f"they cannot, either: {second}")
                raise refusal from None
            run.warn(f"{_why(refusal)}: so the model was rewritten as for --qat, and calibrated without training")
            for note in made.notes:
                run.warn(note)
            return file


def _why(refusal: TfcompressError) -> str:
    """Return in half a sentence what the converter could not do."""
    ops = getattr(refusal, "ops", ())
    if not ops:
        return str(refusal).partition("; ")[0]
    kinds = ", ".join(sorted({op.op for op in ops}))
    return f"the converter would leave {len(ops)} op{'s' if len(ops) > 1 else ''} in float ({kinds})"


def _exported(run: Run, model: Any, float_size_bytes: int | None, reference: Any | None = None) -> TFLiteModel:
    from tfcompress.tflite.export import export

    return export(
        model,
        run.recipe.export,
        data=run.data,
        metadata=outcome.metadata(run.recipe, run.data),
        converter=run.converter,
        float_size_bytes=float_size_bytes,
        reference=reference,
        progress=run.progress,
        seed=run.recipe.train.seed,
    )


def _calibrated(run: Run, model: Any) -> Quantized | None:
    """Return the model with the ranges of our own quantization-aware training, untrained; None: it cannot have them."""
    settings = run.recipe.export
    if settings.quantize != "int8" or run.data is None or run.loaded.refusal or run.recipe.stage("qat"):
        return None
    from tfcompress.models.bridge import to_keras3
    from tfcompress.models.kinds import keras_of
    from tfcompress.quantization.post_training import calibrated

    run.progress.note("the converter cannot quantize this model; trying it by the rules of --qat, without training")
    try:
        plain = model if keras_of(model) == "keras3" else to_keras3(model)
        return calibrated(plain, run.data.representative(settings.samples, run.recipe.train.seed))
    except UnsupportedError:
        return None


def _check_promises(job: Job, tflite: TFLiteModel) -> list[str]:
    from tfcompress.tflite import promise_check as promised
    from tfcompress.tflite import weights
    from tfcompress.tflite.flatbuffer import read

    return promised.check_file(job.promises(), weights.facts(read(tflite.content).subgraphs))


def _scores(run: Run, baseline: bytes | None, tflite: TFLiteModel) -> dict[str, Evaluation]:
    """Evaluate the float file and the result on the test split, in the interpreter."""
    if run.data is None or run.data.scored is None:
        return {}
    named = {"float": baseline, "result": tflite.content}
    with run.phase("evaluate"):
        return {
            name: evaluate_file(content, run.data, f"evaluating the {name} file", run.progress)
            for name, content in named.items()
            if content is not None
        }


def evaluate_file(content: bytes | Path, data: BoundData, title: str, progress: Progress = SILENT) -> Evaluation:
    """Evaluate a TFLite file on the test split.

    Raises:
        ContractError: the interpreter refuses the file, or dies of it.
        DataError: there is no test split.
    """
    from tfcompress.evaluate.scoring import evaluate
    from tfcompress.tflite.interpret import InterpreterProcess

    split = data.need_test()
    with InterpreterProcess(content) as interpreter, progress.task(title, split.size) as task:
        return evaluate(interpreter.run, split, data.tasks, progress_task=task)
