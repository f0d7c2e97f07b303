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
import sys
import types
import typing
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from tfcompress.errors import RecipeError, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT = 1
"""Recipe file format. History: 1 — first."""

Engine = Literal["auto", "tfmot"]
Quantize = Literal["none", "dynamic", "float16", "int8", "int16x8"]
IOType = Literal["auto", "float32", "int8", "uint8", "int16"]


def _check(where: str, allowed: str, value: object, *, ok: bool) -> None:
    if not ok:
        msg = f"{where} must be {allowed}, got {value!r}"
        raise RecipeError(msg)


def _check_literals(value: object, where: str) -> None:
    """Check every field of a dataclass whose annotation is a Literal, and the plain types of the others."""
    for name, hint in get_type_hints(type(value)).items():
        if get_origin(hint) is ClassVar or not hasattr(value, name):
            continue
        _check_type(f"{where}.{name}", hint, getattr(value, name))


def _check_type(where: str, hint: Any, given: object) -> None:
    if get_origin(hint) is Literal:
        allowed = get_args(hint)
        hint_text = nearest(str(given), [str(a) for a in allowed])
        _check(where, f"one of {', '.join(map(repr, allowed))}{hint_text}", given, ok=given in allowed)
    elif isinstance(hint, types.UnionType) and type(None) in get_args(hint):
        if given is not None:
            _check_type(where, next(a for a in get_args(hint) if a is not type(None)), given)
    elif hint is float:
        _check(where, "a number", given, ok=isinstance(given, int | float) and not isinstance(given, bool))
    elif hint is int:
        _check(where, "a whole number", given, ok=isinstance(given, int) and not isinstance(given, bool))
    elif hint in (str, bool):
        _check(where, {str: "text", bool: "true or false"}[hint], given, ok=isinstance(given, hint))
    elif get_origin(hint) is tuple:
        item = get_args(hint)[0]
        _check(where, "a list", given, ok=isinstance(given, tuple))
        for value in typing.cast("tuple[object, ...]", given):
            if item in (str, int, float):
                _check_type(f"{where} item", item, value)


