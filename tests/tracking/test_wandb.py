"""A run offline, read back by W&B's own reader of its log."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfcompress.tracking.tracker import TrackedEnd, TrackedStart

pytest.importorskip("wandb", reason="needs the extra wandb")

SCRIPT = """
import sys
from pathlib import Path
from tfcompress.tracking.tracker import TrackedEnd, TrackedStart
from tfcompress.tracking.wandb import WandB
Path("report.json").write_text("{}")
run = WandB("shop/nets").begin(TrackedStart(name="net-int8", settings={"train.epochs": 2}, recipe="a = 1"))
run.log({"training/loss": 0.5}, 1)
run.log({"training/loss": 0.25}, 2)
part = run.child(TrackedStart(name="001-int8", parent="net-int8"))
part.end(TrackedEnd(outcome="failed", reason="too large"))
run.end(TrackedEnd(figures={"result/size_bytes": 1000.0}, files={"report.json": Path("report.json")}))
print(sorted(Path("wandb").glob("offline-run-*")).__len__())
"""


@pytest.mark.slow
def test_a_run_is_kept_here_and_read_back(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= {"WANDB_DATA_DIR": str(tmp_path / "staged"), "WANDB_CACHE_DIR": str(tmp_path / "cache")}
    kept = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "check": True}
    done = subprocess.run([sys.executable, "-c", SCRIPT], **kept)  # type: ignore[call-overload]  # as text
    assert done.stdout == "2\n"  # both runs, and not a word of W&B's
    assert "wandb:" not in done.stderr
    told = ""
    for log in tmp_path.glob("wandb/offline-run-*/*.wandb"):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", str(log)]
        told += subprocess.run(command, **kept).stdout  # type: ignore[call-overload]  # as text
    for words in ("net-int8", "001-int8", "nets", "shop", "result/size_bytes", "too large"):
        assert words in told, told


def test_the_environment_and_the_user_say_where(monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    from tfcompress.tracking.wandb import WandB

    asked = []

    class Run:
        def __init__(self) -> None:
            self.summary = dict[str, object]()

        def finish(self, exit_code: int) -> None:
            asked.append({"exit_code": exit_code})

    monkeypatch.setattr(wandb, "init", lambda **options: asked.append(options) or Run())
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    WandB("").begin(TrackedStart(name="a")).end(TrackedEnd(outcome="failed"))
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_PROJECT")
    WandB("").begin(TrackedStart(name="a", parent="b")).end(TrackedEnd())
    first, failed, second, well = asked
    assert (first["mode"], first["project"], first["entity"]) == ("online", "theirs", None)
    assert (second["mode"], second["project"], second["group"]) == ("offline", "tfcompress", "b")
    assert (failed, well) == ({"exit_code": 1}, {"exit_code": 0})
