"""A gap remover that was fitted on one corpus, saved, and used on another."""

import re
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    __version__,
    search,
)
from gapremoval.datasets import make_mixed_modality

BORROWED = "The center of 'query:text' comes from the prior alone"

# Another process loads a remover and the other corpus, and reuses it in both ways.
REUSE = """
import sys
import joblib
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from gapremoval import MixedModalityRetriever, ModalityGapRemover, search

gap, X, y, queries = joblib.load(sys.argv[1])
ways = {
    "frozen": FrozenEstimator(gap),
    "prior": ModalityGapRemover(prior=gap.centers_, shrinkage=np.inf),
}
results = {}
for name, step in ways.items():
    pipe = make_pipeline(step, MixedModalityRetriever()).fit(X, y)
    results[name] = pipe[0].transform(X).values, search(pipe, queries, 20)
joblib.dump(results, sys.argv[2])
"""


def make_corpora(n_items=80):
    """A corpus to fit on and another of the same shape elsewhere in the space."""
    X, _ = make_mixed_modality(n_items, n_features=96, random_state=0)
    Y, answers = make_mixed_modality(n_items, n_features=96, random_state=1)
    return X, Y, answers


def reused(gap, X, y, queries):
    """What a frozen remover, and one that has it for its prior, make of a corpus."""
    prior = ModalityGapRemover(prior=gap.centers_, shrinkage=np.inf)
    for step in (FrozenEstimator(gap), prior):
        pipe = make_pipeline(step, MixedModalityRetriever()).fit(X, y)
        yield pipe[0].transform(X).values, search(pipe, queries, 20)


def test_another_process_reuses_it_in_both_ways_with_the_same_results(tmp_path):
    fitted_on, X, y = make_corpora()
    gap, queries = ModalityGapRemover().fit(fitted_on), X[X.modality == "query:text"]
    joblib.dump((gap, X, y, queries), tmp_path / "in.joblib")
    command = [sys.executable, "-W", "ignore:The center of 'query", "-c", REUSE]
    subprocess.run([*command, tmp_path / "in.joblib", tmp_path / "out.joblib"], check=True)
    there = joblib.load(tmp_path / "out.joblib")
    rows, found = there["frozen"]
    np.testing.assert_array_equal(rows, gap.transform(X).values)
    assert found.ids.shape == (80, 20)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", BORROWED)
        here = list(reused(gap, X, y, queries))
    for rows, found in (there["prior"], *here):
        np.testing.assert_array_equal(rows, there["frozen"][0])
        np.testing.assert_array_equal(found.ids, there["frozen"][1].ids)
        np.testing.assert_array_equal(found.scores, there["frozen"][1].scores)


@pytest.mark.parametrize("fitted", ["with queries", "without queries"])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_frozen_and_as_prior_agree_row_by_row(fitted, strength):
    fitted_on, X, _ = make_corpora()
    if fitted == "without queries":
        fitted_on = fitted_on[fitted_on.modality != "query:text"]
    gap = ModalityGapRemover(strength=strength, shrinkage=3).fit(fitted_on)
    prior = ModalityGapRemover(strength=strength, prior=gap.centers_, shrinkage=np.inf).fit(X)
    for name in ("text", "image", "query:text"):
        rows = X[X.modality == name]
        frozen = FrozenEstimator(gap).fit(X, None).transform(rows)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", BORROWED)
            borrowed = prior.transform(rows)
        np.testing.assert_array_equal(borrowed.values, frozen.values)
        assert (
            np.abs(
                ModalityGapRemover().fit_transform(X)[X.modality == name].values - frozen.values
            ).max()
            > 0.01
        )


def test_frozen_it_learns_nothing_and_clones_with_what_it_learnt():
    fitted_on, X, y = make_corpora()
    gap = ModalityGapRemover().fit(fitted_on)
    pipe = make_pipeline(FrozenEstimator(gap), MixedModalityRetriever())
    want = gap.transform(X).values
    for fitted in (pipe.fit(X, y), clone(pipe).fit(X[20:], y[20:])):
        np.testing.assert_array_equal(fitted[0].transform(X).values, want)
    assert gap.counts_["query:text"] == 80