@dataclass(frozen=True, kw_only=True)
class Prune:
    """Set the smallest weights to zero while training (Zhu & Gupta 2017, arXiv:1710.01878).

    Attributes:
        sparsity: fraction of each chosen kernel that is zero at the end, in (0, 1).
        schedule: ``polynomial`` rises from *initial_sparsity* to *sparsity* between the two epochs; ``constant`` prunes
            to *sparsity* at *begin_epoch*.
        begin_epoch: epochs of training before the first pruning step (fractions allowed).
        end_epoch: epoch at which *sparsity* is reached; None: after three quarters of the training.
        initial_sparsity: where the polynomial schedule starts, in [0, sparsity).
        power: exponent of the polynomial.
        frequency: training steps between two updates of the masks.
        pattern: ``unstructured``; ``2:4`` (two zeros in any four neighbours along the input channels; *sparsity* is
            then 0.5); ``block`` (whole blocks of *block_shape*, in the two last axes of the kernel).
        block_shape: rows and columns of a block; only with ``pattern="block"``.
        scope: names of layers to prune, ``*`` and ``?`` allowed; empty: every layer with a kernel.
        engine: who does the work.
    """

    kind: ClassVar[str] = "prune"
    sparsity: float = 0.5
    schedule: Literal["polynomial", "constant"] = "polynomial"
    begin_epoch: float = 0.0
    end_epoch: float | None = None
    initial_sparsity: float = 0.0
    power: float = 3.0
    frequency: int = 20
    pattern: Literal["unstructured", "2:4", "block"] = "unstructured"
    block_shape: tuple[int, ...] = (1, 1)
    scope: tuple[str, ...] = ()
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        _check_literals(self, self.kind)
        _check("prune.sparsity", "in (0, 1)", self.sparsity, ok=0 < self.sparsity < 1)
        _check("prune.begin_epoch", "at least 0", self.begin_epoch, ok=self.begin_epoch >= 0)
        _check("prune.power", "above 0", self.power, ok=self.power > 0)
        _check("prune.frequency", "at least 1 (steps)", self.frequency, ok=self.frequency >= 1)
        if self.end_epoch is not None:
            allowed = f"above prune.begin_epoch ({self.begin_epoch})"
            _check("prune.end_epoch", allowed, self.end_epoch, ok=self.end_epoch > self.begin_epoch)
        allowed = f"in [0, prune.sparsity = {self.sparsity})"
        _check("prune.initial_sparsity", allowed, self.initial_sparsity, ok=0 <= self.initial_sparsity < self.sparsity)
        if self.pattern == "2:4":
            _check("prune.sparsity", "0.5 with pattern '2:4'", self.sparsity, ok=self.sparsity == 0.5)
        two_positive = len(self.block_shape) == 2 and min(self.block_shape) >= 1
        _check("prune.block_shape", "two whole numbers of at least 1", self.block_shape, ok=two_positive)
        if self.pattern != "block":
            _check(
                "prune.block_shape", "given with pattern 'block' only", self.block_shape, ok=self.block_shape == (1, 1)
            )

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        return "prune2of4" if self.pattern == "2:4" else f"prune{self.sparsity:g}"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Let each kernel hold at most *clusters* different values (Han et al. 2016, arXiv:1510.00149, section 3).

    Attributes:
        clusters: values allowed in a kernel, at least 2.
        init: how the first centroids are placed.
        per_channel: cluster each output channel of a convolution apart (per-channel int8 scales then keep the count).
        scope: names of layers to cluster, ``*`` and ``?`` allowed; empty: every layer with a kernel.
        engine: who does the work.
    """

    kind: ClassVar[str] = "cluster"
    clusters: int = 16
    init: Literal["kmeans++", "linear", "density", "random"] = "kmeans++"
    per_channel: bool = False
    scope: tuple[str, ...] = ()
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        _check_literals(self, self.kind)
        _check("cluster.clusters", "between 2 and 256", self.clusters, ok=2 <= self.clusters <= 256)

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        return f"cluster{self.clusters}"


@dataclass(frozen=True, kw_only=True)
class QAT:
    """Train with the int8 rounding in the forward pass (Jacob et al. 2018, arXiv:1712.05877).

    Attributes:
        scope: names of layers to quantize, ``*`` and ``?`` allowed; empty: every layer.
        engine: who does the work.
    """

    kind: ClassVar[str] = "qat"
    scope: tuple[str, ...] = ()
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        _check_literals(self, self.kind)

    @property
    def label(self) -> str:
        """Short name used in recipe and folder names."""
        return "qat"


Stage = Prune | Cluster | QAT
STAGES: dict[str, type[Prune] | type[Cluster] | type[QAT]] = {s.kind: s for s in (Prune, Cluster, QAT)}


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
        runtimes: runtimes the file must run on, e.g. ``litert>=2.1``, ``tflite-runtime>=2.14``, ``tensorflow>=2.20``.
        float_ops: ``refuse`` fails when an op of an int8/int16x8 file stays in float; ``allow`` reports it.
        select_ops: allow TensorFlow (Flex) ops, which only the big runtime has.
        min_agreement_db: least signal-to-noise ratio between the Keras model's outputs and the file's, on real samples,
            in dB; None: the default of the scheme.
    """

    quantize: Quantize = "none"
    io: IOType = "auto"
    samples: int = 200
    sparse: Literal["auto", "never"] = "auto"
    runtimes: tuple[str, ...] = ()
    float_ops: Literal["refuse", "allow"] = "refuse"
    select_ops: bool = False
    min_agreement_db: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        _check_literals(self, "export")
        _check("export.samples", "at least 1", self.samples, ok=self.samples >= 1)
        possible: dict[str, tuple[str, ...]] = {
            "int8": ("auto", "float32", "int8", "uint8"),
            "int16x8": ("auto", "float32", "int16"),
        }
        allowed = possible.get(self.quantize, ("auto", "float32"))
        text = f"one of {', '.join(map(repr, allowed))} with quantize {self.quantize!r}"
        _check("export.io", text, self.io, ok=self.io in allowed)

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
        learning_rate: of the optimizer; None: 1e-4 where something is pruned, else 1e-5. (ResNet8 on CIFAR-10,
            two epochs, half pruned with QAT: 86.6 % at 1e-4, 82.5 % at 1e-5; QAT alone: 88.7 % at 1e-5.)
        optimizer: name of a Keras optimizer.
        loss: name of a Keras loss; ``auto`` chooses by the labels and the last activation.
        seed: seed of everything random: shuffling, calibration samples, initial centroids.
        holdout: fraction of the data kept for testing when it comes as one piece without a test split.
        limit: use at most so many training samples (None: all), chosen by *seed*.
    """

    epochs: int = 2
    batch_size: int = 64
    learning_rate: float | None = None
    optimizer: str = "adam"
    loss: str = "auto"
    seed: int = 0
    holdout: float = 0.2
    limit: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        _check_literals(self, "train")
        _check("train.epochs", "at least 1", self.epochs, ok=self.epochs >= 1)
        _check("train.batch_size", "at least 1", self.batch_size, ok=self.batch_size >= 1)
        rate = self.learning_rate
        _check("train.learning_rate", "above 0", rate, ok=rate is None or 0 < rate < math.inf)
        _check("train.seed", "between 0 and 2**32 - 1", self.seed, ok=0 <= self.seed < 2**32)
        _check("train.holdout", "in (0, 1)", self.holdout, ok=0 < self.holdout < 1)
        _check("train.limit", "at least 1", self.limit, ok=self.limit is None or self.limit >= 1)


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
        if "qat" in kinds and self.export.quantize != "int8":
            msg = f"export.quantize must be 'int8' after a qat stage (it trains for int8), got {self.export.quantize!r}"
            raise RecipeError(msg)
        for stage in self.stages:
            end = stage.end_epoch if isinstance(stage, Prune) else None
            if end is not None and end > self.train.epochs:
                msg = f"prune.end_epoch must be at most train.epochs ({self.train.epochs}), got {end:g}"
                raise RecipeError(msg)

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
        rate = 1e-4 if self.stage("prune") else 1e-5
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
    _check_type(f"{where}: name", str, title)
    _check_type(f"{where}: about", str, about)
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
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
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
            return from_toml(path.read_text("utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            msg = f"recipe {str(path)!r} cannot be read: {error}"
            raise RecipeError(msg) from error
    known = named()
    if str(name_or_path) not in known:
        hint = nearest(str(name_or_path), known)
        msg = f"no recipe {str(name_or_path)!r}{hint}; give a .toml file or one of {', '.join(known)}"
        raise RecipeError(msg)
    return known[str(name_or_path)]
