"""What all tests share: the fast ones run first, and TensorFlow keeps to itself what it only logs."""

from __future__ import annotations

import gc
import importlib
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests that press it need it back.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# The machines are shared: how long an example takes to make, or to run, says nothing about the code.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what trains or converts last, so that a simple mistake shows within seconds; leave out what takes very long.

    That is run by ``pytest -m arm`` (emulated boards), ``-m cluster``, ``-m kills``, ``-m matrix``, ``-m networks`` and
    ``-m payloads``.
    """
    for marker in ("arm", "cluster", "kills", "matrix", "networks", "payloads"):
        if marker not in config.option.markexpr:
            left_out = [item for item in items if item.get_closest_marker(marker)]
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def pytest_collection_finish() -> None:
    """Spare the garbage collector the million objects of TensorFlow's: it took a twentieth of the time of the tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep what tests find out about models and teachers out of the cache of whoever runs them."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def patient_children():
    """Keep children that imported TensorFlow for seconds until a later test needs one; a command waits for a minute."""
    from tfcompress.models import first_load
    from tfcompress.tflite import convert
    from tfcompress.worker import KeptWorkers

    for module, child in ((first_load, first_load.CHILD), (convert, "tfcompress.tflite.converter_child")):
        module.CHILDREN = KeptWorkers(child, first_load.ENVIRONMENT, idle_seconds=3600.0)
    yield
    for module in (first_load, convert):
        module.CHILDREN.close()


@pytest.fixture(scope="session")
def keras():
    """Return Keras 3."""
    return importlib.import_module("keras")


@pytest.fixture(scope="session")
def tf_keras():
    """Return Keras 2."""
    return importlib.import_module("tf_keras")


@pytest.fixture(params=["keras", "tf_keras"])
def keras_module(request):
    """Return Keras 3, then Keras 2."""
    return importlib.import_module(request.param)


@pytest.fixture(scope="module", params=["tf_keras", "keras"])
def either_keras(request):
    """Return tf_keras, then Keras 3."""
    return pytest.importorskip(request.param)


@pytest.fixture(scope="class")
def run(request, either_keras):
    """Run a contract's stages: attach them to a model, train as a user would, finish."""
    from tests.engines.tiny_networks import convolutional, fit_, images
    from tfcompress.job import attach

    contract, data = request.cls, images()
    model = convolutional(either_keras)
    if contract.frozen:
        model.get_layer(contract.frozen).trainable = False
    before = [w.copy() for w in model.get_weights()]
    flags = [layer.trainable for layer in model.layers]
    job = attach(model, *contract.stages)
    history = fit_(either_keras, job, data).history
    return {
        "keras": either_keras,
        "data": data,
        "model": model,
        "before": before,
        "flags": flags,
        "job": job,
        "history": history,
        "finished": job.finish(),
    }
