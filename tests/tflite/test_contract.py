"""tfcompress.tflite.contract."""

from __future__ import annotations

import dataclasses

import pytest

from tests.tflite.make_files import SCHEMES
from tfcompress.errors import ContractError
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.recipe import Export
from tfcompress.tflite import contract
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.verify import check_structure

SIGNATURE = Signature((TensorSpec("image", (8, 8, 3), "float32"),), (TensorSpec("scores", (10,), "float32"),))


def with_op(content: bytes, number: int, **changes: object) -> FlatModel:
    """Change an op of a file's main subgraph."""
    model = read_model_file(content)
    graph = model.subgraphs[0]
    ops = [dataclasses.replace(op, **changes) if place == number else op for place, op in enumerate(graph.ops)]
    return dataclasses.replace(model, subgraphs=(dataclasses.replace(graph, ops=tuple(ops)),))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_file_of_each_scheme_keeps_its_contract_and_no_other(file, scheme: str) -> None:
    model = read_model_file(file(scheme))
    for asked in SCHEMES:
        settings = Export(quantize=asked)
        broken = 0
        for check in (
            lambda s=settings: contract.check_integer(model, s),
            lambda s=settings: contract.check_io(model, s, SIGNATURE),
            lambda s=settings: contract.check_weights(model, s),
        ):
            try:
                check()
            except ContractError:
                broken += 1
        assert (broken == 0) == (asked == scheme)


def test_a_training_op_is_refused(file) -> None:
    model = with_op(file("none"), 1, name="FAKE_QUANT")
    with pytest.raises(ContractError, match=r"must hold no training op, it holds FAKE_QUANT at '.*depthwise"):
        contract.check_ops(model, Export())


def test_flex_ops_are_refused_unless_allowed(file) -> None:
    model = with_op(file("none"), 0, name="FlexMaxPool3D", custom=True)
    with pytest.raises(ContractError, match=r"TFLite ops only, it holds FlexMaxPool3D; .* give --select-ops"):
        contract.check_ops(model, Export())
    contract.check_ops(model, Export(select_ops=True))


def test_custom_ops_are_refused(file) -> None:
    model = with_op(file("none"), 0, name="ethos-u", custom=True)
    with pytest.raises(ContractError, match="TFLite ops only, it holds the custom ops ethos-u; replace"):
        contract.check_ops(model, Export(select_ops=True))


def test_float_ops_are_named_with_their_place(file) -> None:
    with pytest.raises(ContractError) as caught:
        contract.check_integer(read_model_file(file("none")), Export(quantize="int8"))
    text = str(caught.value)
    assert text.startswith("5 of 5 ops have no int8 form and would stay in float: CONV_2D at '")
    # samples were given, so there is nothing about --data; float ends cannot be int8
    assert text.endswith(
        "replace those layers, or give --float-ops allow and --io float32 (they make 'image', 'scores')"
    )
    with pytest.raises(ContractError, match=r"replace those layers, give --data, or give --float-ops allow$"):
        contract.check_integer(read_model_file(file("none")), Export(quantize="int8", io="float32"), sampled=False)
    contract.check_integer(read_model_file(file("none")), Export(quantize="int8", float_ops="allow"))
    assert contract.float_ops(read_model_file(file("int8"))) == ()


def test_whole_number_inputs_keep_their_dtype(file) -> None:
    model = read_model_file(file("tokens"))
    ids, answer = TensorSpec("ids", (5,), "int32"), TensorSpec("answer", (2,), "float32")
    contract.check_io(model, Export(quantize="int8"), Signature((ids,), (answer,)))
    with pytest.raises(ContractError, match="input 'ids' of the file must be int64, it is int32; choose another --io"):
        contract.check_io(model, Export(quantize="int8"), Signature((TensorSpec("ids", (5,), "int64"),), (answer,)))


