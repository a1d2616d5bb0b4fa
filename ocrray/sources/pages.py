"""Inspection of files: their kind, their number of pages, and the files that a METS names."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from ocrray.errors import ConfigError, RecordError
from ocrray.sources import kinds
from ocrray.sources.compression import unpacked, unpacked_head, without_suffix
from ocrray.sources.input import AUTO
from ocrray.sources.kinds import KINDS, MARKUP, ContainerFormat, InputKind, family_of
from ocrray.sources.ocr_files import markup, xml_parse
from ocrray.sources.rows import Row, page_row
from ocrray.sources.streams import TextEncoding
from ocrray.sources.tables import forms as tables
from ocrray.sources.text_files import decode
from ocrray.sources.walk import Found
from ocrray.storage import files
from ocrray.storage.files import FileStat
from ocrray.text.normalise import sanitise

GROUND_TRUTH_SUFFIX = ".gt.txt"
_SNIFF_BYTES = 1 << 16
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class Member:
    """File that a METS names for one page, and the scan behind it if that is another file."""

    found: Found
    family: str
    image_uri: str | None = None


@dataclass(slots=True)
class Inspected:
    """Result of inspecting one file; at most one of `rows`, `stream`, `members` and `skipped` is set."""

    found: Found
    rows: list[Row] = field(default_factory=list)
    """Its pages."""
    stream: InputKind | None = None
    """Kind of a file whose texts are read separately."""
    members: list[Member] = field(default_factory=list)
    """Best file of each page, of a METS."""
    claims: list[str] = field(default_factory=list)
    """URIs of all files that the METS names, including those that are not the best for any page."""
    skipped: str = ""
    """Reason why it is left out."""


@dataclass(frozen=True, slots=True)
class Inspector:
    """Determines the kind and the pages of a file, reading no more of it than necessary."""

    kind: str
    """Name of the only kind that is wanted, or `auto`."""
    unread_kinds: tuple[str, ...]
    """Kinds of scans that nothing recognizes."""
    encoding: TextEncoding
    whole_text_files: bool
    max_file_bytes: int

    def family(self, found: Found) -> str | None:
        """Return the family that a file is read as, by its name and `input.kind`; None if it is none that is wanted."""
        family = family_of(found.location.name)
        if family == kinds.TABLE and not tables.is_table(found):
            return None
        guess = family or (MARKUP if kinds.may_be_markup(found.location.name) else None)
        if self.kind == AUTO:
            return guess
        wanted = KINDS[self.kind].family
        # A kind that is given says what files without a known suffix are, and picks from folders that hold other kinds too.
        trusted = found.origin == "file" or (found.origin in ("glob", "ending") and family is None)
        return wanted if guess == wanted or trusted else None

    def skip_reason(self, found: Found) -> str:
        """Return why a file found in `input.paths` is left out, as far as its name tells; empty if it is not.

        Raises: ConfigError: for a scan that the user named when nothing can recognize it.
        """
        named = found.origin == "file"
        if found.location.name.endswith(GROUND_TRUTH_SUFFIX) and not named:
            return "ground_truth"
        family = self.family(found)
        if family is None and not named:
            return "unknown_format"
        if family in self.unread_kinds:
            if named:
                hint = ", or `input.pdf: text` for its text layer" if family in kinds.TEXT_LAYER_KINDS else ""
                raise ConfigError(f"input.paths: {found.name} is a scan, and nothing recognizes it: set `recognize`{hint}")
            return "scan"
        return ""

    def file(self, found: Found) -> Inspected:
        """Inspect a file found in `input.paths`.

        Raises: ConfigError: as `skip_reason`.
        """
        reason = self.skip_reason(found)
        return Inspected(found, skipped=reason) if reason else self._inspect(found, self.family(found))

    def if_container(self, found: Found) -> Inspected:
        """Inspect a markup file if it is a container; of any other, only the beginning is read."""
        try:
            kind, _ = _sniffed(found)
        except (RecordError, OSError):
            return Inspected(found)
        return self.file(found) if kind and kind.container else Inspected(found)

    def member(self, member: Member) -> Inspected:
        """Inspect a file that a METS names."""
        if member.family in self.unread_kinds:
            return Inspected(member.found, skipped="scan")
        missing = member.found.stat
        if isinstance(missing, RecordError) and missing.kind == "missing":
            problem = RecordError(str(missing), kind="missing_page")
            return Inspected(member.found, [page_row(member.found, "mets", problem=problem)])
        inspected = self._inspect(member.found, member.family)
        if inspected.members:
            problem = RecordError(f"{member.found.name}: a METS named by a METS", kind="wrong_format")
            return Inspected(member.found, [page_row(member.found, "mets", problem=problem)])
        inspected.rows = [row._replace(image_uri=member.image_uri) for row in inspected.rows]
        return inspected

    def _inspect(self, found: Found, family: str | None) -> Inspected:
        try:
            return self._inspect_content(found, family)
        except RecordError as err:
            return Inspected(found, [page_row(found, family or "unknown", problem=err)])
        except OSError as err:
            problem = RecordError(f"{found.name}: cannot be read: {err}", kind=files.READ_ERROR)
            return Inspected(found, [page_row(found, family or "unknown", problem=problem)])

    def _inspect_content(self, found: Found, family: str | None) -> Inspected:
        if isinstance(found.stat, RecordError):
            raise found.stat
        if found.stat.size == 0:
            raise RecordError(f"{found.name}: the file is empty", kind="empty_file")
        kind = KINDS.get(family) if family else None
        # A table is opened by its suffix.
        if family is None or (kind and kind.texts == "rows" and family_of(found.location.name) != family):
            raise RecordError(f"{found.name}: not a kind of file that is read", kind="unknown_format")
        if kind and (kind.texts == "rows" or (kind.texts and not self.whole_text_files)):
            return Inspected(found, stream=kind)
        if found.stat.size > self.max_file_bytes:
            raise RecordError(f"{found.name}: larger than input.max_file_bytes ({self.max_file_bytes:,})", kind="too_large")
        return Inspected(found, self._pages(found, kind)) if kind else self._inspect_markup(found)

    def _inspect_markup(self, found: Found) -> Inspected:
        try:
            kind, head = _sniffed(found)
        except RecordError as err:
            if found.origin != "file" and kinds.may_be_markup(found.location.name):
                return Inspected(found, skipped="unknown_format")
            raise RecordError(f"{found.name}: {err}", kind=err.kind) from None
        wanted = self.kind == AUTO or (kind is not None and kind.name == self.kind)
        if found.origin != "file" and (not wanted or (kind is None and _is_other_markup(found, head))):
            return Inspected(found, skipped="unknown_format")
        if kind is None:
            raise RecordError(f"{found.name}: neither {_markup_names()}", kind="unknown_format")
        if kind.always_one_page:
            return Inspected(found, [page_row(found, kind.name)])
        data = files.read_bytes(found.location, self.max_file_bytes)
        try:
            if kind.container:
                data = unpacked(data, xml_parse.MAX_BYTES)
                claims = _claims(found, data, kind.container)
                return Inspected(found, members=list(_members(found, data, kind.container)), claims=claims)
            count = markup.count_pages(kind.name, data, self.max_file_bytes)
            return Inspected(found, [page_row(found, kind.name, page) for page in range(count)])
        except RecordError as err:
            problem = RecordError(f"{found.name}: {err}", kind=err.kind)
            return Inspected(found, [page_row(found, kind.name, problem=problem)])

    def _pages(self, found: Found, kind: InputKind) -> list[Row]:
        count = kind.image.count_pages(found.location.uri) if kind.image else 1
        rows = []
        for page in range(count):
            try:
                truth = self._ground_truth(found, "" if count == 1 else f".{page}") if kind.image else None
                rows.append(page_row(found, kind.name, page, ground_truth=truth))
            except RecordError as err:
                rows.append(page_row(found, kind.name, page, problem=err))
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


def _sniffed(found: Found) -> tuple[InputKind | None, bytes]:
    """Return the kind of a markup file, and the beginning of its content."""
    with files.open_binary(found.location) as file:
        head = unpacked_head(file.read(_SNIFF_BYTES), _SNIFF_BYTES)
    if not head:
        raise RecordError("the file is empty when unpacked", kind="empty_file")
    return kinds.markup_kind_of(head), head


def named_file(base: Found, reference: str) -> Found:
    """Return a file named by another file, relative to its folder; `stat` is an error (`unsafe_path`) if it is outside."""
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


def _claims(base: Found, data: bytes, container: ContainerFormat) -> list[str]:
    folder = base.location.parent()
    paths = map(_path_below, container.list_files(data))
    return [folder.child(path).uri for path in paths if path is not None]


def _members(base: Found, data: bytes, container: ContainerFormat) -> Iterator[Member]:
    for page in container.list_pages(data):
        image = named_file(base, page.image_href) if page.image_href else None
        image_uri = image.location.uri if image and isinstance(image.stat, FileStat) else None
        if page.text_href:
            yield Member(named_file(base, page.text_href), MARKUP, image_uri)
        elif image:
            family = family_of(image.location.name)
            yield Member(image, family if family in kinds.IMAGE_KINDS else "image")


def _markup_names() -> str:
    *names, last = (kind.name for kind in KINDS.values() if kind.family == MARKUP)
    return f"{', '.join(names)} nor {last}"


def _is_other_markup(found: Found, head: bytes) -> bool:
    """Return True for other XML and web pages, and whatever else may be compressed; False for a broken file."""
    name = without_suffix(found.location.name.lower())
    is_other_file = kinds.may_be_markup(found.location.name) or name.endswith((".html", ".htm", ".xhtml"))
    return is_other_file or xml_parse.root_name(head) is not None
