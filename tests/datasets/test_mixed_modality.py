import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.datasets import make_mixed_modality

DEFAULTS = {
    "pair_cosine": 0.31,
    "pair_cosine_within": 0.77,
    "cosine_within": 0.52,
    "cosine_across": 0.16,
    "deviation_within": 0.15,
    "deviation_across": 0.09,
}

seeds = st.integers(0, 2**32 - 1)
modality_names = st.sampled_from(["audio", "image", "text", "video"])
kinds = st.sets(modality_names, min_size=1, max_size=3).map(lambda parts: "+".join(sorted(parts)))


@st.composite
def feasible_statistics(draw):
    """Statistics that some rows in 256 features have, whatever three modalities they are."""
    within = draw(st.floats(0.05, 0.8))
    across = draw(st.floats(-0.3 * within, within))
    pair = draw(st.floats(0.0, 0.45))
    own = draw(st.floats(0.0, 0.4))
    deviation_across = draw(st.floats(0.09, 0.2))
    return {
        "pair_cosine": across + (1 - within) * pair,
        "pair_cosine_within": within + (1 - within) * (pair + own),
        "cosine_within": within,
        "cosine_across": across,
        "deviation_within": deviation_across * draw(st.floats(1.3, 1.5)),
        "deviation_across": deviation_across,
    }


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def rows_of(X, tag):
    return X.values[X.modality == tag].astype(np.float64)


def measure(X, modalities):
    """The statistics of a corpus whose items are documents and queries of all modalities.

    Averages over the modalities and the pairs of modalities.
    """
    found = {name: [] for name in [*DEFAULTS, "gap"]}
    different = ~np.eye((X.modality == modalities[0]).sum(), dtype=bool)
    for a in modalities:
        rows, queries = rows_of(X, a), rows_of(X, f"query:{a}")
        found["pair_cosine_within"].append(np.mean(np.sum(rows * queries, axis=1)))
        for b in modalities:
            others = rows_of(X, b)
            where = "within" if a == b else "across"
            found[f"cosine_{where}"].append((rows @ others.T)[different].mean())
            centred = unit(rows - rows.mean(axis=0)) @ unit(others - others.mean(axis=0)).T
            found[f"deviation_{where}"].append(centred[different].std())
            if a != b:
                found["pair_cosine"].append(np.mean(np.sum(rows * others, axis=1)))
                found["gap"].append(np.linalg.norm(rows.mean(axis=0) - others.mean(axis=0)))
    return {name: np.mean(values) for name, values in found.items()}


def make_all_pairs(n_items, modalities, **parameters):
    return make_mixed_modality(
        n_items,
        proportions={"+".join(modalities): 1},
        queries=dict.fromkeys(modalities, 1),
        **parameters,
    )


@settings(max_examples=30, deadline=None)
@given(
    feasible_statistics(), st.sampled_from([["image", "text"], ["audio", "image", "text"]]), seeds
)
def test_every_requested_statistic_comes_out(statistics, modalities, seed):
    n = 500
    X, _ = make_all_pairs(n, modalities, n_features=256, random_state=seed, **statistics)
    found = measure(X, modalities)
    # About three times the worst that was seen in thousands of draws.
    scale = 1 - statistics["cosine_within"]
    for name in ("pair_cosine", "pair_cosine_within"):
        assert found[name] == pytest.approx(statistics[name], abs=2 * scale / np.sqrt(n))
    for name in ("cosine_within", "cosine_across"):
        assert found[name] == pytest.approx(statistics[name], abs=3 * scale / n)
    for name in ("deviation_within", "deviation_across"):
        assert found[name] == pytest.approx(statistics[name], rel=0.07)
    squared_gap = 2 * (statistics["cosine_within"] - statistics["cosine_across"])
    assert found["gap"] ** 2 == pytest.approx(squared_gap, abs=15 * scale / n)


