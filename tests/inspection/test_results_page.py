"""results_page: everything is shown, nothing is run, and a browser opens it."""

import base64
import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import urljoin

import numpy as np
import pytest
from browser import axe_faults, pixels_too_wide
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import MixedModalityRetriever, Query, make_search_pipeline, search
from gapremoval.datasets import make_mixed_modality
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


def found(ids, probabilities=None, **of_queries):
    """A SearchResult with these ids a query."""
    boxed = np.empty((len(ids), len(ids[0])), dtype=object)
    boxed[:] = ids
    scores = np.linspace(0.9, 0.1, boxed.size).reshape(boxed.shape)
    return SearchResult(boxed, scores, np.full(boxed.shape, "text"), probabilities, **of_queries)


def words(page):
    """All that the body of a page says, with blanks as a browser shows them."""
    page = Page(page)
    start = next(start for tag, _, start in page.elements if tag == "body")
    return " ".join("".join(page.said[start:]).split())


def letters(text):
    return "".join(filter(str.isalnum, text))


@given(texts, texts, texts, texts, texts, texts)
def test_whatever_is_shown_stays_text_and_the_page_stays_whole(query, id_, text, name, title, said):
    result = found([[id_, f"{id_}2"]])
    page = results_page(
        [query], {name: result}, {id_: [text]}, answers=[id_], title=title, introduction=said
    )
    parsed = Page(page.encode("utf-8").decode("utf-8"))
    for given_text in (query, id_, name, title, said):
        assert shown(given_text) in parsed.text
    assert letters(shown(text)) in letters(parsed.text)  # the marks of Markdown are taken off
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
    for name, wanted in [("id", ids.ravel()), ("rank", np.indices(ids.shape)[1].ravel() + 1)]:
        spans = [start for _, given_, start in page.elements if given_.get("class") == name]
        assert [page.said[start] for start in spans] == [*map(str, wanted)]
    for i in range(n_queries):
        assert f"question {i}" in page.text
    for i in set(ids.ravel()) & contents.keys():
        assert f"text of {i}" in page.text


def test_a_page_has_a_language_an_encoding_headings_and_nothing_from_elsewhere():
    made = results_page(["a", "b"], {"raw": found([["x"], ["y"]])}, {"x": "https://x.org/a.js"})
    page = Page(made)
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
    assert "url(" not in made
    assert "@import" not in made


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
    assert "a · text · score 0.900 · probability 75.0%" in page
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


def test_queries_are_numbered_only_where_there_are_several():
    assert "Query" not in words(results_page("why", found([["a"]]), {}))
    page = words(results_page(["why", "how"], found([["a"], ["b"]]), {}))
    assert "Query 1 why" in page
    assert "Query 2 how" in page


@given(st.floats(0, 1) | st.floats(1e-9, 1e-3).flatmap(lambda x: st.sampled_from([x, 1 - x])))
def test_a_share_has_one_form_and_never_looks_like_nothing_or_all_if_it_is_not(share):
    result = found([["a"]], np.array([[share]]), false_alarm=np.array([1 - share]))
    page = words(results_page("q", result, {}))
    probability = re.search(r"probability (\S+)", page)[1]
    kind, number = re.fullmatch(r"([<>]?)(\d{1,3}\.\d)%", probability).groups()
    assert abs(float(number) / 100 - share) <= 0.0005 + 1e-9 or kind
    assert (probability == "0.0%") == (share == 0)
    assert (probability == "100.0%") == (share == 1)
    if doubted := re.search(r"nothing answers, (\S+) look", page):
        mirrored = words(results_page("q", found([["a"]], np.array([[1 - share]])), {}))
        assert f"probability {doubted[1]}" in mirrored


@pytest.mark.parametrize(
    ("false_alarm", "word"),
    [
        *((x, None) for x in (0.01, 0.05, np.nan)),
        *((x, "Perhaps") for x in (0.051, 0.5)),
        *((x, "Probably") for x in (0.51, 1.0)),
    ],
)
@pytest.mark.parametrize("n_found", [0, 2])
def test_where_nothing_may_answer_a_query_the_page_says_so(false_alarm, word, n_found):
    result = found([["a", "b"][:n_found]], false_alarm=np.array([false_alarm]))
    page = words(results_page("q", result, {}))
    said = re.findall(r"(\w+) nothing here: of the queries that nothing answers, (\S+) look", page)
    assert said == ([] if word is None else [(word, f"{false_alarm:.1%}")])
    assert ("Nothing was found." in page) == (n_found == 0)


