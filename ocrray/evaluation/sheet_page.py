"""HTML page of the sheet: one record at a time, checked by keyboard, saved as the CSV that is read back."""

import base64
import hashlib
from collections.abc import Sequence

from markupsafe import Markup

import ocrray
from ocrray.corpus.templates import environment
from ocrray.evaluation import sheet
from ocrray.evaluation.report import as_json, difference
from ocrray.evaluation.sampling import STRATA, SampledRecord
from ocrray.storage import Location

NAME = "sample.html"


def write_sheet_page(output: Location, records: Sequence[SampledRecord], *, title: str) -> None:
    """Write `sample.html`, self-contained, beside the sheet of the same records; what was checked is kept in the browser."""
    env = environment(True, "ocrray.evaluation")
    script = Markup(env.get_template("sheet.js.jinja").render())
    document = {
        "columns": sheet.COLUMNS,
        "name": sheet.NAME,
        "key": hashlib.sha256(sheet.write_sheet(records).encode()).hexdigest()[:32],
        "records": [
            {
                "id": record.id,
                "source": record.source,
                "stratum": STRATA[record.stratum],
                "raw": record.raw,
                "corrected": record.corrected,
                "changes": difference(record.raw, record.corrected),
            }
            for record in records
        ],
    }
    page = env.get_template("sheet.html.jinja").render(
        title=title,
        sheet=sheet.NAME,
        records=len(records),
        document=Markup(as_json(document)),
        version=ocrray.__version__,
        style=Markup(env.get_template("report.css.jinja").render()),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    output.write_text(NAME, page)
