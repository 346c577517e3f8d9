"""The sections of all days: response times, hours, channel types, the slowest. Pure; no Beam."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from transforms.instants import DAY_US
from transforms.reporting import charts, durations
from transforms.reporting.daily import messages
from transforms.reporting.dates import WEEKDAYS
from transforms.reporting.histograms import BAR_EDGES_US, LADDER_US, Groups
from transforms.reporting.measures import NOT_STATED, Report
from transforms.reporting.views import (
    SIDES,
    Code,
    Figure,
    Row,
    Section,
    Time,
    duration,
    number,
    plural,
    share,
    swatch_of,
)

MOST_CHANNELS = 12
"""Channel types that have a row of their own; where there are more, the rest have one together."""

# The style sheet has the colors --heat-0 to --heat-6.
_SHADES = 7


def distribution(report: Report) -> Section:
    """How many sessions have which average response time; all counts are exact."""
    if not report.days.answered():
        return Section()
    everything = report.days.together()
    bars = {side: everything.sessions_between(side, (0, *BAR_EDGES_US)) for side in SIDES}
    # Both charts have the same axis, from less than 1 s to at least a day.
    last = max(
        next(index for index, edge_us in enumerate(BAR_EDGES_US) if edge_us >= DAY_US),
        *(index for found in bars.values() for index, sessions in enumerate(found) if sessions),
    )
    starts = (BAR_EDGES_US[0] * 5 // 7, *BAR_EDGES_US)
    ends = (*BAR_EDGES_US, 2 * BAR_EDGES_US[-1])
    figures = (
        _distribution_chart(
            side, everything, list(zip(starts, ends, found, strict=True))[: last + 1]
        )
        for side, found in bars.items()
    )
    rows, foot = _distribution_rows(everything)
    return Section(rows=rows, foot=foot, figures=tuple(figures))


def _distribution_chart(side: str, everything: Groups, bars: list[tuple[int, int, int]]) -> Figure:
    title, swatch = SIDES[side], swatch_of(side)
    answered = sum(sessions for _, _, sessions in bars)
    without = everything.total()["sessions"] - answered
    sessions = plural(answered, "session")
    note = f"{sessions} with a response; {number(without)} without, left out"
    if not answered:
        return Figure(title=title, swatch=swatch, note=note)
    median, p90 = (everything.percentile_us(side, percent)[0] for percent in (50, 90))
    half, most = durations.words(median), durations.words(p90)
    marks = (median, f"median {half}"), (p90, f"90 % within {most}")
    return Figure(
        title=title,
        swatch=swatch,
        note=note,
        label=f"{title}: distribution of the response time over {sessions}. Half are within {half}, "
        f"90 % within {most}.",
        chart=charts.distribution(bars, marks, f"var(--{swatch})"),
    )


def _distribution_rows(everything: Groups) -> tuple[tuple[Row, ...], Row]:
    """By span of time and side the sessions, their share, and the share up to there; and a foot."""
    short = [durations.short(us) for us in LADDER_US]
    between = [f"{start} to under {end}" for start, end in itertools.pairwise(short)]
    rows: list[Row] = [(span,) for span in (f"under {short[0]}", *between, f"{short[-1]} or more")]
    foot: Row = ("All",)
    used = 0
    for side in SIDES:
        found = everything.sessions_between(side, (0, *LADDER_US))
        whole, up_to = sum(found), list(itertools.accumulate(found))
        for index, sessions in enumerate(found):
            rows[index] += number(sessions), share(sessions, whole), share(up_to[index], whole)
            used = max(used, index + 1 if sessions else 0)
        foot += number(whole), share(whole, whole), ""
    return tuple(rows[:used]), foot


def by_hour(report: Report) -> Section:
    """The agents' median response time by hour of the week."""
    median = report.hours.percentile_us("agent", 50)
    if not median:
        return Section()
    answered = report.hours.sessions_with_response("agent")
    rows: list[Row] = [(f"{hour:02}:00",) for hour in range(24)]
    for hour in range(7 * 24):
        rows[hour % 24] += duration(median.get(hour)), number(answered.get(hour, 0))
    note, steps = "", _steps(min(median.values()), max(median.values()))
    if report.unstarted:
        sessions = plural(report.unstarted, "session has", "sessions have")
        note = f" {sessions} no start; the end stands for it."
    figures = (_heat_map(report.zone, median, steps),)
    return Section(rows=tuple(rows), figures=figures, note=note, key=_legend(steps))


