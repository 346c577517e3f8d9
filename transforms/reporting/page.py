"""The report as a page: one HTML file that needs no other, no network and no script. Pure; no Beam.

The same report gives the same bytes: there is no clock in it and nothing random.
"""

import html
import itertools
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources

import numpy as np

from transforms.batches import Counts
from transforms.instants import DAY_US
from transforms.reporting import charts, durations
from transforms.reporting.axes import MAJOR_US, date_of
from transforms.reporting.histograms import (
    BAR_EDGES_US,
    LADDER_US,
    MAX_RELATIVE_ERROR,
    SUMMED,
    Groups,
)
from transforms.reporting.measures import NOT_STATED, Report

MOST_CHANNELS = 12
"""Channel types that have a row of their own; where there are more, the rest have one together."""


_MOST_DAYS = 400  # more are drawn by week

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_SHADES = 7  # --heat-0 to --heat-6 of the style sheet

_MOST_STEPS = _SHADES - 1

_SIDES = {"agent": "Agents", "end_user": "End users"}

_COLORS = {"agent": "var(--agent)", "end_user": "var(--end-user)"}

_SWATCHES = {"agent": "agent", "end_user": "end-user"}

_NONE = "\N{EN DASH}"


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, *children: str | None, **attributes: str) -> Html:
    """An element; what is not `Html` among its children, and all attributes, is escaped.

    Args:
      name: of the element.
      children: None is left out.
      attributes: `class_` is `class`; other underscores are hyphens.
    """
    words = (
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{''.join(words)}>{joined(children)}</{name}>")


def joined(parts: Iterable[str | None]) -> Html:
    """Parts one after the other, escaped where they are not `Html`."""
    found = (part for part in parts if part is not None)
    return Html("".join(part if isinstance(part, Html) else html.escape(part) for part in found))


def render(
    report: Report,
    counts: Counts | None = None,
    settings: Mapping[str, str] | None = None,
) -> str:
    """Makes the page.

    Args:
      report: of all sessions.
      counts: what became of the rows that the run has read, as it ends with them; None where that is
        not known.
      settings: what else the page says that it was made with, such as the range that was asked for.

    Returns:
      The whole HTML document, to be written as UTF-8.
    """
    sections = [  # id, name among the links, heading, content
        ("days", "Per day", "Sessions and messages per day", _per_day(report)),
        ("times", "Response times", "Response times per day", _times_per_day(report)),
        (
            "distribution",
            "Distribution",
            "How response times are distributed",
            _distribution(report),
        ),
        ("hours", "Hours", "Agent response by hour and weekday", _by_hour(report)),
        ("channels", "Channels", "By channel type", _by_channel(report)),
        ("slowest", "Slowest", "The slowest sessions", _slowest(report)),
        ("rejected", "Rejected", "What was rejected", _rejected(counts)),
        ("made", "About", "How this page was made", _made_with(report, settings or {})),
    ]
    title = "Messaging sessions"
    span = _span(report)
    links = (element("li", element("a", name, href=f"#{key}")) for key, name, _, _ in sections)
    style = resources.files("transforms.reporting").joinpath("page.css").read_text("utf-8")
    head = element(
        "head",
        Html('\n<meta charset="utf-8">'),
        Html('\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'),
        element("title", f"{title}, {span}"),
        Html(f"\n<style>\n{style}</style>\n"),
    )
    body = element(
        "body",
        element("a", "Skip to the figures", class_="skip", href="#figures"),
        Html("\n"),
        element(
            "header",
            element("h1", title),
            element(
                "p", f"{span[0].upper()}{span[1:]}. Days and hours are those of {report.zone}."
            ),
            _notice(report),
        ),
        Html("\n"),
        element("nav", element("ul", *links), aria_label="On this page"),
        Html("\n"),
        element(
            "main",
            _figures(report),
            *(
                joined(
                    [
                        Html("\n"),
                        element(
                            "section",
                            element("h2", heading, id=f"{key}-title"),
                            *content,
                            id=key,
                            aria_labelledby=f"{key}-title",
                        ),
                    ]
                )
                for key, _, heading, content in sections
            ),
        ),
    )
    return f'<!DOCTYPE html>\n<html lang="en">\n{head}\n{body}\n</html>\n'


_Content = list[Html]


def _number(number: int) -> str:
    return f"{number:,}"


def _share(part: int, whole: int) -> str:
    if not whole:
        return _NONE
    percent = 100 * part / whole
    if part and percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.1f} %"


