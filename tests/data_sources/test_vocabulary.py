from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.data.sources import load_data
from tfcompress.data.vocabulary import read_vocabulary
from tfcompress.errors import DataError, UsageError
from tfcompress.models.specs import Signature, TensorSpec

TABLE = 'label,text\n0,the cat sat\n1,"a dog, the dog sat down"\n0,\n'


def model(*inputs: tuple[str, tuple[int | None, ...]]) -> Signature:
    specs = tuple(TensorSpec(name, shape, "int64") for name, shape in inputs)
    return Signature(specs, (TensorSpec("out", (2,), "float32"),))


@pytest.fixture
def words(tmp_path: Path) -> Path:
    (tmp_path / "words.txt").write_text("the\ncat\ndog\nsat\n")
    return tmp_path / "words.txt"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "data.csv").write_text(TABLE)
    return tmp_path / "data.csv"


def ids(table: Path, words: Path, signature: Signature) -> dict[str, np.ndarray]:
    x, _ = next(load_data(table, vocabulary=words).bind(signature, holdout=None).need_test().batches(9))
    return x


def test_words_become_numbers_from_2_on_padded_and_cut(table: Path, words: Path) -> None:
    data = load_data(table, vocabulary=words).bind(model(("text", (4,))), holdout=None)
    x, y = next(data.need_test().batches(9))
    assert x["text"].tolist() == [[2, 3, 5, 0], [1, 1, 2, 4], [0, 0, 0, 0]]
    assert y.tolist() == [0, 1, 0]
    assert "data.csv: 1 texts of column 'text' have more words than the model takes and lose those behind" in data.notes
    assert (
        "text: words of words.txt, 4 of them, parted by white space: 2 = the, 3 = cat, 4 = dog, 5 = sat, ...; "
        "1 = unknown, 0 = padding"
    ) in data.notes


def test_another_vocabulary_is_other_data(table: Path, words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(table.parent)
    before = load_data(table, vocabulary=words.name).sha256
    words.write_text("cat\nthe\n")
    assert load_data(table, vocabulary=words.name).sha256 != before


def test_a_model_of_any_length_gets_the_longest_text(table: Path, words: Path) -> None:
    assert ids(table, words, model(("text", (None,))))["text"].shape == (3, 6)


@pytest.mark.parametrize(
    ("front", "first"), [("\n[UNK]\n", 2), ("[UNK]\n", 1)], ids=["TextVectorization", "StringLookup"]
)
def test_a_file_of_keras_is_numbered_from_0(tmp_path: Path, front: str, first: int) -> None:
    (tmp_path / "v.txt").write_text(f"{front}the\ncat\n")
    found = read_vocabulary(tmp_path / "v.txt")
    assert found.ids(["the", "cat", "dog"]).tolist() == [first, first + 1, first - 1]


def test_numbers_are_those_of_keras_lookup(tmp_path: Path) -> None:
    import keras

    layer = keras.layers.TextVectorization(standardize=None, vocabulary=["the", "cat"], output_sequence_length=4)
    (tmp_path / "v.txt").write_text("".join(f"{word}\n" for word in layer.get_vocabulary()))
    texts = ["the cat sat", "", "cat cat the dog the"]
    assert np.array_equal(read_vocabulary(tmp_path / "v.txt").sequences(texts, 4), np.array(layer(texts)))


def test_several_text_columns_are_a_word_each(tmp_path: Path, words: Path) -> None:
    (tmp_path / "data.csv").write_text("colour,animal,label\nthe,cat,0\nred,dog,1\n")
    signature = model(("features", (2,)))
    assert ids(tmp_path / "data.csv", words, signature)["features"].tolist() == [[2, 3], [1, 4]]
    signature = model(("colour", ()), ("animal", (1,)))
    x = ids(tmp_path / "data.csv", words, signature)
    assert (x["colour"].tolist(), x["animal"].tolist()) == ([2, 1], [[3], [4]])


def test_numbers_beside_text_stay_numbers(tmp_path: Path, words: Path) -> None:
    (tmp_path / "data.csv").write_text("size,animal,label\n7,cat,0\n8,dog,1\n")
    assert ids(tmp_path / "data.csv", words, model(("f", (2,))))["f"].tolist() == [[7, 3], [8, 4]]


def test_text_without_a_vocabulary_is_refused_as_ever(table: Path) -> None:
    with pytest.raises(DataError, match=r"1 columns \(text\)|must hold numbers"):
        load_data(table).bind(model(("text", (4,))))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no words"),
        (b"\n\n", "holds no words"),
        (b"a\nb\na\n", "holds 'a' twice"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_refused(tmp_path: Path, table: Path, content: bytes, message: str) -> None:
    (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load_data(table, vocabulary=tmp_path / "v.txt")


def test_no_file_is_refused(tmp_path: Path, table: Path) -> None:
    with pytest.raises(UsageError, match=r"vocabulary '.*none\.txt' cannot be read"):
        load_data(table, vocabulary=tmp_path / "none.txt")


@given(st.lists(st.text(), max_size=5), st.integers(1, 6))
def test_any_texts_become_numbers_of_the_vocabulary(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], length: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_text("a\nb\n")
    found = read_vocabulary(path).sequences(texts, length)
    assert found.shape == (len(texts), length)
    assert set(found.reshape(-1).tolist()) <= {0, 1, 2, 3}