@given(st.dictionaries(kinds, st.integers(0, 9), min_size=1), st.integers(1, 60), seeds)
def test_items_are_split_by_largest_remainder(proportions, n_items, seed):
    if not any(proportions.values()):
        proportions = {**proportions, "text": 1}
    X, y = make_mixed_modality(
        n_items, proportions=proportions, queries={}, n_features=128, random_state=seed
    )
    parts = {}
    for name, tag in zip(y, X.modality):
        parts.setdefault(name, []).append(str(tag))
    found = ["+".join(tags) for tags in parts.values()]
    assert len(found) == n_items
    total = sum(proportions.values())
    short, full = [], []
    for kind, share in proportions.items():
        quota = n_items * share / total
        assert found.count(kind) in (int(quota), int(quota) + 1)
        (full if found.count(kind) > quota else short).append(quota % 1)
    # Whoever was rounded up had at least the remainder of whoever was rounded down.
    if full:
        assert min(full) >= max(short, default=0) - 1e-9


@given(
    st.dictionaries(kinds, st.integers(1, 5), min_size=1, max_size=3),
    st.dictionaries(modality_names, st.integers(0, 3), max_size=3),
    st.dictionaries(kinds, st.integers(0, 4), max_size=3),
    st.integers(1, 12),
    seeds,
)
def test_rows_ids_and_relevance(proportions, queries, distractors, n_items, seed):
    X, y = make_mixed_modality(
        n_items,
        proportions=proportions,
        queries=queries,
        distractors=distractors,
        n_features=128,
        random_state=seed,
    )
    assert isinstance(X, EmbeddingArray)
    assert X.dtype == np.float32
    assert y.dtype == object
    assert y.shape == (len(X),)
    assert {type(name) for name in y} == {str}
    np.testing.assert_allclose(np.linalg.norm(X.values.astype(float), axis=1), 1, atol=1e-6)

    is_query = np.char.startswith(X.modality, "query:")
    n_documents = (~is_query).sum()
    assert not is_query[:n_documents].any()
    items = [f"item{i}" for i in range(n_items)]
    extra = [f"distractor{i}" for i in range(sum(distractors.values()))]
    assert list(dict.fromkeys(y[~is_query])) == items + extra
    assert list(y[is_query]) == [item for item in items for _ in range(sum(queries.values()))]
    for modality, count in queries.items():
        assert (X.modality == f"query:{modality}").sum() == n_items * count
    tags = ["+".join(X.modality[:n_documents][y[:n_documents] == name]) for name in extra]
    assert tags == [kind for kind, count in distractors.items() for _ in range(count)]


def test_the_modalities_of_a_kind_come_in_any_order():
    kinds = {"text+image": 1, "image+text": 2, "text": 1}
    X, y = make_mixed_modality(40, proportions=kinds, distractors={"text+image": 2}, random_state=0)
    want = make_mixed_modality(
        40,
        proportions={"image+text": 3, "text": 1},
        distractors={"image+text": 2},
        random_state=0,
    )
    np.testing.assert_array_equal(X.values, want[0].values)
    assert y.tolist() == want[1].tolist()


@given(seeds)
def test_the_seed_decides(seed):
    parameters = {"n_items": 12, "distractors": {"image": 2}, "n_features": 80}
    X, y = make_mixed_modality(**parameters, random_state=seed)
    for same in (seed, np.random.RandomState(seed)):
        X_same, y_same = make_mixed_modality(**parameters, random_state=same)
        np.testing.assert_array_equal(X_same.values, X.values)
        np.testing.assert_array_equal(X_same.modality, X.modality)
        np.testing.assert_array_equal(y_same, y)
    X_other, _ = make_mixed_modality(**parameters, random_state=(seed + 1) % 2**32)
    assert not np.array_equal(X_other.values[:12], X.values[:12])


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)])
def test_without_a_seed_every_call_differs(random_state):
    first, second = (make_mixed_modality(5, random_state=random_state)[0] for _ in range(2))
    assert not np.array_equal(first.values[:5], second.values[:5])


@pytest.mark.parametrize("seed", range(3))
def test_default_statistics_are_those_of_clip(seed):
    X, _ = make_all_pairs(1500, ["image", "text"], random_state=seed)
    found = measure(X, ["image", "text"])
    assert found == pytest.approx({**DEFAULTS, "gap": 0.85}, abs=0.003)


