"""Hostile zip and HDF5 files around an honest configuration."""

import io
import json
import pickle
import warnings
import zipfile

import h5py

from tests.safety.hostile_forms import Hostile, altered, honest_bytes, with_layer, write_zip, zip_parts
from tests.safety.hostile_keras2 import python_layer as python_layer2
from tests.safety.hostile_keras3 import python_layer as python_layer3

BOMB_BYTES = 1 << 30


class Payload:
    """A pickle that creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        """Have the unpickler open the path for writing."""
        return open, (str(self.path), "w")


def hostile_config(form, trap):
    """Return the honest configuration with a Lambda layer in it, as bytes."""
    config = json.loads(zip_parts(form)["config.json"])
    make = python_layer3 if form.startswith("keras3") else python_layer2
    with_layer(make)(config, trap)
    return json.dumps(config).encode()


def in_zip(name, form, change, fires, **options):
    """Describe the honest zip file, its list of named members changed."""

    def write(path, trap):
        members = change(list(zip_parts(form).items()), trap)
        with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for member, content in members:  # a name may be there twice
                archive.writestr(member, content)

    return Hostile(name, form, write, fires, **options)


def link_member(name):
    """Describe a zip member that is a symbolic link."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = 0o120777 << 16
    return info


def zips():
    """Tricks with the members of a zip file."""
    for form in ("keras3.keras", "keras2.keras"):
        yield in_zip("member above the folder", form, lambda m, _: [*m, ("../created", b"boom")], "never", loads=True)
        yield in_zip(
            "member of an absolute path", form, lambda m, t: [*m, (str(t.created), b"boom")], "never", loads=True
        )
        yield in_zip(
            "member that is a link",
            form,
            lambda m, t: [*m, (link_member("assets"), str(t.folder)), ("assets/created", b"boom")],
            "never",
            loads=True,
        )
        yield in_zip(
            "second configuration with a lambda",
            form,
            lambda m, t, form=form: [*m, ("config.json", hostile_config(form, t))],
            "load",
        )
        yield in_zip(
            "first configuration with a lambda",
            form,
            lambda m, t, form=form: [("config.json", hostile_config(form, t)), *m],
            "never",
            loads=True,
        )
        yield Hostile("HDF5 file with a zip file at its end", form, polyglot(form), "load")
        yield in_zip("pickled weights", form, pickled, "never")
        yield Hostile("bomb of a configuration", form, config_bomb(form), "safe", harm="fills")

    def claims_keras2(members, trap):
        parts = dict(members) | {"config.json": hostile_config("keras3.keras", trap)}
        return [*(parts | {"metadata.json": b'{"keras_version": "2.15.0"}'}).items()]

    yield in_zip("lambda in a file that claims the other Keras", "keras3.keras", claims_keras2, "load")


def polyglot(form):
    """Write a file that is an honest HDF5 file and a hostile zip file."""

    def write(path, trap):
        archive = io.BytesIO()
        write_zip(archive, zip_parts(form) | {"config.json": hostile_config(form, trap)})
        path.write_bytes(honest_bytes(form.replace(".keras", ".h5")) + archive.getvalue())

    return write


def pickled(members, trap):
    """Put a pickle where weights in NumPy's format may stand."""
    weights = io.BytesIO()
    with zipfile.ZipFile(weights, "w") as archive:
        header = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(127) + b"\n"
        archive.writestr("arr.npy", header + pickle.dumps(Payload(trap.created)))
    kept = [(name, content) for name, content in members if name != "model.weights.h5"]
    return [*kept, ("model.weights.npz", weights.getvalue())]


