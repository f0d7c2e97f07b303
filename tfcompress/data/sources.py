"""Where data comes from: one function that understands every kind of source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfcompress.data import images, npz, online, records, tables
from tfcompress.data.arrays import ALL, SPLITS, class_names, flattened, splits_of
from tfcompress.data.dataset import Dataset
from tfcompress.data.preprocessing import Preprocessing, import_function
from tfcompress.data.raw import RawSplit
from tfcompress.data.streams import TfSplit, is_tf_dataset
from tfcompress.errors import DataError, UsageError

POSSIBLE = (
    "an .npz file, a folder of class folders with images, a .csv or .parquet file (or a folder with train.csv and "
    "test.csv), .tfrecord files with --features, module:function, keras:NAME or tfds:NAME"
)


def load(
    spec: Any,
    *,
    label: str | None = None,
    features: str | Path | None = None,
    preprocessing: Preprocessing | None = None,
) -> Dataset:
    """Open a data set; nothing large is read yet.

    Args:
        spec: a path or name, one of :data:`POSSIBLE`; or in Python arrays ``(x, y)``, ``((x, y), (x, y))`` for train
            and test, a dict of arrays called ``x_train``, ``y_train``, ``x_test``, ``y_test`` (or ``x``, ``y``), a
            dict of splits ``{"train": (x, y), "test": …}``, or a ``tf.data.Dataset`` of (x, y).
        label: label column of a table, or several separated by commas.
        features: TOML file that says what TFRecord files hold; see :mod:`tfcompress.data.records`.
        preprocessing: what is done to the inputs; None: nothing.

    Raises:
        DataError: no such data, or it cannot be read.
        UsageError: *label* or *features* given for data that has no use for them.
        MissingDependencyError: Parquet or tfds without their package.
    """
    steps = preprocessing or Preprocessing()
    if isinstance(spec, Dataset):
        return spec
    if not isinstance(spec, str | Path):
        _refuse_options(label, features, "arrays")
        return _from_object(spec, "arrays in memory", steps)
    path = Path(spec)
    try:
        if path.exists():
            images.check_name(path)
            return _from_path(path, label, features, steps)
    except OSError as error:
        msg = f"data {str(path)!r} cannot be read: {error.strerror or error}"
        raise DataError(msg) from error
    _refuse_options(label, features, repr(str(spec)))
    return _from_name(str(spec), steps)


def _refuse_options(label: str | None, features: str | Path | None, what: str) -> None:
    if label is not None:
        msg = f"--label names the label column of a .csv or .parquet file, it has no meaning for {what}; leave it out"
        raise UsageError(msg)
    if features is not None:
        msg = f"--features says what .tfrecord files hold, it has no meaning for {what}; leave it out"
        raise UsageError(msg)


def _from_name(spec: str, steps: Preprocessing) -> Dataset:
    kind, colon, name = spec.partition(":")
    if kind == "keras" and colon:
        return _from_object(online.load_keras(name), spec, steps)
    if kind == "tfds" and colon:
        parts, names = online.load_tfds(name)
        splits = {
            images.SPLIT_FOLDERS[key]: TfSplit(part, f"{spec} {key}", resize=True)
            for key, part in parts.items()
            if key in images.SPLIT_FOLDERS
        }
        return Dataset(spec, splits, steps, names)
    if colon and name and "/" not in spec:
        return _from_object(_called(spec), spec, steps)
    msg = f"data {spec!r} does not exist; give {POSSIBLE}"
    raise DataError(msg)


def _called(spec: str) -> Any:
    function = import_function(spec, "data")
    try:
        return function()
    except Exception as error:
        msg = f"data {spec!r} failed: {type(error).__name__}: {error}"
        raise DataError(msg) from error


def _from_path(path: Path, label: str | None, features: str | Path | None, steps: Preprocessing) -> Dataset:
    if not (path.is_file() or path.is_dir()):
        msg = f"data {str(path)!r} is neither a file nor a folder, but a pipe or a device; give {POSSIBLE}"
        raise DataError(msg)
    found = _tables(path)
    for child in found.values():
        images.check_name(child)
    if found:
        _refuse_options(None, features, repr(str(path)))
        splits, names = tables.open_tables(found, label)
        return Dataset(str(path), splits, steps, names, tuple(found.values()))
    record_files = _records(path)
    if record_files:
        _refuse_options(label, None, repr(str(path)))
        return _from_records(path, record_files, features, steps)
    _refuse_options(label, features, repr(str(path)))
    if path.is_dir():
        image_splits, names, files = images.open_folder(path)
        return Dataset(str(path), image_splits, steps, names, files)
    if path.suffix != ".npz" and not _is_zip(path):
        msg = f"data {str(path)!r} is of no kind that is known; give {POSSIBLE}"
        raise DataError(msg)
    members = npz.read_members(path)
    return Dataset(str(path), splits_of(members, str(path)), steps, class_names(members), (path,))


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PK\3\4"


def _tables(path: Path) -> dict[str, Path]:
    """Return the table files at *path* by split; empty when it holds none."""
    if path.is_file():
        return {ALL: path} if path.name.endswith(tables.SUFFIXES) else {}
    found: dict[str, Path] = {}
    for child in sorted(path.iterdir()):
        stem = child.name.split(".")[0]
        if child.is_file() and child.name.endswith(tables.SUFFIXES) and stem in images.SPLIT_FOLDERS:
            name = images.SPLIT_FOLDERS[stem]
            if name in found:
                msg = f"data {str(path)!r} holds {found[name].name} and {child.name}, both for {name}; keep one of them"
                raise DataError(msg)
            found[name] = child
    return found


def _records(path: Path) -> dict[str, tuple[Path, ...]]:
    """Return the TFRecord files at *path* by split: those whose names start with the split's, else all as one."""
    if path.is_file():
        return {ALL: (path,)} if ".tfrecord" in path.name else {}
    files = sorted(child for child in path.iterdir() if child.is_file() and ".tfrecord" in child.name)
    named = {name: tuple(file for file in files if file.name.startswith(name)) for name in SPLITS}
    splits = {name: members for name, members in named.items() if members}
    return splits or ({ALL: tuple(files)} if files else {})


