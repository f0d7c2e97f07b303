from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data_sources.test_images import flat, write_image
from tfcompress.data import class_names
from tfcompress.data.dataset import BoundData
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError, UsageError
from tfcompress.models.specs import Signature, TensorSpec

ORDER = ("low", "mid", "high")
ALPHABET = "0 = high, 1 = low, 2 = mid"


def model(*shape: int, outputs: int = 3) -> Signature:
    return Signature((TensorSpec("x", shape, "float32"),), (TensorSpec("out", (outputs,), "float32"),))


def csv(folder: Path) -> Path:
    (folder / "d.csv").write_text("a,b,label\n" + "".join(f"{i},0,{name}\n" for i, name in enumerate(ORDER)))
    return folder / "d.csv"


def parquet(folder: Path) -> Path:
    import pandas as pd

    frame = pd.DataFrame({"a": np.arange(3.0), "b": np.zeros(3), "label": ORDER})
    frame.to_parquet(folder / "d.parquet")
    return folder / "d.parquet"


def npz(folder: Path) -> Path:
    np.savez(folder / "d.npz", x=[[0.0, 0], [1, 0], [2, 0]], y=np.array(ORDER))
    return folder / "d.npz"


def arrays(folder: Path) -> Any:
    return np.array([[0.0, 0], [1, 0], [2, 0]]), list(ORDER)


def labels(data: BoundData, inputs: str = "x") -> list[tuple[float, int]]:
    x, y = next(data.need_test().batches(9))
    return sorted(zip(x[inputs].reshape(len(y), -1)[:, 0].tolist(), y.tolist(), strict=True))


SOURCES = pytest.mark.parametrize("source", [csv, parquet, npz, arrays])


@SOURCES
def test_names_are_numbered_in_the_order_given(source: Any, tmp_path: Path) -> None:
    data = load_data(source(tmp_path), classes=ORDER).bind(model(2), holdout=None)
    assert labels(data) == [(0, 0), (1, 1), (2, 2)]
    assert data.dataset.labels == ORDER
    assert "classes: 0 = low, 1 = mid, 2 = high" in data.describe()["notes"]
    assert not [line for line in data.lint() if "alphabetical" in line]


@SOURCES
def test_without_an_order_it_is_alphabetical_and_one_line_says_which_is_which(source: Any, tmp_path: Path) -> None:
    data = load_data(source(tmp_path)).bind(model(2), holdout=None)
    assert labels(data) == [(0, 1), (1, 2), (2, 0)]
    (line,) = [line for line in data.lint() if "alphabetical order" in line]
    assert ALPHABET in line
    assert "--classes" in line


