"""Int8 files with other numbers in some ops, and what the runtime makes of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import ContractError, UnsupportedError
from tfcompress.recipe import Export
from tfcompress.tflite.contract import FloatOpsError, check_integer, check_weights, float_ops
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.graph_editor import GraphEditor
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.layer_noise import HeldBack, decibels, judged_by, with_rounded_output, with_weights
from tfcompress.tflite.lower import lower
from tfcompress.tflite.mixed import on_four_bits
from tfcompress.tflite.mixing import Mixer, codes_of
from tfcompress.tflite.op_trials import OpTrials
from tfcompress.tflite.sites import Site, sites_of
from tfcompress.tflite.tree import Node, Text, parse_tree
from tfcompress.tflite.tree_writer import write_tree
from tfcompress.tflite.trouble import known_trouble
from tfcompress.tflite.weights import kernels

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "CONV_2D", "FULLY_CONNECTED")
INT8 = Export(quantize="int8")


class Files(NamedTuple):
    """A model's files, and what is known of them."""

    mixer: Mixer
    plain: bytes
    in_float: bytes
    held: HeldBack

    def site(self, op: str) -> Site:
        return next(site for site in self.mixer.sites if site.op == op)


@pytest.fixture(scope="module")
def files(converter: ConverterProcess) -> Files:
    """Convert a net of all kinds of kernels, with a branch and a softmax, to int8 and to float."""
    import keras

    keras.utils.set_random_seed(3)
    layers = keras.layers
    image = layers.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.Conv2D(12, 1, use_bias=False)(x)
    x = layers.Add()([x, layers.Conv2D(12, 3, padding="same", activation="relu")(x)])
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(4, activation="softmax", name="class")(x))
    drawn = np.random.default_rng(0).normal(size=(40, 8, 8, 3)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        lowered = lower(model, Path(folder) / "model")
        plain = converter.convert(lowered.folder, INT8, {"image": drawn})
        in_float = converter.convert(lowered.folder, Export(), None)
    sites, notes = sites_of(plain, in_float)
    assert notes == ()
    mixer = Mixer(plain, sites, {site.number: on_four_bits(site, None) for site in sites})
    return Files(mixer, plain, in_float, HeldBack.of(in_float, {"image": drawn}))


def dtypes(flat: FlatModel) -> dict[str, list[str]]:
    """Return the dtypes of the first outputs of a file's ops, by op."""
    found: dict[str, list[str]] = {}
    for op in flat.ops:
        found.setdefault(op.name, []).append(flat.subgraphs[0].tensors[op.outputs[0]].dtype)
    return found


def db(files: Files, content: bytes) -> float:
    with InterpreterProcess(content) as process:
        return decibels(files.held.noise(process, content))


def test_every_op_with_a_kernel_is_found_with_its_float_weights(files: Files) -> None:
    assert tuple(site.op for site in files.mixer.sites) == LAYERS
    for site in files.mixer.sites:
        step = np.abs(site.exact.kernel).max() / 127
        assert np.abs(site.exact.kernel - site.stored.kernel).max() <= 0.51 * step
    order = [site.number for site in files.mixer.sites]
    assert [(a.number, b.number) for a, b in files.mixer.links()] == [(order[0], order[1]), (order[1], order[2])]


def test_islands_are_float_and_nothing_else_is(files: Files) -> None:
    site = files.site("DEPTHWISE_CONV_2D")
    made = files.mixer.mixed({site.number: "float"})
    flat = read_model_file(made.content)
    found = dtypes(flat)
    assert found["DEPTHWISE_CONV_2D"] == ["float32"]
    assert set(found["CONV_2D"]) == {"int8"}
    assert found["ADD"] == ["int8"]
    assert {op.op for op in float_ops(flat)} == {"DEPTHWISE_CONV_2D"}
    check_integer(flat, INT8, islands=made.islands)
    check_weights(flat, INT8, made.islands)
    with pytest.raises(FloatOpsError, match=r"1 of \d+ ops have no int8 form"):
        check_integer(flat, INT8)
    with pytest.raises(ContractError, match="kernels must be stored as int8"):
        check_weights(flat, INT8, frozenset())


def test_neighbours_in_float_have_no_casts_between_them(files: Files) -> None:
    chain = {site.number: "float" for site in files.mixer.sites[:3]}
    found = dtypes(read_model_file(files.mixer.mixed(chain).content))
    assert len(found["DEQUANTIZE"]) == 1
    assert len(found["QUANTIZE"]) == 1  # two ops take what the third makes, and share the cast


def test_all_kernels_in_float_agree_better_than_int8_and_4_bits_worse(files: Files) -> None:
    numbers = [site.number for site in files.mixer.sites]
    plain = db(files, files.plain)
    in_float = files.mixer.mixed(dict.fromkeys(numbers, "float")).content
    four = files.mixer.mixed(dict.fromkeys(numbers, "int4")).content
    assert db(files, in_float) > plain + 1 > db(files, four) + 10
    assert {k.tensor.dtype for k in kernels(read_model_file(four).subgraphs)} == {"int4"}
    halved = sum(site.exact.kernel.size for site in files.mixer.sites) // 2
    assert len(four) <= len(files.plain) - halved


def test_what_a_softmax_takes_is_judged_in_its_place(files: Files) -> None:
    content, names = judged_by(files.plain)
    assert names == ("class",)
    assert read_model_file(content).outputs[0].scale != read_model_file(files.plain).outputs[0].scale
    assert np.abs(files.held.expected["class"].mean(axis=-1)).max() < 1e-5


def test_the_noise_of_single_layers_adds_up_to_that_of_all(files: Files) -> None:
    with InterpreterProcess(files.in_float) as process:
        alone = [
            files.held.noise(process, with_weights(files.in_float, site, files.mixer.weights(site, "int4")))
            for site in files.mixer.sites
        ]
        between = files.mixer.sites[0]
        rounded = with_rounded_output(files.in_float, between, *files.mixer.grid_of(between.made))
        assert 20 < decibels(files.held.noise(process, rounded)) < 80
        assert files.held.noise(process, with_weights(files.in_float, between, between.exact)) < 1e-9
    four = files.mixer.mixed({site.number: "int4" for site in files.mixer.sites}).content
    assert abs(db(files, four) - decibels(sum(alone))) < 6


def test_runtimes_compute_what_a_plan_may_use(files: Files) -> None:
    with OpTrials(files.mixer, (), lambda _: "", seed=0) as trials:
        for site in files.mixer.sites:
            assert trials.refusal(site, "int4") == trials.refusal(site, "float") == trials.refusal(site, "int16") == ""
        site = files.site("CONV_2D")
        assert 0 < trials.op_seconds(site, "int8") < 1
        assert trials.cast_seconds(site.given, "int8", "int4") == 0.0 < trials.cast_seconds(site.given, "int8", "float")


def test_what_a_runtime_asked_for_cannot_run_is_not_to_be_had(files: Files) -> None:
    with OpTrials(files.mixer, ("tflite-runtime>=2.14",), lambda _: "", seed=0) as trials:
        assert "4" in trials.refusal(files.site("CONV_2D"), "int4")
        assert trials.refusal(files.site("CONV_2D"), "float") == ""


def test_an_op_that_computes_something_else_is_refused(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = files.mixer.alone

    def wrong(site: Site, precision: Any, *, wide: bool = False) -> bytes:
        return alone(site, "int8") if wide else alone(site, precision)

    monkeypatch.setattr(files.mixer, "alone", wrong)
    with OpTrials(files.mixer, (), lambda _: "", seed=0) as trials:
        assert "computes something else" in trials.refusal(files.site("CONV_2D"), "int4")


@pytest.mark.parametrize(("dtype", "version"), [("int16", 5), ("float32", 6)])
def test_4_bit_depthwise_kernels_beside_other_activations_than_int8_are_known_trouble(
    files: Files, dtype: str, version: int
) -> None:
    site, editor = files.site("DEPTHWISE_CONV_2D"), GraphEditor(files.plain)
    node = editor.ops[site.number]
    scale = 0.001 if dtype == "int16" else 0.0
    given, made = (editor.add_like(tensor, dtype, scale) for tensor in (site.given, site.made))
    codes, scales = codes_of(site.exact.kernel, 4, site.axis)
    contents = []
    for stored in ("int4", "int8"):
        kernel = editor.add_constant(codes, stored, site.made, scales, site.axis)
        editor.ops = [editor.placed(node, site.op, version, [given, kernel, -1], [made])]
        contents.append(editor.content([given], [made]))
    assert "4-bit depthwise" in known_trouble(read_model_file(contents[0]), "litert", (2, 3))
    assert known_trouble(read_model_file(contents[1]), "litert", (2, 3)) == ""
    inputs = {"x": np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 8)).astype(np.float32)}
    found: list[Any] = []
    for content in contents:
        name = read_model_file(content).inputs[0].name
        try:
            with InterpreterProcess(content, workers=1) as process:
                found.append(next(iter(process.run({name: inputs["x"]}).values())))
        except ContractError:
            found.append(None)
    assert found[0] is None or np.abs(found[0] - found[1]).max() > 0.1 * np.abs(found[1]).max()


@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 8]), st.sampled_from([None, 0, 2]))
def test_a_kernel_on_its_grid_stays_what_it_is(seed: int, bits: int, axis: int | None) -> None:
    kernel = np.random.default_rng(seed).normal(size=(3, 2, 4)).astype(np.float32)
    codes, steps = codes_of(kernel, bits, axis)
    shape = [1, 1, 1]
    if axis is not None:
        shape[axis] = -1
    again, same = codes_of(codes * steps.reshape(shape), bits, axis)
    assert np.array_equal(codes, again)
    assert np.allclose(steps, same)
    assert np.abs(codes).max() == 2 ** (bits - 1) - 1


def test_a_file_that_goes_by_numbers_of_ops_is_left_as_it_is(files: Files) -> None:
    model = parse_tree(files.plain)
    entry = Node("Metadata", {"name": Text(b"model_control_dependencies")})
    content = write_tree(model.having(metadata=(*model.nodes("metadata"), entry)))
    with pytest.raises(UnsupportedError, match="in which order its ops run, by their numbers"):
        GraphEditor(content)
