"""The charts of the report: Vega-Lite specifications, and the SVG that they are drawn as. Pure; no Beam.

Everything is placed by numbers from here, nothing by the size of a text in some font, so that the same
data gives the same bytes on every machine. Colors are CSS variables of the page: they follow its light,
dark and print styles.
"""

import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from transforms.reporting import durations
from transforms.reporting.axes import (
    MAJOR_US,
    count_ticks,
    day_domain,
    day_ticks,
    time_domain,
    time_ticks,
)

_VEGA_LITE = "6.4"

_FEW_DAYS = 92  # more are drawn as an area, not as bars with gaps

_LABEL_PIXELS = 140  # what the longest text of a mark takes

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Frame:
    """The size of a chart, in pixels as drawn; the page scales it.

    Attributes:
      width, height: of what is inside of the axes.
      left, bottom: the room for the labels of the axes.
      most_labels: on the axis of days.
    """

    width: int
    height: int
    left: int = 60
    bottom: int = 24
    top: int = 10
    right: int = 12
    most_labels: int = 12


def wide(height: int, left: int = 60) -> Frame:
    """A chart for a desk, or paper."""
    return Frame(880 - left - 12, height, left)


def narrow(height: int, left: int = 48) -> Frame:
    """A chart for a telephone."""
    return Frame(360 - left - 12, height, left, most_labels=5)


def with_headroom(frame: Frame) -> Frame:
    """The same with room for two lines of text above."""
    return dataclasses.replace(frame, top=40)


Draw = Callable[[Frame], str]


def draw(spec: Row) -> str:
    """A specification as an SVG element that takes the width that it is given."""
    import vl_convert  # of which a run without a page has no need

    svg = vl_convert.vegalite_to_svg(json.dumps(spec), vl_version=_VEGA_LITE, allowed_base_urls=[])
    svg = re.sub(r'^<svg [^>]*?(viewBox="[^"]*")[^>]*>', r"<svg \1>", svg)
    svg = re.sub(r'<path class="(?:back|fore)ground"[^>]*/>', "", svg)
    return re.sub(r"<[^>]+>", _tidied, svg)  # not the texts


def _tidied(tag: re.Match[str]) -> str:
    plain = re.sub(r' (?:role|aria-[a-z]+|pointer-events|opacity)="[^"]*"', "", tag[0])
    return re.sub(r"(\.\d{2})\d+", r"\1", plain)


def _spec(frame: Frame, layers: Sequence[Row]) -> Row:
    return {
        "width": frame.width,
        "height": frame.height,
        "autosize": {"type": "none"},
        "padding": {side: getattr(frame, side) for side in ("left", "right", "top", "bottom")},
        "background": None,
        "config": {
            "aria": False,
            "view": {"stroke": None},
            "axis": None,
            "font": "inherit",
            "text": {"fontSize": 12, "fill": "var(--muted)"},
            "rule": {"stroke": "var(--rule)", "strokeWidth": 1},
        },
        "layer": list(layers),
    }


def _x(field: str | None, domain: Sequence[float], scale: str = "linear", **value: Any) -> Row:
    scale_of = {"type": scale, "domain": list(domain), "nice": False, "zero": False, "clamp": True}
    at: Row = {"field": field} if field else value
    return {**at, "type": "quantitative", "scale": scale_of, "axis": None}


def _labels_below(frame: Frame, ticks: Sequence[tuple[float, str]], x: Callable[[str], Row]) -> Row:
    return {
        "data": {"values": [{"x": at, "text": text} for at, text in ticks]},
        "mark": {"type": "text", "baseline": "top"},
        "encoding": {
            "x": x("x"),
            "y": {"value": frame.height + 8},
            "text": {"field": "text", "type": "nominal"},
        },
    }


def _grid(ticks: Sequence[tuple[float, str]], y: Callable[[str], Row]) -> list[Row]:
    data = {"values": [{"y": at, "text": text} for at, text in ticks]}
    return [
        {"data": data, "mark": {"type": "rule"}, "encoding": {"y": y("y")}},
        {
            "data": data,
            "mark": {"type": "text", "align": "right", "baseline": "middle"},
            "encoding": {
                "x": {"value": -8},
                "y": y("y"),
                "text": {"field": "text", "type": "nominal"},
            },
        },
    ]


