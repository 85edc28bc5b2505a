import copy
import pickle
from functools import cache
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mixed_cases import lines_of, small_corpus, unit
from scipy.stats import gumbel_r

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds
from gapremoval.datasets import make_mixed_modality
from gapremoval.retrieval._false_alarms import leads, null_distribution
from gapremoval.score_calibration import ScoreCalibrator

TEXT, ASKED = "text", "query:text"


def fitted(relevance=None, seed=0, n_queries=9):
    """A retriever of 27 documents of three modalities, and queries that nobody has seen."""
    documents, queries, ids, judged = small_corpus(seed, n_queries=n_queries)
    relevance = judged if relevance is None else relevance(judged)
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    retriever.fit(EmbeddingArray.concatenate([documents, queries]), ids + relevance)
    return retriever, small_corpus(seed + 1)[1]


@cache
def pickled(seed):
    """What `fitted` gives, which takes long to learn."""
    return pickle.dumps(fitted(seed=seed))


def without_null_sample(retriever):
    """A copy, which computes the null sample anew."""
    return pickle.loads(pickle.dumps(retriever))


# The oracle: the definition, with all scores at once, in plain numpy.


def lead_and_spread(scores):
    scores = np.sort(scores[np.isfinite(scores)])[::-1]
    if len(scores) < 7:
        return None
    return scores[0] - scores[1:11].mean(), scores[1:6].mean() - scores[6:11].mean()


def measured(scores, modality):
    """Lead, spread and modality of the best document of one query."""
    kind = modality[scores.argmax()]
    both = [lead_and_spread(scores), lead_and_spread(scores[modality == kind])]
    lead, spread = np.mean([x for x in both if x], axis=0)
    return lead, spread, kind


def expected(retriever, queries, asks, modalities):
    """The false alarms of queries of a modality among documents of some modalities."""
    now = retriever._index.now
    at = np.flatnonzero(np.isin(now.modality, modalities))
    modality, scale, offset = now.modality[at], *(x[at] for x in lines_of(retriever, asks))
    documents = np.asarray(now.vectors_of(now.positions[at]), float)

    def of(rows, own=None):
        scores = scale * (rows @ documents.T) + offset
        if own is not None:
            scores[own[:, None] == now.positions[at]] = -np.inf
        return [measured(x, modality) for x in scores]

    banks = [bank[asks] for bank in now.banks if asks in bank]
    rows, own, known = (np.concatenate([getattr(b, x) for b in banks]) for x in QUERY_BANK)
    is_live = np.isin(own, now.positions)
    fallback, asked = of(rows[is_live], own[is_live]), of(rows[own < 0])
    counts = np.concatenate([bank.weights for bank in banks])
    of_asked = zip(asked, counts, known[own < 0])
    unanswered = [(*x, count) for x, count, answers in of_asked if answers == []]
    by_fallback = np.mean([spread for _, spread, _ in fallback])
    spreads = [spread for _, spread, _ in asked] + [by_fallback]
    unit_of_queries = np.average(spreads, weights=[*counts, 16])
    n = len(fallback)
    m = sum(count for *_, count in unanswered)
    weight = max(min(n, 16) / n, 16 / (16 + m))
    null = [(lead / by_fallback, kind, weight) for lead, _, kind in fallback]
    null += [(lead / unit_of_queries, kind, count) for lead, _, kind, count in unanswered]
    x, kind, weight = (np.array(column) for column in zip(*null))
    mean, offsets = np.average(x, weights=weight), {}
    for name in modalities:
        some = kind == name
        offsets[name] = (weight * (x - mean))[some].sum() / (weight[some].sum() + 16)
    x = x - [offsets[name] for name in kind]
    mean = ((weight * x).sum() + 16 * 2) / (weight.sum() + 16)
    squares = (weight * (x - mean) ** 2).sum() + 16 * (1 + (2 - mean) ** 2)
    width = np.sqrt(squares / (weight.sum() + 16) * 6) / np.pi
    false_alarm = []
    for lead, _, kind in of(unit(queries.values)):
        y = lead / unit_of_queries - offsets[kind]
        smooth = gumbel_r.sf(y, mean - np.euler_gamma * width, width)
        total = weight[x >= y].sum() + 16 * max(smooth, 0.01)
        false_alarm.append(total / (weight.sum() + 16))
    return np.array(false_alarm)


