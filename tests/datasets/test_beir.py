import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval.datasets import load_beir

CORPUS = [{"_id": "d1", "title": "Snow", "text": "cold"}, {"_id": "d2", "title": "", "text": "sun"}]
QUERIES = [{"_id": "q1", "text": "what is cold"}, {"_id": "q2", "text": "what is warm"}]
QRELS = [("q1", "d1", 2), ("q1", "d2", 0)]


@pytest.fixture
def write(tmp_path):
    """Write a collection, of which parts can be exchanged, and return its folder."""

    def write(corpus=CORPUS, queries=QUERIES, qrels=QRELS, header="query-id\tcorpus-id\tscore"):
        (tmp_path / "qrels").mkdir(exist_ok=True)
        for name, records in {"corpus": corpus, "queries": queries}.items():
            lines = [x if isinstance(x, str) else json.dumps(x) for x in records]
            (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
        lines = [header, *("\t".join(map(str, row)) for row in qrels)]
        (tmp_path / "qrels" / "test.tsv").write_text("\n".join(lines))
        return tmp_path

    return write


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=9).filter(str.strip)
ids = st.text("abc123-_", min_size=1, max_size=3)


@given(
    st.dictionaries(ids, st.tuples(texts, texts), min_size=1, max_size=4),
    st.data(),
)
def test_what_is_written_is_read(tmp_path_factory, documents, data):
    folder = tmp_path_factory.mktemp("beir")
    (folder / "qrels").mkdir()
    corpus = [{"_id": i, "title": a, "text": b} for i, (a, b) in documents.items()]
    gains = data.draw(
        st.dictionaries(st.sampled_from([*documents]), st.integers(-1, 3), min_size=1)
    )
    for name, records in {"corpus": corpus, "queries": QUERIES}.items():
        lines = [json.dumps(x, ensure_ascii=data.draw(st.booleans())) for x in records]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rows = "".join(f"\nq2\t{i}\t{gain}" for i, gain in gains.items())
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore" + rows)
    collection = load_beir(folder)
    assert collection.ids == [*documents]
    assert collection.documents == [f"{a.strip()} {b.strip()}" for a, b in documents.values()]
    assert [query.item for query in collection.queries] == ["what is warm"]
    assert collection.query_ids == ["q2"]
    assert collection.relevance == [gains]


def test_only_judged_queries_are_returned_and_a_missing_title_adds_no_blank(write):
    collection = load_beir(write())
    assert collection.query_ids == ["q1"]
    assert collection.documents == ["Snow cold", "sun"]
    assert collection.relevance == [{"d1": 2, "d2": 0}]


def test_a_table_without_a_header_loses_no_line(write):
    assert load_beir(write(header="q2\td2\t1")).query_ids == ["q1", "q2"]


def test_documents_without_a_text_are_left_out_and_counted(write):
    folder = write([*CORPUS, {"_id": "d3", "title": " ", "text": None}])
    with pytest.warns(UserWarning, match="1 documents of .* have no text and were left out: 'd3'"):
        assert load_beir(folder).ids == ["d1", "d2"]


def test_lines_that_name_what_does_not_exist_are_dropped_and_counted(write):
    folder = write(qrels=[*QRELS, ("q1", "d9", 1), ("q9", "d1", 1)])
    with pytest.warns(UserWarning, match="2 of the 4 lines of .* were dropped.*: 'd9', 'q9'"):
        assert load_beir(folder).relevance == [{"d1": 2, "d2": 0}]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"corpus": [CORPUS[0], '{"_id": "d2", "te']}, "corpus.jsonl, line 2 is not JSON"),
        ({"corpus": ["[1, 2]"]}, "corpus.jsonl, line 1 must be a JSON object"),
        ({"corpus": [{"id": "d1"}]}, "line 1 has no id: the field '_id' .* fields are 'id'"),
        ({"corpus": [CORPUS[0], "", CORPUS[0]]}, "line 3: the id 'd1' .* stands in line 1 already"),
        ({"corpus": [{"_id": "d1", "text": 3}]}, "line 1: 'text' must be a string; got 3"),
        ({"corpus": [{"_id": "d1"}]}, "corpus.jsonl holds no text"),
        ({"queries": ["version https://git-lfs.github.com/spec/v1"]}, "a Git LFS pointer"),
        ({"queries": [{"_id": "q1", "text": " "}]}, "queries.jsonl, line 1: the query has no text"),
        ({"qrels": [("q1", "d1")]}, "test.tsv, line 2 must have three columns"),
        ({"qrels": [("q1", "d1", "x")]}, "line 2: the gain must be an integer; got 'x'"),
        ({"qrels": [("q1", "d1", 1), ("q1", "d1", 2)]}, "line 3: the document 'd1' has another"),
        ({"qrels": [("q7", "d7", 1)]}, "None of the 1 lines of .* Absent are: 'q7'"),
        ({"qrels": []}, "None of the 0 lines"),
    ],
)
def test_broken_files_are_errors_that_name_the_line(write, broken, message):
    with pytest.raises(ValueError, match=message):
        load_beir(write(**broken))


def test_text_that_is_not_utf8_is_an_error_that_names_the_line(write):
    folder = write()
    (folder / "corpus.jsonl").write_bytes(b'{"_id": "d1", "text": "\xff"}')
    with pytest.raises(ValueError, match=r"corpus\.jsonl, line 1 is not JSON"):
        load_beir(folder)


def test_a_missing_split_names_those_that_are_there(write):
    with pytest.raises(FileNotFoundError, match=r"dev\.tsv.*splits in this folder are 'test'"):
        load_beir(write(), split="dev")
    with pytest.raises(FileNotFoundError, match=r"corpus\.jsonl"):
        load_beir(write() / "qrels")
