"""The report's page as a person has it before them, in light and dark, wide and narrow."""

import base64
import re

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import chromium
from transforms.reporting.measures import measure

WIDE, NARROW = 1100, 360
CHARTS = 9  # three of counts by day, two of times by day, two distributions, hours, channel types

# The contrast of each visible text with what it stands on, and the text.
CONTRASTS = """
const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
const linear = (c) => (c /= 255, c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const luminance = (color) => {
  const [r, g, b] = numbers(color).map(linear);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
};
const ground = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const color = getComputedStyle(e).backgroundColor;
    if (numbers(color)[3] !== 0) return color;
  }
};
const cells = [...document.querySelectorAll('#hours svg path')].filter((e) => e.checkVisibility());
const found = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  const text = texts.currentNode.data.trim();
  if (!text || !element.checkVisibility() || element.closest('style, .skip')) continue;
  const style = getComputedStyle(element);
  let color = style.color, under = ground(element);
  if (element.closest('svg')) {
    color = style.fill;
    const box = element.getBoundingClientRect();
    const x = box.x + box.width / 2, y = box.y + box.height / 2;
    const cell = cells.find((e) => {
      const b = e.getBoundingClientRect();
      return b.left < x && x < b.right && b.top < y && y < b.bottom;
    });
    if (cell) under = getComputedStyle(cell).fill;
  }
  found.push([contrast(color, under), text]);
}
return found;
"""


@pytest.fixture
def show(browser, page):
    """Opens the page with a width and a color scheme."""

    def opened(width=WIDE, scheme="light"):
        chromium.show(browser, page, width, scheme)
        return browser

    return opened


def charts_of(browser):
    found = browser.find_elements(By.CSS_SELECTOR, "figure [role=img]")
    return [chart for chart in found if chart.is_displayed()]


def texts_of(browser, selector):
    return [found.text for found in browser.find_elements(By.CSS_SELECTOR, selector)]


def test_opens_without_errors_and_asks_for_nothing(show):
    browser = show()
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource')") == []
    assert browser.title == "Messaging sessions, 30 September to 27 October 2024"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_all_charts_are_there_and_have_size(show, width, scheme):
    browser = show(width, scheme)
    charts = charts_of(browser)
    assert len(charts) == CHARTS
    for chart in charts:
        svg = chart.find_element(By.TAG_NAME, "svg")
        assert svg.size["width"] > 0.85 * (min(width, 960) - 48)
        assert svg.size["height"] > 50
        assert chart.accessible_name
        marks = "return arguments[0].querySelectorAll('.role-mark path, .role-mark text').length"
        assert browser.execute_script(marks, svg) >= 6


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nothing_is_wider_than_the_window(show, width):
    browser = show(width)
    widths = "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]"
    scrolled, seen = browser.execute_script(widths)
    assert scrolled == seen <= width


def test_numbers_are_those_of_the_summaries(show, summaries):
    browser = show()
    columns = {name: summaries.column(name).to_pylist() for name in summaries.schema.names}
    sides = ("agent", "end_user", "bot")
    messages = sum(sum(columns[f"{side}_messages"]) for side in sides)
    unanswered = sum(columns["ends_unanswered"])
    shown = texts_of(browser, ".figures .value")
    assert shown[:3] == [f"{len(summaries):,}", f"{messages:,}", f"{unanswered:,}"]
    for details in browser.find_elements(By.CSS_SELECTOR, "details:not([open]) > summary"):
        details.click()
    foot = texts_of(browser, "#days tfoot tr > *")
    assert foot[:3] == ["All days", f"{len(summaries):,}", f"{messages:,}"]
    days = measure(summaries, chromium.ZONE).days
    assert texts_of(browser, "#days tbody td:nth-child(2)") == [
        f"{row['sessions']:,}" for row in days.rows().values()
    ]
    median = days.together().percentile_us("agent", 50)[0]
    iso = browser.find_element(By.CSS_SELECTOR, ".figures div:nth-child(4) .value time")
    assert float(iso.get_attribute("datetime")[2:-1]) * 1e6 == pytest.approx(median)
    channels = texts_of(browser, "#channels tbody th")
    assert sorted(channels) == sorted(set(columns["channel_type"]))
    slowest = max(t for t in columns["agent_response_average_us"] if t is not None)
    first = browser.find_element(By.CSS_SELECTOR, "#slowest tbody tr td:nth-child(5) time")
    assert float(first.get_attribute("datetime")[2:-1]) * 1e6 == pytest.approx(slowest)


def test_dark_mode_changes_the_colors(show):
    colors = {}
    for scheme in ("light", "dark"):
        browser = show(scheme=scheme)
        body = browser.find_element(By.TAG_NAME, "body")
        bar = charts_of(browser)[0].find_element(By.CSS_SELECTOR, ".mark-rect path")
        text = charts_of(browser)[0].find_element(By.TAG_NAME, "text")
        colors[scheme] = [
            body.value_of_css_property("background-color"),
            body.value_of_css_property("color"),
            bar.value_of_css_property("fill"),
            text.value_of_css_property("fill"),
        ]
    assert all(
        light != dark for light, dark in zip(colors["light"], colors["dark"], strict=True)
    ), colors


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_texts_can_be_told_from_what_they_stand_on(show, width, scheme):
    contrasts = show(width, scheme).execute_script(CONTRASTS)
    assert len(contrasts) > 300
    assert [(found, text) for found, text in contrasts if found < 4.5] == []


def test_the_keyboard_reaches_everything(show):
    browser = show()
    reached = []
    for _ in range(60):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        element = browser.switch_to.active_element
        if element.tag_name == "body":
            break
        reached.append((element.tag_name, element.get_attribute("aria-label") or element.text))
        assert element.is_displayed()
        if element.tag_name == "summary":
            assert element.value_of_css_property("outline-style") == "solid"
    names = [text for tag, text in reached if tag == "summary"]
    assert reached[0] == ("a", "Skip to the figures")
    assert [tag for tag, _ in reached[1:9]] == ["a"] * 8
    assert names == texts_of(browser, "summary")
    assert ("div", "slowest sessions") in reached


def test_tables_open_by_the_keyboard(show):
    browser = show()
    summary = browser.find_element(By.CSS_SELECTOR, "#times summary")
    table = browser.find_element(By.CSS_SELECTOR, "#times table")
    assert not table.is_displayed()
    summary.send_keys(Keys.ENTER)
    assert table.is_displayed()


def test_the_skip_link_shows_itself_and_leads_to_the_figures(show):
    browser = show()
    browser.switch_to.active_element.send_keys(Keys.TAB)
    link = browser.switch_to.active_element
    assert link.rect["y"] >= 0
    link.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "figures"


def test_prints_on_a_few_pages(show):
    browser = show(scheme="dark")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    pages = re.findall(rb"/Type\s*/Page\b", base64.b64decode(printed["data"]))
    assert 3 <= len(pages) <= 5
