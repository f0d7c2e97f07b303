"""Recipes: what is to be done to a model, as frozen values that refuse to contradict themselves.

A recipe is a tuple of **stages** (each rewrites a Keras model), one **export** (lowers it to TFLite) and how to
**train** in between. This module is light: it is checked in full before TensorFlow is imported.

Example:
    >>> recipe = Recipe(stages=(Prune(sparsity=0.8), QAT()), export=Export(quantize="int8"))
    >>> recipe.name
    'prune0.8-qat-int8'
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from tfcompress import plain
from tfcompress.errors import RecipeError, nearest
from tfcompress.export_choices import CALIBRATORS, PACKINGS, RUNTIMES, check_name, default_packings
from tfcompress.schema import check, check_literals, check_type
from tfcompress.stages.channels import Channels
from tfcompress.stages.cluster import Cluster
from tfcompress.stages.distill import Distill
from tfcompress.stages.prune import Prune
from tfcompress.stages.qat import QAT
from tfcompress.stages.stage import EngineName, Stage
from tfcompress.stages.table import STAGES

__all__ = [
    "FORMAT",
    "QAT",
    "STAGES",
    "Channels",
    "Cluster",
    "Distill",
    "EngineName",
    "Export",
    "Prune",
    "Recipe",
    "Stage",
    "Train",
    "from_dict",
    "from_toml",
    "load",
    "named",
]

FORMAT = 1
"""Recipe file format. History: 1 — first."""

Quantize = Literal["none", "dynamic", "float16", "int8", "int16x8"]
IOType = Literal["auto", "float32", "int8", "uint8", "int16"]


@dataclass(frozen=True, kw_only=True)
class Export:
    """How the trained model is lowered to TFLite, and what the file must satisfy.

    Attributes:
        quantize: ``none`` (float32), ``dynamic`` (int8 weights, float activations), ``float16`` (weights), ``int8``
            (weights and activations), ``int16x8`` (int16 activations, int8 weights).
        io: dtype of the file's inputs and outputs; ``auto``: int8 for ``int8``, int16 for ``int16x8``, else float32.
            Integer inputs of the model (token ids) keep their dtype.
        samples: how many training samples calibrate the activation ranges.
        sparse: ``auto`` stores sparse kernels in TFLite's sparse encoding where that makes the file smaller and every
            runtime in *runtimes* runs it; ``never`` keeps them dense.
        optimize_for: what *sparse* makes smaller: the file's ``size``, or the ``download`` (the file after gzip; sparse
            encoding helps that rarely).
        runtimes: runtimes the file must run on, e.g. ``litert>=2.1``, ``tflite-runtime>=2.14``, ``tensorflow>=2.20``.
        float_ops: ``refuse`` fails when an op of an int8/int16x8 file stays in float; ``allow`` reports it.
        select_ops: allow TensorFlow (Flex) ops, which only the big runtime has.
        min_agreement_db: least signal-to-noise ratio between the Keras model's outputs and the file's, on real samples,
            in dB; None: the default of the scheme.
        calibration: how an int8 file's ranges follow from the samples: ``minmax``, ``percentile``, ``mse``. All but
            ``minmax`` rewrite the model by the rules of quantization-aware training, without training.
        packings: passes over the finished bytes that change no number, each proven on the file: ``slim``.
        keep_names: packings keep the names of tensors inside the graph, which no runtime reads.
    """

    quantize: Quantize = "none"
    io: IOType = "auto"
    samples: int = 200
    sparse: Literal["auto", "never"] = "auto"
    optimize_for: Literal["size", "download"] = "size"
    runtimes: tuple[str, ...] = ()
    float_ops: Literal["refuse", "allow"] = "refuse"
    select_ops: bool = False
    min_agreement_db: float | None = None
    calibration: str = "minmax"
    packings: tuple[str, ...] = field(default_factory=default_packings)
    keep_names: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_literals(self, "export")
        self._check_choices()
        check("export.samples", "at least 1", self.samples, ok=self.samples >= 1)
        possible: dict[str, tuple[str, ...]] = {
            "int8": ("auto", "float32", "int8", "uint8"),
            "int16x8": ("auto", "float32", "int16"),
        }
        allowed = possible.get(self.quantize, ("auto", "float32"))
        text = f"one of {', '.join(map(repr, allowed))} with quantize {self.quantize!r}"
        check("export.io", text, self.io, ok=self.io in allowed)

    def _check_choices(self) -> None:
        """Check what goes by a table's names, and whether it would do anything."""
        check_name("export.calibration", self.calibration, CALIBRATORS)
        needless = self.calibration != "minmax" and self.quantize != "int8"
        check("export.calibration", f"'minmax' with quantize {self.quantize!r}", self.calibration, ok=not needless)
        for name in self.packings:
            check_name("export.packings item", name, PACKINGS)
        once = len(set(self.packings)) == len(self.packings)
        check("export.packings", "names, each at most once", self.packings, ok=once)
        check(
            "export.keep_names",
            "false without packings",
            self.keep_names,
            ok=bool(self.packings or not self.keep_names),
        )
        for runtime in (text.partition(">")[0].strip().replace("_", "-") for text in self.runtimes):
            alien = next(
                (n for n in self.packings if runtime in RUNTIMES and runtime not in PACKINGS[n].runtimes), None
            )
            check("export.runtimes", f"among those that open {alien!r} files", runtime, ok=alien is None)

    @property
    def io_dtype(self) -> str:
        """The dtype that ``auto`` stands for: float32, int8, uint8 or int16."""
        return {"int8": "int8", "int16x8": "int16"}.get(self.quantize, "float32") if self.io == "auto" else self.io

    @property
    def needs_data(self) -> bool:
        """Whether activation ranges have to be calibrated on samples."""
        return self.quantize in ("int8", "int16x8")