@SOURCES
def test_a_name_that_was_not_given_is_refused_with_the_nearest_one(source: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds the class 'high', .* \(low, mid, hihg\) \(did you mean 'hihg'\?\)"):
        load_data(source(tmp_path), classes=("low", "mid", "hihg"))


@SOURCES
def test_a_name_that_does_not_occur_keeps_its_number_and_is_told(source: Any, tmp_path: Path) -> None:
    data = load_data(source(tmp_path), classes=("none", *ORDER)).bind(model(2, outputs=4), holdout=None)
    assert labels(data) == [(0, 1), (1, 2), (2, 3)]
    assert any("no sample of class 0" in line for line in data.lint())


def test_class_folders_take_an_order_too(tmp_path: Path) -> None:
    for value, name in enumerate(ORDER):
        write_image(tmp_path / name / "0.png", flat(value))
    assert labels(load_data(tmp_path, classes=ORDER).bind(model(4, 4, 3), holdout=None)) == [(0, 0), (1, 1), (2, 2)]
    plain = load_data(tmp_path).bind(model(4, 4, 3), holdout=None)
    assert labels(plain) == [(0, 1), (1, 2), (2, 0)]
    assert any(line.startswith("class folders") and ALPHABET in line for line in plain.lint())
    with pytest.raises(DataError, match="holds the class 'high', which is none of the 2 names given"):
        load_data(tmp_path, classes=("low", "mid"))


def test_a_class_name_is_no_way_out_of_the_folder(tmp_path: Path) -> None:
    write_image(tmp_path / "secret" / "0.png", flat(9))
    for name in ("a", "b"):
        write_image(tmp_path / "set" / name / "0.png", flat(1))
    split = load_data(tmp_path / "set", classes=("a", "b", "../secret")).splits["all"]
    assert len(split.paths) == 2  # type: ignore[attr-defined]  # a split of images


def test_records_of_text_take_an_order_and_need_one(tmp_path: Path) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(tmp_path / "d.tfrecord")) as writer:
        for value, name in enumerate(ORDER):
            features = {
                "x": tf.train.Feature(float_list=tf.train.FloatList(value=[value, 0.0])),
                "label": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    (tmp_path / "f.toml").write_text("[features.x]\nkind = 'float'\nshape = [2]\n[label]\nkind = 'text'\n")
    given = {"features": tmp_path / "f.toml"}
    data = load_data(tmp_path / "d.tfrecord", classes=ORDER, **given).bind(model(2), holdout=None)  # type: ignore[arg-type]
    assert labels(data) == [(0, 0), (1, 1), (2, 2)]
    with pytest.raises(DataError, match="is text, so the classes need their order: give --classes"):
        load_data(tmp_path / "d.tfrecord", **given)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="holds the class 'high'"):
        load_data(tmp_path / "d.tfrecord", classes=("low", "mid"), **given).bind(model(2))  # type: ignore[arg-type]


def test_whole_numbers_are_names_where_the_names_given_are_whole_numbers(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b,label\n0,0,10\n1,0,30\n2,0,20\n")
    for source in (tmp_path / "d.csv", (np.array([[0.0, 0], [1, 0], [2, 0]]), np.array([10, 30, 20]))):
        data = load_data(source, classes="10,20,30").bind(model(2), holdout=None)
        assert labels(data) == [(0, 0), (1, 2), (2, 1)]


def test_names_beside_numbers_only_name_them() -> None:
    data = load_data((np.zeros((3, 2)), [2, 0, 1]), classes=ORDER).bind(model(2), holdout=None)
    assert [y for _, y in labels(data)] == [0, 1, 2]
    assert data.describe()["labels"] == list(ORDER)


def test_names_stored_beside_text_labels_order_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=[[0.0, 0], [1, 0], [2, 0]], y=np.array(ORDER), labels=np.array(ORDER))
    data = load_data(tmp_path / "d.npz").bind(model(2), holdout=None)
    assert labels(data) == [(0, 0), (1, 1), (2, 2)]
    assert data.lint() == ["no training split: representative samples come from 'test'"]


def test_names_for_a_model_without_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"labels with names \(high, low, mid\), the model's output 'out' .* no classes"
    ):
        load_data(csv(tmp_path)).bind(model(2, outputs=1))


def test_names_in_one_split_and_numbers_in_another_are_refused() -> None:
    given = {"train": (np.zeros((3, 2)), list(ORDER)), "test": (np.zeros((3, 2)), [0, 1, 2])}
    with pytest.raises(DataError, match="names in y_train and numbers in y_test; give them alike"):
        load_data(given)


def test_an_order_by_text_that_is_none_by_value_is_said(tmp_path: Path) -> None:
    for value, name in enumerate(("9", "10", "8")):
        write_image(tmp_path / name / "0.png", flat(value))
    (line,) = load_data(tmp_path).warnings
    assert "alphabetical order (as text, not by value): 0 = 10, 1 = 8, 2 = 9;" in line


