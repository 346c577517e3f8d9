"""The page of a report, read back."""

import dataclasses
import html.parser
import re

from tests.support.summaries import SECOND_US

VOID = {"meta", "br"}


@dataclasses.dataclass
class Table:
    caption: str
    head: list[str]
    rows: list[list[str]]
    times_us: list[list[int | None]]


class Page(html.parser.HTMLParser):
    """The elements of a page, each closed where it should be, and what its tables hold."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[Table] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append(Table("", [], [], []))
        if tag == "tr" and "thead" not in self.open:
            self.tables[-1].rows.append([])
            self.tables[-1].times_us.append([])
        if tag in ("td", "th") and "tr" in self.open:
            head = "thead" in self.open
            (self.tables[-1].head if head else self.tables[-1].rows[-1]).append("")
            if not head:
                self.tables[-1].times_us[-1].append(None)
        if tag == "time" and "tr" in self.open:
            iso = dict(attrs)["datetime"]
            if found := re.fullmatch(r"PT(\d+)(?:\.(\d+))?S", iso):
                micros = int(found[1]) * SECOND_US + int((found[2] or "0").ljust(6, "0"))
                self.tables[-1].times_us[-1][-1] = micros
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)
        if "caption" in self.open:
            self.tables[-1].caption += data
        elif "tr" in self.open:
            cells = self.tables[-1].head if "thead" in self.open else self.tables[-1].rows[-1]
            cells[-1] += data

    def table(self, caption: str) -> Table:
        (found,) = (table for table in self.tables if caption in table.caption)
        return found


def axis_labels(svg: str) -> list[list[str]]:
    """The names on the axes of a chart: those of each axis, in the order of the drawing."""
    axes = re.findall(r'role-axis-label">(.*?)</g>', svg)
    return [re.findall(r">([^<]*)</text>", axis) for axis in axes]
