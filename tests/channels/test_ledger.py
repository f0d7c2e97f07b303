"""Atoms that are tied go together, over any number of steps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.channels.ledger import Ledger

ties = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=25)


def followed(size: int, pairs: list[tuple[int, int]]) -> list[int]:
    """Return the smallest atom that each can be reached from, step by step."""
    smallest = list(range(size))
    for _ in range(size):
        for one, other in pairs:
            smallest[one] = smallest[other] = min(smallest[one], smallest[other])
    return smallest


@given(ties)
def test_the_class_of_an_atom_is_the_smallest_that_any_chain_of_ties_leads_to(pairs: list[tuple[int, int]]) -> None:
    ledger = Ledger()
    atoms = np.concatenate([ledger.fresh(8), ledger.fresh(12)])
    assert atoms.tolist() == list(range(20))
    for one, other in pairs:
        ledger.unite(atoms[[one]], atoms[[other]])
    assert ledger.classes().tolist() == followed(20, pairs)


@given(ties, st.lists(st.integers(0, 19), max_size=4))
def test_a_pin_holds_all_that_are_tied_and_the_first_reason_is_told(
    pairs: list[tuple[int, int]], pinned: list[int]
) -> None:
    ledger = Ledger()
    atoms = ledger.fresh(20)
    for number, atom in enumerate(pinned):
        ledger.pin(atoms[[atom]], f"reason {number}")
    for one, other in pairs:
        ledger.unite(atoms[[one]], atoms[[other]])
    classes = ledger.classes()
    expected: dict[int, str] = {}
    for number, atom in enumerate(pinned):
        expected.setdefault(followed(20, pairs)[atom], f"reason {number}")
    assert ledger.reasons(classes) == expected
    assert all(ledger.is_pinned(atoms[[atom]]) == (atom in pinned) for atom in range(20))


def test_a_long_chain_of_ties_is_one_class() -> None:
    ledger = Ledger()
    atoms = ledger.fresh(5000)
    ledger.unite(atoms[1:], atoms[:-1])
    assert not ledger.classes().any()
    assert ledger.unions[0][0] is not atoms
    ledger.unite(atoms, atoms)
    assert len(ledger.unions) == 1, "what is tied to itself says nothing"
