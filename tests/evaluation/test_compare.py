import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn
from mixed_corpora import SETTINGS, mixed_corpora
from real_data import load_real
from scipy import stats
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from gapremoval import (
    CLIPEncoder,
    FusionWeightSearchCV,
    MixedModalityRetriever,
    ModalityGapRemover,
    make_search_pipeline,
    search,
)
from gapremoval.calibration import AnchorAndScale
from gapremoval.datasets import make_mixed_modality, make_scenes
from gapremoval.evaluation import Corpus, compare, mixed_corpus
from gapremoval.metrics import ndcg_at_k, recall_at_k

RAW = MixedModalityRetriever()
GR = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
PIPELINES = {"raw": RAW, "GR": GR}


@pytest.fixture(scope="module")
def corpora():
    """Two corpora, one of them in two draws."""
    one, *two = (Corpus.from_rows(*make_mixed_modality(60, random_state=i)) for i in range(3))
    return {"one": one, "two": two}


@pytest.fixture(scope="module")
def result(corpora):
    return compare(PIPELINES, corpora)


def by_hand(pipeline, corpus, metric=ndcg_at_k, k=10):
    X, y = corpus
    is_query = np.char.startswith(X.modality.astype(str), "query:")
    fitted = clone(pipeline).fit(X, [None if q else x for q, x in zip(is_query, y)])
    return metric(list(corpus.relevance), search(fitted, corpus.queries, k).ids, k)


def test_means_are_those_of_fitting_and_searching_by_hand(corpora, result):
    for name, pipeline in PIPELINES.items():
        values = [by_hand(pipeline, corpus) for corpus in corpora["two"]]
        modality = np.concatenate([corpus.answer_modality for corpus in corpora["two"]])
        rows = result[(result.pipeline == name) & (result.corpus == "two")]
        assert rows["answer_modality"].tolist() == ["all", *sorted(set(modality))]
        values = np.concatenate(values)
        for _, row in rows.iterrows():
            of = modality == row.answer_modality if row.answer_modality != "all" else ...
            assert row["mean"] == pytest.approx(values[of].mean())
            assert row.n_queries == len(values[of])


def test_values_by_query_are_beside_the_table(corpora, result):
    some = result.by_query.query("pipeline == 'GR' and corpus == 'one'")
    np.testing.assert_array_equal(some["value"], by_hand(GR, corpora["one"]))
    assert some["query"].tolist() == list(range(len(corpora["one"].queries)))
    assert len(result[result.pipeline == "GR"].by_query) == len(result.by_query)


def test_other_metrics_and_lengths(corpora):
    result = compare({"GR": GR}, {"one": corpora["one"]}, metric="recall@50")
    want = by_hand(GR, corpora["one"], recall_at_k, 50).mean()
    assert result["mean"].iloc[0] == pytest.approx(want)


def test_intervals_are_those_of_the_bootstrap_of_scipy(corpora):
    result = compare({"raw": RAW}, {"one": corpora["one"]})
    values = result.by_query["value"].to_numpy()
    want = stats.bootstrap([values], np.mean, n_resamples=5000, method="percentile", rng=0)
    got = result.loc[0, ["low", "high"]].to_numpy(float)
    np.testing.assert_allclose(got, want.confidence_interval, atol=0.01)


def test_queries_of_a_group_are_resampled_together(corpora):
    corpus = corpora["one"]
    n = len(corpus.queries)
    twice = replace(
        corpus,
        queries=corpus.queries[np.repeat(np.arange(n), 2)],
        relevance=np.repeat(np.array(corpus.relevance, dtype=object), 2).tolist(),
        teaching=corpus.queries,
        groups=np.repeat(np.arange(n), 2),
    )
    result = compare({"raw": RAW}, {"once": corpus, "twice": twice})
    once, twice = (
        result[result.corpus == name].drop(columns="corpus") for name in ("once", "twice")
    )
    columns = ["mean", "low", "high"]
    np.testing.assert_allclose(once[columns], twice[columns], atol=1e-12)


