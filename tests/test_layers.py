"""Models saved in the middle of a training load by Keras itself once the layers are imported."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

pytestmark = pytest.mark.slow


def test_every_registered_class_of_the_package_comes_with_the_import() -> None:
    import keras

    import tfcompress
    from tfcompress.safety.allowed_classes import OUR_MODULES

    for found in pkgutil.walk_packages(tfcompress.__path__, "tfcompress."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    registered = keras.saving.get_custom_objects()
    ours = {item.__module__ for name, item in registered.items() if name.startswith("tfcompress>")}
    assert ours == set(OUR_MODULES["keras3"])
