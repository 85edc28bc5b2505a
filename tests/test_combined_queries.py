"""Combined queries: the parts are corrected first, and then weighted and summed."""

import warnings
from dataclasses import replace
from itertools import permutations

import array_api_strict as xp
import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from recolored_scenes import OTHER_WORDS, recolored_scenes
from scipy.stats import ortho_group
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from gapremoval import (
    CLIPEncoder,
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    Tagged,
    add_documents,
    combine_queries,
    make_ranking_scorer,
    make_search_pipeline,
    search,
    teach,
)
from gapremoval._items import contents_of
from gapremoval.encoders import EncodingError
from gapremoval.evaluation import Corpus, compare
from gapremoval.inspection import results_page


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@st.composite
def weighted_parts(draw):
    """Rows of one query's parts, and weights of which the first is positive."""
    n_parts, seed = draw(st.integers(1, 6)), draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    modality = draw(
        st.lists(
            st.sampled_from(["text", "query:text", "query:image", "query:caption+text"]),
            min_size=n_parts,
            max_size=n_parts,
        )
    )
    # So large that the sum cannot be zero.
    weights = draw(hnp.arrays(float, n_parts, elements=st.floats(-1, 1, width=16)))
    weights[0] = 1 + np.abs(weights).sum()
    lengths = draw(hnp.arrays(float, n_parts, elements=st.floats(1e-3, 1e3)))
    rows = lengths[:, None] * unit(rng.normal(size=(n_parts, 8)))
    return EmbeddingArray(rows, modality), weights


@given(weighted_parts())
def test_the_result_is_the_weighted_sum_of_unit_rows_with_unit_length(parts):
    X, weights = parts
    found = combine_queries(X, weights)
    np.testing.assert_allclose(found.values, [unit(weights @ unit(X.values))], atol=1e-12)
    seen = {x for name in X.modality[weights != 0] for x in name.removeprefix("query:").split("+")}
    assert found.modality.tolist() == ["query:" + "+".join(sorted(seen))]


@given(weighted_parts(), st.floats(1e-300, 1e300))
def test_only_the_ratios_of_weights_matter(parts, factor):
    X, weights = parts
    found = combine_queries(X, weights * factor)
    np.testing.assert_allclose(found.values, combine_queries(X, weights).values, atol=1e-12)


@given(weighted_parts(), st.randoms(use_true_random=False))
def test_the_order_of_parts_does_not_matter(parts, random):
    X, weights = parts
    order = random.sample(range(len(X)), len(X))
    found, want = combine_queries(X[order], weights[order]), combine_queries(X, weights)
    np.testing.assert_allclose(found.values, want.values, atol=1e-12)
    assert found.modality.tolist() == want.modality.tolist()


@given(weighted_parts(), st.integers(0, 99))
def test_rotated_parts_give_the_rotated_query(parts, seed):
    X, weights = parts
    rotation = ortho_group.rvs(X.shape[1], random_state=seed)
    turned = EmbeddingArray(X.values @ rotation, X.modality)
    want = combine_queries(X, weights).values @ rotation
    np.testing.assert_allclose(combine_queries(turned, weights).values, want, atol=1e-12)


@given(weighted_parts(), st.floats(0.1, 10))
def test_what_is_added_and_subtracted_changes_nothing_but_the_tag(parts, weight):
    X, weights = parts
    other = EmbeddingArray(np.eye(8)[:1], "query:audio")
    both = EmbeddingArray.concatenate([other, X, other])
    found = combine_queries(both, [weight, *weights, -weight])
    np.testing.assert_allclose(found.values, combine_queries(X, weights).values, atol=1e-12)
    left_out = combine_queries(both, [0, *weights, 0])
    np.testing.assert_allclose(left_out.values, found.values, atol=1e-12)
    assert left_out.modality.tolist() == combine_queries(X, weights).modality.tolist()


