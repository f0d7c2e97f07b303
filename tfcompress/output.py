"""What a run leaves behind: the report put together, and the output folder's files."""

from __future__ import annotations

import functools
import gzip
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress import files
from tfcompress._version import __version__
from tfcompress.companion_files import lookup_facts, streaming_facts, write_companions, write_firmware
from tfcompress.reports import facts
from tfcompress.reports import report as reports

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData
    from tfcompress.diagnosis.file_layers import FileLayers
    from tfcompress.models.loading import Loaded
    from tfcompress.recipe import Recipe
    from tfcompress.reports.pictures import Pictures
    from tfcompress.run import Trained
    from tfcompress.tasks.score import Difference, Score
    from tfcompress.tasks.task import Evaluation, Task
    from tfcompress.tflite.export import TFLiteModel
    from tfcompress.tflite.flatbuffer import FlatModel
    from tfcompress.tflite.weights import KernelFacts

RUNNER_SAMPLES = 1000
"""Most test samples written for edge_runner, where nobody says how many."""


@dataclass(frozen=True)
class FloatFile:
    """The float file of a model as it came.

    Attributes:
        content: the file.
        score: how it does on the test split; None: there is none.
    """

    content: bytes = field(repr=False)
    score: Evaluation | None = None

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return len(self.content)

    @functools.cached_property
    def gzip_bytes(self) -> int:
        """Size of the file compressed by gzip at its best level."""
        return len(gzip.compress(self.content, 9, mtime=0))

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, as hexadecimal text."""
        return files.sha256(self.content)


@dataclass(frozen=True)
class LayerRows:
    """A file by the layers that it computes.

    Attributes:
        flat: the file.
        kernels: its kernels.
        found: the layers.
    """

    flat: FlatModel
    kernels: tuple[KernelFacts, ...]
    found: FileLayers


def file_layer_rows(
    tflite: TFLiteModel, model: Any, source: reports.SourceModel, data: BoundData | None, seed: int
) -> LayerRows:
    """Find what became of each layer in the file.

    Args:
        tflite: the file.
        model: what was exported.
        source: the model as it came: rows go by the names of its layers.
        data: samples are drawn of it; None: they are random.
        seed: draws them.
    """
    from tfcompress.diagnosis.file_layers import file_layers
    from tfcompress.diagnosis.two_sides import SAMPLES
    from tfcompress.models.specs import random_inputs
    from tfcompress.tflite.flatbuffer import read_model_file
    from tfcompress.tflite.weights import facts

    flat = read_model_file(tflite.content)
    kernels = facts(flat.subgraphs)
    if data is None:
        drawn = random_inputs(tflite.signature, SAMPLES, seed, ranges=tflite.input_ranges)
    else:
        drawn = data.representative(SAMPLES, seed)
    names = (tflite.verification.tensor_names or flat.tensor_names)[0]
    known = [layer.name for layer in source.layers]
    return LayerRows(flat, kernels, file_layers(tflite.content, kernels, model, drawn, names=names, known=known))


def metadata(recipe: Recipe, data: BoundData | None) -> dict[str, Any]:
    """Return what is put into the .tflite itself: who made it, how, and how its inputs are to be prepared.

    Every byte of it is in the file, so that what goes without saying is left out: default settings of this version,
    labels that nobody named, preprocessing that does nothing.
    """
    described = {} if data is None else data.describe()
    labels, prepared = list(described.get("labels") or ()), described.get("preprocessing") or {}
    told: dict[str, Any] = {"tool": "tfcompress", "version": __version__, "recipe": recipe.to_dict(defaults=False)}
    if labels:
        told["labels"] = labels
    if any(prepared.values()):
        told["preprocessing"] = prepared
    return told


def report(
    *,
    recipe: Recipe,
    loaded: Loaded,
    source: reports.SourceModel,
    data: BoundData | None,
    trained: Trained | None,
    baseline: FloatFile | None,
    tflite: TFLiteModel,
    scores: Mapping[str, Evaluation],
    layers: LayerRows,
    wall_seconds: Mapping[str, float],
    notes: Sequence[str],
    float_data: BoundData | None = None,
) -> reports.Report:
    """Put the report together; without scores the result is compared with the float file, where there are samples.

    What is not said goes without it; *float_data* is the data as the float file takes it, where that is otherwise.
    """
    likeness = None
    scored = {name: found.score for name, found in scores.items()}
    if data is not None and baseline is not None and (not scores or _by_likeness(data)):
        from tfcompress.tflite.likeness import likeness_to_float

        likeness = likeness_to_float(
            baseline.content, tflite.content, data, float_data=float_data, seed=recipe.train.seed
        )
        same = {**likeness, "outputs": [{**each, "cosine": each["cosine"] and 1.0} for each in likeness["outputs"]]}
        for name, found in (("float", same), ("result", likeness)):
            score = _with_likeness(data, scored.get(name), found)
            scored |= {} if score is None else {name: score}
    before = None if baseline is None else _baseline(baseline, scored.get("float"))
    after = _result(recipe, loaded, trained, tflite, scored.get("result"), likeness, layers)
    return reports.Report(
        tool_version=__version__,
        created_utc=facts.now_utc(),
        recipe_name=recipe.name,
        recipe=recipe.to_dict(),
        seeds={"seed": recipe.train.seed},
        versions=facts.versions(),
        machine=facts.machine(),
        source=source,
        result=after,
        engine=trained.engine if trained else "",
        data=None if data is None else data.describe(),
        training=None if trained is None else _training(trained, recipe),
        baseline=before,
        comparison=reports.comparison_of(
            source, before, after, main=_difference(data, scores), outputs=_differences(data, scores)
        ),
        wall_seconds=dict(wall_seconds),
        warnings=tuple(notes),
    )


def _by_likeness(data: BoundData) -> dict[str, Task]:
    """Return the tasks of outputs, by name, whose scores say how alike a file and the float file answer."""
    return {name: task for name, task in {**data.said_tasks, **data.tasks}.items() if task.by_likeness}


def _with_likeness(data: BoundData, score: Score | None, likeness: Mapping[str, Any]) -> Score | None:
    """Return a score with how alike a file answers to the float file, for the tasks that report it."""
    tasks, several = _by_likeness(data), len(data.signature.outputs) > 1
    known = dict(score.outputs) if score is not None and several else {} if score is None else {"": score}
    for each in likeness["outputs"]:
        task = tasks.get(each["name"]) or (next(iter(tasks.values())) if tasks and not several else None)
        name = each["name"] if several else ""
        found = None if task is None else task.alike(known.get(name), each, likeness["samples"])
        known |= {} if found is None else {name: found}
    if not known:
        return score
    first = next(iter(known.values()))
    return replace(first, outputs=known) if several else first


def describe_source(loaded: Loaded, *, trust: bool, custom: Sequence[str]) -> reports.SourceModel:
    """Return what the report says of the model as it came, and of how it was loaded."""
    path = Path(loaded.source)
    known = path.exists()
    costs = _profile(loaded)
    return reports.SourceModel(
        name=path.name,
        writer=loaded.writer,
        writer_version=loaded.writer_version,
        sha256=loaded.sha256,
        size_bytes=path.stat().st_size if known and path.is_file() else None,
        trust=trust,
        custom=tuple(custom),
        **costs,
    )


def _profile(loaded: Loaded) -> dict[str, Any]:
    """Return parameters, MACs and layers; nothing for a SavedModel, whose layers are not known."""
    if loaded.saved_model is not None:
        return {}
    if loaded.tflite is not None:
        return _file_profile(loaded.tflite.content)
    from tfcompress.models.profile import profile

    model = loaded.native
    if loaded.qat and loaded.writer == "keras3":
        from tfcompress.quantization.baking import baked, is_fake_quant

        model = baked(model) if is_fake_quant(model) else model
    found = profile(model, distinct=True)
    layers = tuple(
        reports.Layer(
            name=layer.name,
            type=layer.type,
            output_shape=tuple(layer.output_shape),
            parameters=layer.parameters,
            nonzero=layer.nonzero,
            macs=layer.macs,
            dtype=layer.dtype,
            distinct=layer.distinct,
            bits=layer.bits,
            size_bytes=layer.size_bytes,
        )
        for layer in found.layers
    )
    return {
        "parameters": found.parameters,
        "nonzero": found.nonzero,
        "macs": found.macs,
        "not_counted": tuple(found.not_counted),
        "layers": layers,
    }


def _file_profile(content: bytes) -> dict[str, Any]:
    """Return parameters and MACs of a float file; its ops belong to layers that nobody knows."""
    from tfcompress.tflite.flatbuffer import read_model_file

    flat = read_model_file(content)
    return {"parameters": flat.parameters, "nonzero": flat.nonzero, "macs": flat.macs}


def _baseline(file: FloatFile, score: Score | None) -> reports.Baseline:
    return reports.Baseline(
        size_bytes=file.size_bytes,
        gzip_bytes=file.gzip_bytes,
        sha256=file.sha256,
        score=score or (file.score.score if file.score else None),
    )


def _result(
    recipe: Recipe,
    loaded: Loaded,
    trained: Trained | None,
    tflite: TFLiteModel,
    score: Score | None,
    likeness: Mapping[str, Any] | None,
    layers: LayerRows,
) -> reports.ResultFile:
    flat, kernels, name = layers.flat, layers.kernels, tflite_name(loaded, recipe)
    entropies = [kernel.entropy_bytes for kernel in kernels if kernel.entropy_bytes is not None]
    return reports.ResultFile(
        name=name,
        sha256=tflite.sha256,
        size_bytes=tflite.size_bytes,
        gzip_bytes=tflite.gzip_bytes,
        quantize=recipe.export.quantize,
        parameters=flat.parameters,
        nonzero=flat.nonzero,
        macs=flat.macs,
        kernels_bytes=sum(kernel.size_bytes for kernel in kernels),
        kernels_entropy_bytes=sum(entropies) if len(entropies) == len(kernels) else None,
        score=score,
        operators=flat.op_counts,
        verification=tflite.verification.to_dict()
        | _known(macs_note=flat.macs_note, likeness=likeness, lookup=lookup_facts(tflite.lookup, name))
        | _known(streaming=streaming_facts(tflite.streaming, name)),
        runtimes=tuple(
            reports.Runtime(
                runtime=verdict.runtime,
                version=verdict.version,
                verdict=verdict.verdict,
                how=verdict.how,
                reason=verdict.reason,
            )
            for verdict in tflite.verification.runtimes
        ),
        promises=tuple(
            reports.PromiseRecord(layer=p.layer, what=p.what, asked=p.asked, got=p.got)
            for p in (() if trained is None else trained.promises)
        ),
        layers=layers.found.rows,
        layers_note=layers.found.note,
    )


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def tflite_name(loaded: Loaded, recipe: Recipe) -> str:
    """Return the file's name, ``<model>-<recipe>.tflite``."""
    path = Path(loaded.source)
    stem = path.stem if path.suffix in (".h5", ".hdf5", ".keras", ".tflite") else path.name
    return f"{stem or 'model'}-{recipe.name}.tflite"


