"""Small TFLite files, and one converter process for all tests that convert."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tfcompress.tflite.convert import ConverterProcess


@pytest.fixture
def file():
    """Return the content of one of the files that make_files.py wrote, by name."""
    from tests.tflite.make_files import FOLDER

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