def test_a_prior_clones_and_is_not_changed():
    fitted_on, X, _ = make_corpora()
    centers = ModalityGapRemover().fit(fitted_on).centers_
    before = {name: center.copy() for name, center in centers.items()}
    remover = clone(ModalityGapRemover(prior=centers)).fit(X).partial_fit(X)
    assert remover.prior.keys() == before.keys()
    for name, center in before.items():
        np.testing.assert_array_equal(centers[name], center)
        assert not np.array_equal(remover.centers_[name], center)


@pytest.mark.parametrize("lent", ["text", "image", "query:text"])
def test_with_infinite_shrinkage_a_prior_gives_what_it_has_and_no_more(lent):
    fitted_on, X, _ = make_corpora()
    prior = {lent: ModalityGapRemover().fit(fitted_on).centers_[lent]}
    remover = ModalityGapRemover(prior=prior, shrinkage=np.inf).fit(X)
    np.testing.assert_array_equal(remover.centers_[lent], prior[lent])
    for name in {"text", "image"} - {lent}:
        np.testing.assert_array_equal(remover.centers_[name], remover.means_[name])
    asked = {"query:text": prior[lent], "text": prior[lent], "image": remover.means_["text"]}
    np.testing.assert_array_equal(remover.centers_["query:text"], asked[lent])


def test_a_query_mean_that_is_the_priors_warns_and_names_the_remedy():
    fitted_on, X, y = make_corpora()
    documents = X.modality != "query:text"
    gap = ModalityGapRemover().fit(fitted_on[fitted_on.modality != "query:text"])
    for prior, shrinkage, rows in (
        (gap.centers_, np.inf, X),
        (gap.centers_, np.inf, X[documents]),
        ({"text": gap.centers_["text"]}, np.inf, X),
        (gap.centers_, 16, X[X.modality == "image"]),
    ):
        remover = ModalityGapRemover(prior=prior, shrinkage=shrinkage).fit(rows)
        with pytest.warns(UserWarning, match=rf"{BORROWED}.*add typical questions"):
            remover.transform(X[~documents])
        pipe = make_pipeline(FrozenEstimator(remover), MixedModalityRetriever())
        images = X.modality == "image"
        pipe.fit(X[images], y[images])
        with pytest.warns(UserWarning, match=BORROWED):
            assert len(search(pipe, X[~documents])) == 80


def test_a_query_mean_that_is_only_drawn_towards_the_prior_does_not_warn():
    fitted_on, X, _ = make_corpora()
    gap = ModalityGapRemover().fit(fitted_on)
    documents = X[X.modality != "query:text"]
    for rows in (X, documents):  # without queries the corpus's own texts stand behind them
        ModalityGapRemover(prior=gap.centers_).fit(rows).transform(X)


@pytest.fixture(scope="module")
def photo_corpora(real):
    """Fifteen corpora of one text, one image and one image+text document in turn.

    One for each caption as the text and each shift of the pattern; the other four captions
    ask.
    """
    photos = real("flickr8k_clip_vitb32.npz")
    n, n_captions, _ = photos["text"].shape
    item, corpora = np.arange(n), []
    for caption in range(n_captions):
        questions = np.delete(photos["text"], caption, axis=1).reshape(4 * n, -1)
        for shift in range(3):
            kind = (item + shift) % 3
            texts, images = item[kind != 1], item[kind != 0]
            X = EmbeddingArray.concatenate(
                {
                    "text": photos["text"][texts, caption],
                    "image": photos["image"][images],
                    "query:text": questions,
                }
            )
            corpora.append((X, np.concatenate([texts, images, item.repeat(4)])))
    return corpora


@pytest.fixture(scope="module")
def products(real):
    """The rows of a corpus of another domain, which no query asks."""
    rows = real("products_clip_vitb32.npz")
    return EmbeddingArray.concatenate({"text": rows["text"], "image": rows["image"]})


