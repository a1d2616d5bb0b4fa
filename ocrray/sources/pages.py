"""What kind of file each one is, how many pages it has, and which files a METS stands for."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from ocrray.errors import ConfigError, RecordError
from ocrray.sources import files, images, mets, tables, text_files, xml_formats, xml_parse
from ocrray.sources.files import FileStat
from ocrray.sources.input import Kind
from ocrray.sources.rows import Row, page_row
from ocrray.sources.text_files import decode
from ocrray.sources.walk import Found
from ocrray.text.normalise import sanitise

Format = Literal["image", "pdf", "xml", "text", "table"]
GROUND_TRUTH_SUFFIX = ".gt.txt"

_ONE_PAGE = (".png", ".jpg", ".jpeg", ".jpe", ".webp", ".jp2", ".j2k", ".jpx", ".jpf", ".gif", ".bmp")
_FORMATS: dict[Format, tuple[str, ...]] = {
    "image": (*_ONE_PAGE, ".tif", ".tiff"),
    "pdf": (".pdf",),
    "xml": (".xml", ".alto", ".hocr", ".html", ".htm", ".xhtml"),
    "table": tables.EXTENSIONS,
    "text": text_files.EXTENSIONS,
}
_FORMAT_OF_KIND: dict[str, Format] = {"image": "image", "pdf": "pdf", "text": "text", "table": "table"}
_SNIFF_BYTES = 1 << 16
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class Member:
    """A file that a METS names for one page, and the scan behind it where that is another file."""

    found: Found
    format: Format
    image_uri: str | None = None


@dataclass(slots=True)
class Inspected:
    """A file is `rows` for its pages, a `stream` of texts still to be read, the `members` of a METS, or `skipped` and why.

    `claims` are the URIs of all files that a METS names, whether it has a better one for the same page or not.
    """

    found: Found
    rows: list[Row] = field(default_factory=list)
    stream: Literal["text", "table"] | None = None
    members: list[Member] = field(default_factory=list)
    claims: list[str] = field(default_factory=list)
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Inspector:
    """Tells what a file is, reading no more of it than that and counting its pages takes; `images`: can scans be recognized."""

    kind: Kind
    images: bool
    encoding: str
    whole_text_files: bool
    max_file_bytes: int

    def file(self, found: Found) -> Inspected:
        """What a file found in `input.paths` is; raises ConfigError for a scan that was named and cannot be recognized."""
        named = found.origin == "file"
        if found.location.name.endswith(GROUND_TRUTH_SUFFIX) and not named:
            return Inspected(found, skipped="ground_truth")
        format_ = self._wanted_format(found)
        if format_ is None and not named:
            return Inspected(found, skipped="unknown_format")
        if format_ in ("image", "pdf") and not self.images:
            if named:
                raise ConfigError(f"input.paths: {found.name} is a scan, and nothing recognizes it: set `recognize`")
            return Inspected(found, skipped="scan")
        return self._inspect(found, format_)

    def member(self, member: Member) -> Inspected:
        """What a file that a METS names is."""
        if member.format != "xml" and not self.images:
            return Inspected(member.found, skipped="scan")
        missing = member.found.stat
        if isinstance(missing, RecordError) and missing.kind == "missing":
            problem = RecordError(str(missing), kind="missing_page")
            return Inspected(member.found, [page_row(member.found, "mets", problem=problem)])
        inspected = self._inspect(member.found, member.format)
        if inspected.members:
            problem = RecordError(f"{member.found.name}: a METS named by a METS", kind="wrong_format")
            return Inspected(member.found, [page_row(member.found, "mets", problem=problem)])
        inspected.rows = [row._replace(image_uri=member.image_uri) for row in inspected.rows]
        return inspected

    def _wanted_format(self, found: Found) -> Format | None:
        format_ = format_of(found.location.name)
        if self.kind == "auto":
            return format_
        wanted = _FORMAT_OF_KIND.get(self.kind, "xml")
        # A kind that is given says what nameless files are, and picks from folders that hold other kinds too.
        trusted = found.origin == "file" or (found.origin == "glob" and format_ is None)
        return wanted if format_ == wanted or trusted else None

    def _inspect(self, found: Found, format_: Format | None) -> Inspected:
        try:
            if isinstance(found.stat, RecordError):
                raise found.stat
            if found.stat.size == 0:
                raise RecordError(f"{found.name}: the file is empty", kind="empty_file")
            if format_ is None or (format_ == "table" and format_of(found.location.name) != "table"):
                raise RecordError(f"{found.name}: not a kind of file that is read", kind="unknown_format")
            if format_ == "table" or (format_ == "text" and not self.whole_text_files):
                return Inspected(found, stream=format_)
            if found.stat.size > self.max_file_bytes:
                raise RecordError(f"{found.name}: larger than input.max_file_bytes ({self.max_file_bytes:,})", kind="too_large")
            if format_ == "xml":
                return self._inspect_xml(found)
            return Inspected(found, self._pages(found, format_))
        except (RecordError, OSError) as err:
            reason = (
                err if isinstance(err, RecordError) else RecordError(f"{found.name}: cannot be read: {err}", kind="unreadable")
            )
            return Inspected(found, [page_row(found, format_ or "unknown", problem=reason)])

    def _inspect_xml(self, found: Found) -> Inspected:
        with files.open_binary(found.location) as file:
            head = file.read(_SNIFF_BYTES)
        kind = xml_formats.sniff(head)
        if found.origin != "file" and (self.kind not in ("auto", kind) or (kind is None and _is_other_markup(found, head))):
            return Inspected(found, skipped="unknown_format")
        if kind is None:
            raise RecordError(f"{found.name}: neither ALTO, PAGE, hOCR nor METS", kind="unknown_format")
        if kind == "page":
            return Inspected(found, [page_row(found, kind)])
        data = files.read_bytes(found.location, self.max_file_bytes)
        try:
            if kind == "mets":
                return Inspected(found, members=list(_members(found, data)), claims=_claims(found, data))
            return Inspected(found, [page_row(found, kind, page) for page in range(xml_formats.count_pages(kind, data))])
        except RecordError as err:
            problem = RecordError(f"{found.name}: {err}", kind=err.kind)
            return Inspected(found, [page_row(found, kind, problem=problem)])

    def _pages(self, found: Found, format_: Format) -> list[Row]:
        count = pages_of(found, format_)
        rows = []
        for page in range(count):
            try:
                truth = self._ground_truth(found, "" if count == 1 else f".{page}") if format_ != "text" else None
                rows.append(page_row(found, format_, page, ground_truth=truth))
            except RecordError as err:
                rows.append(page_row(found, format_, page, problem=err))
        return rows

    def _ground_truth(self, found: Found, page: str) -> str | None:
        name = posixpath.splitext(found.location.name)[0] + page + GROUND_TRUTH_SUFFIX
        location = found.location.parent().child(name)
        if found.siblings is not None and name not in found.siblings:
            return None
        try:
            data = files.read_bytes(location, self.max_file_bytes)
        except RecordError as err:
            if err.kind == "empty_file":  # a blank page
                return ""
            if err.kind == "missing":
                return None
            raise
        return sanitise(decode(data, self.encoding, location.uri)).rstrip("\n")


def format_of(name: str) -> Format | None:
    """What the extension of a file's name says; None when that is nothing."""
    return next((format_ for format_, extensions in _FORMATS.items() if name.lower().endswith(extensions)), None)


