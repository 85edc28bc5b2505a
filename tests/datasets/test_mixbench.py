import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("PIL")

from mixbench_files import records_of, write_parquet

from gapremoval.datasets import load_mixbench, make_mixbench


@pytest.fixture
def folder(tmp_path):
    return make_mixbench(tmp_path / "subset", 9, random_state=0)


def write_records(folder, name, records):
    lines = [x if isinstance(x, str) else json.dumps(x) for x in records]
    (folder / name).write_text("\n".join(lines))


@given(st.integers(3, 12), st.data())
def test_what_is_written_is_read(tmp_path_factory, n, data):
    n_queries = data.draw(st.integers(1, n))
    path = tmp_path_factory.mktemp("mixbench")
    subset = load_mixbench(make_mixbench(path, n, n_queries=n_queries, random_state=n))
    mixed = records_of(path, "mixed_corpus.jsonl")
    parts = [(x["corpus_id"], x[part]) for x in mixed for part in ("text", "image") if x[part]]
    names = [getattr(item, "name", item) for item in subset.documents]
    assert [*zip(subset.ids, names)] == parts
    assert set(subset.ids) == {f"d{i}" for i in range(n)}
    # A third each, of texts, of images, and of both.
    counts = np.unique([subset.ids.count(x) for x in set(subset.ids)], return_counts=True)[1]
    assert abs(counts[1] - n / 3) < 1
    assert subset.query_ids == [f"q{i}" for i in range(n_queries)]
    assert subset.relevance == [{f"d{i}": 1} for i in range(n_queries)]
    assert subset.pairs.ids == [f"d{i}" for i in range(n)]
    assert all(image.exists() for image in subset.pairs.images)
    assert len(set(subset.pairs.texts)) == len(subset.pairs.images) == n


def test_queries_may_have_a_text_and_an_image(tmp_path):
    subset = load_mixbench(make_mixbench(tmp_path, 3, image_queries=True, random_state=0))
    assert [query.image.name for query in subset.queries] == ["q0.png", "q1.png", "q2.png"]
    assert all(isinstance(query.text, str) for query in subset.queries)


def test_both_releases_give_the_same(folder, tmp_path):
    later = write_parquet(folder, tmp_path / "later")
    expected = load_mixbench(folder)
    for qrels in (folder, folder / "qrels" / "qrels.tsv"):
        subset = load_mixbench(later, qrels=qrels)
        for name in ("ids", "query_ids", "relevance"):
            assert subset[name] == expected[name]
        assert [query.item for query in subset.queries] == [x.item for x in expected.queries]
        assert subset.pairs is None
        Image = pytest.importorskip("PIL.Image")
        for item, same in zip(subset.documents, expected.documents):
            if isinstance(same, str):
                assert item == same
            else:
                with Image.open(same) as picture:
                    np.testing.assert_array_equal(np.asarray(item), np.asarray(picture))


def test_the_later_release_needs_qrels_and_says_where_they_are(folder, tmp_path):
    later = write_parquet(folder, tmp_path / "later")
    with pytest.raises(FileNotFoundError, match=r"2026 comes without qrels: .*\(fetch_mixbench"):
        load_mixbench(later)


def test_names_of_images_may_start_at_the_subset_or_above_it(folder):
    for prefix in ("images/", "subset/images/"):
        mixed = records_of(folder, "corpus.jsonl")
        for record in mixed:
            record["image"] = prefix + record["image"]
        write_records(folder, "mixed_corpus.jsonl", mixed)
        images = [x for x in load_mixbench(folder).documents if not isinstance(x, str)]
        assert [image.name for image in images] == [f"{i}.png" for i in range(9)]


def test_counts_that_differ_from_the_published_ones_are_named(folder):
    published = folder.rename(folder.with_name("Google_WIT"))
    with pytest.warns(UserWarning, match="as published") as warned:
        load_mixbench(published)
    messages = [str(warning.message) for warning in warned]
    assert any("Google_WIT has 9 documents here, and 4421 as published" in x for x in messages)
    assert any("Google_WIT has 9 queries here, and 1000 as published" in x for x in messages)
    assert any("has 3 image+text documents here, and 1475 as published" in x for x in messages)


def test_lines_of_qrels_that_name_absent_documents_are_dropped_and_counted(folder):
    qrels = folder / "qrels" / "qrels.tsv"
    qrels.write_text(qrels.read_text().replace("q0\td0", "q0\td99") + "q77\td1\t1\n")
    with (
        pytest.warns(UserWarning, match="2 of the 10 lines .* were dropped"),
        pytest.warns(UserWarning, match="1 of the 9 queries .* have no relevance .*: 'q0'"),
    ):
        subset = load_mixbench(folder)
    assert subset.relevance[:2] == [None, {"d1": 1}]


def test_all_missing_images_are_counted_in_one_error(folder):
    shutil.rmtree(folder / "images")
    with pytest.raises(FileNotFoundError, match=r"6 images of .*mixed_corpus\.jsonl .*line \d\); "):
        load_mixbench(folder)


