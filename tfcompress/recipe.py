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
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from tfcompress import plain
from tfcompress.errors import RecipeError, nearest
from tfcompress.schema import check_keys, check_type, check_value, fields_of, fill, pick
from tfcompress.settings import Export, IOType, Quantize
from tfcompress.stages.blocks import Blocks
from tfcompress.stages.build import Build
from tfcompress.stages.channels import Channels
from tfcompress.stages.cluster import Cluster
from tfcompress.stages.distill import Distill
from tfcompress.stages.layout import Layout
from tfcompress.stages.prune import Prune
from tfcompress.stages.qat import QAT
from tfcompress.stages.sequence import check_sequence, learning_rate_of
from tfcompress.stages.stage import EngineName, InputSize, RewritingStage, Stage
from tfcompress.stages.stage_table import STAGES
from tfcompress.train_settings import Train

__all__ = [
    "FORMAT",
    "QAT",
    "STAGES",
    "Blocks",
    "Build",
    "Channels",
    "Cluster",
    "Distill",
    "EngineName",
    "Export",
    "IOType",
    "Layout",
    "Prune",
    "Quantize",
    "Recipe",
    "Stage",
    "Train",
    "from_dict",
    "from_toml",
    "load_recipe",
    "named",
]

FORMAT = 1
"""Recipe file format. History: 1 — first."""

LONGEST_TITLE = 100
"""Characters of a recipe's name: folders and files are called by the model and it."""


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
        _check_title(self.title)
        check_sequence(self.stages, "recipe.stages must hold", RecipeError)
        self._check_engines()
        for stage in self.stages:
            stage.check_against(self)
        self._check_promise()

    def _check_promise(self) -> None:
        """Refuse a permission to train that nothing would make use of."""
        asked, numbers = self.train.if_needed, self.export.quantize
        check_value("train.if_needed", "false without export.max_drop", asked, ok=not asked or self.promises)
        trained = any(stage.training_for(self.export) for stage in STAGES.values())
        allowed = f"false with quantize {numbers!r}, which no stage trains for"
        check_value("train.if_needed", allowed, asked, ok=not asked or trained)

    @property
    def promises(self) -> bool:
        """Whether the file may lose only so much."""
        return self.export.max_drop is not None

    @property
    def input_size(self) -> InputSize | None:
        """The size at which the network takes pictures in all that is done; None: as it came."""
        sizes = (stage.input_size for stage in self.stages if isinstance(stage, RewritingStage))
        return next((size for size in sizes if size is not None), None)

    def _check_engines(self) -> None:
        engines = {stage.engine for stage in self.stages} - {"auto"}
        if len(engines) > 1:
            msg = f"recipe.stages train together and must have one engine, got {' and '.join(sorted(engines))}"
            raise RecipeError(msg)
        lacking = next((stage for stage in self.stages if stage.needs_native), None)
        if lacking and "tfmot" in engines:
            msg = f"recipe.stages: {lacking.kind} needs the native engine, and another stage asks for tfmot"
            raise RecipeError(msg)

    def __repr__(self) -> str:
        """Return what makes it again, without what is as it is by default."""
        return _short(self)

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
        rate = learning_rate_of(self.stages)
        return dataclasses.replace(self, train=dataclasses.replace(self.train, learning_rate=rate))

    def stage(self, kind: str) -> Stage | None:
        """Return the stage of that kind, or None."""
        return next((stage for stage in self.stages if stage.kind == kind), None)

    def to_dict(self, *, defaults: bool = True) -> dict[str, Any]:
        """Return plain values, as in the TOML file; None-valued keys are left out.

        Args:
            defaults: whether values that are the default ones are among them; without, the recipe is as short as it
                can be and still be read back.
        """
        out: dict[str, Any] = {"format": FORMAT}
        if self.title:
            out["name"] = self.title
        if self.about:
            out["about"] = self.about
        plain = _plain if defaults else _chosen
        out["stages"] = [{"kind": stage.kind, **plain(stage)} for stage in self.stages]
        out["train"] = plain(self.train)
        out["export"] = plain(self.export)
        return out if defaults else {key: value for key, value in out.items() if value}

    def to_toml(self) -> str:
        """Return the recipe as TOML text that :func:`from_toml` reads back to an equal recipe."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())


def _short(value: object) -> str:
    """Return the constructor's call with those arguments that are not the default ones."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_short, value))}{',' * (len(value) == 1)})"
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return repr(value)
    fields = fields_of(type(value))
    given = ((each.name, getattr(value, each.name)) for each in fields)
    defaults = {each.name: _default(each) for each in fields}
    said = ", ".join(f"{name}={_short(own)}" for name, own in given if own != defaults[name])
    return f"{type(value).__name__}({said})"


def _default(each: dataclasses.Field[Any]) -> Any:
    return each.default if each.default_factory is dataclasses.MISSING else each.default_factory()


def _plain(value: Any) -> dict[str, Any]:
    pairs = ((f.name, getattr(value, f.name)) for f in fields_of(type(value)))
    return {name: list(v) if isinstance(v, tuple) else v for name, v in pairs if v is not None}


def _chosen(value: Any) -> dict[str, Any]:
    """Return those plain values that are not the default ones."""
    same = {each.name for each in fields_of(type(value)) if getattr(value, each.name) == _default(each)}
    return {name: own for name, own in _plain(value).items() if name not in same}


def _check_title(title: str) -> None:
    """Refuse a name that no folder or file can have: outputs are called by it."""
    fine = "/" not in title and title.isprintable() and not title.startswith(".") and len(title) <= LONGEST_TITLE
    allowed = f"a name for files: printable, at most {LONGEST_TITLE} characters, without '/', and no '.' first"
    check_value("recipe.title (name in a file)", allowed, title, ok=fine)


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
    check_keys(where, table, ("format", "name", "about", "stages", "train", "export"), RecipeError)
    if not isinstance(table.get("stages", []), list):
        msg = f"{where}: stages must be a list of [[stages]] tables, got {table['stages']!r}"
        raise RecipeError(msg)
    title, about = table.get("name", ""), table.get("about", "")
    check_type(f"{where}: name", str, title)
    check_type(f"{where}: about", str, about)
    return Recipe(
        stages=tuple(_stage(entry, where) for entry in table.get("stages", [])),
        train=fill(Train, table.get("train", {}), "train"),
        export=fill(Export, table.get("export", {}), "export"),
        title=title,
        about=about,
    )


def _stage(entry: object, where: str) -> Stage:
    if not isinstance(entry, dict) or "kind" not in entry:
        msg = f"{where}: each [[stages]] table needs a kind, one of {', '.join(STAGES)}, got {entry!r}"
        raise RecipeError(msg)
    values = dict(entry)
    kind = values.pop("kind")
    stage = pick(f"{where}: stage kind", STAGES, kind)
    stage.check_names(values)
    return fill(stage, values, kind)


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


def load_recipe(name_or_path: str | Path) -> Recipe:
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