def test_differences_are_paired(corpora, result):
    difference = result.difference_to("raw")
    values = by_hand(GR, corpora["one"]) - by_hand(RAW, corpora["one"])
    row = difference.query("pipeline == 'GR' and corpus == 'one' and answer_modality == 'all'")
    assert row["mean"].item() == pytest.approx(values.mean())
    want = stats.bootstrap([values], np.mean, n_resamples=5000, method="percentile", rng=0)
    np.testing.assert_allclose(row[["low", "high"]].iloc[0], want.confidence_interval, atol=0.01)
    own = difference[difference.pipeline == "raw"]
    assert (own[["mean", "low", "high"]] == 0).all(axis=None)
    with pytest.raises(ValueError, match="no pipeline 'gr'.*Did you mean 'GR'"):
        result.difference_to("gr")


def test_the_mean_over_corpora_weighs_each_the_same(result):
    table = result.over_corpora()
    means = result[result.answer_modality == "all"].groupby("pipeline", sort=False)["mean"].mean()
    got = table[table.answer_modality == "all"].set_index("pipeline")["mean"]
    pd.testing.assert_series_equal(got, means)


def test_fusion_weights_are_those_of_the_retriever(corpora):
    result = compare({"raw": RAW, "GR": GR}, {"one": corpora["one"]}, fusion_weights=[0.2, 0.9])
    assert result.columns[:4].tolist() == ["pipeline", "fusion_weight", "corpus", "answer_modality"]
    for weight in (0.2, 0.9):
        for name, parameter in (("raw", ""), ("GR", "mixedmodalityretriever__")):
            pipeline = clone(PIPELINES[name]).set_params(**{f"{parameter}fusion_weight": weight})
            rows = result[(result.fusion_weight == weight) & (result.pipeline == name)]
            want = by_hand(pipeline, corpora["one"]).mean()
            assert rows["mean"].iloc[0] == pytest.approx(want)


def test_processes_change_nothing(corpora, result):
    pd.testing.assert_frame_equal(result, compare(PIPELINES, corpora, n_jobs=2))


class Witness(MixedModalityRetriever):
    """Remembers each fit in a file."""

    def fit(self, X, y=None, *, modality=None):
        assert [x for x in y if x is None], "queries come without their relevance"
        assert all(x is None for x, m in zip(y, X.modality) if m.startswith("query:"))
        with open("fits.txt", "a") as file:
            file.write("fit\n")
        return super().fit(X, y, modality=modality)


@pytest.fixture
def n_fits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda: len((tmp_path / "fits.txt").read_text().split())


def test_relevance_is_never_fitted(corpora, n_fits):
    compare({"witness": Witness()}, corpora)
    assert n_fits() == 3


def test_a_comparison_goes_on_where_it_stopped(corpora, n_fits):
    first = compare({"a": Witness()}, {"one": corpora["one"]}, cache="kept")
    assert n_fits() == 1
    pipelines = {"a": Witness(), "b": Witness(20, fusion_weight=0.3)}
    both = compare(pipelines, corpora, cache="kept")
    assert n_fits() == 6  # two draws and one corpus twice, but for what was there
    again = compare(pipelines, corpora, cache="kept")
    assert n_fits() == 6
    pd.testing.assert_frame_equal(both, again)
    same = both[(both.pipeline == "a") & (both.corpus == "one")]
    pd.testing.assert_frame_equal(first, same)
    compare(pipelines, corpora, cache="kept", metric="recall@3")
    assert n_fits() == 12


def test_other_content_is_another_result(corpora, n_fits):
    corpus = corpora["one"]
    variants = [
        corpus,
        replace(corpus, queries=corpus.queries[::-1], teaching=corpus.queries),
        replace(corpus, teaching=corpus.queries[:9]),
        replace(corpus, relevance=[*corpus.relevance[1:], corpus.relevance[0]]),
        replace(corpus, told=True),
        replace(corpus, documents=corpus.documents[::-1], ids=corpus.ids[::-1]),
    ]
    for i, variant in enumerate(variants):
        compare({"a": Witness()}, {"x": variant}, cache="kept")
        assert n_fits() == i + 1


def test_a_broken_file_is_computed_again(corpora, n_fits, tmp_path):
    want = compare({"a": Witness()}, {"one": corpora["one"]}, cache="kept")
    (file,) = (tmp_path / "kept").iterdir()
    for content in (b"", b"no array", file.read_bytes()[:-5]):
        file.write_bytes(content)
        got = compare({"a": Witness()}, {"one": corpora["one"]}, cache="kept")
        pd.testing.assert_frame_equal(want, got)
    assert n_fits() == 4


