"""Teachers and students out of files: loaded as the model is, compared with it, and refused before any training.

A teacher of Keras's, or a SavedModel, is computed in the training step; a TFLite file runs in a child process. What is
prepared by the user's function, or known already by the bytes of its input, is handed into the step from outside.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress import files
from tfcompress.data.class_names import LISTED
from tfcompress.errors import DataError, ModelError, UnsupportedError
from tfcompress.models.fingerprints import code_sha256, library_versions, model_sha256, own_classes
from tfcompress.models.own_code import own_code_sha256
from tfcompress.models.probing import probe
from tfcompress.models.specs import Signature, TensorSpec, random_inputs
from tfcompress.references import imported
from tfcompress.tasks.yes_no import in_unit_interval

if TYPE_CHECKING:
    from tfcompress.distillation.kept_answers import KeptAnswers
    from tfcompress.distillation.teacher import Teacher

PROBED = 64
"""Random samples by which a teacher's outputs are recognized as probabilities, where there are no others."""


@dataclass(frozen=True)
class OutsideModel:
    """A model out of a file that others learn from.

    Attributes:
        name: its path, or the name of an object.
        signature: what it takes and gives.
        run: runs it on arrays by the names of its inputs; gives what it makes of them, in its order.
        key: hash of all that its answers depend on; empty where some of that is not known.
        native: the model as it was loaded, to be called in a step; None: it runs elsewhere.
        graph: its Keras 3 graph; None: it has none.
        classes: names of its classes in the order of its outputs, where it names them.
        close: lets go of what it holds.
    """

    name: str
    signature: Signature
    run: Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]
    key: str = ""
    native: Any = None
    graph: Any = None
    classes: tuple[str, ...] = ()
    close: Callable[[], None] = field(default=lambda: None)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it takes."""
        return self.signature.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it gives."""
        return self.signature.outputs


