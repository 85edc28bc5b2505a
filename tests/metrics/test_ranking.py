import ir_measures
import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import RR, R, nDCG
from ir_measures import P as Precision
from sklearn.metrics import ndcg_score

from gapremoval.metrics import ndcg_at_k, precision_at_k, recall_at_k, reciprocal_rank_at_k

METRICS = [ndcg_at_k, recall_at_k, reciprocal_rank_at_k, precision_at_k]
all_metrics = pytest.mark.parametrize("metric", METRICS)

documents = st.sampled_from([f"d{i}" for i in range(25)])
cutoffs = st.integers(1, 20)
gains = st.dictionaries(documents, st.integers(-1, 3), min_size=1)
# Few different scores, so that most runs hold ties; some are shorter than k.
runs = st.dictionaries(documents, st.integers(0, 6), min_size=1)
judged_runs = st.lists(st.tuples(gains, runs), min_size=1, max_size=5)


def ranked(run):
    """The ids of a run in trec_eval's order: by score, ties by id, both descending."""
    return sorted(run, key=lambda document: (run[document], document), reverse=True)


def trec_eval(qrels, runs, measure):
    """A measure of trec_eval for each query."""
    names = [f"q{i}" for i in range(len(qrels))]
    evaluator = pytrec_eval.RelevanceEvaluator(dict(zip(names, qrels)), {measure})
    scores = [{d: float(s) for d, s in run.items()} for run in runs]
    found = evaluator.evaluate(dict(zip(names, scores)))
    return [found[name][measure.replace(".", "_")] for name in names]


@given(judged_runs, cutoffs)
def test_every_metric_is_trec_evals(judged, k):
    qrels, runs = map(list, zip(*judged))
    rankings = [ranked(run) for run in runs]
    cut = [{d: run[d] for d in ranking[:k]} for run, ranking in zip(runs, rankings)]
    for metric, run, measure in (
        (ndcg_at_k, runs, f"ndcg_cut.{k}"),
        (recall_at_k, runs, f"recall.{k}"),
        (precision_at_k, runs, f"P.{k}"),
        (reciprocal_rank_at_k, cut, "recip_rank"),  # trec_eval cuts this one nowhere
    ):
        want = trec_eval(qrels, run, measure)
        np.testing.assert_allclose(metric(qrels, rankings, k), want, atol=1e-12)


@given(st.lists(st.tuples(gains, st.lists(documents, min_size=1, unique=True))), cutoffs)
def test_every_metric_is_that_of_ir_measures(judged, k):
    # Without ties, which ir_measures breaks in another order where it cuts a run itself.
    qrels = {str(i): gains for i, (gains, _) in enumerate(judged)}
    runs = {
        str(i): {document: -float(rank) for rank, document in enumerate(ranking)}
        for i, (_, ranking) in enumerate(judged)
    }
    measures = dict(zip(METRICS, (nDCG @ k, R @ k, RR @ k, Precision @ k)))
    found = {
        (value.measure, int(value.query_id)): value.value
        for value in ir_measures.iter_calc(list(measures.values()), qrels, runs)
    }
    for metric, measure in measures.items():
        want = [found[measure, i] for i in range(len(judged))]
        values = metric([gains for gains, _ in judged], [ranking for _, ranking in judged], k)
        np.testing.assert_allclose(values, want, atol=1e-12)


@given(judged_runs, cutoffs)
def test_values_lie_between_0_and_1(judged, k):
    for metric in METRICS:
        values = metric([g for g, _ in judged], [ranked(run) for _, run in judged], k)
        assert values.dtype == np.float64
        assert values.shape == (len(judged),)
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()


@given(gains, cutoffs)
def test_the_best_possible_ranking_scores_1(gains, k):
    best = sorted(gains, key=gains.get, reverse=True)
    any_relevant = float(max(gains.values()) > 0)
    assert ndcg_at_k([gains], [best], k) == pytest.approx(any_relevant)
    assert reciprocal_rank_at_k([gains], [best], k) == any_relevant


@given(gains, runs, cutoffs)
def test_only_the_first_k_count(gains, run, k):
    ranking = ranked(run)
    for metric in METRICS:
        assert metric([gains], [ranking], k) == metric([gains], [ranking[:k]], k)