def test_steps_are_fitted_on_the_calibration_rows(corpora):
    other = Corpus.from_rows(*make_mixed_modality(40, random_state=9))
    X, y = other.fitted_rows
    corpus = replace(corpora["one"], calibration=(X, y))
    remover = FrozenEstimator(ModalityGapRemover().fit(X))
    want = compare({"GR": make_pipeline(remover, RAW)}, {"one": corpora["one"]})
    got = compare({"GR": GR}, {"one": corpus})
    pd.testing.assert_frame_equal(want, got)
    # What is frozen stays so.
    frozen = compare(
        {"GR": make_pipeline(remover, RAW)}, {"one": replace(corpus, calibration=other.fitted_rows)}
    )
    pd.testing.assert_frame_equal(want, frozen)
    pd.testing.assert_frame_equal(
        compare({"raw": RAW}, {"one": corpus}), compare({"raw": RAW}, {"one": corpora["one"]})
    )


@pytest.mark.parametrize(
    "steps",
    [
        ["passthrough", RAW],
        [ModalityGapRemover(), "passthrough", RAW],
        [ModalityGapRemover(), make_pipeline("passthrough", RAW)],
    ],
    ids=str,
)
def test_steps_that_do_nothing_can_be_calibrated(corpora, steps):
    corpus = replace(corpora["one"], calibration=corpora["one"].fitted_rows)
    got = compare({"a": make_pipeline(*steps)}, {"one": corpus})
    want = compare({"a": RAW if steps[0] == "passthrough" else GR}, {"one": corpora["one"]})
    np.testing.assert_allclose(got["mean"], want["mean"])


def test_what_is_frozen_is_compared_as_it_is(corpora):
    corpus = corpora["one"]
    frozen = FrozenEstimator(clone(GR).fit(*corpus.fitted_rows))
    other = replace(corpus, calibration=corpora["two"][0].fitted_rows)
    got, want = (compare({"a": x}, {"one": y}) for x, y in ((frozen, other), (GR, corpus)))
    np.testing.assert_allclose(got["mean"], want["mean"])


def test_a_search_that_is_told_the_modality_is_the_ceiling(corpora):
    told = compare({"GR": GR}, {"one": replace(corpora["one"], told=True)})
    fitted = clone(GR).fit(*corpora["one"].fitted_rows)
    for name in ("text", "image", "image+text"):
        at = corpora["one"].answer_modality == name
        relevance = [x for x, chosen in zip(corpora["one"].relevance, at) if chosen]
        found = search(fitted, corpora["one"].queries[at], 10, document_modality=name)
        want = ndcg_at_k(relevance, found.ids).mean()
        assert told[told.answer_modality == name]["mean"].item() == pytest.approx(want)


def test_judged_queries_may_teach(corpora):
    corpus = replace(corpora["one"], teaching_relevance=corpora["one"].relevance)
    _, y = corpus.fitted_rows
    assert y == [*corpus.ids, *corpus.relevance]
    assert compare({"ours": make_search_pipeline()}, {"one": corpus})["mean"].iloc[0] > 0.5


