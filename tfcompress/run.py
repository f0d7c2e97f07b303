"""One run: what it was given, what it has found out so far, and what a training of its stages gave."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tfcompress.progress import Progress
from tfcompress.recipe import Recipe

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData
    from tfcompress.diagnosis.file_layers import FileLayers
    from tfcompress.distillation.teacher import Teacher
    from tfcompress.models.loading import Loaded
    from tfcompress.tasks.task import Evaluation
    from tfcompress.tflite.convert import ConverterProcess
    from tfcompress.tracking.following import FollowedRun
    from tfcompress.training.fit import Training
    from tfcompress.training.teaching import Teaching
    from tfcompress.weights.promises import Promise


@dataclass
class Run:
    """One run's inputs, and what it has found out so far.

    Attributes:
        recipe: what is done.
        loaded: the model.
        data: the bound data, as what the recipe makes takes it; None: there is none.
        converter: the converter's process.
        progress: where progress goes.
        loading: ``trust``, ``custom`` and ``limits``, for further model files.
        teaching: who is trained in place of the model, and who teaches; None: it is not known yet.
        wall_seconds: time of each phase.
        metadata: what is stored in the file for whoever opens it.
        warnings: lines for the report.
        baseline: the float file; None: there is none, or it is not made yet.
        scores: of the ``float`` file and the ``result``, once they are scored.
        compared: what came out of the layers of the file and of the model that was exported; None: they have not run.
        closing: lets go of files and processes that the run holds.
        own_teachers: the model before compression, each time that it teaches with answers that are kept.
        followed: the run as trackers follow it; None: none does.
        model_data: the same data as the model as it came takes it, where that is at another size of pictures.
    """

    recipe: Recipe
    loaded: Loaded
    data: BoundData | None
    converter: ConverterProcess
    progress: Progress
    loading: Mapping[str, Any] = field(default_factory=dict)
    teaching: Teaching | None = None
    wall_seconds: dict[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    baseline: bytes | None = None
    scores: Mapping[str, Evaluation] = field(default_factory=dict)
    compared: FileLayers | None = None
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    own_teachers: list[Teacher] = field(default_factory=list)
    followed: FollowedRun | None = None
    model_data: BoundData | None = None

    def close(self) -> None:
        """Let go of what the run holds beside the model and its data."""
        self.closing.close()
        if self.teaching is not None:
            self.teaching.close()

    @property
    def student(self) -> Any:
        """The Keras 3 graph that is trained in place of the model; None: the model itself is."""
        return None if self.teaching is None else self.teaching.student

    @property
    def reference(self) -> Any:
        """The float model as it came, which takes what the trained one takes: pictures of another size it resizes."""
        resizing = None if self.teaching is None else self.teaching.resizing
        return self.loaded.native if resizing is None else resizing

    @property
    def class_model(self) -> Any:
        """Whose class, with its own way to train, what is trained has: the model as it came, or a student."""
        own = self.teaching is None or self.teaching.student is None or self.teaching.resizing is not None
        return self.loaded.native if own else self.student

    @property
    def float_data(self) -> BoundData | None:
        """The data as the model as it came takes it; None: there is none."""
        return self.data if self.model_data is None else self.model_data

    @property
    def teachers(self) -> tuple[Teacher, ...]:
        """Whom to learn from; none: the model before compression."""
        return () if self.teaching is None else self.teaching.teachers

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase of the run."""
        started = time.perf_counter()
        yield
        self.wall_seconds[name] = self.wall_seconds.get(name, 0.0) + time.perf_counter() - started

    def warn(self, text: str) -> None:
        """Keep a warning for the report, and show it now."""
        if text not in self.warnings:
            self.warnings.append(text)
            self.progress.note(text)


@dataclass(frozen=True)
class Trained:
    """A model after a training of its stages.

    Attributes:
        model: the finished Keras model.
        engine: name of the engine that did the work.
        notes: what was left as it is and why, and what became of the schedules.
        promises: what each stage promised about each kernel, and what the kernel has.
        training: the training, or all trainings so far together.
    """

    model: Any
    engine: str
    notes: tuple[str, ...]
    promises: tuple[Promise, ...]
    training: Training
