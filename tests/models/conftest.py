"""Make ``small_models`` importable beside these tests, and hand out the heavy packages without importing them early."""

import importlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def keras():
    """Return Keras 3."""
    return importlib.import_module("keras")


@pytest.fixture
def tf_keras():
    """Return Keras 2."""
    return importlib.import_module("tf_keras")


@pytest.fixture(params=["keras", "tf_keras"])
def keras_module(request):
    """Return Keras 3, then Keras 2."""
    return importlib.import_module(request.param)
