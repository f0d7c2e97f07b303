"""tfcompress.targets.installed."""

from __future__ import annotations

import pytest

from tfcompress.errors import MissingDependencyError
from tfcompress.targets import installed
from tfcompress.targets.target_table import TARGETS


@pytest.mark.parametrize(
    ("target", "there", "lacks"),
    [
        ("linux", (), ""),
        ("tflm", (), "TensorFlow Lite Micro"),
        ("tflm", ("tflite_micro",), ""),
        ("ethos-u55-128", ("tflite_micro",), "Vela"),
        ("ethos-u55-128", ("tflite_micro", "ethosu"), ""),
    ],
)
def test_what_is_not_installed_is_one_line_with_what_to_do(
    target: str, there: tuple[str, ...], lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: name if name in there else None)
    if not lacks:
        installed.check_installed(TARGETS[target])
        return
    with pytest.raises(MissingDependencyError, match=rf"{lacks}.* not installed: pip install 'tfcompress\[mcu\]'"):
        installed.check_installed(TARGETS[target])


def test_who_only_compiles_needs_no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: name if name == "ethosu" else None)
    installed.check_installed(TARGETS["ethos-u55-128"], run=False)