def config_bomb(form):
    """Write a file of few bytes, the configuration in which is one of many."""

    def write(path, _):
        parts = zip_parts(form)
        piece = b" " * (1 << 24)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, content in parts.items():
                with archive.open(name, "w") as member:
                    for _ in range(BOMB_BYTES // len(piece) if name == "config.json" else 0):
                        member.write(piece)
                    member.write(content)

    return write


def external_link(group, name, trap):
    """Put a link to another file where a dataset was."""
    del group[name]
    group[name] = h5py.ExternalLink(str(trap.numbers), "/data")


def external_storage(group, name, trap):
    """Have a dataset's bytes be those of another file."""
    shape = group[name].shape
    del group[name]
    group.create_dataset(name, shape, "float32", external=[(str(trap.numbers), 0, h5py.h5f.UNLIMITED)])


def virtual(group, name, trap):
    """Have a dataset be made of one in another file."""
    shape = group[name].shape
    del group[name]
    layout = h5py.VirtualLayout(shape=shape, dtype="float32")
    layout[...] = h5py.VirtualSource(str(trap.numbers), "data", shape=shape)
    group.create_virtual_dataset(name, layout)


def soft_loop(group, name, _):
    """Put a link to itself where a dataset was."""
    del group[name]
    group[name] = h5py.SoftLink(f"{group.name}/{name}")


def hard_loop(group, name, _):
    """Put the group itself where a dataset was."""
    del group[name]
    group[name] = group


def soft_to_external(group, name, trap):
    """Put a link to a link to another file where a dataset was."""
    del group[name]
    group.file["elsewhere"] = h5py.ExternalLink(str(trap.numbers), "/data")
    group[name] = h5py.SoftLink("/elsewhere")


def group_elsewhere(group, name, trap):
    """Put a link to another file where the dataset's group was."""
    parent, leaf = group.parent, group.name.rpartition("/")[2]
    del parent[leaf]
    parent[leaf] = h5py.ExternalLink(str(trap.numbers), "/")


def bomb(group, name, _):
    """Claim a dataset of a petabyte, of which nothing is stored."""
    del group[name]
    group.create_dataset(name, (1 << 48,), "float32", chunks=(1 << 20,), compression="gzip")


TRICKS = {
    "link to another file": (external_link, "reads"),
    "bytes of another file": (external_storage, "reads"),
    "dataset made of another file": (virtual, "reads"),
    "link to itself": (soft_loop, "none"),
    "group in itself": (hard_loop, "none"),
    "link to a link to another file": (soft_to_external, "reads"),
    "group in another file": (group_elsewhere, "reads"),
    "dataset of a petabyte": (bomb, "fills"),
}
"""What can stand where a dataset was, and what harm it does."""


def datasets(file):
    """Give the groups and names of a file's datasets of two dimensions."""
    found = []
    file.visititems(lambda name, item: found.append(name) if getattr(item, "ndim", 0) == 2 else None)
    return [(file[name].parent, name.rpartition("/")[2]) for name in found]


def fires(form, name):
    """Say whether a trick works.

    Keras 3 refuses them all of its own accord. With tf_keras, HDF5 looks for linked files in the file that is open
    already; the bytes of a dataset in another file are read from there all the same.
    """
    return "safe" if form.startswith("keras2") and name == "bytes of another file" else "never"


def hdf5():
    """Tricks with the datasets of an HDF5 file, and of the one in a zip file."""
    for form in ("keras3.keras", "keras3.h5", "keras2.keras", "keras2.h5"):
        for name, (trick, harm) in TRICKS.items():
            yield Hostile(name, form, tricked(form, trick), fires(form, name), harm=harm)
    yield Hostile("configuration of 2**32 levels", "keras2.h5", deep_json, "never", harm="hangs")


def tricked(form, trick):
    """Write the honest file with one dataset replaced."""

    def write(path, trap):
        if form.endswith(".h5"):
            path.write_bytes(honest_bytes(form))
            with h5py.File(path, "r+") as file:
                trick(*datasets(file)[0], trap)
            return
        parts = zip_parts(form)
        weights = io.BytesIO(parts["model.weights.h5"])
        with h5py.File(weights, "r+") as file:
            trick(*datasets(file)[0], trap)
        write_zip(path, parts | {"model.weights.h5": weights.getvalue()})

    return write


def deep_json(path, _):
    """Write a configuration of very many levels."""
    path.write_bytes(honest_bytes("keras2.h5"))
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]
        file.attrs["model_config"] = "[" * 30_000 + "]" * 30_000


def files():
    """Give every hostile container."""
    yield from zips()
    yield from hdf5()
    deep = lambda config, _: config["config"].update(name=["x"] * 10)  # noqa: E731
    yield altered("list for a name", "keras2.keras", deep, "never", harm="none")
