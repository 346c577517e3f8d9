"""The values of options, made of the text of a command line; an error says what is wrong with it.

What needs Arrow is imported where a value needs it: `--help` does without.
"""

import argparse
import datetime
import difflib
import json
import re
import zoneinfo
from collections.abc import Sequence

from pipelines.command_line import UsageError
from schemas import metric_types
from transforms.errors import JobError
from transforms.files import open_input
from transforms.instants import DAY_US, EPOCH, date_of_day

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def time_zone(text: str) -> str:
    """The type of an option for a time zone: its IANA name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = zoneinfo.available_timezones()
    try:
        if text not in known:
            raise ValueError
        # Arrow has a list of its own.
        pc.local_timestamp(pa.array([0], pa.timestamp("us", text)))
    except (ValueError, pa.ArrowException):
        near = difflib.get_close_matches(text, sorted(known), 1)
        hint = f"; did you mean {near[0]}?" if near else ", such as Europe/Berlin or UTC"
        raise argparse.ArgumentTypeError(f"{text!r} is no IANA time zone{hint}") from None
    return text


def ratio(text: str) -> float:
    """The type of an option for a share."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to 1")
    return value


def seconds(text: str) -> int:
    """The type of an option for a number of seconds."""
    if not re.fullmatch(r"\d{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of seconds")
    return int(text)


def instant(text: str) -> int:
    """The type of an option for a date or an instant: microseconds since the epoch, UTC."""
    import pyarrow as pa

    from transforms.reading.timestamps import to_instants

    full = f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text
    (micros,) = to_instants(pa.array([full])).to_pylist()
    if micros is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a date (2024-10-02) nor an instant (2024-10-02T12:00:00Z)"
        )
    return micros


def metrics(text: str) -> tuple[str, ...]:
    """The type of the option for the types of the records; their order is that of the records."""
    asked = {name.strip() for name in text.split(",")}
    known = metric_types()
    if strange := sorted(asked - set(known)):
        raise argparse.ArgumentTypeError(
            f"{strange[0]!r} is no metric; there are {', '.join(known)}"
        )
    return tuple(name for name in known if name in asked)


def whole_days(args: argparse.Namespace) -> tuple[str | None, str | None]:
    """The dates at whose midnights the range of ends begins and ends; None is no bound.

    Raises:
      UsageError: it begins or ends within a day.
    """
    days: list[str | None] = []
    for edge in ("from", "until"):
        micros = getattr(args, f"closed_{edge}")
        if micros is not None and micros % DAY_US:
            raise UsageError(
                f"--partition_by day replaces whole days; --closed_{edge} must be a date or midnight UTC"
            )
        days.append(None if micros is None else date_of_day(micros // DAY_US))
    return days[0], days[1]


def instant_text(micros: int) -> str:
    """An instant as the options for ranges take it, such as `2024-10-02T00:00:00Z`."""
    at = EPOCH.replace(tzinfo=None) + datetime.timedelta(microseconds=micros)
    return f"{at.isoformat()}Z"


def columns_of(given: Sequence[str] | None, kind: str) -> dict[str, str]:
    """The columns that an option maps, as `{canonical name: their name}`.

    Args:
      given: the values of the option, such as `session_id=Session__c,sent_at=Sent.At`, which add up.
      kind: the beginning of the option's name, such as `message`.

    Raises:
      UsageError: a pair without `=`, a canonical name that is unknown or mapped twice.
    """
    if not given:
        return {}
    from transforms.reading.names import ColumnNames

    columns: dict[str, str] = {}
    for pair in (pair for text in given for pair in text.split(",")):
        name, equals, theirs = (part.strip() for part in pair.partition("="))
        if not (name and equals and theirs):
            raise UsageError(f"--{kind}_columns: {pair!r} is not of the form name=Their.Name")
        if name in columns:
            raise UsageError(f"--{kind}_columns: {name} is mapped twice")
        columns[name] = theirs
    try:
        ColumnNames.of(f"{kind}s", columns)
    except JobError as error:
        raise UsageError(f"--{kind}_columns: {error}") from None
    return columns


def words_of(given: Sequence[str] | None, kind: str) -> dict[str, dict[str, str]]:
    """The words that an option translates, as `{column: {their word: our word}}`.

    Args:
      given: the values of the option, such as `sender_role:customer=EndUser,rep=Agent`, which add up.
      kind: the beginning of the option's name, such as `message`.

    Raises:
      UsageError: what is not of that form, a column or a word of ours that is unknown, a word of theirs
        that is there twice.
    """
    if not given:
        return {}
    import pyarrow as pa

    from transforms.reading.translations import check_words
    from transforms.reading.values import to_words

    words: dict[str, dict[str, str]] = {}
    for text in given:
        column = ""
        for pair in text.split(","):
            left, _, ours = (part.strip() for part in pair.rpartition("="))
            name, colon, rest = (part.strip() for part in left.partition(":"))
            column, theirs = (name, rest) if colon else (column, left)
            (word,) = to_words(pa.array([theirs])).to_pylist()
            if not (column and word and ours):
                raise UsageError(f"--{kind}_values: {pair!r} is not of the form name:theirs=ours")
            if word in words.setdefault(column, {}):
                raise UsageError(f"--{kind}_values: {column} {theirs!r} is there twice")
            words[column][word] = ours
    try:
        check_words(f"{kind}s", words)
    except JobError as error:
        raise UsageError(f"--{kind}_values: {error}") from None
    return words


def counts_in(path: str) -> dict[str, int]:
    """The counts of a run, from the file that `--summary` of session-metrics has written.

    Raises:
      UsageError: there is no such file, or it has no counts.
    """
    try:
        with open_input(path) as file:
            counts = json.loads(file.read())
    except OSError as error:
        raise UsageError(f"--counts {path}: {error.strerror or error}") from None
    except ValueError:
        counts = None
    if not isinstance(counts, dict) or not all(type(n) is int for n in counts.values()):
        raise UsageError(
            f"--counts {path}: has no counts; name the file that --summary of session-metrics wrote"
        )
    return counts