# Charts


def counts_by_day(series: Sequence[tuple[str, Mapping[int, int]]], step: int = 1) -> Draw:
    """A bar for each day, or where there are many an area, of parts on top of each other.

    Args:
      series: color and numbers by day, which are not empty and the same in all, the lowest first.
      step: the number of days that each stands for, from that on.
    """
    days = sorted(series[0][1])
    first, last = days[0], days[-1]
    ticks = count_ticks(max(sum(counts[day] for _, counts in series) for day in days))
    domain = day_domain(first, last + step - 1)
    few = last - first < _FEW_DAYS * step
    edges = days if few else sorted({edge for day in days for edge in (day, day + step)})
    below = dict.fromkeys(edges, 0)
    marks = []
    for color, counts in series:
        rows: list[Row] = []
        for day in edges:  # the day after one is an edge down to 0, where it is none itself
            top = below[day] + counts.get(day, 0)
            if not few:
                rows.append({"a": day, "from": below[day], "to": top})
            elif top > below[day]:
                rows.append(
                    {"a": day + 0.1 * step, "b": day + 0.9 * step, "from": below[day], "to": top}
                )
            below[day] = top
        mark = {"type": "rect"} if few else {"type": "area", "interpolate": "step-after"}
        marks.append(({"fill": color, **mark}, rows))

    def at(frame: Frame) -> str:
        def x(field: str) -> Row:
            return _x(field, domain)

        def y(field: str) -> Row:
            return _x(field, (0, ticks[-1][0]))

        encoding = {"x": x("a"), "y": y("to"), "y2": {"field": "from"}}
        if few:
            encoding["x2"] = {"field": "b"}
        layers = [
            {"data": {"values": rows}, "mark": mark, "encoding": encoding} for mark, rows in marks
        ]
        below_axis = _labels_below(frame, day_ticks(*_span(domain), frame.most_labels), x)
        return draw(_spec(frame, [*_grid(ticks, y), *layers, below_axis]))

    return at


def _span(domain: tuple[int, int]) -> tuple[int, int]:
    return domain[0], domain[1] - 1


def times_by_day(
    median_us: Mapping[int, int],
    p90_us: Mapping[int, int],
    days: tuple[int, int],
    color: str,
    step: int = 1,
) -> Draw:
    """Two lines on a logarithmic axis, broken where a day has none; neither is empty.

    Args:
      median_us: by day.
      p90_us: by day, of the same days.
      days: the first and the last of the axis.
      color: of the lines.
      step: the number of days that each stands for, from that on.
    """
    least_us, most_us = time_domain(min(median_us.values()), max(p90_us.values()))
    domain = day_domain(days[0], days[1] + step - 1)
    few = days[1] - days[0] < _FEW_DAYS * step

    def rows(times_us: Mapping[int, int]) -> list[Row]:
        found: list[Row] = []
        before = None
        for day in sorted(times_us):
            if before is not None and day > before + step:
                found.append({"x": before + step, "y": None})
            found.append({"x": day + step / 2, "y": max(times_us[day], least_us)})
            before = day
        return found

    def at(frame: Frame) -> str:
        def x(field: str) -> Row:
            return _x(field, domain)

        def y(field: str) -> Row:
            return _x(field, (least_us, most_us), "log")

        def line(times_us: Mapping[int, int], **mark: Any) -> Iterator[Row]:
            data = {"values": rows(times_us)}
            encoding = {"x": x("x"), "y": y("y")}
            look = {"stroke": color, "strokeCap": "round", "invalid": "break-paths-filter-domains"}
            yield {"data": data, "mark": {"type": "line", **look, **mark}, "encoding": encoding}
            if few:
                data = {"values": [row for row in data["values"] if row["y"] is not None]}
                point = {"type": "point", "filled": True, "fill": color, "stroke": None, "size": 20}
                yield {"data": data, "mark": point, "encoding": encoding}

        return draw(
            _spec(
                frame,
                [
                    *_grid(time_ticks((least_us, most_us), frame.height, 24), y),
                    *line(p90_us, strokeWidth=1.5, strokeDash=[2, 4]),
                    *line(median_us, strokeWidth=2.25),
                    _labels_below(frame, day_ticks(*_span(domain), frame.most_labels), x),
                ],
            )
        )

    return at


