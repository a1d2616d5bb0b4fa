"""Panel of BLEU and TER in the form of published OCR systems."""

from dataclasses import asdict

from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.panels.base import NumberFormat, Panel, Row, Table

_CAPTION = (
    "As Hugging Face's `evaluate` reports them: texts as they stand; BLEU from 0 to 1, without smoothing; TER in percent, "
    "without case."
)


def _tables(evaluation: Evaluation, numbers: NumberFormat) -> list[Table]:
    if not (scores := evaluation.published):
        return []
    bleu, ter = scores.bleu, scores.ter
    rows = [
        Row("bleu", (numbers.decimal(bleu.bleu, 4),)),
        Row("precisions", (", ".join(numbers.decimal(precision, 4) for precision in bleu.precisions),)),
        Row("brevity_penalty", (numbers.decimal(bleu.brevity_penalty, 4),)),
        Row("length_ratio", (numbers.decimal(bleu.length_ratio, 4),)),
        Row("translation_length", (f"{bleu.translation_length:,}",)),
        Row("reference_length", (f"{bleu.reference_length:,}",)),
        Row("ter: score", (numbers.decimal(ter.score, 4),)),
        Row("ter: num_edits", (f"{ter.num_edits:,}",)),
        Row("ter: ref_length", (f"{ter.ref_length:,.0f}",)),
    ]
    return [Table("as published systems report", (f"{scores.records:,} records",), rows, _CAPTION)]


def _as_json(evaluation: Evaluation) -> dict[str, object]:
    return {"published_format": asdict(evaluation.published) if evaluation.published else None}


PANEL = Panel("published", "BLEU and TER as published systems report them", _tables, _as_json)
