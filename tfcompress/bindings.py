"""The data of a workbench as models take it: bound once for each way to divide it, and for each size of pictures."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tfcompress.errors import DataError, ModelError, UnsupportedError
from tfcompress.file_scores import tuned_by
from tfcompress.stages.stage import InputSize
from tfcompress.train_settings import UNDIVIDED, Division

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData, Dataset
    from tfcompress.models.specs import Signature
    from tfcompress.run import Run
    from tfcompress.tasks.task import Task
    from tfcompress.train_settings import Train


class Bindings:
    """A data set, bound to one model, and to the same model at other sizes of its pictures."""

    def __init__(self, dataset: Dataset, signature: Signature, judged_by: Literal["test", "val"]) -> None:
        """Bind nothing yet.

        Args:
            dataset: the data.
            signature: the model's.
            judged_by: the split that files are scored on.
        """
        self._dataset, self._signature, self._judged_by = dataset, signature, judged_by
        self._bound: dict[tuple[Division, tuple[int, int] | None], BoundData] = {}

    def data(self, train: Train, size: InputSize | None = None) -> BoundData:
        """Return the data as the model takes it.

        Args:
            train: its ``holdout``, ``validation`` and ``seed`` divide data that comes undivided.
            size: of the pictures, as the source gives them to a model of that size; None: the model's own.

        Raises:
            DataError: data that does not fit the model, or does not come in that size.
            UnsupportedError: a model that takes no pictures, or labels that lie in them.
        """
        from tfcompress.data.arrays import ALL

        division = train.division if ALL in self._dataset.splits or train.validation else UNDIVIDED
        key = division, None if size is None else (size.height, size.width)
        if key not in self._bound:
            signature = self._signature if size is None else self._resized(train, size)
            holdout, validation, seed = train.division
            try:
                self._bound[key] = self._dataset.bind(
                    signature, holdout=holdout, seed=seed, validation=validation, judged_by=self._judged_by
                )
            except DataError as error:
                if size is None:
                    raise
                raise _of_one_size(self._dataset.source, size, error) from error
        if size is not None:
            self._bound[key] = _with_tasks(self._bound[key], self.data(train).tasks)
        return self._bound[key]

    def _resized(self, train: Train, size: InputSize) -> Signature:
        from tfcompress.models.specs import no_picture

        for name, task in self.data(train).tasks.items():
            if task.in_pixels:
                msg = (
                    f"output {name!r} is of task {task.name}, whose truth lies in the pixels of the picture: at "
                    f"{size.text} it would be another; leave the size of the input out"
                )
                raise UnsupportedError(msg)
        inputs = self._signature.inputs
        if len(inputs) != 1 or len(inputs[0].shape) != 3:
            raise no_picture((spec.name, spec.shape) for spec in inputs)
        shape = (size.height, size.width, inputs[0].shape[2])
        return dataclasses.replace(self._signature, inputs=(dataclasses.replace(inputs[0], shape=shape),))

    def tune_(self, run: Run, data: BoundData, content: bytes) -> bool:
        """Let tasks look at what a file makes of the training split, where that is what they score by.

        Args:
            run: takes the tasks that have looked.
            data: the data as the file takes it.
            content: the file.

        Returns:
            Whether any did, so that scores from before count no more.
        """
        from tfcompress.evaluate.tuning import needs_tuning

        if data.scored is None or not needs_tuning(data):
            return False
        with run.phase("evaluate"):
            seen = tuned_by(content, data, run.recipe.train.seed, run.progress)
        self._bound = {key: seen if kept is data else kept for key, kept in self._bound.items()}
        if run.data is data:
            run.data = seen
        elif run.data is not None:
            run.model_data, run.data = seen, run.data.with_tasks(seen.tasks)
        return True


def _with_tasks(data: BoundData, tasks: Mapping[str, Task]) -> BoundData:
    """Return data with the tasks of the same labels elsewhere, which may have looked at the training split."""
    return data if all(data.tasks.get(name) is task for name, task in tasks.items()) else data.with_tasks(tasks)


def _of_one_size(source: str, size: InputSize, error: DataError) -> DataError:
    return DataError(
        f"data {source!r} does not come in the size {size.text} of input {size.name!r} ({error}); a folder of images "
        "is read at any size"
    )


def size_of(made: Any, own: Signature) -> InputSize | None:
    """Return the size of pictures at which something takes the data; None: as the model as it came does.

    Args:
        made: a model of either Keras, or a ``.tflite`` file as bytes or its path.
        own: the signature of the model as it came.
    """
    if len(own.inputs) != 1 or len(own.inputs[0].shape) != 3:
        return None
    wanted, given = own.inputs[0].shape, next(iter(_inputs_of(made)), ())
    if given == wanted or len(given) != 3 or given[2] != wanted[2]:
        return None
    height, width, _ = given
    return None if height is None or width is None else InputSize(own.inputs[0].name, height, width)


def _inputs_of(made: Any) -> list[tuple[int | None, ...]]:
    from tfcompress.models.signature import signature_of
    from tfcompress.tflite.flatbuffer import read_model_file
    from tfcompress.tflite.interpret import signature_of_file

    if isinstance(made, bytes | Path) and (isinstance(made, bytes) or made.suffix == ".tflite"):
        with contextlib.suppress(ModelError, OSError):  # whoever runs the file says what is wrong with it
            content = made if isinstance(made, bytes) else made.read_bytes()
            return [spec.shape for spec in signature_of_file(read_model_file(content)).inputs]
        return []
    return [spec.shape for spec in signature_of(made).inputs]
