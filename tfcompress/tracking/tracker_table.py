"""The trackers there are, one line each, and what is asked for by their names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from tfcompress.errors import MissingDependencyError, OutputError, TfcompressError, UsageError, nearest
from tfcompress.export_choices import Choice
from tfcompress.tracking.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class TrackerChoice(Choice):
    """A tracker.

    Its implementation is a class, which takes WHERE, and makes ready what it writes to.

    Attributes:
        where: what WHERE means, and what it is where it is left out.
        package: what it imports; without it the tracker is refused before any work.
    """

    where: str
    package: str

    def opened(self, where: str) -> Tracker:
        """Import the tracker and make it ready."""
        made: Tracker = self.load()(where)
        return made


TRACKERS: dict[str, TrackerChoice] = {
    "tensorboard": TrackerChoice(
        about="Event files: losses, sparsity and ranges by epoch, figures, and the recipe as hyperparameters.",
        where="a folder (runs)",
        package="tensorboard",
        implementation="tfcompress.tracking.tensorboard:TensorBoard",
    ),
    "mlflow": TrackerChoice(
        about="A run with parameters, metrics, files, and the model with its signature.",
        where="a folder, or the address of a server or database (what MLflow's environment says, else mlruns)",
        package="mlflow",
        implementation="tfcompress.tracking.mlflow:MLflow",
    ),
    "wandb": TrackerChoice(
        about="A run with config, history, summary, and the files as an artifact; offline unless WANDB_MODE says more.",
        where="a project (what WANDB_PROJECT says, else tfcompress)",
        package="wandb",
        implementation="tfcompress.tracking.wandb:WandB",
    ),
}
"""By name; the extra of each is called the same."""


def read_tracker(text: str) -> tuple[str, str]:
    """Return the name and the place that ``NAME[:WHERE]`` holds.

    Raises:
        UsageError: there is no such tracker.
    """
    name, colon, where = text.partition(":")
    if name not in TRACKERS or (colon and not where):
        hint = nearest(name, TRACKERS) if name not in TRACKERS else ""
        msg = f"--track must be NAME or NAME:WHERE with NAME one of {', '.join(TRACKERS)}, got {text!r}{hint}"
        raise UsageError(msg)
    return name, where


def check_trackers(asked: Iterable[Tracker | str]) -> None:
    """Refuse what cannot be had, without importing any tracker.

    Raises:
        UsageError: no such tracker, or the same one twice.
        MissingDependencyError: its package is not installed; the extra is named.
    """
    seen = set()
    for text in asked:
        if not isinstance(text, str):
            continue
        name, _ = read_tracker(text)
        if text in seen:
            msg = f"--track {text} is given twice; give it once"
            raise UsageError(msg)
        seen.add(text)
        if find_spec(TRACKERS[name].package) is None:
            msg = f"--track {name} needs a package that is not installed: pip install 'tfcompress[{name}]'"
            raise MissingDependencyError(msg)


def open_trackers(asked: Iterable[Tracker | str]) -> tuple[Tracker, ...]:
    """Return trackers that are ready to follow runs.

    Args:
        asked: ``NAME[:WHERE]`` each, or trackers already.

    Raises:
        UsageError: no such tracker, or the same one twice.
        MissingDependencyError: its package is not installed; the extra is named.
        OutputError: one cannot be made ready where it was asked for.
    """
    wanted = list(asked)
    check_trackers(wanted)
    return tuple(_opened(each) if isinstance(each, str) else each for each in wanted)


def _opened(text: str) -> Tracker:
    name, where = read_tracker(text)
    try:
        return TRACKERS[name].opened(where)
    except TfcompressError:
        raise
    except Exception as error:  # of a package that may fail in any way: no right to write, no server, a broken install
        msg = f"--track {text} cannot be opened: {type(error).__name__}: {error}"
        raise OutputError(msg) from error
