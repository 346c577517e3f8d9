"""Which policy records follow: each of the 24 is recognised."""

import numpy as np
import pyarrow as pa
import pytest

from schemas import metric_types
from tests.support import oracle
from tests.support import real_logs as real
from tests.support.calibration import (
    EVERY,
    SWITCHES,
    Values,
    agreement,
    matrix,
    policy_of,
    real_logs,
    rows_of,
    walked,
)
from transforms import batches
from transforms import policy as rules
from transforms.calibrating.agreement import calibrate_shard, differences_of_shard
from transforms.calibrating.write import findings
from transforms.policy import Policy


def shard_of(log: str) -> list[pa.RecordBatch]:
    """The log as the one shard it would be, the sessions curtailed."""
    session_rows = real.curtailed(log)
    messages = [
        {
            "session_id": session,
            "message_id": message["message_id"],
            "sent_at_us": message["sent_at_us"],
            "sequence": np.iinfo(np.int64).min,
            "sender": oracle.ROLES.index(message["role"]),
        }
        for session, of_session in real.messages_of(log).items()
        for message in of_session
    ]
    sessions = [
        {
            "session_id": row["session_id"],
            "deleted": False,
            "status": row["status"],
            "platform_type": "Enhanced",
            "ended_at_us": real.micros(row["ended_at"]),
        }
        for row in session_rows
    ]
    return [
        pa.RecordBatch.from_pylist(messages, batches.MESSAGES),
        pa.RecordBatch.from_pylist(sessions, batches.SESSIONS),
    ]


def record_batch(values: Values) -> pa.RecordBatch:
    rows = [
        {"session_id": session, "metric_type": metric_types().index(kind), "value": value}
        for session, kind, value in rows_of(values)
    ]
    return pa.RecordBatch.from_pylist(rows, batches.SALESFORCE_RECORDS)


@real_logs
@pytest.mark.parametrize("log", real.LOGS)
def test_every_policy_is_recognised(log):
    shard = shard_of(log)
    told_apart = set()
    for number, policy in enumerate(EVERY):
        records = walked(log, number)
        batches_of_all = [*shard, record_batch(records)]
        found, counts = calibrate_shard(batches_of_all, Policy())
        report = findings(found, counts)
        assert len(report["policies"]) == len(EVERY)
        for entry in report["policies"]:
            other = EVERY.index(policy_of(entry))
            assert entry["types"] == agreement(matrix(log, number), matrix(log, other))
            # At the top is what gives the same records, and nothing else.
            assert (entry["rank"] == 1) == np.array_equal(matrix(log, other), matrix(log, number))
        top = [policy_of(one) for one in report["policies"] if one["rank"] == 1]
        assert policy in top
        assert report["best"] == top[0]
        assert report["not_told_apart"] == {
            switch: [v for v in values if any(one[switch] == v for one in top)]
            for switch, values in SWITCHES.items()
            if len({one[switch] for one in top}) > 1
        }
        told_apart.add(report["flags"])
        best = Policy(**report["best"])
        assert len(differences_of_shard(batches_of_all, best)) == 0
    # Without bots, of which twitter_care has none, that switch makes no difference.
    assert len(told_apart) == {"twitter_care": 12, "ubuntu_irc": 24}[log]


def test_switches_are_those_of_the_policy():
    assert rules.SWITCHES == SWITCHES
    assert rules.policies(Policy())[0] == Policy()
    assert rules.policies(Policy()) == [Policy(**policy) for policy in EVERY]
