"""TFRecord files of ``tf.train.Example``, read by a description of their features.

The description is a TOML file::

    [features.image]        # the feature's key in the records; also the model's input, where there are several
    kind = "image"          # an encoded PNG or JPEG, resized to the model's input

    [features.sensor]
    kind = "float"          # or "int", or "bytes" (raw numbers of a dtype)
    shape = [16, 3]
    input = "accelerometer" # the model's input, when it is called otherwise

    [label]
    key = "label"
    kind = "int"            # or "float", then with a shape; or "text", class names, with --classes
"""

from __future__ import annotations

import functools
import io
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress import plain
from tfcompress.data import image_header, memory
from tfcompress.data.class_names import NamedStream
from tfcompress.data.decoding import decoded
from tfcompress.data.npy_header import AXES
from tfcompress.data.streams import CHUNK, TfStream
from tfcompress.errors import DataError, nearest

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature

VALUES = 1 << 28
"""Most values of a feature: 268 million, a gigabyte of float32 a sample."""

KINDS = ("image", "float", "int", "bytes")
LABEL_KINDS = ("int", "float", "text")
_FRAME = struct.Struct("<Q4x")
KEYS = ("kind", "shape", "dtype", "input", "key")


@dataclass(frozen=True)
class Feature:
    """One feature of the records.

    Attributes:
        key: its name in the records.
        kind: ``image``, ``float``, ``int``, ``bytes``, or of labels ``text``.
        shape: of one sample; of an image, the model says it.
        dtype: of ``bytes``.
        target: the model's input it feeds.
    """

    key: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    target: str


@dataclass(frozen=True)
class Description:
    """What the records hold.

    Attributes:
        inputs: the features that feed the model.
        label: the feature that holds the label, or None.
    """

    inputs: tuple[Feature, ...]
    label: Feature | None


def read_description(path: Path) -> Description:
    """Read the TOML file that says what the records hold.

    Raises:
        DataError: no such file, not TOML, an unknown key or kind, no features.
    """
    try:
        table = plain.parse_toml(plain.read_text(path, plain.TOML_BYTES))
    except (OSError, ValueError) as error:
        msg = f"features {str(path)!r} cannot be read: {error}"
        raise DataError(msg) from error
    unknown = [key for key in table if key not in ("features", "label")]
    features = table.get("features")
    if unknown or not isinstance(features, dict) or not features:
        got = ", ".join(table) or "nothing"
        msg = f"features {str(path)!r} must hold [features.NAME] tables and [label], it holds {got}"
        raise DataError(msg)
    inputs = tuple(_feature(f"features.{key}", key, entry) for key, entry in features.items())
    label = _feature("label", "label", table["label"]) if "label" in table else None
    return Description(inputs, label)


def _feature(where: str, key: str, entry: Any) -> Feature:
    if not isinstance(entry, dict):
        msg = f"[{where}] must be a table with a kind, got {entry!r}"
        raise DataError(msg)
    for name in entry:
        if name not in KEYS:
            msg = f"[{where}] has no key {name!r}{nearest(name, KEYS)}; it has {', '.join(KEYS)}"
            raise DataError(msg)
    kind = entry.get("kind", "int" if where == "label" else None)
    if kind not in (LABEL_KINDS if where == "label" else KINDS):
        allowed = "int, float or text" if where == "label" else ", ".join(KINDS)
        msg = f"[{where}] kind must be one of {allowed}, got {kind!r}"
        raise DataError(msg)
    shape = _shape(where, entry.get("shape", []))
    dtype = entry.get("dtype", "uint8")
    if dtype not in ("uint8", "int8", "uint16", "int16", "int32", "int64", "float16", "float32", "float64"):
        msg = f"[{where}] dtype must be a NumPy dtype such as uint8 or float32, got {dtype!r}"
        raise DataError(msg)
    for name in ("key", "input"):
        if not isinstance(entry.get(name, ""), str):
            msg = f"[{where}] {name} must be text, got {entry[name]!r}"
            raise DataError(msg)
    key = entry.get("key", key)
    return Feature(key, str(kind), shape, dtype, entry.get("input", key))


def _shape(where: str, given: Any) -> tuple[int, ...]:
    if not isinstance(given, list) or not all(type(size) is int and size > 0 for size in given):
        msg = f"[{where}] shape must be a list of whole numbers above 0, got {given!r}"
        raise DataError(msg)
    if math.prod(given) > VALUES or len(given) > AXES:
        msg = f"[{where}] shape must have at most {VALUES:,} values and {AXES} axes, got {given!r}"
        raise DataError(msg)
    return tuple(given)


