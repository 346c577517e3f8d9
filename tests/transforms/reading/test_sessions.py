"""Raw rows to sessions and channels."""

import pyarrow as pa
import pytest

from tests.support.raw_rows import NOON, NOON_US, SESSION, one, raw, sessions
from transforms.batches import CHANNELS, SESSIONS
from transforms.reading.lookups import NO_LOOKUPS, NOTHING_GIVEN, Given, Lookups
from transforms.reading.names import ColumnNames
from transforms.reading.sessions import normalize_channels
from transforms.rejects import Reject, rejects_in

HOUR = 3_600_000_000


def test_a_session():
    found = sessions(
        one(
            SESSION,
            session_id="0Mwbb000007MGoT",
            ConversationId="0dwbb0000000001",
            conversation_identifier="8A1D7C52-6D0E-4C3A-9A0F-2C9B3E1F4D10",
            ChannelType="Text",
            StartTime="2024-10-02T11:00:00Z",
            LastModifiedDate="2024-10-02T13:00:00Z",
            AcceptTime="2024-10-02T11:30:00Z",
            AgentMessageCount="3",
            EndUserMessageCount="4.0",
        )
    )
    (batch,) = found.batches
    assert batch.schema == SESSIONS
    assert batch.to_pylist() == [
        {
            "session_id": "0Mwbb000007MGoTCAW",
            "conversation_id": "0dwbb0000000001AAA",
            "conversation_identifier": "8a1d7c52-6d0e-4c3a-9a0f-2c9b3e1f4d10",
            "deleted": False,
            "status": "Ended",
            "channel_type": "Text",
            "platform_type": "Enhanced",
            "started_at_us": NOON_US - HOUR,
            "ended_at_us": NOON_US,
            "created_at_us": NOON_US - HOUR,  # falls back to the start
            "modified_at_us": NOON_US + HOUR,
            "accepted_at_us": NOON_US - HOUR // 2,
            "routed_at_us": None,
            "agent_message_count": 3,
            "end_user_message_count": 4,
        }
    ]
    assert (rejects_in(found.rejects), found.counts) == ([], {"sessions_read": 1})
    stated = sessions(one(SESSION, CreatedDate=NOON, StartTime="2024-10-02T11:00:00Z"))
    assert stated.batches[0]["created_at_us"].to_pylist() == [NOON_US]


def test_what_a_session_may_do_without():
    found = sessions(one(SESSION, status="Active", ended_at=None)).batches[0]
    (row,) = found.to_pylist()
    assert {name for name, value in row.items() if value is None} == set(SESSIONS.names) - {
        "session_id",
        "deleted",
        "status",
        "platform_type",
    }


def test_no_sessions():
    (batch,) = sessions().batches
    assert (batch.num_rows, batch.schema) == (0, SESSIONS)


@pytest.mark.parametrize(
    ("stated", "status"),
    [("ENDED", "Ended"), (" ended", "Ended"), ("in_active", "Inactive"), ("NEW", "New")],
)
def test_a_status_is_a_word(stated, status):
    assert sessions(one(SESSION, status=stated)).batches[0]["status"].to_pylist() == [status]


def test_a_session_that_is_deleted_is_kept_as_such():
    rows = [
        SESSION,
        one(SESSION, session_id="t", IsDeleted="true"),
        one(SESSION, session_id="u", _fivetran_deleted="TRUE"),
        one(SESSION, session_id="v", _sdc_deleted_at=NOON),
        one(SESSION, session_id="w", IsDeleted="false"),
        one(SESSION, session_id="x", IsDeleted="perhaps"),
    ]
    found = sessions(*rows)
    deleted = {row["session_id"]: row["deleted"] for row in found.batches[0].to_pylist()}
    assert deleted == {"s": False, "t": True, "u": True, "v": True, "w": False}
    assert rejects_in(found.rejects) == [Reject("f", 16, "deleted_invalid", "", "x", None)]
    assert found.counts == {"sessions_read": 6, "sessions_rejected_deleted_invalid": 1}


