from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcompress.data.preprocessing import Preprocessing
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError, UsageError
from tfcompress.models.specs import Signature, TensorSpec

SIGNATURE = Signature((TensorSpec("v", (2,), "float32"),), (TensorSpec("out", (2,), "float32"),))
X, Y = np.zeros((6, 2)), np.arange(6) % 2


def sizes(given: Any, **options: Any) -> dict[str, int | None]:
    return {
        name: split.size for name, split in load_data(given, **options).bind(SIGNATURE, holdout=None).splits.items()
    }


def stream() -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((X, Y), {"test": 6}),
        ((X.tolist(), Y.tolist()), {"test": 6}),
        (((X, Y), (X[:2], Y[:2])), {"train": 6, "test": 2}),
        ({"x": X, "y": Y}, {"test": 6}),
        ({"x_train": X, "y_train": Y, "x_val": X[:3], "y_val": Y[:3]}, {"train": 6, "val": 3}),
        ({"train": (X, Y), "validation": (X[:1], Y[:1]), "test": X[:2]}, {"train": 6, "test": 2, "val": 1}),
        (X, {"test": 6}),
    ],
)
def test_arrays_are_taken_in_many_shapes(given: Any, expected: dict[str, int]) -> None:
    assert sizes(given) == expected


def test_tf_datasets_are_taken_alone_and_beside_arrays() -> None:
    assert sizes(stream()) == {"test": 6}
    assert sizes({"train": stream(), "test": (X, Y)}) == {"train": 6, "test": 6}


def test_a_loaded_data_set_is_taken_as_it_is() -> None:
    data = load_data((X, Y))
    assert load_data(data) is data


@pytest.fixture
def module_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("data_for_sources.py").write_text(
        "import numpy as np\n"
        "def arrays(): return np.zeros((6, 2)), np.arange(6) % 2\n"
        "def splits(): return {'train': arrays(), 'test': arrays()}\n"
        "def stream():\n"
        "    import tensorflow as tf\n"
        "    return tf.data.Dataset.from_tensor_slices(arrays())\n"
        "def number(): return 3\n"
        "def fail(): raise OSError('disk on fire')\n"
    )
    return "data_for_sources"


@pytest.mark.parametrize(
    ("function", "expected"),
    [("arrays", {"test": 6}), ("splits", {"train": 6, "test": 6}), ("stream", {"test": 6})],
)
def test_a_function_may_give_any_of_them(module_name: str, function: str, expected: dict[str, int]) -> None:
    assert sizes(f"{module_name}:{function}") == expected


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            "number",
            r"data must be arrays \(x, y\), .*a generator function, got int from data_for_sources:number",
        ),
        ("fail", "data 'data_for_sources:fail' failed: OSError: disk on fire"),
        ("absent", "data_for_sources has no function 'absent'"),
    ],
)
def test_a_function_that_gives_no_data_is_refused(module_name: str, function: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data(f"{module_name}:{function}")


@pytest.mark.parametrize("given", [3, None, b"x", object()])
def test_other_objects_are_refused(given: Any) -> None:
    with pytest.raises(DataError, match=r"data must be arrays \(x, y\), a dict of them"):
        load_data(given)


@pytest.mark.parametrize("name", ["absent.npz", "folder/absent:f", "plain"])
def test_what_does_not_exist_is_refused_with_what_is_possible(name: str) -> None:
    with pytest.raises(
        DataError, match=rf"data '{name}' does not exist; give an \.npz file, .* keras:NAME or tfds:NAME"
    ):
        load_data(name)


def test_a_file_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"1234")
    with pytest.raises(DataError, match=r"data\.bin' is of no kind that is known; give an \.npz file"):
        load_data(tmp_path / "data.bin")


def test_an_npz_file_may_be_called_otherwise(tmp_path: Path) -> None:
    with (tmp_path / "data.bin").open("wb") as file:
        np.savez(file, x=X, y=Y)
    assert sizes(str(tmp_path / "data.bin")) == {"test": 6}


@pytest.mark.parametrize("option", ["label", "features"])
def test_options_without_meaning_are_refused(tmp_path: Path, option: str) -> None:
    np.savez(tmp_path / "d.npz", x=X, y=Y)
    for given in ((X, Y), tmp_path / "d.npz", "keras:mnist"):
        with pytest.raises(UsageError, match=f"--{option} .* has no meaning for .*; leave it out"):
            load_data(given, **{option: "a"})  # type: ignore[arg-type]  # one of the two, by name


def test_features_mean_nothing_for_a_table_and_a_label_nothing_for_records(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b,label\n1,2,0\n")
    (tmp_path / "d.tfrecord").touch()
    with pytest.raises(UsageError, match=r"--features says what \.tfrecord files hold, it has no meaning for"):
        load_data(tmp_path / "d.csv", features="f.toml")
    with pytest.raises(UsageError, match="--label names the label column"):
        load_data(tmp_path / "d.tfrecord", label="a", features="f.toml")


def test_preprocessing_is_kept_with_the_data() -> None:
    steps = Preprocessing(scale=0.5)
    assert load_data((X, Y), preprocessing=steps).preprocessing is steps
    assert load_data((X, Y)).preprocessing == Preprocessing()


def test_an_empty_dict_holds_nothing() -> None:
    with pytest.raises(DataError, match=r"must hold x_train and y_train, .*; it holds nothing"):
        load_data({})


def test_how_a_path_was_opened_is_kept_in_plain_values(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b,y,z\n" + "1,2,0,1\n" * 8)
    read = {"label": ["y", "z"], "window": 4, "stride": 2, "skip_corrupt": True, "classes": "no,yes"}
    metrics = ["MeanSquaredError", abs]
    data = load_data(tmp_path / "d.csv", **read, task={"out": "tokens"}, metrics=metrics, ignore_label=-1)
    told = {"task": ["out=tokens"], "metrics": ["MeanSquaredError"], "unsaid": ["metrics"], "ignore_label": -1}
    assert data.reading == read | told
    assert load_data(data, task="tokens").reading == read | {"task": ["tokens"]}  # it takes the place of all of that
    assert load_data(tmp_path / "d.csv", label="y").reading == {"label": ["y"]}
    assert load_data((X, Y)).reading is None
    assert load_data(load_data((X, Y)), task="classification").reading is None