def _training(trained: Trained, recipe: Recipe) -> reports.TrainingRecord:
    training = trained.training
    names = list(dict.fromkeys(name for row in training.history for name in row))
    resumed = [f"went on after epoch {training.resumed_at} of a run that was stopped"] if training.resumed_at else []
    return reports.TrainingRecord(
        epochs=recipe.train.epochs,
        samples=training.samples,
        history={name: tuple(row.get(name) for row in training.history) for name in names},
        wall_seconds=training.seconds,
        notes=(f"loss: {training.loss}", *training.notes, *resumed, *trained.notes),
    )


def _difference(data: BoundData | None, scores: Mapping[str, Evaluation]) -> Difference | None:
    """Test the result against the float file on the same samples, where both were scored."""
    if data is None or not {"float", "result"} <= set(scores):
        return None
    return next(iter(data.tasks.values())).compare(scores["float"], scores["result"])


def _differences(data: BoundData | None, scores: Mapping[str, Evaluation]) -> dict[str, Difference]:
    """Test each output of several; see :func:`_difference`."""
    if data is None or not {"float", "result"} <= set(scores):
        return {}
    before, after = scores["float"].outputs, scores["result"].outputs
    found = {name: task.compare(before[name], after[name]) for name, task in data.tasks.items() if name in before}
    return {name: difference for name, difference in found.items() if difference is not None}