@given(weighted_parts(), weighted_parts(), st.randoms(use_true_random=False))
def test_queries_are_combined_apart_in_the_order_of_their_first_parts(one, other, random):
    X = EmbeddingArray.concatenate([one[0], other[0]])
    weights, names = np.concatenate([one[1], other[1]]), ["a"] * len(one[0]) + ["b"] * len(other[0])
    order = random.sample(range(len(X)), len(X))
    found = combine_queries(X[order], weights[order], [names[i] for i in order])
    want = [combine_queries(*parts) for parts in (one, other)]
    if names[order[0]] == "b":
        want.reverse()
    want = EmbeddingArray.concatenate(want)
    np.testing.assert_allclose(found.values, want.values, atol=1e-12)
    assert found.modality.tolist() == want.modality.tolist()


@pytest.mark.parametrize(
    ("weights", "queries", "reason"),
    [
        ([1, 1], None, "3 finite numbers"),
        ([1, 1, np.nan], None, "finite"),
        ([1, 1, np.inf], None, "finite"),
        ([0, -1, 0], None, "no part with a weight above 0"),
        ([1, 1, 0], ["a", "a", "b"], "Query 'b' has no part"),
        (None, ["a", "b"], "queries must name the query of each of 3 parts"),
        (None, ["a", "b", None], "queries must name"),
        ([1, 0, -1], None, "query 0 cancel out"),
        (None, ["a", "b", "a"], "part of query 'b' has length zero"),
    ],
)
def test_what_cannot_be_combined_is_refused(weights, queries, reason):
    X = EmbeddingArray([[1.0, 2.0], [0.0, 0.0], [2.0, 4.0]], "query:text")
    with pytest.raises(ValueError, match=reason):
        combine_queries(X, weights, queries)


def test_only_tagged_rows_without_nan_are_combined():
    with pytest.raises(TypeError, match="takes an EmbeddingArray; got a ndarray"):
        combine_queries(np.eye(2))
    with pytest.raises(ValueError, match="no rows"):
        combine_queries(EmbeddingArray(np.eye(2)[:0], "query:text"))
    with pytest.raises(ValueError, match="NaN in row 1"):
        combine_queries(EmbeddingArray([[1, 0], [np.nan, 0]], "query:text"))


def test_parts_that_are_equal_up_to_rounding_cancel_out():
    rows = np.float32([[1, 2, 3], [1 + 1e-7, 2, 3]])
    with pytest.raises(ValueError, match="cancel out"):
        combine_queries(EmbeddingArray(rows, "query:text"), [1, -1])


@pytest.mark.parametrize("column", [list, np.array, pd.Series, xp.asarray])
def test_weights_and_numbers_of_queries_may_come_in_any_column(column):
    X = EmbeddingArray(np.random.default_rng(0).normal(size=(4, 3)), "query:text")
    weights, queries = [1.0, 2.0, -0.5, 1.0], [7, 3, 7, 3]
    want = combine_queries(X, weights, queries)
    found = combine_queries(X, column(weights), column(queries))
    np.testing.assert_array_equal(found.values, want.values)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_tensors_stay_tensors_of_their_dtype_on_their_device(dtype, device):
    torch = pytest.importorskip("torch")
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    dtype = getattr(torch, dtype)
    rows = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=dtype, device=device)
    found = combine_queries(EmbeddingArray(rows, "query:text"), [2, -1])
    assert (found.dtype, found.values.device) == (rows.dtype, rows.device)
    want = combine_queries(EmbeddingArray([[1.0, 2.0], [3.0, -1.0]], "query:text"), [2, -1])
    np.testing.assert_allclose(found.to_host().values, want.values, atol=0.01)


def test_integers_become_floats_and_the_encoder_stays():
    X = EmbeddingArray([[3, 4], [4, 3]], "query:text", encoder="clip @ 1")
    found = combine_queries(X)
    assert (found.dtype, found.encoder) == (np.float64, "clip @ 1")
    np.testing.assert_allclose(found.values, [[0.5**0.5, 0.5**0.5]])


# With a pipeline


class Drawn(TransformerMixin, BaseEstimator):
    """An encoder of numbers: 7.0 as a text "7", or a picture whose pixels are 7.

    All rows of a modality are far from those of the other.
    """

    def fit(self, X, y=None):
        return self

    def transform(self, items):
        self.n_calls_ = getattr(self, "n_calls_", 0) + 1
        rows, names = [], []
        for item in items:
            (content,) = contents_of(item)
            is_text = isinstance(content, str)
            number = int(content) if is_text else int(content[0, 0, 0])
            row = np.random.default_rng(number).normal(size=16)
            rows.append(row + 9 * np.eye(16)[int(is_text)])
            names.append("query:" * isinstance(item, Query) + ("text" if is_text else "image"))
        return EmbeddingArray(np.array(rows, np.float32), names, encoder="drawn @ 1")


