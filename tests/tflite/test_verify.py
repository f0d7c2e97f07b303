"""tfcompress.tflite.verify, the parts that need no conversion."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tfcompress.errors import ContractError
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.recipe import Export
from tfcompress.tflite.agreement import OutputAgreement, compare_outputs
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.verify import check_agreement, check_kernels, check_varies, compare_kernels, verify, what_to_do

SIGNATURE = Signature((TensorSpec("image", (8, 8, 3), "float32"),), (TensorSpec("scores", (10,), "float32"),))


def check(
    file, reference: np.ndarray, output: np.ndarray, *, least: float = 10, name: str = "tokens", **settings
) -> None:
    flat = read_model_file(file(name))
    settings.setdefault("quantize", "int8")
    out = flat.outputs[0]
    found = compare_outputs(out.name, reference, output, out.scale)
    asked = Export(**settings)
    check_agreement(flat, reference, found, least, asked, what_to_do(asked, real_samples=True, trained=False))


def test_agreement_at_the_least_passes_and_below_it_fails(file) -> None:
    reference = np.array([[1.0, -1.0], [1.0, 1.0]])
    check(file, reference, reference * 1.3)  # -20 log10(0.3) = 10.5 dB
    with pytest.raises(
        ContractError, match=r"'answer' .* by at least 10 dB, got 8\.0 dB \(largest error 0\.4\); check that"
    ):
        check(file, reference, reference * 1.4)


def test_the_outputs_own_rounding_is_accepted_unless_a_least_was_asked_for(file) -> None:
    reference = np.full((5, 100), 0.01)
    rounded = np.round(reference * 256) / 256 - 1 / 256
    check(file, reference, rounded, least=30, name="int8")
    with pytest.raises(ContractError, match="by at least 30 dB, got"):
        check(file, reference, rounded, least=30, name="int8", min_agreement_db=30)


def test_an_output_of_zeros_must_stay_zero(file) -> None:
    reference = np.zeros((4, 2), np.float32)
    check(file, reference, reference)
    check(file, reference, reference + 1e-6, quantize="dynamic")
    with pytest.raises(
        ContractError, match=r"got 0\.5 where it gives 0 throughout; choose another --quantize, or accept"
    ):
        check(file, reference, reference + 0.5, quantize="dynamic")


def test_whole_number_outputs_must_mostly_be_equal(file) -> None:
    reference = np.array([[1], [2], [3], [4]])
    check(file, reference, np.array([[1], [2], [3], [9]]))
    with pytest.raises(ContractError, match="must equal the Keras model's in 50% of its values, got 25%"):
        check(file, reference, np.array([[1], [0], [0], [9]]))


@pytest.mark.parametrize(
    ("name", "reference", "output", "refused"),
    [
        ("tokens", [[1e4], [1e4 + 3]], [[1e4], [1e4]], True),  # 80 dB, and nothing left
        ("tokens", [[1e4], [1e4 + 3]], [[1e4], [1e4 + 4]], False),
        ("tokens", [[1e4], [1e4]], [[1e4 + 1], [1e4 + 1]], False),  # the model does not tell them apart either
        ("tokens", [[1e4, 0.0], [1e4, 3.0]], [[1e4, 0.0], [1e4, 4.0]], False),
        ("int8", [[0.3], [0.301]], [[0.3], [0.3]], False),  # of a softmax, whose range is what it is
    ],
)
def test_a_file_that_gives_every_sample_the_same_where_the_model_does_not_is_refused(
    file, name: str, reference: list[list[float]], output: list[list[float]], refused: bool
) -> None:
    flat = read_model_file(file(name))
    expected, got = np.float32(reference), np.float32(output)
    found = compare_outputs(flat.outputs[0].name, expected, got, flat.outputs[0].scale)
    if not refused:
        check_varies(flat, expected, found)
        return
    with pytest.raises(
        ContractError, match=r"must tell samples apart, .* \(it spreads by 1\.5 around 10001\.5\), .*16x8"
    ):
        check_varies(flat, expected, found)


def outputs(steps: float, db: float | None) -> tuple[OutputAgreement, ...]:
    return (OutputAgreement("scores", db, steps / 256, 0.0, None, 1 / 256),)


def test_kernels_may_differ_by_steps_or_by_a_little_of_the_signal_but_not_by_both() -> None:
    check_kernels(outputs(3, 5.0))
    check_kernels(outputs(28, 25.0))  # a softmax over coarse logits
    for db in (5.0, None):
        with pytest.raises(
            ContractError, match="kernels must agree on output 'scores', they differ by 28 quantization"
        ):
            check_kernels(outputs(28, db))


def test_kernels_are_compared_on_a_few_samples(file, images) -> None:
    content = file("int8")
    with InterpreterProcess(content) as fast, InterpreterProcess(content, reference_kernels=True) as reference:
        outputs = fast.run(images)
        steps, note = compare_kernels(reference, images, outputs)
        assert steps is not None
        assert steps <= 1.001
        assert note == ""
        with pytest.raises(ContractError, match="XNNPACK and the reference kernels must agree on output 'scores'"):
            compare_kernels(reference, images, {"scores": 1 - outputs["scores"]})


def test_a_file_that_the_reference_kernels_cannot_run_is_not_compared(file, images) -> None:
    with InterpreterProcess(file("int8"), reference_kernels=True, child="tests.tflite.dying_child") as reference:
        steps, note = compare_kernels(reference, images, {})
    assert steps is None
    assert note.startswith("not compared with the reference kernels: litert died by SIGSEGV")


def test_a_good_file_is_described_in_plain_values(file, images) -> None:
    with InterpreterProcess(file("none")) as interpreter:
        expected = interpreter.run(images)
    found = verify(
        file("int8"), Export(quantize="int8"), signature=SIGNATURE, inputs=images, keras_outputs=expected,
        float_size_bytes=len(file("none")), real_samples=True,
    )  # fmt: skip
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["ops"] == {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
    assert values["inputs"][0]["dtype"] == "int8"
    assert values["samples"] == 12
    assert values["weights_bytes"]["int8"] == 3168
    assert values["agreement"][0]["name"] == "scores"
    assert values["least_agreement_db"] == 10.0


def test_a_file_that_gives_other_values_than_the_model_is_refused(file, images) -> None:
    with InterpreterProcess(file("none")) as interpreter:
        expected = interpreter.run(images)
    shifted = {"scores": np.roll(expected["scores"], 1, axis=1)}
    with pytest.raises(ContractError, match="output 'scores' of the file must agree"):
        verify(
            file("none"), Export(), signature=SIGNATURE, inputs=images, keras_outputs=shifted,
            float_size_bytes=None, real_samples=True,
        )  # fmt: skip


def test_what_to_do_names_nothing_that_was_done() -> None:
    of_training = what_to_do(Export(quantize="int8"), real_samples=True, trained=True)
    assert "--qat" not in of_training
    assert of_training.startswith("train it for longer")
    assert "--data" not in what_to_do(Export(quantize="int8"), real_samples=True, trained=False)
    assert "give --data (it was" in what_to_do(Export(quantize="float16"), real_samples=False, trained=False)
    assert what_to_do(Export(), real_samples=True, trained=False) == "accept it with --min-agreement-db"
    told = what_to_do(Export(quantize="int8"), real_samples=True, trained=False, coarse=("input 'row' is coarse",))
    assert told == "input 'row' is coarse, or accept it with --min-agreement-db"
