"""SearchResult: its queries, and what it shows as a table, as records and in a notebook."""

import dataclasses
import json
import sys
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gapremoval.retrieval import SearchResult

FOUND = SearchResult(
    ids=np.array([["a", "<b>"], ["c", "a"]]),
    scores=np.array([[0.5, 0.25], [1.0, -1.0]]),
    modalities=np.array([["text", "image"], ["image+text", "text"]]),
)
COLUMNS = ["query", "rank", "id", "score", "probability", "modality", "evidence", "false_alarm"]


def made(n_queries, n_found=2, odds=True):
    """A result whose values all differ."""
    numbers = np.arange(n_queries * n_found, dtype=float).reshape(n_queries, n_found)
    of_query = np.arange(n_queries)
    odds = (numbers / 100, of_query * 0.5, of_query / 10) if odds else ()
    return SearchResult(numbers.astype(int), -numbers, np.full(numbers.shape, "text"), *odds)


@given(st.data(), st.integers(1, 6), st.booleans())
def test_any_way_to_index_queries_takes_the_rows_of_every_array(data, n_queries, odds):
    found = made(n_queries, odds=odds)
    key = data.draw(
        st.slices(n_queries)
        | hnp.arrays(int, st.integers(0, 5), elements=st.integers(-n_queries, n_queries - 1))
        | hnp.arrays(bool, n_queries)
        | st.lists(st.integers(0, n_queries - 1))
    )
    part = found[key]
    for field in dataclasses.fields(found):
        whole, taken = getattr(found, field.name), getattr(part, field.name)
        if whole is None:
            assert taken is None
        else:
            wanted = whole[np.asarray(key, int) if isinstance(key, list) else key]
            np.testing.assert_array_equal(taken, wanted)


@given(st.integers(1, 6), st.booleans())
def test_an_integer_and_iterating_give_results_of_one_query(n_queries, odds):
    found = made(n_queries, odds=odds)
    ones = list(found)
    assert len(ones) == n_queries
    for i, one in enumerate(ones):
        assert isinstance(one, SearchResult)
        assert one.ids.shape == (1, 2)
        for same in (found[i], found[np.int32(i)], found[i - n_queries]):
            assert same.to_records() == one.to_records()
    together = [{**x, "query": i} for i, one in enumerate(ones) for x in one.to_records()]
    assert together == found.to_records()


@pytest.mark.parametrize("key", [2, -3, (0, 1), None, "a", True, [[0]], 0.5])
def test_what_is_no_query_is_an_index_error(key):
    with pytest.raises(IndexError):
        FOUND[key]


texts = st.text(st.characters(codec=None), max_size=12)
ids = st.one_of(
    texts,
    st.integers(),
    st.floats(allow_nan=False),
    st.booleans(),
    st.builds(Path, st.sampled_from(["a b.jpg", "caf\udce9"])),
    st.dates(),
    st.binary(max_size=3),
    st.tuples(st.integers(), texts),
    st.sampled_from([np.int8(3), np.float32(0.5), np.str_("x"), np.datetime64("2020-01-02", "ns")]),
)
values = st.floats(-1, 1) | st.just(np.nan)


@st.composite
def results(draw):
    shape = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    drawn = np.empty(shape, dtype=object)
    for place in np.ndindex(shape):
        drawn[place] = draw(ids)
    modalities = draw(hnp.arrays(object, shape, elements=texts))
    odds = draw(st.sampled_from([(), (draw(hnp.arrays(float, shape, elements=values)),)]))
    if odds:
        odds += tuple(draw(hnp.arrays(float, shape[:1], elements=values)) for _ in range(2))
    return SearchResult(drawn, draw(hnp.arrays(float, shape, elements=values)), modalities, *odds)


@given(results())
def test_records_are_those_of_the_table_and_come_back_from_json(found):
    records = found.to_records()
    assert json.loads(json.dumps(records, allow_nan=False)) == records
    frame = found.to_frame()
    assert len(records) == len(frame)
    for record, row in zip(records, frame.itertuples(index=False)):
        assert list(record) == COLUMNS
        assert (record["query"], record["rank"]) == (row.query, row.rank)
        for name in ("score", "probability", "evidence", "false_alarm"):
            number = getattr(row, name)
            assert record[name] == (None if np.isnan(number) else number)
            assert type(record[name]) in (float, type(None))
        assert type(record["id"]) in (str, int, float, bool, type(None))
        assert type(record["modality"]) is str