def _plural(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _date(day: int) -> str:
    date = date_of(day)
    return f"{date.day} {_MONTHS[date.month - 1]} {date.year}"


def _day_cell(day: int) -> Html:
    date = date_of(day)
    text = f"{_WEEKDAYS[date.weekday()][:3]} {date.isoformat()}"
    return element("time", text, datetime=date.isoformat())


def _instant(micros: int) -> Html:
    day, within = divmod(micros, DAY_US)
    seconds = within // 1_000_000
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    date = date_of(day).isoformat()
    return element("time", f"{date} {clock} UTC", datetime=f"{date}T{clock}Z")


def _time(time_us: int | None) -> Html:
    """A time in words, and in whole for machines."""
    if time_us is None:
        return Html(_NONE)
    return element("time", durations.words(time_us), datetime=durations.iso(time_us))


def _large(time_us: int) -> Html:
    """The same with the units made small."""
    words = durations.words(time_us).split()
    parts = (element("small", word) if index % 2 else word for index, word in enumerate(words))
    return element("time", *parts, datetime=durations.iso(time_us))


def _span(report: Report) -> str:
    days = report.days.counts.keys.tolist()
    if not days:
        return "no sessions"
    if days[0] == days[-1]:
        return _date(days[0])
    first, last = date_of(days[0]), date_of(days[-1])
    start = f"{first.day} {_MONTHS[first.month - 1]}"
    if first.year != last.year:
        start += f" {first.year}"
    elif first.month == last.month:
        start = str(first.day)
    return f"{start} to {_date(days[-1])}"


def _channel(name: str) -> str:
    return "(not stated)" if name == NOT_STATED else name


def _table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    foot: Sequence[str] | None = None,
    texts: Sequence[int] = (),
) -> Html:
    """A table whose first column names the rows; `texts` are the columns that are no numbers."""

    def cell(name: str, index: int, text: str, **attributes: str) -> Html:
        if index in texts:
            attributes["class_"] = "text"
        return element(name, text, **attributes)

    def row(cells: Sequence[str]) -> Html:
        first = cell("th", 0, cells[0], scope="row")
        rest = (cell("td", index, text) for index, text in enumerate(cells[1:], 1))
        return joined([element("tr", first, *rest), Html("\n")])

    heads = (cell("th", index, text, scope="col") for index, text in enumerate(head))
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        Html("\n"),
        element("tbody", *(row(cells) for cells in rows)),
        element("tfoot", row(foot)) if foot else None,
    )


def _region(table: Html, name: str, kind: str = "plain") -> Html:
    """A table that scrolls where it is too large, which the keyboard must reach."""
    return element("div", table, class_=kind, tabindex="0", role="region", aria_label=name)


def _details(table: Html, name: str, is_open: bool = False) -> Html:
    kind = "plain" if is_open else "scroll"
    scroll = _region(table, name, kind)
    summary = element("summary", f"Table: {name}")
    if is_open:
        return element("details", summary, scroll, open="")
    return element("details", summary, scroll)


def _figure(
    caption: Sequence[str | None], label: str, drawing: charts.Draw, frames: Sequence[charts.Frame]
) -> Html:
    """A chart, drawn for a wide and for a narrow page, of which one is seen."""
    shown = (
        element("div", Html(drawing(frame)), class_=name, role="img", aria_label=label)
        for name, frame in zip(("wide", "narrow"), frames, strict=True)
    )
    return joined([Html("\n"), element("figure", element("figcaption", *caption), *shown)])


def _no_figure(caption: Sequence[str | None]) -> Html:
    """What stands in place of a chart of response times where there are none."""
    return element(
        "figure", element("figcaption", *caption), _nothing("No session has a response.")
    )