def test_names_may_come_out_of_a_file_with_one_a_line(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\ufefflow\nmid, really\nhigh\n\n", "utf-8")
    assert class_names.read_class_names(tmp_path / "names.txt") == ("low", "mid, really", "high")
    assert class_names.read_class_names(str(tmp_path / "names.txt")) == ("low", "mid, really", "high")


@given(st.lists(st.text("abc ü-_", min_size=1).map(str.strip).filter(bool), min_size=2, max_size=9, unique=True))
def test_names_separated_by_commas_are_read_in_their_order(names: list[str]) -> None:
    assert class_names.read_class_names(", ".join(names)) == tuple(names) == class_names.read_class_names(names)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("low", "at least two names"),
        ("low,,high", "at least two names"),
        ("low,high,low", "must all be different, 'low' is there twice"),
        ("absent.txt", r"'absent\.txt' cannot be read"),
        ([1, 2], "must be names as text"),
        ([], "at least two names"),
    ],
)
def test_names_that_cannot_be_meant_are_refused(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        class_names.read_class_names(given)


def test_of_a_thousand_names_the_line_lists_the_first_and_the_last() -> None:
    line = class_names.numbered([f"c{number:03}" for number in range(1000)])
    assert line.startswith("0 = c000, 1 = c001")
    assert line.endswith("8 = c008, ..., 999 = c999")


STEPS = Signature((TensorSpec("x", (4,), "float32"),), (TensorSpec("tag", (4, 5), "float32"),))
TAGS = list("OBIES")
TOKENS = np.array([[0, 1, 2, 3], [4, 0, 0, 1], [2, 2, -1, -1]])
WORDS = np.array([[TAGS[number] if number >= 0 else "" for number in row] for row in TOKENS])


def tf_data(*parts: Any) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(parts).batch(2)


FORMS = pytest.mark.parametrize(
    "form",
    [
        lambda x, y: (x, y),
        lambda x, y: {"x": x, "y": y},
        lambda x, y: ([x], y),
        tf_data,
        lambda x, y: lambda: iter([(x, y)]),
    ],
    ids=["arrays", "a dict", "lists", "tf.data", "a generator"],
)


@FORMS
@pytest.mark.parametrize("words", [WORDS, WORDS.astype("S")], ids=["text", "bytes"])
def test_names_for_each_step_are_numbers_and_no_name_is_padding(form: Any, words: np.ndarray) -> None:
    data = load_data(form(np.zeros((3, 4), np.float32), words), classes=TAGS).bind(STEPS, holdout=None)
    assert np.concatenate([y for _, y in data.need_test().batches(9)]).tolist() == TOKENS.tolist()
    assert data.dataset.labels == tuple(TAGS)
    assert [task.name for task in data.tasks.values()] == ["tokens"]


@FORMS
def test_a_misspelt_name_of_a_step_is_refused_with_the_nearest_one(form: Any) -> None:
    words = np.where(WORDS == "I", "Inside", WORDS)
    given_ = form(np.zeros((3, 4), np.float32), words)
    with pytest.raises(DataError, match=r"holds the class 'Inside', .* \(did you mean 'Insid'\?\)"):
        load_data(given_, classes=["O", "B", "Insid", "E", "S"]).bind(STEPS, holdout=None).lint()


def test_records_may_hold_a_name_for_each_step(tmp_path: Path) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(tmp_path / "d.tfrecord")) as writer:
        for row in WORDS:
            features = {
                "x": tf.train.Feature(float_list=tf.train.FloatList(value=[0.0] * 4)),
                "tag": tf.train.Feature(bytes_list=tf.train.BytesList(value=[word.encode() for word in row])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    text = "[features.x]\nkind = 'float'\nshape = [4]\n[label]\nkey = 'tag'\nkind = 'text'\nshape = [4]\n"
    (tmp_path / "f.toml").write_text(text)
    data = load_data(tmp_path / "d.tfrecord", classes=TAGS, features=tmp_path / "f.toml").bind(STEPS, holdout=None)
    assert next(data.need_test().batches(9))[1].tolist() == TOKENS.tolist()


TWO = Signature(
    (TensorSpec("x", (2,), "float32"),),
    (TensorSpec("ripe", (1,), "float32"), TensorSpec("kind", (2,), "float32")),
)
RIPE = np.array([0, 1, 1, 0])
KIND = np.array(["pear", "apple", "apple", "pear"])


@pytest.mark.parametrize(
    "named", [{"ripe": RIPE, "kind": KIND}, [RIPE, KIND], (RIPE, KIND)], ids=["dict", "list", "tuple"]
)
@pytest.mark.parametrize("classes", [("pear", "apple"), None], ids=["given", "alphabetical"])
def test_names_of_one_of_several_outputs_are_its_classes(named: Any, classes: Any) -> None:
    data = load_data((np.zeros((4, 2)), named), classes=classes).bind(TWO, holdout=None)
    _, y = next(data.need_test().batches(9))
    order = classes or ("apple", "pear")
    assert (data.dataset.labels, y["kind"].tolist()) == (order, [order.index(name) for name in KIND])
    assert y["ripe"].reshape(-1).tolist() == RIPE.tolist()
    assert any("alphabetical" in line for line in data.lint()) == (classes is None)


def test_names_of_one_output_of_a_stream_become_numbers() -> None:
    data = load_data(tf_data(np.zeros((4, 2), np.float32), {"ripe": RIPE, "kind": KIND}), classes="pear,apple")
    _, y = next(data.bind(TWO, holdout=None).need_test().batches(9))
    assert y["kind"].tolist() == [0, 1, 1, 0]
    assert y["ripe"].reshape(-1).tolist() == RIPE.tolist()


def test_the_classes_of_the_named_output_are_counted() -> None:
    named = {"ripe": RIPE, "kind": np.array(["pear", "apple", "fig", "pear"])}
    with pytest.raises(DataError, match=r"has 3 classes \(apple, fig, pear\), the model's output 2"):
        load_data((np.zeros((4, 2)), named)).bind(TWO)


@pytest.mark.parametrize("table", [False, True])
def test_two_outputs_of_other_names_each_have_no_common_order(table: bool, tmp_path: Path) -> None:
    yes = np.where(RIPE == 1, "yes", "no")
    lines = "".join(f"0,0,{a},{b}\n" for a, b in zip(yes, KIND, strict=True))
    (tmp_path / "d.csv").write_text(f"a,b,ripe,kind\n{lines}")
    given_ = tmp_path / "d.csv" if table else (np.zeros((4, 2)), {"ripe": yes, "kind": KIND})
    with pytest.raises(DataError, match=r"ripe.* .*kind.*, of other classes each; give those of one output as names"):
        load_data(given_, label="ripe,kind" if table else None).bind(TWO)


@pytest.mark.parametrize("classes", [("pear", "apple"), None])
def test_a_table_may_name_the_classes_of_one_of_its_label_columns(classes: Any, tmp_path: Path) -> None:
    lines = "".join(f"0,0,{a},{b}\n" for a, b in zip(RIPE, KIND, strict=True))
    (tmp_path / "d.csv").write_text(f"a,b,ripe,kind\n{lines}")
    data = load_data(tmp_path / "d.csv", label=["ripe", "kind"], classes=classes).bind(TWO, holdout=None)
    _, y = next(data.need_test().batches(9))
    order = classes or ("apple", "pear")
    assert (data.dataset.labels, y["kind"].tolist()) == (order, [order.index(name) for name in KIND])
    assert y["ripe"].reshape(-1).tolist() == RIPE.tolist()


def test_label_columns_of_a_table_may_hold_the_names_of_steps(tmp_path: Path) -> None:
    lines = "".join(f"0,0,0,0,{','.join(row)}\n" for row in WORDS[:2])
    (tmp_path / "d.csv").write_text(f"a,b,c,d,t0,t1,t2,t3\n{lines}")
    data = load_data(tmp_path / "d.csv", label="t0,t1,t2,t3", classes=TAGS).bind(STEPS, holdout=None)
    assert next(data.need_test().batches(9))[1].tolist() == TOKENS[:2].tolist()
