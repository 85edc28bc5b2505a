import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer, StandardScaler
from strategies import DOCUMENTS, tagged_rows

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover, QueryKFold
from gapremoval.calibration import ByModality, ShrunkWhitener, TopComponentsRemover
from gapremoval.datasets import make_mixed_modality

pytestmark = pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(tagged_rows(modalities=DOCUMENTS, dtypes="d"), st.booleans())
def test_each_modality_is_transformed_by_a_transformer_of_its_own(X, with_std):
    transformer = StandardScaler(with_std=with_std)
    Z = ByModality(transformer, norm=None).fit_transform(X)
    for name in set(X.modality):
        want = StandardScaler(with_std=with_std).fit_transform(unit(X.values[X.modality == name]))
        np.testing.assert_allclose(Z.values[X.modality == name], want, atol=1e-12)
    assert not hasattr(transformer, "mean_")


@given(tagged_rows(modalities=DOCUMENTS, dtypes="d"))
def test_a_scaler_that_only_centers_is_the_gap_remover(X):
    Z = ByModality(StandardScaler(with_std=False), norm=None).fit_transform(X)
    want = ModalityGapRemover(norm=None).fit_transform(X).values
    np.testing.assert_allclose(Z.values, want, atol=1e-12)


def corpus(n_queries):
    rng = np.random.default_rng(0)
    parts = {"text": 20, "image": 20, "query:text": n_queries}
    return EmbeddingArray.concatenate(
        {name: rng.normal(i, 1, (n, 4)) for i, (name, n) in enumerate(parts.items()) if n}
    )


@pytest.mark.parametrize(("n_queries", "has_own"), [(0, False), (15, False), (16, True)])
def test_queries_have_their_own_transformer_from_16_of_them_on(n_queries, has_own):
    X = corpus(n_queries)
    asked = np.random.default_rng(1).normal(size=(5, 4))
    for calibrator in (ByModality(StandardScaler()).fit(X), ByModality(StandardScaler())):
        if not hasattr(calibrator, "counts_"):
            for at in range(0, len(X), 7):  # the texts come first, the queries in two batches
                calibrator.partial_fit(X[at : at + 7])
        assert ("query:text" in calibrator.transformers_) == has_own
        own, texts = (calibrator.transform(asked, modality=m) for m in ("query:text", "text"))
        assert np.array_equal(own, texts) != has_own


def test_a_query_of_several_parts_gets_the_mean_of_what_its_parts_would():
    calibrator = ByModality(ShrunkWhitener(), norm=None).fit(corpus(0))
    rows = unit(np.random.default_rng(1).normal(size=(5, 4)))
    text, image, both = (
        calibrator.transform(rows, modality=m) for m in ("text", "image", "query:image+text")
    )
    np.testing.assert_allclose(both, (text + image) / 2)


def test_partial_fit_is_there_if_the_transformer_has_it():
    assert hasattr(ByModality(StandardScaler()), "partial_fit")
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'"):
        _ = ByModality(ShrunkWhitener()).partial_fit


class Refusing(TransformerMixin, BaseEstimator):
    """Counts its fits, and refuses the number 4."""

    n = 0

    def partial_fit(self, X):
        self.n += 1
        if self.n == 4:
            raise RuntimeError("no more")
        return self

    fit = partial_fit

    def transform(self, X):
        return X * self.n


def test_batches_that_a_transformer_refuses_change_nothing():
    X = corpus(0)
    calibrator = ByModality(Refusing(), norm=None)
    for _ in range(3):
        calibrator.partial_fit(X)
    want, counts = calibrator.transform(X).values, dict(calibrator.counts_)
    with pytest.raises(RuntimeError, match="no more"):
        calibrator.partial_fit(X)
    np.testing.assert_array_equal(calibrator.transform(X).values, want)
    assert calibrator.counts_ == counts == {"text": 60, "image": 60}


def test_a_transformer_that_changes_the_number_of_features_is_refused():
    with pytest.raises(ValueError, match=r"PCA.* shape \(20, 4\) into \(20, 2\).*common PCA"):
        ByModality(PCA(2)).fit_transform(corpus(0))


def test_it_is_no_transformer_is_told():
    with pytest.raises(ValueError, match="'transformer' parameter of ByModality"):
        ByModality("StandardScaler").fit(corpus(0))


def test_a_grid_over_the_transformer_and_its_parameters_works():
    X, y = make_mixed_modality(60, random_state=0)
    pipe = make_pipeline(ByModality(StandardScaler()), MixedModalityRetriever())
    grid = [
        {"bymodality__transformer__with_std": [False, True]},
        {"bymodality__transformer": [QuantileTransformer(n_quantiles=20)]},
    ]
    search = GridSearchCV(pipe, grid, cv=QueryKFold(2), error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 3
    assert search.cv_results_["mean_test_score"].min() > 0.5


def test_parameters_of_the_transformer_are_checked():
    for wrong in (TopComponentsRemover(-1), StandardScaler(with_mean="no")):
        with pytest.raises(ValueError, match="parameter of"):
            ByModality(wrong).fit(corpus(0))


def test_rows_that_become_nan_are_refused():
    spoiler = FunctionTransformer(lambda rows: np.full(rows.shape, np.nan))
    with pytest.raises(ValueError, match="into NaN or infinity"):
        ByModality(spoiler).fit_transform(corpus(0))
