"""What has to answer at once imports nothing heavy; each case in an interpreter of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tfcompress.cli.overview import COMMANDS

HEAVY = (
    "ai_edge_litert",
    "h5py",
    "keras",
    "numpy",
    "pandas",
    "tensorflow",
    "tensorflow_model_optimization",
    "tf_keras",
)


def loaded_by(script: str) -> set[str]:
    """Run *script* in a fresh interpreter and return the top-level modules that it left loaded."""
    script += "\nimport json, sys\nprint(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_check_sees_a_heavy_import() -> None:
    assert loaded_by("import numpy").intersection(HEAVY) == {"numpy"}


def test_the_package_is_light() -> None:
    loaded = loaded_by("import tfcompress")
    assert "tfcompress" in loaded
    assert not loaded.intersection(HEAVY)


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_every_help_is_light(words: list[str]) -> None:
    loaded = loaded_by(f"import sys; sys.argv[1:] = {words}\nfrom tfcompress.__main__ import main\nassert main() == 0")
    assert "tfcompress" in loaded
    assert not loaded.intersection(HEAVY)


def test_a_model_file_is_looked_into_without_either_keras() -> None:
    loaded = loaded_by("import tfcompress.models.loading, tfcompress.models.probing")
    assert not loaded.intersection({"keras", "tf_keras", "tensorflow", "tensorflow_model_optimization"})


def test_a_model_file_is_judged_without_anything_heavy() -> None:
    script = (
        "from tfcompress.safety.pure_functions import is_pure_function\n"
        "from tfcompress.safety.configuration import find_names\n"
        "assert is_pure_function('math.add') and not find_names({}).code"
    )
    assert not loaded_by(script).intersection(HEAVY)


def test_the_named_recipes_are_checked_without_anything_heavy() -> None:
    script = (
        "from tfcompress.recipe import from_toml, named\n"
        "for recipe in named().values():\n"
        "    assert from_toml(recipe.to_toml()) == recipe\n"
        "assert named()"
    )
    assert not loaded_by(script).intersection(HEAVY)


def test_a_bad_recipe_is_refused_without_anything_heavy() -> None:
    script = (
        "import sys; sys.argv[1:] = ['export', 'm.h5', '--prune', '1.5', '--data', 'd.npz']\n"
        "from tfcompress.__main__ import main\n"
        "assert main() == 2"
    )
    assert not loaded_by(script).intersection(HEAVY)


def test_a_report_is_read_and_printed_without_anything_heavy(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from rich.console import Console\n"
        "from tfcompress.reports.report import Machine, Report, ResultFile, SourceModel, read_report\n"
        "from tfcompress.reports.printing import print_report\n"
        "report = Report(tool_version='1', created_utc='', recipe_name='int8', recipe={}, seeds={}, versions={},\n"
        "    machine=Machine(system='Linux', architecture='x86_64'),\n"
        "    source=SourceModel(name='m.h5', writer='keras2'),\n"
        "    result=ResultFile(name='m.tflite', sha256='0', size_bytes=2, gzip_bytes=1, quantize='int8'))\n"
        f"path = Path({str(tmp_path / 'report.json')!r})\n"
        "report.save(path)\n"
        "assert read_report(path) == report\n"
        "print_report(report, Console())"
    )
    assert not loaded_by(script).intersection(HEAVY)
