"""Small random corpora with their cosines, and the six settings on real embeddings."""

from dataclasses import dataclass

import numpy as np
import pytest
from mixed_corpora import SETTINGS, mixed_corpora
from sklearn.pipeline import make_pipeline

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover
from gapremoval.metrics import ndcg_at_k


@dataclass
class Corpus:
    """Documents without parts and queries of one modality, and all their cosines."""

    documents: EmbeddingArray
    queries: EmbeddingArray

    @property
    def rows(self):
        return EmbeddingArray.concatenate([self.documents, self.queries])

    @property
    def ids(self):
        """Those of the documents, and unknown relevance."""
        return [*range(len(self.documents)), *[None] * len(self.queries)]

    @property
    def cosines(self):
        """Queries and documents: shape (n_queries, n_documents)."""
        return unit(self.queries) @ unit(self.documents).T

    def of_modality(self):
        """Where the documents of each modality are."""
        return [self.documents.modality == name for name in set(self.documents.modality)]

    def scores(self, calibration):
        """Calibrated scores of all queries with all documents, as the retriever gives them."""
        retriever = MixedModalityRetriever(score_calibration=calibration)
        retriever.fit(self.rows, self.ids)
        return all_scores(retriever, self.queries)


def unit(rows):
    return rows.values / np.linalg.norm(rows.values, axis=1, keepdims=True)


def all_scores(retriever, queries):
    """Scores in the order of the documents, by way of a full ranking."""
    distances, positions = retriever.kneighbors(queries, retriever.n_documents_)
    scores = np.empty(distances.shape)
    np.put_along_axis(scores, positions, 1 - distances, axis=1)
    return scores


@pytest.fixture(scope="session")
def make_corpus():
    """Draw a corpus of texts and images that mean different things by a cosine."""

    def draw(seed=0, n_documents=30, n_queries=26, n_features=6):
        random = np.random.default_rng(seed)
        modality = np.where(np.arange(n_documents) % 3, "image", "text")
        center = np.where(modality == "text", 0.5, -0.2)[:, None]
        return Corpus(
            EmbeddingArray(random.normal(size=(n_documents, n_features)) + center, modality),
            EmbeddingArray(random.normal(size=(n_queries, n_features)) + 0.4, "query:text"),
        )

    return draw


@pytest.fixture(scope="session")
def scores_of():
    """All scores of a fitted retriever, in the order of its documents."""
    return all_scores


# The other settings have ten times as many corpora.
SOME_SETTINGS = [slice(0, 2), pytest.param(slice(2, 6), marks=pytest.mark.figures)]


@pytest.fixture(scope="session", params=SOME_SETTINGS, ids=["thirds", "unequal shares"])
def settings(request):
    """Settings to measure in, as a slice of the six."""
    return request.param


@pytest.fixture(scope="session")
def measure_settings(real):
    """NDCG@10 of a score calibration in some of the six settings, unlabeled."""

    def measure(calibration, settings=slice(None), step=1):
        data = real("flickr8k_clip_vitb32.npz")
        retriever = MixedModalityRetriever(score_calibration=calibration)
        pipe = make_pipeline(ModalityGapRemover(norm=None, shrinkage=0), retriever)
        means = []
        for setting in SETTINGS[settings]:
            ndcg = []
            for number, corpus in enumerate(mixed_corpora(data, *setting)):
                if number % step:
                    continue
                documents, queries, ids, relevance, _ = corpus
                X = EmbeddingArray.concatenate([documents, queries])
                pipe.fit(X, ids + [None] * len(queries))
                ndcg.append(ndcg_at_k(relevance, pipe.predict(queries)).mean())
            means.append(np.mean(ndcg))
        return np.array(means)

    return measure
