"""Make the modules beside these tests importable, and give both Kerases as a parameter."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tiny_networks import convolutional, fit_, images  # beside this file, so after the line above


@pytest.fixture(scope="module", params=["tf_keras", "keras"])
def either_keras(request):
    """Return tf_keras, then Keras 3."""
    return pytest.importorskip(request.param)


@pytest.fixture(scope="class")
def run(request, either_keras):
    """Run a contract's stages: attach them to a model, train as a user would, finish."""
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
