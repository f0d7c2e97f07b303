"""Where data comes from: one function that understands every kind of source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfcompress.data import class_names, decoding, folder_kinds, hidden, npz, online, reading, records, sessions, tables
from tfcompress.data.arrays import ALL, SPLITS, flattened, splits_of, stored_names
from tfcompress.data.class_names import Named
from tfcompress.data.dataset import Dataset
from tfcompress.data.folders import check_name
from tfcompress.data.objects import SPLIT_NAMES, made, splits_of_object
from tfcompress.data.preprocessing import Preprocessing, import_function
from tfcompress.data.reading import Reading
from tfcompress.data.streams import TfSplit
from tfcompress.data.task_member import labelling_in
from tfcompress.data.windows import WindowedSplit
from tfcompress.errors import DataError, UsageError
from tfcompress.tasks.labelling import SAID, UNSAID, labelling_of, said_plainly
from tfcompress.tasks.task_table import check_said

POSSIBLE = (
    "an .npz file, a folder of class folders with images or .wav files, a folder of images/ and masks/, a .csv or "
    ".parquet file (or a folder with train.csv and test.csv), .tfrecord files with --features, module:function, "
    "keras:NAME or tfds:NAME"
)


def load_data(
    spec: Any,
    *,
    label: str | Sequence[str] | None = None,
    features: str | Path | None = None,
    classes: str | Path | Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    task: Any = None,
    metrics: Any = (),
    main_metric: str | None = None,
    main_output: str | None = None,
    ignore_label: int | None = None,
    windows_of: int | None = None,
    window: int | None = None,
    stride: int | None = None,
    group: str | None = None,
    vocabulary: str | Path | None = None,
    skip_corrupt: bool | None = None,
) -> Dataset:
    """Open a data set; nothing large is read yet.

    Args:
        spec: a path or name, one of :data:`POSSIBLE`; or in Python whatever ``keras.Model.fit`` takes: ``x``,
            ``(x, y)``, ``(x, y, sample_weight)``, each part an array, a dict by name or a list in the model's order; a
            ``tf.data.Dataset``, ``PyDataset`` or generator function of those; ``((x, y), (x, y))`` for train and test;
            a dict of splits ``{"train": (x, y), "test": …}`` or of arrays called ``x_train``, ``y_train``,
            ``sample_weight_train``, ``x_test``, … (or ``x``, ``y``); a dict of inputs by the model's names; or what
            this function gave before.
        label: label column of a table; several: a list of them, or separated by commas.
        features: TOML file that says what TFRecord files hold; see :mod:`tfcompress.data.records`.
        classes: names of the classes in the order of the model's outputs, or a file with one a line; None: those that
            the data holds (``labels`` in an ``.npz``), else alphabetical, which is said.
        preprocessing: what is done to the inputs; None: nothing.
        task: what the labels mean, where labels and model don't show it: a name of
            :data:`tfcompress.tasks.task_table.TASKS`, ``module:object`` or a :class:`~tfcompress.tasks.task.Task`; for
            several outputs a dict of those by output, or ``OUTPUT=NAME`` in a list.
        metrics: figures besides the task's own, likewise: of Keras (:data:`tfcompress.tasks.metric.KERAS_METRICS`) by
            name, ``module:function``, or a function of outputs and labels.
        main_metric: the figure that is compared; None: the task's first.
        main_output: the output whose figures are compared; None: the first.
        ignore_label: the label of what does not count; None: what the task says.
        windows_of: so many samples in a row are the windows of one clip, and scored together.
        window: rows of a table or array that make a sample (of a recording: samples that preprocessing gets).
        stride: rows between the starts of two windows; None: as many as a window has.
        group: the column (or array beside ``x``) that says which rows belong together, a session or a person: no window
            crosses it, and no group lies in two splits.
        vocabulary: file with a word a line, which numbers the words of text columns.
        skip_corrupt: leave out samples that cannot be read, or hold NaN, and say which; None or False: the first is an
            error.

    Raises:
        DataError: no such data, or it cannot be read; a class that is not among *classes*.
        UsageError: an option given for data that has no use for it; invalid *classes*; a task or metric that there is
            not.
        MissingDependencyError: Parquet or tfds without their package.
    """
    said = labelling_of(
        task=task,
        metrics=metrics,
        main_metric=main_metric,
        main_output=main_output,
        ignore_label=ignore_label,
        windows_of=windows_of,
    )
    check_said(said)
    if isinstance(spec, Dataset):
        _refuse_for_opened(label, features, classes, preprocessing, window, stride, group, vocabulary, skip_corrupt)
        if said == UNSAID:
            return spec
        if spec.reading is None:
            return replace(spec, labelling=said)
        kept = {name: value for name, value in spec.reading.items() if name not in SAID}
        return replace(spec, labelling=said, reading=kept | said_plainly(said))
    how = Reading(
        reading.label_columns(label), _path(features), window, stride, group, _path(vocabulary), bool(skip_corrupt)
    )
    opened = _opened(spec, classes, preprocessing or Preprocessing(), how)
    told = None
    if isinstance(spec, str | Path):
        told = {**how.plain(), **class_names.plain_classes(classes), **said_plainly(said)}
    return replace(opened, labelling=said.over(opened.labelling), reading=told)


def _opened(spec: Any, classes: str | Path | Sequence[str] | None, steps: Preprocessing, how: Reading) -> Dataset:
    given = class_names.read_class_names(classes)
    if not isinstance(spec, str | Path):
        how.check_kind(reading.ARRAYS, "arrays")
        return _from_object(spec, "arrays in memory", steps, given, how)
    path = Path(spec)
    try:
        if path.exists():
            check_name(path)
            return _from_path(path, how, steps, given)
    except OSError as error:
        msg = f"data {str(path)!r} cannot be read: {error.strerror or error}"
        raise DataError(msg) from error
    return _from_name(str(spec), steps, given, how)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _refuse_for_opened(*options: object) -> None:
    """Refuse options for a data set that was opened without them."""
    if any(option is not None for option in options):
        msg = (
            "this data set is open already; give label, features, classes, preprocessing and the rest where it is "
            "opened"
        )
        raise UsageError(msg)


def _from_name(spec: str, steps: Preprocessing, given: Sequence[str], how: Reading) -> Dataset:
    kind, colon, name = spec.partition(":")
    how.check_kind(reading.NAMED if kind in ("keras", "tfds") else reading.ARRAYS, repr(spec))
    if kind == "keras" and colon:
        return _from_object(online.load_keras(name), spec, steps, given, how)
    if kind == "tfds" and colon:
        parts, names = online.load_tfds(name)
        if given and names and tuple(given) != names:
            msg = f"data {spec!r} numbers its classes itself: {class_names.numbered(names)}; leave --classes out"
            raise UsageError(msg)
        splits = {
            SPLIT_NAMES[key]: TfSplit(part, f"{spec} {key}", resize=True)
            for key, part in parts.items()
            if key in SPLIT_NAMES
        }
        return _dataset(spec, Named({**splits}, names or tuple(given)), steps, how)
    if colon and name and "/" not in spec:
        function = import_function(spec, "data")
        return _from_object(function, spec, steps, given, how)
    msg = f"data {spec!r} does not exist; give {POSSIBLE}"
    raise DataError(msg)


def _dataset(source: str, named: Named, steps: Preprocessing, how: Reading, files: tuple[Path, ...] = ()) -> Dataset:
    return Dataset(
        source,
        named.splits,
        steps,
        named.names,
        files,
        named.warnings,
        named.notes,
        how.skip_corrupt,
        alphabetical=named.alphabetical,
        named=named.outputs,
    )


def _from_path(path: Path, how: Reading, steps: Preprocessing, given: Sequence[str]) -> Dataset:
    if not (path.is_file() or path.is_dir()):
        msg = f"data {str(path)!r} is neither a file nor a folder, but a pipe or a device; give {POSSIBLE}"
        raise DataError(msg)
    found = _tables(path)
    for child in found.values():
        check_name(child)
    what = repr(str(path))
    if found:
        how.check_kind(reading.TABLE, what)
        files = (*found.values(), *([how.vocabulary] if how.vocabulary else []))
        return _dataset(str(path), tables.open_tables(found, how, given), steps, how, files)
    record_files = _records(path)
    if record_files:
        how.check_kind(reading.RECORDS, what)
        return _from_records(path, record_files, how, steps, given)
    if path.is_dir():
        named, files = folder_kinds.open_folder(path, given, how, computed=bool(steps.function))
        return _dataset(str(path), named, steps, how, files)
    how.check_kind(reading.ARRAYS, what)
    if path.suffix != ".npz" and not _is_zip(path):
        msg = f"data {str(path)!r} is of no kind that is known; give {POSSIBLE}"
        raise DataError(msg)
    members = npz.read_members(path)
    splits = splits_of(members, str(path))
    if how.group is not None:
        splits = sessions.with_groups(splits, members, how.group, str(path))
    named = class_names.coded(splits, given, stored_names(members), str(path))
    opened = _dataset(str(path), _windowed(named, how), steps, how, (path,))
    return replace(opened, labelling=labelling_in(members))


def _windowed(named: Named, how: Reading) -> Named:
    """Cut arrays into windows, where that was asked for."""
    if how.window is None:
        return named
    stride = how.stride or how.window
    return replace(named, splits={key: WindowedSplit(part, how.window, stride) for key, part in named.splits.items()})


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PK\3\4"


def _tables(path: Path) -> dict[str, Path]:
    """Return the table files at *path* by split; empty when it holds none."""
    if path.is_file():
        return {ALL: path} if path.name.endswith((*tables.SUFFIXES, ".txt")) else {}
    found: dict[str, Path] = {}
    for child in sorted(path.iterdir()):
        stem = child.name.split(".")[0]
        if child.is_file() and child.name.endswith(tables.SUFFIXES) and stem in SPLIT_NAMES:
            name = SPLIT_NAMES[stem]
            if name in found:
                msg = f"data {str(path)!r} holds {found[name].name} and {child.name}, both for {name}; keep one of them"
                raise DataError(msg)
            found[name] = child
    return found


def _records(path: Path) -> dict[str, tuple[Path, ...]]:
    """Return the TFRecord files at *path* by split: those whose names start with the split's, else all as one."""
    if path.is_file():
        return {ALL: (path,)} if ".tfrecord" in path.name else {}
    files = sorted(
        child
        for child in path.iterdir()
        if child.is_file() and ".tfrecord" in child.name and not hidden.is_hidden(child.name)
    )
    named = {name: tuple(file for file in files if file.name.startswith(name)) for name in SPLITS}
    splits = {name: members for name, members in named.items() if members}
    return splits or ({ALL: tuple(files)} if files else {})


