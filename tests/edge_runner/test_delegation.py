from edge_runner import delegation
from edge_runner.interpreter import PlannedOp

CHAIN = [
    PlannedOp("CONV_2D", (0, 5), (1,)),
    PlannedOp("SOFTMAX", (1,), (2,)),
    PlannedOp("ADD", (2, 1, -1), (3,)),
    PlannedOp("ADD", (3,), (4,)),
]


def test_without_a_delegate_nothing_is_taken():
    assert delegation.taken(CHAIN) == [False] * 4
    assert (delegation.delegate_name(CHAIN), delegation.delegate_name(None)) == ("none", None)


def test_what_lies_between_a_delegates_tensors_is_taken():
    nodes = [*CHAIN, PlannedOp("DELEGATE", (0, 5), (1,)), PlannedOp("DELEGATE", (2, 1), (4,))]
    assert delegation.taken(nodes) == [True, False, True, True]
    assert delegation.delegate_name(nodes) == "XNNPACK"


def test_the_counts_are_told_by_op():
    found = delegation.coverage([*CHAIN, PlannedOp("DELEGATE", (0, 5), (1,)), PlannedOp("DELEGATE", (2, 1), (3,))])
    assert (found["nodes"], found["delegated"], found["partitions"]) == (4, 2, 2)
    assert found["by_op"] == {
        "CONV_2D": {"nodes": 1, "delegated": 1},
        "SOFTMAX": {"nodes": 1, "delegated": 0},
        "ADD": {"nodes": 2, "delegated": 1},
    }
    assert delegation.coverage(None) is None
