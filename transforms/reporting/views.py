"""The page as finished numbers and words, which its template lays out. Pure; no Beam."""

from dataclasses import dataclass

from transforms.instants import DAY_US, SECOND_US
from transforms.reporting import dates, durations
from transforms.reporting.axes import Spec

SIDES = {"agent": "Agents", "end_user": "End users"}

SENDERS = {"agent": "agents", "end_user": "end users", "bot": "bots"}

NONE = "\N{EN DASH}"
"""Stands where there is no number."""


@dataclass(frozen=True)
class Time:
    """A day, an instant or a duration: in words, and for machines as ISO 8601."""

    words: str
    iso: str

    @classmethod
    def day(cls, day: int) -> "Time":
        """A day since 1970-01-01, such as `Wed 2024-10-02`."""
        date = dates.date_of(day)
        return cls(f"{dates.WEEKDAYS[date.weekday()][:3]} {date.isoformat()}", date.isoformat())

    @classmethod
    def instant(cls, instant_us: int) -> "Time":
        """An instant to the second, such as `2024-10-02 12:00:00 UTC`."""
        day, within_us = divmod(instant_us, DAY_US)
        minutes, seconds = divmod(within_us // SECOND_US, 60)
        clock = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
        date = dates.date_of(day).isoformat()
        return cls(f"{date} {clock} UTC", f"{date}T{clock}Z")


@dataclass(frozen=True)
class Code:
    """A name or a value from the data."""

    text: str


Cell = str | Time | Code
Row = tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart and what is written above it.

    Attributes:
      swatch: the CSS class of the color of the chart's marks; empty where the chart has several.
      by_sender: whether the colors are those of the senders of messages.
      label: the chart in words, for screen readers.
      chart: None where there are no response times to draw.
      narrow: the chart on a narrow page; None where it is the same.
    """

    title: str
    swatch: str = ""
    note: str = ""
    by_sender: bool = False
    label: str = ""
    chart: Spec | None = None
    narrow: Spec | None = None


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section with charts and the table of their numbers; without rows there is nothing to show.

    Attributes:
      note: is added to the section's text.
      key: the shades of a chart, by number, and their names.
    """

    rows: tuple[Row, ...] = ()
    foot: Row = ()
    figures: tuple[Figure, ...] = ()
    note: str = ""
    key: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Headline:
    """A number at the top of the page; the note ends with the time `within`."""

    name: str
    value: Cell
    note: str
    within: Cell = ""


@dataclass(frozen=True)
class Rejected:
    """The numbers of rows read, in words, and tables of rejected rows and of all rows."""

    read: str
    reasons: tuple[Row, ...]
    fates: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Made:
    """How the page was made.

    Attributes:
      ended: the first and the last end of a session; empty without sessions.
      settings: names and values.
      policies: the policies, and which share of the sessions each has, where there are several.
    """

    ended: tuple[Time, ...]
    settings: tuple[tuple[str, str], ...]
    policies: tuple[tuple[str, str], ...]
    max_error: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """The whole page: the days of its sessions, the zone of days and hours, and the sections."""

    span: str
    zone: str
    headlines: tuple[Headline, ...]
    days: Section
    times: Section
    distribution: Section
    hours: Section
    channels: Section
    slowest: Section
    rejected: Rejected | None
    made: Made


def number(value: int) -> str:
    """A count, such as `1,234`."""
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    """A share, such as `12.5 %`; `NONE` of nothing."""
    if not whole:
        return NONE
    percent = 100 * part / whole
    return "< 0.1 %" if part and percent < 0.1 else f"{percent:.1f} %"


def plural(value: int, one: str, many: str = "") -> str:
    """A count and what is counted, such as `2 sessions`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def duration(time_us: int | None) -> Cell:
    """A duration such as `3 min 5 s`; `NONE` where there is none."""
    return NONE if time_us is None else Time(durations.words(time_us), durations.iso(time_us))


def swatch_of(side: str) -> str:
    """The CSS class of a side's color, which is the name of a CSS variable, too."""
    return side.replace("_", "-")
