"""The charts as they are drawn, and that they do not depend on the machine."""

import os
import re
import subprocess
import sys

import pytest

from tests.support.cli import ROOT
from tests.support.page import axis_labels
from tests.support.summaries import DAY_US, HOUR_US, SECOND_US
from transforms.reporting import charts
from transforms.reporting.charts import NARROW, WIDE


def test_a_day_stands_in_the_middle_of_its_label():
    svg = charts.draw(charts.counts_by_day([("red", {20_000: 5, 20_003: 5})]), WIDE)
    bars = [
        (float(left), float(width))
        for left, width in re.findall(r'd="M([.\d]+),[^h]*h([.\d]+)v[^"]*" fill="red"', svg)
    ]
    axis = re.search(r'role-axis-label">(.*?)</g>', svg)[1]
    places = dict(zip(axis_labels(svg)[0], re.findall(r"translate\(([-.\d]+),", axis), strict=True))
    for (left, width), name in zip(bars, ("4 Oct", "7 Oct"), strict=True):
        assert left + width / 2 == pytest.approx(float(places[name]), abs=1)


def test_parts_are_on_top_of_each_other():
    spec = charts.counts_by_day([("red", {1: 2, 2: 0}), ("blue", {1: 3, 2: 4})])
    red, blue = (
        [(row["y2"], row["y"]) for row in layer["data"]["values"]] for layer in spec["layer"]
    )
    assert red == [(0, 2)]
    assert blue == [(2, 5), (0, 4)]


def test_many_days_are_an_area_that_ends_after_the_last_day_before_a_gap():
    spec = charts.counts_by_day([("red", {0: 2, 1: 3, 200: 1})])
    assert spec["layer"][0]["mark"]["type"] == "area"
    rows = spec["layer"][0]["data"]["values"]
    days = [row["x"] / 86_400_000 + 0.5 for row in rows]
    assert list(zip(days, (row["y"] for row in rows), strict=True)) == [
        *((0, 2), (1, 3), (2, 0)),
        *((200, 1), (201, 0)),
    ]


def test_lines_are_broken_where_a_day_has_no_time():
    times_us = {0: SECOND_US, 1: 2 * SECOND_US, 5: SECOND_US}
    spec = charts.times_by_day(times_us, times_us, (0, 5), "red")
    line = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "line")
    rows = [(row["x"] / 86_400_000, row["y"]) for row in line["data"]["values"]]
    assert rows == [
        *((0, SECOND_US), (1, 2 * SECOND_US), (1.5, None)),
        *((5, SECOND_US), (5.5, None)),
    ]
    lines = re.findall(r'mark-line[^>]*><path d="([^"]*)"', charts.draw(spec, WIDE))
    assert [(line.count("M"), line.count("L")) for line in lines] == [(2, 1), (2, 1)]


BARS = [(714_285, SECOND_US, 1), (SECOND_US, 1_414_213, 4), (1_414_213, 100_000 * SECOND_US, 2)]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize(
    ("median_us", "p90_us", "anchors"),
    [
        (60 * SECOND_US, 300 * SECOND_US, {WIDE: ["end", "start"], NARROW: ["end", "start"]}),
        (0, 3, {WIDE: ["start", "start"], NARROW: ["start", "start"]}),
        (60 * SECOND_US, 3 * HOUR_US, {WIDE: ["end", "start"], NARROW: ["end", "end"]}),
        (DAY_US, DAY_US, {WIDE: ["end", "end"], NARROW: ["end", "end"]}),
    ],
)
def test_the_times_that_are_pointed_out_stand_where_there_is_room(
    median_us, p90_us, anchors, width
):
    spec = charts.distribution(
        BARS, ((median_us, "median 1 min"), (p90_us, "90 % within 1 h")), "red"
    )
    svg = charts.draw(spec, width)
    found = re.findall(r'<text text-anchor="(\w+)"[^>]*>(?:median|90)', svg)
    assert found == anchors[width]


def test_labels_that_would_overlap_are_left_out():
    """A narrow axis to 30 days has no room for all of its names, and their grid lines stay."""
    bars = [*BARS[:2], (1_414_213, 100 * DAY_US, 2)]
    spec = charts.distribution(bars, ((SECOND_US, "median"), (SECOND_US, "90 %")), "red")
    assert axis_labels(charts.draw(spec, WIDE))[0][-3:] == ["1 day", "7 days", "30 days"]
    assert "7 days" not in axis_labels(charts.draw(spec, NARROW))[0]
    assert 'opacity="0"' not in charts.draw(spec, NARROW)


def test_names_need_not_differ_and_long_ones_are_cut():
    rows = [("same", SECOND_US, HOUR_US), ("same", SECOND_US, HOUR_US), ("x" * 99, 0, SECOND_US)]
    svg = charts.draw(charts.ranges(rows, "red", 120), NARROW)
    first, second, cut = axis_labels(svg)[1]
    assert (first, second) == ("same", "same")
    assert re.fullmatch("x{10,30}…", cut)


def test_names_from_data_are_text():
    name = '"]+alert(1)+["</text><script> \\ \u2028 \' 1.23456'
    svg = charts.draw(charts.ranges([(name, SECOND_US, HOUR_US)], "red", 900), WIDE)
    assert "1.23456" in svg
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg


def test_cells_stand_in_their_column_and_row():
    spec = charts.heat_map([(0, 1, "5s", 2), (1, 0, "3m", 6)], ["a", "b"], ["c", "d"])
    svg = charts.draw(spec, NARROW)
    assert axis_labels(svg) == [["a", "b"], ["c", "d"]]
    fills = re.findall(r'fill="(var\(--heat[^"]*)"', svg)
    assert fills == [f"var(--heat-{name})" for name in ("2", "6", "ink-2", "ink-6")]
    left, top = (
        [
            float(at)
            for at in re.search(rf"translate\(([.\d]+),([.\d]+)\)[^>]*>{text}<", svg).groups()
        ]
        for text in ("5s", "3m")
    )
    assert left[0] < top[0]
    assert left[1] > top[1]


@pytest.mark.slow
def test_fonts_of_the_machine_make_no_difference():
    """One process finds no font on the machine, and the other those that are there."""
    code = """
from transforms.reporting import charts
rows = [("EmbeddedMessaging", 10**6, 10**8), ("WhatsApp or another name that is cut", 10**6, 10**9)]
print(charts.draw(charts.ranges(rows, "red", 120), charts.NARROW))
"""
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": str(ROOT)} | fonts,
            capture_output=True,
            check=True,
        ).stdout
        for fonts in ({}, {"FONTCONFIG_FILE": os.devnull, "HOME": os.devnull})
    ]
    assert found[0] == found[1]
    assert b"font" not in found[0].replace(b"font-size", b"")
