"""Paths as an indented list."""

from hypothesis import given
from hypothesis import strategies as st

from tfcompress.reports.nesting import branches

PATHS = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), max_size=12)


def test_layers_stand_below_the_models_that_hold_them() -> None:
    found = branches(["stem", "net/block/conv", "net/block/relu", "net/pool", "other/conv", "head"])
    assert [line.indented for line in found] == [
        "stem",
        "net/",
        "  block/",
        "    conv",
        "    relu",
        "  pool",
        "other/",
        "  conv",
        "head",
    ]
    assert [list(line.members) for line in found if not line.is_layer] == [[1, 2, 3], [1, 2], [4]]


@given(PATHS)
def test_every_layer_has_one_line_and_its_path_can_be_read_upwards(names: list[str]) -> None:
    found = branches(names)
    assert [line.members.start for line in found if line.is_layer] == list(range(len(names)))
    above: list[str] = []
    for line in found:
        above[line.depth :] = [line.label]
        if line.is_layer:
            assert "".join(above) == names[line.members.start]


@given(PATHS)
def test_a_models_line_stands_for_the_layers_below_it(names: list[str]) -> None:
    found = branches(names)
    for place, line in enumerate(found):
        below = found[place + 1 :]
        end = next((n for n, other in enumerate(below) if other.depth <= line.depth), len(below))
        layers = [other.members.start for other in below[:end] if other.is_layer]
        if not line.is_layer:
            assert layers == list(line.members)
