"""The distribution: what the wheel carries, what it may weigh, and that the metadata tell the truth."""

from __future__ import annotations

import configparser
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tfcompress
from tfcompress import demo
from tfcompress.recipe import named

ROOT = Path(__file__).parents[1]
LARGEST_WHEEL = 5_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel into a folder of its own, leaving nothing in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("build", "info"):
        (folder / name).mkdir()
    command = [sys.executable, "setup.py", "-q", "build", "--build-base", str(folder / "build")]
    command += ["egg_info", "--egg-base", str(folder / "info"), "bdist_wheel", "--dist-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def contents(suffix: str, *folders: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob(f"*{suffix}")}


def test_the_wheel_holds_every_module_of_the_package_and_of_the_runner(wheel: zipfile.ZipFile) -> None:
    inside = {name for name in wheel.namelist() if name.endswith(".py")}
    assert inside == contents(".py", "tfcompress", "edge_runner")


def test_the_wheel_holds_the_files_that_modules_read(wheel: zipfile.ZipFile) -> None:
    wanted = {f"tfcompress/recipes/{name}.toml" for name in named()}
    wanted |= {str(path.relative_to(ROOT)) for path in (demo.MODEL, demo.MODEL_KERAS3, demo.DATA, demo.LICENSE)}
    wanted |= contents(".json", "tfcompress", "edge_runner") | {"tfcompress/py.typed"}
    assert wanted <= set(wheel.namelist())


def test_the_wheel_holds_the_licence_and_stays_small(wheel: zipfile.ZipFile) -> None:
    assert any(name.endswith("/LICENSE") and ".dist-info" in name for name in wheel.namelist())
    assert Path(str(wheel.filename)).stat().st_size < LARGEST_WHEEL


def test_the_command_is_declared_and_every_requirement_has_both_bounds() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert "tfcompress = tfcompress.__main__:main" in setup["options.entry_points"]["console_scripts"]
    requirements = [line.split(";")[0].strip() for line in setup["options"]["install_requires"].split("\n") if line]
    assert requirements
    assert [line for line in requirements if ">=" not in line or ",<" not in line] == []


def test_the_wheel_s_version_is_the_package_s(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(f"tfcompress-{tfcompress.__version__}.dist-info/METADATA").decode()
    assert f"\nVersion: {tfcompress.__version__}\n" in metadata


def test_the_demo_s_data_are_balanced_and_complete() -> None:
    with np.load(demo.DATA) as data:
        assert {name: data[name].shape for name in data} == {
            "x_train": (4000, 28, 28, 1),
            "y_train": (4000,),
            "x_test": (2000, 28, 28, 1),
            "y_test": (2000,),
        }
        assert np.bincount(data["y_train"]).tolist() == [4000 // len(demo.LABELS)] * len(demo.LABELS)
        assert np.bincount(data["y_test"]).tolist() == [2000 // len(demo.LABELS)] * len(demo.LABELS)
        assert data["x_train"].dtype == np.uint8


def test_no_demo_image_is_in_both_splits() -> None:
    with np.load(demo.DATA) as data:
        train, test = ({hashlib.sha256(image).digest() for image in data[name]} for name in ("x_train", "x_test"))
    assert not train & test


def test_the_demo_s_licence_names_its_holder() -> None:
    assert "Zalando SE" in demo.LICENSE.read_text()


@pytest.mark.slow
def test_the_demo_s_two_models_give_the_same_outputs_and_are_good() -> None:
    import keras
    import tf_keras

    with np.load(demo.DATA) as data:
        images, labels = data["x_test"].astype(np.float32) / 255, data["y_test"]
    ours = tf_keras.models.load_model(demo.MODEL, compile=False).predict(images, verbose=0)
    theirs = keras.models.load_model(demo.MODEL_KERAS3, compile=False).predict(images, verbose=0)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.mean(ours.argmax(1) == labels) > 0.9