def _swatch(name: str) -> Html:
    return element("span", class_=f"swatch {name}", aria_hidden="true")


def _note(text: str) -> Html:
    return element("span", f" {text}", class_="note")


def _nothing(text: str) -> Html:
    return element("p", text, class_="none")


def _notice(report: Report) -> Html | None:
    if len(report.policies) < 2:
        return None
    return element(
        "p",
        element("strong", f"{len(report.policies)} policies. "),
        "These sessions were not all timed by the same rules, so their times can't simply be compared: ",
        element("a", "see how many follow which", href="#made"),
        ".",
        class_="notice",
        role="note",
    )


def _total(groups: Groups) -> dict[str, int]:
    return groups.together().rows().get(0, dict.fromkeys(SUMMED, 0))


def _messages(row: Mapping[str, int]) -> int:
    return row["agent_messages"] + row["end_user_messages"] + row["bot_messages"]


def _figures(report: Report) -> Html:
    everything = report.days.together()
    total = _total(report.days)
    sessions, days = total["sessions"], len(report.days.counts.keys)

    def figure(name: str, value: str, note: str) -> Html:
        return element(
            "div",
            element("dt", name),
            element("dd", value, class_="value"),
            element("dd", note, class_="note"),
        )

    def response(name: str, side: str) -> Html:
        median = everything.percentile_us(side, 50).get(0)
        p90 = everything.percentile_us(side, 90).get(0)
        if median is None or p90 is None:
            return figure(name, _NONE, "no session has one")
        note = joined(["median; 90 % of sessions within ", _time(p90)])
        return figure(name, _large(median), note)

    return element(
        "dl",
        figure("Sessions", _number(sessions), f"on {_plural(days, 'day')}"),
        figure(
            "Messages",
            _number(_messages(total)),
            f"{total['agent_messages']:,} by agents, {total['end_user_messages']:,} by end users, "
            f"{total['bot_messages']:,} by bots",
        ),
        figure(
            "Unanswered sessions",
            _number(total["unanswered"]),
            f"{_share(total['unanswered'], sessions)} ended with the end user waiting for an agent"
            if total["unanswered"]
            else "none ended with the end user waiting for an agent",
        ),
        response("Agents respond in", "agent"),
        response("End users respond in", "end_user"),
        class_="figures",
        id="figures",
        tabindex="-1",
    )


def _drawn(report: Report) -> tuple[Groups, int, str]:
    """The sessions by day or, where these are too many to see, by week; and how many days that are."""
    days = report.days.counts.keys
    if not len(days) or days[-1] - days[0] < _MOST_DAYS:
        return report.days, 1, "day"
    return report.days.regrouped(days - (days + 3) % 7), 7, "week"


def _by_week(step: int) -> str:
    return " A week begins on Monday; the table is by day." if step > 1 else ""


