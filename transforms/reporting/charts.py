"""The charts of the page: Vega-Lite specifications, and the SVG that they are drawn as. Pure; no Beam.

The axes are Vega's own. Vega leaves room for their labels, and leaves out labels that would overlap, by
the width of the text in Liberation Sans. vl-convert brings this font with it, so the same data gives the
same bytes on every machine. The page shows the texts in its own font, and the colors are CSS variables:
they follow the page's light, dark and print styles.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from transforms.reporting import axes
from transforms.reporting.axes import MAJOR_US, Spec, day_ms, time_domain, time_ticks

WIDE, NARROW = 880, 360
"""The widths of a chart as drawn, in pixels: for a desk or paper, and for a telephone."""

_VEGA_LITE = "6.4"

# More days are drawn as an area instead of bars with gaps.
_FEW_DAYS = 92

_CONFIG: Spec = {
    "aria": False,
    "font": "Liberation Sans",
    "view": {"stroke": None},
    "text": {"fontSize": 12, "fill": "var(--text)"},
    "axis": {
        "title": None,
        "domain": False,
        "ticks": False,
        "tickColor": "var(--rule)",
        "gridColor": "var(--rule)",
        "labelColor": "var(--muted)",
        "labelFontSize": 12,
        "labelFlush": False,
        "labelOverlap": "greedy",
        "labelPadding": 8,
        "labelSeparation": 8,
    },
    # Charts below each other begin at the same place, unless a label needs more than this.
    "axisY": {"minExtent": 44},
}


def draw(spec: Spec, width: int) -> str:
    """Draws a chart as an SVG element, which the page scales to the width that it has.

    Args:
      spec: a whole chart from one of the functions below, which lacks its width only.
      width: `WIDE` or `NARROW`.
    """
    # The import takes time, which a run without a page should not spend.
    import vl_convert

    svg = vl_convert.vegalite_to_svg(
        {**spec, "width": width}, vl_version=_VEGA_LITE, allowed_base_urls=[]
    )
    svg = re.sub(r'^<svg [^>]*?(viewBox="[^"]*")[^>]*>', r"<svg \1>", svg)
    svg = re.sub(r'<path class="(?:back|fore)ground"[^>]*/>', "", svg)
    # Labels that would overlap are there, but not seen.
    svg = re.sub(r'<text [^>]*opacity="0"[^>]*>[^<]*</text>', "", svg)
    return re.sub(r"<[^>]+>", _tidied, svg)


def _tidied(tag: re.Match[str]) -> str:
    """A tag without what the page has no use for; texts between tags are left alone."""
    needless = r' (?:role|aria-[a-z]+|font-family|pointer-events|opacity)="[^"]*"'
    return re.sub(r"(\.\d{2})\d+", r"\1", re.sub(needless, "", tag[0]))


def _chart(height: int, x: Spec, y: Spec, layers: Sequence[Spec], left: int = 8) -> Spec:
    """A chart whose height includes all that is drawn, also its axes."""
    return {
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": {"left": left, "right": 4, "top": 10, "bottom": 2},
        "background": None,
        "config": _CONFIG,
        "encoding": {"x": x, "y": y},
        "layer": list(layers),
    }


def _layer(mark: str, rows: Iterable[Spec], look: Spec, **channels: str | Spec) -> Spec:
    """Marks of one type; a channel is a field of the rows, whose value is drawn as it is, or a value."""
    encoding = {
        channel: {"field": of, "type": "nominal", "scale": None} if isinstance(of, str) else of
        for channel, of in channels.items()
    }
    return {"data": {"values": list(rows)}, "mark": {"type": mark, **look}, "encoding": encoding}


def counts_by_day(series: Sequence[tuple[str, Mapping[int, int]]], step: int = 1) -> Spec:
    """A bar for each day, or where there are many days an area, of parts on top of each other.

    Args:
      series: color and numbers by day, which are not empty and the same days in all, the lowest first.
      step: the number of days that each number stands for, from its day on.
    """
    days = sorted(series[0][1])
    most = max(sum(counts[day] for _, counts in series) for day in days)
    few = days[-1] - days[0] < _FEW_DAYS * step
    # Where an area ends, it steps down to 0 on the day after.
    edges = days if few else sorted({edge for day in days for edge in (day, day + step)})
    gap = 0.1 * step if few else 0
    below = dict.fromkeys(edges, 0)
    layers = []
    for color, counts in series:
        rows = []
        for day in edges:
            top = below[day] + counts.get(day, 0)
            if top > below[day] or not few:
                span = {"x": day_ms(day + gap), "x2": day_ms(day + step - gap)}
                rows.append({**span, "y": top, "y2": below[day]})
            below[day] = top
        if few:
            layers.append(_layer("rect", rows, {"fill": color}, x2="x2", y2="y2"))
        else:
            look = {"fill": color, "interpolate": "step-after"}
            layers.append(_layer("area", rows, look, y2="y2"))
    return _chart(130, axes.days(days[0], days[-1], step), axes.counts(most), layers)


def times_by_day(
    median_us: Mapping[int, int],
    p90_us: Mapping[int, int],
    days: tuple[int, int],
    color: str,
    step: int = 1,
) -> Spec:
    """Two lines on a logarithmic axis, broken where a day has no time; neither is empty.

    Args:
      median_us: by day.
      p90_us: by day, of the same days.
      days: the first and the last of the axis.
      color: of the lines.
      step: the number of days that each time stands for, from its day on.
    """
    domain = time_domain(min(median_us.values()), max(p90_us.values()))
    line = {"stroke": color, "strokeCap": "round", "invalid": "break-paths-filter-domains"}
    point = {"filled": True, "fill": color, "stroke": None, "size": 20}
    layers = []
    for times_us, look in (
        (p90_us, {"strokeWidth": 1.5, "strokeDash": [2, 4]}),
        (median_us, {"strokeWidth": 2.25}),
    ):
        rows: list[Spec] = [{"x": day_ms(day + step / 2), "y": us} for day, us in times_us.items()]
        gaps = [day + step for day in times_us if day + step not in times_us]
        breaks = [{"x": day_ms(day), "y": None} for day in gaps]
        path = sorted([*rows, *breaks], key=lambda row: row["x"])
        layers.append(_layer("line", path, {**line, **look}))
        if days[1] - days[0] < _FEW_DAYS * step:
            layers.append(_layer("point", rows, point))
    return _chart(184, axes.days(*days, step), axes.times("y", domain, time_ticks(domain)), layers)


def distribution(
    bars: Sequence[tuple[int, int, int]], marks: Sequence[tuple[int, str]], color: str
) -> Spec:
    """Bars on a logarithmic axis of times, from less than 1 s on the left to at least a day.

    Args:
      bars: from, until (microseconds; from is not 0), and the number of sessions.
      marks: two times that are pointed out, the lesser first, and what to call them.
      color: of the bars.
    """
    domain = (bars[0][0], bars[-1][1])
    x = axes.times("x", domain, [us for us in MAJOR_US if domain[0] <= us <= domain[1]])
    x["axis"] |= {"grid": False, "ticks": True, "tickSize": 5, "labelPadding": 4}
    rows = [{"x": start, "x2": end, "y": number} for start, end, number in bars if number]
    layers = [_layer("rect", rows, {"fill": color, "x2Offset": -1}, x2="x2", y2={"datum": 0})]
    rule = {"stroke": "var(--text)", "strokeDash": [3, 3]}
    # Each text has a line of its own above the bars and, where there is room, its own side of its time.
    at = "scale('x', datum.x)"
    for (us, words), line, is_left in zip(
        marks, (-24, -9), (f"{at} > 90", f"{at} > width - 130"), strict=True
    ):
        row = [{"x": us, "text": words}]
        side = {
            "align": {"expr": f"{is_left} ? 'right' : 'left'"},
            "dx": {"expr": f"{is_left} ? -5 : 5"},
        }
        layers.append(_layer("rule", row, rule, y={"value": line - 5}, y2={"value": "height"}))
        layers.append(_layer("text", row, side, y={"value": line}, text="text"))
    return _chart(204, x, axes.counts(max(number for _, _, number in bars)), layers)


def heat_map(
    cells: Iterable[tuple[int, int, str, int]], columns: Sequence[str], rows: Sequence[str]
) -> Spec:
    """Colored cells with their texts.

    Args:
      cells: number of the column, number of the row, text, and shade, the number of CSS variables.
      columns: their names.
      rows: their names.
    """
    data = [
        {
            "x": x,
            "y": y,
            "text": text,
            "fill": f"var(--heat-{shade})",
            "ink": f"var(--heat-ink-{shade})",
        }
        for x, y, text, shade in cells
    ]
    squares = _layer("rect", data, {"cornerRadius": 2}, fill="fill")
    texts = _layer("text", data, {"fontSize": 10.5}, text="text", fill="ink")
    height = 30 if len(rows) < len(columns) else 24
    return _chart(
        34 + height * len(rows), axes.names("x", columns), axes.names("y", rows), [squares, texts]
    )


def ranges(rows: Sequence[tuple[str, int, int]], color: str, most_pixels: int) -> Spec:
    """For each name a dot at the median and a line to the 90th percentile, on a logarithmic axis.

    Args:
      rows: name, median, 90th percentile, microseconds.
      color: of dots and lines.
      most_pixels: the width that a name may take; longer ones are cut.
    """
    domain = time_domain(min(row[1] for row in rows), max(row[2] for row in rows))
    line = {"stroke": color, "strokeWidth": 3, "strokeOpacity": 0.45, "strokeCap": "round"}
    medians = [{"y": index, "x": row[1], "x2": row[2]} for index, row in enumerate(rows)]
    p90s = [{"y": index, "x": row[2]} for index, row in enumerate(rows)]
    layers = [
        _layer("rule", medians, line, x2="x2"),
        _layer("point", medians, {"filled": True, "fill": color, "size": 70}),
        _layer("tick", p90s, {"orient": "vertical", "stroke": color, "size": 12}),
    ]
    x, y = axes.times("x", domain, time_ticks(domain)), axes.names("y", [row[0] for row in rows])
    y["axis"] |= {"labelColor": "var(--text)", "labelLimit": most_pixels}
    # The names may be wider in the font of the page, so there is more room on the left.
    return _chart(34 + 26 * len(rows), x, y, layers, left=8 + most_pixels // 10)
