"""Every target with every kind of export: what fits is taken, what cannot be is refused with what there is."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import RecipeError
from tfcompress.limits import SIZE_UNITS
from tfcompress.recipe import Export
from tfcompress.targets.target import ACCELERATORS, SCHEMES, Target
from tfcompress.targets.target_table import LINUX, TARGETS, find_target

SCHEME = SCHEMES["litert"]
EVERY = list(TARGETS.values())


def plain(target: Target) -> dict[str, Any]:
    """Return fields of an export that fits a target."""
    return {"target": target.name, "quantize": "int8" if "int8" in target.schemes else "none"}


@pytest.mark.parametrize("target", EVERY, ids=lambda target: target.name)
@pytest.mark.parametrize("quantize", SCHEME)
def test_numbers_are_those_that_the_target_computes_in(target: Target, quantize: Any) -> None:
    if quantize in target.schemes:
        assert Export(target=target.name, quantize=quantize).deployment == target
        assert target.why_not(quantize) == ""
        return
    allowed = ", ".join(map(repr, target.schemes))
    message = f"export.quantize must be one of {allowed} with target {target.name!r}, got {quantize!r}: "
    with pytest.raises(RecipeError, match=re.escape(message)) as caught:
        Export(target=target.name, quantize=quantize)
    assert str(caught.value).endswith(target.why_not(quantize))
    assert target.why_not(quantize)


@pytest.mark.parametrize("target", EVERY, ids=lambda target: target.name)
@pytest.mark.parametrize(
    ("fields", "micro", "accelerated"),
    [
        ({"select_ops": True}, False, False),
        ({"c_array": True}, True, None),
        ({"lookup": True}, None, False),
        ({"max_arena": "64KB"}, True, None),
        ({"max_flash": "64KB"}, True, None),
        ({"streaming": True}, None, None),
    ],
)
def test_what_needs_another_kind_of_target_is_refused(
    target: Target, fields: dict[str, Any], micro: bool | None, accelerated: bool | None
) -> None:
    fits = micro in (None, target.micro) and accelerated in (None, bool(target.accelerator))
    if fits:
        Export(**plain(target), **fields)
        return
    (name,) = fields
    with pytest.raises(RecipeError, match=rf"export\.{name} must be (false|empty) with(out)? "):
        Export(**plain(target), **fields)


@pytest.mark.parametrize("name", ["max_arena", "max_flash"])
@pytest.mark.parametrize("text", ["lots", "0KB", "-1KB", "2x", "64 parsecs", "1e3"])
def test_a_limit_is_a_size(name: str, text: str) -> None:
    with pytest.raises(RecipeError, match=rf"export\.{name} must be a number above 0 with one of B, KB, KiB, MB, MiB"):
        Export(target="tflm", quantize="int8", **{name: text})  # type: ignore[arg-type]


sizes = st.tuples(st.integers(1, 999), st.sampled_from([unit for unit in SIZE_UNITS if unit]))


@given(sizes, sizes)
def test_of_two_limits_the_tighter_one_counts(own: tuple[int, str], asked: tuple[int, str]) -> None:
    least = min(number * SIZE_UNITS[unit] for number, unit in (own, asked))
    first, second = (f"{number}{unit.upper().replace('I', 'i')}" for number, unit in (own, asked))
    target = Target(runtime="tflm", flash=first, ram=first)
    assert target.most_flash_bytes(second) == target.most_arena_bytes(second) == least
    assert target.most_flash_bytes("") == target.flash_bytes == own[0] * SIZE_UNITS[own[1]]
    assert Target(runtime="tflm").most_arena_bytes(second) == asked[0] * SIZE_UNITS[asked[1]]


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_is_found_by_its_name_and_a_misspelt_one_by_the_nearest(name: str) -> None:
    assert find_target(name) is TARGETS[name]
    with pytest.raises(RecipeError, match=r"target must be one of linux, tflm, .*\(did you mean '") as caught:
        find_target(f"{name}x")
    assert repr(f"{name}x") in str(caught.value)


@pytest.mark.parametrize("runtime", SCHEMES)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_target_of_ones_own_may_have_any_of_its_runtimes_numbers_and_no_other(runtime: Any, count: int) -> None:
    for chosen in itertools.combinations(SCHEME, count):
        if set(chosen) <= set(SCHEMES[runtime]):
            target = Target(runtime=runtime, quantize=chosen)
            assert target.schemes == chosen
            assert [quantize for quantize in SCHEME if not target.why_not(quantize)] == [
                quantize for quantize in SCHEME if quantize in chosen
            ]
            continue
        with pytest.raises(RecipeError, match=rf"target\.quantize must be among those of runtime '{runtime}'"):
            Target(runtime=runtime, quantize=chosen)


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_what_vela_compiles_for_computes_in_integers_beside_tflm(accelerator: str) -> None:
    target = TARGETS[accelerator]
    assert (target.runtime, target.accelerator, target.schemes) == ("tflm", accelerator, ("int8", "int16x8"))
    assert "Ethos-U computes in integers alone" in target.why_not("none")
    assert target.round_to % TARGETS["tflm"].round_to == 0
    with pytest.raises(RecipeError, match=r"target\.runtime must be 'tflm' with an accelerator, got 'litert'"):
        Target(accelerator=accelerator)


def test_a_target_in_a_file_is_read_anew_and_may_be_called_as_the_file_is(tmp_path: Any) -> None:
    path = tmp_path / "board [v2].toml"
    path.write_text('runtime = "tflm"\nram = "64KB"\n')
    assert Export(target=str(path), quantize="int8").deployment.name == "board [v2]"
    path.write_text('runtime = "tflm"\nram = "32KB"\n')
    assert find_target(str(path)).ram_bytes == 32_000
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="is not TOML: not UTF-8 text"):
        find_target(str(path))
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        find_target(str(_folder(tmp_path / "a.toml")))


def _folder(path: Any) -> Any:
    path.mkdir()
    return path


def test_the_plain_export_is_for_linux_and_limits_nothing() -> None:
    linux = Export().deployment
    assert linux == TARGETS[LINUX]
    assert (linux.most_flash_bytes(""), linux.most_arena_bytes(""), linux.round_to) == (None, None, 1)