def test_warnings_are_told_once_with_their_number(corpora):
    corpus = corpora["one"]
    few = replace(corpus, calibration=(corpus.documents[:20], corpus.ids[:20]))
    with pytest.warns(UserWarning, match="Few rows.*similarly 2 times") as caught:
        compare({"GR": GR}, {"x": [few, few]})
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_pixels_and_texts_are_encoded_on_the_way():
    pytest.importorskip("open_clip")
    scenes = make_scenes(40, random_state=0)
    text, asked = zip(*(captions[:2] for captions in scenes.captions))
    corpus = mixed_corpus(list(text), scenes.images, questions=list(asked), random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Few rows")
        result = compare({"ours": make_search_pipeline(CLIPEncoder("pocket"))}, {"scenes": corpus})
    assert result["mean"].iloc[0] > 0.5


def test_a_file_that_changed_is_another_content(tmp_path):
    pytest.importorskip("open_clip")
    scenes, paths = make_scenes(6, random_state=0), []
    for i, image in enumerate(scenes.images):
        paths.append(tmp_path / f"{i}.png")
        image.save(paths[-1])
    asked = [captions[0] for captions in scenes.captions]
    corpus = mixed_corpus(asked, paths, questions=asked, proportions={"image": 1})
    pipe, cache = make_pipeline(CLIPEncoder("pocket"), RAW), tmp_path / "kept"
    first = compare({"raw": pipe}, {"x": corpus}, cache=cache)
    for path, image in zip(paths, make_scenes(6, random_state=1).images):
        image.save(path)
    second = compare({"raw": pipe}, {"x": corpus}, cache=cache)
    assert (first.by_query["value"] != second.by_query["value"]).any()
    assert len(list(cache.iterdir())) == 2


def test_intervals_over_unrelated_corpora_do_not_depend_on_the_order_of_queries(corpora):
    corpus = corpora["one"]
    order = np.argsort(by_hand(RAW, corpus))
    pairs = []
    for some in (order, order[::-1]):
        other = replace(
            corpus,
            queries=corpus.queries[some],
            relevance=[corpus.relevance[i] for i in some],
            teaching=corpus.queries,
        )
        first = replace(other, queries=corpus.queries[order])
        first = replace(first, relevance=[corpus.relevance[i] for i in order])
        table = compare({"raw": RAW}, {"a": first, "b": other}).over_corpora()
        pairs.append((table["high"] - table["low"])[0])
    assert pairs[0] == pytest.approx(pairs[1], rel=0.1)


def test_the_same_items_in_several_corpora_are_resampled_together(corpora):
    corpus = corpora["one"]
    table = compare({"raw": RAW}, {"a": corpus, "b": corpus})
    columns = ["mean", "low", "high"]
    both = table.over_corpora(same_items=True)[columns]
    np.testing.assert_allclose(both, table.loc[table.corpus == "a", columns])
    apart = table.over_corpora()
    assert (apart["high"] - apart["low"])[0] < 0.8 * (both["high"] - both["low"])[0]


def test_methods_of_a_selection_are_of_the_selection(result):
    one = result[result.corpus == "one"]
    pd.testing.assert_frame_equal(
        one.over_corpora()[["pipeline", "answer_modality", "mean"]],
        pd.DataFrame(one)[["pipeline", "answer_modality", "mean"]].reset_index(drop=True),
    )
    gain = one[one.pipeline == "GR"].difference_to("raw")
    assert gain["pipeline"].unique().tolist() == ["GR"]
    assert gain["corpus"].unique().tolist() == ["one"]
    assert gain["mean"].iloc[0] > 0
    assert one.metric == "ndcg@10"


def test_tables_that_were_joined_or_renamed_have_no_differences(corpora, result):
    for joined in (pd.concat([result, result]), result.merge(result, on="pipeline")):
        with pytest.raises(ValueError, match="joined from others"):
            joined.difference_to("raw")
        with pytest.raises(ValueError, match="joined from others"):
            joined.over_corpora()
    for changed in (result.replace({"GR": "gap removed"}), result[["mean"]]):
        with pytest.raises(ValueError, match="changed or dropped"):
            changed.difference_to("raw")


def test_one_group_has_no_interval(corpora):
    corpus = corpora["one"]
    one = replace(corpus, groups=np.zeros(len(corpus.queries)))
    assert compare({"raw": RAW}, {"one": one})[["low", "high"]].isna().all(axis=None)


def test_an_error_says_where_it_was_raised(corpora):
    wrong = make_pipeline(AnchorAndScale(target="texts"), MixedModalityRetriever())
    with pytest.raises(ValueError, match="texts") as raised:
        compare({"raw": RAW, "wrong": wrong}, corpora)
    assert "'wrong'" in raised.value.__notes__[0]
    assert "'one'" in raised.value.__notes__[0]


def test_stock_steps_get_the_modality_where_metadata_is_routed(corpora):
    pipe = make_pipeline(PCA(20, random_state=0), ModalityGapRemover(), MixedModalityRetriever())
    corpus = corpora["one"]
    X, y = corpus.fitted_rows
    with sklearn.config_context(enable_metadata_routing=True):
        result = compare({"pca": pipe}, {"one": corpus})
        fitted = clone(pipe).fit(X, y, modality=X.modality)
    found = search(fitted, corpus.queries, 10)
    want = ndcg_at_k(corpus.relevance, found.ids).mean()
    assert result["mean"].iloc[0] == pytest.approx(want)


def test_searches_cannot_be_calibrated_elsewhere_in_silence(corpora):
    corpus = replace(corpora["one"], calibration=corpora["two"][0].fitted_rows)
    with pytest.raises(ValueError, match="for pipelines, not for a FusionWeightSearchCV"):
        compare({"tuned": FusionWeightSearchCV(GR, [0.5])}, {"one": corpus})
    with pytest.raises(ValueError, match="end in a retriever; 'tuned' is a Fusion"):
        compare({"tuned": FusionWeightSearchCV(GR, [0.5])}, {"one": corpus}, fusion_weights=[1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"a": []}, "'a' must be a Corpus"),
        ({"a": np.eye(2)}, "'a' must be a Corpus"),
        ({"a": (1, 2, 3)}, "'a' must be a Corpus"),
        ({None: "one"}, "None is no name"),
        ({("a", 1): "one"}, "is no name"),
    ],
)
def test_what_is_no_corpus_is_refused(corpora, wrong, message):
    wrong = {key: corpora["one"] if isinstance(x, str) else x for key, x in wrong.items()}
    with pytest.raises(ValueError, match=message):
        compare({"raw": RAW}, wrong)