def _from_records(
    path: Path, files: Mapping[str, tuple[Path, ...]], features: str | Path | None, steps: Preprocessing
) -> Dataset:
    if features is None:
        msg = f"data {str(path)!r} needs --features FILE.toml to say what the records hold ([features.NAME], [label])"
        raise DataError(msg)
    description = records.read_description(Path(features))
    splits = {name: records.RecordSplit(members, description) for name, members in files.items()}
    everything = tuple(file for members in files.values() for file in members)
    for file in everything:
        images.check_name(file)
    return Dataset(str(path), splits, steps, files=everything)


def _from_object(value: Any, source: str, steps: Preprocessing) -> Dataset:
    if isinstance(value, Mapping) and not (value and all(key in images.SPLIT_FOLDERS for key in value)):
        members = flattened({str(key): part for key, part in value.items()})
        return Dataset(source, splits_of(members, source), steps, class_names(members))
    return Dataset(source, _splits_of_object(value, source), steps)


def _splits_of_object(value: Any, source: str) -> dict[str, RawSplit]:
    if is_tf_dataset(value):
        return {ALL: TfSplit(value, source)}
    if isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(part, tuple) for part in value):
        value = dict(zip(("train", "test"), value, strict=True))
    if isinstance(value, tuple) and len(value) == 2:
        return splits_of(flattened({"x": value[0], "y": value[1]}), source)
    if isinstance(value, Mapping):
        return _splits_by_name(value, source)
    if hasattr(value, "__array__"):
        return splits_of(flattened({"x": value}), source)
    msg = (
        f"data must be arrays (x, y), a dict of them (x_train, y_train, ...) or of splits, or a tf.data.Dataset, "
        f"got {type(value).__name__} from {source}"
    )
    raise DataError(msg)


def _splits_by_name(value: Mapping[str, Any], source: str) -> dict[str, RawSplit]:
    splits: dict[str, RawSplit] = {}
    arrays: dict[str, Any] = {}
    for key, part in value.items():
        name = images.SPLIT_FOLDERS[key]
        if is_tf_dataset(part):
            splits[name] = TfSplit(part, f"{source} {name}")
        elif isinstance(part, tuple) and len(part) == 2:
            arrays |= {f"x_{name}": part[0], f"y_{name}": part[1]}
        else:
            arrays[f"x_{name}"] = part
    return splits | (splits_of(flattened(arrays), source) if arrays else {})
