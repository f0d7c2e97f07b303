"""Models saved in the middle of a training load by Keras itself once the layers are imported."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

pytestmark = pytest.mark.slow


def test_every_registered_class_of_the_package_comes_with_the_import() -> None:
    import keras

    import tfcompress.models.fake_quant as fake_quant
    import tfcompress.techniques.native as native
    import tfcompress.techniques.qat as qat
    from tfcompress.models.allowed_classes import OUR_MODULES

    for package in (fake_quant, native, qat):
        for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            importlib.import_module(found.name)
    registered = keras.saving.get_custom_objects()
    ours = {item.__module__ for name, item in registered.items() if name.startswith("tfcompress>")}
    assert ours <= set(OUR_MODULES["keras3"])
