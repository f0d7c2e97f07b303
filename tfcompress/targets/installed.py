"""Whether what proves files for a target is installed, found out without importing it."""

from __future__ import annotations

from importlib.util import find_spec

from tfcompress.errors import MissingDependencyError
from tfcompress.targets.target import Target

EXTRA = "pip install 'tfcompress[mcu]'"


def check_installed(target: Target, *, run: bool = True) -> None:
    """Refuse a target that nothing here can prove a file for.

    Args:
        target: what files are for.
        run: whether they are to be run, too, and not only compiled.

    Raises:
        MissingDependencyError: saying what to install.
    """
    if run and target.micro and find_spec("tflite_micro") is None:
        msg = f"target {target.name!r} runs in TensorFlow Lite Micro (Linux on x86-64), which is not installed: {EXTRA}"
        raise MissingDependencyError(msg)
    if target.accelerator and find_spec("ethosu") is None:
        msg = f"target {target.name!r} is compiled for by Vela, which is not installed: {EXTRA}"
        raise MissingDependencyError(msg)


def check_lookup_writer(*, wanted: bool) -> None:
    """Refuse look-up tables that nothing here can write.

    Raises:
        MissingDependencyError: saying what to install.
    """
    if wanted and find_spec("tflite_micro") is None:
        msg = f"look-up tables are written and run by tflite-micro, which is not installed: {EXTRA}"
        raise MissingDependencyError(msg)
