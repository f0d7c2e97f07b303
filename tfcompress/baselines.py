"""Float files that results are compared with: each is made and scored once, however many recipes ask for it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tfcompress.errors import ConversionError
from tfcompress.file_scores import class_orders, evaluate_file
from tfcompress.progress import Progress
from tfcompress.train_settings import Division

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData
    from tfcompress.models.loading import Loaded
    from tfcompress.run import Run
    from tfcompress.tasks.task import Evaluation
    from tfcompress.tflite.convert import ConverterProcess


class Baselines:
    """The float files of one model, without and with TensorFlow's own ops, and their scores."""

    def __init__(self, progress: Progress) -> None:
        """Begin with none.

        Args:
            progress: where progress goes.
        """
        self._progress = progress
        self._files: dict[bool, bytes | ConversionError] = {}
        self._scores: dict[tuple[bool, Division], tuple[Evaluation, list[str]]] = {}

    def file(self, loaded: Loaded, converter: ConverterProcess, *, select_ops: bool) -> bytes | ConversionError | None:
        """Return the float file, or why there is none; None where float was trained away.

        Args:
            loaded: the model, always the same one.
            converter: converts.
            select_ops: allow TensorFlow's own ops.
        """
        if loaded.qat:
            return None
        if loaded.tflite is not None:
            return loaded.tflite.content
        if select_ops not in self._files:
            from tfcompress.tflite.recurrent_forms import float_file

            with (
                self._progress.task("converting the float model"),
                tempfile.TemporaryDirectory(prefix="tfcompress-") as scratch,
            ):
                try:
                    self._files[select_ops] = float_file(loaded.native, Path(scratch), converter, select_ops=select_ops)
                except ConversionError as refusal:
                    self._files[select_ops] = refusal
        return self._files[select_ops]

    def score(
        self, content: bytes, data: BoundData | None, division: Division, *, select_ops: bool
    ) -> tuple[Evaluation | None, list[str]]:
        """Return the float file's score, and a line for each output that fits another order of the classes better.

        Args:
            content: the file.
            data: to score it on, as *division* divides it; None: there is no score.
            division: how the data was divided.
            select_ops: the file was allowed TensorFlow's own ops.
        """
        key = (select_ops, division)
        if key not in self._scores:
            if data is None or data.scored is None:
                return None, []
            orders = class_orders(data)
            found = evaluate_file(content, data, "evaluating the float file", self._progress, orders, keep_answers=True)
            self._scores[key] = found, orders.lines(data.dataset.labels)
        return self._scores[key]

    def compared_with(self, run: Run) -> bytes | None:
        """Return the float file that the result of a run is compared with.

        None where the result itself is that, where float was trained away, or where TFLite has no float op for it: an
        int8 file of it may be had all the same.

        Args:
            run: of this model; a warning says so where there is none to compare with.

        Raises:
            ConversionError: there is none, and without it nothing of the run can be had or proven.
        """
        settings = run.recipe.export
        if run.loaded.qat or (settings.quantize == "none" and not run.recipe.stages):
            return None
        with run.phase("float baseline"):
            found = self.file(run.loaded, run.converter, select_ops=settings.select_ops)
        if not isinstance(found, ConversionError):
            return found
        if settings.quantize != "int8" or run.loaded.refusal or run.recipe.promises:
            raise found
        run.warn(f"there is no float file to compare with: {str(found).partition('; ')[0]}")
        return None

    def forget_scores(self) -> None:
        """Score anew from now on: the data's tasks are others."""
        self._scores.clear()
