"""Tasks of people who begin with the library, as they would write them."""

import subprocess
import sys

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from gapremoval import (
    EmbeddingArray,
    FusionWeightSearchCV,
    MixedModalityRetriever,
    ModalityGapRemover,
    QueryKFold,
    add_documents,
    make_search_pipeline,
    remove_documents,
    search,
)
from gapremoval.datasets import make_mixed_modality

pd = pytest.importorskip("pandas")

N_PRODUCTS, N_WITHOUT_PICTURE = 500, 172


def catalog(n_products, n_without_picture):
    """A table with one product a row, some without a picture, and a table of its queries."""
    kinds = {"image+text": n_products - n_without_picture, "text": n_without_picture}
    X, y = make_mixed_modality(n_products, proportions=kinds, random_state=0)
    vectors = {
        name: dict(zip(y[X.modality == name], X.values[X.modality == name]))
        for name in ("text", "image", "query:text")
    }
    skus = [*vectors["text"]]
    products = pd.DataFrame(
        {
            "sku": skus,
            "text_vec": [vectors["text"][sku] for sku in skus],
            "image_vec": [vectors["image"].get(sku) for sku in skus],
        }
    )
    questions = [vectors["query:text"][sku] for sku in skus]
    return products, pd.DataFrame({"asked": questions, "bought": skus})


def test_a_catalog_in_a_wide_frame_is_searched_kept_and_loaded_elsewhere(tmp_path):
    df, log = catalog(N_PRODUCTS + 20, N_WITHOUT_PICTURE + 5)
    # The last twenty products come later; five of them have no picture.
    later = pd.concat([df[df["image_vec"].isna()].tail(5), df.dropna().tail(15)])
    df, more = df.drop(later.index), later.reset_index(drop=True)
    assert df["image_vec"].isna().sum() == 172

    # Read the table. Somebody who forgets this is told the line.
    with pytest.raises(ValueError, match="EmbeddingArray.from_frame"):
        make_search_pipeline().fit(df)
    X, ids = EmbeddingArray.from_frame(df, text="text_vec", image="image_vec", id="sku")
    assert len(X) == 2 * N_PRODUCTS - 172
    asked = log[log["bought"].isin(df["sku"])]
    Q = EmbeddingArray(asked["asked"], "query:text")
    XQ, y = EmbeddingArray.concatenate([X, Q]), [*ids, *asked["bought"]]

    # Index, and tune the weight of texts and pictures.
    best = FusionWeightSearchCV(make_search_pipeline(), [0.3, 0.5, 0.7], cv=2).fit(XQ, y)
    pipe = best.best_estimator_
    assert best.best_score_ > 0.8
    assert pipe[-1].n_documents_ == N_PRODUCTS

    # The corpus changes: new products come, sold ones go.
    new_rows, new_ids = EmbeddingArray.from_frame(
        more, text="text_vec", image="image_vec", id="sku"
    )
    add_documents(pipe, new_rows, new_ids)
    sold, kept, new = [*df["sku"][:2]], df["sku"].iloc[2], more["sku"][3]
    remove_documents(pipe, sold)
    assert pipe[-1].n_documents_ == N_PRODUCTS + 20 - 2

    # Keep it, and load it in another process, which prints a table.
    joblib.dump(pipe, tmp_path / "search.joblib")
    question_of = dict(zip(log["bought"], log["asked"]))
    questions = np.stack([question_of[kept], question_of[new]])
    np.save(tmp_path / "questions.npy", questions)
    script = (
        "import joblib, numpy as np\n"
        "from gapremoval import search\n"
        "pipe = joblib.load('search.joblib')\n"
        "found = search(pipe, np.load('questions.npy'), 5, modality='text')\n"
        "found.to_frame().to_csv('found.csv', index=False)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=120)
    table = pd.read_csv(tmp_path / "found.csv")
    assert len(table) == 10
    assert table["id"].tolist() == search(pipe, questions, 5, modality="text").ids.ravel().tolist()
    assert kept in set(table["id"][table["query"] == 0])
    assert new in set(table["id"][table["query"] == 1])
    assert not {*sold} & set(table["id"])


class TopComponentRemover(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """A researcher's own calibrator: removes the first principal directions of all rows."""

    def __init__(self, n_components=1):
        self.n_components = n_components

    def fit(self, X, y=None):
        rows = np.asarray(X)
        self.mean_ = rows.mean(axis=0)
        self.components_ = np.linalg.svd(rows - self.mean_, full_matrices=False)[2]
        self.components_ = self.components_[: self.n_components]
        return self

    def transform(self, X):
        rows = np.asarray(X) - self.mean_
        return EmbeddingArray(rows - rows @ self.components_.T @ self.components_, X.modality)


def test_a_calibrator_of_ones_own_is_compared_in_a_grid():
    X, y = make_mixed_modality(90, n_features=96, random_state=0)
    pipe = make_pipeline(TopComponentRemover(), MixedModalityRetriever())
    grid = [
        {"topcomponentremover": ["passthrough", ModalityGapRemover()]},
        {"topcomponentremover__n_components": [1, 4]},
    ]
    found = GridSearchCV(pipe, grid, cv=QueryKFold(3), error_score="raise").fit(X, y)
    plain, ours, one, _ = found.cv_results_["mean_test_score"]
    # Between two modalities, the first direction is that of the gap.
    assert one > plain + 0.1
    assert ours > plain + 0.1
    queries = X[X.modality == "query:text"]
    assert search(found, queries, 5).ids.shape == (90, 5)
