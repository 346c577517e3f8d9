"""Which columns of a file are shown."""

import pytest

from transforms.reading.headers import shown

HIDDEN = "not shown, for they may be values of a row"


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([], "none"),
        # Two known names of any input make a header: labels of a report.
        (["Messaging Session ID", "Status", "Start  Time", "My (own) 2024 label", ""],
         "Messaging Session ID, Status, Start Time, My (own) 2024 label, ''"),
        (["_airbyte_data.Id", "_airbyte_data.Status", "my label"],
         "_airbyte_data.Id, _airbyte_data.Status, my label"),
        # Names of somebody's own.
        (["chat", "Who", "when.at", "no_1"], "chat, Who, when.at, no_1"),
        (["chat", "Who", "Sent by", "Größe"], f"chat, Who and 2 {HIDDEN}"),
        # One of the known names may be a word of a message.
        (["status", "Status", "Help me", "please"], f"status, Status, please and 1 {HIDDEN}"),
        (["a" * 60, "a"], f"{'a' * 60}, a"),
        # Rows.
        (["0Mwbb000007MGoT", "m", "2024-10-02T12:00:00Z", "Agent", "I lost my card"], f"5 {HIDDEN}"),
        (["a", "1", "Agent", "help", "status"], f"status and 4 {HIDDEN}"),
        (["chat", "me@example.com", "help"], f"3 {HIDDEN}"),
        (["chat", "ID-2-17-3", "help"], f"3 {HIDDEN}"),
        (["chat", "a" * 61], f"2 {HIDDEN}"),
        (["chat", "(yes", "no"], f"3 {HIDDEN}"),
    ],
)  # fmt: skip
def test_which_columns_are_shown(found, text):
    """All, unless a row with a customer's words may be in the place of the header."""
    assert shown(found) == text
