import pytest

from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.models.scope import check_scope, in_scope, listed
from tfcompress.recipe import Prune
from tfcompress.weights.kernels import LayerVerdict, choose_layers


class Dense:
    pass


class Odd:
    pass


def verdict(layer):
    return LayerVerdict("take") if isinstance(layer, Dense) else LayerVerdict("refuse", "it is odd")


def test_patterns_match_the_path_or_the_name_and_no_pattern_matches_everything():
    assert in_scope("inner/dense_1", [])
    assert in_scope("inner/dense_1", ["dense_*"])
    assert in_scope("inner/dense_1", ["inner/*"])
    assert in_scope("inner/dense_1", ["conv", "inner/dense_?"])
    assert not in_scope("inner/dense_1", ["dense"])


def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r"prune.scope matches no layer: 'dens_1' \(did you mean 'dense_1'\?\)"):
        check_scope("prune", ["dens_1"], ["dense_1", "conv"], "layer")


def test_layers_that_cannot_be_worked_on_are_all_named_with_a_way_out():
    layers = {"a": Dense(), "b": Odd(), "c": Odd()}
    words = r"prune cannot work on b \(Odd: it is odd\), c \(Odd: it is odd\); .* prune.scope = \['a'\]"
    with pytest.raises(UnsupportedError, match=words):
        choose_layers(Prune(), layers, verdict)
    assert list(choose_layers(Prune(scope=("a",)), layers, verdict).layers) == ["a"]


def test_a_model_without_a_kernel_to_work_on_is_refused():
    with pytest.raises(UnsupportedError, match=r"prune finds nothing to work on \(no layer has a kernel\)"):
        choose_layers(Prune(), {}, verdict)
    with pytest.raises(UnsupportedError, match=r"prune cannot work on b .*; leave the prune stage out"):
        choose_layers(Prune(), {"b": Odd()}, verdict)


def test_what_is_left_is_noted_unless_it_was_asked_for_by_name():
    def leave(layer):
        return LayerVerdict("take") if isinstance(layer, Dense) else LayerVerdict("leave", "too small")

    layers = {"a": Dense(), "b": Odd()}
    assert choose_layers(Prune(), layers, leave).notes == ["prune leaves b as it is: too small"]
    assert choose_layers(Prune(scope=("*",)), layers, leave).notes == ["prune leaves b as it is: too small"]
    with pytest.raises(UnsupportedError, match=r"prune cannot work on b \(Odd: too small\)"):
        choose_layers(Prune(scope=("a", "b")), layers, leave)
    with pytest.raises(UnsupportedError, match=r"prune finds nothing to work on \(b: too small\)"):
        choose_layers(Prune(), {"b": Odd()}, leave)


def test_long_lists_are_cut():
    assert listed("abc") == "a, b, c"
    assert listed(map(str, range(9))) == "0, 1, 2, 3, 4, 5, … 3 more"
