"""What do repeated questions cost? Query logs beside the distinct questions in them.

usage: python benchmarks/query_logs.py

Documents are texts and images, and a pipeline learns from a log of questions, without their
answers:

- gap removed: no score calibration; the query mean comes from the distinct questions;
- distinct: the recommended pipeline, fitted with each question of the log once;
- log: fitted with the log as it is.

A line prints NDCG@10 over all questions, or of the question of the log where it says so; the mean
of several draws.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from corpora import PAIR_FILES
from corpora import pairs as pair_corpora
from real_data import load_real
from sklearn.pipeline import make_pipeline

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    make_search_pipeline,
    search,
)
from gapremoval.datasets import make_mixed_modality
from gapremoval.metrics import ndcg_at_k

N_DRAWS = 5
N_QUESTIONS, N_LOG = 200, 1000
N_WORDINGS = 12  # questions with two wordings in each draw
VARIATION = 0.02  # a coordinate: a cosine of .91 at 512 features, as a typing error gives


@dataclass
class Corpus:
    """Documents with their ids, and all questions with the ids that answer them."""

    documents: EmbeddingArray
    ids: list
    queries: EmbeddingArray
    answers: np.ndarray

    def ndcg(self, pipe, log, asked=slice(None)):
        """NDCG@10 of some questions in a pipeline that is fitted with a log of questions."""
        X = EmbeddingArray.concatenate([self.documents, log])
        pipe.fit(X, [*self.ids, *[None] * len(log)])
        found = search(pipe, self.queries[asked], 10).ids
        return ndcg_at_k(self.answers[asked].tolist(), found, 10).mean()


def drawn_rows():
    X, y = make_mixed_modality(random_state=0)
    is_query = X.modality == "query:text"
    return Corpus(X[~is_query], y[~is_query].tolist(), X[is_query], y[is_query])


def flickr():
    """A third texts, a third images, a third both; four more captions of each ask."""
    data = load_real(PAIR_FILES["Flickr8k"])
    n = len(data["image"])
    kind = np.arange(n) % 3
    texts, images = np.flatnonzero(kind != 1), np.flatnonzero(kind != 0)
    documents = {"text": data["text"][texts, 0], "image": data["image"][images]}
    asked = data["text"][:, 1:].reshape(4 * n, -1)
    return Corpus(
        EmbeddingArray.concatenate(documents),
        [*texts.tolist(), *images.tolist()],
        EmbeddingArray(asked, "query:text"),
        np.repeat(np.arange(n), 4),
    )


def pairs(name):
    """Texts and images of different items; the other texts ask, and images answer."""
    ((corpus,),) = pair_corpora(1, [name]).values()
    asks = corpus.queries.modality == "query:text"
    answers = np.array(corpus.relevance)[asks]
    return Corpus(corpus.documents, corpus.ids, corpus.queries[asks], answers)


def varied(rows, rng):
    """Other wordings of questions."""
    unit = rows.values / np.linalg.norm(rows.values, axis=1, keepdims=True)
    values = unit + VARIATION * rng.standard_normal(rows.shape)
    return EmbeddingArray(values.astype(rows.dtype), rows.modality)


def logs(queries, rng):
    """Yield what a log is, its distinct questions, the log, and the questions that are tested."""
    everything = slice(None)
    order = rng.permutation(len(queries))[:N_QUESTIONS]
    for exponent in (1, 2):
        shares = 1.0 / np.arange(1, len(order) + 1) ** exponent
        log = order[rng.choice(len(order), N_LOG, p=shares / shares.sum())]
        distinct, what = queries[np.unique(log)], f"Zipf log of {N_LOG:,}, exponent {exponent}"
        yield what, distinct, queries[log], everything
        if exponent == 1:
            yield f"{what}, varied", distinct, varied(queries[log], rng), everything
    one, two = order[:1], queries[order[:2]]
    more = queries[np.concatenate([order[:50], np.repeat(one, N_LOG)])]
    what = f"50 questions, one of them {N_LOG:,} times more"
    yield what, queries[order[:50]], more, everything
    yield f"one question, {N_LOG:,} times", queries[one], queries[np.repeat(one, N_LOG)], everything
    yield "two questions, ten times each", two, queries[np.tile(order[:2], 10)], everything
    for question in order[:N_WORDINGS, None]:
        asked = queries[question]
        wordings = EmbeddingArray.concatenate([asked, varied(asked, rng)])
        yield "two wordings of one question, asked itself", asked, wordings, question


def compare(corpus, n_draws=N_DRAWS):
    """By what a log is, the three figures: lists over the draws."""
    figures = {}
    for seed in range(n_draws):
        for what, distinct, log, asked in logs(corpus.queries, np.random.default_rng(seed)):
            plain = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
            figures.setdefault(what, []).append(
                (
                    corpus.ndcg(plain, distinct, asked),
                    corpus.ndcg(make_search_pipeline(), distinct, asked),
                    corpus.ndcg(make_search_pipeline(), log, asked),
                )
            )
    return figures


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of a question that is too little to learn from
    print("| corpus | log | gap removed | distinct | log |\n|---|---|---|---|---|")
    corpora = {"drawn rows": drawn_rows, "Flickr8k": flickr}
    corpora |= {name: lambda name=name: pairs(name) for name in ("COCO", "products")}
    for name, make in corpora.items():
        for what, draws in compare(make()).items():
            cells = " | ".join(f"{x:.3f}" for x in np.mean(draws, axis=0))
            print(f"| {name} | {what} | {cells} |", flush=True)
