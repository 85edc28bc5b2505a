"""Posterior odds against their reference, a slow oracle and corpora of known shares."""

import importlib.util
import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_cases import all_scores, slow_spreads, teaching_scores, unit
from mixed_corpora import SETTINGS, mixed_corpora
from real_data import DEFAULT
from scipy.special import ndtr
from sklearn.base import clone

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds, make_search_pipeline
from gapremoval.retrieval._query_banks import teaching_scores as scores_of_banks
from gapremoval.score_calibration._score_map import ScoreMap

pytestmark = pytest.mark.filterwarnings("ignore:Few rows:UserWarning")

MODAL = ("answer_share_", "spread_", "credibility_", "norm_", "shift_")

# Beside the data, and no more a part of this library than they are.
REFERENCE = Path(os.environ.get("GAPREMOVAL_DATA", DEFAULT)).parent / "reference/answer_shares.py"


@pytest.fixture(scope="module")
def reference():
    """The reference's `fit`, or skip, saying so."""
    if not REFERENCE.exists():
        pytest.skip(f"{REFERENCE} is absent: there is no reference to compare with.")
    spec = importlib.util.spec_from_file_location("answer_shares_reference", REFERENCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # The same function, a hundred times faster.
    module._cdf = module.posterior_odds._cdf = ndtr
    return module.fit


def as_in_the_reference():
    """The recommended pipeline without what goes beyond the reference."""
    pipe = make_search_pipeline()
    return pipe.set_params(mixedmodalityretriever__score_calibration__recenter=False)


def learned_lines(pipe, query_modality):
    """Scale and offset where all queries have the weight 1, as in the reference."""
    now = pipe[-1]._index.now
    documents = {
        name: [segment.columns[column] for column in ("position", "id", "vectors")]
        for name, segment in now.directed.items()
    }
    scores = scores_of_banks(now.banks[0], documents)[query_modality]
    odds = clone(now.calibration)
    alike = replace(scores, weights=np.ones(scores.n_queries))
    statistics = odds.learn({query_modality: alike})[query_modality]
    scale, offset = np.ones((2, len(now)))
    for name, of_segment in scores.segments.items():
        rows = statistics[of_segment]
        at = now.places_of(scores.position[of_segment])
        scale[at], own = odds._score_map(query_modality, name, rows)
        offset[at] = own + odds._shared_offset(query_modality, name, len(rows))
    return ScoreMap(scale, offset)


def reference_lines(reference, pipe, documents, ids, queries, asks, answers=None):
    """Scale and offset by the reference, from rows that are fused and compared here."""
    rows = pipe[:-1].transform(documents)
    place = {id_: i for i, id_ in enumerate(pipe[-1].ids_.tolist())}
    at = np.array([place[id_] for id_ in ids])
    fused = np.zeros((len(place), rows.shape[1]))
    np.add.at(fused, at, rows.values)
    fused = unit(fused)
    scores = np.empty((0, len(place)))
    if len(queries):
        scores = pipe[:-1].transform(queries).values @ fused.T
    is_fallback = rows.modality == asks.removeprefix("query:")
    fallback, own = rows.values[is_fallback] @ fused.T, at[is_fallback]
    fallback[np.arange(len(own)), own] = np.nan
    parts = {d: v for d, v, m in zip(at, rows.values, rows.modality) if m == "image"}
    mine = zip(own, rows.values[is_fallback])
    pairs = [v @ parts[d] for d, v in mine if asks == "query:text" and d in parts]
    if answers is not None:
        answers = np.array([-1 if x is None else place[x] for x in answers], int)
    found = reference(
        scores,
        pipe[-1].document_modality_,
        fallback,
        ("image", pairs),
        answers=answers,
        asks=asks.removeprefix("query:"),
    )
    return found[:2]


def assert_equal_lines(got, want):
    np.testing.assert_allclose(got.scale, want[0], atol=1e-6, rtol=0)
    np.testing.assert_allclose(got.offset, want[1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("n_queries", [200, 30, 2, 1, 0])
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_scale_and_offset_are_the_references_in_six_settings(real, reference, setting, n_queries):
    corpora = mixed_corpora(real("flickr8k_clip_vitb32.npz"), *setting)
    for number, (documents, queries, ids, relevance, _) in enumerate(islice(corpora, 0, 15, 7)):
        queries = queries[:n_queries]
        # In every second corpus some queries are judged.
        judged = [r if number % 2 and i % 5 == 0 else None for i, r in enumerate(relevance)]
        judged = judged[:n_queries]
        X = EmbeddingArray.concatenate([documents, queries]) if n_queries else documents
        pipe = as_in_the_reference().fit(X, ids + judged)
        want = reference_lines(
            reference, pipe, documents, ids, queries, "query:text", judged if judged else None
        )
        assert_equal_lines(learned_lines(pipe, "query:text"), want)


@pytest.mark.parametrize("n_queries", [1000, 20, 0])
@pytest.mark.parametrize("name", ["coco_clip_vitb16.npz", "products_clip_vitb32.npz"])
def test_queries_of_each_modality_are_taught_apart_as_by_the_reference(
    real, reference, name, n_queries
):
    data = {kind: rows.astype(float) for kind, rows in real(name).items()}
    n_items = len(data["text"])
    even, odd = np.arange(n_items) % 2 == 0, np.arange(n_items) % 2 == 1
    documents = EmbeddingArray.concatenate(
        {"text": data["text"][even], "image": data["image"][odd]}
    )
    ids = [f"item{i}" for i in (*np.flatnonzero(even), *np.flatnonzero(odd))]
    asked = {
        "query:text": EmbeddingArray(data["text"][odd][:n_queries], "query:text"),
        "query:image": EmbeddingArray(data["image"][even][:n_queries], "query:image"),
    }
    given = [rows for rows in asked.values() if len(rows)]
    X = EmbeddingArray.concatenate([documents, *given])
    pipe = as_in_the_reference().fit(X, ids + [None] * (len(X) - len(ids)))
    for asks, queries in asked.items():
        # Two of the products have the same picture: a question that is asked twice counts once.
        once = np.sort(np.unique(queries.values, axis=0, return_index=True)[1])
        want = reference_lines(reference, pipe, documents, ids, queries[once], asks)
        assert_equal_lines(learned_lines(pipe, asks), want)


# Without the EM: what spreads and sizes alone say.


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.floats(0.1, 100), st.integers(2, 8))
def test_without_queries_scale_and_offset_follow_from_spreads_and_sizes(
    seed, hubness, prior_count, n_rows
):
    rng = np.random.default_rng(seed)
    scores = teaching_scores(rng, {"image": 5, "image+text": 2, "text": 9}, 0, n_rows)
    odds = PosteriorOdds(prior_count=prior_count, hubness=hubness)
    statistics = odds.learn({"query:text": scores})["query:text"]
    _, variance, _ = slow_spreads(all_scores(scores), np.full(n_rows, prior_count / n_rows))
    weight = np.array([5, 2, 9]) ** 0.25
    assert odds.slope_["query:text"] == pytest.approx(1 / 0.85 + 1 / 0.5)
    for name, share in zip(scores.segments, weight / weight.sum()):
        learned = {x: values["query:text"][name] for x, values in vars(odds).items() if x in MODAL}
        of_modality = variance[scores.segments[name]]
        believed, norm = learned["credibility_"], learned["norm_"]
        assert learned["answer_share_"] == pytest.approx(share)
        assert learned["spread_"] == pytest.approx(np.sqrt(of_modality.mean()))
        assert learned["shift_"] == 0
        assert 0 <= believed <= prior_count / (prior_count + prior_count)
        own = np.sqrt(np.maximum(1 + believed * (of_modality / of_modality.mean() - 1), 0.05))
        assert norm == pytest.approx(np.sqrt((own**2).mean()))
        want = learned["spread_"] * (own / norm) ** hubness
        rows = statistics[scores.segments[name]]
        scale, own = odds._score_map("query:text", name, rows)
        offset = own + odds._shared_offset("query:text", name, len(rows))
        np.testing.assert_allclose(1 / scale, want, rtol=1e-9)
        want = np.log(share / len(rows)) / odds.slope_["query:text"] - rows[:, 2] * scale
        np.testing.assert_allclose(offset, want, rtol=1e-9)


# Corpora of known shares.

SHARES = [
    {"text": 1.0},
    {"text": 0.7, "image": 0.3},
    {"text": 0.6, "image": 0.3, "audio": 0.1},
    {"text": 0.4, "image": 0.3, "audio": 0.2, "image+text": 0.1},
]
SCATTER = {"text": 1.0, "image": 0.5, "audio": 0.7}
N_FEATURES, N_EACH = 64, 100


def known_corpus(shares, asks, n_queries=400, right=0.6, seed=0):
    """Documents of each modality and queries, of which a known share is answered by each.

    The first features hold what queries ask about. Rows of modalities other than text have some
    length elsewhere, documents and queries not in one place, so their scores are smaller by a
    factor.
    """
    rng = np.random.default_rng(seed)
    rows, tags, ids, meanings = [], [], [], {}
    for name in shares:
        meaning = unit(rng.normal(size=(N_EACH, N_FEATURES)))
        meanings[name] = meaning
        for part in name.split("+"):
            elsewhere = unit(rng.normal(size=(N_EACH, N_FEATURES)))
            seen = meaning if part == name else unit(meaning + 0.7 * elsewhere[::-1])
            scatter = SCATTER[part]
            elsewhere = np.sqrt(1 - scatter**2) * elsewhere
            rows.append(np.hstack([scatter * seen, elsewhere, 0 * elsewhere]))
            tags += [part] * N_EACH
            ids += [f"{name}{i}" for i in range(N_EACH)]
    counts = np.round(np.array([*shares.values()]) * n_queries).astype(int)
    kind = np.repeat([*shares], counts)
    answer = rng.integers(0, N_EACH, len(kind))
    about = np.stack([meanings[name][i] for name, i in zip(kind, answer)])
    noise = unit(rng.normal(size=about.shape))
    asked = unit(right * about + np.sqrt(1 - right**2) * noise)
    scatter = SCATTER[asks.removeprefix("query:")]
    elsewhere = np.sqrt(1 - scatter**2) * unit(rng.normal(size=asked.shape))
    asked = np.hstack([scatter * asked, 0 * asked, elsewhere])
    documents = EmbeddingArray(np.concatenate(rows), tags)
    relevance = [f"{name}{i}" for name, i in zip(kind, answer)]
    return documents, EmbeddingArray(asked, asks), ids, relevance


@pytest.mark.parametrize("asks", ["query:text", "query:image", "query:audio"])
@pytest.mark.parametrize("shares", SHARES, ids=lambda shares: "-".join(shares))
@pytest.mark.parametrize("judged", [False, True])
def test_known_shares_are_found_within_three_hundredths(shares, asks, judged):
    documents, queries, ids, relevance = known_corpus(shares, asks)
    y = ids + (relevance if judged else [None] * len(queries))
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    retriever.fit(EmbeddingArray.concatenate([documents, queries]), y)
    got = retriever.score_calibration_.answer_share_[asks]
    assert got == pytest.approx(shares, abs=0.03)
    assert sum(got.values()) == pytest.approx(1)
    found = retriever.search(queries)
    assert np.isfinite(found.probabilities).all()
    assert np.mean(found.ids[:, 0] == relevance) > 0.7


@pytest.mark.parametrize("asks", ["query:text", "query:audio"])
def test_probabilities_are_about_as_often_right_as_they_say(asks):
    documents, queries, ids, _relevance = known_corpus(SHARES[2], asks, right=0.4)
    _, others, _, answers = known_corpus(SHARES[2], asks, right=0.4)
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    retriever.fit(EmbeddingArray.concatenate([documents, queries]), ids + [None] * len(queries))
    found = retriever.search(others)
    is_right = found.ids[:, 0] == answers
    assert found.probabilities[:, 0].mean() == pytest.approx(is_right.mean(), abs=0.1)
    sure = found.probabilities[:, 0] > 0.8
    assert is_right[sure].mean() > is_right[~sure].mean() + 0.1


def test_what_is_learned_is_plain_numbers_by_query_modality_and_modality():
    documents, queries, ids, _ = known_corpus(SHARES[3], "query:text", 50)
    X = EmbeddingArray.concatenate([documents, queries])
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    odds = retriever.fit(X, ids + [None] * 50).score_calibration_
    asked = {"query:text", "query:image", "query:audio"}
    assert set(odds.query_modalities_) == asked
    assert set(odds.document_modalities_) == set(SHARES[3])
    for name in MODAL:
        assert set(getattr(odds, name)) == asked
        for values in getattr(odds, name).values():
            assert set(values) == set(SHARES[3])
            assert all(type(x) is float for x in values.values())
    for asks in asked:
        mean, deviation = odds.right_score_[asks]
        assert odds.slope_[asks] >= 1 / deviation + 1 / odds.tail_[asks] - 1e-9  # a mean of slopes
        assert mean > 0
        assert sum(odds.answer_share_[asks].values()) == pytest.approx(1)


def test_a_mean_that_queries_should_not_have_is_taken_off_every_score():
    rng = np.random.default_rng(0)
    scores = teaching_scores(rng, {"text": 30, "image": 30}, 200, 0)
    centered = scores.queries - scores.queries.mean(axis=0)
    drift = 3 * unit(rng.normal(size=(1, centered.shape[1])))[0]
    both = [PosteriorOdds(), PosteriorOdds()]
    own, drifted = (
        odds.learn({"query:text": replace(scores, rows=rows)})["query:text"]
        for odds, rows in zip(both, (centered, centered + drift))
    )
    assert own[:, 2] == pytest.approx(0)
    vectors = np.concatenate([*scores.vectors.values()])
    np.testing.assert_allclose(drifted[:, 2], vectors @ drift, atol=0.01)
    one, other = both
    assert other.slope_ == pytest.approx(one.slope_, rel=0.01)
    assert other.spread_["query:text"] == pytest.approx(one.spread_["query:text"], rel=0.01)
