"""The sections that have a number for each day. Pure; no Beam."""

from collections.abc import Mapping

from transforms.reporting import charts, dates, durations
from transforms.reporting.histograms import SUMMED, Groups
from transforms.reporting.measures import Report
from transforms.reporting.views import (
    SENDERS,
    SIDES,
    Cell,
    Figure,
    Row,
    Section,
    Time,
    duration,
    number,
    share,
    swatch_of,
)

# More days are drawn by week.
_MOST_DAYS = 400

_BY_WEEK = " A week begins on Monday; the table is by day."


def span_of(report: Report) -> str:
    """The days of the sessions in words."""
    days = report.days.counts.keys.tolist()
    return dates.span(days[0], days[-1]) if days else "no sessions"


def _drawn(report: Report) -> tuple[Groups, int]:
    """The sessions by day or, where the days are too many to see, by week; and the days of a group."""
    days = report.days.counts.keys
    if days[-1] - days[0] < _MOST_DAYS:
        return report.days, 1
    return report.days.regrouped(dates.monday_of(days)), 7


def counts(report: Report) -> Section:
    """Sessions, messages and unanswered sessions per day."""
    if not report.sessions:
        return Section()
    drawn, step = _drawn(report)
    span, shown = span_of(report), drawn.rows()
    columns = {name: {day: row[name] for day, row in shown.items()} for name in SUMMED}
    charted = {
        "Sessions": {"sessions": columns["sessions"]},
        "Messages": {swatch_of(side): columns[f"{side}_messages"] for side in SENDERS},
        "Unanswered sessions": {"unanswered": columns["unanswered"]},
    }
    return Section(
        rows=tuple(_counts_row(Time.day(day), row) for day, row in report.days.rows().items()),
        foot=_counts_row("All days", report.days.total()),
        figures=tuple(_counts_chart(title, by, span, step) for title, by in charted.items()),
        note=_BY_WEEK if step > 1 else "",
    )


def _counts_row(first: Cell, row: Mapping[str, int]) -> Row:
    numbers = [row["sessions"], messages(row), *(row[name] for name in SUMMED[1:])]
    return first, *map(number, numbers), share(row["unanswered"], row["sessions"])


def messages(row: Mapping[str, int]) -> int:
    """The messages of all senders; `row` holds counts under the names in `SUMMED`."""
    return sum(row[f"{sender}_messages"] for sender in SENDERS)


def _counts_chart(title: str, by: Mapping[str, Mapping[int, int]], span: str, step: int) -> Figure:
    """A chart of counts by swatch and day."""
    swatch, *others = by
    sums = {day: sum(counts[day] for counts in by.values()) for day in by[swatch]}
    most = max(sums, key=lambda day: (sums[day], -day))
    period, since, suffix = ("day", "on", "") if step == 1 else ("week", "from", " per week")
    return Figure(
        title=title + suffix,
        swatch="" if others else swatch,
        by_sender=bool(others),
        label=f"{title} per {period}, {span}. Most: {sums[most]:,} {since} {dates.words(most)}.",
        chart=charts.counts_by_day([(f"var(--{one})", counts) for one, counts in by.items()], step),
    )


def times(report: Report) -> Section:
    """Median and 90th percentile of the response times per day."""
    if not report.days.answered():
        return Section()
    rows: dict[int, Row] = {day: (Time.day(day),) for day in report.days.rows()}
    for side in SIDES:
        answered = report.days.sessions_with_response(side)
        median, p90 = (report.days.percentile_us(side, percent) for percent in (50, 90))
        for day in rows:
            rows[day] += (
                number(answered.get(day, 0)),
                *(duration(of.get(day)) for of in (median, p90)),
            )
    return Section(
        rows=tuple(rows.values()),
        figures=tuple(_times_chart(report, side) for side in SIDES),
        note=_BY_WEEK if _drawn(report)[1] > 1 else "",
    )


def _times_chart(report: Report, side: str) -> Figure:
    drawn, step = _drawn(report)
    title, swatch = SIDES[side], swatch_of(side)
    note, period = ("by week", "week") if step > 1 else ("", "day")
    median, p90 = (drawn.percentile_us(side, percent) for percent in (50, 90))
    if not median:
        return Figure(title=title, swatch=swatch, note=note)
    first, last = drawn.counts.keys[[0, -1]].tolist()
    least, most = (durations.words(of(median.values())) for of in (min, max))
    return Figure(
        title=title,
        swatch=swatch,
        note=note,
        label=f"{title}: median and 90th percentile of the response time per {period}, "
        f"{span_of(report)}. The median is from {least} to {most}.",
        chart=charts.times_by_day(median, p90, (first, last), f"var(--{swatch})", step),
    )