@dataclass(frozen=True, kw_only=True)
class Train:
    """How stages are trained.

    Attributes:
        epochs: passes over the training split.
        batch_size: samples a step.
        learning_rate: of the optimizer; None: 1e-3 where channels go, 1e-4 where weights are pruned, else 1e-5.
            (ResNet8 on CIFAR-10, two epochs, half pruned with QAT: 86.6 % at 1e-4, 82.5 % at 1e-5; QAT alone: 88.7 %
            at 1e-5.)
        optimizer: name of a Keras optimizer. ``muon`` takes convolutions, too (native engine): of the steps of one pass
            over the data it makes more than ``adam``, at a higher rate of learning (3e-3, say).
        loss: name of a Keras loss; ``auto`` chooses by the labels and the last activation.
        seed: seed of everything random: shuffling, calibration samples, initial centroids.
        holdout: fraction of the data kept for testing when it comes as one piece without a test split.
        limit: use at most so many training samples (None: all), chosen by *seed*.
        decay: ``constant`` keeps the learning rate; ``cosine`` lets it fall to zero along half a cosine
            (Loshchilov & Hutter 2017, arXiv:1608.03983).
        augment: how training images are varied, each anew in every epoch: ``none``; ``flip`` (left and right, at
            random); ``flip-shift`` (and moved by up to an eighth of their sides, edges repeated).
    """

    epochs: int = 2
    batch_size: int = 64
    learning_rate: float | None = None
    optimizer: str = "adam"
    loss: str = "auto"
    seed: int = 0
    holdout: float = 0.2
    limit: int | None = None
    decay: Literal["constant", "cosine"] = "constant"
    augment: Literal["none", "flip", "flip-shift"] = "none"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_literals(self, "train")
        check("train.epochs", "at least 1", self.epochs, ok=self.epochs >= 1)
        check("train.batch_size", "at least 1", self.batch_size, ok=self.batch_size >= 1)
        rate = self.learning_rate
        check("train.learning_rate", "above 0", rate, ok=rate is None or 0 < rate < math.inf)
        check("train.seed", "between 0 and 2**32 - 1", self.seed, ok=0 <= self.seed < 2**32)
        check("train.holdout", "in (0, 1)", self.holdout, ok=0 < self.holdout < 1)
        check("train.limit", "at least 1", self.limit, ok=self.limit is None or self.limit >= 1)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Stages, training and export together; see the module's docstring.

    Attributes:
        stages: what is done to the Keras model, trained together in one ``fit``. At most one of each kind.
        export: how the result is lowered.
        train: how the stages are trained; without stages nothing is trained.
        title: the recipe's name; empty: put together from its parts.
        about: one sentence for ``tfcompress recipes``.
    """

    stages: tuple[Stage, ...] = ()
    export: Export = field(default_factory=Export)
    train: Train = field(default_factory=Train)
    title: str = ""
    about: str = ""

    def __post_init__(self) -> None:
        """Refuse combinations that contradict each other."""
        kinds = [stage.kind for stage in self.stages]
        twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
        if twice:
            msg = f"recipe.stages must hold each kind at most once, got {twice!r} twice"
            raise RecipeError(msg)
        self._check_qat()
        engines = {stage.engine for stage in self.stages} - {"auto"}
        if len(engines) > 1:
            msg = f"recipe.stages train together and must have one engine, got {' and '.join(sorted(engines))}"
            raise RecipeError(msg)
        if "distill" in kinds and "tfmot" in engines:
            msg = "recipe.stages: distill needs the native engine, and another stage asks for tfmot"
            raise RecipeError(msg)
        tuned = max((stage.tune_epochs for stage in self.stages if isinstance(stage, Channels)), default=0)
        if tuned and tuned >= self.train.epochs:
            msg = f"channels.tune_epochs must be below train.epochs ({self.train.epochs}), got {tuned}"
            raise RecipeError(msg)
        for stage in self.stages:
            end = stage.end_epoch if isinstance(stage, Prune) else None
            if end is not None and end > self.train.epochs:
                msg = f"prune.end_epoch must be at most train.epochs ({self.train.epochs}), got {end:g}"
                raise RecipeError(msg)

    def _check_qat(self) -> None:
        qat = next((stage for stage in self.stages if isinstance(stage, QAT)), None)
        if qat is None:
            return
        fitting = "int8" if qat.activation_bits == 8 else "int16x8"
        if self.export.quantize != fitting:
            msg = (
                f"export.quantize must be {fitting!r} after this qat stage (it trains for {fitting}), "
                f"got {self.export.quantize!r}"
            )
            raise RecipeError(msg)
        if self.export.calibration != "minmax":
            msg = "export.calibration must be 'minmax' after a qat stage, which trains with ranges of its own, got "
            raise RecipeError(msg + repr(self.export.calibration))

    @property
    def name(self) -> str:
        """The title, or the parts joined: ``prune0.5-qat-int8``; ``float32`` when nothing is asked for."""
        if self.title:
            return self.title
        last = "float32" if self.export.quantize == "none" else self.export.quantize
        return "-".join([*(stage.label for stage in self.stages), last])

    def resolved(self) -> Recipe:
        """Return the recipe with what was left open filled in: what a run of it does, and what its report says."""
        if self.train.learning_rate is not None or not self.stages:
            return self
        rate = max(stage.learning_rate for stage in self.stages)
        return dataclasses.replace(self, train=dataclasses.replace(self.train, learning_rate=rate))

    def stage(self, kind: str) -> Stage | None:
        """Return the stage of that kind, or None."""
        return next((stage for stage in self.stages if stage.kind == kind), None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as in the TOML file; None-valued keys are left out."""
        out: dict[str, Any] = {"format": FORMAT}
        if self.title:
            out["name"] = self.title
        if self.about:
            out["about"] = self.about
        out["stages"] = [{"kind": stage.kind, **_plain(stage)} for stage in self.stages]
        out["train"] = _plain(self.train)
        out["export"] = _plain(self.export)
        return out

    def to_toml(self) -> str:
        """Return the recipe as TOML text that :func:`from_toml` reads back to an equal recipe."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())


def _plain(value: Any) -> dict[str, Any]:
    pairs = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
    return {name: list(v) if isinstance(v, tuple) else v for name, v in pairs if v is not None}


def _build(cls: type[Any], table: object, where: str) -> Any:
    if not isinstance(table, dict):
        msg = f"{where} must be a table, got {table!r}"
        raise RecipeError(msg)
    known = [f.name for f in dataclasses.fields(cls)]
    for key in table:
        if key not in known:
            msg = f"{where} has no key {key!r}{nearest(key, known)}; it has {', '.join(known)}"
            raise RecipeError(msg)
    return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in table.items()})


def from_dict(table: dict[str, Any], where: str = "recipe") -> Recipe:
    """Build a recipe from plain values.

    Raises:
        RecipeError: an unknown key (the nearest spelling is named), a value out of range, a newer format.
    """
    table = dict(table)
    number = table.pop("format", FORMAT)
    if number != FORMAT:
        msg = f"{where}: format must be {FORMAT}, got {number!r}; a newer tfcompress wrote it"
        raise RecipeError(msg)
    known = ("name", "about", "stages", "train", "export")
    for key in table:
        if key not in known:
            msg = f"{where} has no key {key!r}{nearest(key, known)}; it has format, {', '.join(known)}"
            raise RecipeError(msg)
    if not isinstance(table.get("stages", []), list):
        msg = f"{where}: stages must be a list of [[stages]] tables, got {table['stages']!r}"
        raise RecipeError(msg)
    title, about = table.get("name", ""), table.get("about", "")
    check_type(f"{where}: name", str, title)
    check_type(f"{where}: about", str, about)
    return Recipe(
        stages=tuple(_stage(entry, where) for entry in table.get("stages", [])),
        train=_build(Train, table.get("train", {}), "train"),
        export=_build(Export, table.get("export", {}), "export"),
        title=title,
        about=about,
    )


def _stage(entry: object, where: str) -> Stage:
    if not isinstance(entry, dict) or "kind" not in entry:
        msg = f"{where}: each [[stages]] table needs a kind, one of {', '.join(STAGES)}, got {entry!r}"
        raise RecipeError(msg)
    values = dict(entry)
    kind = values.pop("kind")
    if kind not in STAGES:
        msg = f"{where}: stage kind must be one of {', '.join(STAGES)}, got {kind!r}{nearest(str(kind), STAGES)}"
        raise RecipeError(msg)
    stage: Stage = _build(STAGES[kind], values, kind)
    return stage


def from_toml(text: str, where: str = "recipe") -> Recipe:
    """Read a recipe from TOML text.

    Raises:
        RecipeError: text that is not TOML, or what :func:`from_dict` refuses.
    """
    try:
        table = plain.parse_toml(text)
    except ValueError as error:
        msg = f"{where} is not TOML: {error}"
        raise RecipeError(msg) from error
    return from_dict(table, where)


def named() -> dict[str, Recipe]:
    """Return the recipes that come with tfcompress, by name."""
    folder = resources.files("tfcompress") / "recipes"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {f.name[: -len(".toml")]: from_toml(f.read_text("utf-8"), f.name) for f in files}


def load(name_or_path: str | Path) -> Recipe:
    """Return a recipe by its name, or from a ``.toml`` file.

    Raises:
        RecipeError: no such name or file, or what :func:`from_toml` refuses.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        try:
            text = plain.read_text(path, plain.TOML_BYTES)
        except (OSError, ValueError) as error:
            msg = f"recipe {str(path)!r} cannot be read: {error}"
            raise RecipeError(msg) from error
        return from_toml(text, str(path))
    known = named()
    if str(name_or_path) not in known:
        hint = nearest(str(name_or_path), known)
        msg = f"no recipe {str(name_or_path)!r}{hint}; give a .toml file or one of {', '.join(known)}"
        raise RecipeError(msg)
    return known[str(name_or_path)]
