"""What hostile files are made of: the trap that they are aimed at, an honest saved model, the forms of a file."""

import base64
import functools
import io
import json
import marshal
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py

LONG_AGO = 1_000_000_000
"""When the secret was last read, in seconds: long before it was last written, so that any reading sets it anew."""
SECRET = "the secret's only word\n"
LEFT = ("created", "imported", "fetched")
"""What a payload that runs leaves in the trap's folder."""

EVIL_MODULES = ("evil_module", "keras_hub", "tf_kerasevil", "tf_keras_evil")
"""Modules that lie in the current directory, some under names that a Keras imports of its own accord."""
EVIL_SOURCE = """
import pathlib

pathlib.Path(__file__).with_name("imported").touch()


class Boom:
    @classmethod
    def from_config(cls, config):
        return cls()


def boom(*args, **kwargs):
    return args
"""


@dataclass(frozen=True)
class Trap:
    """A folder in which a payload that runs leaves a trace.

    Attributes:
        folder: where everything lies; the working directory while a file is loaded.
    """

    folder: Path

    @property
    def created(self):
        """A path that nothing is at, and that payloads create."""
        return self.folder / "created"

    @property
    def secret(self):
        """A file that payloads read."""
        return self.folder / "secret.txt"

    @property
    def numbers(self):
        """Another file that payloads read, of HDF5: ``/data`` in it are weights."""
        return self.folder / "numbers.h5"

    @property
    def link(self):
        """The secret under a name that ends as a model's."""
        return self.folder / "secret.keras"

    @property
    def command(self):
        """A command for a shell, that creates :attr:`created`."""
        return f"touch {self.created}"

    @property
    def code(self):
        """Marshalled code of a function that creates :attr:`created` and gives its argument back."""
        source = f"lambda x, *rest, **options: [__import__('pathlib').Path({str(self.created)!r}).touch(), x][1]"
        compiled = compile(source, "payload", "eval").co_consts[0]
        return base64.encodebytes(marshal.dumps(compiled)).decode()

    @property
    def lambda3(self):
        """Keras 3's description of a Python function: its Lambda layer reads one half of it, all else the other."""
        layers = {"code": self.code, "defaults": None, "closure": None}
        return {"class_name": "__lambda__", "config": layers | {"value": [self.code, None, None]}}

    @property
    def lambda2(self):
        """tf_keras's configuration of a Lambda layer."""
        function = {"function": [self.code, None, None], "function_type": "lambda", "module": "builtins"}
        shape = {"output_shape": None, "output_shape_type": "raw", "output_shape_module": None}
        return function | shape | {"arguments": {}}

    def set(self):
        """Lay out the secret and the evil modules, and forget earlier traces."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in (self.folder / name for name in LEFT):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        for name in EVIL_MODULES:
            (self.folder / f"{name}.py").write_text(EVIL_SOURCE)
        self.secret.write_text(SECRET)
        with h5py.File(self.numbers, "w") as file:
            file["data"] = [[0.5] * 3] * 4
        if not self.link.is_symlink():
            self.link.symlink_to(self.secret.name)
        for path in (self.secret, self.numbers):
            os.utime(path, (LONG_AGO, path.stat().st_mtime))
        return self

    def traces(self):
        """Return what a payload has done: created, imported, fetched, read, changed."""
        left = [name for name in LEFT if (self.folder / name).exists()]
        statuses = [path.stat() if path.exists() else None for path in (self.secret, self.numbers)]
        if any(status and status.st_atime != LONG_AGO for status in statuses):
            left.append("read")
        if None in statuses or self.secret.read_text() != SECRET:
            left.append("changed")
        if statuses[0]:  # reading it here does not count
            os.utime(self.secret, ns=(statuses[0].st_atime_ns, statuses[0].st_mtime_ns))
        return left


@dataclass(frozen=True)
class Hostile:
    """A hostile file.

    Attributes:
        name: what it does and how, for people.
        form: ``keras3.keras``, ``keras3.h5``, ``keras2.keras``, ``keras2.h5`` or ``savedmodel``.
        write: writes it to a path, aimed at a trap.
        fires: how it was seen to be real. ``load``: plain Keras fires it while loading, with safe mode off; ``safe``:
            in Keras's own safe mode too; ``call``: when the loaded model is called first; ``tfcompress``: a class of
            this package did, before such files were refused; ``never``: not with the installed versions.
        harm: ``creates``, ``reads``, ``imports``, ``changes``, ``fetches`` (tries the network), ``hangs``,
            ``fills`` (memory), or ``none`` that a trap would tell.
        loads: whether it may be loaded too: what is hostile about it then has no effect.
    """

    name: str
    form: str
    write: Callable = field(repr=False)
    fires: str
    harm: str = "creates"
    loads: bool = False

    @property
    def filename(self):
        """Its file's or folder's name."""
        ending = "" if self.form == "savedmodel" else "." + self.form.partition(".")[2]
        return f"{self.name.replace(' ', '_')}-{self.form.partition('.')[0]}{ending}"


def honest_model(k):
    """Build two dense layers after one another."""
    i = k.Input((4,), name="x")
    middle = k.layers.Dense(3, name="middle")(i)
    return k.Model(i, k.layers.Dense(2, name="last")(middle), name="honest")


def keras_named(writer):
    """Import Keras 3 or tf_keras."""
    if writer == "keras3":
        import keras

        return keras
    import tf_keras

    return tf_keras


@functools.cache
def honest_bytes(form):
    """Return the honest model as its Keras saves it in *form*."""
    writer, ending = form.split(".")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"model.{ending}"
        honest_model(keras_named(writer)).save(path)
        return path.read_bytes()


def zip_parts(form):
    """Return the members of an honest ``.keras`` file by their names."""
    with zipfile.ZipFile(io.BytesIO(honest_bytes(form))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path, parts):
    """Write a ``.keras`` file of the given members."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def write_altered(path, form, edit):
    """Write the honest model after *edit* has changed its configuration in place (or returned another)."""
    if form.endswith(".keras"):
        parts = zip_parts(form)
        config = json.loads(parts["config.json"])
        write_zip(path, parts | {"config.json": json.dumps(edit(config) or config)})
        return
    path.write_bytes(honest_bytes(form))
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        text = json.dumps(edit(config) or config)
        del file.attrs["model_config"]
        if len(text) < 60_000:
            file.attrs["model_config"] = text
        else:  # larger attributes need the newer layout
            with h5py.File(path.with_suffix(".new"), "w", libver="latest") as larger:
                for name in file:
                    file.copy(name, larger)
                larger.attrs.update(dict(file.attrs))
                larger.attrs["model_config"] = text
    if path.with_suffix(".new").exists():
        path.with_suffix(".new").replace(path)


