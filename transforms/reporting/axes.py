"""The axes of the charts: which part of Vega's own axes is shown, and with which names. Pure; no Beam."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transforms.instants import DAY_US, SECOND_US
from transforms.reporting import durations
from transforms.reporting.histograms import LADDER_US

MAJOR_US = (
    *(SECOND_US * n for n in (1, 10, 60, 600, 3600)),
    *(DAY_US * n for n in (1, 7, 30, 365)),
)
"""The first choice for ticks of a logarithmic axis of times."""

Spec = dict[str, Any]
"""A part of a Vega-Lite specification."""

_FINE_US = (*LADDER_US, MAJOR_US[-1])

# With fewer days the bars would be walls.
_LEAST_DAYS = 7


def days(first: int, last: int, step: int) -> Spec:
    """An axis of days since 1970-01-01, each with its label below its middle.

    Vega puts the label of a day at the midnight that begins the day. Charts are drawn half a day earlier
    (see `day_ms`), so that this midnight is the middle of what is drawn of the day.
    """
    shown = last + step - first
    most = max(shown, _LEAST_DAYS)
    start = first - (most - shown) // 2
    axis = {
        "grid": False,
        # By week, the ticks are those of months and years.
        "format": "%-d %b" if step == 1 else {"year": "%Y", "quarter": "%b", "month": "%b"},
        # More ticks than days would be hours.
        "tickCount": {"expr": f"min({most}, width / 70)"},
    }
    domain = {"domainMin": day_ms(start), "domainMax": day_ms(start + most)}
    scale = {"type": "utc", "nice": False, **domain}
    return {"field": "x", "type": "temporal", "scale": scale, "axis": axis}


def day_ms(day: float) -> float:
    """The place on the axis of `days` where a day begins, in Vega's milliseconds since the epoch."""
    return (day - 0.5) * (DAY_US // 1000)


def counts(most: int) -> Spec:
    """A vertical axis from 0 to a round number that is at least `most`."""
    scale = {"domain": [0, max(most, 1)], "nice": 4}
    # More ticks than the number itself would be fractions.
    axis = {"tickCount": min(max(most, 1), 4), "format": ",d"}
    return {"field": "y", "type": "quantitative", "scale": scale, "axis": axis}


def times(field: str, domain: tuple[int, int], ticks_us: Iterable[int]) -> Spec:
    """A logarithmic axis of times; times beyond it are drawn at its ends."""
    scale = {"type": "log", "domain": list(domain), "nice": False, "clamp": True}
    axis = _labels({us: durations.short(us) for us in ticks_us})
    return {"field": field, "type": "quantitative", "scale": scale, "axis": axis}


def names(field: str, names: Sequence[str]) -> Spec:
    """An axis of names, which need not differ; the field holds their numbers."""
    axis = {**_labels(dict(enumerate(names))), "grid": False, "labelAngle": 0}
    scale = {"domain": list(range(len(names))), "paddingInner": 0.06}
    return {"field": field, "type": "ordinal", "scale": scale, "axis": axis}


def _labels(texts: Mapping[int, str]) -> Spec:
    return {"values": list(texts), "labelExpr": f"{json.dumps(texts)}[datum.value]"}


def time_domain(least_us: int, most_us: int) -> tuple[int, int]:
    """Two different times that people think in, not below 1 s, with both times between them.

    For example, 42 s and 3 min 20 s are between 30 s and 5 min.
    """
    below = max(us for us in _FINE_US if us <= max(least_us, _FINE_US[0]))
    above = next((us for us in _FINE_US if us >= most_us and us > below), _FINE_US[-1])
    return (below, above) if above > below else (_FINE_US[-2], above)


def time_ticks(domain: tuple[int, int]) -> list[int]:
    """The times of `MAJOR_US` on an axis; where they are fewer than three, all of `LADDER_US`, too."""
    major = [us for us in MAJOR_US if domain[0] <= us <= domain[1]]
    fine = [us for us in _FINE_US if domain[0] <= us <= domain[1]]
    return major if len(major) > 2 else fine
