import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DOCUMENTS, tagged_rows

from gapremoval import EmbeddingArray
from gapremoval.calibration import GapShift

pytestmark = pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(tagged_rows(modalities=["text", "image"], dtypes="d"), st.floats(-1, 2))
def test_two_clouds_move_as_in_the_paper(X, amount):
    modality = X.modality.astype(object)
    modality[:2] = "text", "image"
    image, text = (unit(X.values[modality == name]) for name in ("image", "text"))
    # Liang et al. 2022, section 4.2, with lambda = amount / 2.
    gap = image.mean(axis=0) - text.mean(axis=0)
    Z = GapShift(amount=amount).fit_transform(X.values, modality=modality)
    np.testing.assert_allclose(Z[modality == "image"], unit(image - amount / 2 * gap), atol=1e-9)
    np.testing.assert_allclose(Z[modality == "text"], unit(text + amount / 2 * gap), atol=1e-9)


@given(tagged_rows(modalities=DOCUMENTS, dtypes="d"))
def test_all_of_it_brings_the_means_together_and_nothing_leaves_the_rows(X):
    Z = GapShift(norm=None).fit_transform(X)
    means = [Z.values[X.modality == name].mean(axis=0) for name in set(X.modality)]
    np.testing.assert_allclose(means, np.broadcast_to(means[0], np.shape(means)), atol=1e-13)
    np.testing.assert_allclose(GapShift(amount=0).fit_transform(X), unit(X.values), atol=1e-14)


@given(tagged_rows(dtypes="d", modalities=["text", "image", "query:text"]))
def test_queries_move_with_the_documents_that_stand_behind_them(X):
    modality = X.modality.astype(object)
    modality[:2] = "text", "image"
    shift = GapShift().fit(X.values, modality=modality)
    texts = shift.transform(X.values, modality="text")
    np.testing.assert_array_equal(shift.transform(X.values, modality="query:text"), texts)


def test_in_a_corpus_of_images_alone_the_queries_are_the_other_cloud():
    X = EmbeddingArray(np.eye(4), ["image", "image", "query:text", "query:text"])
    Z = GapShift(norm=None).fit_transform(X).values
    np.testing.assert_allclose(Z[:2].mean(axis=0), Z[2:].mean(axis=0))


def test_an_amount_that_is_no_number_is_refused():
    for amount in (np.nan, np.inf, "1"):
        with pytest.raises(ValueError, match="'amount' parameter of GapShift"):
            GapShift(amount=amount).fit(np.eye(3), modality="text")
