"""Small ALTO, PAGE and hOCR files of which every part can be said, and what reading them again gives."""

import re
from datetime import UTC, datetime

from ocrray.corpus.export.document import write_document
from ocrray.corpus.export.history import ProcessingStep
from ocrray.sources.ocr_files import markup
from ocrray.text.edits import edits_between

STEP = ProcessingStep("9.8.7", "tagger default abc", datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC))

ALTO = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v3#">
  <Description><MeasurementUnit>pixel</MeasurementUnit>
    <OCRProcessing ID="OCR_1"><ocrProcessingStep/></OCRProcessing>
  </Description>
  <Layout><Page ID="p" PHYSICAL_IMG_NR="1"><PrintSpace HPOS="0" VPOS="0" WIDTH="900" HEIGHT="900"><TextBlock ID="b">
    {}
  </TextBlock></PrintSpace></Page></Layout>
</alto>
"""
PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<pc:PcGts xmlns:pc="http://schema.primaresearch.org/PAGE/gts/pagecontent/{}-07-15">
  <pc:Metadata>
    <pc:Creator>x</pc:Creator>
    <pc:Created>2001-01-01T00:00:00</pc:Created>
    <pc:LastChange>2001-01-01T00:00:00</pc:LastChange>
  </pc:Metadata>
  <pc:Page imageFilename="a.tif" imageWidth="900" imageHeight="900">
    {}
  </pc:Page>
</pc:PcGts>
"""
HOCR = """<!DOCTYPE html>
<html><head><title>a<b</title><meta name=ocr-system content="tesseract 5"><script>if (a<b) "</p>"</script></head>
<body><div class='ocr_page' title='bbox 0 0 900 900'>
{}
</div></body></html>
"""


def string(text: str, left: int, width: int, more: str = "", inside: str = "") -> str:
    place = f'HPOS="{left}" VPOS="10" WIDTH="{width}" HEIGHT="20"'
    return f'<String ID="s{left}" {place} WC="0.5" CC="123" CONTENT="{text}"{more}>{inside}</String>'


def alto_line(*children: str) -> str:
    return f'<TextLine ID="l" HPOS="0" VPOS="10" WIDTH="300" HEIGHT="20">{"".join(children)}</TextLine>'


def text_of(kind: str, data: bytes, page: int = 0) -> str:
    return "\n".join(line.text for line in markup.read_page(kind, data, page).lines)


def corrected(kind: str, source: str | bytes, new: str, encoding: str = "utf-8") -> bytes:
    """The file with its first page corrected to read `new`, checked to do so."""
    data = source if isinstance(source, bytes) else source.encode(encoding)
    written = write_document(kind, data, {0: edits_between(text_of(kind, data), new)}, STEP).data
    assert text_of(kind, written) == new
    return written


def line_of(data: bytes) -> str:
    return re.search(r"<TextLine.*?</TextLine>", data.decode(), re.DOTALL)[0]


def page_word(text: str, left: int, inside: str = "") -> str:
    return (
        f'<pc:Word id="w{left}"><pc:Coords points="{left},10 {left + 50},10 {left + 50},30 {left},30"/>{inside}'
        f'<pc:TextEquiv conf="0.5"><pc:Unicode>{text}</pc:Unicode></pc:TextEquiv></pc:Word>'
    )


def page_text(text: str, more: str = "") -> str:
    return f"<pc:TextEquiv{more}><pc:Unicode>{text}</pc:Unicode></pc:TextEquiv>"


def page_region(line: str, own: str = "") -> str:
    coords = '<pc:Coords points="0,10 300,10 300,30 0,30"/>'
    return f'<pc:TextRegion id="r">{coords}<pc:TextLine id="l">{coords}{line}</pc:TextLine>{own}</pc:TextRegion>'


def hocr_word(text: str, left: int) -> str:
    return f"<span class='ocrx_word' id='w{left}' title='bbox {left} 10 {left + 50} 30; x_wconf 50'>{text}</span>"


def hocr_line(inside: str) -> str:
    return f"<span class='ocr_line' title=\"bbox 0 10 300 30\">{inside}</span>"
