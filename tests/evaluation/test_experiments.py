from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover
from gapremoval.calibration import OrthogonalAligner
from gapremoval.datasets import make_mixed_modality
from gapremoval.evaluation import (
    Corpus,
    compare,
    compare_calibrations,
    compare_mixes,
    mixed_corpus,
    noisy_queries,
    sag,
    sweep_calibration_size,
    sweep_fusion_weight,
    sweep_image_share,
    sweep_query_noise,
    sweep_teaching_size,
)

# Some corpora hold few documents of a modality, on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")

RAW = MixedModalityRetriever()
GR = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
PIPELINES = {"raw": RAW, "GR": GR}


@pytest.fixture(scope="module")
def items():
    """Rows of items: texts, images and questions, with a gap."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(40, 24))
    text, image, questions = (
        shared + 0.4 * rng.normal(size=shared.shape) + gap for gap in (3, -3, 3)
    )
    return text, image, questions


@pytest.fixture(scope="module")
def corpora():
    return {"drawn": Corpus.from_rows(*make_mixed_modality(60, random_state=0))}


def every(comparison):
    return comparison[comparison["answer_modality"] == "all"]


class Indexed(MixedModalityRetriever):
    """Notes which documents are images."""

    def fit(self, X, y=None, *, modality=None):
        images = sorted(i for i, m in zip(y, X.modality) if m == "image")
        with open("images.txt", "a") as file:
            file.write(f"{images}\n")
        return super().fit(X, y, modality=modality)


def test_images_of_a_share_stay_images_in_all_higher_ones(items, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, image, questions = items
    shares = [0, 0.25, 0.5, 1]
    sweep_image_share({"a": Indexed()}, text, image, questions=questions, shares=shares, n_draws=2)
    indexed = [eval(line) for line in (tmp_path / "images.txt").read_text().splitlines()]
    draws = indexed[::2], indexed[1::2]
    for draw in draws:
        assert [len(images) for images in draw] == [0, 10, 20, 40]
        assert all(set(a) <= set(b) for a, b in pairwise(draw))
    assert draws[0][1] != draws[1][1]


def test_the_ends_of_setting_1_are_corpora_of_one_modality(items):
    text, image, questions = items
    result = every(sweep_image_share(PIPELINES, text, image, questions=questions, n_draws=1))
    for share, kind in ((0, "text"), (1, "image")):
        corpus = mixed_corpus(text, image, questions=questions, proportions={kind: 1})
        want = every(compare(PIPELINES, {"x": corpus}))
        got = result[result.image_share == share]
        columns = ["mean", "low", "high"]
        np.testing.assert_allclose(got[columns], want[columns])


def test_the_gap_makes_the_curve_sag():
    table = pd.DataFrame(
        {
            "pipeline": ["a"] * 3 + ["b"] * 3,
            "image_share": [1, 0, 0.5, 0, 0.5, 1],
            "answer_modality": "all",
            "mean": [0.8, 0.6, 0.35, 0.5, 0.9, 0.7],
        }
    )
    got = sag(table)
    assert got.index.tolist() == ["a", "b"]
    np.testing.assert_allclose(got, [1 - 0.35 / 0.7, 1 - 0.5 / 0.6])


def test_setting_2_sweeps_the_weight_of_documents_of_two_parts(items):
    text, image, questions = items
    result = every(
        sweep_fusion_weight(PIPELINES, text, image, questions=questions, fusion_weights=[0, 0.3])
    )
    for weight, parts in ((0, {"image": 1}), (0.3, {"image+text": 1})):
        corpus = mixed_corpus(text, image, questions=questions, proportions=parts)
        pipelines = {"raw": MixedModalityRetriever(fusion_weight=weight)}
        want = every(compare(pipelines, {"x": corpus}))["mean"].item()
        got = result[(result.fusion_weight == weight) & (result.pipeline == "raw")]
        assert got["mean"].item() == pytest.approx(want)


def test_setting_3_takes_any_mix(items):
    text, image, questions = items
    asked = {"questions": questions, "n_draws": 2, "extra_images": image[:5] + 1}
    result = compare_mixes(PIPELINES, text, image, mixes=["1:1:1", "1:3:0"], **asked)
    assert result["corpus"].unique().tolist() == ["1:1:1", "1:3:0"]
    shares = {"x": {"text": 1, "image": 3}}
    named = compare_mixes(PIPELINES, text, image, mixes=shares, **asked)
    some = result[result.corpus == "1:3:0"]
    np.testing.assert_allclose(named["mean"], some["mean"])
    for wrong in ("1:1", "a:b:c", 3):
        with pytest.raises(ValueError, match="three numbers"):
            compare_mixes(PIPELINES, text, image, mixes=[wrong], questions=questions)


def test_few_rows_calibrate_and_all_rows_are_the_last(corpora):
    result = every(sweep_calibration_size(PIPELINES, corpora, sizes=[16, 1000], n_draws=2))
    most = max(Counter(corpora["drawn"].fitted_rows[0].modality).values())
    assert result["n_rows"].unique().tolist() == [16, most]
    mean = result.pivot(index="n_rows", columns="pipeline", values="mean")
    assert mean["raw"].nunique() == 1
    own = every(compare(PIPELINES, corpora)).set_index("pipeline")["mean"]
    assert mean.loc[most, "GR"] == pytest.approx(own["GR"])
    assert mean.loc[16, "GR"] != own["GR"]


def test_rows_without_ids_are_drawn_at_random(corpora):
    corpus = replace(corpora["drawn"], calibration=(corpora["drawn"].documents, None))
    result = sweep_calibration_size({"GR": GR}, {"x": corpus}, sizes=[8], n_draws=2)
    means = result.by_query.query("n_rows == 8").groupby("draw")["value"].mean()
    assert means.nunique() == 2


def test_few_rows_hold_whole_documents(corpora):
    aligner = make_pipeline(OrthogonalAligner(), MixedModalityRetriever())
    result = every(sweep_calibration_size({"aligned": aligner}, corpora, sizes=[8], n_draws=2))
    assert len(result) == 2
    with pytest.raises(ValueError, match="integers of at least 1; got -1"):
        sweep_calibration_size({"GR": GR}, corpora, sizes=[-1])


def test_calibration_rows_may_come_from_another_domain(corpora):
    X, y = make_mixed_modality(80, random_state=5)
    others = {"elsewhere": (X, y)}
    result = every(compare_calibrations({"GR": GR}, corpora, others=others))
    mean = result.set_index("calibration")["mean"]
    assert mean.index.tolist() == ["own", "own, without queries", "elsewhere"]
    corpus = corpora["drawn"]
    for name, calibration in (
        ("own, without queries", (corpus.documents, corpus.ids)),
        ("elsewhere", (X, y)),
    ):
        want = compare({"GR": GR}, {"x": replace(corpus, calibration=calibration)})
        assert mean[name] == every(want)["mean"].item()
    sizes = sweep_calibration_size({"GR": GR}, corpora, sizes=[1000], calibration=(X, y), n_draws=1)
    np.testing.assert_allclose(every(sizes)["mean"], mean["elsewhere"])


def test_few_queries_teach(corpora):
    result = every(sweep_teaching_size({"GR": GR}, corpora, sizes=[0, 1000], n_draws=1))
    corpus = corpora["drawn"]
    none = EmbeddingArray.concatenate([corpus.queries])[:0]
    want = compare({"GR": GR}, {"none": replace(corpus, teaching=none), "all": corpus})
    np.testing.assert_allclose(result["mean"], every(want)["mean"])


def test_noise_is_in_the_queries_that_are_asked_only(corpora):
    result = every(sweep_query_noise({"GR": GR}, corpora, amounts=[0, 2], n_draws=1))
    corpus = corpora["drawn"]
    seed = np.random.default_rng(0).integers(2**31)
    noisy = noisy_queries(corpus.queries, 2, random_state=int(seed))
    asked = replace(corpus, queries=noisy, teaching=corpus.queries)
    want = every(compare({"GR": GR}, {"clean": corpus, "noisy": asked}))
    np.testing.assert_allclose(result["mean"], want["mean"])
    assert result["mean"].iloc[1] < result["mean"].iloc[0]


def test_draws_of_a_corpus_vary_in_turn(corpora):
    two = [corpora["drawn"], Corpus.from_rows(*make_mixed_modality(40, random_state=1))]
    result = sweep_teaching_size({"raw": RAW}, {"x": two}, sizes=[8, np.inf], n_draws=3)
    n = [len(corpus.queries) for corpus in two]
    assert every(result)["n_queries"].tolist() == [2 * n[0] + n[1], n[0] + n[1]]


def test_a_corpus_with_judged_queries_teaches_without_their_relevance(corpora):
    corpus = corpora["drawn"]
    judged = replace(corpus, teaching_relevance=corpus.relevance)
    got, want = (sweep_teaching_size({"GR": GR}, {"x": x}, sizes=[8]) for x in (judged, corpus))
    pd.testing.assert_frame_equal(got, want)


def test_own_rows_are_those_that_a_corpus_is_calibrated_on(corpora):
    X, y = make_mixed_modality(80, random_state=5)
    calibrated = {"x": replace(corpora["drawn"], calibration=(X, y))}
    want = every(compare({"GR": GR}, calibrated))["mean"].item()
    own = every(compare_calibrations({"GR": GR}, calibrated))["mean"].iloc[0]
    last = every(sweep_calibration_size({"GR": GR}, calibrated, sizes=[8]))["mean"].iloc[-1]
    assert own == pytest.approx(want)
    assert last == pytest.approx(want)


@pytest.mark.parametrize("shares", [[50], [-0.1], [np.nan]])
def test_shares_beyond_all_are_refused(items, shares):
    text, image, questions = items
    with pytest.raises(ValueError, match="between 0 and 1"):
        sweep_image_share(PIPELINES, text, image, questions=questions, shares=shares)


def test_seeds_and_numbers_of_draws_are_integers(items):
    text, image, questions = items
    for wrong in ({"n_draws": 0}, {"random_state": None}, {"n_draws": 1.5}):
        with pytest.raises(ValueError, match="must be an integer"):
            sweep_image_share(PIPELINES, text, image, questions=questions, **wrong)


def test_a_curve_without_shares_does_not_sag(corpora):
    with pytest.raises(ValueError, match="sweep_image_share"):
        sag(compare({"raw": RAW}, corpora))
