"""METS: which files belong to which page of a digitised item."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from lxml import etree

from ocrray.errors import RecordError
from ocrray.sources.compression import without_suffix
from ocrray.sources.ocr_files import xml_parse
from ocrray.sources.ocr_files.page_scope import by_index, index_from
from ocrray.sources.ocr_files.xml_parse import local_name, parse_xml
from ocrray.sources.scans import images

# Preference for file groups by their name (0 is the best, None is never used); the first pattern that matches decides.
_Ranks = Sequence[tuple[re.Pattern[str], int | None]]
_TEXT_RANKS: _Ranks = [
    (re.compile(r"full.?text"), 0),
    (re.compile(r"\bgt\b|ground.?truth"), 1),
    (re.compile(r"\bocr\b"), 2),
    (re.compile(r"\b(?:seg|img)\b"), None),  # OCR-D's steps before recognition: regions and lines without text
    (re.compile(r"\b(?:mods|tei|premis|mix|jhove)\b|metadata|techmd"), None),
    (re.compile(r"alto|hocr"), 3),
    (re.compile(r"page|text|transcript"), 4),
    (re.compile(""), 5),
]
_IMAGE_RANKS: _Ranks = [
    (re.compile(r"\b(?:min|logo)\b|small|preview|thumb|icon|teaser"), 8),
    (re.compile(r"\b(?:bin\w*|crop\w*|clip|desk\w*|despeck|denoise|dewarp|seg)\b"), 7),
    (re.compile(r"service|access|reference|derivat|reduced|download|screen"), 6),
    (re.compile(r"master|archiv|preserv|original"), 0),
    (re.compile(r"\bmax\b"), 1),
    (re.compile(r"\b(?:img|images?|tiff?|scans?)$"), 2),
    (re.compile(r"default"), 3),
    (re.compile(r"presentation"), 4),
    (re.compile(""), 5),
]
_TEXT_TYPE = re.compile(r"alto|page\+xml|hocr|^(?:text|application)/(?:xml|html|xhtml\+xml)$")
_PAGE_TYPE = re.compile(r"(?:^|[^a-z])page$")


@dataclass(frozen=True, slots=True)
class MetsPage:
    """References of one page to its text (ALTO, PAGE or hOCR) and its scan, as written in the file; None where there is none."""

    text_href: str | None
    image_href: str | None


@dataclass(frozen=True, slots=True)
class _File:
    kind: Literal["text", "image"]
    href: str
    group: str
    form: str  # media type and suffix
    rank: tuple[bool, int]  # on the web, then the rank of the group: the lowest is the best

    @property
    def role(self) -> tuple[str, int]:
        """Kind and rank of the group: files of one role are of the same use on different pages."""
        return self.kind, self.rank[1]


def list_pages(data: bytes) -> list[MetsPage]:
    """Return the pages in the order of the physical structMap, or of the best file groups if no structMap names files.

    Divisions come in the order of their ORDER, else of the document. If several files belong to a page, the text in the best
    group is taken (full text, then ground truth, then other recognized text) and the image in the best group (masters, then
    derivatives, then thumbnails); a file on the web (http) only if there is no other. Several text files of one group and form
    are several pages. Divisions of another type beside the pages (a cover) are pages if their files are of the same use; text
    files that no structMap names, but whose group has those of the pages, come last. No file is listed twice.

    Raises: RecordError: `unsafe_xml`, `invalid_xml`, `too_large`, `wrong_format`, `no_pages`.
    """
    root = parse_xml(data)
    if local_name(root) != "mets":
        raise RecordError(f"this is not METS: its root element is <{local_name(root)}>", kind="wrong_format")
    files = _files(root)
    pages = _pages_by_structure(root, files) or _pages_by_group(list(files.values()))
    if not pages:
        raise RecordError("this METS names no text or image file of any page", kind="no_pages")
    return pages


def list_files(data: bytes) -> list[str]:
    """Return every file reference of the METS, of all groups, as written.

    Raises: RecordError: as `list_pages` for bad XML.
    """
    return list(dict.fromkeys(href for element in parse_xml(data).iter("{*}file") if (href := _href(element))))


def _pages_by_structure(root: etree._Element, files: dict[str | None, _File]) -> list[MetsPage]:
    maps = list(root.iter("{*}structMap"))
    physical = [element for element in maps if (element.get("TYPE") or "").lower() != "logical"]
    for structure in sorted(physical, key=lambda element: (element.get("TYPE") or "").lower() != "physical"):
        divisions = list(_divisions(structure))
        pages = [division for division in divisions if _is_page(division)]
        roles = {file.role for division in pages for file in _chosen(division, files)}
        others = [division for division in divisions if not pages or roles & {file.role for file in _chosen(division, files)}]
        found = [page for division in divisions if division in pages or division in others for page in _pages(division, files)]
        if any(page.text_href or page.image_href for page in found):
            elsewhere = {_file_id(element) for other in maps if other not in physical for element in _pointers(other)}
            named = elsewhere | {_file_id(element) for element in _pointers(structure)}
            return _without_repeats(found + _unlisted(found, files, named))
    return []


def _divisions(element: etree._Element) -> Iterator[etree._Element]:
    """Yield the divisions that are pages by their type, and the innermost with files where none is inside, in order."""
    for division in by_index(element.iterchildren("{*}div"), lambda child: index_from(child.get("ORDER"))):
        has_pages = any(map(_is_page, division.iterdescendants("{*}div")))
        is_innermost = division.find("{*}fptr") is not None and division.find(".//{*}div/{*}fptr") is None
        if not has_pages and (_is_page(division) or is_innermost):
            yield division
        else:
            yield from _divisions(division)


def _is_page(division: etree._Element) -> bool:
    return bool(_PAGE_TYPE.search((division.get("TYPE") or "").lower()))


def _unlisted(pages: list[MetsPage], files: dict[str | None, _File], named: set[str | None]) -> list[MetsPage]:
    """Return text files that no structMap names, of the groups of those that are listed."""
    listed = {page.text_href for page in pages}
    groups = {file.group for file in files.values() if file.kind == "text" and file.href in listed}
    others = (file for name, file in files.items() if name not in named and file.kind == "text")
    return [MetsPage(file.href, None) for file in others if file.group in groups]


def _without_repeats(pages: list[MetsPage]) -> list[MetsPage]:
    seen: set[str] = set()
    kept = []
    for page in pages:
        href = page.text_href or page.image_href
        if href is None or href not in seen:
            kept.append(page)
        seen.add(href or "")
    return kept


def _pages_by_group(files: list[_File]) -> list[MetsPage]:
    texts, images = _in_best_group(files, "text"), _in_best_group(files, "image")
    if len(texts) == len(images):
        return [MetsPage(text, image) for text, image in zip(texts, images, strict=True)]
    # Which image belongs to which text cannot be known.
    return [MetsPage(text, None) for text in texts] or [MetsPage(None, image) for image in images]


def _in_best_group(files: list[_File], kind: str) -> list[str]:
    found = [file for file in files if file.kind == kind]
    best = _best(found, kind)
    if best is None:
        return []
    group = _same_group if len(found) > len({file.group for file in found}) else _numbered_alike
    return list(dict.fromkeys(file.href for file in found if group(file, best)))


def _same_group(file: _File, best: _File) -> bool:
    return file.group == best.group


def _numbered_alike(file: _File, best: _File) -> bool:
    """Return whether the groups differ only in a number: each is a page."""
    return re.sub(r"\d+", "0", file.group) == re.sub(r"\d+", "0", best.group)


def _best(files: list[_File], kind: str) -> _File | None:
    return min((file for file in files if file.kind == kind), key=lambda file: file.rank, default=None)


def _pages(division: etree._Element, files: dict[str | None, _File]) -> list[MetsPage]:
    """Return the page of a division, or the pages where it has several text files of the best group."""
    here = _files_of(division, files)
    text, image = _best(here, "text"), _best(here, "image")
    image_href = image.href if image else None
    if text is None:
        return [MetsPage(None, image_href)]
    alike = (text.kind, text.group, text.form, text.rank)
    texts = dict.fromkeys(file.href for file in here if (file.kind, file.group, file.form, file.rank) == alike)
    images = dict.fromkeys(file.href for file in here if image and (file.kind, file.group) == ("image", image.group))
    if len(images) == len(texts):
        return [MetsPage(*hrefs) for hrefs in zip(texts, images, strict=True)]
    return [MetsPage(href, image_href) for href in texts]


def _chosen(division: etree._Element, files: dict[str | None, _File]) -> list[_File]:
    here = _files_of(division, files)
    return [best for kind in ("text", "image") if (best := _best(here, kind))]


def _files_of(division: etree._Element, files: dict[str | None, _File]) -> list[_File]:
    names = map(_file_id, _pointers(division))
    return [files[name] for name in names if name in files]


def _pointers(element: etree._Element) -> Iterator[etree._Element]:
    return element.iter("{*}fptr", "{*}area")


def _file_id(pointer: etree._Element) -> str | None:
    return pointer.get("FILEID")


def _files(root: etree._Element) -> dict[str | None, _File]:
    """Return the text and image files of the item by their ID, in document order."""
    files: dict[str | None, _File] = {}
    for element in root.iterfind("{*}fileSec//{*}file"):
        if (href := _href(element)) and (file := _file(element, href)):
            files.setdefault(element.get("ID"), file)
    return files


def _file(element: etree._Element, href: str) -> _File | None:
    groups = element.iterancestors("{*}fileGrp")
    uses = (element.get("USE"), *(use for group in groups for use in (group.get("USE"), group.get("ID"))))
    group = next((use for use in uses if use), "")
    media_type = (element.get("MIMETYPE") or "").strip().lower()
    suffix = PurePosixPath(without_suffix(href.partition("?")[0])).suffix.lower()
    kind = _kind(media_type, suffix)
    if kind is None:
        return None
    name = re.sub(r"^ocr-d-", "", group.lower().replace("_", "-"))
    ranks = _TEXT_RANKS if kind == "text" else _IMAGE_RANKS
    rank = next(rank for pattern, rank in ranks if pattern.search(name))
    return None if rank is None else _File(kind, href, group, media_type + suffix, (_is_remote(href), rank))


def _kind(media_type: str, suffix: str) -> Literal["text", "image"] | None:
    if media_type.startswith("image/") or suffix in images.EXTENSIONS:
        return "image"
    return "text" if _TEXT_TYPE.search(media_type) or suffix in xml_parse.EXTENSIONS else None


def _href(element: etree._Element) -> str | None:
    attributes = (item for location in element.findall("{*}FLocat") for item in location.items())
    hrefs = [str(value) for name, value in attributes if str(name).endswith("href")]
    return min(hrefs, key=_is_remote, default=None)


def _is_remote(href: str) -> bool:
    return href.lower().startswith(("http:", "https:", "ftp:"))
