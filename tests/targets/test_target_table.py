"""tfcompress.targets.target_table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfcompress.errors import RecipeError
from tfcompress.targets.target import ACCELERATORS, Target
from tfcompress.targets.target_table import LINUX, TARGETS, find_target

MINE = """\
about = "the board on my desk"
runtime = "tflm"
flash = "512KB"
ram = "128KB"
quantize = ["int8"]
ops = ["CONV_2D", "FULLY_CONNECTED"]
round_to = 4
round_to_source = "the vendor's word"
"""


def test_every_line_of_the_table_has_its_own_name() -> None:
    assert {name: target.name for name, target in TARGETS.items()} == {name: name for name in TARGETS}
    assert all(target.about.endswith(".") for target in TARGETS.values())
    assert set(ACCELERATORS) <= set(TARGETS)


def test_whoever_says_which_widths_are_good_says_what_that_rests_on() -> None:
    assert all(bool(target.round_to_source) == (target.round_to > 1) for target in TARGETS.values())
    measured, read = (TARGETS[name].round_to_source for name in ("tflm", "esp32-s3"))
    assert "emulated" in measured
    assert "not measured" in read
    assert all("Vela's estimate" in TARGETS[name].round_to_source for name in ACCELERATORS)


def test_linux_is_the_plain_one() -> None:
    assert not TARGETS[LINUX].micro
    assert TARGETS[LINUX].schemes == ("none", "dynamic", "float16", "int8", "int16x8")


def test_a_user_s_own_is_read_from_toml_and_called_after_its_file(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(MINE)
    found = find_target(str(path))
    assert found == Target(
        name="board",
        about="the board on my desk",
        runtime="tflm",
        flash="512KB",
        ram="128KB",
        quantize=("int8",),
        ops=("CONV_2D", "FULLY_CONNECTED"),
        round_to=4,
        round_to_source="the vendor's word",
    )
    path.write_text('name = "desk"\nruntime = "tflm"\n')
    assert find_target(str(path)).name == "desk"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flsh = '1MB'", r"board.toml': target has no key 'flsh' \(did you mean 'flash'\?\)"),
        ("ram = 64", r"board.toml': target.ram must be text, got 64"),
        ("runtime = ", r"board.toml' is not TOML"),
        ("runtime = 'tflm'\nquantize = ['dynamic']", r"target.quantize must be among those of runtime 'tflm'"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message) as refusal:
        find_target(str(path))
    assert "\n" not in str(refusal.value)


def test_a_name_that_is_none_gets_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"got 'esp32s3' \(did you mean 'esp32-s3'\?\)"):
        find_target("esp32s3")
    with pytest.raises(RecipeError, match=r"nowhere.toml' cannot be read: No such file"):
        find_target(str(tmp_path / "nowhere.toml"))
