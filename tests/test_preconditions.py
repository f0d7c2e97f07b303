"""tfcompress.preconditions: code that a recipe names needs trust, and what a microcontroller lacks is told early."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tests.tflite.make_files import FOLDER
from tfcompress.devices.config import Device
from tfcompress.errors import DeviceError, MissingDependencyError, UnsupportedError, UntrustedCodeError
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.preconditions import check_code, check_deployment, check_preconditions, warn_of_lacking_ops
from tfcompress.recipe import Channels, Distill, Export, Recipe, Train, from_toml
from tfcompress.references import module_file
from tfcompress.stages.flags import flags_of
from tfcompress.stages.stage_table import STAGES

BESIDE: dict[str, dict[str, Any]] = {"teacher_preprocess": {"teacher": ("teacher.keras",)}}

NAMING = [
    flag for kind in (*STAGES.values(), Train, Export) for flag in flags_of(kind) if "MODULE:" in flag.option.metavar
]


def test_code_is_named_by_stages_alone() -> None:
    named = {(flag.owner.__name__, flag.field) for flag in NAMING}
    assert named == {("Build", "builder"), ("Distill", "teacher_preprocess"), ("Distill", "student")}


@pytest.mark.parametrize("flag", NAMING, ids=lambda flag: f"{flag.owner.__name__}.{flag.field}")
def test_every_field_that_names_code_needs_trust(flag: Any) -> None:
    stage = flag.owner(**{flag.field: "os:abort"}, **BESIDE.get(flag.field, {}))
    recipe = from_toml(Recipe(stages=(stage,)).to_toml())
    with pytest.raises(UntrustedCodeError, match=f"{stage.kind} runs the function 'os:abort'; give --trust"):
        check_code(recipe, trust=False)
    check_code(recipe, trust=True)


def test_files_sizes_and_names_of_classes_are_no_code() -> None:
    for stage in (
        Distill(student="C:/nets/small.keras"),
        Distill(student="width=0.5"),
        Distill(teacher=("a:b",), teacher_classes="cat:1,dog"),
    ):
        check_code(Recipe(stages=(stage,)), trust=False)


def test_a_refused_recipe_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "handed_on"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "nets.py").write_text("raise SystemExit('imported')")
    recipe = Recipe(stages=(Distill(student="handed_on.nets:small"),))
    with pytest.raises(UntrustedCodeError, match=r"distill runs the function 'handed_on\.nets:small'"):
        tfc.compress("model.keras", recipe, {"x_train": np.zeros((2, 2))}, progress=False)
    assert module_file("handed_on.nets:small") == package / "nets.py"
    assert module_file("handed_on.none:small") is None
    assert "handed_on" not in sys.modules


def run_of(recipe: Recipe, shape: tuple[int | None, ...] = (8, 8, 3), native: Any = None) -> Any:
    told: list[str] = []
    signature = Signature((TensorSpec("photo", shape, "float32"),), (TensorSpec("class", (2,), "float32"),))
    loaded = SimpleNamespace(signature=signature, native=native)
    return SimpleNamespace(recipe=recipe, loaded=loaded, warn=told.append, told=told)


def test_inputs_of_any_size_are_refused_for_microcontrollers_alone() -> None:
    check_deployment(run_of(Recipe(), (None, None, 3)))
    with pytest.raises(UnsupportedError, match=r"target 'tflm' plans its memory for one shape, and input 'photo'"):
        check_deployment(run_of(Recipe(export=Export(target="tflm")), (None, None, 3)))


@pytest.mark.parametrize(("target", "width", "told"), [("tflm", 8, 0), ("ethos-u55-128", 8, 1), ("linux", 1, 0)])
def test_widths_that_a_target_s_kernels_do_not_like_are_told(target: str, width: int, told: int) -> None:
    quantize: Any = "none" if target == "linux" else "int8"
    stage = Channels(round_to=width)
    run = run_of(Recipe(stages=(stage,), export=Export(quantize=quantize, target=target)))
    check_deployment(run)
    assert len(run.told) == told
    assert all("widths for target 'ethos-u55-128' go by 16, and channels.round_to 8" in line for line in run.told)


def test_ops_that_a_microcontroller_lacks_are_told_from_the_float_file(tmp_path: Path) -> None:
    content = (FOLDER / "tokens.tflite").read_bytes()
    run = run_of(Recipe(export=Export(target="tflm")), native=tmp_path)  # a SavedModel, whose layers are not known
    warn_of_lacking_ops(run, content)
    (line,) = run.told
    assert line.startswith("TensorFlow Lite Micro has no kernel for SELECT ('sequential_2_1/embedding_1/SelectV2')")
    linux = run_of(Recipe(), native=tmp_path)
    warn_of_lacking_ops(linux, content)
    warn_of_lacking_ops(run, (FOLDER / "int8.tflite").read_bytes())
    assert (linux.told, run.told) == ([], [line])


def test_an_interpreter_that_is_not_installed_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfcompress.targets.installed.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'tfcompress\[mcu\]'"):
        check_preconditions(object(), Recipe(export=Export(target="tflm")), has_data=False)


def test_a_device_is_called_before_anything_slow_where_a_file_is_timed_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(device: Device) -> None:
        msg = f"device {device.host} cannot be reached"
        raise DeviceError(msg)

    monkeypatch.setattr("tfcompress.preconditions.check_reachable", unreachable)
    export = Export(quantize="int8", mixed=True, max_latency="2ms", device="ssh://pi@192.0.2.7")
    with pytest.raises(DeviceError, match=r"device 192\.0\.2\.7 cannot be reached"):
        check_preconditions(object(), Recipe(export=export), has_data=True)
