"""The figures of the structure, on small checkouts whose figures a reader can count."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import structure


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    files = {
        "tfcompress/a/one.py": '"""A."""\n\n\ndef same() -> int:\n    """Give.\n\n    All.\n    """\n    return 1\n',
        "tfcompress/b/one.py": "from tfcompress.a.one import same as a\n\n\ndef same(x):\n    return x._layers\n",
        "tfcompress/b/two.py": "def task(name: str) -> bool:\n    return name == 'regression'\n",
        "tfcompress/b/three.py": "def asks(stage: object) -> bool:\n    return isinstance(stage, Prune | QAT)\n",
        "tfcompress/tasks/regression.py": "NAME = 'regression'\n",
        "edge_runner/x.py": "try:\n    pass\nexcept Exception:  # noqa: BLE001 - it may be anything\n    pass\n",
        "tests/test_a.py": "# a comment\n\nassert True\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ("modules", "6, tests 1"),
        ("path parts median / max", "3 / 3 (0 of 6 above 3)"),
        ("annotated", "75 %"),
        ("public names with a docstring", "25 %"),
        ("broad excepts", "1 (1 say why)"),
        ("public names with two meanings", "1 (same)"),
        ("module names that stand twice", "1 (one.py)"),
        ("modules that know a task by name", "1 (tfcompress/b/two.py)"),
        ("modules that know a stage by name", "1 (tfcompress/b/three.py)"),
        ("modules with private names of Keras", "1 (tfcompress/b/one.py)"),
    ],
)
def test_each_row_counts_what_it_says(checkout: Path, row: str, value: str) -> None:
    assert dict(structure.table(checkout))[row] == value


def test_docstrings_blank_lines_and_comments_are_no_code(checkout: Path) -> None:
    (one,) = [module for module in structure.modules(checkout, ["tfcompress/a"]) if module.path.name == "one.py"]
    assert (one.code_lines, one.lines) == (2, 9)
    assert dict(structure.table(checkout))["test lines / code lines"] == f"{1 / 14:.2f}"