def test_parameters_are_checked(corpora):
    for wrong in ({"random_state": None}, {"metric": 3}, {"n_jobs": "two"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            compare({"raw": RAW}, corpora, **wrong)
    with pytest.raises(ValueError, match="pipelines"):
        compare([RAW], corpora)


def test_weights_may_be_dicts(corpora):
    weights = [{"text": 1, "image": 2}, 0.5, 0.5]
    result = compare({"raw": RAW}, {"one": corpora["one"]}, fusion_weights=weights)
    assert result["fusion_weight"].unique().tolist() == ["{'text': 1, 'image': 2}", 0.5]


def test_what_cannot_be_pickled_cannot_be_kept(corpora, tmp_path):
    pipe = make_pipeline(FunctionTransformer(lambda X: X), MixedModalityRetriever())
    with pytest.raises(ValueError, match="cache= needs pipelines that can be pickled"):
        compare({"a": pipe}, {"one": corpora["one"]}, cache=tmp_path)


class Searching:
    """A retriever that can search and nothing else."""

    def __init__(self, retriever):
        self.retriever = retriever

    def get_params(self, deep=True):
        return {"retriever": self.retriever}

    def fit(self, X, y):
        self.retriever_ = clone(self.retriever).fit(X, y)
        return self

    def __sklearn_is_fitted__(self):
        return hasattr(self, "retriever_")

    def search(self, *args, **options):
        return self.retriever_.search(*args, **options)


def test_a_retriever_needs_a_search_only(corpora, result):
    own = compare({"raw": Searching(MixedModalityRetriever())}, {"one": corpora["one"]})
    want = result[(result.pipeline == "raw") & (result.corpus == "one")]
    np.testing.assert_allclose(own["mean"], want["mean"])


def test_nothing_to_compare_is_refused(corpora):
    with pytest.raises(ValueError, match="at least one pipeline"):
        compare({}, corpora)
    with pytest.raises(ValueError, match="at least one pipeline"):
        compare(PIPELINES, {})
    with pytest.raises(ValueError, match="'ndcg' is not a ranking metric"):
        compare(PIPELINES, corpora, metric="ndcg")


def test_the_reference_numbers_of_the_mixed_settings():
    """Within .002 of an independent implementation."""
    data = load_real("flickr8k_clip_vitb32.npz")
    corpora = [
        Corpus(documents, ids, queries, relevance)
        for documents, queries, ids, relevance, _ in mixed_corpora(data, *SETTINGS[0])
    ]
    paper = make_pipeline(ModalityGapRemover(shrinkage=0), RAW)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Few rows")
        result = compare({"raw": RAW, "GR": paper}, {"1:1:1": corpora})
    mean = result.pivot(index="answer_modality", columns="pipeline", values="mean")
    assert mean.loc["all", "raw"] == pytest.approx(0.5773, abs=0.002)
    assert mean.loc["all", "GR"] == pytest.approx(0.8956, abs=0.002)
    assert mean.loc["text", "GR"] == pytest.approx(0.9445, abs=0.002)
    assert mean.loc["image", "GR"] == pytest.approx(0.7762, abs=0.002)
    assert mean.loc["image+text", "GR"] == pytest.approx(0.9654, abs=0.002)


def test_groups_of_any_type_are_resampled(corpora):
    corpus = corpora["one"]
    groups = [f"g{i}" if i % 2 else i for i in range(len(corpus.queries))]
    mixed = {"a": replace(corpus, groups=groups), "b": corpus}
    assert compare({"raw": RAW}, mixed).over_corpora(same_items=True)["low"].notna().all()
