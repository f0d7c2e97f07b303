"""Make ``small_models`` importable beside these tests, and give both Kerases as parameters."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=["keras", "tf_keras"])
def keras_module(request):
    """Return Keras 3, then tf_keras."""
    return pytest.importorskip(request.param)