def _from_records(
    path: Path,
    files: Mapping[str, tuple[Path, ...]],
    how: Reading,
    steps: Preprocessing,
    given: Sequence[str],
) -> Dataset:
    if how.features is None:
        msg = f"data {str(path)!r} needs --features FILE.toml to say what the records hold ([features.NAME], [label])"
        raise DataError(msg)
    description = records.read_description(how.features)
    splits = {name: records.RecordSplit(members, description, tuple(given)) for name, members in files.items()}
    everything = tuple(file for members in files.values() for file in members)
    for file in everything:
        check_name(file)
    encoded = (decoding.NOTE,) if any(feature.kind == "image" for feature in description.inputs) else ()
    named = Named({**splits}, tuple(given), notes=(*class_names.said(given), *encoded))
    return _dataset(str(path), named, steps, how, everything)


def _from_object(value: Any, source: str, steps: Preprocessing, given: Sequence[str], how: Reading) -> Dataset:
    stored: tuple[str, ...] = ()
    value = made(value, source)
    if isinstance(value, Mapping) and "labels" in value:
        stored = stored_names(flattened({"labels": value["labels"]}))
    splits = splits_of_object(value, source)
    if how.group is not None:
        beside = value if isinstance(value, Mapping) else {}
        arrays = {str(key): part for key, part in beside.items() if str(key).startswith(how.group)}
        splits = sessions.with_groups(splits, flattened(arrays), how.group, source)
    return _dataset(source, _windowed(class_names.coded(splits, given, stored, source), how), steps, how)