def mean_ndcg(corpora, make_step):
    """The mean over the corpora of the score behind the step that is made for each."""
    pipes = [make_pipeline(make_step(X), MixedModalityRetriever()) for X, _ in corpora]
    return np.mean([pipe.fit(X, y).score(X, y) for pipe, (X, y) in zip(pipes, corpora)])


def test_the_means_of_the_corpus_itself_are_what_reuse_is_measured_by(photo_corpora):
    assert len(photo_corpora) == 15
    paper = mean_ndcg(photo_corpora, lambda X: ModalityGapRemover(norm=None, shrinkage=0))
    assert paper == pytest.approx(0.8956, abs=0.002)
    assert mean_ndcg(photo_corpora, lambda X: ModalityGapRemover()) == pytest.approx(
        0.896, abs=0.01
    )


def test_all_means_of_another_domain_cost_a_third(photo_corpora, products):
    gap = ModalityGapRemover().fit(products)
    frozen = mean_ndcg(photo_corpora, lambda X: FrozenEstimator(gap))
    assert frozen == pytest.approx(0.605, abs=0.01)
    prior = ModalityGapRemover(prior=gap.centers_, shrinkage=np.inf)
    with pytest.warns(UserWarning, match=BORROWED):
        borrowed = mean_ndcg(photo_corpora, lambda X: clone(prior))
    assert borrowed == pytest.approx(frozen, abs=1e-9)


def test_document_means_of_another_domain_cost_nothing(photo_corpora, products):
    def with_questions(X):
        rows = EmbeddingArray.concatenate([products, X[X.modality == "query:text"]])
        return FrozenEstimator(ModalityGapRemover(shrinkage=0).fit(rows))

    assert mean_ndcg(photo_corpora, with_questions) == pytest.approx(0.9021, abs=0.01)


def test_means_of_another_domain_behind_those_of_the_corpus_cost_nothing(photo_corpora, products):
    gap = ModalityGapRemover().fit(products)
    behind = mean_ndcg(photo_corpora, lambda X: ModalityGapRemover(prior=gap.centers_))
    assert behind == pytest.approx(0.896, abs=0.01)


def stamped(path, version):
    """Make a file of joblib look as if another version of the package had written it."""
    written = path.read_bytes()
    assert written.count(__version__.encode()) >= 1
    path.write_bytes(written.replace(__version__.encode(), version.encode()))


@pytest.mark.parametrize("older", [False, True])
def test_a_pickle_of_another_version_warns_and_names_both(tmp_path, older):
    fitted_on, X, y = make_corpora()
    gap = ModalityGapRemover().fit(fitted_on)
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever()).fit(X, y)
    version = re.sub(r"\d", "0" if older else "9", __version__)
    for estimator, names in (
        (gap, ["ModalityGapRemover"]),
        (pipe, ["ModalityGapRemover", "MixedModalityRetriever"]),
    ):
        joblib.dump(estimator, tmp_path / "gap.joblib")
        stamped(tmp_path / "gap.joblib", version)
        with pytest.warns(UserWarning, match="pickled by gapremoval") as caught:
            again = joblib.load(tmp_path / "gap.joblib")
        said = [str(warning.message) for warning in caught]
        assert len(said) == len(names)
        for text, name in zip(sorted(said), sorted(names)):
            assert text.startswith(f"This {name} was pickled by gapremoval {version} ")
            assert f"loaded by {__version__}," in text
        assert "_gapremoval_version" not in vars(again)
    queries = X[X.modality == "query:text"]
    np.testing.assert_array_equal(again.predict(queries), pipe.predict(queries))


def test_a_pickle_of_this_version_is_silent(tmp_path):
    fitted_on, X, _ = make_corpora()
    gap = ModalityGapRemover().fit(fitted_on)
    joblib.dump(gap, tmp_path / "gap.joblib")
    again = joblib.load(tmp_path / "gap.joblib")
    np.testing.assert_array_equal(again.transform(X).values, gap.transform(X).values)
    assert again.get_params() == gap.get_params()
