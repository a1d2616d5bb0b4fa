"""`ocrray evaluate` with `fields:`, on tables and on a run, and its report in a real browser."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from chromium import open_page
from selenium.webdriver.common.by import By

from ocrray.cli import main
from ocrray.records import schema_for

SCRIPT = "</script><script>document.title='owned'</script>"


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Runs the verb on this input; returns the exit code and what it says of fields."""

    def run(config: dict[str, Any], section: str | None = "fields") -> tuple[int, dict[str, Any]]:
        keys = {"bootstrap": {"resamples": 100}, "bleu_ter_words": 0, "output": {"path": str(tmp_path / "out")}, "fields": {}}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(keys | config))
        code = main(["evaluate", str(tmp_path / "config.yaml")])
        found = json.loads((tmp_path / "out" / "evaluation.json").read_text()) if not code else {section: {}}
        return code, found[section] if section else found

    return run


def answers(path: Path, *pairs: tuple[str | None, str]) -> dict[str, Any]:
    """A table of answers and truths; returns the config that names it."""
    path.write_text("\n".join(json.dumps({"id": f"r{n}", "answer": answer, "gt": gt}) for n, (answer, gt) in enumerate(pairs)))
    return {
        "input": {"paths": [str(path)], "id_column": "id", "corrected_column": "answer", "ground_truth_column": "gt"},
    }


def test_evaluate_fields_config_that_ships_tells_each_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The made-up invoices: every kind of mistake in them has its count, on 80 columns."""
    assert main(["evaluate", "configs/evaluate/fields.yaml", "--set", f"output.path={tmp_path}"]) == 0
    scores = json.loads((tmp_path / "evaluation.json").read_text())["fields"]
    assert (scores["records"], scores["right_in_all"], scores["unreadable"]) == (12, 5, 1)
    assert scores["by_name"]["date"] | {"missed": 3, "exact_frac": 0.75, "precision": 1.0} == scores["by_name"]["date"]
    assert scores["by_name"]["vat"]["invented"] == 2
    assert scores["by_name"]["seller.name"]["exact_frac"] < scores["by_name"]["seller.name"]["similarity"] < 1
    printed = capsys.readouterr().out
    table = printed[printed.index("field") : printed.index("error rate")]
    assert "seller.name" in table
    assert max(map(len, table.splitlines())) <= 80


def test_evaluate_fields_missing_answer_is_counted(evaluate, tmp_path: Path) -> None:
    """An answer that is null is a miss, not a record that may be left out."""
    code, scores = evaluate(answers(tmp_path / "a.jsonl", (None, "total: 5"), ("total: 5", "total: 5"), ("{", "total: 5")))
    assert code == 0
    assert (scores["records"], scores["unreadable"], scores["right_in_all"]) == (3, 2, 1)
    assert scores["overall"]["recall"] == pytest.approx(1 / 3)


def test_evaluate_fields_normalisation_is_that_of_the_texts(evaluate, tmp_path: Path) -> None:
    """What `normalise` makes alike is alike in fields too."""
    table = answers(tmp_path / "a.jsonl", ("total: FIVE", "total: five"))
    assert evaluate(table)[1]["right_in_all"] == 0
    assert evaluate(table | {"normalise": {"fold_case": True}})[1]["right_in_all"] == 1


def test_evaluate_fields_truth_without_fields_is_one_line(evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A ground truth that cannot be read is the user's to mend: the record is named."""
    code, _ = evaluate(answers(tmp_path / "a.jsonl", ("total: 5", "total: 5"), ("total: 5", "five pounds")))
    assert code == 2
    assert "r1" in capsys.readouterr().err