@dataclass(frozen=True, repr=False)
class RecordSplit:
    """The records of one split.

    Attributes:
        files: the TFRecord files, in order.
        description: what they hold.
        names: of the classes in the order of their numbers, where labels are text.
    """

    files: tuple[Path, ...]
    description: Description
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse text whose order nobody said: it would take a pass over all records to find it.

        Raises:
            DataError: labels are text, and no names are given.
        """
        label = self.description.label
        if label and label.kind == "text" and not self.names:
            msg = (
                f"data: {self.y_name} is text, so the classes need their order: give --classes A,B,... or a file with "
                "one a line (or load_data(classes=[...]))"
            )
            raise DataError(msg)

    def __repr__(self) -> str:
        """Say which files."""
        return f"RecordSplit({self.x_name!r}, {len(self.files):,} files)"

    @property
    def x_name(self) -> str:
        """What messages call the inputs."""
        return self.files[0].name

    @property
    def y_name(self) -> str:
        """What messages call the labels."""
        label = self.description.label
        return f"{self.files[0].name} feature {label.key if label else 'label'!r}"

    def fit(self, signature: Signature) -> TfStream | NamedStream:
        """Decode images to the size and channels of the model's inputs.

        Raises:
            DataError: an image for an input that is none; a file that is cut short, or whose lengths lead out of it.
        """
        import tensorflow as tf

        for path in self.files:
            check_framing(path)
        shapes = {spec.name: spec.shape for spec in signature.inputs}
        if len(self.description.inputs) == len(shapes) == 1:
            shapes = {self.description.inputs[0].target: signature.inputs[0].shape}
        for feature in self.description.inputs:
            wanted = shapes.get(feature.target, (None, None, 0))
            if feature.kind == "image" and (len(wanted) != 3 or wanted[2] not in (0, 1, 3, 4)):
                msg = (
                    f"data: feature {feature.key!r} is an image, the model's input {feature.target!r} has shape "
                    f"{wanted}, not (height, width, 1, 3 or 4 channels)"
                )
                raise DataError(msg)
        dataset = tf.data.TFRecordDataset([str(path) for path in self.files])
        parsed = dataset.map(_parser(self.description, shapes), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        name = ", ".join(path.name for path in self.files[:3])
        stream = TfStream(parsed.batch(CHUNK).prefetch(2), name, signature, ends=True)
        label = self.description.label
        return NamedStream(stream, self.names, self.y_name) if label and label.kind == "text" else stream


def check_framing(path: Path) -> None:
    """Follow the lengths of a TFRecord file's records to its end; TensorFlow dies (SIGSEGV) of one of terabytes.

    The format is that of ``tensorflow/core/lib/io/record_writer.h``: a length (uint64), its CRC, the record, its CRC.

    Raises:
        DataError: a length leads out of the file.
    """
    with plain.open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        place = count = 0
        while place < size:
            stream.seek(place)
            head = stream.read(_FRAME.size)
            length = _FRAME.unpack(head)[0] if len(head) == _FRAME.size else size
            place += _FRAME.size + length + 4
            if place > size:
                msg = f"data {str(path)!r} is cut short or damaged at record {count:,}; copy or write it again"
                raise DataError(msg)
            count += 1


def _checked_image(content: bytes, at_most: int) -> bytes:
    """Return an encoded image as it is, if it claims no more pixels than are decoded, and than fit beside others.

    Raises:
        ValueError: it is no image, or far too large; TensorFlow makes it an ``OpError``.
    """
    found = image_header.pixels(io.BytesIO(content))
    if found > at_most:
        msg = f"{CHUNK} images of {found:,} pixels do not fit into memory; resize them"
        raise ValueError(msg)
    return content


def _parser(description: Description, shapes: Mapping[str, tuple[int | None, ...]]) -> Any:
    import tensorflow as tf

    kinds = {"image": tf.string, "bytes": tf.string, "text": tf.string, "float": tf.float32, "int": tf.int64}
    features = [*description.inputs, *([description.label] if description.label else [])]
    stored = {
        f.key: tf.io.FixedLenFeature(() if f.kind in ("image", "bytes") else f.shape, kinds[f.kind]) for f in features
    }

    def value_of(feature: Feature, value: Any) -> Any:
        if feature.kind == "bytes":
            return tf.reshape(tf.io.decode_raw(value, np.dtype(feature.dtype)), feature.shape)
        if feature.kind != "image":
            return value
        height, width, channels = shapes.get(feature.target, (None, None, 0))
        fit = memory.available_bytes() // (CHUNK * 4 * (channels or 4))
        at_most = image_header.PIXELS if height and width else fit  # resized one by one, or kept in float32 together
        value = tf.numpy_function(functools.partial(_checked_image, at_most=at_most), [value], tf.string)
        value.set_shape(())
        image = decoded(value, channels)
        if height is None or width is None:
            return tf.cast(image, tf.float32)
        return tf.image.resize(image, (height, width))

    def parse(record: Any) -> Any:
        example = tf.io.parse_single_example(record, stored)
        x = {feature.target: value_of(feature, example[feature.key]) for feature in description.inputs}
        return (x, example[description.label.key]) if description.label else x

    return parse