@given(gains, runs, cutoffs, st.data())
def test_moving_a_better_document_up_never_costs_anything(gains, run, k, data):
    ranking = ranked(run)
    i, j = sorted(data.draw(st.tuples(*[st.integers(0, len(ranking) - 1)] * 2)))
    better = ranking.copy()
    if gains.get(ranking[j], 0) > gains.get(ranking[i], 0):
        better[i], better[j] = better[j], better[i]
    for metric in METRICS:
        assert metric([gains], [better], k) >= metric([gains], [ranking], k) - 1e-12


@given(judged_runs, cutoffs)
def test_queries_do_not_disturb_each_other(judged, k):
    qrels, rankings = [g for g, _ in judged], [ranked(run) for _, run in judged]
    for metric in METRICS:
        alone = [metric([g], [ranking], k)[0] for g, ranking in zip(qrels, rankings)]
        np.testing.assert_allclose(metric(qrels, rankings, k), alone, atol=1e-12)


@given(st.lists(st.permutations(range(9)), min_size=1, max_size=4), st.integers(1, 12))
def test_arrays_of_ids_equal_lists(rankings, k):
    relevance = [{2: 1, 5: 3, 70: 1}] * len(rankings)
    named = [{str(d): gain for d, gain in gains.items()} for gains in relevance]
    strings = [[str(d) for d in ranking] for ranking in rankings]
    for metric in METRICS:
        want = metric(relevance, rankings, k)
        for ids, answers in (
            (np.array(rankings, dtype=np.int64), relevance),
            (np.array(rankings, dtype=object), relevance),
            (list(map(np.array, rankings)), relevance),
            (np.array(strings), named),
            (np.array(strings, dtype=object), named),
        ):
            np.testing.assert_array_equal(metric(answers, ids, k), want)


@all_metrics
@given(st.sets(st.integers(0, 9), min_size=1), st.permutations(range(10)))
def test_a_collection_of_ids_is_a_gain_of_1_each(metric, relevant, ranking):
    want = metric([dict.fromkeys(relevant, 1)], [ranking], 4)
    for answer in (relevant, list(relevant), tuple(relevant), np.array(list(relevant))):
        assert metric([answer], [ranking], 4) == want
    one = next(iter(relevant))
    assert metric([one], [ranking], 4) == metric([{one: 1}], [ranking], 4)


def test_the_ideal_is_made_of_all_relevant_documents_and_not_of_those_found():
    answers = {"a": 1, "b": 1}
    assert ndcg_at_k([answers], [["a"]]) == pytest.approx(1 / (1 + 1 / np.log2(3)))  # .613
    assert trec_eval([answers], [{"a": 1.0}], "ndcg_cut.10") == ndcg_at_k([answers], [["a"]])


def test_scikit_learns_ndcg_score_is_another_number_for_a_ranking_cut_short():
    # Two of seven documents answer. One comes first, the other was not found.
    answers, found = {"d0": 1, "d1": 1}, {"d0": 1.0}
    relevant = np.array([[1, 1, 0, 0, 0, 0, 0]])
    scores = np.array([[1, 0, 0, 0, 0, 0, 0]])
    (trec,) = trec_eval([answers], [found], "ndcg_cut.10")
    assert trec == pytest.approx(0.613, abs=0.001)
    assert ndcg_score(relevant, scores, k=10) == pytest.approx(0.883, abs=0.001)
    assert ndcg_at_k([answers], [["d0"]], 10) == pytest.approx(trec)


def test_values_worked_out_by_hand():
    relevance = [{"a": 3, "b": 1, "z": 2}]
    ranking = [["x", "b", "a", "y"]]
    ideal = 3 + 2 / np.log2(3) + 1 / 2
    assert ndcg_at_k(relevance, ranking, 3) == pytest.approx((1 / np.log2(3) + 3 / 2) / ideal)
    assert recall_at_k(relevance, ranking, 3) == pytest.approx(2 / 3)
    assert recall_at_k(relevance, ranking, 2) == pytest.approx(1 / 3)
    assert reciprocal_rank_at_k(relevance, ranking, 3) == 1 / 2
    assert reciprocal_rank_at_k(relevance, ranking, 1) == 0
    assert precision_at_k(relevance, ranking, 3) == pytest.approx(2 / 3)