def distribution(
    bars: Sequence[tuple[int, int, int]], marks: Sequence[tuple[int, str]], color: str
) -> Draw:
    """Bars on a logarithmic axis of times, from less than 1 s on the left to at least a day.

    Args:
      bars: from, until (microseconds; from is not 0), and the number of sessions.
      marks: two times that are pointed out, the lesser first, and what to call them.
      color: of the bars.
    """
    ticks = count_ticks(max(number for _, _, number in bars))
    domain = (bars[0][0], bars[-1][1])
    times = [(us, durations.short(us)) for us in MAJOR_US if domain[0] <= us <= domain[1]]
    rows = [{"a": a, "b": b, "n": n} for a, b, n in bars if n]

    def at(frame: Frame) -> str:
        def x(field: str) -> Row:
            return _x(field, domain, "log")

        def y(field: str) -> Row:
            return _x(field, (0, ticks[-1][0]))

        encoding = {
            "x": x("a"),
            "x2": {"field": "b"},
            "y": y("n"),
            "y2": {"datum": 0},
        }
        layers = [
            *_grid(ticks, y),
            {
                "data": {"values": [{"x": us} for us, _ in times]},
                "mark": {"type": "rule"},
                "encoding": {
                    "x": x("x"),
                    "y": {"value": frame.height},
                    "y2": {"value": frame.height + 5},
                },
            },
            {
                "data": {"values": rows},
                "mark": {"type": "rect", "fill": color, "x2Offset": -1},
                "encoding": encoding,
            },
        ]
        # Each on a line of its own and, where there is room, on its side of the other.
        for (us, text), line, is_left in zip(marks, (-24, -9), (True, False), strict=True):
            at_us = max(us, domain[0])
            share = math.log(at_us / domain[0]) / math.log(domain[1] / domain[0])
            if is_left:
                is_left = share * frame.width + frame.left > _LABEL_PIXELS
            else:
                is_left = (1 - share) * frame.width + frame.right < _LABEL_PIXELS
            data = {"values": [{"x": at_us, "text": text}]}
            rule = {"type": "rule", "stroke": "var(--text)", "strokeDash": [3, 3]}
            words = {"type": "text", "align": "right" if is_left else "left", "fill": "var(--text)"}
            layers += [
                {
                    "data": data,
                    "mark": rule,
                    "encoding": {
                        "x": x("x"),
                        "y": {"value": line - 5},
                        "y2": {"value": frame.height},
                    },
                },
                {
                    "data": data,
                    "mark": {**words, "dx": -5 if is_left else 5},
                    "encoding": {
                        "x": x("x"),
                        "y": {"value": line},
                        "text": {"field": "text", "type": "nominal"},
                    },
                },
            ]
        return draw(_spec(frame, [*layers, _labels_below(frame, times, x)]))

    return at