def test_names_and_axes_must_be_the_models(file) -> None:
    model = read_model_file(file("none"))
    other = dataclasses.replace(SIGNATURE, outputs=(TensorSpec("logits", (10,), "float32"),))
    with pytest.raises(ContractError, match="the file's outputs must be logits, they are scores"):
        contract.check_io(model, Export(), other)
    flat = dataclasses.replace(SIGNATURE, inputs=(TensorSpec("image", (192,), "float32"),))
    with pytest.raises(ContractError, match="input 'image' of the file must have 2 axes, its shape is"):
        contract.check_io(model, Export(), flat)


def test_a_scale_of_zero_is_refused(file) -> None:
    model = read_model_file(file("int8"))
    graph = model.subgraphs[0]
    number = model.inputs[0].index
    tensors = tuple(dataclasses.replace(t, scales=(0.0,)) if t.index == number else t for t in graph.tensors)
    broken = dataclasses.replace(model, subgraphs=(dataclasses.replace(graph, tensors=tensors),))
    with pytest.raises(
        ContractError, match=r"'image' of the file must have a scale above 0, it has 0\.0; check the cal"
    ):
        contract.check_io(broken, Export(quantize="int8"), SIGNATURE)


def test_kernels_of_the_wrong_dtype_are_named(file) -> None:
    with pytest.raises(ContractError, match=r"stored as float16 with quantize 'float16', these are not: .*\(int8\)"):
        contract.check_weights(read_model_file(file("int8")), Export(quantize="float16"))


def test_dynamic_leaves_small_kernels_in_float_but_not_all(file) -> None:
    model = read_model_file(file("dynamic"))
    contract.check_weights(model, Export(quantize="dynamic"))  # 2,880 elements in int8; 216 and 72 in float
    with pytest.raises(ContractError, match="takes kernels of 1,024 elements and more, the largest here has 2,880"):
        contract.check_weights(read_model_file(file("none")), Export(quantize="dynamic"))


def test_a_smaller_file_needs_no_note(file) -> None:
    assert contract.check_size(read_model_file(file("int8")), len(file("none"))) == ""


def test_a_larger_file_is_excused_by_smaller_weights_only(file) -> None:
    model = read_model_file(file("int8"))
    note = contract.check_size(model, model.size_bytes - 1)
    assert f"its weights take {3168 + 4 * 26:,} bytes instead of {4 * 3194:,}" in note
    with pytest.raises(ContractError, match=r"must be smaller than the float file, it has .* bytes, the float file"):
        contract.check_size(read_model_file(file("none")), len(file("none")))


def test_long_lists_are_cut_short() -> None:
    assert contract.shortened(list(range(9))) == "0, 1, 2, 3, 4, 5 and 3 more"
    assert contract.shortened(["a"]) == "a"


def test_a_refusal_names_everything_that_is_not_as_asked(file) -> None:
    model = with_op(file("none"), 0, name="FlexConv2D", custom=True)
    model = dataclasses.replace(model, subgraphs=tuple(dataclasses.replace(g) for g in model.subgraphs))
    wanted = dataclasses.replace(SIGNATURE, outputs=(TensorSpec("logits", (10,), "float32"),))
    with pytest.raises(contract.FloatOpsError) as caught:
        check_structure(model, Export(quantize="int8"), wanted, None)
    text = str(caught.value)
    assert text.startswith("4 things are not as asked: (1) the file must hold TFLite ops only, it holds FlexConv2D;")
    assert "(2) 5 of 5 ops have no int8 form" in text
    assert "input 'image' of the file must be int8, it is float32" in text
    assert "the file's outputs must be logits, they are scores" in text
    assert "(4) kernels must be stored as int8" in text
    assert len(caught.value.ops) == 5


def test_one_violation_is_said_as_before(file) -> None:
    with pytest.raises(ContractError, match=r"^dynamic quantization takes kernels of 1,024|^kernels must be stored as"):
        check_structure(read_model_file(file("none")), Export(quantize="dynamic"), SIGNATURE, None)


def test_what_training_left_is_never_told_to_be_exported_as_what_was_asked(file) -> None:
    model = with_op(file("int8"), 1, name="FAKE_QUANT")
    with pytest.raises(ContractError, match="the model still trains there: finish the job") as caught:
        contract.check_ops(model, Export(quantize="int8"))
    assert "as int8" not in str(caught.value)
