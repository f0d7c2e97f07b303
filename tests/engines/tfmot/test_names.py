import subprocess
import sys

import pytest

PROGRAM = """
import os
{before}
import tfcompress.engines.tfmot.engine
import tensorflow as tf
print(tf.keras.Model.__module__.partition(".")[0], os.environ.get("TF_USE_LEGACY_KERAS"))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [("", "keras None"), ("os.environ['TF_USE_LEGACY_KERAS'] = '1'", "tf_keras 1")],
    ids=["unset", "set"],
)
def test_importing_tfmot_leaves_tf_keras_what_it_was(before, after, monkeypatch):
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    program = [sys.executable, "-c", PROGRAM.format(before=before)]
    assert subprocess.run(program, check=True, capture_output=True, text=True).stdout.strip() == after
