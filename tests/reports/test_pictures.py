"""What a run keeps to be looked at, written and read."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tfcompress.errors import UsageError
from tfcompress.reports.pictures import (
    NAME,
    ChangedAnswer,
    Confusions,
    Pictures,
    Thumbnail,
    ValueCounts,
    read_pictures,
)


def some_pictures() -> Pictures:
    """One of everything."""
    weights = ValueCounts(
        name="<conv>", low=-1.0, high=1.0, before=(1, 4, 1), after=(0, 6, 0), zeros_before=0.0, zeros_after=0.5,
        distinct_after=7,
    )  # fmt: skip
    shown = (
        Thumbnail(title="image", png="iVBORw0KGgo="),
        Thumbnail(title="signal", channels=((0.0, 1.0, 0.5), (1.0, 0.0, 0.0))),
        Thumbnail(title="words", text="<script>alert(1)</script>"),
    )
    answer = ChangedAnswer(number=3, shown=shown, label="a", before="a, 90 %", after="b, 60 %", verdict="lost")
    activations = dataclasses.replace(weights, name="relu", grid=(-0.5, 2.0), beyond=0.125)
    return Pictures(
        sha256="ab",
        samples=12,
        changed=1,
        classes=("a", "b"),
        weights=(weights,),
        activations=(activations,),
        activations_on="16 samples of 'train'",
        confusions=Confusions(before=((5, 1), (0, 6)), after=((4, 2), (0, 6))),
        answers=(answer,),
        notes=("something is missing",),
    )


def test_what_is_written_is_read_back(tmp_path):
    (tmp_path / NAME).write_text(some_pictures().to_json())
    assert read_pictures(tmp_path, "ab") == some_pictures()


def test_a_file_of_format_1_has_no_activations(tmp_path):
    plain = json.loads(some_pictures().to_json()) | {"format": 1}
    weights = [{key: value for key, value in one.items() if key not in ("grid", "beyond")} for one in plain["weights"]]
    older = {key: value for key, value in plain.items() if not key.startswith("activations")} | {"weights": weights}
    (tmp_path / NAME).write_text(json.dumps(older))
    assert read_pictures(tmp_path, "ab") == dataclasses.replace(some_pictures(), activations=(), activations_on="")


def test_pictures_of_another_file_are_none(tmp_path):
    (tmp_path / NAME).write_text(some_pictures().to_json())
    assert read_pictures(tmp_path, "cd") is None
    assert read_pictures(tmp_path / "nowhere", "ab") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "other"}, "does not hold the pictures of a run"),
        ({"format": 99}, "format must be a whole number between 1 and 2, got 99"),
        ({"format": True}, "got True"),
        ({"more": 1}, "has no key 'more'"),
        ({"samples": "12"}, "samples must be a whole number"),
    ],
)
def test_what_is_broken_is_refused_in_a_line(tmp_path, change, said):
    (tmp_path / NAME).write_text(json.dumps({**json.loads(some_pictures().to_json()), **change}))
    with pytest.raises(UsageError, match=said) as error:
        read_pictures(tmp_path, "ab")
    assert NAME in str(error.value)


def test_what_is_no_json_is_refused(tmp_path):
    (tmp_path / NAME).write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        read_pictures(tmp_path, "ab")


def test_a_picture_that_would_break_out_of_its_attribute_is_refused(tmp_path):
    text = some_pictures().to_json().replace("iVBORw0KGgo=", 'x\\" onerror=\\"alert(1)')
    (tmp_path / NAME).write_text(text)
    with pytest.raises(UsageError, match="the picture of 'image' is not base64"):
        read_pictures(tmp_path, "ab")


@pytest.mark.parametrize(
    ("part", "broken", "said"),
    [
        ("weights", {"after": [1, 2]}, "must be as many before as after"),
        ("weights", {"before": [1, -4, 1]}, "from 0 on"),
        ("weights", {"low": 1.0}, "between finite ends"),
        ("confusions", {"before": [[1, 2]]}, "must be square matrices of one size"),
        ("confusions", {"after": [[1, 2], [3]]}, "must be square matrices of one size"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, part, broken, said):
    plain = json.loads(some_pictures().to_json())
    (plain[part][0] if part == "weights" else plain[part]).update(broken)
    (tmp_path / NAME).write_text(json.dumps(plain))
    with pytest.raises(UsageError, match=said):
        read_pictures(tmp_path, "ab")