def picture(number):
    return np.full((2, 2, 3), number, dtype=np.uint8)


DOCUMENTS = [*map(str, range(40)), *map(picture, range(100, 140))]
IDS = np.arange(80)
ASKED = [Query(str(n)) for n in range(200, 240)]
PHOTO_AND_WORD = Query(text="3", image=picture(105), weights={"text": 0.4, "image": 0.6})
DIFFERENCE = Query(add=["3", picture(105)], subtract="4", weights=[1, 2, 0.5])
TEXTS = Query(add=["3", "5"])


def make_pipe(*steps, calibrated=False):
    last = make_search_pipeline()[-1] if calibrated else MixedModalityRetriever()
    pipe = make_pipeline(Drawn(), *steps, last)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No query has been seen")
        return pipe.fit([*DOCUMENTS, *ASKED], [*IDS, *[None] * len(ASKED)])


@pytest.fixture(scope="module")
def pipe():
    return make_pipe(ModalityGapRemover())


@pytest.fixture
def calibrated():
    return make_pipe(ModalityGapRemover(), calibrated=True)


def assert_same(found, want):
    assert found.ids.tolist() == want.ids.tolist()
    np.testing.assert_allclose(found.scores, want.scores, atol=1e-6)


def test_a_search_subtracts_the_mean_of_each_parts_own_modality_first(pipe):
    centers = pipe[1].centers_
    means = {"text": centers["query:text"], "image": centers["image"]}

    def corrected(item):
        row = pipe[0].transform([item])
        return unit(unit(row.values[0].astype(float)) - means[row.modality[0]])

    text, image, other = map(corrected, ["3", picture(105), "4"])
    rows = [0.4 * text + 0.6 * image, text + 2 * image - 0.5 * other]
    want = search(pipe[-1], EmbeddingArray(rows, "query:image+text"), 20)
    assert_same(search(pipe, [PHOTO_AND_WORD, DIFFERENCE], 20), want)
    row = corrected("3") + corrected("5")
    want = search(pipe[-1], EmbeddingArray([row], "query:text"), 20)
    assert_same(search(pipe, TEXTS, 20), want)


def test_embeddings_alone_are_combined_alike(pipe):
    parts = pipe[0].transform([Query("3"), Query(picture(105)), Query("4")])
    query = combine_queries(pipe[1].transform(parts), [1, 2, -0.5])
    assert_same(search(pipe[-1], query, 20), search(pipe, DIFFERENCE, 20))
    with pytest.raises(ValueError, match="were already transformed"):
        search(pipe[1:], query)


def test_a_query_of_one_part_with_any_weight_is_the_plain_query(pipe):
    for query, plain in (
        (Query(text="3", weights={"text": 7}), "3"),
        (Query(text="3", image=picture(0), weights={"text": 0.1, "image": 0}), "3"),
        (Query(add=[picture(105), "3"], weights=[2, 0]), picture(105)),
        (Query(add=Tagged("3", "text")), Query("3")),
    ):
        assert_same(search(pipe, query, 20), search(pipe, plain, 20))


def test_plain_queries_are_answered_as_ever_beside_combined_ones(pipe):
    plain = [Query("3"), Query(picture(105)), Query(text="5"), Query("7")]
    alone = search(pipe, plain, 20)
    mixed = [plain[0], TEXTS, plain[1], plain[2], DIFFERENCE, PHOTO_AND_WORD, plain[3]]
    calls = pipe[0].n_calls_
    found = search(pipe, mixed, 20)
    assert pipe[0].n_calls_ == calls + 1
    at = [0, 2, 3, 6]
    assert (found.ids[at] == alone.ids).all()
    assert (found.scores[at] == alone.scores).all()
    for i, query in ((1, TEXTS), (4, DIFFERENCE), (5, PHOTO_AND_WORD)):
        assert_same(found[i], search(pipe, query, 20))


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_parts_may_be_named_in_any_order(pipe, order):
    parts, weights = ["3", picture(105), "9"], [0.5, 1, 0.25]
    query = Query(add=[parts[i] for i in order], weights=[weights[i] for i in order])
    assert_same(search(pipe, query, 9), search(pipe, Query(add=parts, weights=weights), 9))


