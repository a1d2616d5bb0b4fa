"""What an ALTO file says of words divided at line ends reaches the dehyphenated text."""

from pathlib import Path

import pytest

from ocrray.sources.ocr_files.markup import read_page
from ocrray.sources.open_page import open_document
from ocrray.text.dehyphenation import dehyphenated

ALTO = "<alto><Layout><Page><PrintSpace><TextBlock>{}</TextBlock></PrintSpace></Page></Layout></alto>"


def line(*parts: str) -> str:
    return f"<TextLine>{'<SP/>'.join(parts)}</TextLine>"


def string(content: str, half: str = "", whole: str | None = None) -> str:
    said = (f' SUBS_TYPE="HypPart{half}"' if half else "") + (f' SUBS_CONTENT="{whole}"' if whole is not None else "")
    return f'<String CONTENT="{content}"{said}/>'


@pytest.mark.parametrize(
    ("lines", "divisions", "expected"),
    [
        ([line(string("Zuk", "1", "Zucker") + "<HYP/>"), line(string("ker", "2", "Zucker"))], {0: "Zucker"}, "Zucker"),
        ([line(string("Zuk-", "1", "Zucker")), line(string("ker,"), string("a"))], {0: "Zucker"}, "Zucker,\na"),
        ([line(string("Zuk-")), line(string("ker", "2", "Zucker"))], {0: "Zucker"}, "Zucker"),
        ([line(string("mas") + '<HYP CONTENT="¬"/>'), line(string("ter"))], {0: ""}, "master"),
        ([line(string("mas") + "<HYP/>"), line(string("ter"))], {0: ""}, "master"),
        ([line(string("mas", "1")), line(string("ter", "2"))], {0: ""}, "master"),
        ([line(string("mas-")), line(string("ter"))], {}, "master"),
        (
            [line(string("mas-", "1", "master")), line(string("note")), line(string("ter", "2", "master"))],
            {0: None, 1: None},
            "mas-\nnote\nter",
        ),
        ([line(string("mas-", "1", "master"))], {}, "mas-"),
        ([line(string("a")), line(), line(string("mas-", "1", "master")), line(string("ter"))], {1: "master"}, "a\nmaster"),
        ([line(string("well-", "1", "well-known")), line(string("known"))], {0: "well-known"}, "well-known"),
    ],
)
def test_alto_divisions_are_those_of_the_lines_with_text(
    lines: list[str], divisions: dict[int, str | None], expected: str, tmp_path: Path
) -> None:
    """HYP, SUBS_TYPE and SUBS_CONTENT of either half say it; the text as printed is not touched."""
    data = ALTO.format("".join(lines)).encode()
    (tmp_path / "a.xml").write_bytes(data)

    document = read_page("alto", data, 0)
    page = open_document("alto", str(tmp_path / "a.xml"), 0, encoding="utf-8", max_file_bytes=1 << 20)

    assert document.divisions == divisions
    assert page.text == "\n".join(found.text for found in document.lines)
    assert all(page.text[division.at] == "\n" for division in page.divisions)
    assert [division.word for division in page.divisions] == list(divisions.values())
    assert dehyphenated(page.text, page.divisions) == expected