def test_there_is_no_doubt_where_an_answer_is_known():
    result = found([["a"], ["a"], ["a"]], false_alarm=np.full(3, 0.9))
    page = words(results_page(["p", "q", "r"], result, {}, answers=["a", None, []]))
    assert page.count("Probably nothing here") == 2
    assert "nothing here" not in page.partition("Query 2")[0]


def test_a_search_of_its_own_tells_when_there_may_be_nothing():
    X, y = make_mixed_modality(random_state=0)
    is_query = X.modality == "query:text"
    documents = ~is_query & np.isin(y, y[is_query][150:])
    pipe = make_search_pipeline().fit(X[documents], y[documents])
    result = search(pipe, X[is_query][:20], 2)
    page = words(results_page([f"q{i}" for i in range(20)], result, {}))
    assert page.count("nothing here:") == np.count_nonzero(result.false_alarm > 0.05) > 5
    assert page.count("Probably nothing") == np.count_nonzero(result.false_alarm > 0.5) > 0


def test_texts_are_shown_without_the_marks_of_markdown(tmp_path):
    (tmp_path / "note.md").write_text("# The *lake*\n\nSee [the map](map.png).\n", "utf-8")
    contents = {"a": "## A **bold** title", "b": [tmp_path / "note.md"]}
    page = words(results_page("# q", found([["a", "b"]]), contents))
    assert "A bold title a · text" in page
    assert "The lake See the map. note.md" in page
    assert page.startswith("Search results # q Found")  # a query is as it was typed


ODD = ["plain.txt", 'a b #1?&".txt', "100%.md", "x:y.txt", "é\u2028ü.txt", "<b>'.md"]


def links(page):
    return [attributes["href"] for attributes in Page(page).all("a")]


def test_files_have_links_and_nothing_else_has(tmp_path, monkeypatch):
    pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    for name in ODD:
        Path(name).write_text("words")
    Path("folder").mkdir()
    picture("red").save("shown.png")
    Path("other.bin").touch()
    contents = {"a": [Path("shown.png"), "words", picture("blue"), Path("gone.txt")]}
    ids = ["a", "folder", "gone.png", "other.bin", *ODD, "", ".", "\0", "x" * 5000, 7]
    absolute = results_page("q", found([ids]), contents)
    wanted = [tmp_path / name for name in ["shown.png", "other.bin"]]
    # An id that is the path of a text or a picture shows it: the file has a link, and the id.
    wanted += [tmp_path / name for name in ODD for _ in range(2)]
    assert links(absolute) == [path.as_uri() for path in wanted]
    relative = results_page("q", found([ids]), contents, folder="folder")
    assert all(link.startswith("../") for link in links(relative))
    assert [urljoin((tmp_path / "folder/p.html").as_uri(), link) for link in links(relative)] == [
        path.as_uri() for path in wanted
    ]


