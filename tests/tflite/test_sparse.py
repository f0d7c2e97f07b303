"""tfcompress.tflite.sparse."""

from __future__ import annotations

import pytest

from tfcompress.errors import ConversionError
from tfcompress.settings import Export
from tfcompress.tflite import sparse
from tfcompress.tflite.sparse import choose_encoding


def never() -> bytes:
    pytest.fail("the model must not be converted again")


def run(dense: bytes, convert, images, *, quantize: str = "none", runtimes: tuple[str, ...] = ()) -> tuple[bytes, str]:
    return choose_encoding(dense, convert, quantize=quantize, runtimes=runtimes, inputs=images)


def test_a_file_of_few_zeros_is_not_converted_again(file, images) -> None:
    assert run(file("none"), never, images) == (file("none"), "")


def test_a_smaller_encoded_file_that_runs_alike_is_taken(file, images) -> None:
    dense, encoded = file("zeros"), file("sparse")
    assert run(dense, lambda: encoded, images) == (
        encoded,
        f"encoded: {len(encoded):,} bytes instead of {len(dense):,}",
    )


def test_an_encoded_file_that_is_no_smaller_is_left(file, images) -> None:
    dense = file("zeros")
    assert run(dense, lambda: dense, images) == (dense, f"left dense: {len(dense):,} bytes, encoded {len(dense):,}")


def test_an_encoded_file_that_computes_something_else_is_left(file, images) -> None:
    kept, said = run(file("zeros"), lambda: file("float16"), images)
    assert kept == file("zeros")
    assert said.startswith("left dense: in litert it differs from the dense file by 0.")


def test_an_encoded_file_that_a_runtime_refuses_is_left(file, images) -> None:
    kept, said = run(file("zeros"), lambda: file("sparse")[:-3000], images)
    assert kept == file("zeros")
    assert said.startswith("left dense: malformed TFLite file")


def test_a_converter_that_fails_on_the_encoding_is_no_failure(file, images) -> None:
    def fail() -> bytes:
        msg = "the TFLite converter died by SIGSEGV"
        raise ConversionError(msg)

    assert run(file("zeros"), fail, images) == (file("zeros"), "left dense: the TFLite converter died by SIGSEGV")


@pytest.mark.parametrize("runtimes", [(), ("litert>=2.1",), ("tensorflow>=2.20",)])
def test_int8_is_not_tried_for_a_litert_that_cannot_run_it(file, images, monkeypatch, runtimes) -> None:
    monkeypatch.setattr(sparse, "installed_version", lambda _: (2, 3, 0))
    kept, said = run(file("zeros"), never, images, quantize="int8", runtimes=runtimes)
    assert kept == file("zeros")
    assert said == "left dense: LiteRT 2.3.0 cannot run sparse int8 kernels"


def test_a_runtime_that_is_not_here_is_judged_by_its_op_versions(file, images, monkeypatch) -> None:
    monkeypatch.setattr(sparse, "installed_version", lambda runtime: None if runtime == "tflite-runtime" else (2, 3, 0))
    kept, _ = run(file("zeros"), lambda: file("sparse"), images, runtimes=("tflite-runtime>=2.14",))
    assert kept == file("sparse")


def test_a_file_can_be_encoded_where_litert_may_run_it_and_nobody_forbade_it(monkeypatch) -> None:
    monkeypatch.setattr(sparse, "installed_version", lambda _: (2, 3, 0))
    assert sparse.can_be_encoded(Export())
    assert not sparse.can_be_encoded(Export(sparse="never"))
    assert not sparse.can_be_encoded(Export(quantize="int8"))
    assert not sparse.can_be_encoded(Export(quantize="int8", target="tflm"))
    monkeypatch.setattr(sparse, "installed_version", lambda _: (2, 4, 0))
    assert sparse.can_be_encoded(Export(quantize="int8"))
    assert not sparse.can_be_encoded(Export(quantize="int8", target="tflm"))
