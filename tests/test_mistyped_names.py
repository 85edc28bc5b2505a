"""A mistyped modality or column is an error that offers the nearest name."""

import numpy as np
import pandas as pd
import pytest

from gapremoval import (
    EmbeddingArray,
    ModalityGapRemover,
    add_documents,
    make_search_pipeline,
    search,
)
from gapremoval.datasets import iter_parquet, make_mixed_modality

X, Y = make_mixed_modality(40, random_state=0)


@pytest.fixture(scope="module")
def pipe():
    return make_search_pipeline().fit(X, Y)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("txt", "text"),
        ("Text", "text"),
        ("imgae", "image"),
        ("query:txt", "query:text"),
        ("query:images", "query:image"),
        ("query:image+txt", "query:image+text"),
        ("query:imge+txet", "query:image+text"),
    ],
)
def test_a_mistyped_modality_is_offered_the_nearest_part_by_part(pipe, given, meant):
    rows = X.values[:2]
    uses = [
        lambda: pipe[0].transform(rows, modality=given),
        lambda: pipe.transform(EmbeddingArray(rows, given)),
        lambda: add_documents(pipe, rows, ["a", "b"], modality=given),
    ]
    if given.startswith("query:"):
        uses.append(lambda: search(pipe, rows, modality=given))
    for use in uses:
        with pytest.raises(ValueError, match=rf"Did you mean '{meant.replace('+', '.')}'\?"):
            use()


def test_what_is_like_no_name_gets_no_offer(pipe):
    for name in ("audio", "query:audio", "query:audio+text"):
        with pytest.raises(ValueError, match="^((?!Did you mean).)*$"):
            pipe[0].transform(X.values[:2], modality=name)


def test_a_picture_that_asks_among_texts_is_not_told_that_it_meant_a_text():
    remover = ModalityGapRemover().fit(X[X.modality != "image"])
    with pytest.raises(ValueError, match="'query:image' was not fitted((?!Did you mean).)*$"):
        remover.transform(X.values[:2], modality="query:image")


def test_an_export_for_a_mistyped_modality_is_offered_the_nearest(pipe):
    with pytest.raises(ValueError, match=r"nothing about 'query:txt'.*Did you mean 'query:text'\?"):
        pipe[-1].export_vectors("txt")


def test_a_mistyped_column_is_offered_the_nearest(tmp_path):
    frame = pd.DataFrame({"sku": ["a"], "text_vec": [[1.0, 2.0]], 3: [np.ones(2)]})
    with pytest.raises(ValueError, match=r"no column 'txt_vec'.*Did you mean 'text_vec'\?"):
        EmbeddingArray.from_frame(frame, text="txt_vec")
    with pytest.raises(ValueError, match=r"no column 'skuu'.*Did you mean 'sku'\?"):
        EmbeddingArray.from_frame(frame, text="text_vec", id="skuu")
    frame[["sku", "text_vec"]].to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match=r"no column 'txt_vec'.*Did you mean 'text_vec'\?"):
        next(iter_parquet(tmp_path / "rows.parquet", text="txt_vec", id="sku"))
