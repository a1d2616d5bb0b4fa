"""Registry of input kinds, the one place that lists them.

The config key `input.kind`, the work list, the openers, the export and the documentation read it. To add an input format, write
its module, add one entry to `_ALL`, and test it.
"""

import re
from dataclasses import dataclass
from typing import Literal, Protocol

from lxml import etree
from PIL import Image

from ocrray.sources import text_files
from ocrray.sources.compression import without_suffix
from ocrray.sources.ocr_files import abbyy, alto, djvu_xml, hocr, mets, page_xml, xml_parse
from ocrray.sources.ocr_files.document import Document
from ocrray.sources.scans import images, pdf
from ocrray.sources.scans.page_size import PageSize
from ocrray.sources.streams import PACKED
from ocrray.sources.tables import forms as tables

TABLE = "table"
"""Kind of the files whose rows are records."""
MARKUP = "xml"
"""Family of all kinds that the content of an XML or HTML file tells apart, and `source_kind` of such a file that is none."""


class ImageFormat(Protocol):
    """Module that decodes pages into images."""

    def count_pages(self, uri: str) -> int:
        """Return the number of pages, reading headers only.

        Raises: RecordError: when the file cannot be read.
        """

    def decode_page(self, data: bytes, page: int, uri: str, max_pixels: int) -> Image.Image:
        """Decode one page (0-based) into an image of mode 1, L or RGB; `uri` names the file in messages.

        Raises: RecordError: when the page cannot be decoded.
        """

    def measure_page(self, data: bytes, page: int, uri: str, max_pixels: int) -> PageSize:
        """Return the size of one page (0-based) without decoding it; `uri` names the file in messages.

        Raises: RecordError: when it cannot be read.
        """


class MarkupFormat(Protocol):
    """Module that reads the text and layout of pages from a parsed XML or HTML file."""

    def find_pages(self, root: etree._Element) -> list[etree._Element]:
        """Return the element of every page, at least one."""

    def read(self, page: etree._Element) -> Document:
        """Return the lines of one page."""


class ContainerFormat(Protocol):
    """Module that reads which files belong to the pages of a digitised item."""

    def list_pages(self, data: bytes) -> list[mets.MetsPage]:
        """Return the text and image file of each page.

        Raises: RecordError: when the file cannot be read.
        """

    def list_files(self, data: bytes) -> list[str]:
        """Return every file that is named.

        Raises: RecordError: when the file cannot be read.
        """


@dataclass(frozen=True, slots=True)
class PageMark:
    """Name of the element of a page: its local name, and in HTML one of its classes."""

    name: str
    css_class: str = ""

    def matches(self, element: etree._Element) -> bool:
        """Return whether this element, which has the name, is a page."""
        return not self.css_class or self.css_class in (element.get("class") or "").split()


@dataclass(frozen=True, slots=True, kw_only=True)
class InputKind:
    """One kind of input; exactly one of `image`, `markup`, `container` and `texts` is set and determines how it is read."""

    name: str
    """Value of `input.kind` and of the column `source_kind`."""
    meaning: str
    extensions: tuple[str, ...]
    """Lower-case extensions, with their dot, or other endings of file names; markup may be compressed besides."""
    image: ImageFormat | None = None
    markup: MarkupFormat | None = None
    container: ContainerFormat | None = None
    texts: Literal["units", "rows"] | None = None
    """Many short texts a file, read into the work list: lines or paragraphs, or rows of a table."""
    has_text_layer: bool = False
    """The pages of an image file may hold their text, which `input.pdf` lets be read."""
    magic: re.Pattern[bytes] | None = None
    """Matches the beginning of an image file whatever its name; None: whatever no other image kind matches."""
    root_name: str | None = None
    """Local name of the root element of a markup or container file; None: `head_pattern` alone decides."""
    head_pattern: re.Pattern[bytes] | None = None
    """Occurs in the head of a markup file of this kind."""
    is_html: bool = False
    has_doctype: bool = False
    """Producers of this XML write a DOCTYPE; one that declares no entities does no harm."""
    page_mark: PageMark | None = None
    """Set where a file too large for one tree is read page by page."""
    always_one_page: bool = False
    """A file need not be opened to know its number of pages."""
    is_exported: bool = False
    """`corpus.export` has a writer for it."""

    @property
    def is_image(self) -> bool:
        """True for scans, which need a recognizer; all other kinds hold text."""
        return self.image is not None

    @property
    def family(self) -> str:
        """Kind as far as the extension determines it: `MARKUP`, or the kind itself."""
        return MARKUP if self.markup or self.container else self.name