def test_without_a_correction_raw_rows_are_combined():
    pipe = make_pipe()
    text, image = pipe[0].transform(["3", picture(105)]).values
    query = EmbeddingArray([0.4 * unit(text) + 0.6 * unit(image)], "query:image+text")
    assert_same(search(pipe, PHOTO_AND_WORD, 20), search(pipe[-1], query, 20))


def test_stock_steps_that_return_bare_arrays_come_before_the_combination(pipe):
    rotation = FunctionTransformer(lambda X: np.asarray(X) @ np.eye(16)[::-1, :9])
    after = make_pipeline(*pipe[:-1], rotation, MixedModalityRetriever())
    with sklearn.config_context(enable_metadata_routing=True):
        modality = pipe[0].transform(DOCUMENTS).modality
        after.fit(DOCUMENTS, IDS, modality=modality)
    parts = after[:-1].transform([Query("3"), Query(picture(105))])
    query = EmbeddingArray([0.4 * unit(parts[0]) + 0.6 * unit(parts[1])], "query:image+text")
    assert_same(search(after, PHOTO_AND_WORD, 20), search(after[-1], query, 20))


def test_a_query_that_vanishes_is_an_error_that_names_it(pipe):
    with pytest.raises(ValueError, match="parts of query 1 cancel out"):
        search(pipe, ["3", Query(add="3", subtract="3"), TEXTS])


def test_fit_and_predict_refuse_combined_queries():
    pytest.importorskip("PIL")
    encoder = CLIPEncoder("pocket")
    for query in (PHOTO_AND_WORD, TEXTS):
        with pytest.raises(ValueError, match=r"row 1: .*neither fit nor predict .*search\("):
            encoder.transform(["a", query])


def test_a_pipeline_without_an_encoder_says_that_it_needs_one(pipe):
    for estimator in (pipe[1:], pipe[-1]):
        with pytest.raises(ValueError, match="put an encoder before it"):
            search(estimator, PHOTO_AND_WORD)


def test_teaching_combined_queries_teaches_their_modality(calibrated):
    shares = calibrated[-1].score_calibration_.answer_share_
    assert "query:image+text" not in shares
    numbers = range(30)
    queries = [
        Query(add=[picture(100 + n), str(n)], subtract=str(n + 1), weights=[3, 1, 1])
        for n in numbers
    ]
    teach(calibrated, queries, [40 + n for n in numbers])
    shares = calibrated[-1].score_calibration_.answer_share_
    assert shares["query:image+text"]["image"] > 0.9
    teach(calibrated, DIFFERENCE, 45)
    assert np.isfinite(search(calibrated, DIFFERENCE, 5).probabilities).all()


def test_scorers_and_comparisons_search_with_combined_queries(pipe):
    queries = [Query(add=[picture(100 + n), str(n)], weights=[3, 1]) for n in range(10)]
    answers = [40 + n for n in range(10)]
    assert make_ranking_scorer("recall@1")(pipe, queries, answers) == 1
    corpus = Corpus(DOCUMENTS, IDS, queries, answers, teaching=ASKED)
    assert set(corpus.answer_modality) == {"image"}
    unfitted = make_pipeline(Drawn(), ModalityGapRemover(), MixedModalityRetriever())
    assert (compare({"GR": unfitted}, {"drawn": corpus}, metric="recall@1")["mean"] == 1).all()


