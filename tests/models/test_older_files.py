"""Files that an earlier tfcompress wrote, when its layers lay in other modules, still load and compute the same."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfcompress.models.loading import load_model

FOLDER = Path(__file__).parent / "older_files"
FILES = sorted(FOLDER.glob("*.keras"))

pytestmark = pytest.mark.slow


def expected(path):
    with np.load(FOLDER / f"{path.stem.removesuffix('-in-training')}-outputs.npz") as arrays:
        return arrays["x"], arrays["y"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_older_file_computes_what_it_did(path):
    inputs, outputs = expected(path)
    np.testing.assert_allclose(np.asarray(load_model(path).native(inputs)), outputs, atol=1e-6)


def test_keras_itself_loads_them_once_the_layers_are_imported():
    script = (
        "import sys, tfcompress.layers\n"
        "from keras.saving import load_model\n"
        "for path in sys.argv[1:]:\n"
        "    print(load_model(path).name)"
    )
    done = subprocess.run([sys.executable, "-c", script, *map(str, FILES)], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == len(FILES)
