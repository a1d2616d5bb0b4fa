"""Trees of any shape, in ALTO, PAGE and hOCR: every word of the file is read once, and a correction of every word is exported."""

from collections import Counter
from itertools import count

from export_samples import STEP
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.corpus.export.document import write_document
from ocrray.sources.ocr_files import markup
from ocrray.text.edits import edits_between

Tree = tuple[str, list["Tree"]]

_ALTO_LEAVES = [
    '<TextLine><String CONTENT="{}"/><SP/><String CONTENT="{}"/></TextLine>',
    '<TextLine><String CONTENT="{}"/><HYP/></TextLine>',
    '<TextLine><Group><String CONTENT="{}"/></Group><SP/><String CONTENT="{}"/></TextLine>',
    '<String CONTENT="{}"/><SP/>',
    '<String><Glyph CONTENT="{}"/></String><SP/>',
]
_ALTO_NODES = ["Page", "PrintSpace", "TopMargin", "BottomMargin", "TextBlock", "ComposedBlock", "Table", "TextLine"]
_EQUIV = "<TextEquiv><Unicode>{}</Unicode></TextEquiv>"
_PAGE_LEAVES = [
    f"<TextLine>{_EQUIV}</TextLine>",
    f"<TextLine><Word>{_EQUIV}</Word><Word>{_EQUIV}</Word></TextLine>",
    f"<TextLine><X><Word>{_EQUIV}</Word></X></TextLine>",
    f"<Word>{_EQUIV}</Word>",
    f'<TextLine>{_EQUIV.format("")}<TextEquiv index="1"><Unicode>{{}}</Unicode></TextEquiv></TextLine>',
    f"<TextRegion>{_EQUIV}</TextRegion>",
    f'<TableCell row="1" col="0">{_EQUIV}</TableCell>',
]
_PAGE_NODES = ["Page", "TextRegion", "TableRegion", "TableCell", "ImageRegion", "Border", "Anything"]
_HOCR_LEAVES = [
    "<span class='ocr_line'><span class='ocrx_word'>{}</span> <span class='ocrx_word'>{}</span></span>",
    "<span class='ocrx_word'>{}</span>",
    "<span class='ocr_line'>{} </span>",
    "<p>{}</p>",
    " {} ",
    "<h1 class='ocr_title'>{}</h1>",
    "<table><tr><td>{}</td><td>{}</td></tr></table>",
]
_HOCR_NODES = ["ocr_page", "ocr_carea", "ocr_par", "ocr_line", "ocr_section", "plain", "ocrx_block"]


def trees(leaves: list[str], nodes: list[str]) -> st.SearchStrategy[Tree]:
    ends = st.sampled_from(leaves).map(lambda leaf: (leaf, []))
    return st.recursive(ends, lambda inner: st.tuples(st.sampled_from(nodes), st.lists(inner, max_size=4)), max_leaves=12)


def written_out(tree: Tree, element: str, numbers: "count[int]") -> str:
    name, children = tree
    if "{}" in name:
        return name.format(*(f"w{next(numbers):03d}x" for _ in range(name.count("{}"))))
    inside = "".join(written_out(child, element, numbers) for child in children)
    return element.format(name, inside)


def file_of(kind: str, parts: list[Tree]) -> str:
    element = "<div class='{0}'>{1}</div>" if kind == "hocr" else "<{0}>{1}</{0}>"
    numbers = count()
    body = "".join(written_out(tree, element, numbers) for tree in parts)
    around = {
        "alto": "<alto><Description>no</Description><Layout>{}</Layout></alto>",
        "page": "<PcGts><Metadata><Creator>no</Creator></Metadata>{}</PcGts>",
        "hocr": "<html><head><title>no</title></head><body>{}</body></html>",
    }
    return around[kind].format(body)


files = st.one_of(
    st.builds(file_of, st.just("alto"), st.lists(trees(_ALTO_LEAVES, _ALTO_NODES), max_size=4)).map(lambda text: ("alto", text)),
    st.builds(file_of, st.just("page"), st.lists(trees(_PAGE_LEAVES, _PAGE_NODES), max_size=4)).map(lambda text: ("page", text)),
    st.builds(file_of, st.just("hocr"), st.lists(trees(_HOCR_LEAVES, _HOCR_NODES), max_size=4)).map(lambda text: ("hocr", text)),
)


@settings(max_examples=100, deadline=None)
@given(files)
def test_any_tree_is_read_once_and_exported_whole(file: tuple[str, str]):
    """Each word is on one page, once, with no warning; once all are corrected, none of the old ones is left in the file."""
    kind, source = file
    data = source.encode()
    pages = [markup.read_page(kind, data, page) for page in range(markup.count_pages(kind, data))]
    texts = ["\n".join(line.text for line in page.lines) for page in pages]

    found = Counter(word.rstrip("-") for text in texts for word in text.split())
    assert found == Counter(f"w{number:03d}x" for number in range(source.count("x<") + source.count('x"') + source.count("x ")))
    assert all(not page.warnings for page in pages)
    edits = {page: edits_between(text, text.replace("w", "v")) for page, text in enumerate(texts)}
    assert b"w00" not in write_document(kind, data, edits, STEP).data