def test_an_id_in_a_record_is_a_number_or_a_text():
    given_ = [Path("a/b.jpg"), date(2020, 1, 2), np.int64(2**60), np.str_("x"), 2**70, True]
    boxed = np.array([given_], dtype=object)
    found = SearchResult(boxed, np.zeros(boxed.shape), np.full(boxed.shape, "text"))
    wanted = [str(Path("a/b.jpg")), "2020-01-02", 2**60, "x", 2**70, True]
    assert [record["id"] for record in found.to_records()] == wanted
    days = np.array([["2020-01-02T03:04"]], dtype="M8[ns]")
    found = SearchResult(days, np.zeros((1, 1)), np.full((1, 1), "text"))
    assert found.to_records()[0]["id"].startswith("2020-01-02T03:04")


class Cells(HTMLParser):
    """The tags of a page and the text of each cell."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.cells = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, attributes))
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data):
        if data.strip() and self.tags[-1][0] in ("td", "th"):
            self.cells[-1] += data


HOSTILE = ["<img src=x onerror=alert(1)>", "</td></table><script>alert(1)</script>", "\"'&lt;"]


@given(st.lists(st.tuples(texts | st.sampled_from(HOSTILE), st.sampled_from(HOSTILE) | texts)))
def test_hostile_ids_and_modalities_add_no_tag_to_the_page(drawn):
    pytest.importorskip("jinja2")
    id_, modality = (np.array([x], dtype=object).reshape(1, -1) for x in zip(*drawn or [("", "")]))
    found = SearchResult(id_, np.zeros(id_.shape), modality)
    plain = SearchResult(np.zeros(id_.shape, int), found.scores, np.full(id_.shape, "text"))
    page = found._repr_html_()
    page.encode()  # a notebook is saved as UTF-8
    assert Cells(page).tags == Cells(plain._repr_html_()).tags


def test_hostile_texts_are_shown_as_they_are():
    pytest.importorskip("jinja2")
    shape = (1, len(HOSTILE))
    hostile = np.array([HOSTILE], dtype=object)
    cells = Cells(SearchResult(hostile, np.zeros(shape), hostile)._repr_html_()).cells
    head, rows = cells[:4], np.reshape(cells[4:], (-1, 4))
    assert head == ["rank", "id", "score", "modality"]
    assert rows[:, 1].tolist() == rows[:, 3].tolist() == HOSTILE


def test_an_id_that_calls_itself_safe_is_escaped():
    markupsafe = pytest.importorskip("markupsafe")
    boxed = np.array([[markupsafe.Markup("<b>")]], dtype=object)
    page = SearchResult(boxed, np.zeros((1, 1)), np.array([["text"]]))._repr_html_()
    assert "<b>" not in page


def test_without_jinja2_a_notebook_shows_the_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert FOUND._repr_html_() is None


def test_the_table_has_a_row_for_each_document_found():
    frame = FOUND.to_frame()
    assert list(frame.columns) == COLUMNS
    assert frame["query"].tolist() == [0, 0, 1, 1]
    assert frame["rank"].tolist() == [1, 2, 1, 2]
    assert frame["id"].tolist() == ["a", "<b>", "c", "a"]
    assert frame["score"].tolist() == [0.5, 0.25, 1, -1]
    assert frame["probability"].isna().all()
    assert frame[["evidence", "false_alarm"]].isna().all(axis=None)
    assert frame["modality"].tolist() == ["text", "image", "image+text", "text"]


def test_the_table_shows_probabilities_where_there_are_some():
    with_some = SearchResult(FOUND.ids, FOUND.scores, FOUND.modalities, FOUND.scores / 2)
    assert with_some.to_frame()["probability"].tolist() == [0.25, 0.125, 0.5, -0.5]
    with_both = dataclasses.replace(with_some, evidence=np.array([2.5, np.nan]))
    assert with_both.to_frame()["evidence"].fillna(-1).tolist() == [2.5, 2.5, -1, -1]


def test_without_pandas_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'gapremoval\[pandas\]'"):
        FOUND.to_frame()


def test_the_page_escapes_ids():
    pytest.importorskip("jinja2")
    page = FOUND._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count("<tr>") == 1 + 2 + 4  # the head, a line for each query, the documents


def test_the_page_shows_probabilities_where_there_are_some():
    pytest.importorskip("jinja2")
    assert "probability" not in FOUND._repr_html_()
    with_some = SearchResult(FOUND.ids, FOUND.scores, FOUND.modalities, FOUND.scores / 4)
    cells = Cells(with_some._repr_html_()).cells
    assert cells[:5] == ["rank", "id", "score", "probability", "modality"]
    assert cells[5:11] == ["Query row 0", "1", "a", "0.500", "12.5%", "text"]


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
