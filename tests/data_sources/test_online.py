from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcompress.data.sources import load_data
from tfcompress.errors import DataError, MissingDependencyError
from tfcompress.models.specs import Signature, TensorSpec

SIGNATURE = Signature((TensorSpec("image", (4, 4, 1), "float32"),), (TensorSpec("out", (2,), "float32"),))


def test_keras_data_sets_come_with_both_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    train = (np.zeros((6, 4, 4), np.uint8), np.arange(6) % 2)
    test = (np.zeros((3, 4, 4), np.uint8), np.arange(3) % 2)
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: (train, test))
    data = load_data("keras:mnist").bind(SIGNATURE)
    assert (data.need_train().size, data.need_test().size) == (6, 3)
    assert data.describe()["source"] == "keras:mnist"


def test_an_unknown_keras_data_set_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"'keras:mnits' must name one of .*mnist.*\(did you mean 'mnist'\?\)"):
        load_data("keras:mnits")


def test_a_misspelt_keras_data_set_is_refused_before_a_keras_is_imported() -> None:
    program = (
        "import sys\nfrom tfcompress.cli.main import run_command\n"
        "code = run_command(['export', sys.argv[1], '--quantize', 'int8', '--data', 'keras:mnits'])\n"
        "print(code, sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    )
    file = Path(__file__).parents[1] / "models" / "older_files" / "cluster.keras"
    done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "4 []"
    assert "did you mean 'mnist'?" in done.stderr


def test_a_download_that_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    def offline() -> None:
        msg = "URL fetch failure\nand more"
        raise Exception(msg)

    monkeypatch.setattr(keras.datasets.mnist, "load_data", offline)
    with pytest.raises(DataError, match=r"^data 'keras:mnist' cannot be downloaded: URL fetch failure$"):
        load_data("keras:mnist")


def test_tfds_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(MissingDependencyError, match=r"needs tensorflow-datasets: pip install 'tfcompress\[tfds\]'"):
        load_data("tfds:mnist")


def _fake_tfds(load_function: Any) -> types.ModuleType:
    module = types.ModuleType("tensorflow_datasets")
    module.load = load_function  # type: ignore[attr-defined]  # a fake module gets its function
    return module


def test_tfds_splits_are_resized_streams_with_class_names(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    def fake_load(name: str, **options: Any) -> Any:
        assert (name, options["as_supervised"], options["shuffle_files"]) == ("pets", True, False)
        stream = tf.data.Dataset.from_tensor_slices((np.zeros((5, 8, 8, 1), np.uint8), np.arange(5) % 2))
        info = types.SimpleNamespace(
            supervised_keys=("image", "label"), features={"label": types.SimpleNamespace(names=["cat", "dog"])}
        )
        return {"train": stream, "validation": stream, "unlabelled": stream}, info

    monkeypatch.setitem(sys.modules, "tensorflow_datasets", _fake_tfds(fake_load))
    data = load_data("tfds:pets").bind(SIGNATURE)
    assert set(data.splits) == {"train", "val"}
    assert data.dataset.labels == ("cat", "dog")
    assert next(data.need_train().batches(5))[0]["image"].shape == (5, 4, 4, 1)


def test_a_tfds_data_set_that_cannot_be_loaded_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(name: str, **options: Any) -> Any:
        msg = f"no builder {name}\nlong list"
        raise LookupError(msg)

    monkeypatch.setitem(sys.modules, "tensorflow_datasets", _fake_tfds(failing))
    with pytest.raises(DataError, match=r"^data 'tfds:pets' cannot be loaded: LookupError: no builder pets$"):
        load_data("tfds:pets")
