"""The view of a SearchResult in a notebook: thumbnails, texts, and one form of every number."""

import base64
import dataclasses
import os
import pickle
import re
from io import BytesIO

import numpy as np
import pytest
from browser import axe_faults
from hypothesis import given, settings
from hypothesis import strategies as st

from gapremoval import MixedModalityRetriever, search
from gapremoval.retrieval import CertifiedResult, SearchResult

pytest.importorskip("jinja2")

HOSTILE = ["<img src=x onerror=alert(1)>", "</table><script>alert(1)</script>", "\"'&lt;\x00\ud800"]
ROOM = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>t</title></head>
<body style="{}"><main><h1>A notebook</h1>{}</main></body></html>"""


def found(ids, **known):
    """A SearchResult with these ids a query."""
    boxed = np.empty((len(ids), len(ids[0])), dtype=object)
    boxed[:] = ids
    scores = np.linspace(0.9, 0.1, boxed.size).reshape(boxed.shape)
    return SearchResult(boxed, scores, np.full(boxed.shape, "text"), **known)


def thumbnails(page):
    """The pictures in a view, decoded."""
    Image = pytest.importorskip("PIL.Image")
    data = re.findall(r'<img src="data:image/\w+;base64,([^"]*)"', page)
    return [Image.open(BytesIO(base64.b64decode(picture))) for picture in data]


def said(page):
    """What a view says."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.partition("</style>")[2]).split())


def draw(path, size=(300, 150)):
    pytest.importorskip("PIL.Image").new("RGB", size, "red").save(path)
    return str(path)


def test_ids_that_are_paths_show_thumbnails_and_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw("a lake.png")
    draw("tall.jpg", (20, 400))
    (tmp_path / "note.md").write_text("# A **title**")
    page = found([["a lake.png", tmp_path / "tall.jpg", "note.md", "no path"]])._repr_html_()
    assert [image.size for image in thumbnails(page)] == [(64, 32), (3, 64)]
    assert 'alt="a lake.png"' in page
    assert "A title note.md" in said(page)
    assert "no path 0.100 text" in said(page)


def test_contents_are_shown_and_stay_with_the_result():
    Image = pytest.importorskip("PIL.Image")
    contents = {7: [Image.new("RGB", (99, 99)), "a red bicycle"], 8: "a lake"}
    result = found([[7, 8], [8, 9]], false_alarm=np.array([0.01, 0.3])).with_contents(contents)
    for some in (result, result[:], result[[0, 1]], pickle.loads(pickle.dumps(result))):
        page = some._repr_html_()
        assert len(thumbnails(page)) == 1
        assert said(page).count("a lake") == 2
    assert "a red bicycle" not in result[1]._repr_html_()
    assert result.contents is contents
    assert found([[7]])[0].contents is None
    assert list(result.to_frame().columns) == list(found([[7]]).to_frame().columns)
    assert result.to_records() == dataclasses.replace(result, contents=None).to_records()


def test_contents_that_are_no_mapping_are_refused():
    with pytest.raises(TypeError, match="contents must be a dict"):
        found([[1]]).with_contents(["a text"])


def test_a_search_of_documents_named_by_their_text_shows_no_more_than_the_text():
    texts = ["a lake at night", "a red bicycle"]
    retriever = MixedModalityRetriever().fit(np.eye(2), texts, modality="text")
    page = search(retriever, [[0.6, 0.8]], modality="text")._repr_html_()
    head = "rank id score modality"
    assert said(page) == f"{head} 1 a red bicycle 0.800 text 2 a lake at night 0.600 text"


def test_numbers_have_one_form_and_doubts_are_told():
    known = {"probabilities": np.array([[0.754], [np.nan]]), "evidence": np.array([7.111, np.nan])}
    page = said(found([["a"], ["b"]], false_alarm=np.array([0.0004, 0.621]), **known)._repr_html_())
    assert page == (
        "rank id score probability modality Query row 0 · evidence 7.11 · false alarm &lt;0.1% "
        "1 a 0.900 75.4% text Query row 1 · Probably nothing here: of the queries "
        "that nothing answers, 62.1% look at least as well answered. 1 b 0.100 text"
    )


def test_a_query_that_finds_nothing_is_told_and_a_lone_query_is_not_numbered():
    alone = found([["a"]])._repr_html_()
    assert "Query" not in said(alone)
    nothing = SearchResult(*(np.empty((1, 0), dtype=kind) for kind in (object, float, str)))
    assert "Nothing was found." in said(nothing._repr_html_())
    boxed = np.array([["a"], [None]], dtype=object)
    short = SearchResult(boxed, np.array([[0.5], [np.nan]]), np.array([["text"], [""]]))
    assert "Query row 1 · Nothing was found." in said(short._repr_html_())


def test_a_certificate_is_told():
    shape = (2, 1)
    result = CertifiedResult(
        np.zeros(shape, int),
        np.zeros(shape),
        np.full(shape, "text"),
        certified=np.array([True, False]),
        n_fetched=np.array([10, 20]),
    )
    page = said(result._repr_html_())
    assert "Query row 0 · certainly the best, of 10 rows that the store returned" in page
    assert "Query row 1 · there may be better ones, of 20 rows that the store returned" in page


def test_what_cannot_be_read_becomes_a_note(tmp_path):
    pytest.importorskip("PIL.Image")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "binary.txt").write_bytes(b"\0\xff")
    (tmp_path / "folder.png").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
    names = ["broken.png", "empty.jpg", "binary.txt", "folder.png", "pipe.png", "gone.png"]
    page = found([[str(tmp_path / name) for name in names] + ["\0.png", "x" * 5000]])._repr_html_()
    assert not thumbnails(page)
    for note in ("broken.png: not a picture", "empty.jpg: the file is empty", "binary.txt: not U"):
        assert note in said(page)


def test_much_is_cut_short_in_queries_documents_pictures_and_bytes(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    page = found([[str(tmp_path / "noise.png")] * 100] * 15)._repr_html_()
    assert said(page).count("and 80 more") == 10
    assert "and 5 more queries" in said(page)
    assert len(thumbnails(page)) == 60
    assert len(page) < 500_000


@settings(max_examples=20)
@given(
    st.lists(st.sampled_from(HOSTILE) | st.text(max_size=9), min_size=1, max_size=4),
    st.sampled_from(HOSTILE),
)
def test_hostile_contents_add_no_tag(texts, id_):
    def tags(page):
        return re.findall(r"<[^>]*>", page)

    result = found([[id_]])
    page = result.with_contents({id_: texts})._repr_html_()
    page.encode()  # a notebook is saved as UTF-8
    assert tags(page) == tags(result.with_contents({id_: ["t"] * len(texts)})._repr_html_())


@pytest.mark.parametrize("style", ["color: #111", "color: #ddd; background: #111"])
def test_a_browser_shows_the_view_in_the_colors_of_the_notebook(open_page, tmp_path, style):
    Image = pytest.importorskip("PIL.Image")
    contents = {0: Image.new("RGB", (90, 90)), HOSTILE[1]: HOSTILE}
    known = {"false_alarm": np.array([0.3]), "probabilities": np.full((1, 3), 0.3)}
    result = found([[0, HOSTILE[1], draw(tmp_path / "<b>.png")]], **known)
    view = result.with_contents(contents)._repr_html_()
    page = open_page(ROOM.format(style, view), width=600)
    assert HOSTILE[1] in page.locator("table").inner_text()
    assert page.evaluate("[...document.images].map(image => image.naturalWidth)") == [64, 64]
    assert page.locator("script").count() == 0
    assert axe_faults(page) == []
