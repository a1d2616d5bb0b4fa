"""The report in a real browser, on plausible and on hostile rows."""

import functools
import io
import time
from pathlib import Path

import pytest
from chromium import open_page, requests_of
from lxml import html
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By

from ocrray.corpus.about import About
from ocrray.corpus.card import write_card
from ocrray.corpus.panels import PANELS
from ocrray.corpus.report import write_report
from ocrray.corpus.summary import summarise
from ocrray.errors import RecordError

SCRIPT = "<script>document.title='owned'</script>"


def report_of(output: Path, **fields) -> Path:
    """Write the report of a folder's data, and return its path."""
    settings = {"summary": summarise(output / "data"), "config_yaml": "guard: {}\n", "title": "A report"} | fields
    write_report(output, **settings)
    return output / "report.html"


def scan(*_: object) -> bytes:
    """A JPEG that stands for a page, whichever it is."""
    return noise(600, 860)


@functools.cache
def noise(*size: int) -> bytes:
    """A JPEG that compresses badly."""
    buffer = io.BytesIO()
    Image.effect_noise(size, 60).save(buffer, "JPEG", quality=70)
    return buffer.getvalue()


def shown_ids(browser: webdriver.Chrome) -> list[str]:
    """Ids of the records on the screen, from top to bottom."""
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, ".record h3") if element.is_displayed()]


def test_report_opens_fast_and_clean_without_network(corpus, rows, browser) -> None:
    """No console message, no request but for the file itself, under 2 s with scans in it."""
    path = report_of(corpus(rows.newspaper(300)), thumbnail=scan)
    started = time.perf_counter()
    open_page(browser, path)
    assert time.perf_counter() - started < 2
    assert browser.get_log("browser") == []
    assert requests_of(browser) == {path.as_uri()}
    pictures = browser.find_elements(By.CSS_SELECTOR, ".record img")
    assert pictures
    assert all(browser.execute_script("return arguments[0].naturalWidth", picture) == 600 for picture in pictures[:6])


def test_report_buttons_show_each_group_and_page_in_order(corpus, rows, browser) -> None:
    """Filter and pager show the group's own records, worst first, six at a time."""
    mixed = rows.newspaper(300)
    open_page(browser, report_of(corpus(mixed)))
    worse = {row["record_id"]: row["corrected_distance"] - row["raw_distance"] for row in mixed if row["ground_truth_chars"]}
    browser.find_element(By.CSS_SELECTOR, "[data-group=made_worse]").click()
    first = shown_ids(browser)
    browser.find_element(By.ID, "next").click()
    second = shown_ids(browser)
    assert len(first) == len(second) == 6
    assert [worse[record_id] for record_id in first + second] == sorted(worse.values(), reverse=True)[:12]
    assert not browser.find_element(By.ID, "next").is_enabled()
    browser.find_element(By.ID, "previous").click()
    assert shown_ids(browser) == first
    browser.find_element(By.CSS_SELECTOR, "[data-group=kept_raw]").click()
    status = {row["record_id"]: row["status"] for row in mixed}
    assert {status[record_id] for record_id in shown_ids(browser)} == {"kept_raw"}
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [390, 1200])
def test_report_hostile_rows_are_text_and_nothing_scrolls_sideways(corpus, rows, browser, width: int) -> None:
    """Mark-up in texts, ids, URIs, errors and config is shown, not run, and long words do not widen the page."""
    long = "x" * 3000
    texts = f"{SCRIPT} raw {long}", f"{SCRIPT} better {long}", SCRIPT
    hostile = [rows.row(f"{SCRIPT}{n}", *texts, source_uri=f"/{SCRIPT}{long}", note=SCRIPT) for n in range(3)]
    hostile += [
        rows.refusal("refused", f"a {SCRIPT}", f"b {SCRIPT}", reason=f"'\"><img src=http://example.com/{long}>", note="\u202e"),
        rows.failure(f"failed {SCRIPT}", SCRIPT, f"{SCRIPT}{long}", f"bad {SCRIPT} {long}", note=None),
    ]
    path = report_of(corpus(hostile), title=f"T {SCRIPT} {long}", config_yaml=f"a: {SCRIPT}{long}</pre>")
    open_page(browser, path, width)
    for details in browser.find_elements(By.TAG_NAME, "details"):
        browser.execute_script("arguments[0].open = true", details)
    assert browser.title.startswith(f"T {SCRIPT}")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    assert requests_of(browser) == {path.as_uri()}


