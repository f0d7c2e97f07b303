"""One public name, one meaning: names that rooms take from each other, and names of modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import structure

THERE = {"tfcompress/data/lint.py": "def check(): ...", "tfcompress/tflite/verify.py": "def check(): ..."}
ASKED = "from tfcompress.data import lint\ndef run(): lint.check()"
ROW = "class Prune(TrainingStage): ..."


def modules(texts: dict[str, str]) -> list[structure.Module]:
    return [structure.Module(Path(path), text) for path, text in texts.items()]


def test_a_name_that_crosses_rooms_means_one_thing() -> None:
    assert structure.two_meanings(structure.modules(structure.ROOT, structure.PACKAGES)) == {}


def test_a_module_has_a_name_of_its_own() -> None:
    assert structure.modules_twice(structure.modules(structure.ROOT, structure.PACKAGES)) == {}


@pytest.mark.parametrize(
    ("path", "text", "seen"),
    [
        ("tfcompress/cli/main.py", "from tfcompress.data.lint import check", True),
        ("tfcompress/cli/main.py", "from tfcompress.data.lint import check as check_data", True),
        ("tfcompress/cli/main.py", ASKED, True),
        ("edge_runner/child.py", "def check(): ...\nfrom tfcompress.data.lint import check as other", True),
        ("tfcompress/data/npz.py", "from tfcompress.data.lint import check", False),
        ("tfcompress/data/npz.py", ASKED, False),
        ("tfcompress/cli/main.py", "import importlib\nimportlib.import_module(NAME).check()", False),
    ],
)
def test_a_clash_is_seen_where_another_room_takes_the_name(path: str, text: str, *, seen: bool) -> None:
    assert list(structure.two_meanings(modules({**THERE, path: text}))) == ["check"] * seen


def test_two_packages_that_call_different_things_the_same_clash() -> None:
    texts = {
        "tfcompress/errors.py": "class DataError: ...",
        "edge_runner/arrays.py": "class DataError: ...",
        "edge_runner/scoring.py": "from edge_runner.arrays import DataError",
    }
    assert structure.two_meanings(modules(texts)) == {"DataError": ["edge_runner.arrays", "tfcompress.errors"]}


@pytest.mark.parametrize(
    "other",
    [
        'Outcome = Literal["kept", "missed"]',
        'Outcome: TypeAlias = Literal["kept", "missed"]',
        'Outcome = TypeVar("Outcome")',
        "class Outcome: ...",
    ],
)
def test_a_type_that_two_modules_define_clashes_with_a_class_or_type_of_its_name(other: str) -> None:
    texts = {
        "tfcompress/devices/fleet.py": "class Outcome: ...",
        "tfcompress/reports/gate.py": other,
        "tfcompress/cli/bench.py": "from tfcompress.devices.fleet import Outcome",
    }
    assert structure.two_meanings(modules(texts)) == {
        "Outcome": ["tfcompress.devices.fleet", "tfcompress.reports.gate"]
    }


def test_a_constant_of_two_modules_is_no_type() -> None:
    texts = {
        "tfcompress/devices/fleet.py": "SAMPLES = 8",
        "tfcompress/reports/gate.py": "SAMPLES = 16",
        "tfcompress/cli/bench.py": "from tfcompress.devices.fleet import SAMPLES",
    }
    assert structure.two_meanings(modules(texts)) == {}


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ({"tfcompress/data/rules.py": "", "tfcompress/channels/rules.py": ""}, ["rules.py"]),
        ({"tfcompress/data/rules.py": "", "edge_runner/rules.py": ""}, []),
        ({"tfcompress/data/__init__.py": "", "tfcompress/channels/__init__.py": ""}, []),
        ({"tfcompress/weights/prune.py": "", "tfcompress/stages/prune.py": ROW}, []),
        ({"tfcompress/weights/prune.py": "", "tfcompress/stages/prune.py": "class Prune: ..."}, ["prune.py"]),
        ({"tfcompress/weights/prune.py": "", "tfcompress/data/prune.py": ROW}, ["prune.py"]),
        (
            {"tfcompress/weights/prune.py": "", "tfcompress/tflite/prune.py": "", "tfcompress/stages/prune.py": ROW},
            ["prune.py"],
        ),
        ({"tfcompress/data/show.py": "", "tfcompress/cli/show.py": "command = make()"}, []),
        ({"tfcompress/data/show.py": "", "tfcompress/cli/show.py": "def command(): ..."}, []),
        ({"tfcompress/data/show.py": "", "tfcompress/cli/show.py": "def table(): ..."}, ["show.py"]),
    ],
)
def test_a_module_that_stands_twice_is_seen_unless_a_table_has_a_line_for_it(
    texts: dict[str, str], found: list[str]
) -> None:
    assert list(structure.modules_twice(modules(texts))) == found
