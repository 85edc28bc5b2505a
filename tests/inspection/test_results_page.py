"""results_page: everything is shown, nothing is run, and a browser opens it."""

import base64
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from browser import pixels_too_wide
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import MixedModalityRetriever, Query, search
from gapremoval.inspection import results_page
from gapremoval.retrieval import SearchResult

NASTY = [
    "<img src=x onerror=alert(1)>.jpg",
    "</style></title><script>alert(1)</script>",
    "\" onload='alert(1)' &amp; &#60;b&#62;",
    "caf\udce9\x00\x1b[31m\ud800\ufffe",
    "two\nlines\r\nand\rmore",
]
VOID = {"meta", "img", "link", "br", "hr", "input", "base", "embed", "source", "wbr"}
texts = st.one_of(st.sampled_from(NASTY), st.text(st.characters(codec=None), max_size=40))


class Page(HTMLParser):
    """A page's elements and its text; tags must nest."""

    def __init__(self, page):
        super().__init__()
        self.open, self.elements, self.said = [], [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), len(self.said)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)

    def all(self, tag):
        return [attributes for name, attributes, _ in self.elements if name == tag]

    @property
    def text(self):
        return "".join(self.said)


def shown(text):
    """What is to be read where `text` was given."""
    text = text.replace("\r\n", "\n")
    for code in {*map(ord, text)}:
        control = code < 32 and chr(code) not in "\n\t"
        nothing = 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
        if control or 0x7F <= code < 0xA0 or 0xD800 <= code <= 0xDFFF or nothing:
            byte = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
            text = text.replace(chr(code), f"\\x{byte:02x}" if byte < 256 else f"\\u{byte:04x}")
    return text


def found(ids, probabilities=None):
    """A SearchResult with these ids a query."""
    boxed = np.empty((len(ids), len(ids[0])), dtype=object)
    boxed[:] = ids
    scores = np.linspace(0.9, 0.1, boxed.size).reshape(boxed.shape)
    return SearchResult(boxed, scores, np.full(boxed.shape, "text"), probabilities)


def words(page):
    """All that a page says, with blanks as a browser shows them."""
    return " ".join(" ".join(Page(page).said).split())


@given(texts, texts, texts, texts, texts, texts)
def test_whatever_is_shown_stays_text_and_the_page_stays_whole(query, id_, text, name, title, said):
    result = found([[id_, f"{id_}2"]])
    page = results_page(
        [query], {name: result}, {id_: [text]}, answers=[id_], title=title, introduction=said
    )
    parsed = Page(page.encode("utf-8").decode("utf-8"))
    for given_text in (query, id_, text, name, title, said):
        assert shown(given_text) in parsed.text
    plain = results_page(
        ["q"], {"n": result}, {id_: ["t"]}, answers=[id_], title="t", introduction="s"
    )
    skeleton = [(tag, attributes) for tag, attributes, _ in parsed.elements]
    assert skeleton == [(tag, attributes) for tag, attributes, _ in Page(plain).elements]


@given(st.data())
def test_every_query_and_every_document_found_appears_in_its_order(data):
    n_queries, n_found = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 6))
    ids = np.arange(n_queries * n_found).reshape(n_queries, n_found) % 7
    empty = np.zeros(ids.shape)
    result = SearchResult(ids, empty, np.full(ids.shape, "image"))
    contents = {i: [f"text of {i}"] for i in range(5)}  # none of 5 and 6
    page = Page(results_page([f"question {i}" for i in range(n_queries)], result, contents))
    cards = [text for text in page.said if text.isdigit()]
    assert cards == [str(i) for i in ids.ravel()]
    for i in range(n_queries):
        assert f"question {i}" in page.text
    for i in set(ids.ravel()) & contents.keys():
        assert f"text of {i}" in page.text


