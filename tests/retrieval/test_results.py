import sys

import numpy as np
import pytest

from gapremoval.retrieval import SearchResult

FOUND = SearchResult(
    ids=np.array([["a", "<b>"], ["c", "a"]]),
    scores=np.array([[0.5, 0.25], [1.0, -1.0]]),
    modalities=np.array([["text", "image"], ["image+text", "text"]]),
)


def test_the_table_has_a_row_for_each_document_found():
    frame = FOUND.to_frame()
    assert list(frame.columns) == ["query", "rank", "id", "score", "probability", "modality"]
    assert frame["query"].tolist() == [0, 0, 1, 1]
    assert frame["rank"].tolist() == [1, 2, 1, 2]
    assert frame["id"].tolist() == ["a", "<b>", "c", "a"]
    assert frame["score"].tolist() == [0.5, 0.25, 1, -1]
    assert frame["probability"].isna().all()
    assert frame["modality"].tolist() == ["text", "image", "image+text", "text"]


def test_the_table_shows_probabilities_where_there_are_some():
    with_some = SearchResult(FOUND.ids, FOUND.scores, FOUND.modalities, FOUND.scores / 2)
    assert with_some.to_frame()["probability"].tolist() == [0.25, 0.125, 0.5, -0.5]


def test_without_pandas_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'gapremoval\[pandas\]'"):
        FOUND.to_frame()


def test_the_page_escapes_ids():
    page = FOUND._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count("<tr>") == 1 + 4


def test_the_page_shows_probabilities_where_there_are_some():
    assert "probability" not in FOUND._repr_html_()
    with_some = SearchResult(FOUND.ids, FOUND.scores, FOUND.modalities, FOUND.scores / 4)
    assert "<th>score</th><th>probability</th>" in with_some._repr_html_()
    assert "<td>a</td><td>0.500</td><td>0.125</td><td>text</td>" in with_some._repr_html_()


def test_the_text_shows_the_best_of_each_query():
    assert repr(FOUND).splitlines() == [
        "SearchResult(2 queries x 2 documents)",
        "query 0: 'a' 0.500 text, '<b>' 0.250 image",
        "query 1: 'c' 1.000 image+text, 'a' -1.000 text",
    ]
    assert len(FOUND) == 2


def test_long_results_are_cut_short():
    many = SearchResult(
        *(np.repeat(x, 20, axis=0) for x in (FOUND.ids, FOUND.scores, FOUND.modalities))
    )
    assert repr(many).endswith("...")
    assert "and 30 more queries" in many._repr_html_()
