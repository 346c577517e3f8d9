"""The ids that are shown."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.batches import messages, sessions
from transforms.batches import UNASSIGNED
from transforms.examples import Example, examples_of, least


def named(*session_ids):
    """Messages that name sessions."""
    return messages(*((one, f"m{i}", i, "EndUser") for i, one in enumerate(session_ids)))


def test_the_least_ids_of_all_batches_are_shown():
    unassigned = named("0dw2", "0dw1").rename_columns(UNASSIGNED.names)
    some = sessions({"session_id": "0Mw9"}, {"session_id": "0Mw8"})
    batches = [named("d", "c", "d", "b", "a"), unassigned, some, named("e")[:0]]
    assert examples_of(batches) == [
        Example("messages", "0dw1"),
        Example("messages", "0dw2"),
        Example("messages", "a"),
        Example("sessions", "0Mw8"),
        Example("sessions", "0Mw9"),
    ]
    assert examples_of([]) == []


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=5)))
def test_of_batches_in_any_pieces_the_same_ids_are_shown(pieces):
    ids = sorted({one for piece in pieces for one in piece})[:3]
    expected = [Example("messages", one) for one in ids]
    assert examples_of([named(*piece) for piece in pieces]) == expected
    assert least(one for piece in pieces for one in examples_of([named(*piece)])) == expected
