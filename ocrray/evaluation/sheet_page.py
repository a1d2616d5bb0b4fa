"""The sheet as a page: one record at a time, checked by keyboard, and saved as the CSV that is read back."""

import base64
import hashlib
from collections.abc import Sequence

from markupsafe import Markup

import ocrray
from ocrray.corpus.templates import environment
from ocrray.evaluation import sheet
from ocrray.evaluation.report import as_json, difference
from ocrray.evaluation.sheet import PARTS, Drawn
from ocrray.folder import Folder

NAME = "sample.html"


def write_sheet_page(output: Folder, records: Sequence[Drawn], *, title: str) -> None:
    """Write `sample.html`, self-contained, beside the sheet of the same records; what was checked stays in the browser."""
    env = environment(True, "ocrray.evaluation")
    script = Markup(env.get_template("sheet.js.jinja").render())
    document = {
        "columns": sheet.COLUMNS,
        "name": sheet.NAME,
        "key": hashlib.sha256(sheet.sheet_of(records).encode()).hexdigest()[:32],
        "records": [
            {
                "id": record.id,
                "source": record.source,
                "part": PARTS[record.part],
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