def write_output(
    folder: Path,
    made: reports.Report,
    tflite: TFLiteModel,
    recipe: Recipe,
    data: BoundData | None,
    log: Path | None,
    *,
    test_samples: int | None,
    vocabularies: Mapping[str, Sequence[str]] | None = None,
    package: bytes | None = None,
    pictures: Pictures | None = None,
) -> reports.Report:
    """Write the output folder: the file, the recipe, the report (JSON and HTML), test samples and the log.

    Args:
        folder: where to write.
        made: the report.
        tflite: the file.
        recipe: what was run.
        data: test samples of it are written for edge_runner; None: none.
        log: what libraries printed; None: no log.
        test_samples: how many of them, whatever their size; None: at most :data:`RUNNER_SAMPLES`, and as many as fit
            into :data:`~tfcompress.data.runner_file.MOST_BYTES`.
        vocabularies: words that the device has to look up by its own means, by the name of the file's input, or of the
            layer that stood before it: each becomes ``NAME.vocabulary.txt``, a word a line in the order of its number.
        package: the file in fewer bytes, written beside it; None: it is not.
        pictures: what a page of several runs shows of this one beside its report; None: nothing is kept for that.

    Returns:
        The report as it was written.

    Raises:
        OutputError: a file cannot be written.
    """
    from tfcompress.reports.html import to_html
    from tfcompress.reports.pictures import NAME as PICTURES

    tflite.save(folder / made.result.name)
    if package is not None:
        files.write_atomic((folder / made.result.name).with_suffix(".tfz"), package)
        made = replace(made, result=replace(made.result, package_bytes=len(package)))
    write_companions(folder / made.result.name, tflite)
    if recipe.export.c_array:
        write_firmware(folder / "firmware", made.result.name, tflite, data, recipe.train.seed)
    for name, words in (vocabularies or {}).items():
        lines = (word.replace("\\", r"\\").replace("\n", r"\n") for word in words)
        files.write_atomic(folder / f"{name.replace('/', '_')}.vocabulary.txt", "".join(f"{line}\n" for line in lines))
    files.write_atomic(folder / "recipe.toml", recipe.to_toml())
    if data is not None and data.test is not None:
        score = made.result.score
        told = data if score is None else data.with_tasks(_as_scored(data, score))
        _write_test_samples(folder / "test-samples.npz", told, test_samples, recipe.export.io_dtype)
    if log is not None and log.is_file():
        with files.output_errors(folder / "log.txt"):
            shutil.copyfile(log, folder / "log.txt")
    if pictures is not None:
        files.write_atomic(folder / PICTURES, pictures.to_json())
    files.write_atomic(folder / "report.html", to_html(made))
    made.save(folder / "report.json")
    return made


def _as_scored(data: BoundData, score: Score) -> dict[str, Task]:
    """Return tasks that score a part of the test split by the figures that the whole of it was scored by."""
    found = score.outputs or dict.fromkeys(data.tasks, score)
    return {name: task.as_scored(found[name]) for name, task in data.tasks.items() if name in found}


def _write_test_samples(path: Path, data: BoundData, count: int | None, input_dtype: str | None) -> None:
    if count is None:
        data.write_for_runner(path, RUNNER_SAMPLES, input_dtype=input_dtype)
    else:
        data.write_for_runner(path, count, most_bytes=None, input_dtype=input_dtype)
