"""Noticing checkpoints that were written before the model in them was pruned as far as was asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfcompress.engines.session import Session


def was_fitted(model: Any) -> bool:
    """Say whether a model's own optimizer has made a step."""
    iterations = getattr(getattr(model, "optimizer", None), "iterations", 0)
    return int(getattr(iterations, "numpy", lambda: iterations)()) > 0


class Checkpoints:
    """Remembers which files a model was saved to while its stages were under way."""

    def __init__(self, session: Session, model: Any) -> None:
        """Watch ``save`` and ``save_weights`` of one model.

        Args:
            session: the stages at work.
            model: what is trained, of either Keras; its two methods are replaced, on this object alone.
        """
        self._session = session
        self._early: dict[str, str] = {}
        for name in ("save", "save_weights"):
            setattr(model, name, self._watched(getattr(model, name)))

    def _watched(self, save: Callable[..., Any]) -> Callable[..., Any]:
        def watched(filepath: Any, *args: Any, **options: Any) -> Any:
            made = save(filepath, *args, **options)
            self._early.pop(str(filepath), None)
            if self._session.unfinished:
                self._early[str(filepath)] = self._how_far()
            return made

        return watched

    def _how_far(self) -> str:
        broken = [promise for promise in self._session.promises() if not promise.kept]
        return ", ".join(f"{p.layer}: {p.what} {p.got:.2g} instead of {p.asked:.2g}" for p in broken[:3])

    def words(self) -> list[str]:
        """Return a sentence for each file that is still what it was before pruning had come to its end; once."""
        found = {path: how_far for path, how_far in self._early.items() if Path(path).exists()}
        self._early.clear()
        return [
            f"{path} was saved before pruning had come to its end ({how_far}), and no later epoch replaced it: a model "
            "loaded from it is not what was asked for; let ModelCheckpoint begin when the schedule is over, or save "
            "what job.finish() returns"
            for path, how_far in found.items()
        ]