def heat_map(
    cells: Sequence[tuple[int, int, str, int]], columns: Sequence[str], rows: Sequence[str]
) -> Draw:
    """Colored cells with their texts.

    Args:
      cells: column, row, text and class, which is a CSS variable's number.
      columns: their names; an empty one is not shown.
      rows: their names.
    """
    data = [
        {
            "x": column + 0.02,
            "x2": column + 0.98,
            "y": row + 0.04,
            "y2": row + 0.96,
            "cx": column + 0.5,
            "cy": row + 0.5,
            "text": text,
            "fill": f"var(--heat-{shade})",
            "ink": f"var(--heat-ink-{shade})",
        }
        for column, row, text, shade in cells
    ]

    def at(frame: Frame) -> str:
        def x(field: str) -> Row:
            return _x(field, (0, len(columns)))

        def y(field: str) -> Row:
            encoding = _x(field, (0, len(rows)))
            encoding["scale"]["reverse"] = True
            return encoding

        values = {"values": data}
        named = [{"y": row + 0.5, "text": name} for row, name in enumerate(rows)]
        return draw(
            _spec(
                frame,
                [
                    {
                        "data": values,
                        "mark": {"type": "rect", "cornerRadius": 2},
                        "encoding": {
                            "x": x("x"),
                            "x2": {"field": "x2"},
                            "y": y("y"),
                            "y2": {"field": "y2"},
                            "fill": {"field": "fill", "type": "nominal", "scale": None},
                        },
                    },
                    {
                        "data": values,
                        "mark": {"type": "text", "fontSize": 10.5, "baseline": "middle"},
                        "encoding": {
                            "x": x("cx"),
                            "y": y("cy"),
                            "text": {"field": "text", "type": "nominal"},
                            "fill": {"field": "ink", "type": "nominal", "scale": None},
                        },
                    },
                    {
                        "data": {"values": named},
                        "mark": {"type": "text", "align": "right", "baseline": "middle"},
                        "encoding": {
                            "x": {"value": -8},
                            "y": y("y"),
                            "text": {"field": "text", "type": "nominal"},
                        },
                    },
                    _labels_below(
                        frame, [(c + 0.5, name) for c, name in enumerate(columns) if name], x
                    ),
                ],
            )
        )

    return at


def ranges(rows: Sequence[tuple[str, int, int]], color: str) -> Draw:
    """For each name a dot at the median and a line to the 90th percentile, on a logarithmic axis.

    Args:
      rows: name, median, 90th percentile, microseconds.
      color: of dots and lines.
    """
    domain = time_domain(min(row[1] for row in rows), max(row[2] for row in rows))
    least = domain[0]
    data: list[Row] = [
        {"y": index + 0.5, "name": name, "m": max(median, least), "p": max(p90, least)}
        for index, (name, median, p90) in enumerate(rows)
    ]

    def at(frame: Frame) -> str:
        def x(field: str) -> Row:
            return _x(field, domain, "log")

        def y(field: str) -> Row:
            encoding = _x(field, (0, len(rows)))
            encoding["scale"]["reverse"] = True
            return encoding

        times = time_ticks(domain, frame.width, 64)
        values = {"values": data}
        letters = frame.left * 2 // 15
        named = [
            row
            | {
                "name": row["name"]
                if len(row["name"]) <= letters
                else row["name"][: letters - 1] + "…"
            }
            for row in data
        ]
        return draw(
            _spec(
                frame,
                [
                    {
                        "data": {"values": [{"x": us} for us, _ in times]},
                        "mark": {"type": "rule"},
                        "encoding": {"x": x("x")},
                    },
                    {
                        "data": values,
                        "mark": {
                            "type": "rule",
                            "stroke": color,
                            "strokeWidth": 3,
                            "strokeOpacity": 0.45,
                            "strokeCap": "round",
                        },
                        "encoding": {"x": x("m"), "x2": {"field": "p"}, "y": y("y")},
                    },
                    {
                        "data": values,
                        "mark": {"type": "point", "filled": True, "fill": color, "size": 70},
                        "encoding": {"x": x("m"), "y": y("y")},
                    },
                    {
                        "data": values,
                        "mark": {"type": "tick", "orient": "vertical", "stroke": color, "size": 12},
                        "encoding": {"x": x("p"), "y": y("y")},
                    },
                    {
                        "data": {"values": named},
                        "mark": {
                            "type": "text",
                            "align": "right",
                            "baseline": "middle",
                            "fill": "var(--text)",
                        },
                        "encoding": {
                            "x": {"value": -10},
                            "y": y("y"),
                            "text": {"field": "name", "type": "nominal"},
                        },
                    },
                    _labels_below(frame, times, x),
                ],
            )
        )

    return at


def height_of_ranges(rows: int) -> int:
    """The height that so many rows of `ranges` take."""
    return max(26, 26 * rows)
