"""Small TFLite files, and one converter process for all tests that convert."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tfcompress.tflite.convert import ConverterProcess

sys.path.insert(0, str(Path(__file__).parent))  # make_files lies beside these tests


@pytest.fixture
def file():
    """Return the content of one of the files that make_files.py wrote, by name."""
    from make_files import FOLDER

    return lambda name: (FOLDER / f"{name}.tflite").read_bytes()


@pytest.fixture
def images() -> dict[str, np.ndarray]:
    """Return samples for the image network of those files."""
    return {"image": np.random.default_rng(1).normal(size=(12, 8, 8, 3)).astype(np.float32)}


@pytest.fixture(scope="session")
def converter() -> Iterator[ConverterProcess]:
    """Hand out one converter; a test that kills it leaves a new one behind."""
    with ConverterProcess() as process:
        yield process


@pytest.fixture(scope="session")
def keras():
    """Return Keras 3."""
    return importlib.import_module("keras")


@pytest.fixture(scope="session")
def tf_keras():
    """Return Keras 2."""
    return importlib.import_module("tf_keras")
