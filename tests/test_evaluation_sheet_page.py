"""The sheet as a page in a real browser: checked by keyboard, kept over a reload, and read back."""

import csv
import io
import json
import time
from pathlib import Path

import pytest
import yaml
from chromium import open_page, requests_of
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from ocrray.cli import main
from ocrray.evaluation.sheet import read_sheet

SCRIPT = "</script><script>document.title='owned'</script>"
TRUTH = "the cat sat on the mat"


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """A drawn sheet of 24 records of which none has a truth; returns the folder of sample.html."""
    texts = [("tbe cat sat on tbe mat", TRUTH), ("=1+1", f'+"{SCRIPT}"\nand; more'), ("same", "same")] * 8
    rows = [{"id": f"r{number}", "ocr": raw, "said": said} for number, (raw, said) in enumerate(texts)]
    (tmp_path / "table.jsonl").write_text("\n".join(map(json.dumps, rows)))
    columns = {"id_column": "id", "raw_column": "ocr", "corrected_column": "said"}
    config = {"input": {"paths": [str(tmp_path / "table.jsonl")], **columns}, "output": {"path": str(tmp_path / "out")}}
    config |= {"sample": 24, "bleu_ter_words": 0, "bootstrap": {"resamples": 100}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["evaluate", str(tmp_path / "config.yaml")]) == 0
    return tmp_path / "out"


def opened(browser: webdriver.Chrome, sheet: Path, width: int = 1200) -> None:
    """The page in a browser that has never seen it, saving into a folder of its own."""
    open_page(browser, sheet / "sample.html", width)
    browser.execute_script("localStorage.clear()")
    open_page(browser, sheet / "sample.html", width)


def saved(browser: webdriver.Chrome, sheet: Path) -> str:
    """The file that the page saves, once it is whole."""
    folder = sheet.parent / "downloads"
    where = {"behavior": "allow", "downloadPath": str(folder)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    browser.find_element(By.ID, "save").click()
    until = time.monotonic() + 10
    while not (folder / "sample.csv").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    return (folder / "sample.csv").read_bytes().decode("utf-8")


def typed(browser: webdriver.Chrome, *keys: str) -> None:
    """Press keys where the page has put the cursor."""
    browser.switch_to.active_element.send_keys(*keys)


def text(browser: webdriver.Chrome, name: str) -> str:
    """What stands in the element of this id."""
    return browser.find_element(By.ID, name).text


def test_sheet_page_checked_by_keyboard_is_read_back_as_it_was_typed(sheet: Path, browser: webdriver.Chrome) -> None:
    """Every record checked with Ctrl+Enter, two of them put right: the verb reads the page's own file and estimates."""
    opened(browser, sheet)
    drawn = len(list(csv.DictReader(io.StringIO((sheet / "sample.csv").read_text("utf-8-sig")))))
    assert text(browser, "checked") == f"0 of {drawn} checked"
    changed = {}
    for number in range(drawn):
        if number < 2:
            changed[text(browser, "id")] = browser.find_element(By.ID, "truth").get_property("value") + " and\nmore"
            typed(browser, " and\nmore")
        typed(browser, Keys.CONTROL, Keys.ENTER)
    assert text(browser, "checked") == f"{drawn} of {drawn} checked"

    (sheet / "sample.csv").write_text(saved(browser, sheet), encoding="utf-8", newline="")
    truths = read_sheet((sheet / "sample.csv").read_bytes().decode(), "sample.csv")
    assert len(truths) == drawn
    assert {record: truths[record] for record in changed} == changed
    assert main(["evaluate", str(sheet.parent / "config.yaml")]) == 0
    assert json.loads((sheet / "evaluation.json").read_text())["estimated_from"]


def test_sheet_page_untouched_saves_the_sheet_that_lies_beside_it(sheet: Path, browser: webdriver.Chrome) -> None:
    """Formulas, quotation marks, line feeds and scripts come out of the page as they are in the CSV."""
    opened(browser, sheet)
    rows = [
        list(csv.reader(io.StringIO(one, newline="")))
        for one in (saved(browser, sheet), (sheet / "sample.csv").read_bytes().decode())
    ]
    assert rows[0] == rows[1]
    assert browser.title != "owned"
    assert all(address.startswith(("blob:", (sheet / "sample.html").as_uri())) for address in requests_of(browser))


def test_sheet_page_reload_keeps_what_was_checked(sheet: Path, browser: webdriver.Chrome) -> None:
    """A closed tab loses nothing, and the page opens where one stopped; unchecking and starting again work."""
    opened(browser, sheet)
    first = text(browser, "id")
    typed(browser, " or so", Keys.CONTROL, Keys.ENTER)
    second = text(browser, "id")
    open_page(browser, sheet / "sample.html")
    assert text(browser, "checked").startswith("1 of ")
    assert text(browser, "id") == second != first
    browser.find_element(By.ID, "previous").click()
    assert text(browser, "id") == first
    assert browser.find_element(By.ID, "truth").get_property("value").endswith(" or so")
    browser.find_element(By.ID, "reset").click()
    browser.find_element(By.ID, "uncheck").click()
    assert not browser.find_element(By.ID, "truth").get_property("value").endswith(" or so")
    assert text(browser, "checked").startswith("0 of ")


def test_sheet_page_on_a_phone_does_not_scroll_sideways(sheet: Path, browser: webdriver.Chrome) -> None:
    """Narrow screens have room for it."""
    opened(browser, sheet, width=380)
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
