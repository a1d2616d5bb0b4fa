"""A real browser for the pages that ocrray writes."""

import json
import shutil
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--window-size=1200,900"),
)


def start(profile: Path) -> webdriver.Chrome:
    """Headless Chromium that logs its console and every request; skips the test where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(driver))


def open_page(browser: webdriver.Chrome, path: Path, width: int = 1200) -> None:
    """Open a file at a screen's width, as a phone does if it is narrow; what was logged before is forgotten."""
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(path.as_uri())


def requests_of(browser: webdriver.Chrome) -> set[str]:
    """The addresses that the page asked for, but for what lies inside it."""
    events = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    addresses = (event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent")
    return {address for address in addresses if not address.startswith("data:")}