_ALL = (
    InputKind(
        name="image",
        meaning="scans: PNG, JPEG, WebP, TIFF (each page of it), JPEG 2000, GIF, BMP",
        extensions=images.EXTENSIONS,
        image=images,
    ),
    InputKind(
        name="pdf",
        meaning="PDF, each page rendered to an image, or its text layer (`input.pdf`)",
        extensions=(".pdf",),
        image=pdf,
        has_text_layer=True,
        magic=pdf.MAGIC,
    ),
    InputKind(
        name="alto",
        meaning="ALTO XML, versions 1 to 4",
        extensions=xml_parse.EXTENSIONS,
        markup=alto,
        root_name="alto",
        is_exported=True,
    ),
    InputKind(
        name="page",
        meaning="PAGE XML (PRImA), 2009 to 2019",
        extensions=xml_parse.EXTENSIONS,
        markup=page_xml,
        root_name="PcGts",
        always_one_page=True,
        is_exported=True,
    ),
    InputKind(
        name="hocr",
        meaning="hOCR, HTML or XHTML",
        extensions=xml_parse.EXTENSIONS,
        markup=hocr,
        head_pattern=hocr.CLASSES,
        is_html=True,
        page_mark=PageMark("div", "ocr_page"),
        is_exported=True,
    ),
    InputKind(
        name="abbyy",
        meaning="ABBYY FineReader XML, versions 6 to 10, and the Internet Archive's `_abbyy.gz`",
        extensions=(*xml_parse.EXTENSIONS, "_abbyy"),
        markup=abbyy,
        root_name="document",
        head_pattern=abbyy.SIGNS,
        page_mark=PageMark("page"),
    ),
    InputKind(
        name="djvu_xml",
        meaning="DjVuXML: the Internet Archive's `_djvu.xml`, and what `djvutoxml` writes",
        extensions=xml_parse.EXTENSIONS,
        markup=djvu_xml,
        root_name="DjVuXML",
        has_doctype=True,
        page_mark=PageMark("OBJECT"),
    ),
    InputKind(
        name="mets",
        meaning="METS: the text files (or else scans) that it names for each page of an item",
        extensions=xml_parse.EXTENSIONS,
        container=mets,
        root_name="mets",
    ),
    InputKind(
        name="text",
        meaning="plain text; a record is a line, a paragraph or a file (`input.text_unit`)",
        extensions=text_files.EXTENSIONS,
        texts="units",
        always_one_page=True,
    ),
    InputKind(
        name=TABLE,
        meaning="JSON lines, arrays of JSON objects, CSV, TSV and Parquet; a record is a row",
        extensions=tables.EXTENSIONS,
        texts="rows",
    ),
)

KINDS: dict[str, InputKind] = {kind.name: kind for kind in _ALL}
IMAGE_KINDS = tuple(kind.name for kind in _ALL if kind.is_image)
TEXT_LAYER_KINDS = tuple(kind.name for kind in _ALL if kind.has_text_layer)
EXPORTED_KINDS = tuple(kind.name for kind in _ALL if kind.is_exported)


_FAMILIES = {extension: kind.family for kind in reversed(_ALL) for extension in kind.extensions}
_MARKUP_ENDINGS = tuple(ending for ending, family in _FAMILIES.items() if family == MARKUP and not ending.startswith("."))


def family_of(file_name: str) -> str | None:
    """Return the `family` for the extension of a file name; None if no kind has it. All markup may be compressed."""
    stem, dot, last = file_name.lower().rpartition(".")
    family = _FAMILIES.get(f".{stem.rpartition('.')[2]}.{last}" if f".{last}" in PACKED else dot + last)
    if family:
        return family
    inner = without_suffix(file_name.lower())
    is_markup = _FAMILIES.get("." + inner.rpartition(".")[2]) == MARKUP or inner.endswith(_MARKUP_ENDINGS)
    return MARKUP if is_markup else None


def may_be_markup(file_name: str) -> bool:
    """Return True for a compressed file whose name does not say what is in it."""
    return without_suffix(file_name) != file_name and family_of(file_name) is None


def image_format_of(data: bytes) -> ImageFormat:
    """Return the module that decodes an image file of this content."""
    return next((kind.image for kind in _ALL if kind.image and kind.magic and kind.magic.match(data)), images)


def markup_kind_of(head: bytes) -> InputKind | None:
    """Return the kind of an XML or HTML file of any namespace or version; None if it is no known format.

    `head` is the beginning of the file, at least up to the first page's element.
    """
    kind = kind_of_root(xml_parse.root_name(head))
    text = head.replace(b"\0", b"")  # without its NULs UTF-16 reads like ASCII
    if kind and (kind.head_pattern is None or kind.head_pattern.search(text)):
        return kind
    if not _MARKUP_START.match(text):
        return None
    only_pattern = (kind for kind in _ALL if kind.head_pattern and not kind.root_name)
    return next((kind for kind in only_pattern if kind.head_pattern and kind.head_pattern.search(text)), None)


def kind_of_root(root_name: str | None) -> InputKind | None:
    """Return the kind whose root element has this local name; None if there is none."""
    return next((kind for kind in _ALL if kind.root_name and kind.root_name == root_name), None)


_MARKUP_START = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*<")
