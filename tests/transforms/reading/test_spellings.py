"""What makes no difference to a name; `test_names` has what a file's spellings make of its columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.reading.spellings import fold


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        (
            ["ssot__ConversationId__c", "conversation_id", "CONVERSATIONID", "Conversation ID",
             "std__conversation_id", "ConversationId__c", " Conversation\tId "],
            "conversationid",
        ),
        (["sender.role", "Sender.Role", "ssot__Sender__c.ssot__Role__c"], "sender.role"),
        (["_fivetran_deleted", "FIVETRAN_DELETED"], "fivetrandeleted"),
        (["ssot", "SSOT"], "ssot"),
        (["a__c__c"], "ac"),
        (["ssot__std__a"], "stda"),
        ([""], ""),
    ],
)  # fmt: skip
def test_what_makes_no_difference_to_a_name(names, folded):
    assert {fold(name) for name in names} == {folded}


@given(st.text(st.sampled_from("aB_c. s"), max_size=12))
def test_a_name_in_another_case_is_the_same(name):
    assert fold(name.upper()) == fold(name.lower()) == fold(name)
