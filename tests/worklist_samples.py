"""Input folders that several tests of the work list write, and the records that are listed from them."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image

from ocrray.sources.input import InputConfig
from ocrray.sources.input_files import walk_input
from ocrray.sources.listing import ListingJob, list_input
from ocrray.sources.record_ids import InOrder
from ocrray.sources.worklist import Listing, count_records, list_records
from ocrray.storage import Location

ALTO = '<alto xmlns="http://www.loc.gov/standards/alto/ns-v3#"><Layout>{}</Layout></alto>'
ALTO_PAGE = (
    '<Page ID="p{0}"><PrintSpace><TextBlock><TextLine><String CONTENT="word{0}"/></TextLine></TextBlock></PrintSpace></Page>'
)
HOCR = '<html xmlns="http://www.w3.org/1999/xhtml"><body>{}</body></html>'
HOCR_PAGE = '<div class="ocr_page"><span class="ocr_line"><span class="ocrx_word">word</span></span></div>'
PAGE = '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"><Page imageFilename="a.png"/></PcGts>'


def alto(pages: int = 1) -> str:
    return ALTO.format("".join(ALTO_PAGE.format(page) for page in range(pages)))


def mets(*pages: tuple[str, ...]) -> str:
    """A METS whose pages each name these files, in groups by their place."""
    groups: dict[int, str] = {}
    divisions = ""
    for page, references in enumerate(pages):
        pointers = ""
        for group, reference in enumerate(references):
            name = f"f{page}_{group}"
            kind = "image/png" if reference.endswith("png") else "application/alto+xml"
            location = f'<FLocat LOCTYPE="URL" xlink:href="{reference}"/>'
            groups[group] = groups.get(group, "") + f'<file ID="{name}" MIMETYPE="{kind}">{location}</file>'
            pointers += f'<fptr FILEID="{name}"/>'
        divisions += f'<div TYPE="page" ORDER="{page + 1}">{pointers}</div>'
    section = "".join(f'<fileGrp USE="{"MASTER" if "png" in text else "FULLTEXT"}">{text}</fileGrp>' for text in groups.values())
    return (
        '<mets xmlns="http://www.loc.gov/METS/" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<fileSec>{section}</fileSec><structMap TYPE="PHYSICAL"><div TYPE="physSequence">{divisions}</div></structMap></mets>'
    )


def write(folder: Path, **contents: str | bytes | Image.Image) -> None:
    """Files by name, `__` standing for a slash and `_` before the extension for its dot."""
    for key, content in contents.items():
        stem, _, extension = key.replace("__", "/").rpartition("_")
        path = folder / f"{stem}.{extension}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Image.Image):
            content.save(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


def listed(*paths: str, images: bool = True, **settings: Any) -> list[dict[str, Any]]:
    return [row for table in list_records(InputConfig(paths=list(paths), **settings), images=images) for row in table.to_pylist()]


def summary(*paths: str, **settings: Any) -> list[tuple[str, str, str | None]]:
    return [(row["record_id"], row["kind"], row["error_kind"]) for row in listed(*paths, **settings)]


def counted(*paths: str, images: bool = True, limit: int | None = None, **settings: Any) -> Listing:
    return count_records(InputConfig(paths=list(paths), **settings), images=images, limit=limit)


def write_work_list(
    folder: Location, *paths: str, images: bool = False, limit: int | None = None, in_order: InOrder = map, **settings: Any
) -> Listing:
    """List the input into the folder as a run does, in this process."""
    config = InputConfig(paths=list(paths), **settings)
    files = walk_input(config, images=images, limit=limit)
    job = ListingJob(config=config, work_list=folder, images=images, limit=limit, in_order=in_order)
    listing, parts = list_input(files, job)
    assert [(path.name, pq.read_metadata(path).num_rows) for path in part_paths(folder)] == parts
    return listing


def part_paths(folder: Location) -> list[Path]:
    return sorted(Path(folder.path).glob("rows-*"))


def page(width: int = 20) -> Image.Image:
    return Image.new("L", (width, 20), 255)