def test_an_id_that_is_the_path_of_a_picture_shows_it_unless_contents_say_otherwise(tmp_path):
    picture("red").save(tmp_path / "a.png")
    (tmp_path / "fake.png").write_text("no picture")
    path, fake = str(tmp_path / "a.png"), str(tmp_path / "fake.png")
    ((_, attributes),) = pictures_of(results_page("q", found([[path, fake]]), {}))
    assert attributes["alt"] == "a.png"
    assert "fake.png: not a picture" in words(results_page("q", found([[fake]]), {}))
    assert not Page(results_page("q", found([[path]]), {path: "other"})).all("img")


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_a_browser_shows_the_page_with_all_its_pictures_and_no_complaint(
    open_page, tmp_path, width, dark
):
    names = [f"{i} <b>&\"'.png" for i in range(6)]
    for i, name in enumerate(names):
        picture((40 * i, 90, 200), (90, 60 + 40 * i)).save(tmp_path / name)
    contents = {i: [tmp_path / name, f"text {i} " * 9] for i, name in enumerate(names)}
    contents[5] = ["x" * 500, *NASTY]
    first = [[0, 1, 2], [3, 4, 5], [1, 2, 3]]
    second = [[2, 0, 1], [5, 6, 3], [3, 2, 1]]
    doubtful = {"false_alarm": np.array([0.1, 0.9, 0.9])}
    page = results_page(
        [NASTY[1], tmp_path / names[0], "and this"],
        {"before": found(first), "after" * 30: found(second, np.full((3, 3), 0.2), **doubtful)},
        contents,
        answers=[2, 5, None],
        title=NASTY[1],
        introduction=["words", picture("green", (1500, 300))],
    )
    opened = open_page(page, width, dark)
    Image = pytest.importorskip("PIL.Image")
    with Image.open(BytesIO(opened.screenshot())) as image:
        colors = image.convert("RGB").getcolors(maxcolors=image.width * image.height)
    assert len(colors) > 20
    assert max(n for n, _ in colors) < 0.95 * sum(n for n, _ in colors)
    seen = opened.evaluate("[...document.images].map(image => image.naturalWidth > 0)")
    assert seen == [True] * len(Page(page).all("img"))
    assert pixels_too_wide(opened) <= 0
    assert axe_faults(opened) == []
    assert opened.title() == opened.locator("h1").inner_text() == NASTY[1]
    assert opened.locator("script").count() == 0


@pytest.mark.parametrize(("width", "n_beside"), [(390, 1), (1280, 5)])
def test_ranks_stay_whole_and_pictures_are_200_pixels_in_a_grid(open_page, width, n_beside):
    names = [f"document {i}" for i in range(120)]
    contents = {name: [picture("navy", (600, 450)), "words " * 30] for name in names[:12]}
    opened = open_page(results_page("q", found([names]), contents), width)
    boxes = opened.evaluate(
        """() => [...document.querySelectorAll(".rank")].map(rank => [
            rank.textContent, rank.getClientRects().length, rank.scrollWidth])"""
    )
    assert [rank for rank, *_ in boxes] == [str(i + 1) for i in range(120)]
    assert {lines for _, lines, _ in boxes} == {1}
    sizes = "[...document.images].map(image => [image.clientWidth, image.clientHeight])"
    assert opened.evaluate(sizes) == [[200, 150]] * 12
    tops = opened.evaluate(
        "[...document.querySelectorAll('.card')].map(card => card.getBoundingClientRect().top)"
    )
    assert tops.count(tops[0]) == n_beside


def test_a_keyboard_reaches_the_files_and_they_open(open_page, tmp_path):
    for name in ODD:
        (tmp_path / name).write_text(f"the text of {name}")
    ids = [str(tmp_path / name) for name in ODD]
    page = tmp_path / "found" / "page.html"
    page.parent.mkdir()
    page.write_text(results_page("q", found([ids]), {}, folder=page.parent), encoding="utf-8")
    for name in (ODD[1], ODD[-1]):
        opened = open_page(page)
        for _ in range(1 + 2 * ODD.index(name)):
            opened.keyboard.press("Tab")
        assert opened.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        assert opened.evaluate("document.activeElement.textContent") == name
        opened.keyboard.press("Enter")
        opened.wait_for_url((tmp_path / name).as_uri())
        assert opened.locator("body").inner_text() == f"the text of {name}"


def test_a_screen_reader_is_told_lists_headings_and_what_links_are(open_page, tmp_path):
    picture("red").save(tmp_path / "lake.png")
    contents = {"a": [tmp_path / "lake.png"], "b": "words"}
    opened = open_page(results_page("q", found([["a", "b"]]), contents, answers=["b"]))
    tree = opened.locator("body").aria_snapshot()
    for told in (
        '- heading "Search results" [level=1]',
        '- heading "q" [level=2]',
        "- list:",
        '- link "lake.png":',
        '- img "lake.png"',
        "- strong: ✓ right answer",
    ):
        assert told in tree
    assert tree.count("- listitem:") == 2