def _per_day(report: Report) -> _Content:
    rows = report.days.rows()
    if not rows:
        return [_nothing("There are no sessions.")]
    total = _total(report.days)
    drawn, step, period = _drawn(report)
    shown = drawn.rows()
    counted = {name: {day: row[name] for day, row in shown.items()} for name in SUMMED}
    sides = (("agent", "agents"), ("end-user", "end users"), ("bot", "bots"))
    messages = {name: counted[f"{name.replace('-', '_')}_messages"] for name, _ in sides}
    panels = (
        ("Sessions", {"sessions": counted["sessions"]}),
        ("Messages", messages),
        ("Unanswered sessions", {"unanswered": counted["unanswered"]}),
    )
    figures = []
    for title, parts in panels:
        sums = {day: sum(part[day] for part in parts.values()) for day in shown}
        most = max(sums, key=lambda day: (sums[day], -day))
        since = "on" if step == 1 else "from"
        label = (
            f"{title} per {period}, {_span(report)}. Most: {sums[most]:,} {since} {_date(most)}."
        )
        title += " per week" if step > 1 else ""
        if parts is messages:
            keys = (joined([" ", _swatch(name), words]) for name, words in sides)
            caption = [title, element("span", " of", *keys, class_="note")]
        else:
            caption = [*map(_swatch, parts), title]
        series = [(f"var(--{name})", part) for name, part in parts.items()]
        drawing = charts.counts_by_day(series, step)
        frames = charts.wide(96), charts.narrow(96)
        figures.append(_figure(caption, label, drawing, frames))
    head = (
        *(
            "Day",
            "Sessions",
            "Messages",
            "by agents",
            "by end users",
            "by bots",
            "Unanswered sessions",
        ),
        "Share unanswered",
    )

    def cells(first: str, row: Mapping[str, int]) -> list[str]:
        numbers = [row["sessions"], _messages(row), *(row[count] for count in SUMMED[1:])]
        share = _share(row["unanswered"], row["sessions"])
        return [first, *map(_number, numbers), share]

    table = _table(
        f"Days on which sessions ended, in {report.zone}",
        head,
        (cells(_day_cell(day), row) for day, row in rows.items()),
        cells("All days", total),
    )
    text = (
        "By the day on which the session ended. A session is unanswered where it ended with a message "
        "of the end user that no agent has responded to."
    ) + _by_week(step)
    return [element("p", text), *figures, _details(table, "sessions and messages per day")]


def _times_per_day(report: Report) -> _Content:
    days = report.days.counts.keys.tolist()
    if not any(len(tally.keys) for tally in report.days.times.values()):
        return [_nothing("No session has a response.")]
    lines = element(
        "ul",
        element("li", element("span", class_="line", aria_hidden="true"), "median"),
        element("li", element("span", class_="dotted", aria_hidden="true"), "90th percentile"),
        class_="key",
    )
    drawn, step, period = _drawn(report)
    first, last = drawn.counts.keys[[0, -1]].tolist()
    figures, columns = [], []
    for side, title in _SIDES.items():
        by_day = (report.days.percentile_us(side, percent) for percent in (50, 90))
        columns.append((report.days.sessions_with_response(side), *by_day))
        median, p90 = (drawn.percentile_us(side, percent) for percent in (50, 90))
        caption = [_swatch(_SWATCHES[side]), title, _note("by week") if step > 1 else None]
        if not median:
            figures.append(_no_figure(caption))
            continue
        label = (
            f"{title}: median and 90th percentile of the response time per {period}, {_span(report)}. "
            f"The median is from {durations.words(min(median.values()))} to "
            f"{durations.words(max(median.values()))}."
        )
        drawing = charts.times_by_day(median, p90, (first, last), _COLORS[side], step)
        frames = charts.wide(150), charts.narrow(150)
        figures.append(_figure(caption, label, drawing, frames))
    head = ["Day"]
    for title in _SIDES.values():
        head += [f"{title}: sessions with a response", "median", "90th percentile"]
    rows = (
        [
            _day_cell(day),
            *itertools.chain.from_iterable(
                (_number(number.get(day, 0)), _time(median.get(day)), _time(p90.get(day)))
                for number, median, p90 in columns
            ),
        ]
        for day in days
    )
    table = _table("Average response time of the sessions that ended on a day", head, rows)
    text = (
        "Each session counts once, by the average of its response times, which is "
        "AverageAgentResponseTime or AverageEndUserResponseTime of its records before rounding. The "
        "scale is logarithmic."
    ) + _by_week(step)
    return [
        element("p", text),
        lines,
        *figures,
        _details(table, "response times per day"),
    ]


