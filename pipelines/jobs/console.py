"""The lines that a person sees of a run: progress on a terminal, tables at the end."""

import contextlib
import threading
import time
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from transforms.batches import INPUTS, Counts
from transforms.folding.checks import AGREEING, CHECKED, OUTSIDE, WITHOUT_MESSAGES, with_median
from transforms.plumbing import counters

_SHOW_AFTER_S = 2.0
_LONG_MS = 10_000
# The share of the messages outside of their session, that of the sessions without messages, and that of
# the sessions whose counts agree, at which a person should look.
_MOST_OUTSIDE, _MOST_SILENT, _LEAST_AGREEING = 0.2, 0.5, 0.9
# The counts of folded sessions, of the main job and of the calibration.
_FOLDED = ("sessions_reported", "sessions_compared", "sessions_without_records")


@contextlib.contextmanager
def progress(console: Console) -> Iterator[None]:
    """Shows the progress of a run on a terminal, once the run has taken a few seconds."""
    if not console.is_terminal:
        yield
        return
    done = threading.Event()
    start = time.monotonic()

    def show() -> None:
        if done.wait(_SHOW_AFTER_S):
            return
        with console.status("") as status:
            while not done.wait(0.2):
                seen = counters.LIVE
                folded = sum(seen[name] for name in _FOLDED)
                status.update(
                    f"{time.monotonic() - start:,.0f} s  "
                    f"{seen['messages_read']:,} messages read, "
                    f"{folded:,} of {seen['sessions_read']:,} sessions folded"
                )

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def closing_table(counts: Counts) -> Table:
    """The counts of a run: the rows that were read, and the fates of them."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="left")
    table.add_column(justify="right")
    for kind in INPUTS:
        if f"{kind}_read" not in counts:
            continue
        table.add_row(f"{kind} read", f"{counts[f'{kind}_read']:,}")
        for name, number in counts.items():
            if name.startswith(f"{kind}_") and name != f"{kind}_read":
                fate = name.removeprefix(f"{kind}_").replace("_", " ")
                table.add_row(f"  {fate}", f"{number:,}")
        if kind == "messages":
            _add_assigned(table, counts)
    if more := counts.get("rejects_only_counted"):
        table.add_row("rejects only counted, not written", f"{more:,}")
    if counts.get("values_capped"):
        table.add_row("values capped at 999,999,999", f"{counts['values_capped']:,}")
    if "records_read" not in counts:
        table.add_row("records written", f"{counts.get('records_written', 0):,}")
    if "summaries_written" in counts:
        table.add_row("summaries written", f"{counts['summaries_written']:,}")
    return table


def _add_assigned(table: Table, counts: Counts) -> None:
    """Adds how the messages got their sessions, where any of them names only its conversation."""
    found = {name: number for name, number in counts.items() if name.startswith("assigned_")}
    if not found.keys() - {"assigned_by_session_id"}:
        return
    to_none = found.pop("assigned_to_none", 0)
    table.add_row("messages assigned to sessions", f"{sum(found.values()):,}")
    for name, number in found.items():
        table.add_row(f"  {name.removeprefix('assigned_').replace('_', ' ')}", f"{number:,}")
    if to_none:
        table.add_row("messages assigned to none", f"{to_none:,}")


def doubts(counts: Counts) -> list[str]:
    """The last lines of a run: how its counts agree with Salesforce's, and what its input may lack."""
    lines = []
    counts = with_median(counts)
    messages = counts.get("messages_counted", 0) + counts.get("messages_late", 0)
    outside = counts.get(OUTSIDE, 0)
    if outside > messages * _MOST_OUTSIDE:
        minutes = counts[f"{OUTSIDE}_median_min"]
        far = f", half of them by about {minutes / 60:g} h or more" if minutes else ""
        lines.append(
            f"{outside:,} of {messages:,} messages are outside of their session{far}: the clocks of "
            "messages and sessions may differ; see --message_time_zone and --session_time_zone"
        )
    silent, reported = counts.get(WITHOUT_MESSAGES, 0), counts.get("sessions_reported", 0)
    if silent > reported * _MOST_SILENT:
        lines.append(
            f"{silent:,} of {reported:,} reported sessions have no message that counts: messages may be "
            "missing"
        )
    if checked := counts.get(CHECKED):
        agreeing = counts.get(AGREEING, 0)
        line = f"Salesforce's own counts of messages agree in {agreeing:,} of {checked:,} sessions"
        if agreeing < checked * _LEAST_AGREEING:
            line += ": messages are missing, or belong elsewhere"
        lines.append(line)
    for kind in INPUTS:
        more = counts.get(f"pages_with_more_of_{kind}", 0)
        if more and not counts.get(f"pages_last_of_{kind}"):
            lines.append(
                f"the export of the {kind} is cut off: {more:,} of its pages say that more follow, "
                "and none says that it is the last"
            )
    return lines


def stage_table(stages: Counts) -> Table | None:
    """The work of each stage of a long run: rows, bytes, and how long its threads were busy."""
    names = ["read", "assign", "key", "fold", "write"]
    if sum(stages.get(f"{name}_busy_ms", 0) for name in names) < _LONG_MS:
        return None
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    table.add_column("stage")
    for column in ("rows", "MB", "thread seconds"):
        table.add_column(column, justify="right")
    for name in names:
        if f"{name}_rows" not in stages:
            continue
        rows, num_bytes, busy_ms = (
            stages.get(f"{name}_{what}", 0) for what in ("rows", "bytes", "busy_ms")
        )
        table.add_row(name, f"{rows:,}", f"{num_bytes / 1e6:,.0f}", f"{busy_ms / 1e3:,.1f}")
    return table
