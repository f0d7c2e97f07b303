"""How stages are trained: the settings of a training."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from tfcompress.errors import nearest
from tfcompress.keras_names import LOSSES, OPTIMIZERS
from tfcompress.schema import check_fields, check_value
from tfcompress.stages.option import option

Division = tuple[float, float, int]
"""How data is divided: the fraction held out for testing, that of the training split for validation, and the seed."""

UNDIVIDED: Division = (0.0, 0.0, 0)
"""The same of data that comes divided."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """How stages are trained.

    Attributes:
        epochs: passes over the training split.
        batch_size: samples a step.
        learning_rate: of the optimizer; None: 1e-3 where channels go, 1e-4 where layers are taken apart, weights pruned
            or of 4 bits, else 1e-5. (ResNet8 on CIFAR-10, two epochs, half pruned with QAT: 86.6 % at 1e-4, 82.5 % at
            1e-5; QAT alone: 88.7 % at 1e-5.)
        optimizer: name of a Keras optimizer. ``muon`` takes convolutions, too (native engine): of the steps of one pass
            over the data it makes more than ``adam``, at a higher rate of learning (3e-3, say).
        loss: name of a Keras loss; ``auto`` chooses by the labels and the last activation. For some of several outputs
            ``OUTPUT=NAME``, separated by commas; a name by itself is for all others.
        seed: seed of everything random: shuffling, calibration samples, initial centroids.
        holdout: fraction of the data kept for testing when it comes as one piece without a test split.
        validation: fraction of the training split that is kept apart as a validation split, chosen by *seed*; 0: none.
            Only for data that has no validation split of its own.
        limit: use at most so many training samples (None: all), chosen by *seed*.
        decay: ``constant`` keeps the learning rate; ``cosine`` lets it fall to zero along half a cosine
            (Loshchilov & Hutter 2017, arXiv:1608.03983).
        augment: how training images are varied, each anew in every epoch: ``none``; ``flip`` (left and right, at
            random); ``alternating-flip`` (mirrored in every other epoch, half of them in the first; Jordan 2024,
            arXiv:2404.00498, section 3.6: no image comes twice in a row); each with ``-shift``: also moved by up to an
            eighth of their sides, edges repeated.
        keep: whose weights are kept: those of the epoch with the lowest validation loss (``best``) or of the ``last``
            one; ``auto``: the best where the data has a validation split, else the last. An epoch counts from where
            the schedules have ended.
        patience: end the training when the validation loss has not fallen for so many epochs, never before the
            schedules have ended; None: train for all *epochs*.
        ema: what is left of the weights' moving average after a step, in (0, 1): the average of the last steps is kept
            where its loss is lower than that of the weights themselves, on the validation samples or else on training
            samples; None: there is no average.
        balance: weigh classes by their inverse frequency in the training split, on top of the data's sample weights.
        if_needed: without a stage that was asked for, train for the numbers of the file where nothing cheaper keeps
            ``export.max_drop``.
    """

    epochs: int = field(
        default=2,
        metadata=option(
            "Passes over the training data; without a stage, with --max-drop, if nothing cheaper keeps that.",
            metavar="N",
            needs="training",
            sets=("if_needed",),
        ),
    )
    batch_size: int = field(default=64, metadata=option("Samples a training step.", metavar="N", needs="training"))
    learning_rate: float | None = field(
        default=None,
        metadata=option(
            "Of the optimizer.",
            metavar="RATE",
            default="1e-3 with --channels, 1e-4 with --low-rank, --prune or 4 bits, else 1e-5",
            needs="training",
            tries=(None, 3e-4, 1e-3, 3e-3),
        ),
    )
    optimizer: str = field(
        default="adam",
        metadata=option(
            "Name of a Keras optimizer; muon makes more of short trainings (Keras 3).",
            metavar="NAME",
            needs="training",
        ),
    )
    loss: str = field(
        default="auto",
        metadata=option(
            "Name of a Keras loss; for some of several outputs OUTPUT=NAME, separated by commas.",
            metavar="NAME",
            default="by the labels and the outputs",
            needs="training",
        ),
    )
    seed: int = field(default=0, metadata=option("Seed of everything random.", metavar="N"))
    holdout: float = field(
        default=0.2,
        metadata=option("Part kept for testing where the data has no test split.", metavar="FRACTION", needs="data"),
    )
    validation: float = field(
        default=0.0,
        metadata=option(
            "Part of the training data kept apart for validation, where the data has no validation split.",
            metavar="FRACTION",
            default="none",
            needs="training",
        ),
    )
    limit: int | None = field(
        default=None,
        metadata=option("Train on N samples only, drawn by the seed.", metavar="N", default="all", needs="training"),
    )
    decay: Literal["constant", "cosine"] = field(
        default="constant", metadata=option("Of the learning rate.", needs="training")
    )
    augment: Literal["none", "flip", "flip-shift", "alternating-flip", "alternating-flip-shift"] = field(
        default="none", metadata=option("Vary training images.", needs="training")
    )
    keep: Literal["auto", "best", "last"] = field(
        default="auto",
        metadata=option(
            "Keep the weights of the epoch with the lowest validation loss, or of the last one.",
            default="best where the data has a validation split, else last",
            needs="training",
        ),
    )
    patience: int | None = field(
        default=None,
        metadata=option(
            "End the training when the validation loss has not fallen for N epochs.",
            metavar="N",
            default="never",
            needs="training",
        ),
    )
    ema: float | None = field(
        default=None,
        metadata=option(
            "Average the weights over the steps, each leaving FRACTION (0.99, say); the better of the two is kept.",
            metavar="FRACTION",
            default="no average",
            needs="training",
        ),
    )
    balance: bool = field(default=False, metadata=option("Weigh classes by their inverse frequency.", needs="training"))
    if_needed: bool = False

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        check_fields(self, "train")
        check_value("train.epochs", "at least 1", self.epochs, ok=self.epochs >= 1)
        check_value("train.batch_size", "at least 1", self.batch_size, ok=self.batch_size >= 1)
        rate = self.learning_rate
        check_value("train.learning_rate", "above 0", rate, ok=rate is None or 0 < rate < math.inf)
        _check_name(
            "train.optimizer", "the name of a Keras optimizer", self.optimizer, self.optimizer.lower(), OPTIMIZERS
        )
        for name in self.losses.values():
            _check_name("train.loss", "'auto' or the name of a Keras loss", name, name, ("auto", *LOSSES))
        check_value("train.seed", "between 0 and 2**32 - 1", self.seed, ok=0 <= self.seed < 2**32)
        check_value("train.holdout", "in (0, 1)", self.holdout, ok=0 < self.holdout < 1)
        check_value("train.validation", "in [0, 1)", self.validation, ok=0 <= self.validation < 1)
        check_value("train.limit", "at least 1", self.limit, ok=self.limit is None or self.limit >= 1)
        check_value("train.ema", "in (0, 1)", self.ema, ok=self.ema is None or 0 < self.ema < 1)
        check_value("train.patience", "at least 1", self.patience, ok=self.patience is None or self.patience >= 1)

    @property
    def division(self) -> Division:
        """How data that is not divided yet is."""
        return self.holdout, self.validation, self.seed

    @property
    def losses(self) -> dict[str, str]:
        """Names of losses by output; under the empty name the one for all others, if there is one."""
        parts = [part.rpartition("=") for part in self.loss.split(",")]
        names = {output.strip(): name.strip() for output, _, name in parts}
        check_value("train.loss", "one name for each output", self.loss, ok=len(names) == len(parts))
        return names

    def loss_of(self, output: str) -> str:
        """Return the name of the loss of an output, ``auto`` where none is given."""
        names = self.losses
        return names.get(output, names.get("", "auto"))


def _check_name(where: str, allowed: str, given: str, name: str, known: Collection[str]) -> None:
    if name not in known and not _is_registered(name):
        check_value(where, f"{allowed}{nearest(name, known)}", given, ok=False)


def _is_registered(name: str) -> bool:
    """Return whether a name is one that Keras gives to a registered class of the user's (``package>name``)."""
    return ">" in name
