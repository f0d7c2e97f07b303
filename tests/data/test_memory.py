"""What a process and its children have taken."""

from __future__ import annotations

import subprocess
import sys

from tfcompress.data.memory import peak_bytes


def test_the_peak_counts_children_as_long_as_they_live() -> None:
    taken = 64 << 20
    code = f"x = bytearray({taken}); print(flush=True); input()"
    before = peak_bytes()
    assert before > 1 << 20
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        during = peak_bytes()
        child.kill()
    assert before + taken <= during < before + 8 * taken
    assert peak_bytes() < before + taken
