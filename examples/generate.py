"""Makes a small export in each of Salesforce's shapes. Seeded: the same arguments, the same bytes.

python examples/generate.py [--seed N] [--sessions N] [--output DIR]

messaging_sessions.csv      MessagingSession as a Bulk API 2.0 query gives it
conversation_entries.csv    ConversationEntry, likewise, of every other session
connect_pages/page-*.json   the rest: pages of the Connect REST resource .../entries, as they come
data_360/*.csv              conversations of several sessions, as Data 360 has them: the entries name
                            their conversation and participant, and neither session nor role

In them: bots, bursts, transfers between agents, system entries, messages after the session's end,
sessions that are open, standard, without messages or there twice, pages that overlap, broken rows.
"""

import argparse
import csv
import datetime
import json
import pathlib
import random
import uuid
from typing import Any

START = datetime.datetime(2024, 10, 2, 8, tzinfo=datetime.timezone.utc)
DAYS = 3
PAGE_ENTRIES = 100
CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
CHANNELS = [("EmbeddedMessaging", "Enhanced"), ("WhatsApp", "Enhanced"), ("Text", "Standard")]
SAYINGS = {
    "EndUser": [
        "Hello",
        "My order, no. 7, is late",
        'It says "in transit"',
        "Thanks!",
        "Two\nlines",
    ],
    "Agent": ["How can I help?", "Let me look, one moment", "It arrives today", "Anything else?"],
    "Bot": ["Hi, I am the shop's bot", "Please choose: 1, 2 or 3"],
    "System": ["The conversation was transferred"],
}

CONVERSATIONS = 8
ROLES_OF_PARTICIPANTS = {
    "EndUser": "End User",
    "Agent": "Agent",
    "Bot": "Chatbot",
    "System": "System",
}
DATA_360 = {
    "conversation_entries": [
        "Id",
        "ConversationId",
        "ConversationEntryType",
        "EngagementParticipantId",
        "TranscriptedDateTime",
    ],
    "participants": ["Id", "ConversationId", "EngagementParticipantRole"],
    "messaging_sessions": [
        "Id",
        "ConversationId",
        "MessagingSessionStatus",
        "MessagingSessionStartTime",
        "MessagingSessionEndTime",
        "EngagementChannelType",
    ],
}

Entry = dict[str, Any]


def salesforce_id(prefix: str, number: int) -> str:
    """An 18-character id: the 15-character form and its three check characters."""
    short = f"{prefix}bb{number:010d}"
    chunks = (short[i : i + 5] for i in range(0, 15, 5))
    bits = (sum(c.isupper() << i for i, c in enumerate(chunk)) for chunk in chunks)
    return short + "".join(CHECKSUM[b] for b in bits)


