from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import UsageError
from tfcompress.recipe import QAT, Cluster, Distill, Prune
from tfcompress.stages.flags import Flag, flags_of, is_given, read_stages, stage_flags
from tfcompress.stages.prune import read_amount, read_block
from tfcompress.stages.stage_table import STAGES


def test_a_flag_is_called_after_its_stage_and_field_unless_the_field_says_otherwise() -> None:
    names = {flag.field: flag.name for flag in flags_of(Prune)}
    assert names["schedule"] == "--prune-schedule"
    assert names["threshold"] == "--threshold"
    assert names["sparsity"] == "--prune"


def test_flags_of_one_name_are_shared_by_stages_and_mean_the_same_field() -> None:
    shared = {name: flags for name, flags in stage_flags().items() if len(flags) > 1}
    assert {name: [flag.owner.__name__ for flag in flags] for name, flags in shared.items()} == {
        "--cycles": ["Build", "Layout", "Blocks", "Channels", "LowRank"],
        "--tune-epochs": ["Build", "Layout", "Blocks", "Channels", "LowRank"],
        "--shrink-kernels": ["Layout", "Blocks"],
        "--of": ["Blocks", "Channels"],
        "--criterion": ["Channels", "Prune"],
        "--engine": ["Prune", "Cluster", "Distill", "QAT"],
    }
    for flags in shared.values():
        assert len({(flag.field, flag.value, flag.many) for flag in flags}) == 1


@given(
    sparsity=st.floats(0.01, 0.99),
    clusters=st.integers(2, 256),
    weight=st.floats(0.01, 1),
    bits=st.sampled_from([8, 4]),
)
def test_stages_are_read_back_from_what_was_typed(sparsity: float, clusters: int, weight: float, bits: int) -> None:
    given_flags = {"prune": str(sparsity), "cluster": clusters, "distill": True, "distill_weight": weight}
    given_flags |= {"qat": True, "weight_bits": str(bits), "qat_scope": ("a*", "b")}
    assert read_stages(given_flags) == (
        Prune(sparsity=sparsity),
        Cluster(clusters=clusters),
        Distill(weight=weight),
        QAT(weight_bits=bits, scope=("a*", "b")),  # type: ignore[arg-type]  # one of the two
    )


@pytest.mark.parametrize(
    ("value", "given_by_hand"), [(None, False), (False, False), ((), False), (0, True), ("", True)]
)
def test_zero_and_empty_text_were_typed(value: object, given_by_hand: bool) -> None:
    assert is_given(value) == given_by_hand


def test_a_value_that_no_stage_asked_for_can_have_is_refused() -> None:
    message = "--criterion must be one of magnitude, movement, taylor, hessian with --prune, got 'l2'"
    with pytest.raises(UsageError, match=re.escape(message)):
        read_stages({"prune": "0.5", "criterion": "l2"})


def test_amounts_and_blocks_are_read() -> None:
    assert read_amount("4:8") == {"sparsity": 0.5, "pattern": "4:8"}
    assert read_amount("0.25") == {"sparsity": 0.25}
    assert read_block("16x4") == {"pattern": "block", "block_shape": (16, 4)}
    for read, text in ((read_amount, "3:4"), (read_block, "4"), (read_block, "4x4x4")):
        with pytest.raises(ValueError, match=f"got '{text}'"):
            read(text)


def test_the_values_of_a_choice_are_those_of_the_field() -> None:
    flags: dict[str, Flag] = {flag.field: flag for stage in STAGES.values() for flag in flags_of(stage)}
    assert flags["weight_bits"].values("4") == {"weight_bits": 4}
    assert flags["scope"].values(["a"]) == {"scope": ("a",)}