def test_a_page_has_a_language_an_encoding_headings_and_nothing_from_elsewhere():
    page = Page(
        results_page(["a", "b"], {"raw": found([["x"], ["y"]])}, {"x": "https://x.org/a.js"})
    )
    assert page.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.all("meta")
    tags = [tag for tag, _, _ in page.elements]
    assert [tag for tag in tags if tag in ("h1", "h2", "h3")] == ["h1", "h2", "h3", "h2", "h3"]
    assert not {"script", "link", "iframe", "object", "base", "form", "a"} & set(tags)
    assert not any(
        {"src", "href", "srcset", "style"} & attrs.keys() for _, attrs, _ in page.elements
    )
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert "default-src 'none'" in policy
    assert "url(" not in page.text
    assert "@import" not in page.text


def test_the_right_answer_is_marked_and_counted_in_each_column():
    before, after = found([["a", "b"], ["a", "b"]]), found([["c", "a"], ["b", "d"]])
    page = words(
        results_page(
            ["one", "two"],
            {"before": before, "after": after},
            {"c": "the text of c"},
            answers=["c", {"b": 2, "a": 0}],
        )
    )
    assert "before 0 of 2 1 of 2 after 2 of 2 2 of 2" in page
    assert "before right answer not among these 2" in page
    assert "before right answer in place 2" in page
    assert page.count("right answer in place 1") == 2
    assert page.count("✓ right answer") == 3


@pytest.mark.parametrize("answers", [None, [None], [np.nan]])
def test_nothing_is_marked_where_the_answer_is_unknown(answers):
    assert "right answer" not in words(results_page(["q"], found([["a"]]), {}, answers=answers))


def test_an_answer_that_is_not_found_is_shown_beside_its_query():
    page = words(results_page(["q"], found([["a"]]), {"z": "what z says"}, answers=["z"]))
    assert "The right answer what z says z" in page


def test_scores_and_probabilities_are_told_where_there_are_some():
    page = words(results_page(["q"], found([["a", "b"]], np.array([[0.75, np.nan]])), {}))
    assert "a · text · score 0.900 · probability 0.75" in page
    assert page.endswith("b · text · score 0.100")


def test_long_texts_are_shortened_and_many_parts_are_counted():
    page = results_page(["why " * 1000], found([["a"]]), {"a": ["long " * 1000, *"bcdefg"]})
    assert len(words(page)) < 4000
    assert "…" in page
    assert "and 3 more" in page


def test_one_query_and_a_lone_part_need_no_list():
    retriever = MixedModalityRetriever().fit(np.eye(2), ["a", "b"], modality="text")
    result = search(retriever, [0.6, 0.8], modality="text")
    assert results_page("q", result, {"a": "text"}) == results_page(["q"], result, {"a": ["text"]})


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"results": {}}, ValueError, "results is empty"),
        ({"results": ["a"]}, TypeError, "must be what search returned"),
        ({"results": {"raw": [["a"]]}}, TypeError, "must be what search returned"),
        ({"queries": ["a", "b"]}, ValueError, "those of 1 queries, but 2 queries"),
        ({"answers": ["a", "b"]}, ValueError, "2 answers to 1 queries"),
        ({"contents": [["a"]]}, TypeError, "contents must be a dict"),
        ({"contents": {"a": 5}}, TypeError, r"This int cannot be shown: 5 \(Picture of a\)"),
        ({"contents": {"a": [np.ones((4, 4, 3))]}}, TypeError, "This ndarray cannot be shown"),
        ({"queries": [None]}, TypeError, r"This NoneType cannot be shown: None \(The query\)"),
    ],
)
def test_what_cannot_be_shown_is_an_error_that_says_how_to_mend_it(changed, error, message):
    given_ = {"queries": ["q"], "results": found([["a"]]), "contents": {}} | changed
    with pytest.raises(error, match=message):
        results_page(**given_)


def picture(color, size=(300, 150)):
    return pytest.importorskip("PIL.Image").new("RGB", size, color)


def pictures_of(page):
    """The pictures in a page, decoded, and their attributes."""
    Image = pytest.importorskip("PIL.Image")
    for attributes in Page(page).all("img"):
        kind, _, data = attributes["src"].partition(";base64,")
        image = Image.open(BytesIO(base64.b64decode(data, validate=True)))
        image.load()
        assert kind == f"data:image/{image.format.lower()}"
        assert (attributes["width"], attributes["height"]) == tuple(map(str, image.size))
        yield image, attributes


