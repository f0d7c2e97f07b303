from edge_runner import delegation
from edge_runner.interpreter import Node

CHAIN = [
    Node("CONV_2D", (0, 5), (1,)),
    Node("SOFTMAX", (1,), (2,)),
    Node("ADD", (2, 1, -1), (3,)),
    Node("ADD", (3,), (4,)),
]


def test_without_a_delegate_nothing_is_taken():
    assert delegation.taken(CHAIN) == [False] * 4
    assert (delegation.name(CHAIN), delegation.name(None)) == ("none", None)


def test_what_lies_between_a_delegates_tensors_is_taken():
    nodes = [*CHAIN, Node("DELEGATE", (0, 5), (1,)), Node("DELEGATE", (2, 1), (4,))]
    assert delegation.taken(nodes) == [True, False, True, True]
    assert delegation.name(nodes) == "XNNPACK"


def test_the_counts_are_told_by_op():
    found = delegation.coverage([*CHAIN, Node("DELEGATE", (0, 5), (1,)), Node("DELEGATE", (2, 1), (3,))])
    assert (found["nodes"], found["delegated"], found["partitions"]) == (4, 2, 2)
    assert found["by_op"] == {
        "CONV_2D": {"nodes": 1, "delegated": 1},
        "SOFTMAX": {"nodes": 1, "delegated": 0},
        "ADD": {"nodes": 2, "delegated": 1},
    }
    assert delegation.coverage(None) is None
