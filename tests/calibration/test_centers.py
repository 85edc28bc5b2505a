"""Whose mean stands behind that of a modality."""

import numpy as np
import pytest
from strategies import ASKED, IMAGE, PRIOR_ASKED, PRIOR_TEXT, TEXT, rows

from gapremoval import EmbeddingArray, ModalityGapRemover

pytestmark = pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")


def test_a_query_mean_is_drawn_towards_the_documents_that_it_asks_like():
    # Four rows of one question count once.
    X = rows(text=[TEXT] * 3, query_text=[ASKED] * 4)
    centers = ModalityGapRemover(shrinkage=16).fit(X).centers_
    np.testing.assert_allclose(centers["query:text"], (ASKED + 16 * TEXT) / 17)
    np.testing.assert_allclose(centers["text"], TEXT)


def test_a_document_mean_is_drawn_towards_the_prior_and_so_is_what_leans_on_it():
    X = rows(text=[TEXT] * 8, query_text=[ASKED] * 4)
    prior = {"text": PRIOR_TEXT, "query:text": PRIOR_ASKED}
    centers = ModalityGapRemover(shrinkage=8, prior=prior).fit(X).centers_
    np.testing.assert_allclose(centers["text"], (TEXT + PRIOR_TEXT) / 2)
    np.testing.assert_allclose(centers["query:text"], (ASKED + 8 * centers["text"]) / 9)


@pytest.mark.parametrize(
    ("prior", "behind"),
    [
        ({"query:text": PRIOR_ASKED, "text": PRIOR_TEXT}, PRIOR_ASKED),
        ({"text": PRIOR_TEXT}, PRIOR_TEXT),
    ],
)
def test_without_texts_of_its_own_the_prior_stands_behind_a_query(prior, behind):
    X = rows(image=[IMAGE] * 3, query_text=[ASKED] * 16)
    centers = ModalityGapRemover(prior=prior).fit(X).centers_
    np.testing.assert_allclose(centers["query:text"], (ASKED + 16 * behind) / 17)


def test_the_weight_of_a_query_mean_is_the_number_of_its_questions():
    basis = np.column_stack([TEXT, np.random.default_rng(0).normal(size=(6, 5))])
    questions = np.linalg.qr(basis)[0].T[1:]
    X = rows(text=[TEXT] * 3, query_text=[*questions[:4], questions[0], questions[0]])
    centers = ModalityGapRemover(shrinkage=4).fit(X).centers_
    np.testing.assert_allclose(centers["query:text"], (questions[:4].mean(axis=0) + TEXT) / 2)


@pytest.mark.parametrize("shrinkage", [0, 16, np.inf])
def test_where_no_row_was_fitted_the_mean_behind_is_taken(shrinkage):
    remover = ModalityGapRemover(shrinkage=shrinkage, norm=None).fit(rows(text=[TEXT] * 3))
    Z = remover.transform(EmbeddingArray(ASKED[None], "query:text"))
    np.testing.assert_allclose(Z.values[0], ASKED - TEXT)


def test_behind_a_query_of_several_parts_stands_the_mean_of_theirs():
    remover = ModalityGapRemover(norm=None).fit(rows(text=[TEXT] * 3, image=[IMAGE] * 3))
    Z = remover.transform(EmbeddingArray(ASKED[None], "query:image+text"))
    np.testing.assert_allclose(Z.values[0], ASKED - (TEXT + IMAGE) / 2)


def test_with_infinite_shrinkage_the_prior_wins_wherever_it_has_a_mean():
    X = rows(text=[TEXT] * 3, image=[IMAGE] * 3, query_text=[ASKED] * 3)
    prior = {"text": PRIOR_TEXT, "query:text": PRIOR_ASKED}
    centers = ModalityGapRemover(prior=prior, shrinkage=np.inf).fit(X).centers_
    np.testing.assert_array_equal(centers["text"], PRIOR_TEXT)
    np.testing.assert_array_equal(centers["query:text"], PRIOR_ASKED)
    np.testing.assert_array_equal(centers["image"], IMAGE)
    del prior["query:text"]
    centers = ModalityGapRemover(prior=prior, shrinkage=np.inf).fit(X).centers_
    np.testing.assert_array_equal(centers["query:text"], PRIOR_TEXT)


def test_a_modality_that_only_the_prior_knows_is_corrected_by_it():
    prior = {"audio": PRIOR_TEXT}
    remover = ModalityGapRemover(prior=prior, norm=None).fit(rows(text=[TEXT] * 3))
    Z = remover.transform(EmbeddingArray(ASKED[None], "audio"))
    np.testing.assert_allclose(Z.values[0], ASKED - PRIOR_TEXT)


def test_a_query_whose_mean_is_only_the_priors_is_warned_of():
    remover = ModalityGapRemover(prior={"text": PRIOR_TEXT}).fit(rows(image=[IMAGE] * 3))
    with pytest.warns(UserWarning, match="center of 'query:text' comes from the prior alone"):
        remover.transform(EmbeddingArray(ASKED[None], "query:text"))


def test_a_query_behind_which_nothing_stands_is_an_error_that_says_what_to_do():
    remover = ModalityGapRemover().fit(rows(image=[IMAGE] * 3))
    with pytest.raises(ValueError, match=r"typical questions .* tagged 'query:text' with y None"):
        remover.transform(EmbeddingArray(ASKED[None], "query:text"))
