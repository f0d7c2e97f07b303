import pytest

from tfcompress.errors import ContractError
from tfcompress.tflite.promise_check import check_file
from tfcompress.tflite.weights import KernelFacts
from tfcompress.weights.promises import Promise


def kernel(shape: tuple[int, ...], zeros: float = 0.0, values: int | None = 9) -> KernelFacts:
    return KernelFacts("k", "CONV_2D", shape, "int8", 1, zeros, values, values, sparse=False)


HALF = Promise("conv", "sparsity", 0.5, 0.5, 12)
FOUR = Promise("dense", "distinct values", 4, 4, 12)


def test_a_kernel_is_found_again_by_its_size_whatever_its_shape() -> None:
    assert check_file([HALF], [kernel((3, 2, 2, 1), 0.6), kernel((5, 5), 0.0)]) == []
    assert check_file([FOUR], [kernel((1, 12), values=4)]) == []


def stored_sparse(values: int | None) -> KernelFacts:
    return KernelFacts("k", "FULLY_CONNECTED", (12,), "float32", 1, 0.6, 99, values, sparse=True)


def test_values_within_each_channel_of_a_kernel_that_is_stored_sparse_are_counted() -> None:
    assert check_file([FOUR, HALF], [stored_sparse(4)]) == []
    with pytest.raises(ContractError, match="must keep distinct values 4 in dense"):
        check_file([FOUR], [stored_sparse(5)])


def test_a_sparse_kernel_whose_layout_cannot_be_read_is_told_of() -> None:
    told = ["distinct values of dense were checked in Keras only: where their values are stored is not known"]
    assert check_file([FOUR], [stored_sparse(None)]) == told


def test_a_kernel_that_the_converter_cut_up_is_told_of() -> None:
    assert check_file([HALF], [kernel((3, 1), 0.0)] * 4) == [
        "sparsity of conv was checked in Keras only: the converter cut these kernels up"
    ]


@pytest.mark.parametrize(
    ("promises", "kernels", "message"),
    [
        ([HALF], [kernel((12,), 0.49)], r"must keep sparsity 0\.5 in conv \(12 weights each\), it has 0\.49"),
        ([HALF, Promise("other", "sparsity", 0.5, 0.5, 12)], [kernel((12,), 0.5), kernel((12,), 0.1)], "conv, other"),
        ([FOUR], [kernel((12,), values=5)], "must keep distinct values 4 in dense"),
    ],
)
def test_a_file_that_breaks_a_promise_is_refused_by_layer(
    promises: list[Promise], kernels: list[KernelFacts], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        check_file(promises, kernels)