QUERY_BANK = ("rows", "own", "known")


@pytest.mark.parametrize("modalities", [("image", "image+text", "text"), ("text",), ("image",)])
@pytest.mark.parametrize("n_unanswered", [0, 4])
def test_a_false_alarm_is_what_the_definition_gives(modalities, n_unanswered):
    def judge(relevance):
        return [[] if i < n_unanswered else x for i, x in enumerate(relevance)]

    retriever, queries = fitted(judge, n_queries=12)
    for asks in ("query:text", "query:image"):
        some = queries[queries.modality == asks]
        found = retriever.search(some, 3, document_modality=modalities).false_alarm
        want = expected(retriever, some, asks, modalities)
        np.testing.assert_allclose(found, want, rtol=1e-6)


@st.composite
def changes(draw):
    """Names of documents that are added or removed, and whether a search follows."""
    pool = st.lists(st.integers(0, 39), min_size=1, max_size=12, unique=True)
    return draw(st.lists(st.tuples(pool, st.booleans()), min_size=1, max_size=4))


@given(changes=changes(), seed=st.integers(0, 3))
def test_whatever_comes_and_goes_the_null_sample_is_that_of_the_corpus(changes, seed):
    retriever, queries = pickle.loads(pickled(seed))
    pool = np.random.default_rng(9).normal(size=(40, queries.shape[1]))
    tags, there = np.where(np.arange(40) % 3, "image", "text"), set()
    retriever.search(queries, 1)
    branch = copy.copy(retriever)
    for named, searches in changes:
        new, gone = sorted(set(named) - there), sorted(set(named) & there)
        if new:
            rows = EmbeddingArray(pool[new], tags[new])
            retriever.partial_fit(rows, [f"new {i}" for i in new])
        # The documents of the fit go as well, one by one.
        first = [x for x in retriever.ids_[:1] if x.startswith("d")]
        retriever.remove([*(f"new {i}" for i in gone), *first])
        there ^= set(named)
        if searches:
            retriever.search(queries, 1)
    check_against_a_copy(retriever, queries)
    check_against_a_copy(branch, queries)


def check_against_a_copy(retriever, queries):
    found = retriever.search(queries, 1).false_alarm
    want = without_null_sample(retriever).search(queries, 1).false_alarm
    np.testing.assert_allclose(found, want, rtol=1e-9)


def test_of_many_documents_the_null_sample_takes_the_same_part_each_time():
    rng = np.random.default_rng(5)
    rows, asked = rng.normal(size=(340, 8)), EmbeddingArray(rng.normal(size=(290, 8)), ASKED)
    X = EmbeddingArray.concatenate([EmbeddingArray(rows[:300], TEXT), asked])
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    retriever.fit(X, [*range(300), *[None] * len(asked)])
    for added, gone in ((range(300, 310), range(40)), (range(310, 340), range(40, 60))):
        retriever.search(asked[:5], 1)
        retriever.partial_fit(rows[added], added, modality=TEXT).remove(gone)
        check_against_a_copy(retriever, asked[:5])