def pages_of(found: Found, format_: Format) -> int:
    """How many pages a scan or text file has; only those that can have several are opened. Raises RecordError."""
    one_page = format_ == "text" or found.location.name.lower().endswith(_ONE_PAGE)
    return 1 if one_page else images.count_pages(found.location.uri, format_)


def named_file(base: Found, reference: str) -> Found:
    """A file that another file names, relative to its folder; its `stat` is `unsafe_path` where that leads out of the folder."""
    path = _path_below(reference)
    if path is None:
        problem = f"{base.name} names {sanitise(reference)[:200]}: only files below its own folder are read"
        return Found(f"{base.name}/{sanitise(reference)}", base.location, RecordError(problem, kind="unsafe_path"), "file")
    location = base.location.parent().child(path)
    name = posixpath.join(posixpath.dirname(base.name), path)
    try:
        return Found(name, location, files.stat(location), "file")
    except RecordError as err:
        return Found(name, location, RecordError(f"{base.name} names a file that cannot be read: {err}", kind=err.kind), "file")


def _path_below(reference: str) -> str | None:
    path = unquote(reference).replace("\\", "/")
    path = posixpath.normpath(path.removeprefix("file://./").removeprefix("file:./"))
    leads_out = _SCHEME.match(path) or path.startswith(("/", "../")) or path in ("..", ".") or "\0" in path
    return None if leads_out else path


def _claims(base: Found, data: bytes) -> list[str]:
    folder = base.location.parent()
    paths = map(_path_below, mets.list_files(data))
    return [folder.child(path).uri for path in paths if path is not None]


def _members(base: Found, data: bytes) -> Iterator[Member]:
    for page in mets.list_pages(data):
        image = named_file(base, page.image_href) if page.image_href else None
        image_uri = image.location.uri if image and isinstance(image.stat, FileStat) else None
        if page.text_href:
            yield Member(named_file(base, page.text_href), "xml", image_uri)
        elif image:
            yield Member(image, "pdf" if format_of(image.location.name) == "pdf" else "image")


def _is_other_markup(found: Found, head: bytes) -> bool:
    """Whether this is some other XML or a web page, rather than a broken file."""
    return found.location.name.lower().endswith((".html", ".htm", ".xhtml")) or xml_parse.root_name(head) is not None
