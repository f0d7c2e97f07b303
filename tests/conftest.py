"""What all tests share: the fast ones run first, and TensorFlow keeps to itself what it only logs."""

from __future__ import annotations

import os
import signal

import pytest

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests that press it need it back.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what trains or converts last, so that a simple mistake shows within seconds; leave out what takes very long.

    That is run by ``pytest -m arm`` (emulated boards), ``-m networks`` and ``-m payloads``.
    """
    for marker in ("arm", "networks", "payloads"):
        if marker not in config.option.markexpr:
            left_out = [item for item in items if item.get_closest_marker(marker)]
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
