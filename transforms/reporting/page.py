"""The page of a report: one HTML file that needs no other, no network and no script. Pure; no Beam.

The same report gives the same bytes: no clock and nothing random goes into the page.
"""

import dataclasses
import functools
import html
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from transforms.batches import Counts
from transforms.reporting import charts, daily, overall
from transforms.reporting.histograms import MAX_RELATIVE_ERROR
from transforms.reporting.measures import Report
from transforms.reporting.views import (
    NONE,
    SENDERS,
    SIDES,
    Code,
    Headline,
    Made,
    Page,
    Rejected,
    Row,
    Time,
    duration,
    number,
    plural,
    share,
)

if TYPE_CHECKING:
    import jinja2


@dataclasses.dataclass(frozen=True)
class ReportPage:
    """A page to be made of a report.

    Attributes:
      path: the file, on any Beam filesystem.
      zone: IANA name of the time zone of days and hours.
      settings: pairs of a name and a value, such as the range of the sessions that were asked for.
    """

    path: str
    zone: str = "UTC"
    settings: tuple[tuple[str, str], ...] = ()

    def render(self, report: Report, counts: Counts | None = None) -> bytes:
        """Makes the page.

        Args:
          report: of all sessions.
          counts: what became of the rows that the run has read; None where that is not known.

        Returns:
          The whole HTML document, UTF-8.
        """
        view = view_of(report, counts, self.settings)
        return _template().render(page=view, policies=len(view.made.policies)).encode()


@functools.cache
def _template() -> "jinja2.Template":
    # The import takes time, which a run without a page should not spend.
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("transforms.reporting", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_escaped,
        keep_trailing_newline=True,
    )
    style = resources.files("transforms.reporting").joinpath("page.css").read_text("utf-8")
    widths = {"wide": charts.WIDE, "narrow": charts.NARROW}
    environment.globals.update(style=style, widths=widths, draw=charts.draw, senders=SENDERS)
    return environment.get_template("page.html")


def _escaped(value: Any) -> Any:
    """Escapes as `html.escape` does, whatever MarkupSafe's version writes for quotes."""
    import markupsafe

    return value if hasattr(value, "__html__") else markupsafe.Markup(html.escape(str(value)))


def view_of(report: Report, counts: Counts | None, settings: Sequence[tuple[str, str]]) -> Page:
    """The numbers and words of the page; see `ReportPage`."""
    return Page(
        span=daily.span_of(report),
        zone=report.zone,
        headlines=headlines(report),
        days=daily.counts(report),
        times=daily.times(report),
        distribution=overall.distribution(report),
        hours=overall.by_hour(report),
        channels=overall.by_channel(report),
        slowest=overall.slowest(report),
        rejected=None if counts is None else rejected(counts),
        made=made(report, settings),
    )


def headlines(report: Report) -> tuple[Headline, ...]:
    """The numbers at the top of the page."""
    total, days = report.days.total(), plural(len(report.days.rows()), "day")
    unanswered = total["unanswered"]
    part = share(unanswered, total["sessions"]) if unanswered else "none"
    waiting = f"{part} ended with the end user waiting for an agent"
    by_whom = (f"{total[f'{sender}_messages']:,} by {name}" for sender, name in SENDERS.items())
    return (
        Headline("Sessions", number(total["sessions"]), f"on {days}"),
        Headline("Messages", number(daily.messages(total)), ", ".join(by_whom)),
        Headline("Unanswered sessions", number(unanswered), waiting),
        *(_response(report, side) for side in SIDES),
    )


def _response(report: Report, side: str) -> Headline:
    everything, name = report.days.together(), f"{SIDES[side]} respond in"
    median, p90 = (duration(everything.percentile_us(side, percent).get(0)) for percent in (50, 90))
    if median == NONE:
        return Headline(name, NONE, "no session has one")
    return Headline(name, median, "median; 90 % of sessions within ", p90)


def rejected(counts: Counts) -> Rejected:
    """The rows that a run has rejected, by reason, and the fates of all rows."""
    read = {kind: counts.get(f"{kind}_read") for kind in ("messages", "sessions", "channels")}
    fates: list[Row] = []
    reasons: list[Row] = []
    for kind, whole in read.items():
        for count, rows in counts.items():
            fate = count.removeprefix(f"{kind}_")
            if whole is None or fate in (count, "read"):
                continue
            numbers = number(rows), share(rows, whole)
            fates.append((kind, fate.replace("_", " "), *numbers))
            if fate.startswith("rejected_"):
                reasons.append((kind, Code(fate.removeprefix("rejected_")), *numbers))
    words = ", ".join(f"{rows:,} {kind}" for kind, rows in read.items() if rows is not None)
    return Rejected(words or "nothing", tuple(reasons), tuple(fates))


def made(report: Report, settings: Sequence[tuple[str, str]]) -> Made:
    """How the page was made."""
    several = len(report.policies) > 1
    return Made(
        ended=tuple(map(Time.instant, report.ended_us or ())),
        settings=tuple(settings),
        policies=tuple(
            (policy, f" ({plural(n, 'session')}, {share(n, report.sessions)})" if several else "")
            for policy, n in report.policies.items()
        ),
        max_error=f"{100 * MAX_RELATIVE_ERROR:g} %",
    )
