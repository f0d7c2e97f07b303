"""What honest files hold is known: each small model, saved by either Keras in either format, loads without trust."""

import warnings

import pytest

from tests.models import small_models
from tests.models.small_models import build
from tfcompress.models.loading import load_model

KINDS = [kind for kind in small_models.GRAPHS if kind is not small_models.lambda_layer]
ONLY_KERAS_2 = [small_models.rare_ops]
ONLY_KERAS_3 = [small_models.keras3_activations, small_models.hard_silu]

NETWORKS = (
    ("MobileNet", 32),
    ("MobileNetV2", 32),
    ("MobileNetV3Small", 32),
    ("ResNet50", 32),
    ("ResNet50V2", 32),
    ("DenseNet121", 32),
    ("EfficientNetB0", 32),
    ("InceptionV3", 75),
    ("Xception", 71),
    ("NASNetMobile", 32),
    ("ConvNeXtTiny", 32),
    ("EfficientNetV2B0", 32),
)
QUICK = ("MobileNetV3Small",)
"""With raw operations, the way in which the others differ most from small models; those are for -m networks."""


def saved(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def cases():
    for name in ("keras", "tf_keras"):
        for kind in KINDS + (ONLY_KERAS_3 if name == "keras" else ONLY_KERAS_2):
            for ending in ("keras", "h5"):
                yield pytest.param(name, kind, ending, id=f"{kind.__name__}-{name}-{ending}")


@pytest.mark.slow
@pytest.mark.parametrize(("library", "kind", "ending"), list(cases()))
def test_a_small_model_is_loaded_without_trust(library, kind, ending, request, tmp_path):
    model = build(kind, request.getfixturevalue(library))
    loaded = load_model(saved(model, tmp_path / f"model.{ending}"))
    assert loaded.refusal == ""
    assert sum(w.size for w in loaded.native.get_weights()) == sum(w.size for w in model.get_weights())


def networks():
    for name, size in NETWORKS:
        marks = [pytest.mark.slow] if name in QUICK else [pytest.mark.networks]
        yield pytest.param(name, size, id=name, marks=marks)


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize(("name", "size"), list(networks()))
def test_a_network_of_keras_applications_is_loaded_without_trust(name, size, ending, keras_module, tmp_path):
    make = getattr(keras_module.applications, name)
    model = make(weights=None, input_shape=(size, size, 3), classes=10)
    loaded = load_model(saved(model, tmp_path / f"model.{ending}"))
    assert loaded.native.count_params() == model.count_params()
    keras_module.backend.clear_session()