def open_model(source: Any, loading: Mapping[str, Any]) -> OutsideModel:
    """Load a teacher.

    Args:
        source: the path of a Keras file, a SavedModel or a ``.tflite``; a model object, or what ``load_model`` gave.
        loading: ``trust``, ``custom`` and ``limits`` of :func:`tfcompress.models.loading.load_model`.

    Raises:
        ModelError: not a model that can be read.
        UntrustedCodeError: the file holds code.
    """
    if isinstance(source, str | Path) and probe(Path(source)).kind == "tflite":
        return _open_tflite(Path(source))
    from tfcompress.models.loading import load_model
    from tfcompress.models.signature import call, check_finite, signature_of

    loaded = load_model(source, **loading)
    check_finite(loaded.native)
    graph = None
    if not loaded.refusal:
        try:
            graph = loaded.keras3
        except UnsupportedError:  # a tf_keras model that Keras 3 cannot build: its outputs can be learnt from
            graph = None
    native = loaded.native if graph is None else graph

    def run(inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return list(call(native, inputs).values())

    signature = signature_of(native)
    key = _key(loaded.native, loaded.sha256, loading.get("custom", ()))
    return OutsideModel(loaded.source, signature, run, key, native, graph)


def _open_tflite(path: Path) -> OutsideModel:
    from tfcompress.tflite.interpret import InterpreterProcess
    from tfcompress.tflite.pack import read_metadata

    content = path.read_bytes()
    told = (read_metadata(content) or {}).get("labels") or ()
    classes = tuple(name for name in told if isinstance(name, str)) if isinstance(told, list) else ()
    process = InterpreterProcess(content, refusal=ModelError)
    names = [spec.name for spec in process.signature.outputs]

    def run(inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found = process.run(inputs)
        return [found[name] for name in names]

    key = _hash_of(files.sha256(content))
    return OutsideModel(str(path), process.signature, run, key, classes=classes, close=process.close)


def _key(model: Any, sha256: str | None, custom: Sequence[str]) -> str:
    """Return a hash of a model, the versions that compute it, and what the user named; empty: it runs other code, too.

    Args:
        model: of either Keras, or the path of a SavedModel, which holds all that it computes.
        sha256: of its file; None: it is an object.
        custom: as for :func:`tfcompress.models.loading.load_model`.
    """
    if isinstance(model, str | Path):
        return _hash_of(sha256)
    if own_classes(model, itself=True):
        return ""
    return _hash_of(sha256 or model_sha256(model), own_code_sha256(model), *map(code_sha256, custom))


def _hash_of(*parts: str | None) -> str:
    return files.sha256(json.dumps([library_versions(), *parts], sort_keys=True).encode())


@dataclass(frozen=True)
class Schooling:
    """What a teacher is given about the model that learns.

    Attributes:
        signature: of that model.
        inputs: samples as it takes them, by name; None: random ones are drawn.
        labels: names of the classes in the order of its outputs; empty: they are called by their numbers.
        preprocess: ``module:function`` that makes the teachers' batch of the model's; empty: they take the same.
        classes: names of the classes in the order of the teachers' outputs; empty: nobody said.
        keep: folder for answers that are computed once for each sample; None: they are computed in each step.
    """

    signature: Signature
    inputs: Mapping[str, np.ndarray] | None = None
    labels: Sequence[str] = ()
    preprocess: str = ""
    classes: tuple[str, ...] = ()
    keep: Path | None = None


@dataclass(frozen=True)
class Engaged:
    """A teacher that fits.

    Attributes:
        teacher: as the training takes it.
        outputs: what it made of the samples, in the model's order of classes; by the model's names of outputs.
        notes: what was found out about it, a line each.
        close: lets go of what it holds.
    """

    teacher: Teacher
    outputs: Mapping[str, np.ndarray]
    notes: tuple[str, ...]
    close: Callable[[], None]


Prepare = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
"""From a batch by the model's names of inputs to one by the teacher's."""


def engage(source: Any, loading: Mapping[str, Any], about: Schooling) -> Engaged:
    """Load a teacher and see that it fits.

    Args:
        source: as for :func:`open_model`.
        loading: likewise.
        about: what it is to teach.

    Raises:
        DataError: it takes or gives something else than the model does, or its classes are not the model's.
        UsageError: no such function to prepare its inputs.
    """
    opened = open_model(source, loading)
    try:
        return _engaged(opened, about)
    except BaseException:  # Ctrl-C, too: no child is left behind
        opened.close()
        raise


def _engaged(opened: OutsideModel, about: Schooling) -> Engaged:
    from tfcompress.distillation.teacher import (
        OutputForm,
        TeacherInStep,
        TeacherKept,
        TeacherOfPrepared,
        TeacherOutside,
    )

    prepare = _preparation(opened, about)
    drawn = about.inputs if about.inputs is not None else random_inputs(about.signature, PROBED, seed=0)
    prepared = prepare(drawn)
    given = opened.run(prepared)
    _check_outputs(opened, about.signature, given)
    order = _class_order(opened, about)
    orders = [order if len(order) == x.shape[-1] else () for x in given]
    forms = [OutputForm(in_unit_interval(x), each) for x, each in zip(given, orders, strict=True)]
    aligned = [x[..., list(each)] if each else x for x, each in zip(given, orders, strict=True)]
    outputs = {spec.name: x for spec, x in zip(about.signature.outputs, aligned, strict=True)}
    specs = [TensorSpec(spec.name, x.shape[1:], "float32") for spec, x in zip(opened.outputs, given, strict=True)]
    notes = (f"teacher {opened.name!r} gives the classes in another order: put into the model's",) if order else ()
    kept = None
    if about.keep is not None and _can_be_kept(opened.key, opened.outputs):
        kept = _kept(opened.key, opened.outputs, about.keep, about.preprocess)
    inner = () if kept else forms
    if opened.native is None:
        teacher: Teacher = TeacherOutside(lambda x: opened.run(prepare(x)), specs, opened.name, inner)
    elif about.preprocess:
        ready = [TensorSpec(spec.name, prepared[spec.name].shape[1:], spec.dtype) for spec in opened.inputs]
        in_step = TeacherInStep(opened.native, opened.name, graph=opened.graph)
        teacher = TeacherOfPrepared(in_step, prepare, ready, inner)
    else:
        teacher = TeacherInStep(opened.native, opened.name, inner, opened.graph)
    if kept is None:
        return Engaged(teacher, outputs, notes, opened.close)

    def close() -> None:
        kept.close()
        opened.close()

    return Engaged(TeacherKept(teacher, kept, specs, forms), outputs, notes, close)


def _preparation(opened: OutsideModel, about: Schooling) -> Prepare:
    """Return what makes a teacher's batch of the model's, refused where it does not take that."""
    from tfcompress.models.samples import by_input_name

    function = imported(about.preprocess, "--teacher-preprocess", what="function") if about.preprocess else None
    wanted = [spec.name for spec in opened.inputs]

    def prepare(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        given: Any = inputs
        if function is not None:
            given = _called(function, about.preprocess, inputs)
        if isinstance(given, Mapping) and len(given) == 1 == len(wanted):
            given = next(iter(given.values()))
        try:
            return by_input_name(given, opened.inputs)
        except DataError as error:
            told = "what --teacher-preprocess gives does not fit" if function else "the model's inputs do not fit it"
            remedy = "" if function else "; make what it takes by --teacher-preprocess module:function"
            msg = f"teacher {opened.name!r}: {told}: {error}{remedy}"
            raise DataError(msg) from error

    return prepare


def _called(function: Callable[[Any], Any], name: str, inputs: Mapping[str, np.ndarray]) -> Any:
    given = dict(inputs) if len(inputs) > 1 else next(iter(inputs.values()))
    try:
        made = function(given)
        return {key: np.asarray(x) for key, x in made.items()} if isinstance(made, Mapping) else np.asarray(made)
    except Exception as error:  # the user's function may fail in any way
        shapes = ", ".join(str(np.shape(x)) for x in inputs.values())
        msg = f"--teacher-preprocess {name!r} failed on a batch of shape {shapes}: {type(error).__name__}: {error}"
        raise DataError(msg) from error


def _check_outputs(opened: OutsideModel, signature: Signature, given: Sequence[np.ndarray]) -> None:
    wanted = signature.outputs
    if len(given) != len(wanted):
        msg = f"teacher {opened.name!r} must have as many outputs as the model, {len(wanted)}, got {len(given)}"
        raise DataError(msg)
    for spec, values in zip(wanted, given, strict=True):
        shape = values.shape[1:]
        if len(shape) != len(spec.shape) or any(
            size not in (None, got) for size, got in zip(spec.shape, shape, strict=True)
        ):
            msg = (
                f"teacher {opened.name!r} must give output {spec.name!r} in the model's shape {spec.shape}, got {shape}"
                f"{_of_classes(spec.shape, shape)}"
            )
            raise DataError(msg)
        if not np.isfinite(values.astype(np.float32)).all():
            msg = f"teacher {opened.name!r} gives NaN or infinity in output {spec.name!r} for the model's samples"
            raise DataError(msg)


def _of_classes(wanted: Sequence[int | None], got: Sequence[int]) -> str:
    alike = len(wanted) == len(got) and got and wanted[:-1] == tuple(got[:-1])
    return f": {got[-1]} classes instead of {wanted[-1]}" if alike and (wanted[-1] or 0) > 1 else ""


def _class_order(opened: OutsideModel, about: Schooling) -> tuple[int, ...]:
    """Return, for each class of the model, its place among the teacher's; empty: the same order, as far as is known."""
    classes = about.classes or (opened.classes if about.labels else ())
    if not classes:
        return ()
    labels = tuple(about.labels) or tuple(map(str, range(len(classes))))
    if sorted(classes) != sorted(labels):
        strange = [name for name in classes if name not in labels]
        lacking = [name for name in labels if name not in classes]
        where = "--teacher-classes" if about.classes else "the file itself"
        msg = (
            f"teacher {opened.name!r} must have the model's {len(labels)} classes; by {where} it has {len(classes)}: "
            f"unknown {', '.join(strange[:LISTED]) or 'none'}, missing {', '.join(lacking[:LISTED]) or 'none'}"
        )
        raise DataError(msg)
    order = tuple(classes.index(name) for name in labels)
    return () if order == tuple(range(len(order))) else order


def _can_be_kept(key: str, outputs: Sequence[TensorSpec]) -> bool:
    return bool(key) and all(size is not None for spec in outputs for size in spec.shape)


def _kept(key: str, outputs: Sequence[TensorSpec], folder: Path, preprocess: str = "") -> KeptAnswers:
    from tfcompress.distillation.kept_answers import KeptAnswers

    told = [key, code_sha256(preprocess) if preprocess else ""]
    return KeptAnswers(folder / files.sha256(json.dumps(told).encode()), outputs)


def kept_own_teacher(model: Any, custom: Sequence[str], folder: Path) -> tuple[Teacher, Callable[[], None]] | None:
    """Return a Keras 3 model as a teacher whose answers are kept, and what lets go of them.

    Args:
        model: the model before compression.
        custom: as for :func:`tfcompress.models.loading.load_model`.
        folder: where answers are kept.

    Returns:
        None where its outputs have no fixed size, or layers of it run code that is not Keras's or ours.
    """
    from tfcompress.distillation.teacher import TeacherKept, own_teacher
    from tfcompress.models.signature import signature_of

    key, outputs = _key(model, None, custom), signature_of(model).outputs
    if not _can_be_kept(key, outputs):
        return None
    kept = _kept(key, outputs, folder)
    return TeacherKept(own_teacher(model), kept, outputs), kept.close