@all_metrics
def test_unknown_relevance_is_nan_and_nothing_relevant_is_0(metric):
    pandas = pytest.importorskip("pandas")
    unknown = [None, float("nan"), np.nan, pandas.NA]
    nothing = [[], (), set(), {}, {"a": 0}, {"a": -1.5, "b": 0}]
    values = metric([*unknown, *nothing, "a"], [["a", "b"]] * 11, 2)
    assert np.isnan(values[:4]).all()
    assert (values[4:10] == 0).all()
    assert values[10] > 0


@all_metrics
def test_nothing_found_is_0_and_no_query_gives_no_value(metric):
    assert metric(["a"], [[]]) == 0
    assert metric([], []).shape == (0,)


@all_metrics
def test_a_series_of_relevance_is_read_in_its_order(metric):
    pandas = pytest.importorskip("pandas")
    relevance = pandas.Series(["a", None, "b"], index=[7, 7, 1])
    values = metric(relevance, [["a"], ["a"], ["a"]], 1)
    np.testing.assert_array_equal(values, [1, np.nan, 0])


@all_metrics
@pytest.mark.parametrize("k", [0, -1, 2.5, "3", None, True])
def test_a_cutoff_is_an_integer_of_at_least_1(metric, k):
    with pytest.raises(ValueError, match="k must be an integer of at least 1"):
        metric(["a"], [["a"]], k)


@all_metrics
@pytest.mark.parametrize(
    ("relevance", "ranking", "message"),
    [
        (["a", "b"], [["a"]], "2 relevances and 1 rankings"),
        (["a"], [["b", "c", "b"]], r"query 0 holds 'b' more than once"),
        ([None], [["b", "b"]], "query 0 holds .* more than once"),
        (["a", {"a": "much"}], [["a"], ["a"]], "query 1 gives document 'a' the gain 'much'"),
        ([{"a": np.nan}], [["a"]], "the gain nan: a gain is a finite number"),
        ([{"a": np.inf}], [["a"]], "the gain inf: a gain is a finite number"),
        ([{"a": None}], [["a"]], "the gain None"),
        ([["a", None]], [["a"]], "query 0 holds a missing id"),
        ([[["a"]]], [["a"]], "query 0 holds something that is no id"),
        (["doc1"], ["doc1"], "ranking of query 0 must be a sequence of ids.*'doc1'"),
        ([1], [1], "ranking of query 0 must be a sequence of ids"),
        (["a"], [{"b": 0.1, "a": 0.9}], "ranking of query 0 must be a sequence of ids"),
        (["a"], [{"b", "a"}], "ranking of query 0 must be a sequence of ids"),
        ({"q": {"a": 1}}, [["a"]], "sequences with one entry per query; got a dict"),
        (["a"], {"q": ["a"]}, "sequences with one entry per query; got a dict"),
    ],
)
def test_what_cannot_be_judged_is_an_error(metric, relevance, ranking, message):
    with pytest.raises(ValueError, match=message):
        metric(relevance, ranking)


@all_metrics
def test_an_id_that_repeats_below_the_cutoff_does_not_matter(metric):
    assert metric(["a"], [["a", "b", "b"]], 2) > 0


def test_a_large_k_costs_no_more_than_what_is_ranked():
    assert recall_at_k(["a"], [["a"]], 10**12).tolist() == [1]
    assert precision_at_k(["a"], [["a"]], 10**12).tolist() == [1e-12]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("relevance", "ranking", "message"),
    [
        ([3], [["3", "4"]], r"3 \(int\) in relevance, '3' \(str\) in ranking"),
        (["3"], np.array([[3, 4]]), r"'3' \(str\) in relevance, 3 \(int\) in ranking"),
        (["a", None], [["a", "b"], [-1, -1]], "-1 more than once.*faiss pads"),
    ],
)
def test_ids_of_another_type_and_padding_are_refused(metric, relevance, ranking, message):
    with pytest.raises(ValueError, match=message):
        metric(relevance, ranking)
