"""What a training on some data comes down to: refused where the data cannot give it, said where it was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcompress.errors import RecipeError
from tfcompress.training.balance import class_weights
from tfcompress.training.named_losses import check_losses
from tfcompress.training.targets import own_tasks, taught_outputs

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.data.splits import BoundSplit
    from tfcompress.train_settings import Train


def check_training(data: BoundData, train: Train) -> list[str]:
    """Refuse, before any work, a training that the data cannot give.

    Args:
        data: the bound data.
        train: the settings.

    Returns:
        What was chosen, a line each.

    Raises:
        DataError: no training split, or one of the classes does not occur in it.
        RecipeError: a loss that does not go with the labels, an epoch to be chosen without validation samples, classes
            to be balanced where there are none.
    """
    data.need_train()
    check_losses(data, train)
    _check_validation(data, train)
    _check_balance(data, train)
    return [*_said_of_teaching(data), *_said_of_validation(data), *_said_of_balance(data, train)]


def validation_split(data: BoundData) -> BoundSplit | None:
    """Return the validation split, where it has labels of every output that labels train; else None."""
    if data.val is None or data.train is None:
        return None
    needed = {name for name, coder in data.train.adapter.coders.items() if coder.task.needs_labels}
    return data.val if needed - set(taught_outputs(data)) <= set(data.val.adapter.coders) else None


def keeps_best(data: BoundData, train: Train) -> bool:
    """Tell whether the weights of the best epoch are kept, rather than those of the last."""
    return train.keep == "best" or (train.keep == "auto" and validation_split(data) is not None)


def _check_validation(data: BoundData, train: Train) -> None:
    asked = {"keep 'best'": train.keep == "best", f"patience {train.patience}": train.patience is not None}
    wish = next((name for name, wanted in asked.items() if wanted), None)
    if wish is None or validation_split(data) is not None:
        return
    has = "one without the labels that the training split has" if data.val else f"only {' and '.join(data.splits)}"
    msg = (
        f"train.{wish} goes by the validation loss, and data {data.dataset.source!r} has {has}; "
        "give x_val and y_val, or leave it out"
    )
    raise RecipeError(msg)


def _check_balance(data: BoundData, train: Train) -> None:
    if not train.balance or class_weights(data):
        return
    tasks = {name: task.name for name, task in data.need_train().adapter.tasks.items()}
    labels = ", ".join(f"{name!r}: {task}" for name, task in tasks.items()) or "none in the training split"
    msg = f"train.balance weighs classes by their labels, got labels without classes ({labels}); leave it out"
    raise RecipeError(msg)


def _said_of_teaching(data: BoundData) -> list[str]:
    taught = taught_outputs(data)
    if not taught:
        return []
    if own_tasks(data):
        return [f"no labels train {', '.join(taught)}: trained against the float model's own outputs"]
    if data.need_train().adapter.coders:
        return ["its labels only score the model: the stages train against the float model's own outputs"]
    return ["the training data has no labels: the stages train against the float model's own outputs"]


def _said_of_validation(data: BoundData) -> list[str]:
    if data.val is None or validation_split(data) is not None:
        return []
    return ["the validation split lacks labels that the training split has: it was not used"]


def _said_of_balance(data: BoundData, train: Train) -> list[str]:
    left = set(data.need_train().adapter.coders) - set(class_weights(data)) if train.balance else ()
    return [f"balance: the samples of {', '.join(sorted(left))} count the same, it has no classes"] if left else []
