"""The value that a row has under several names of a column."""

import numpy as np
import pyarrow as pa

from tests.support.raw_rows import MESSAGE, NOON, SESSION, messages, one, sessions
from transforms.reading import values
from transforms.reading.columns import Columns, RawBatch, first_stated, nulls, put_together
from transforms.reading.names import ColumnNames
from transforms.rejects import rejects_in


def columns(**arrays):
    """Columns of sessions, under the names that are given."""
    raw = RawBatch(arrays, len(next(iter(arrays.values()))), lambda: np.arange(1, 9))
    return Columns(raw, ColumnNames.of("sessions"))


def test_columns_are_picked_in_order_of_preference():
    last, first = pa.array(["b"]), pa.array(["a"])
    picked = columns(LastModifiedDate=last, SystemModstamp=first, other=last).pick("modified_at")
    assert picked == [first, last]


def test_a_column_that_is_not_there_is_null():
    assert columns(Id=pa.array(["a", "b"])).text("status").to_pylist() == [None, None]
    assert columns(Id=pa.array(["a", "b"])).text("status").type == pa.string()


def test_codes_of_one_column_are_kept():
    encoded = pa.array(["x", "y", "x"]).dictionary_encode()
    assert columns(Status=encoded).codes("status").dictionary is not None
    assert columns(Status=encoded).codes("status").equals(encoded)
    both = columns(status=pa.array(["z", None, ""]), Status=encoded).codes("status")
    assert both.to_pylist() == ["z", "y", "x"]


def test_a_row_is_deleted_if_any_of_its_columns_says_so():
    found = columns(
        IsDeleted=pa.array([False, True, None, False, None]),
        _fivetran_deleted=pa.array(["", "false", "true", "perhaps", None]),
        _sdc_deleted_at=pa.array([None, None, None, NOON, None], pa.string()),
    )
    deleted, wrong = found.deleted()
    assert deleted.tolist() == [False, True, True, True, False]
    assert wrong.tolist() == [False, False, False, True, False]
    deleted, wrong = columns(Id=pa.array(["a"])).deleted()
    assert (deleted.tolist(), wrong.tolist()) == ([False], [False])


def test_a_value_is_the_first_that_is_stated():
    """Row by row: one that fills one column for some rows, another for the rest, is read whole."""
    first = one(MESSAGE, sequence="1", Seq="2", ActorType="Ghost", ServerReceivedTimestamp="x")
    second = {
        "MessagingSessionId": "s",
        "session_id": "",
        "Id": "m",
        "serverReceivedTimestamp": NOON,
        "EntryTime": "x",
        "role": "EndUser",
        "Seq": "1",
    }
    found = messages(first, second)
    assert rejects_in(found.rejects) == []
    assert [*found.batches[0].to_pylist()] == [found.batches[0].to_pylist()[0]] * 2


def test_a_value_that_is_stated_wrong_is_not_looked_for_elsewhere():
    found = messages(
        one(MESSAGE, sent_at="x", EntryTime=NOON),
        one(MESSAGE, sequence="x", Seq="1"),
        one(MESSAGE, sent_at=None, EntryTime=NOON),
    )
    assert [(r.row, r.reason) for r in rejects_in(found.rejects)] == [
        (11, "sent_at_invalid"),
        (12, "sequence_invalid"),
    ]
    found = sessions(one(SESSION, modified_at=None, SystemModstamp="x", LastModifiedDate=NOON))
    assert [r.reason for r in rejects_in(found.rejects)] == ["modified_at_invalid"]


def test_what_is_stated_is_told_from_what_is_understood():
    pairs = [
        (array, values.to_integers(array))
        for array in (pa.array(["1", "x", None, ""]), pa.array(["5", "6", "y", "8"]))
    ]
    value, stated = first_stated(pairs, 4)
    assert value.to_pylist() == [1, None, None, 8]
    assert stated.to_pylist() == ["1", "x", "y", "8"]
    value, stated = first_stated([], 2)
    assert value.to_pylist() == stated.to_pylist() == [None, None]


def test_nulls():
    assert nulls(pa.array([1, None])).tolist() == [False, True]
    assert nulls(pa.array([1, 2])).tolist() == [False, False]


def raw(num_rows=1, malformed=(), pages=None, **arrays):
    return RawBatch(arrays, num_rows, lambda: np.arange(num_rows), malformed, pages or {})


def test_pieces_with_the_same_columns_are_put_together():
    codes = [pa.array(texts).dictionary_encode() for texts in (["a", "b"], ["c"], ["b"])]
    pieces = [
        raw(len(some), pages={"last": 1}, Id=some, n=pa.array([7] * len(some))) for some in codes
    ]
    together = put_together(pieces)
    assert together.columns["Id"].to_pylist() == ["a", "b", "c", "b"]
    assert together.columns["Id"].dictionary.to_pylist() == ["a", "b", "c"]
    assert (together.num_rows, together.pages) == (4, {"last": 3})
    assert together.columns["n"].to_pylist() == [7] * 4


def test_pieces_that_are_not_alike_are_not():
    one, text = raw(Id=pa.array(["a"])), pa.array(["b"])
    assert put_together([one, raw(Id=text)]) is not None
    assert put_together([one, raw(Id=pa.array([1]))]) is None
    assert put_together([one, raw(Id=text, Status=text)]) is None
    assert put_together([one, raw(Id=text, malformed=[(2, "not JSON")])]) is None
