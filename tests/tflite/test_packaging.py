"""tfcompress.tflite.packaging: the same file in fewer bytes."""

import random
from pathlib import Path

import numpy as np
import pytest

from edge_runner import package as package_format
from edge_runner.graph import read_graph
from edge_runner.package import PackageError, unpack
from tfcompress.errors import ModelError
from tfcompress.tflite import packaging
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.kernel_coding import planned_kernels
from tfcompress.tflite.packaging import file_content, make_package, open_package
from tfcompress.tflite.weights import facts

FOLDER = Path(__file__).parents[1] / "data"
FILES = ("blobs_float", "lstm", "tflite/int8", "tflite/float16", "tflite/int16x8", "tflite/sparse")


@pytest.mark.parametrize("name", FILES)
def test_every_file_comes_out_as_it_was(name):
    content = (FOLDER / f"{name}.tflite").read_bytes()
    package = make_package(content)
    assert open_package(package.content) == content
    assert len(package.content) == min(
        package.codec_bytes[name] for name in ("stored", "lzma", "kernels") if name in package.codec_bytes
    )


@pytest.fixture(scope="module")
def clustered():
    """A file whose kernels hold eight values, each drawn alike: an entropy of three bits a weight."""
    content = bytearray((FOLDER / "tflite" / "int8.tflite").read_bytes())
    generator = np.random.default_rng(0)
    for each in planned_kernels(read_graph(bytes(content)), bytes(content)):
        values = generator.choice(np.arange(-120, 120, 30, dtype=np.int8), each.plan.elements)
        content[each.start : each.start + each.plan.size_bytes] = values.tobytes()
    return bytes(content)


def test_clustered_kernels_take_hardly_more_than_their_entropy(clustered):
    package = make_package(clustered)
    lzma = package.codec_bytes["lzma"]
    assert package.codec == "kernels"
    kernels = facts(read_model_file(clustered).subgraphs)
    entropy_bytes = sum(each.entropy_bytes or 0 for each in kernels)
    assert entropy_bytes == pytest.approx(sum(each.size_bytes for each in kernels) * 3 / 8, rel=0.02)
    assert len(package.content) < lzma
    kept_beside = len(package.content) - entropy_bytes  # tables, biases, books, and what learning costs
    assert kept_beside < lzma - entropy_bytes
    assert open_package(package.content) == clustered


def test_damage_anywhere_ends_in_one_clear_error_or_in_the_file(clustered):
    whole, generator, refused = make_package(clustered).content, random.Random(1), 0
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(generator.choice((1, 1, 4))):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        cut = bytes(damaged[: generator.choice((len(damaged), generator.randrange(len(damaged))))])
        try:
            found = unpack(cut)
        except PackageError:
            refused += 1
        else:
            assert found == clustered
    assert refused > 40


@pytest.mark.parametrize(
    ("limit", "most", "codecs"),
    [("MOST_RATIO", 2, {"stored"}), ("MOST_ELEMENTS_A_BYTE", 1, {"stored", "lzma"}), ("MOST_RATIO", 1000, None)],
)
def test_nothing_is_packed_that_would_be_refused_as_too_much(clustered, limit, most, codecs, monkeypatch):
    for module in (package_format, packaging):
        monkeypatch.setattr(module, limit, most)
    package = make_package(clustered)
    assert set(package.codec_bytes) == (codecs or {"stored", "lzma", "kernels"})
    assert open_package(package.content) == clustered


def test_what_is_packed_already_is_not_packed_again(clustered):
    with pytest.raises(ModelError, match="a package already"):
        make_package(make_package(clustered).content)


def test_what_is_no_model_is_not_packed():
    with pytest.raises(ModelError, match="not a TFLite file"):
        make_package(b"no model at all")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"cannot read.*nothing\.tflite"):
        file_content(tmp_path / "nothing.tflite")
    with pytest.raises(ModelError, match="no plain file"):
        file_content(tmp_path)
