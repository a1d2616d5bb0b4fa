"""The evaluation's report in a real browser: thousands of records, every filter, and hostile texts."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from chromium import open_page, requests_of
from selenium import webdriver
from selenium.webdriver.common.by import By

from ocrray.cli import main
from ocrray.records import SCHEMA
from ocrray.text.edits import edits_between

SCRIPT = "</script><script>document.title='owned'</script>"
WORDS = "the committee met on Tuesday evening in the long room over the corn exchange £14 7s. 6d. were paid".split()  # noqa: SIM905
FILTERS = ("all", "changed", "refused", "made_worse", "broke_clean", "digits", "improved", "still_wrong")


def row(record_id: str, raw: str, corrected: str, truth: str, proposed: str | None = None) -> dict[str, Any]:
    """One row of a run; with `proposed` it is a refused correction."""
    values = {"record_id": record_id, "raw_text": raw, "corrected_text": corrected, "ground_truth": truth, "status": "corrected"}
    if proposed is not None:
        refused = [asdict(edit) for edit in edits_between(raw, proposed)]
        verdict = {"start": 0, "end": len(raw), "accepted": False, "reason": f"length {SCRIPT}", "similarity": 0.2}
        values |= {"status": "kept_raw", "guard_reason": "length", "refused_edits": refused, "verdicts": [verdict]}
    return dict.fromkeys(SCHEMA.names) | values


def corpus(count: int, words: int = 40) -> list[dict[str, Any]]:
    """Records of every kind: better, worse, refused, unchanged, clean and broken."""
    rng, rows = random.Random(3), []
    for number in range(count):
        truth = " ".join(rng.choices(WORDS, k=words))
        raw = "".join({"e": "c", "h": "b", "1": "l"}.get(c, c) if rng.random() < 0.2 * (number % 5 > 0) else c for c in truth)
        uniform = rng.random()
        if uniform < 0.1:
            rows.append(row(f"r{number:05d}", raw, raw, truth, raw + " and more of it, and more of it"))
        else:
            corrected = truth if uniform < 0.6 else raw.replace("7", "9").replace("o", "0", 3) if uniform < 0.75 else raw
            rows.append(row(f"r{number:05d}", raw, corrected, truth))
    return rows


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., Path]:
    """Evaluates a run with these rows and returns the path of its report."""

    def write(rows: list[dict[str, Any]], **output: Any) -> Path:
        (tmp_path / "run" / "data").mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "run" / "data" / "0.parquet")
        config = {
            "input": {"run": str(tmp_path / "run")},
            "bootstrap": {"resamples": 100},
            "bleu_ter_words": 0,
            "output": {"path": str(tmp_path / "out"), **output},
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        assert main(["evaluate", str(tmp_path / "config.yaml")]) == 0
        return tmp_path / "out" / "report.html"

    return write


def shown_ids(browser: webdriver.Chrome) -> list[str]:
    """Ids of the records on the screen, from top to bottom."""
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, ".record h3")]


def press(browser: webdriver.Chrome, name: str) -> None:
    """Press the button of a group."""
    browser.execute_script("arguments[0].click()", browser.find_element(By.CSS_SELECTOR, f"[data-group={name}]"))


def test_report_of_5000_records_opens_fast_and_every_filter_works(report, browser) -> None:
    """Under 15 MB, open in under 2 s, no request, and each filter shows exactly the records that it names."""
    rows = corpus(5_000)
    path = report(rows)
    assert path.stat().st_size < 15_000_000
    seconds = []
    for _ in range(3):  # the quickest counts: the machine may be busy
        started = time.perf_counter()
        open_page(browser, path)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 2
    assert browser.get_log("browser") == []
    assert requests_of(browser) == {path.as_uri()}

    changed = {r["record_id"] for r in rows if r["raw_text"] != r["corrected_text"]}
    wrong = {r["record_id"]: distance(r["raw_text"], r["ground_truth"]) for r in rows}
    left = {r["record_id"]: distance(r["corrected_text"], r["ground_truth"]) for r in rows}
    expected = {
        "all": set(wrong),
        "changed": changed,
        "refused": {r["record_id"] for r in rows if r["status"] == "kept_raw"},
        "made_worse": {name for name in wrong if left[name] > wrong[name]},
        "broke_clean": {name for name in wrong if left[name] > wrong[name] == 0},
        "digits": {r["record_id"] for r in rows if digits(r["raw_text"]) != digits(r["corrected_text"])},
        "improved": {name for name in wrong if left[name] < wrong[name]},
        "still_wrong": {name for name in left if left[name]},
    }
    assert set(expected) == set(FILTERS)
    for name, ids in expected.items():
        assert len(ids) > 0, name
        press(browser, name)
        assert f"of {len(ids):,}" in browser.find_element(By.ID, "position").text
        assert set(shown_ids(browser)) <= ids
        assert len(shown_ids(browser)) == 10
    assert browser.get_log("browser") == []


def distance(left: str, right: str) -> int:
    """Characters that differ: these texts differ by substitutions alone."""
    return sum(a != b for a, b in zip(left, right, strict=True))


def digits(text: str) -> list[str]:
    """The digits of a text, in order."""
    return [char for char in text if char.isdigit()]


def test_report_pages_orders_and_finds(report, browser) -> None:
    """Worst first by default, ten at a time; what is searched for is found in texts and ids."""
    rows = corpus(60)
    rows.append(row("needle", "a haystack witb it", "a haystack with it", "a haystack with it"))
    open_page(browser, report(rows))
    worse = {r["record_id"]: distance(r["corrected_text"], r["ground_truth"]) for r in rows}
    for r in rows:
        worse[r["record_id"]] -= distance(r["raw_text"], r["ground_truth"])
    first = shown_ids(browser)
    assert [worse[name] for name in first] == sorted(worse.values(), reverse=True)[:10]
    browser.execute_script("document.getElementById('next').click()")
    second = shown_ids(browser)
    assert len(set(first) | set(second)) == 20
    assert browser.find_element(By.ID, "position").text == "11–20 of 61"
    browser.execute_script("document.getElementById('previous').click()")
    assert shown_ids(browser) == first
    browser.execute_script("const o = document.getElementById('order'); o.value = 'best'; o.dispatchEvent(new Event('change'))")
    assert [worse[name] for name in shown_ids(browser)] == sorted(worse.values())[:10]
    for words in ("HAYSTACK", "needl"):
        find = browser.find_element(By.ID, "find")
        find.clear()
        find.send_keys(words)
        assert shown_ids(browser) == ["needle"]


def test_report_record_shows_what_changed_was_refused_and_is_still_wrong(report, browser) -> None:
    """Deleted and inserted letters are marked, the refused edits and the remaining errors fold out."""
    open_page(browser, report([row("a", "tbe cct", "the cct", "the cat"), row("b", "tbe", "tbe", "the", "the cow")]))
    changed, refused = (browser.find_element(By.XPATH, f"//article[.//bdi[text()='{name}']]") for name in ("a", "b"))
    texts = [block.get_property("textContent") for block in changed.find_elements(By.TAG_NAME, "del")]
    assert texts == ["b", "c"]
    assert [block.get_property("textContent") for block in changed.find_elements(By.TAG_NAME, "ins")] == ["h", "a"]
    assert "length" in refused.text
    assert "What the guard refused" in refused.text


@pytest.mark.parametrize("width", [390, 1200])
def test_report_hostile_texts_are_text_and_nothing_scrolls_sideways(report, browser, width: int) -> None:
    """Mark-up in texts, ids, reasons and title is shown, not run; control characters and long words do no harm."""
    long = "x" * 3000
    rows = [row(f"{SCRIPT}{long}", f"{SCRIPT} raw\0 {long} &lt;", f"{SCRIPT} <b>better</b> {long}", f"{SCRIPT} truth")]
    rows.append(row("\u202ereversed", f"a {SCRIPT}", f"a {SCRIPT}", "b", f"<img src=http://example.com/{long}>"))
    path = report(rows, title=f"T {SCRIPT} {long}")
    open_page(browser, path, width)
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    assert browser.title.startswith("T </script>")
    assert "<b>better</b>" in browser.find_element(By.ID, "records").text
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    assert requests_of(browser) == {path.as_uri()}


def test_report_of_long_texts_is_cut_until_it_fits(report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where whole texts would make too large a file, all are cut, and every record is there."""
    monkeypatch.setattr("ocrray.evaluation.report._MAX_RECORDS_BYTES", 60_000)
    truth = " ".join(random.Random(1).choices(WORDS, k=500))
    rows = [row(f"p{n}", truth.replace("e", "c", 20), truth.replace("e", "c", 10), truth) for n in range(30)]
    text = report(rows).read_text()
    records = text.partition('id="data">')[2].partition("</script>")[0]
    assert len(records.encode()) < 60_100
    assert {record["id"] for record in json.loads(records)} == {f"p{n}" for n in range(30)}


def test_report_shows_as_many_as_asked_for_the_worst_among_them(report) -> None:
    """Of a large corpus the records made worst and refused ones are kept, and the page says that it is not all."""
    path = report(corpus(400), report_records=50)
    text = path.read_text()
    records = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert len(records) == 50
    assert sum("refused" in record for record in records) >= 10
    assert sum(record["counts"][2] > record["counts"][1] for record in records) >= 15
    assert "50 of 400 records are here" in " ".join(text.split())
