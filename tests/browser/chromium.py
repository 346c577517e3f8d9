"""A headless Chromium, and pictures of pages.

python -m tests.browser.chromium PAGE.html PICTURE.png
"""

import base64
import contextlib
import pathlib
import shutil
import sys
from collections.abc import Iterator

from selenium import webdriver

ARGUMENTS = (
    "--headless=new",
    # Chromium refuses to run as root with its sandbox.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    # The page needs no network.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
# Time zone of the pages that the tests look at.
ZONE = "Europe/Berlin"
PICTURE_WIDTH, PICTURE_HEIGHT = 1000, 1085


@contextlib.contextmanager
def started() -> Iterator[webdriver.Chrome]:
    """The browser, until the context ends."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def show(driver: webdriver.Chrome, page: pathlib.Path, width: int, scheme: str) -> None:
    """Opens a page in a window of a width, in the color scheme `light` or `dark`."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get(page.as_uri())


def main(page: str, picture: str) -> None:
    with started() as driver:
        show(driver, pathlib.Path(page).resolve(), PICTURE_WIDTH, "light")
        clip = {"x": 0, "y": 0, "width": PICTURE_WIDTH, "height": PICTURE_HEIGHT, "scale": 1}
        options = {"clip": clip, "captureBeyondViewport": True}
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", options)
    pathlib.Path(picture).write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
