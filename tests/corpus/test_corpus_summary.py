"""What one pass over the Parquet files makes of a corpus."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ocrray.corpus.about import About
from ocrray.corpus.card import write_card
from ocrray.corpus.examples import read_rows
from ocrray.corpus.provenance import Provenance
from ocrray.corpus.summary import BIN_ENDS, Summary, summarise
from ocrray.errors import OcrrayError
from ocrray.records import WARNING_MEANINGS
from ocrray.storage import Location
from ocrray.text.metrics import cer_totals


def test_summarise_mixed_corpus_equals_counts_of_rows(corpus, rows) -> None:
    """Every figure is what a plain loop over the rows gives, however the rows are spread over files."""
    mixed = rows.newspaper(200)
    summary = summarise(corpus(mixed, files=3) / "data")
    assert summary.records == 200
    assert summary.status == Counter(row["status"] for row in mixed)
    assert summary.raw_chars == sum(len(row["raw_text"] or "") for row in mixed)
    assert summary.corrected_chars == sum(len(row["corrected_text"] or "") for row in mixed)
    assert summary.kept_raw == Counter(row["guard_reason"] for row in mixed if row["guard_reason"])
    assert summary.failed == Counter((row["failed_stage"], row["error_kind"]) for row in mixed if row["status"] == "failed")
    changes = [max(edit["end"] - edit["start"], len(edit["corrected"])) for row in mixed for edit in row["edits"]]
    assert summary.changed_chars == sum(changes)
    assert summary.passthrough == ["title"]
    assert summary.gone == sum(bool(row["gone"]) for row in mixed) > 0


def test_summarise_warnings_are_counted_by_name_and_shown(corpus, rows) -> None:
    """A record with two warnings counts for both; the report shows such records, and the card says what the names mean."""
    two = rows.row("b", "x", "x", warnings=["no_text", "text_not_read"])
    folder = corpus([rows.row("a", "x", "x"), two, rows.row("c", "x", "x", warnings=["no_text"])])
    summary = Summary.from_json(summarise(folder / "data").to_json())
    assert summary.warnings == {"no_text": 2, "text_not_read": 1}
    assert {place.row for place in summary.groups["warnings"].places} == {1, 2}
    write_card(folder, summary=summary, about=About(title="t"))
    assert f"`no_text` (2: {WARNING_MEANINGS['no_text']})" in (folder / "README.md").read_text()


def test_summarise_ground_truth_equals_totals_of_all_rows(corpus, rows) -> None:
    """Quality gathered batch by batch is the quality of the whole."""
    mixed = rows.newspaper(150)
    scored = [row for row in mixed if row["corrected_distance"] is not None]
    summary = summarise(corpus(mixed, files=2) / "data")
    columns = [[row[name] for row in scored] for name in ("ground_truth_chars", "raw_distance", "corrected_distance")]
    expected = cer_totals(*columns)
    assert summary.quality.made_worse == expected.made_worse > 0
    assert summary.quality.micro_cer_reduction == expected.micro_cer_reduction
    assert summary.quality.macro_corrected_cer == pytest.approx(expected.macro_corrected_cer)
    assert summary.raw_cer_bins.sum() == summary.corrected_cer_bins.sum() == len(scored)


def test_summarise_failed_record_with_truth_is_counted_apart(corpus, rows) -> None:
    """A CER over the survivors only would flatter: the report must be able to say how many are missing from it."""
    scored = [rows.row("b", "x", "x", "x"), rows.row("c", "y", "y", "y")]
    summary = summarise(corpus([rows.failure("a", ground_truth="lost"), *scored]) / "data")
    assert (summary.quality.records, summary.failed_with_truth) == (2, 1)


def test_summarise_shares_on_bin_ends_fall_in_the_lower_bin(corpus, rows) -> None:
    """A bin holds its upper end; the first holds exact zeros only and the last everything above."""
    truth = "a" * 100
    wrong = [0, 1, 2, 3, 50, 51, 100]
    summary = summarise(corpus([rows.row(f"{n}", "b" * n + "a" * (100 - n), truth, truth) for n in wrong]) / "data")
    assert summary.raw_cer_bins.tolist() == [1, 1, 1, 1, 0, 0, 1, 2]
    assert len(summary.raw_cer_bins) == len(BIN_ENDS) + 1


def test_summarise_two_models_counts_each(corpus, rows) -> None:
    """A resumed run may hold records of more than one maker, and failed records have none."""
    mixed = [rows.row("a", "x", "y"), rows.row("b", "x", "y"), rows.row("c", "x", "y", model="other"), rows.failure("d")]
    summary = summarise(corpus(mixed) / "data")
    assert [(provenance.model, n) for provenance, n in summary.provenance.most_common()] == [("default", 2), ("other", 1)]
    assert isinstance(next(iter(summary.provenance)), Provenance)


def test_summarise_groups_hold_the_extreme_records_in_order(corpus, rows) -> None:
    """The report's groups are the true extremes of the whole corpus, not of the first batch."""
    mixed = rows.newspaper(300)
    data = corpus(mixed, files=3) / "data"
    summary = summarise(data)

    def shown(group: str) -> list[str]:
        found = read_rows(Location.at(data), summary.groups[group].places)
        return [found[place]["record_id"] for place in summary.groups[group].places]

    scored = [row for row in mixed if row["corrected_distance"]]
    by_cer = sorted(scored, key=lambda row: (-row["corrected_distance"] / row["ground_truth_chars"], -len(row["raw_text"])))
    assert shown("worst") == [row["record_id"] for row in by_cer[:12]]
    worse = {row["record_id"]: row["corrected_distance"] - row["raw_distance"] for row in scored}
    assert [worse[record_id] for record_id in shown("made_worse")] == sorted(worse.values(), reverse=True)[:12]
    assert len(set(shown("sample"))) == 12