def _distribution(report: Report) -> _Content:
    everything = report.days.together()
    total = _total(report.days)["sessions"]
    if not any(len(tally.keys) for tally in everything.times.values()):
        return [_nothing("No session has a response.")]
    edges_us = (0, *LADDER_US)
    numbers = {side: everything.sessions_between(side, edges_us) for side in _SIDES}
    bars = {side: everything.sessions_between(side, (0, *BAR_EDGES_US)) for side in _SIDES}
    # Both have the same axis, from less than 1 s to at least a day.
    last = max(
        next(index for index, edge_us in enumerate(BAR_EDGES_US) if edge_us >= DAY_US),
        *(index for found in bars.values() for index, number in enumerate(found) if number),
    )
    starts = (MAJOR_US[0] * 5 // 7, *BAR_EDGES_US)
    ends = (*BAR_EDGES_US, 2 * BAR_EDGES_US[-1])
    figures: list[Html] = []
    for side, title in _SIDES.items():
        answered = sum(numbers[side])
        without = total - answered
        note = (
            f"{_plural(answered, 'session')} with a response; {_number(without)} without, left out"
        )
        caption = [_swatch(_SWATCHES[side]), title, _note(note)]
        if not answered:
            figures.append(_no_figure(caption))
            continue
        median, p90 = (everything.percentile_us(side, percent)[0] for percent in (50, 90))
        drawing = charts.distribution(
            list(zip(starts, ends, bars[side], strict=True))[: last + 1],
            [
                (median, f"median {durations.words(median)}"),
                (p90, f"90 % within {durations.words(p90)}"),
            ],
            _COLORS[side],
        )
        label = (
            f"{title}: distribution of the response time over {_plural(answered, 'session')}. Half are "
            f"within {durations.words(median)}, 90 % within {durations.words(p90)}."
        )
        frames = charts.wide(140), charts.narrow(140)
        figures.append(_figure(caption, label, drawing, tuple(map(charts.with_headroom, frames))))
    used = [
        index
        for index in range(len(edges_us))
        if any(number for found in numbers.values() for number in found[index:])
    ]

    def span(index: int) -> str:
        if index == 0:
            return f"under {durations.short(edges_us[1])}"
        start = durations.short(edges_us[index])
        if index + 1 == len(edges_us):
            return f"{start} or more"
        return f"{start} to under {durations.short(edges_us[index + 1])}"

    head, rows = ["Average response time"], []
    for title in _SIDES.values():
        head += [f"{title}: sessions", "share", "up to here"]
    for index in used:
        cells = [span(index)]
        for found in numbers.values():
            whole = sum(found)
            up_to = sum(found[: index + 1])
            cells += [_number(found[index]), _share(found[index], whole), _share(up_to, whole)]
        rows.append(cells)
    foot = ["All"]
    for found in numbers.values():
        foot += [_number(sum(found)), _share(sum(found), sum(found)), ""]
    table = _table("Sessions by their average response time; exact counts", head, rows, foot)
    text = (
        "Sessions by their average response time, on a logarithmic axis: each bar spans 1.4 times the "
        "time of the one before, and the one left of 1 s holds all that is shorter."
    )
    return [element("p", text), *figures, _details(table, "distribution of response times")]


def _steps(least_us: int, most_us: int) -> list[int]:
    """The round times between two, at most as many as there are shades to tell apart."""
    found = [us for us in LADDER_US if least_us < us <= most_us]
    if len(found) <= _MOST_STEPS:
        return found
    return [found[index * (len(found) - 1) // (_MOST_STEPS - 1)] for index in range(_MOST_STEPS)]


def _by_hour(report: Report) -> _Content:
    median = report.hours.percentile_us("agent", 50)
    if not median:
        return [_nothing("No session has a response of an agent.")]
    number = report.hours.sessions_with_response("agent")
    steps = _steps(min(median.values()), max(median.values()))

    def shade(step: int) -> int:
        return round(step * (_SHADES - 1) / len(steps)) if steps else _SHADES // 2

    def step_of(time_us: int) -> int:
        return sum(time_us >= edge for edge in steps)

    cells = [
        (hour // 24, hour % 24, durations.compact(time_us), shade(step_of(time_us)))
        for hour, time_us in median.items()
    ]
    names = [day[:3] for day in _WEEKDAYS]
    hours = [f"{hour:02}" for hour in range(24)]
    upright = charts.heat_map(cells, names, hours)
    across = charts.heat_map(
        [(hour, day, text, tone) for day, hour, text, tone in cells], hours, names
    )
    slowest = max(median, key=lambda hour: (median[hour], -hour))
    label = (
        f"Median of the agents' response time by weekday and hour, {report.zone}. Longest: "
        f"{durations.words(median[slowest])}, {_WEEKDAYS[slowest // 24]} {slowest % 24:02}:00."
    )

    def either(frame: charts.Frame) -> str:
        return (across if frame.width > 24 * 20 else upright)(frame)

    frames = charts.wide(7 * 30, 44), charts.narrow(24 * 24, 32)
    edges = [None, *steps, None]
    legend = []
    for index, (start, end) in enumerate(itertools.pairwise(edges)):
        if start is None and end is None:
            text = "all alike"
        elif start is None:
            text = f"under {durations.short(end or 0)}"
        elif end is None:
            text = f"{durations.short(start)} or more"
        else:
            text = f"from {durations.short(start)}"
        style = f"background: var(--heat-{shade(index)})"
        square = element("span", class_="swatch", style=style, aria_hidden="true")
        legend.append(element("li", square, text))
    rows = (
        [
            f"{hour:02}:00",
            *itertools.chain.from_iterable(
                (_time(median.get(24 * day + hour)), _number(number.get(24 * day + hour, 0)))
                for day in range(7)
            ),
        ]
        for hour in range(24)
    )
    head = ["Hour", *itertools.chain.from_iterable((day, "sessions") for day in _WEEKDAYS)]
    table = _table(f"Median of the agents' response time, {report.zone}", head, rows)
    text = (
        f"Median of the sessions' average agent response time, by the hour in which the session started, "
        f"in {report.zone}. Empty cells had no session with a response."
    )
    if report.unstarted:
        sessions = _plural(report.unstarted, "session has", "sessions have")
        text += f" {sessions} no start; the end stands for it."
    return [
        element("p", text),
        element("ul", *legend, class_="key"),
        _figure(["Median agent response"], label, either, frames),
        _details(table, "agent response by hour and weekday"),
    ]


def _top_channels(report: Report) -> tuple[Groups, list[str]]:
    """The channel types with the most sessions, in that order, and the rest as one; and their names."""
    rows = report.channels.rows()
    order = sorted(rows, key=lambda key: (-rows[key]["sessions"], report.channel_types[key]))
    most = MOST_CHANNELS if len(order) > MOST_CHANNELS + 1 else len(order)
    place = {key: min(index, most) for index, key in enumerate(order)}
    names = [_channel(report.channel_types[key]) for key in order[:most]]
    if len(order) > most:
        names.append(f"{len(order) - most} others")
    keys = report.channels.counts.keys
    return report.channels.regrouped(
        np.array([place[key] for key in keys.tolist()], np.int64)
    ), names


def _by_channel(report: Report) -> _Content:
    if not report.channel_types:
        return [_nothing("There are no sessions.")]
    channels, names = _top_channels(report)
    times = {
        (side, percent): channels.percentile_us(side, percent)
        for side in _SIDES
        for percent in (50, 90)
    }
    content: list[Html] = []
    shown = [
        (names[index], times["agent", 50][index], times["agent", 90][index])
        for index in range(len(names))
        if index in times["agent", 50]
    ]
    if shown:
        longest = max(len(row[0]) for row in shown)
        height = charts.height_of_ranges(len(shown))
        frames = (
            charts.wide(height, min(max(60, 8 * longest + 16), 240)),
            charts.narrow(height, min(max(48, 8 * longest + 16), 136)),
        )
        label = (
            "Agents: median and 90th percentile of the response time by channel type. "
            + "; ".join(
                f"{name}: {durations.words(median)}, {durations.words(p90)}"
                for name, median, p90 in shown
            )
        )
        content += [
            element(
                "ul",
                element("li", element("span", class_="dot", aria_hidden="true"), "median"),
                element(
                    "li", element("span", class_="tick", aria_hidden="true"), "90th percentile"
                ),
                class_="key",
            ),
            _figure(
                [_swatch("agent"), "Agents"],
                label,
                charts.ranges(shown, _COLORS["agent"]),
                frames,
            ),
        ]
    head = (
        *("Channel type", "Sessions", "Messages", "Unanswered sessions", "Share unanswered"),
        *("Agents: median", "90th percentile", "End users: median", "90th percentile"),
    )
    rows = [
        [
            names[index],
            _number(row["sessions"]),
            _number(_messages(row)),
            _number(row["unanswered"]),
            _share(row["unanswered"], row["sessions"]),
            *(_time(found.get(index)) for found in times.values()),
        ]
        for index, row in channels.rows().items()
    ]
    caption = "Sessions by channel type, the most first"
    table = _details(_table(caption, head, rows, texts=(0,)), "channel types", is_open=True)
    return [*content, table]


def _slowest(report: Report) -> _Content:
    if not report.slowest:
        return [_nothing("No session has a response of an agent.")]
    head = (
        *("Session", "Channel type", "Ended", "Agent responses", "Average response time"),
        "Longest response time",
    )
    rows = [
        [
            element("code", slow.session_id),
            _channel(slow.channel_type),
            _instant(slow.ended_at_us),
            _number(slow.responses),
            _time(slow.average_us),
            _time(slow.longest_us),
        ]
        for slow in report.slowest
    ]
    table = _table("By the average of the agents' response times, exact", head, rows, texts=(1,))
    return [_region(table, "slowest sessions")]


def _rejected(counts: Counts | None) -> _Content:
    if counts is None:
        return [
            _nothing(
                "Not known here: this page was made of summaries alone, without the counts of "
                "the run that wrote them."
            )
        ]
    fates, rejected = [], []
    kinds = [kind for kind in ("messages", "sessions", "channels") if f"{kind}_read" in counts]
    for kind in kinds:
        read = counts[f"{kind}_read"]
        for count, rows in counts.items():
            fate = count.removeprefix(f"{kind}_")
            if fate == count or fate == "read":
                continue
            fates.append((kind, fate.replace("_", " "), _number(rows), _share(rows, read)))
            if fate.startswith("rejected_"):
                reason = element("code", fate.removeprefix("rejected_"))
                rejected.append((kind, reason, _number(rows), _share(rows, read)))
    shown = ", ".join(f"{counts[f'{kind}_read']:,} {kind}" for kind in kinds) or "nothing"
    content: list[Html] = []
    if rejected:
        table = _table(
            f"Rows that could not be used, of {shown} that were read",
            ("Input", "Reason", "Rows", "Share of the input"),
            rejected,
            texts=(1,),
        )
        content.append(_region(table, "rejected rows"))
    else:
        content.append(element("p", f"No row was rejected: {shown} were read."))
    if fates:
        table = _table(
            f"Rows read: {shown}",
            ("Input", "Fate", "Rows", "Share of the input"),
            fates,
            texts=(1,),
        )
        content.append(_details(table, "what became of every row"))
    return content


def _made_with(report: Report, settings: Mapping[str, str]) -> _Content:
    entries: list[tuple[str, str]] = []
    total = _total(report.days)["sessions"]
    if report.ended_us:
        first, last = map(_instant, report.ended_us)
        entries.append(("Sessions ended", joined(["from ", first, " to ", last])))
    for name, value in settings.items():
        entries.append((name, element("code", value)))
    several = len(report.policies) > 1
    for policy, sessions in report.policies.items():
        share = f" ({_plural(sessions, 'session')}, {_share(sessions, total)})" if several else ""
        entries.append(("Policy", joined([element("code", policy), share])))
    entries += [
        ("Time zone", element("code", report.zone)),
        (
            "Response times",
            "Each session counts once, by the average of its response times. Sessions without a "
            "response are left out of the times and counted everywhere else.",
        ),
        (
            "Percentiles",
            "The time that at least half, or 90 %, of the sessions do not exceed. They come from "
            f"histograms with logarithmic buckets, and differ from the exact ones by at most "
            f"{100 * MAX_RELATIVE_ERROR:g} %. Counts, shares of a table of counts, and the slowest "
            "sessions are exact.",
        ),
    ]
    listed = itertools.chain.from_iterable(
        (element("dt", name), element("dd", value)) for name, value in entries
    )
    return [element("dl", *listed, class_="made")]