def test_evaluate_answers_alone_are_scored_without_raw_columns(
    evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a reader read is measured by itself, and beside another reader: no reduction, nothing made worse, none dropped."""
    lines = [("the cat", "the cat"), ("the bat", "the cat"), (None, "the cat"), ("", "the cat")]
    table = answers(tmp_path / "a.jsonl", *lines)
    other = answers(tmp_path / "b.jsonl", *([("the cat", "the cat")] * 4))
    _, found = evaluate(table | {"fields": None, "baseline": other["input"], "bleu_ter_words": 100}, None)
    metrics = found["overall"]["metrics"]
    assert metrics["micro_corrected_cer"]["value"] == pytest.approx(15 / 28)
    assert metrics["micro_corrected_wer"]["value"] == pytest.approx(5 / 8)
    assert metrics["exact_frac"]["value"] == 0.25
    assert {"micro_raw_cer", "micro_cer_reduction", "made_worse_frac"}.isdisjoint(metrics)
    assert found["comparison"]["differences"]["micro_corrected_cer"]["value"] == pytest.approx(15 / 28)
    assert (found["records"]["scored"], found["records"]["without_output"]) == (4, 1)
    assert found["published_format"]["ter"] == {"score": 62.5, "num_edits": 5, "ref_length": 8.0}
    printed = capsys.readouterr().out
    assert "1 records without an answer" in printed
    assert not {"raw", "reduction", "outcome"} & set(printed.split())


def test_evaluate_fields_beside_another_system_are_compared(evaluate, tmp_path: Path) -> None:
    """Each document against the same one of the other system, whichever comes first."""
    truth = '{"no": "1", "rows": [{"a": "x"}, {"a": "y"}]}'
    table = answers(tmp_path / "a.jsonl", *([(truth, truth)] * 3), ("{", truth))
    other = answers(tmp_path / "b.jsonl", *([(truth.replace("x", "z"), truth)] * 4))
    _, found = evaluate(table | {"baseline": other["input"]}, "comparison")
    differences = {name: value["value"] for name, value in found["documents"]["differences"].items()}
    assert differences["records_exact"] == 0.75
    assert differences["field_recall"] == pytest.approx(9 / 12 - 8 / 12)


def test_evaluate_fields_of_a_run_are_those_it_extracted(evaluate, tmp_path: Path) -> None:
    """A run with `extract:` is read by its own columns; where it got no well-formed answer everything is missed."""
    row = {"raw_text": "PA 1894 Leith", "corrected_text": "title: not this", "status": "corrected"}
    fields = {"title": "Leith", "agency": None, "prices": [{"net": 1.1}, {"net": 20.0}]}
    truth = '{"title": "Leith", "prices": [{"net": 20}, {"net": 1.10}]}'
    rows = [
        row | {"record_id": "a", "ground_truth": truth, "fields": fields, "answers": [truth, "second"]},
        row | {"record_id": "b", "ground_truth": '{"title": "not this"}', "fields": None},
        {"record_id": "c", "ground_truth": '{"title": "failed"}', "status": "failed"},
    ]
    (tmp_path / "run" / "data").mkdir(parents=True)
    prices = pa.list_(pa.struct([("net", pa.float64())]))
    schema = schema_for(pa.struct([("title", pa.string()), ("agency", pa.string()), ("prices", prices)]))
    table = pa.Table.from_pylist([dict.fromkeys(schema.names) | one for one in rows], schema=schema)
    pq.write_table(table, tmp_path / "run" / "data" / "0.parquet")
    _, found = evaluate({"input": {"run": str(tmp_path / "run")}}, None)
    scores = found["fields"]
    assert scores["by_name"]["title"] | {"exact": 1, "missed": 2, "both": 1} == scores["by_name"]["title"]
    assert scores["by_name"]["prices.net"]["exact"] == 2
    assert (scores["records"], scores["unreadable"], scores["right_in_all"]) == (3, 2, 1)
    assert scores["documents"]["valid_frac"]["value"] == pytest.approx(1 / 3)
    assert found["overall"]["sums"]["exact"] == 1  # the answer as the model wrote it, not the text of the photograph


def test_report_fields_are_listed_filtered_and_harmless(evaluate, tmp_path: Path, browser) -> None:
    """The table has every field, the filter the records with a wrong one, and a hostile name stays text."""
    hostile = json.dumps({"total": "5", SCRIPT: "x"})
    evaluate(answers(tmp_path / "a.jsonl", ("total: 5", "total: 5"), ("total: 6", "total: 5"), (hostile, "total: 5")))
    open_page(browser, tmp_path / "out" / "report.html")
    assert browser.find_element(By.CSS_SELECTOR, ".verdict .figure").text == "1 of 3"
    heads = [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "[aria-labelledby=fields-heading] tbody th")]
    assert heads[-3:] == ["total", SCRIPT, "all fields"]
    button = browser.find_element(By.CSS_SELECTOR, "[data-group=wrong_fields]")
    assert button.text.endswith("(2)")
    browser.execute_script("arguments[0].click()", button)
    assert {one.text for one in browser.find_elements(By.CSS_SELECTOR, ".record h3")} == {"r1", "r2"}
    assert {tag.text for tag in browser.find_elements(By.CSS_SELECTOR, ".record .tag")} >= {
        "field total",
        f"field {SCRIPT}"[:106],
    }
    assert browser.title != "owned"
