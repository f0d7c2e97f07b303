"""Names that Keras knows, of either version: what can be said of them before a Keras is imported."""

from __future__ import annotations

DATASETS = (
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "imdb",
    "mnist",
    "reuters",
)
"""Data sets that Keras downloads (``keras.datasets``)."""

OPTIMIZERS = (
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "ftrl",
    "lion",
    "muon",
    "nadam",
    "rmsprop",
    "schedulefreeadamw",
    "sgd",
)
"""Optimizers, in small letters; Keras takes them in any."""

LOSSES = (
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CTC",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "bce",
    "BCE",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "ctc",
    "dice",
    "hinge",
    "huber",
    "huber_loss",
    "kl_divergence",
    "kld",
    "KLD",
    "kullback_leibler_divergence",
    "log_cosh",
    "logcosh",
    "mae",
    "MAE",
    "mape",
    "MAPE",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "MSE",
    "msle",
    "MSLE",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
)
"""Losses, as functions and as classes."""

_SHORT = {
    "bce": "BinaryCrossentropy",
    "huberloss": "Huber",
    "kld": "KLDivergence",
    "kullbackleiblerdivergence": "KLDivergence",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError",
}


def loss_class(name: str) -> str | None:
    """Return the name of a loss's class from what Keras calls it: MeanSquaredError for ``mse``; None: not in here."""
    plain = name.lower().replace("_", "")
    by_plain = {each.lower(): each for each in LOSSES if "_" not in each and not each.isupper() and each[0].isupper()}
    by_plain["ctc"] = "CTC"
    return _SHORT.get(plain) or by_plain.get(plain)
