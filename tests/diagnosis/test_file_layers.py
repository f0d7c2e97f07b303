"""The ops of a file by layer: what a file of tests/data/tflite holds, beside the network that it was made from."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("keras")

from tests.models.small_models import GRAPHS, build
from tests.tflite.make_files import FOLDER, cnn
from tfcompress.diagnosis.file_layers import file_layers
from tfcompress.diagnosis.layer_values import layer_values
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.weights import facts, kernels, stored_values

KNOWN = ["conv", "depthwise", "flatten", "scores"]
IMAGES = {"image": np.random.default_rng(1).normal(size=(20, 8, 8, 3)).astype(np.float32)}


def content(name: str) -> bytes:
    return (FOLDER / f"{name}.tflite").read_bytes()


def network(keras):
    """Return the network with the weights of the float file, whose kernels have the channels first."""
    model, flat = cnn(keras), read_model_file(content("none"))
    found = {k.op: stored_values(k.tensor).reshape(k.tensor.shape) for k in kernels(flat.subgraphs)}
    biases = {
        op.name: flat.subgraphs[0].tensors[op.inputs[2]] for op in flat.ops if len(op.inputs) > 2 and op.name in found
    }
    turned = {
        "CONV_2D": found["CONV_2D"].transpose(1, 2, 3, 0),
        "DEPTHWISE_CONV_2D": found["DEPTHWISE_CONV_2D"].transpose(1, 2, 3, 0),
        "FULLY_CONNECTED": found["FULLY_CONNECTED"].T,
    }
    for name, op in (("conv", "CONV_2D"), ("depthwise", "DEPTHWISE_CONV_2D"), ("scores", "FULLY_CONNECTED")):
        model.get_layer(name).set_weights([turned[op], stored_values(biases[op])])
    return model


def layers_of(file: str, model, **more):
    flat = read_model_file(content(file))
    found = file_layers(content(file), facts(flat.subgraphs), model, IMAGES, **{"known": KNOWN, **more})
    return found.rows, found.note


@pytest.mark.parametrize(("file", "bits", "least_db"), [("none", 32, 100), ("int8", 8, 25), ("float16", 16, 40)])
def test_every_layer_of_either_keras_has_its_ops_numbers_and_error(keras_module, file, bits, least_db) -> None:
    rows, note = layers_of(file, network(keras_module))
    assert note == ""
    named = {row.name: row for row in rows if row.name}
    assert list(named) == KNOWN
    assert (named["conv"].parameters, named["depthwise"].parameters) == (3 * 3 * 3 * 8 + 8, 3 * 3 * 8 + 8)
    assert named["scores"].parameters == 6 * 6 * 8 * 10 + 10
    assert (named["conv"].macs, named["depthwise"].macs) == (8 * 8 * 3 * 3 * 3 * 8, 6 * 6 * 3 * 3 * 8)
    assert {named[name].bits for name in ("conv", "depthwise", "scores")} == {bits}
    assert named["conv"].output_shape == (8, 8, 8)
    assert named["scores"].ops[-2:] == ("FULLY_CONNECTED", "SOFTMAX")
    assert min(row.snr_db for row in named.values() if row.snr_db is not None) > least_db
    assert sum(row.snr_db is not None for row in named.values()) >= 3


@pytest.mark.parametrize(
    "file", ["none", "float16", "dynamic", "int8", "int16x8", "sparse", "two_ways", "lstm", "tokens"]
)
def test_the_rows_sum_up_to_the_file(file: str) -> None:
    flat = read_model_file(content(file))
    found = file_layers(content(file), facts(flat.subgraphs), "a SavedModel", {})
    rows = found.rows
    assert (found.note, found.outputs, found.inputs) == ("a SavedModel does not list its layers", {}, {})
    assert found.paths == frozenset()
    assert sum(row.parameters for row in rows) == flat.parameters
    assert sum(row.nonzero for row in rows) == flat.nonzero
    assert sum(row.macs or 0 for row in rows) == flat.macs
    assert sorted(place for row in rows for place in row.places) == list(range(len(flat.subgraphs[0].ops)))


def test_names_that_a_packing_took_away_are_given_beside_the_file(keras) -> None:
    names = read_model_file(content("int8")).tensor_names[0]
    rows, _ = layers_of("int8", network(keras), names=[f"model/{name}" for name in names])
    assert all(row.tensor.startswith("model/") for row in rows)


def test_parts_that_stages_made_of_a_layer_are_counted_with_it(keras) -> None:
    model = network(keras)
    rows, _ = layers_of("int8", model, known=["conv", "depthwise", "flatten", "scores"])
    whole = {row.name: row.parameters for row in rows}
    model.get_layer("conv").name = "conv_factor1"
    model.get_layer("scores").name = "scores_inner"
    rows, _ = layers_of("int8", model)
    assert {row.name: row.parameters for row in rows} == whole


def test_samples_of_another_shape_cost_two_columns_and_say_so(keras) -> None:
    flat = read_model_file(content("int8"))
    odd = {"image": np.zeros((4, 7, 7, 3), np.float32)}
    found = file_layers(content("int8"), facts(flat.subgraphs), network(keras), odd, known=KNOWN)
    rows = found.rows
    assert found.note.startswith("the layers could not be run beside the file: ")
    assert {row.snr_db for row in rows} == {None}
    assert sum(row.parameters for row in rows) == flat.parameters


def test_both_kerases_give_the_same_values_layer_by_layer(keras, tf_keras) -> None:
    one, two = (layer_values(network(library), IMAGES) for library in (keras, tf_keras))
    assert [value.path for value in one] == [value.path for value in two]
    assert [value.kernel_size for value in one] == [value.kernel_size for value in two]
    for here, there in zip(one, two, strict=True):
        np.testing.assert_allclose(here.values, there.values, rtol=1e-4, atol=1e-5)


@pytest.mark.networks
@pytest.mark.parametrize("kind", GRAPHS, ids=lambda kind: kind.__name__)
def test_no_layer_of_a_float_file_is_taken_for_another(keras_module, kind) -> None:
    from tfcompress.errors import TfcompressError
    from tfcompress.workbench import Workbench

    with Workbench(build(kind, keras_module), progress=False) as bench:
        try:
            result = bench.run("float32").report.result
        except TfcompressError as refusal:
            pytest.skip(f"no float file of it: {refusal}")
    errors = [layer.snr_db for layer in result.layers if layer.snr_db is not None]
    assert min(errors) > 60
    assert sum(layer.parameters for layer in result.layers) == result.parameters
