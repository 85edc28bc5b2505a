"""Small mixed corpora for score calibrations, and slow ways to compute what these learn."""

from dataclasses import replace

import numpy as np
from sklearn.base import clone

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds
from gapremoval.retrieval._query_banks import teaching_scores as scores_of_banks
from gapremoval.retrieval._snapshot import Segment
from gapremoval.score_calibration._score_map import ScoreMap
from gapremoval.score_calibration._teaching import TeachingScores

N_FEATURES = 8


def small_corpus(seed=0, dtype="f8", n_queries=9):
    """Texts, images and documents of both, then queries of two modalities; some are judged.

    Returns
    -------
    documents, queries : EmbeddingArray
    ids, relevance : list
    """
    rng = np.random.default_rng(seed)
    modality = ["text"] * 12 + ["image"] * 10 + ["text"] * 5 + ["image"] * 5
    ids = [f"d{i}" for i in (*range(22), *range(22, 27), *range(22, 27))]
    rows = unit(rng.normal(size=(len(ids), N_FEATURES)))
    rows[np.array(modality) == "image", 0] += 0.5  # scores of another spread
    noise = unit(rng.normal(size=(n_queries, N_FEATURES)))
    asked = rows[rng.integers(0, len(ids), n_queries)] + noise
    asks = np.array(["query:text", "query:image"])[np.arange(n_queries) % 3 // 2]
    relevance = [[f"d{i}"] if i % 4 == 0 else None for i in range(n_queries)]
    documents = EmbeddingArray(rows.astype(dtype), modality)
    return documents, EmbeddingArray(asked.astype(dtype), asks), ids, relevance


def fitted(seed=0, dtype="f8", n_neighbors=100, **odds):
    """A retriever fitted on the small corpus, and new queries of its modalities."""
    documents, queries, ids, relevance = small_corpus(seed, dtype)
    retriever = MixedModalityRetriever(n_neighbors, score_calibration=PosteriorOdds(**odds))
    retriever.fit(EmbeddingArray.concatenate([documents, queries]), ids + relevance)
    return retriever, small_corpus(seed + 1, dtype)[1]


def learned_by(retriever):
    """All that a score calibration learned: fitted attributes by name, for comparisons."""
    calibration = retriever.score_calibration_
    return {name: getattr(calibration, name) for name in type(calibration)._learned}


def lines_of(retriever, query_modality):
    """The ScoreMap of all documents, in the order of `ids_`."""
    documents = retriever._index.now
    lines = documents.score_map(query_modality)
    scale, offset = np.ones(len(documents)), np.full(len(documents), lines.lowest)
    for name, segment in documents.directed.items():
        at = documents.places_of(segment.of_live(segment.columns["position"]))
        of_name = lines.of[name]
        scale[at], offset[at] = segment.of_live(of_name.scale), segment.of_live(of_name.offset)
    return ScoreMap(scale, offset)


def with_what_was_learned(living, X, ids):
    """An index fitted to some documents, with what a living one learned."""
    fresh = clone(living).set_params(score_calibration=None).fit(X, ids)
    now, learned = fresh._index.now, living._index.now
    # Example rows know their own documents by the positions in the living index.
    documents = {
        name: (learned.positions[s.columns["position"]], s.columns["id"], s.columns["vectors"])
        for name, s in now.directed.items()
    }
    scores = scores_of_banks(learned.banks[0], documents)
    statistics, start = learned.calibration.document_statistics(scores), 0
    segments = dict(now.segments)
    for name, segment in now.directed.items():
        rows = slice(start, start := start + len(segment))
        columns = {asks: values[rows] for asks, values in statistics.items()}
        segments[name, True] = Segment(segment.columns | columns)
    fresh._index.now = replace(
        now,
        segments=segments,
        calibration=learned.calibration,
        banks=learned.banks,
        modalities=learned.modalities,
    )
    return fresh


def assert_same_results(one, other, atol=0.0):
    """Whether two searches found the same; sums over all documents are made more roughly."""
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(one.modalities, other.modalities)
    np.testing.assert_allclose(one.scores, other.scores, atol=atol, rtol=0)
    for name in ("probabilities", "evidence"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-5 + atol)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def teaching_scores(rng, counts, n_queries, n_fallback, dtype="f8", answers=None):
    """Random rows and documents; fallback queries belong to the first documents, or to none."""
    n = sum(counts.values())
    rows, vectors = (
        unit(rng.normal(size=(k, N_FEATURES))).astype(dtype) for k in (n_queries + n_fallback, n)
    )
    vectors = np.split(vectors, np.cumsum([*counts.values()])[:-1])
    own = (np.arange(n_queries + n_fallback) - n_queries) // 2  # two rows a document
    own[(own < 0) | (own >= n)] = -1
    return TeachingScores(
        rows,
        n_queries,
        dict(zip(counts, vectors)),
        rng.permutation(n),
        own,
        [None] * n_queries if answers is None else answers,
        {},
        np.ones(n_queries),
        "query:text",
    )


def all_scores(scores):
    """All scores at once, (n_rows, n_documents) in float64; NaN for a fallback query's own."""
    vectors = np.concatenate([np.asarray(x, float) for x in scores.vectors.values()])
    table = scores.rows.astype(float) @ vectors.T
    for row, own in enumerate(scores.own):
        if own >= 0:
            table[row, own] = np.nan
    return table


def slow_spreads(table, weights):
    """Weighted mean, variance and noise of each column, without its NaN."""
    found = []
    for column in table.T:
        seen = np.isfinite(column)
        if not seen.any():
            found.append((0, 1e-12, 0))
            continue
        mean = np.average(column[seen], weights=weights[seen])
        squares = (column[seen] - mean) ** 2
        variance = np.average(squares, weights=weights[seen])
        noise = np.average((squares - variance) ** 2, weights=weights[seen])
        found.append((mean, max(variance, 1e-12), noise))
    return np.array(found).reshape(-1, 3).T


def slow_best_two(table, segments):
    """The two largest of each row in each modality, by sorting; NaN and gaps are -inf."""
    table = np.nan_to_num(table, nan=-np.inf)
    gap = np.full((len(table), 2), -np.inf)
    best = [np.sort(np.hstack([gap, table[:, s]]), axis=1)[:, [-1, -2]] for s in segments.values()]
    return np.stack(best).transpose(2, 0, 1)
