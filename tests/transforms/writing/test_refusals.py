"""Too many rejects, and sessions without a message."""

import pytest

from tests.support.batches import rejects
from transforms.errors import NoMessagesError, TooManyRejectsError
from transforms.examples import Example
from transforms.rejects import Reject
from transforms.writing.refusals import check_messages, check_rejects

SOME = [
    rejects("messages", Reject("a.csv", 7, "x", "noon", "s", "m")),
    rejects(
        "sessions",
        Reject("b.csv", 9, "x", "Nobody", "s", None),
        Reject("b.csv", 3, "y", "", None, None),
        Reject("c.csv", 2, "z", "Legacy", "s", None),
        Reject("c.csv", 4, "platform_unknown", "Old", "s", None),
    ),
]


@pytest.mark.parametrize(
    ("rejected", "read", "ratio", "passes"),
    [
        (1, 100, 0.01, True),
        (2, 100, 0.01, False),
        (29, 100, 0.29, True),  # 0.29 * 100 is less than 29 in binary
        (7, 100, 0.07, True),
        (1, 10**9, 0, False),
        (0, 0, 0, True),
        (5, 5, 1, True),
    ],
)
def test_reject_ratio(rejected, read, ratio, passes):
    counts = {"sessions_read": read, "sessions_rejected_x": rejected, "messages_read": 10**12}
    if passes:
        check_rejects(counts, ratio, SOME)
    else:
        with pytest.raises(TooManyRejectsError, match=rf"^{rejected} of {read:,} sessions .*: x "):
            check_rejects(counts, ratio, SOME)


def test_the_most_frequent_reasons_have_an_example():
    counts = {"messages_read": 1000, "messages_rejected_x": 1, "sessions_read": 9000}
    counts |= {f"sessions_rejected_{reason}": n for reason, n in dict(x=5, y=2000, z=5).items()}
    with pytest.raises(TooManyRejectsError) as raised:
        check_rejects({**counts, "sessions_rejected_platform_unknown": 1}, 0.05, SOME)
    assert str(raised.value) == (
        "2,011 of 9,000 sessions rejected, more than max_reject_ratio 0.05 allows: "
        "y 2,000 (b.csv, row 3), x 5 (b.csv, row 9: Nobody), z 5 (c.csv, row 2: Legacy), "
        "platform_unknown 1; nothing was published. State the sessions' platform with --channels or "
        "--assume_platform. Mend the input, or raise --max_reject_ratio to accept it and see the rejects"
    )


READ = {"messages_read": 4, "messages_of_unknown_session": 3, "messages_skipped_role": 1}


def test_sessions_and_not_one_message():
    counts = {**READ, "sessions_reported": 2}
    ids = [("messages", "0dw9"), ("sessions", "0Mw2"), ("messages", "0dw1"), ("sessions", "0Mw1")]
    with pytest.raises(NoMessagesError) as raised:
        check_messages(counts, [Example(*one) for one in ids], allowed=False)
    assert str(raised.value) == (
        "sessions are reported (2) and not one message counts: of 4 messages read, of unknown session 3, "
        "skipped role 1; messages name 0dw1, 0dw9, sessions are 0Mw1, 0Mw2; nothing was published. Give "
        "the messages of these sessions, or --allow_no_messages"
    )
    with pytest.raises(
        NoMessagesError, match="not one message counts: there are no messages; nothing"
    ):
        check_messages({"sessions_reported": 1}, [], allowed=False)


def test_no_message_may_count_where_it_is_allowed_or_no_session_is_reported():
    check_messages({**READ, "sessions_reported": 2}, [], allowed=True)
    check_messages(READ, [], allowed=False)
    check_messages({"sessions_reported": 2, "messages_counted": 1}, [], allowed=False)