def test_report_any_script_shows_the_diff_of_the_row(corpus, rows, browser) -> None:
    """Right-to-left and Devanagari text comes out whole, in its own direction, and NUL as U+FFFD."""
    texts = {"ar": ("مرحبا بالعالم الكبير", "مرحبا بالعالم الصغير"), "hi": ("यह कि किताब", "यह की किताब"), "nul": ("a\0b", "a b")}
    open_page(browser, report_of(corpus([rows.row(name, *pair) for name, pair in texts.items()])))
    browser.find_element(By.CSS_SELECTOR, "[data-group=sample]").click()
    for record in browser.find_elements(By.CSS_SELECTOR, ".record"):
        name, block = record.find_element(By.TAG_NAME, "h3").text, record.find_element(By.CSS_SELECTOR, ".text")
        deleted = [part.get_property("textContent") for part in block.find_elements(By.TAG_NAME, "del")]
        inserted = [part.get_property("textContent") for part in block.find_elements(By.TAG_NAME, "ins")]
        if name == "hi":
            assert (deleted, inserted) == (["कि"], ["की"])
        elif name == "nul":
            assert (deleted, inserted) == (["\ufffd"], ["␣"])
        else:
            assert block.value_of_css_property("direction") == "rtl"


def test_report_diff_is_marked_by_more_than_colour(corpus, rows, browser) -> None:
    """Who sees no colours sees a line through what is gone and under what is new."""
    open_page(browser, report_of(corpus([rows.row("a", "tbe cat", "the cat")])))
    decoration = {name: browser.find_element(By.CSS_SELECTOR, f".record {name}") for name in ("del", "ins")}
    assert decoration["del"].value_of_css_property("text-decoration-line") == "line-through"
    assert decoration["ins"].value_of_css_property("text-decoration-line") == "underline"


def test_report_without_script_holds_every_record(corpus, rows) -> None:
    """Printed, or with scripts off, the file shows all it has; every picture has words in its place."""
    tree = html.parse(report_of(corpus(rows.newspaper(200)), thumbnail=scan))
    records = tree.xpath("//article")
    assert 30 < len(records) <= 60
    assert not tree.xpath("//article[@hidden]")
    assert all(picture.get("alt") for picture in tree.xpath("//img"))
    assert all(picture.get("src").startswith("data:image/jpeg;base64,") for picture in tree.xpath("//img"))


def test_report_totals_equal_the_summary(corpus, rows) -> None:
    """The figures on the page are those of the corpus."""
    output = corpus(rows.newspaper(150))
    summary = summarise(output / "data")
    figures = html.parse(report_of(output)).xpath("//section[1]//dl[@class='tiles']//*[@class='figure']/text()")
    assert figures == [str(summary.status[status]) for status in ("corrected", "unchanged", "kept_raw", "failed")]


def test_report_cascade_tells_what_was_sent_on(corpus, rows, browser) -> None:
    """How much went to the language model, which records, and a filter for those that the tagger doubts most."""
    sent = [rows.row(f"sent-{n}", "tbe", "the", estimated_cer=0.3 + n / 100, tagger_edits=[], corrector="hf") for n in range(3)]
    kept = [rows.row(f"kept-{n}", "the", "the", estimated_cer=0.001) for n in range(9)]
    open_page(browser, report_of(corpus([*sent, *kept])))
    assert "25.0 % of the characters" in browser.find_element(By.CSS_SELECTOR, "#processing-heading ~ dl").text.replace(
        "\u00a0", " "
    )
    browser.find_element(By.CSS_SELECTOR, "[data-group=doubtful]").click()
    assert shown_ids(browser)[:3] == ["sent-2", "sent-1", "sent-0"]
    sources = [part.text for part in browser.find_elements(By.CSS_SELECTOR, ".record .source") if part.is_displayed()]
    assert ["sent on to hf" in source for source in sources] == [True] * 3 + [False] * 3


def test_report_correction_that_harms_says_so(corpus, rows) -> None:
    """A run that made the corpus worse opens with a warning."""
    tree = html.parse(report_of(corpus([rows.row("a", "the cat sat", "tbe cal saf", "the cat sat here")])))
    assert tree.xpath("//header//*[@class='warn']")


def test_report_scans_too_many_for_the_limit_stays_under_15_mb(corpus, rows) -> None:
    """Pictures are embedded while there is room, and the records without one are shown all the same."""
    huge = noise(1500, 1500)
    assert 40 * len(huge) > 15_000_000
    path = report_of(corpus(rows.newspaper(300)), thumbnail=lambda *_: huge)
    tree = html.parse(path)
    assert 10_000_000 < path.stat().st_size < 15_000_000
    assert 0 < len(tree.xpath("//img")) < len(tree.xpath("//article"))


