"""The browser, and the page that `session-report` makes of some weeks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from pipelines import report
from tests.browser import chromium
from tests.support.summaries import computed, contact_centre
from transforms.writing.encoders import encode
from transforms.writing.summary_rows import SUMMARIES_OUTPUT


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    with chromium.started() as driver:
        yield driver


@pytest.fixture(scope="session")
def summaries():
    return contact_centre()


@pytest.fixture(scope="session")
def page(summaries, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "summaries.avro").write_bytes(
        b"".join(encode(SUMMARIES_OUTPUT, computed(summaries), "avro"))
    )
    args = ("--summaries", folder / "summaries.avro", "--output", folder / "page.html")
    zone = ("--report_time_zone", chromium.ZONE, "--runner", "FnApiRunner")
    assert report.main([*map(str, args), *zone]) == 0
    return folder / "page.html"