def test_documents_of_all_kinds_have_the_default_statistics():
    X, y = make_mixed_modality(random_state=0)
    text, image = rows_of(X, "text"), rows_of(X, "image")
    assert len(text) == len(image) == 200
    assert np.linalg.norm(text.mean(axis=0) - image.mean(axis=0)) == pytest.approx(0.85, abs=0.005)
    ids = [y[X.modality == tag] for tag in ("text", "image")]
    pairs = ids[0][:, None] == ids[1]
    assert pairs.sum() == 100
    assert (text @ image.T)[pairs].mean() == pytest.approx(0.31, abs=0.015)
    assert (text @ image.T)[~pairs].mean() == pytest.approx(0.16, abs=0.005)


def test_scores_have_a_long_upper_tail():
    X, _ = make_all_pairs(1000, ["image", "text"], random_state=0)
    image, text = (unit(rows_of(X, m) - rows_of(X, m).mean(axis=0)) for m in ("image", "text"))
    scores = (text @ image.T)[~np.eye(1000, dtype=bool)]
    low, high = np.quantile(scores, [0.001, 0.999]) / scores.std()
    # 3.1 either way for a normal distribution; 3.6 to 3.9 and -2.5 to -2.2 for CLIP.
    assert high > 3.5
    assert low > -2.7


def test_several_queries_of_an_item_are_alike_and_not_equal():
    X, _ = make_mixed_modality(400, queries={"text": 4}, random_state=0)
    queries = rows_of(X, "query:text").reshape(400, 4, -1)
    cosines = np.einsum("iad,ibd->iab", queries, queries)[:, *np.triu_indices(4, 1)]
    assert cosines.mean() == pytest.approx(0.77, abs=0.01)
    assert cosines.max() < 0.97


def test_queries_of_a_modality_without_documents():
    X, _ = make_mixed_modality(
        400, proportions={"text": 1}, queries={"audio": 1, "text": 1}, random_state=0
    )
    text, audio = rows_of(X, "text"), rows_of(X, "query:audio")
    assert np.mean(np.sum(text * audio, axis=1)) == pytest.approx(0.31, abs=0.01)
    asked = rows_of(X, "query:text").mean(axis=0)
    assert np.linalg.norm(asked - text.mean(axis=0)) < 0.1


def test_queries_know_nothing_of_distractors():
    X, y = make_mixed_modality(
        300, proportions={"image": 1}, distractors={"image": 300}, random_state=0
    )
    image, queries = rows_of(X, "image"), rows_of(X, "query:text")
    wrong = np.array([name.startswith("distractor") for name in y[:600]])
    assert not any(name.startswith("distractor") for name in y[600:])
    assert (queries @ image[wrong].T).mean() == pytest.approx(0.16, abs=0.005)


def test_without_a_gap():
    X, _ = make_all_pairs(
        500, ["image", "text"], cosine_across=0.52, pair_cosine=0.6, random_state=0
    )
    assert measure(X, ["image", "text"])["gap"] < 0.1


def search(X, y):
    """NDCG@10 by the modality of the right document, and the share of texts in the top ten and
    of all texts that come before a right image. Documents have one row each.
    """
    n = np.count_nonzero(~np.char.startswith(X.modality, "query:"))
    scores = X.values[n:].astype(np.float64) @ X.values[:n].astype(np.float64).T
    rank = np.argsort(np.argsort(-scores, axis=1), axis=1)
    at = np.array([list(y[:n]).index(name) for name in y[n:]])
    rank_of_right = rank[np.arange(len(at)), at]
    ndcg = np.where(rank_of_right < 10, 1 / np.log2(rank_of_right + 2), 0)
    is_text = X.modality[:n] == "text"
    is_ahead = rank < rank_of_right[:, None]
    return {
        "text": ndcg[is_text[at]].mean(),
        "image": ndcg[~is_text[at]].mean(),
        "texts in the top ten": is_text[np.argsort(-scores, axis=1)[:, :10]].mean(),
        "texts ahead of the right image": is_ahead[~is_text[at]][:, is_text].mean(),
    }