def test_pairs_that_lack_a_part_are_left_out_and_counted(folder):
    pairs = records_of(folder, "corpus.jsonl")
    pairs[4]["text"] = None
    write_records(folder, "corpus.jsonl", pairs)
    with pytest.warns(UserWarning, match="1 documents of .* lack a text or an image .*: 'd4'"):
        assert len(load_mixbench(folder).pairs.ids) == 8
    (folder / "corpus.jsonl").unlink()
    assert load_mixbench(folder).pairs is None


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ('{"corpus_id": "d', r"mixed_corpus\.jsonl, line 2 is not JSON: .* was cut off"),
        ({"corpus_id": "d1", "text": None, "image": None}, "line 2 has neither a text nor"),
        ({"corpus_id": "d1", "text": "  ", "image": ""}, "line 2 has neither a text nor"),
        ({"corpus_id": "d0", "text": "a"}, "line 2: the id 'd0' comes a second time"),
        ({"corpus_id": "d1", "text": 7}, "line 2: the text must be a string or null; got 7"),
        ({"corpus_id": "d1", "image": 7}, "line 2: the image must be the name of a file or null"),
        ({"query_id": "d1", "text": "a"}, "line 2 has no id: the field 'corpus_id'"),
        ({"corpus_id": None, "text": "a"}, "line 2 has no id: .* got None"),
    ],
)
def test_broken_lines_are_errors_that_name_the_line(folder, broken, message):
    write_records(folder, "mixed_corpus.jsonl", [{"corpus_id": "d0", "text": "a"}, broken])
    with pytest.raises(ValueError, match=message):
        load_mixbench(folder)


def test_broken_rows_of_the_later_release_are_errors_that_name_the_row(folder, tmp_path):
    later = write_parquet(folder, tmp_path / "later")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = later / "mixed_corpus.parquet"
    table = parquet.read_table(file)
    for image, message in [
        ({"bytes": None, "path": "1.png"}, "row 1: the image has no bytes"),
        ({"bytes": b"no image", "path": "1.png"}, "row 1: the bytes are not an image"),
        (None, "row 1 has neither a text nor an image"),
    ]:
        rows = table.to_pylist()
        rows[1] = {"id": "d1", "text": None, "image": image}
        parquet.write_table(type(table).from_pylist(rows, table.schema), file)
        with pytest.raises(ValueError, match=message):
            load_mixbench(later, qrels=folder)


def test_a_folder_that_is_no_subset_is_an_error_that_says_what_is_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        load_mixbench(tmp_path / "nothing")
    (tmp_path / "OVEN").mkdir()
    with pytest.raises(FileNotFoundError, match=r"neither queries\.jsonl .* give one of 'OVEN'"):
        load_mixbench(tmp_path)


def test_a_miniature_has_at_most_one_query_a_document(tmp_path):
    with pytest.raises(ValueError, match="n_queries=4 is more than one a document"):
        make_mixbench(tmp_path, 3, n_queries=4)


def test_pointers_in_place_of_images_are_missing_images(folder):
    image = next((folder / "images").iterdir())
    image.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(FileNotFoundError, match=rf"1 images.*{image.name}.*git lfs pull"):
        load_mixbench(folder)


def test_parquet_files_that_are_cut_off_are_named(folder, tmp_path):
    later = write_parquet(folder, tmp_path / "later")
    file = later / "mixed_corpus.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"mixed_corpus.parquet cannot be read as Parquet"):
        load_mixbench(later, qrels=folder)


def test_parquet_files_without_a_column_say_which(folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    later = write_parquet(folder, tmp_path / "later")
    file = later / "queries.parquet"
    parquet.write_table(parquet.read_table(file).rename_columns(["qid", "text", "image"]), file)
    with pytest.raises(ValueError, match=r"queries.parquet has no column 'id'; it has 'qid'"):
        load_mixbench(later, qrels=folder)


def test_empty_cells_of_images_are_none(folder, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    later = write_parquet(folder, tmp_path / "later")
    file = later / "queries.parquet"
    table = parquet.read_table(file)
    rows = [row | {"image": {"bytes": None, "path": None}} for row in table.to_pylist()]
    parquet.write_table(pyarrow.Table.from_pylist(rows, table.schema), file)
    assert [query.item for query in load_mixbench(later, qrels=folder).queries]


def test_an_empty_file_is_said_to_be_empty(folder):
    (folder / "queries.jsonl").write_text("\n")
    with pytest.raises(ValueError, match=r"queries.jsonl is empty"):
        load_mixbench(folder)


def test_a_broken_gain_in_the_first_line_is_no_header(folder):
    query = records_of(folder, "queries.jsonl")[0]["query_id"]
    document = records_of(folder, "mixed_corpus.jsonl")[0]["corpus_id"]
    (folder / "qrels" / "qrels.tsv").write_text(f"{query}\t{document}\tyes\n")
    with pytest.raises(ValueError, match="line 1: the gain must be an integer; got 'yes'"):
        load_mixbench(folder)