def test_pictures_of_any_kind_lie_in_the_page_small_upright_and_with_a_name(tmp_path):
    red = picture("red")
    on_its_side = red.copy()
    on_its_side.getexif()[274] = 6
    on_its_side.save(tmp_path / "turned.jpg", exif=on_its_side.getexif())
    array = np.full((40, 30, 3), 255, dtype=np.uint8)
    array[:20] = (0, 0, 255)
    page = results_page(
        [Query(text="like this", image=tmp_path / "turned.jpg"), array],
        found([["a"], ["b"]]),
        {"a": [red, "words"], "b": [tmp_path / "turned.jpg"]},
    )
    made = list(pictures_of(page))
    sizes = [(100, 200), (200, 100), (30, 40), (100, 200)]
    assert [image.size for image, _ in made] == sizes
    assert [a["alt"] for _, a in made] == ["turned.jpg", "Picture of a", "The query", "turned.jpg"]
    assert np.allclose(made[1][0].getpixel((50, 50)), (255, 0, 0), atol=4)
    assert made[2][0].getpixel((15, 5)) == (0, 0, 255)


def test_a_picture_of_the_introduction_is_large_and_named_by_the_text_before_it():
    page = results_page(
        "q", found([["a"]]), {}, introduction=["two clouds", picture("red", (2000, 8))]
    )
    ((image, attributes),) = pictures_of(page)
    assert image.size == (1600, 6)
    assert attributes["alt"] == "two clouds"


def test_a_picture_that_cannot_be_read_gives_way_to_a_note(tmp_path):
    pytest.importorskip("PIL.Image")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    (tmp_path / "empty.jpg").touch()
    names = ["broken.png", "empty.jpg", "gone \udce9<b>.jpg"]
    page = results_page(
        [tmp_path / "gone.jpg", Query(image="no such folder/x.jpg")],
        found([["a"], ["b"]]),
        {"a": [tmp_path / name for name in names], "b": [Path("\0")]},
        introduction=tmp_path / "gone too.png",
    )
    page.encode("utf-8")
    assert not Page(page).all("img")
    said = words(page)
    for note in (
        "gone.jpg: no such file",
        "x.jpg: no such file",
        "broken.png: not a picture",
        "empty.jpg: the file is empty",
        r"gone \xe9<b>.jpg: no such file",
        "gone too.png: no such file",
    ):
        assert note in said
    assert "\0" not in page


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_page_with_all_its_pictures_and_no_complaint(
    open_page, tmp_path, width
):
    names = [f"{i} <b>&\"'.png" for i in range(6)]
    for i, name in enumerate(names):
        picture((40 * i, 90, 200), (90, 60 + 40 * i)).save(tmp_path / name)
    contents = {i: [tmp_path / name, f"text {i} " * 9] for i, name in enumerate(names)}
    contents[5] = ["x" * 500, *NASTY]
    first, second = [[0, 1, 2], [3, 4, 5]], [[2, 0, 1], [5, 6, 3]]
    page = results_page(
        [NASTY[1], tmp_path / names[0]],
        {"before": found(first), "after" * 30: found(second)},
        contents,
        answers=[2, 5],
        introduction=["words", picture("green", (1500, 300))],
    )
    opened = open_page(page, width)
    Image = pytest.importorskip("PIL.Image")
    with Image.open(BytesIO(opened.screenshot())) as image:
        colors = image.convert("RGB").getcolors(maxcolors=image.width * image.height)
    assert len(colors) > 20
    assert max(n for n, _ in colors) < 0.95 * sum(n for n, _ in colors)
    seen = opened.evaluate("[...document.images].map(image => image.naturalWidth > 0)")
    assert seen == [True] * len(Page(page).all("img"))
    assert pixels_too_wide(opened) <= 0