@pytest.mark.parametrize("seed", range(3))
def test_retrieval_suffers_from_the_gap_as_with_clip(seed):
    X, y = make_mixed_modality(100, proportions={"text": 1, "image": 1}, random_state=seed)
    raw = search(X, y)
    repaired = search(ModalityGapRemover().fit_transform(X), y)
    assert raw["texts ahead of the right image"] > 0.95
    assert raw["texts in the top ten"] > 0.98
    assert raw["image"] < 0.05
    assert raw["text"] > 0.9
    assert repaired["image"] > 0.4
    assert repaired["text"] > 0.9
    # Not perfect: texts still fill too much of the top, as their scores spread wider.
    assert 0.55 < repaired["texts in the top ten"] < 0.85


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_items": 0}, r"'n_items' .* must be an int in the range \[1, inf\)"),
        ({"n_items": 2.5}, "'n_items' .* must be an int"),
        ({"proportions": {"text": -1}}, r"proportions\['text'\] must be a finite number, at least"),
        ({"proportions": {"text": np.nan}}, r"proportions\['text'\] must be a finite number"),
        ({"proportions": {"text": 0}}, "At least one of the proportions must be above 0"),
        ({"proportions": {}}, "At least one of the proportions must be above 0"),
        ({"proportions": ["text"]}, "'proportions' .* must be an instance"),
        ({"proportions": {"text+text": 1}}, "malformed kind"),
        ({"proportions": {"text+": 1}}, "malformed kind"),
        ({"proportions": {"": 1}}, "malformed kind"),
        ({"proportions": {"query:text": 1}}, "malformed kind"),
        ({"proportions": {1: 1}}, "malformed kind 1"),
        ({"queries": {"text": True}}, r"queries\['text'\] must be an integer"),
        ({"queries": {"text": 0.5}}, r"queries\['text'\] must be an integer"),
        ({"queries": {"image+text": 1}}, "A generated query has one modality"),
        ({"queries": {"query:text": 1}}, "queries has the malformed kind"),
        ({"distractors": {"image": -1}}, r"distractors\['image'\] must be an integer, at least 0"),
        ({"n_features": 66}, "n_features=66 is too small.*at least 67.*image, text"),
        ({"cosine_within": 1}, "'cosine_within' .* must be a float in the range"),
        ({"deviation_across": 0}, "'deviation_across' .* must be a float in the range"),
        ({"random_state": "seed"}, "random_state"),
    ],
)
def test_wrong_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_mixed_modality(**parameters)


@pytest.mark.parametrize(
    ("statistics", "inequality"),
    [
        ({"cosine_across": 0.6}, "cosine_across <= cosine_within; got"),
        ({"cosine_across": -0.6}, r"0 <= cosine_within \+ 1 \* cosine_across; got"),
        ({"pair_cosine": 0.1}, "cosine_across <= pair_cosine; got 0.16"),
        ({"pair_cosine": 0.5}, "pair_cosine - cosine_across <= pair_cosine_within - cosine_with"),
        ({"deviation_within": 0.09}, "deviation_across < deviation_within; got"),
        ({"deviation_within": 0.7}, r"max\(pair, .*\) <= .*sqrt\(2 \* surplus\)\).*; got 0.31"),
        (
            {"deviation_across": 0.6, "deviation_within": 0.61, "pair_cosine": 0.17},
            r"sqrt\(2\) \* deviation_across\) <= 1 - max\(own, .*; got 0.8485 .* and 0.5 on",
        ),
        (
            {
                "deviation_across": 0.6,
                "deviation_within": 0.8,
                "pair_cosine": 0.16,
                "pair_cosine_within": 0.53,
            },
            r"sqrt\(2\) \* deviation_across\) <= .*surplus\)\).*; got 0.8485 .* and 0.25",
        ),
    ],
)
def test_impossible_statistics_name_the_inequality(statistics, inequality):
    with pytest.raises(ValueError, match=inequality):
        make_mixed_modality(**statistics)


def test_the_fewest_features_are_enough():
    X, _ = make_all_pairs(1000, ["image", "text"], n_features=67, random_state=0)
    assert measure(X, ["image", "text"])["deviation_within"] == pytest.approx(0.15, abs=0.003)
    assert len(make_mixed_modality(1, n_features=67, random_state=0)[0]) == 2