def test_summarise_cascade_counts_what_was_sent_on_and_ranks_the_doubtful(corpus, rows) -> None:
    """Rows that a tagger sent on are those that keep its edits, none though it found none; failed rows have no estimate."""
    texts = ["a" * 10, "b" * 30, "c" * 60]
    estimates, tagger_edits = [0.0, 0.03, 0.4], [None, [], [{"start": 0, "end": 1, "raw": "c", "corrected": "d"}]]
    sent = [
        rows.row(text[0], text, text, estimated_cer=estimate, tagger_edits=edits)
        for text, estimate, edits in zip(texts, estimates, tagger_edits, strict=True)
    ]
    data = corpus([*sent, rows.failure("d")]) / "data"
    summary = summarise(data)
    assert (summary.sent_on_records, summary.sent_on_chars, summary.sent_on_frac) == (2, 90, 0.9)
    assert summary.estimated_cer_bins.tolist() == [1, 0, 0, 1, 0, 0, 1, 0]
    doubtful = read_rows(Location.at(data), summary.groups["doubtful"].places)
    assert [doubtful[place]["record_id"] for place in summary.groups["doubtful"].places] == ["c", "b", "a"]


def test_read_rows_any_place_returns_that_row_without_lines(corpus, rows) -> None:
    """A place found in the pass leads back to its row, across row groups and files."""
    mixed = rows.newspaper(250)
    data = corpus(mixed, files=2) / "data"
    summary = summarise(data)
    for place, row in read_rows(Location.at(data), summary.groups["sample"].places).items():
        expected = mixed[place.row * 2 + int(place.file.removesuffix(".parquet"))]
        assert row == {name: value for name, value in expected.items() if name != "lines"} | {
            name: pytest.approx(expected[name]) for name in ("recognize_s", "correct_s")
        }


def test_summarise_no_data_folder_is_an_empty_corpus(tmp_path: Path) -> None:
    """A run over nothing is a run."""
    summary = summarise(tmp_path / "absent")
    assert (summary.records, summary.status, summary.places) == (0, {}, set())
    assert summary.quality.micro_raw_cer is None


@pytest.mark.parametrize("content", [b"PAR1 no, really", b""])
def test_summarise_broken_file_raises_naming_it(tmp_path: Path, content: bytes) -> None:
    """A damaged data file is named in one line."""
    (tmp_path / "bad.parquet").write_bytes(content)
    with pytest.raises(OcrrayError, match=r"bad\.parquet") as caught:
        summarise(tmp_path)
    assert "\n" not in str(caught.value)


def test_summarise_foreign_file_raises_naming_what_it_lacks(tmp_path: Path) -> None:
    """A Parquet file that some other program left in the folder is not part of the corpus."""
    pq.write_table(pa.table({"record_id": ["a"]}), tmp_path / "foreign.parquet")
    with pytest.raises(OcrrayError, match=r"foreign\.parquet.*raw_text"):
        summarise(tmp_path)
