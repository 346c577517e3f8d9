"""The plain Beam pipeline: rows are dicts, grouped by session; each session is folded in a loop.

Parquet, Avro, CSV or JSON Lines in, Avro out, on the FnApiRunner. The message id decides the order of two
messages at one instant, as in the job.
"""

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.options.pipeline_options import PipelineOptions

from benchmarks.peers import command

Row = dict[str, Any]

MESSAGE_TYPES = {"Text", "Message", "MESSAGE"}
SIDES = {"EndUser": "user", "Agent": "agent", "Bot": "bot", "Chatbot": "bot", "AiAgent": "bot"}
SECOND_US = 1_000_000
SCHEMA = {
    "type": "record",
    "name": "MessagingSessionMetrics",
    "fields": [
        {"name": "MessagingSessionId", "type": "string"},
        {"name": "MessagingSessionMetricType", "type": "string"},
        {"name": "MessagingSessionMetricValue", "type": "int"},
    ],
}


@beam.ptransform_fn
def read(begin: beam.pvalue.PBegin, pattern: str, columns: list[str]) -> beam.PCollection:
    """Reads rows as dicts; files that end in `.gz` are unpacked."""
    match pattern.removesuffix(".gz").rpartition(".")[2]:
        case "parquet":
            return begin | beam.io.ReadFromParquet(pattern, columns=columns)
        case "avro":
            return begin | beam.io.ReadFromAvro(pattern)
        case "jsonl":
            return begin | beam.io.ReadFromText(pattern) | beam.Map(json.loads)
        case "csv":
            files = begin | fileio.MatchFiles(pattern) | fileio.ReadMatches()
            return files | beam.FlatMap(csv_rows)
        case other:
            raise ValueError(f"{pattern}: {other} is no format of this pipeline")


def csv_rows(file: fileio.ReadableFile) -> Iterator[Row]:
    """The rows of a CSV file, in whose values there may be line ends."""
    return csv.DictReader(io.StringIO(file.read_utf8(), newline=""))


def instant_us(value: datetime | str) -> int:
    """Microseconds since the epoch of an instant; of a text in UTC, as in CSV and JSON."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return round(value.timestamp() * SECOND_US)


def spans_us(messages: list[tuple[int, str, str]], side: str) -> list[int]:
    """The response times of a side to everyone else, in microseconds."""
    spans: list[int] = []
    turn_side, turn_us = "", 0
    for sent_us, _, by in messages:
        by = side if by == side else "other"
        if by != turn_side:
            if by == side and turn_side:
                spans.append(sent_us - turn_us)
            turn_side, turn_us = by, sent_us
    return spans


def seconds(total_us: int, count: int) -> int:
    """The mean in whole seconds, rounded half up; 0 for no response."""
    return (2 * total_us + count * SECOND_US) // (2 * SECOND_US * count) if count else 0


def fold(session_id: str, groups: dict[str, Any]) -> Iterator[Row]:
    """The six records of a session, if the session is closed and enhanced."""
    if not any(groups["sessions"]):
        return
    messages = sorted(groups["messages"])
    humans = [message for message in messages if message[2] != "bot"]
    users, agents = spans_us(messages, "user"), spans_us(humans, "agent")
    sides = [side for _, _, side in messages]
    values = {
        "AgentMessageCount": sides.count("agent"),
        "AverageAgentResponseTime": seconds(sum(agents), len(agents)),
        "AverageEndUserResponseTime": seconds(sum(users), len(users)),
        "EndUserMessageCount": sides.count("user"),
        "MaxAgentResponseTime": seconds(max(agents, default=0), 1),
        "MaxEndUserResponseTime": seconds(max(users, default=0), 1),
    }
    for metric_type, value in values.items():
        yield {
            "MessagingSessionId": session_id,
            "MessagingSessionMetricType": metric_type,
            "MessagingSessionMetricValue": value,
        }


def is_message(row: Row) -> bool:
    """Whether a row of the log counts."""
    return row["EntryType"] in MESSAGE_TYPES and row["ActorType"] in SIDES


def key_message(row: Row) -> tuple[str, tuple[int, str, str]]:
    """The key (session id) and value (instant, message id, side) of a message."""
    sent_us = instant_us(row["ServerReceivedTimestamp"])
    return row["ConversationId"], (sent_us, row["MessageIdentifier"], SIDES[row["ActorType"]])


def is_wanted(row: Row) -> bool:
    """Whether a session is closed and enhanced."""
    # CSV has an empty text for an end that there is not.
    has_ended = row["Status"] == "Ended" and row["EndTime"] not in (None, "")
    return has_ended and row["ChannelType"] == "EmbeddedMessaging"


def main() -> None:
    args = command.parser("The records by a Beam pipeline of rows").parse_args()
    message_columns = [
        "ConversationId",
        "MessageIdentifier",
        "ServerReceivedTimestamp",
        "ActorType",
        "EntryType",
    ]
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        messages = (
            pipeline
            | "ReadMessages" >> read(args.messages, message_columns)
            | "IsMessage" >> beam.Filter(is_message)
            | "KeyMessages" >> beam.Map(key_message)
        )
        sessions = (
            pipeline
            | "ReadSessions" >> read(args.sessions, ["Id", "Status", "ChannelType", "EndTime"])
            | "IsWanted" >> beam.Filter(is_wanted)
            | "KeySessions" >> beam.Map(lambda row: (row["Id"], True))
        )
        _ = (
            {"messages": messages, "sessions": sessions}
            | "BringTogether" >> beam.CoGroupByKey()
            | "Fold" >> beam.FlatMapTuple(fold)
            | "Write" >> beam.io.WriteToAvro(args.output, SCHEMA, file_name_suffix=".avro")
        )


if __name__ == "__main__":
    main()