def stamp(moment: datetime.datetime) -> str:
    """A moment as a Bulk API CSV has it, with milliseconds and `Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def talk(rng: random.Random, start: datetime.datetime, late: bool) -> list[Entry]:
    """The entries of one session, in order, each with its role, moment and text."""
    entries: list[Entry] = []
    now = start

    def say(role: str, wait_s: float) -> None:
        nonlocal now
        now += datetime.timedelta(milliseconds=int(wait_s * 1000))
        entries.append({"role": role, "at": now, "text": rng.choice(SAYINGS[role])})

    say("EndUser", 0)
    if rng.random() < 0.5:
        say("Bot", rng.uniform(0.2, 2))
    for _ in range(rng.randint(1, 4)):
        for _ in range(rng.choice([1, 1, 2, 3])):
            say("EndUser", rng.uniform(2, 90))
        if rng.random() < 0.2:
            # A transfer: another agent goes on.
            say("System", rng.uniform(1, 30))
        for _ in range(rng.choice([1, 1, 2])):
            say("Agent", rng.triangular(3, 600, 20))
    if late:
        say("EndUser", 3600)
    return entries


def make(rng: random.Random, count: int) -> tuple[list[list[str]], list[Entry], list[Entry]]:
    """The rows of the sessions, and the entries of the bulk export and of the Connect pages."""
    sessions, bulk, connect = [], [], []
    for number in range(1, count + 1):
        session_id = salesforce_id("0Mw", number)
        channel, platform = rng.choice(CHANNELS)
        start = START + datetime.timedelta(seconds=rng.randrange(DAYS * 86400 - 36000))
        late = number % 12 == 5
        entries = [] if number % 15 == 7 else talk(rng, start, late)
        for seq, entry in enumerate(entries, 1):
            entry |= {
                "session": session_id,
                "seq": seq,
                "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            }
        on_time = entries[:-1] if late else entries
        end = (on_time[-1]["at"] if on_time else start) + datetime.timedelta(minutes=10)
        end = end.replace(microsecond=0)
        status, ended = ("Active", "") if number % 20 == 9 else ("Ended", stamp(end))
        row = [
            session_id,
            status,
            channel,
            salesforce_id("0Mj", CHANNELS.index((channel, platform))),
        ]
        row += [platform, stamp(start), ended, stamp(start), stamp(end)]
        if number % 10 == 3:
            # An earlier snapshot of the same session.
            sessions.append([*row[:1], "Active", *row[2:6], "", row[7], stamp(start)])
        sessions.append(row)
        (bulk if number % 2 else connect).extend(entries)
    return sessions, bulk, connect


def make_conversations(
    rng: random.Random, count: int, first_session: int
) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
    """The rows of entries, participants and sessions; a conversation has two to four sessions."""
    entries, participants, sessions = [], [], []
    session = first_session
    for number in range(1, count + 1):
        conversation = salesforce_id("0dw", number)
        people = {}
        for place, (role, name) in enumerate(ROLES_OF_PARTICIPANTS.items()):
            people[role] = salesforce_id("0dP", 10 * number + place)
            participants.append([people[role], conversation, name])
        start = START + datetime.timedelta(seconds=rng.randrange(36000))
        for place in range(rng.randint(2, 4)):
            late = place == number % 4
            talked = talk(rng, start, late)
            for entry in talked:
                kind = "RoutingResult" if entry["role"] == "System" else "text"
                entry_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
                who = people[entry["role"]]
                entries.append([entry_id, conversation, kind, who, stamp(entry["at"])])
            # The record of a session is made a moment after the message that opens it was received.
            begin = stamp(start + datetime.timedelta(milliseconds=rng.randrange(200, 1500)))
            end = (talked[-2 if late else -1]["at"] + datetime.timedelta(minutes=5)).replace(
                microsecond=0
            )
            row = [salesforce_id("0Mw", session), conversation, "Ended", begin, stamp(end)]
            sessions.append([*row, "EmbeddedMessaging"])
            session += 1
            start = end + datetime.timedelta(seconds=rng.randrange(4000, 50_000))
    rng.shuffle(entries)
    return entries, participants, sessions


def write_data_360(output: pathlib.Path, rng: random.Random, first_session: int) -> None:
    """Writes the conversations under the names that Data 360 has for their columns."""
    output.mkdir(parents=True, exist_ok=True)
    rows = make_conversations(rng, CONVERSATIONS, first_session)
    for (name, columns), found in zip(DATA_360.items(), rows, strict=True):
        write_csv(output / f"{name}.csv", [f"ssot__{column}__c" for column in columns], found)


def write_csv(path: pathlib.Path, header: list[str], rows: list[list[str]]) -> None:
    """Writes a CSV as the Bulk API does: all fields quoted, lines end with LF."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def bulk_row(number: int, entry: Entry) -> list[str]:
    """A ConversationEntry, which has the milliseconds of the moment in a column of their own."""
    return [
        salesforce_id("0U5", number),
        entry["session"],
        entry["id"],
        entry["role"],
        "BotEscalated" if entry["role"] == "System" else "Text",
        stamp(entry["at"].replace(microsecond=0)),
        str(entry["at"].microsecond // 1000),
        str(entry["seq"]),
        entry["text"],
    ]


def connect_entry(entry: Entry) -> Entry:
    """An entry of a Connect page: epoch milliseconds, and the role inside the sender."""
    millis = round(entry["at"].timestamp() * 1000)
    role = "Chatbot" if entry["role"] == "Bot" else entry["role"]
    return {
        "identifier": entry["id"],
        "messageText": entry["text"],
        "clientTimestamp": millis - 40,
        "serverReceivedTimestamp": millis,
        "clientDuration": 0,
        "sender": {"role": role, "appType": role.lower(), "subject": entry["session"][-6:]},
        "relatedRecords": [entry["session"]],
    }


def main() -> None:
    """Writes the export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=60)
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path(__file__).parent / "export"
    )
    args = parser.parse_args()
    rng = random.Random(args.seed)
    sessions, bulk, connect = make(rng, args.sessions)
    pages = args.output / "connect_pages"
    pages.mkdir(parents=True, exist_ok=True)
    # Pages of an earlier, larger export go.
    for page in pages.glob("page-*.json"):
        page.unlink()
    write_csv(
        args.output / "messaging_sessions.csv",
        [
            "Id",
            "Status",
            "ChannelType",
            "MessagingChannelId",
            "MessagingChannel.PlatformType",
            "StartTime",
            "EndTime",
            "CreatedDate",
            "SystemModstamp",
        ],
        sessions,
    )
    rows = [bulk_row(number, entry) for number, entry in enumerate(bulk, 1)]
    # A query with PK chunking returns rows in no order.
    rng.shuffle(rows)
    broken = [list(row) for row in rows[:3]]
    broken[0][3] = "Robot"
    broken[1][5] = "yesterday"
    broken[2][1] = ""
    rows[40:40] = broken
    write_csv(
        args.output / "conversation_entries.csv",
        [
            "Id",
            "ConversationId",
            "MessageIdentifier",
            "ActorType",
            "EntryType",
            "EntryTime",
            "EntryTimeMilliSecs",
            "Seq",
            "Message",
        ],
        rows,
    )
    # Each page begins with the last five entries of the page before.
    step = PAGE_ENTRIES - 5
    for number, start in enumerate(range(0, len(connect), step), 1):
        entries = [connect_entry(entry) for entry in connect[start : start + PAGE_ENTRIES]]
        content = {"conversationEntries": entries, "hasMore": start + step < len(connect)}
        text = json.dumps(content | {"nextPageUrl": None}, indent=2)
        (pages / f"page-{number:04d}.json").write_text(text + "\n", "utf-8")
    write_data_360(args.output / "data_360", rng, first_session=10 * args.sessions + 1)


if __name__ == "__main__":
    main()