def altered(name, form, edit, fires, **options):
    """Describe the honest model with an edited configuration; *edit* gets the configuration and the trap."""

    def write(path, trap):
        write_altered(path, form, lambda config: edit(config, trap))

    return Hostile(name, form, write, fires, **options)


def with_layer(make):
    """Edit a configuration by adding the layer that *make* gives for a trap: Keras builds and calls it too."""

    def edit(config, trap):
        config["config"]["layers"].append(make(trap))

    return edit


def with_entry(make, entry, layer="middle"):
    """Edit a configuration by putting what *make* gives for a trap into an entry of an honest layer's configuration."""

    def edit(config, trap):
        layers = {each["config"]["name"]: each for each in config["config"]["layers"]}
        layers[layer]["config"][entry] = make(trap)

    return edit


def armed(trap):
    """Lay out a SavedModel that creates a file while it is loaded, for files that load another; return its path."""
    import tensorflow as tf

    class Resource(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[])

        def _initialize(self):
            if tf.inside_function():
                tf.io.write_file(str(trap.created), "written")

    class Armed(tf.Module):
        def __init__(self):
            self.resource = Resource()

        @tf.function(input_signature=[tf.TensorSpec((None, 4), name="x")])
        def serve(self, x):
            return {"y": x + tf.cast(tf.size(self.resource.resource_handle.shape), tf.float32)}

    path = trap.folder / "armed"
    if not path.exists():
        module = Armed()
        tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
    return path