def test_report_very_long_records_stay_small(corpus, rows) -> None:
    """Of a page of 40,000 characters the report shows the edits, not the page."""
    raw = "It was a darkc night. " * 2_000
    records = [rows.row(f"{n}", raw, raw.replace("darkc", "dark"), source_kind="image") for n in range(3)]
    assert report_of(corpus(records)).stat().st_size < 150_000


def test_report_thumbnail_that_fails_leaves_the_record(corpus, rows) -> None:
    """A scan that has gone, or cannot be drawn, is no reason not to report."""

    def thumbnail(uri: str, page: int) -> bytes | None:
        if uri[-5] in "02468":
            raise RecordError(f"{uri}: page {page} is gone", kind="missing")
        return None

    tree = html.parse(report_of(corpus(rows.newspaper(20)), thumbnail=thumbnail))
    assert tree.xpath("//article")
    assert not tree.xpath("//img")


def test_report_thumbnail_is_asked_for_the_scan_behind_a_text(corpus, rows) -> None:
    """A page of a PDF is its own scan; an ALTO file's scan is the image it names; a table's row has none."""
    asked = []
    records = [
        rows.row("pdf", "x", "y", source_uri="/a.pdf", source_kind="pdf", page=3),
        rows.row("alto", "x", "y", source_uri="/a.xml", source_kind="alto", page=1, image_uri="/a.jp2"),
        rows.row("table", "x", "y", source_uri="/a.csv", source_kind="table", page=9),
    ]
    report_of(corpus(records), thumbnail=lambda uri, page: asked.append((uri, page)))
    assert sorted(asked) == [("/a.jp2", 0), ("/a.pdf", 3)]


def test_report_empty_corpus_is_a_report(tmp_path: Path) -> None:
    """Nothing in, a page that says so out."""
    tree = html.parse(report_of(tmp_path))
    assert not tree.xpath("//article")
    assert tree.xpath("//h1/text()") == ["A report"]


def test_report_sections_are_the_panels_that_have_data(corpus, rows) -> None:
    """Every panel with data is a section of its own name, in the order of the list; the others are left out."""
    tree = html.parse(report_of(corpus([rows.row("a", "tbe", "the"), rows.failure("b")])))
    names = [panel.name for panel in PANELS if panel.name not in ("quality", "fields")]
    assert tree.xpath("//main/section/@id") == names


def test_report_text_that_was_not_corrected_has_no_panel_of_changes(corpus, rows) -> None:
    """Recognition alone changes nothing; a histogram of zeros would say that it tried."""
    recognized = rows.row("a", "the", "the", corrector="", model="", model_revision="")
    assert not html.parse(report_of(corpus([recognized]))).xpath("//section[@id='changes']")


@pytest.mark.parametrize("corrected", [[], [{"raw": "tbe", "corrected": "the"}]], ids=["all failed", "some corrected"])
def test_report_truth_of_failed_records_alone_is_not_denied(corpus, rows, corrected: list[dict[str, str]]) -> None:
    """Report and card say that nothing could be measured, not that there was no ground truth."""
    output = corpus([rows.failure("a", ground_truth="the"), *(rows.row("b", **texts) for texts in corrected)])
    text = report_of(output).read_text(encoding="utf-8")
    write_card(output, summary=summarise(output / "data"), about=About(title="A corpus"))
    for page in (text, (output / "README.md").read_text(encoding="utf-8")):
        assert "Every record with ground truth failed, so quality was not measured" in page
        assert "No ground truth" not in page


def test_report_refusal_shows_the_span_and_the_proposed_text(corpus, rows) -> None:
    """A reader sees what the guard refused without counting characters."""
    verdict = {"start": 4, "end": 9, "accepted": False, "reason": "language", "similarity": 0.6}
    edits = [{"start": 5, "end": 6, "raw": "b", "corrected": "a"}, {"start": 8, "end": 9, "raw": "5", "corrected": "s"}]
    refused = rows.refusal("a", "the cbts5 sat", "the cats sat") | {"verdicts": [verdict], "refused_edits": edits}
    (item,) = html.parse(report_of(corpus([refused]))).xpath("//ul[@class='refusals']/li")
    assert " ".join(item.text_content().split()).startswith("Refused (language): cbts5 → catss")