def test_a_comparison_is_computed_anew_for_other_weights(tmp_path):
    unfitted = make_pipeline(Drawn(), ModalityGapRemover(), MixedModalityRetriever())
    corpus = Corpus(DOCUMENTS, IDS, [PHOTO_AND_WORD], [45], teaching=ASKED)
    compare({"GR": unfitted}, {"drawn": corpus}, cache=tmp_path)
    other = Query(text="3", image=picture(105), weights={"text": 1, "image": 0.6})
    compare({"GR": unfitted}, {"drawn": replace(corpus, queries=[other])}, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_results_page_shows_the_parts_and_their_weights(pipe):
    pytest.importorskip("jinja2")
    pytest.importorskip("PIL.Image")
    queries = [Query(add=["a lake", picture(105)], subtract="people", weights=[1, 0.25, 2]), "5"]
    page = results_page(queries, search(pipe, [DIFFERENCE, "5"], 2), {})
    times = "\N{MULTIPLICATION SIGN}</span>"
    for shown in (f"+1 {times} a lake", f"+0.25 {times}", f"-2 {times} people"):
        assert shown in page
    assert (page.count("<img"), page.count(times)) == (1, 3)


# On drawn scenes: benchmarks/combined_queries.py has the figures of more of them


SENTENCE = "a large {} circle in the centre on a plain grey background"


def recall_at_1(scenes, asked, *steps, log=()):
    """How often the scene in the color asked for is found: where it is a picture, and a caption."""
    pipe = make_pipeline(CLIPEncoder("pocket", device="cpu"), *steps, MixedModalityRetriever(1))
    pipe.fit([*scenes.documents, *log], [*scenes.ids, *[None] * len(log)])
    hits = search(pipe, asked).ids == np.array(scenes.answers, dtype=object)[:, None]
    return [hits[at].mean() for at in (scenes.is_picture, ~scenes.is_picture)]


def test_this_scene_but_red_is_found_more_often_after_the_correction():
    pytest.importorskip("open_clip")
    scenes = recolored_scenes(60, seed=0)

    def changed(text):
        return [
            Query(add=[picture, text(SENTENCE.format(new))])
            for picture, new in zip(scenes.pictures, scenes.new)
        ]

    raw = recall_at_1(scenes, changed(str))
    log = [Query(Tagged(SENTENCE.format(word), "change")) for word in OTHER_WORDS]
    asked = changed(lambda text: Tagged(text, "change"))
    corrected = recall_at_1(scenes, asked, ModalityGapRemover(), log=log)
    assert corrected[0] > raw[0] + 0.25
    assert raw[1] == 0
    assert corrected[1] > 0.7


def test_with_the_old_color_subtracted_it_is_found_without_a_log_of_queries():
    pytest.importorskip("open_clip")
    scenes = recolored_scenes(60, seed=0)
    asked = [
        Query(add=[picture, SENTENCE.format(new)], subtract=SENTENCE.format(old))
        for picture, new, old in zip(scenes.pictures, scenes.new, scenes.old)
    ]
    raw, corrected = (recall_at_1(scenes, asked, *x) for x in ([], [ModalityGapRemover()]))
    # The difference of two texts has no gap, so pictures are found as well without a correction.
    assert raw[0] > 0.8
    assert raw[1] == 0
    assert min(corrected) > 0.8


def test_what_cannot_be_encoded_is_told_by_item_beside_combined_queries(tmp_path):
    pytest.importorskip("open_clip")
    captions = [f"a red circle at {place}" for place in range(20)]
    pipe = make_search_pipeline(CLIPEncoder("pocket", device="cpu")).fit(captions, range(20))
    combined = Query(add=["a red circle", "a blue circle"], subtract="a green circle")
    items = [combined, "a star", tmp_path / "gone.png", "a square"]
    with pytest.raises(EncodingError, match=r"row 2 \(.*gone.png'\): no such") as raised:
        add_documents(pipe, items, [None, "d1", "d2", "d3"])
    error = raised.value
    assert (error.rows.tolist(), error.reasons) == ([1, 3], {2: "no such file"})
    want = CLIPEncoder("pocket", device="cpu").transform(["a star", "a square"])
    np.testing.assert_allclose(error.embeddings.values, want.values, atol=1e-6)
    assert pipe[-1].n_documents_ == 20


def test_combined_queries_may_stand_in_a_tuple_or_an_array():
    pytest.importorskip("open_clip")
    captions = [f"a red circle at {place}" for place in range(20)]
    pipe = make_search_pipeline(CLIPEncoder("pocket", device="cpu")).fit(captions, range(20))
    asked = [Query(add=["a red circle", "a star"]), Query("a square")]
    array = np.empty(2, dtype=object)
    array[:] = asked
    score = make_ranking_scorer("ndcg@10")
    want = score(pipe, asked, [1, 2])
    assert score(pipe, tuple(asked), [1, 2]) == score(pipe, array, [1, 2]) == want
