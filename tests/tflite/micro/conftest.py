"""What tests of microcontrollers need: the packages of ``tfcompress[mcu]``."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tflm() -> None:
    """Skip where TFLM's interpreter is not there: its wheel is for Linux on x86-64 alone."""
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed: pip install 'tfcompress[mcu]'")


@pytest.fixture(scope="session")
def vela() -> None:
    pytest.importorskip("ethosu", reason="ethos-u-vela is not installed: pip install 'tfcompress[mcu]'")