def test_instants_of_the_wall_clock():
    row = one(SESSION, started_at="2024-10-02T12:00:00", ended_at="2024-10-02T14:30:00Z")
    (batch,) = sessions(row, given=Given(time_zone="Europe/Berlin")).batches
    assert batch["started_at_us"].to_pylist() == [NOON_US - 2 * HOUR]
    assert batch["ended_at_us"].to_pylist() == [NOON_US + HOUR // 2]


# Platforms.


def channels(**platforms):
    """The lookups that channels with these platforms give, 0 enhanced and 1 standard."""
    batch = pa.RecordBatch.from_arrays(
        [pa.array(list(platforms)), pa.array(list(platforms.values()), pa.int8())], schema=CHANNELS
    )
    return Lookups.of([batch])


KNOWN = channels(c=0, d=1)
ENHANCED, STANDARD = (Given(KNOWN, platform) for platform in ("Enhanced", "Standard"))
BY_CHANNEL = Given(KNOWN)


@pytest.mark.parametrize(
    ("changes", "given", "platform"),
    [
        ({"platform_type": "Standard"}, NOTHING_GIVEN, "Standard"),
        ({"platform_type": "ENHANCED "}, NOTHING_GIVEN, "Enhanced"),
        ({"platform_type": "Standard", "channel_id": "c"}, BY_CHANNEL, "Standard"),
        ({"platform_type": None, "channel_id": "c"}, BY_CHANNEL, "Enhanced"),
        ({"platform_type": None, "channel_id": "d"}, ENHANCED, "Standard"),
        ({"platform_type": None, "channel_id": "d", "channel_type": "EmbeddedMessaging"},
         BY_CHANNEL, "Enhanced"),
        ({"platform_type": "Standard", "channel_type": "EmbeddedMessaging"}, BY_CHANNEL,
         "Enhanced"),
        ({"platform_type": "?", "channel_type": "embedded messaging"}, BY_CHANNEL, "Enhanced"),
        ({"platform_type": None, "channel_type": "EmbeddedMessaging"}, BY_CHANNEL, "Enhanced"),
        ({"platform_type": None, "channel_type": "EmbeddedMessaging"}, STANDARD, "Enhanced"),
        ({"platform_type": None}, STANDARD, "Standard"),
        ({"platform_type": None, "channel_id": "e"}, ENHANCED, "Enhanced"),
        ({"platform_type": None, "channel_id": "e"}, BY_CHANNEL, None),
        ({"platform_type": None, "channel_id": "c"}, Given(NO_LOOKUPS), None),
        ({"platform_type": "", "channel_type": "Text"}, BY_CHANNEL, None),
        ({"platform_type": ...}, BY_CHANNEL, None),
        # One that is not known is told, whatever else might say.
        ({"platform_type": "Legacy", "channel_id": "c"}, ENHANCED, None),
    ],
)  # fmt: skip
def test_the_platform_of_a_session(changes, given, platform):
    row = one(SESSION, **changes)
    found = sessions(row, given=given)
    assert found.batches[0]["platform_type"].to_pylist() == ([platform] if platform else [])
    assert [r.reason for r in rejects_in(found.rejects)] == (
        [] if platform else ["platform_unknown"]
    )
    detail = row.get("platform_type") or ""
    assert [r.detail for r in rejects_in(found.rejects)] == ([] if platform else [detail])


def test_both_forms_of_a_channels_id_are_one():
    given = Given(channels(**{"0Mjbb0000000001CAA": 1, "other": 0}))
    ids = ["0Mjbb0000000001", "0Mjbb0000000001CAA", "other", "0Mjbb0000000001"]
    rows = [one(SESSION, platform_type=None, channel_id=i, session_id=str(i)) for i in ids]
    (batch,) = sessions(*rows, given=given).batches
    assert batch["platform_type"].to_pylist() == ["Standard", "Standard", "Enhanced", "Standard"]


def test_channels():
    rows = [
        {"Id": "c", "PlatformType": "Enhanced"},
        {"Id": "d", "PlatformType": None},
        {"Id": None, "PlatformType": "Standard"},
        {"Id": "0Mjbb0000000001", "PlatformType": "STANDARD"},
        {"Id": "e", "PlatformType": "Legacy"},
        {"Id": "f", "PlatformType": ""},
    ]
    (batch,), rejects, counts = normalize_channels(raw(rows), ColumnNames.of("channels"), "f")
    assert batch.schema == CHANNELS
    assert batch.to_pylist() == [
        {"channel_id": "c", "platform": 0},
        {"channel_id": "0Mjbb0000000001CAA", "platform": 1},
    ]
    assert rejects_in(rejects) == [
        Reject("f", 13, "channel_id_missing", "", None, None),
        Reject("f", 15, "platform_unknown", "Legacy", None, None),
    ]
    assert counts == {
        "channels_read": 6,
        "channels_rejected_channel_id_missing": 1,
        "channels_rejected_platform_unknown": 1,
    }
