"""Weights & Biases: a run on this machine, synchronized later by ``wandb sync`` or at once where WANDB_MODE says so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tfcompress.tracking.tracker import TrackedEnd, TrackedStart

PROJECT = "tfcompress"
"""The project, where neither the user nor ``WANDB_PROJECT`` names one."""

_LONGEST_NAME = 100


class WandB:
    """Begins runs of a project, offline unless ``WANDB_MODE`` is set.

    Attributes:
        name: what messages call it.
    """

    name = "wandb"

    def __init__(self, where: str) -> None:
        """Say where.

        Args:
            where: ``PROJECT`` or ``ENTITY/PROJECT``; empty: what ``WANDB_PROJECT`` says, else :data:`PROJECT`.
        """
        import wandb

        del wandb  # that it can be imported is found out before any work
        entity, _, project = where.rpartition("/")
        self._options = {
            "project": project or os.environ.get("WANDB_PROJECT") or PROJECT,
            "entity": entity or None,
            "mode": os.environ.get("WANDB_MODE") or "offline",
        }

    def begin(self, start: TrackedStart) -> WandBRun:
        """Begin a run."""
        return WandBRun(self._options, start)


class WandBRun:
    """One run."""

    def __init__(self, options: Mapping[str, Any], start: TrackedStart) -> None:
        """Begin it, beside whatever run the user has.

        Args:
            options: where it goes.
            start: the run.
        """
        import wandb

        self._options, self._name = options, start.name
        self._run: Any = wandb.init(
            **options,
            name=start.name,
            group=start.parent or None,
            config=dict(start.settings),
            notes=start.recipe or None,
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log a row of the history."""
        self._run.log({**values, "epoch": step})

    def child(self, start: TrackedStart) -> WandBRun:
        """Begin a run of the group that is called like this one."""
        return WandBRun(self._options, start)

    def end(self, end: TrackedEnd) -> None:
        """Write the figures into the summary, and the files as an artifact."""
        import wandb

        told = {"outcome": end.outcome, **({"reason": end.reason} if end.reason else {})}
        self._run.summary.update({**end.figures, **told})
        if end.files:
            artifact = wandb.Artifact(_artifact_name(self._name), type="model" if end.model else "report")
            for name, path in end.files.items():
                artifact.add_file(str(path), name=name)
            self._run.log_artifact(artifact)
        self._run.finish(exit_code=0 if end.outcome == "finished" else 1)


def _artifact_name(name: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in name)
    return kept[:_LONGEST_NAME] or "run"
