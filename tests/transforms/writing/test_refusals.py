"""Too many rejects, and sessions without a message."""

import pytest

from transforms.errors import NoMessagesError, TooManyRejectsError
from transforms.examples import Example
from transforms.writing.refusals import check_messages, check_rejects


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
        check_rejects(counts, ratio)
    else:
        with pytest.raises(TooManyRejectsError, match=rf"^{rejected} of {read:,} sessions .*\(x "):
            check_rejects(counts, ratio)


def test_reject_ratio_is_of_each_input():
    counts = {"messages_read": 1000, "sessions_read": 10, "sessions_rejected_platform_unknown": 1}
    with pytest.raises(TooManyRejectsError, match="--assume_platform"):
        check_rejects(counts, 0.05)


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