def test_searches_in_other_threads_see_one_state_of_the_null_sample():
    retriever, queries = fitted()
    pool = np.random.default_rng(3).normal(size=(60, queries.shape[1]))
    found, errors, is_done = [], [], []

    def search():
        try:
            while not is_done:
                found.append(retriever.search(queries, 1).false_alarm)
        except BaseException as error:
            errors.append(error)

    threads = [Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i, row in enumerate(pool):
        retriever.partial_fit(row[None], [f"new {i}"], modality=("text", "image")[i % 2])
        if i >= 30:
            retriever.remove(f"new {i - 30}")
    is_done.append(True)
    for thread in threads:
        thread.join()
    assert not errors
    assert all(((x > 0) & (x <= 1)).all() for x in found)
    check_against_a_copy(retriever, queries)


def test_where_only_scores_are_asked_for_no_null_sample_is_made():
    retriever, queries = fitted()
    retriever.kneighbors(queries)
    retriever.predict(queries)
    retriever.transform(queries)
    assert not retriever._index.now.null_samples


# The parts.

scores = hnp.arrays(float, st.tuples(st.integers(1, 3), st.just(12)), elements=st.floats(-5, 5))


@given(scores=scores, shift=st.floats(-3, 3), scale=st.floats(0.5, 4))
def test_leads_and_spreads_do_not_depend_on_the_level_and_follow_the_scale(scores, shift, scale):
    scores = -np.sort(-scores, axis=1)
    lead, spread = leads([scores]).means()
    more, wider = leads([scale * scores + shift]).means()
    np.testing.assert_allclose(more, scale * lead, atol=1e-9)
    np.testing.assert_allclose(wider, scale * spread, atol=1e-9)
    assert (lead >= -1e-9).all()
    assert (spread >= -1e-9).all()


samples = hnp.arrays(float, st.integers(0, 30), elements=st.floats(0, 8))


@given(sample=samples, asked=hnp.arrays(float, 6, elements=st.floats(0, 12)))
def test_a_larger_lead_is_a_rarer_false_alarm(sample, asked):
    kind, asked = np.zeros(len(sample), dtype=int), np.sort(asked)
    null = null_distribution(sample, kind, np.ones(len(sample)), 1, 1.0)
    found = null.tail(asked, np.zeros(6, dtype=int))
    assert (np.diff(found) <= 1e-12).all()
    # However far the best document leads, it is as rare as the null queries can say.
    assert (found >= 0.16 / (len(sample) + 16) - 1e-12).all()
    assert (null.tail(np.full(6, 1e6), np.zeros(6, dtype=int)) > 0).all()
    assert (found <= 1).all()


def test_with_many_null_queries_it_is_their_share():
    rng = np.random.default_rng(0)
    lead, asked = rng.gamma(4, 1, 5000), rng.gamma(4, 1, 200)
    null = null_distribution(lead, np.zeros(5000, dtype=int), np.ones(5000), 1, 1.0)
    share = (lead >= asked[:, None]).mean(axis=1)
    np.testing.assert_allclose(null.tail(asked, np.zeros(200, dtype=int)), share, atol=0.01)


def test_leads_of_exponential_tails_have_the_standard_that_is_said():
    x = -np.sort(-np.random.default_rng(0).exponential(0.3, size=(4000, 300)), axis=1)
    lead, spread = leads([x]).means()
    ratio = lead / spread.mean()
    assert abs(ratio.mean() - 2.3) < 0.1
    assert abs(ratio.std() - 1.2) < 0.1


# What is unknown, and what is not compared.


@pytest.mark.parametrize("rows", [np.eye(5), np.ones((30, 3))])
def test_of_few_or_equal_documents_nothing_is_known(rows):
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    retriever.fit(rows, modality=TEXT)
    assert np.isnan(retriever.search(rows[:3], 1, modality=ASKED).false_alarm).all()


@pytest.mark.parametrize(("n_queries", "n_needed"), [(0, 8), (3, 7)])
def test_it_takes_eight_documents_or_seven_and_queries(n_queries, n_needed):
    rng = np.random.default_rng(0)
    for n in (n_needed - 1, n_needed):
        rows, asked = rng.normal(size=(n, 5)), rng.normal(size=(n_queries, 5))
        retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
        retriever.fit(rows, modality=TEXT)
        if n_queries:
            retriever.partial_fit(asked, [None] * n_queries, modality=ASKED)
        found = retriever.search(rows[:3], 1, modality=ASKED)
        assert np.isnan(found.false_alarm).all() == (n < n_needed)


def test_the_weight_of_fallback_queries_falls_smoothly_with_the_unanswered_ones():
    rng = np.random.default_rng(4)
    rows, asked = rng.normal(size=(200, 8)), rng.normal(size=(60, 8))
    X, by_number = EmbeddingArray.concatenate({TEXT: rows, ASKED: asked}), []
    for n in (0, 1, 2):
        retriever = MixedModalityRetriever(score_calibration=PosteriorOdds(answer_share={TEXT: 1}))
        retriever.fit(X, [*range(200), *[[]] * n, *[None] * (60 - n)])
        by_number.append(retriever.search(asked, 1, modality=ASKED).false_alarm)
    assert np.abs(np.diff(by_number, axis=0)).max() < 0.02


class OwnOdds(ScoreCalibrator):
    """A calibration of a user's own: plain cosines, which it takes for log odds."""

    _learned = ("slope_",)

    def _document_statistics(self, scores):
        return np.zeros((scores.n_documents, 1))

    def _learn(self, scores, statistics):
        return {"slope_": 20.0}

    def _score_map(self, query_modality, modality, statistics):
        return np.ones(len(statistics)), np.zeros(len(statistics))


@pytest.mark.parametrize("n", [3, 30])
def test_a_calibration_of_ones_own_that_gives_odds_gets_false_alarms(n):
    rows = np.random.default_rng(0).normal(size=(n, 5))
    X = EmbeddingArray(rows, np.where(np.arange(n) % 3, TEXT, "image"))
    retriever = MixedModalityRetriever(score_calibration=OwnOdds()).fit(X, range(n))
    for _ in range(2):
        found = retriever.search(rows[:2], 1, modality=ASKED).false_alarm
        assert np.isnan(found).all() if n < 8 else ((found > 0) & (found <= 1)).all()
        retriever.remove([0]).partial_fit(rows[:1], [0], modality="image")


def test_a_modality_that_taught_nothing_has_no_false_alarm():
    rows = np.random.default_rng(0).normal(size=(30, 5))
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    retriever.fit(rows, modality=TEXT)
    with pytest.warns(UserWarning, match="learned nothing about 'query:image'"):
        found = retriever.search(rows[:3], 1, modality="query:image")
    assert np.isnan(found.false_alarm).all()


def test_photos_alone_are_compared_with_the_standard():
    rng = np.random.default_rng(0)
    photos, asked = rng.normal(size=(40, 16)), rng.normal(size=(12, 16))
    X = EmbeddingArray.concatenate({"image": photos, ASKED: asked})
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    retriever.fit(X, [*range(40), *[None] * 12])
    nothing = retriever.search(rng.normal(size=(200, 16)), 1, modality=ASKED).false_alarm
    found = retriever.search(photos, 1, modality=ASKED).false_alarm
    assert (nothing <= 0.1).mean() <= 0.1
    assert found.max() < 0.05


def test_an_unanswered_example_among_photos_alone_counts():
    rng = np.random.default_rng(1)
    X = EmbeddingArray.concatenate(
        {"image": rng.normal(size=(40, 16)), ASKED: rng.normal(size=(4, 16))}
    )
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    before = retriever.fit(X, [*range(40), *[None] * 4]).search(X[40:], 1).false_alarm
    after = retriever.fit(X, [*range(40), *[[]] * 4]).search(X[40:], 1).false_alarm
    assert (before != after).all()
    # Not so one that was shown a document without using it.
    shown = retriever.fit(X, [*range(40), *[{0: 0}] * 4]).search(X[40:], 1).false_alarm
    np.testing.assert_array_equal(before, shown)


def test_unanswered_examples_make_questions_like_them_less_convincing():
    rng = np.random.default_rng(2)
    documents, asked = rng.normal(size=(60, 16)), rng.normal(size=(20, 16))
    # Nonsense that stands out: close to one document, but not answered by it.
    nonsense = documents[:20] + 0.3 * rng.normal(size=(20, 16))
    X = EmbeddingArray.concatenate({TEXT: documents, ASKED: np.concatenate([asked, nonsense[:10]])})
    by_answer = []
    for answer in (None, []):
        retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
        retriever.fit(X, [*range(60), *[None] * 20, *[answer] * 10])
        by_answer.append(retriever.search(nonsense[10:], 1, modality=ASKED).false_alarm)
    assert (by_answer[1] > by_answer[0]).all()
    assert np.median(by_answer[1]) > 0.1 > np.median(by_answer[0])


# What it promises.


@pytest.mark.parametrize("proportions", [None, {"text": 1, "image": 8, "image+text": 1}])
def test_few_questions_without_an_answer_look_answered(proportions):
    said, absent, present = 0.05, [], []
    for seed in range(4):
        X, y = make_mixed_modality(80, proportions=proportions, random_state=seed)
        is_query, is_there = X.modality == ASKED, np.arange(80) % 2 == 0
        gone = [f"item{i}" for i in np.flatnonzero(~is_there)]
        kept = is_query | ~np.isin(y, gone)
        relevance = [None if ask else id_ for id_, ask in zip(y[kept], is_query[kept])]
        retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
        found = retriever.fit(X[kept], relevance).search(X[is_query], 1)
        absent.append(found.false_alarm[~is_there])
        present.append(found.false_alarm[is_there])
    assert (np.concatenate(absent) <= said).mean() <= 0.1
    assert (np.concatenate(present) <= said).mean() >= 0.15