def _steps(least_us: int, most_us: int) -> list[int]:
    """The round times between two, one less than there are shades at most."""
    found, most = [us for us in LADDER_US if least_us < us <= most_us], _SHADES - 1
    if len(found) <= most:
        return found
    return [found[index * (len(found) - 1) // (most - 1)] for index in range(most)]


def _shade(time_us: int, steps: Sequence[int]) -> int:
    """The shade of a time: 0 below all steps, `_SHADES` - 1 from the last step on."""
    passed = sum(time_us >= step for step in steps)
    return round(passed * (_SHADES - 1) / len(steps)) if steps else _SHADES // 2


def _legend(steps: Sequence[int]) -> tuple[tuple[int, str], ...]:
    if not steps:
        return ((_shade(0, steps), "all alike"),)
    short = [durations.short(us) for us in steps]
    names = [
        f"under {short[0]}",
        *(f"from {start}" for start in short[:-1]),
        f"{short[-1]} or more",
    ]
    return tuple((_shade(us, steps), name) for us, name in zip((0, *steps), names, strict=True))


def _heat_map(zone: str, median: Mapping[int, int], steps: Sequence[int]) -> Figure:
    looks = {hour: (durations.compact(us), _shade(us, steps)) for hour, us in median.items()}
    days, hours = [day[:3] for day in WEEKDAYS], [f"{hour:02}" for hour in range(24)]
    longest = max(median, key=lambda hour: (median[hour], -hour))
    return Figure(
        title="Median agent response",
        label=f"Median of the agents' response time by weekday and hour, {zone}. Longest: "
        f"{durations.words(median[longest])}, {WEEKDAYS[longest // 24]} {longest % 24:02}:00.",
        chart=charts.heat_map(
            [(at % 24, at // 24, *look) for at, look in looks.items()], hours, days
        ),
        narrow=charts.heat_map(
            [(*divmod(at, 24), *look) for at, look in looks.items()], days, hours
        ),
    )


def by_channel(report: Report) -> Section:
    """The channel types with the most sessions."""
    channels, names = _top_channels(report)
    times = [channels.percentile_us(side, percent) for side in SIDES for percent in (50, 90)]
    rows = tuple(
        (
            names[index],
            *map(number, (row["sessions"], messages(row), row["unanswered"])),
            share(row["unanswered"], row["sessions"]),
            *(duration(found.get(index)) for found in times),
        )
        for index, row in channels.rows().items()
    )
    median, p90 = times[:2]
    shown = [(names[index], median[index], p90[index]) for index in median]
    return Section(rows=rows, figures=(_ranges(shown),) if shown else ())


def _top_channels(report: Report) -> tuple[Groups, list[str]]:
    """The channel types with the most sessions, in that order, and the rest as one; and their names."""
    rows = report.channels.rows()
    order = sorted(rows, key=lambda key: (-rows[key]["sessions"], report.channel_types[key]))
    most = MOST_CHANNELS if len(order) > MOST_CHANNELS + 1 else len(order)
    place = {key: min(index, most) for index, key in enumerate(order)}
    names = [_channel(report.channel_types[key]) for key in order[:most]]
    if len(order) > most:
        names.append(f"{len(order) - most} others")
    return report.channels.regrouped(np.array([place[key] for key in rows], np.int64)), names


def _channel(name: str) -> str:
    return "(not stated)" if name == NOT_STATED else name


def _ranges(shown: Sequence[tuple[str, int, int]]) -> Figure:
    words = durations.words
    texts = (f"{name}: {words(median)}, {words(p90)}" for name, median, p90 in shown)
    return Figure(
        title=SIDES["agent"],
        swatch="agent",
        label="Agents: median and 90th percentile of the response time by channel type. "
        + "; ".join(texts),
        chart=charts.ranges(shown, "var(--agent)", 200),
        narrow=charts.ranges(shown, "var(--agent)", 120),
    )


def slowest(report: Report) -> Section:
    """The sessions with the longest average response time of the agents, exact."""
    rows = (
        (
            Code(slow.session_id),
            _channel(slow.channel_type),
            Time.instant(slow.ended_at_us),
            number(slow.responses),
            duration(slow.average_us),
            duration(slow.longest_us),
        )
        for slow in report.slowest
    )
    return Section(rows=tuple(rows))
