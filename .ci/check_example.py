"""Checks the records of a run: readable, six per session in order of type, sorted, in range.

python .ci/check_example.py DIRECTORY
"""

import pathlib
import sys

import fastavro

TYPES = (
    "AgentMessageCount",
    "AverageAgentResponseTime",
    "AverageEndUserResponseTime",
    "EndUserMessageCount",
    "MaxAgentResponseTime",
    "MaxEndUserResponseTime",
)
FIELDS = (
    "Name",
    "MessagingSessionId",
    "MessagingSessionMetricType",
    "MessagingSessionMetricValue",
    "CreatedDate",
)

files = sorted(pathlib.Path(sys.argv[1]).glob("metrics-*.avro"))
if not files:
    sys.exit(f"{sys.argv[1]}: no metrics-*.avro")
records = []
for path in files:
    with path.open("rb") as file:
        records += fastavro.reader(file)

keys = [(r["MessagingSessionId"], r["MessagingSessionMetricType"]) for r in records]
sessions = list(dict.fromkeys(session for session, _ in keys))
assert sessions, "no session has records"
assert keys == [(session, kind) for session in sessions for kind in TYPES], "not six per session"
assert sessions == sorted(sessions), "not sorted by session"
assert len({r["Name"] for r in records}) == len(records), "a name is there twice"
for record in records:
    assert tuple(record) == FIELDS, f"fields {tuple(record)}"
    assert 0 <= record["MessagingSessionMetricValue"] <= 999_999_999, "value out of range"
assert any(r["MessagingSessionMetricValue"] for r in records), "nothing but zeros"
print(
    f"{len(records)} records of {len(sessions)} sessions in {len(files)} file(s): as they must be"
)
