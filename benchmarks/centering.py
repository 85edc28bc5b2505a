"""What does centering the queries add, what does it cost without a gap, and when does it hurt?

usage: python benchmarks/centering.py
"""

import warnings

import _tests  # noqa: F401
import numpy as np
from mixed_corpora import SETTINGS, mixed_corpora
from real_data import load_real
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from tables import print_table, quiet

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover
from gapremoval.datasets import make_mixed_modality

NOT_CENTERED = np.zeros(512)
RAW = dict.fromkeys(["text", "image", "query:text"], NOT_CENTERED)


def means(X):
    return ModalityGapRemover(shrinkage=0).fit(X).means_


def as_queries(asked):
    """Queries, and the number of the item that each asks for, of (n, k, d) or (n, d) rows."""
    n_items, n_features = len(asked), asked.shape[-1]
    rows = asked.reshape(-1, n_features)
    return EmbeddingArray(rows, "query:text"), np.repeat(range(n_items), len(rows) // n_items)


def ndcg(documents, ids, queries, relevance, centers):
    """NDCG@10 of a corpus whose rows are centered on the given centers."""
    remover = ModalityGapRemover(prior=centers, shrinkage=np.inf)
    pipe = make_pipeline(remover, MixedModalityRetriever()).fit(documents, ids)
    return pipe.score(queries, relevance)


def one_modality(data, name, extra=False):
    """Corpora of Flickr8k as `mixed_corpora` yields them, of texts or of images alone."""
    for caption in range(data["text"].shape[1]):
        rows = data["text"][:, caption] if name == "text" else data["image"]
        rows = np.concatenate([rows, data["extra"]]) if extra else rows
        queries, relevance = as_queries(np.delete(data["text"], caption, axis=1))
        yield EmbeddingArray(rows, name), queries, [*range(len(rows))], relevance, None


def print_query_mean():
    """Documents and queries centered or not, on means of their own or of others."""
    data, products = load_real("flickr8k_clip_vitb32.npz"), load_real("products_clip_vitb32.npz")
    others = means(EmbeddingArray.concatenate({m: products[m] for m in ("text", "image")}))
    corpora = {
        pattern + (" + extra" if extra else ""): mixed_corpora(data, pattern, extra)
        for pattern, extra in SETTINGS
    }
    corpora["texts alone"] = one_modality(data, "text")
    corpora["images alone"] = one_modality(data, "image")
    corpora["images + extra"] = one_modality(data, "image", extra=True)
    columns = {}
    for name, some in corpora.items():
        for documents, queries, ids, relevance, _ in some:
            own, asked = means(documents), means(queries)["query:text"]
            text = own.get("text")
            versions = {
                ("-", "-"): RAW,
                ("-", "own"): RAW | {"query:text": asked},
                ("own", "-"): RAW | own,
                ("own", "own"): own | {"query:text": asked},
                ("own", "the documents' texts'"): own | {"query:text": text},
                ("own", "the products' texts'"): own | {"query:text": others["text"]},
                ("the products'", "own"): others | {"query:text": asked},
                ("the products'", "the products' texts'"): others | {"query:text": others["text"]},
            }
            for version, centers in versions.items():
                score = np.nan
                if centers["query:text"] is not None:
                    score = ndcg(documents, ids, queries, relevance, centers)
                columns.setdefault(version, {}).setdefault(name, []).append(score)
    rows = []
    for version, scores in columns.items():
        measured = np.array([np.mean(x) for x in scores.values()])
        measured = np.insert(measured, len(SETTINGS), measured[: len(SETTINGS)].mean())
        rows.append([*version, *(f"{x:.3f}".replace("nan", "") for x in measured)])
    names = [*corpora]
    names.insert(len(SETTINGS), "mean of the six")
    print_table(
        "Mean of the documents, mean of the queries, and NDCG@10 on Flickr8k",
        ["documents", "queries", *names],
        rows,
    )


def print_without_gap(n_draws=5):
    """Rows of one modality, half of which are called another."""
    flickr, products = load_real("flickr8k_clip_vitb32.npz"), load_real("products_clip_vitb32.npz")
    text, image, n = flickr["text"], flickr["image"], 200
    drawn, _ = make_mixed_modality(n, proportions={"text": 1}, random_state=0)
    is_query = drawn.modality == "query:text"
    corpora = {
        "Flickr8k, 50 captions": (text[:, 0], text[:, 1:]),
        "Flickr8k, 50 photos": (image, text),
        "997 product photos": (products["image"], products["text"]),
        "200 drawn texts": (drawn.values[~is_query], drawn.values[is_query]),
    }
    rows, random = [], np.random.default_rng(0)
    for name, (documents, asked) in corpora.items():
        queries, relevance = as_queries(asked)
        ids, asks = [*range(len(documents))], means(queries)
        everything = dict.fromkeys(["text", "image"], means(EmbeddingArray(documents, "a"))["a"])
        scores = []
        for _ in range(n_draws):
            tags = np.where(random.permutation(len(ids)) % 2, "image", "text")
            X = EmbeddingArray(documents, tags)
            halves = means(X)
            classifier = LogisticRegression(C=100, max_iter=1000)
            scores.append(
                [
                    np.linalg.norm(halves["text"] - halves["image"]),
                    cross_val_score(classifier, documents, tags, cv=5).mean(),
                    ndcg(X, ids, queries, relevance, RAW),
                    ndcg(X, ids, queries, relevance, everything | asks),
                    ndcg(X, ids, queries, relevance, halves | asks),
                ]
            )
        rows.append([name, *(f"{x:.3f}" for x in np.mean(scores, axis=0))])
    print_table(
        "No gap: rows of one modality, half of them called another",
        ["corpus", "centroid distance", "classifier, held out", "raw", "one mean", "two means"],
        rows,
    )


def print_few_rows(n_draws=4):
    """Document means of few rows of the corpus, alone and with other means behind them."""
    data, products = load_real("flickr8k_clip_vitb32.npz"), load_real("products_clip_vitb32.npz")
    others = means(EmbeddingArray.concatenate({m: products[m] for m in ("text", "image")}))
    random, scores = np.random.default_rng(0), {}
    for documents, queries, ids, relevance, _ in mixed_corpora(data, "1:1:1", extra=False):
        asked = means(queries)
        for n in (1, 2, 4, 8, 16, 33):
            for _ in range(n_draws):
                order = random.permutation(len(documents))
                few = [order[documents.modality[order] == m][:n] for m in ("text", "image")]
                few = documents[np.concatenate(few)]
                behind = ModalityGapRemover(prior=others).fit(few).centers_
                for name, centers in (("alone", means(few)), ("with prior", behind)):
                    score = ndcg(documents, ids, queries, relevance, {**centers, **asked})
                    scores.setdefault(n, {}).setdefault(name, []).append(score)
    rows = [[n, *(f"{np.mean(x):.3f}" for x in by.values())] for n, by in scores.items()]
    print_table(
        "Document means of few rows of each modality: NDCG@10 on Flickr8k, 1:1:1",
        ["rows", "alone", "with the products' means as 16 rows behind them"],
        rows,
    )


def print_topics():
    """Photos of some items and captions of the others: by topic, and at random."""
    data, random = load_real("flickr8k_clip_vitb32.npz"), np.random.default_rng(0)
    text, image = data["text"], data["image"]
    everything = means(EmbeddingArray.concatenate({"text": np.concatenate(text), "image": image}))
    said, shown = text.mean(axis=1), image
    about = np.hstack([said - said.mean(axis=0), shown - shown.mean(axis=0)])
    topic = KMeans(2, n_init=10, random_state=0).fit_predict(about)
    scores = {}
    for caption in range(text.shape[1]):
        queries, relevance = as_queries(np.delete(text, caption, axis=1))
        asks = means(queries)
        for has_photo in (topic == 0, topic == 1):
            for name, part in (("topics", has_photo), ("random", random.permutation(has_photo))):
                documents = {"image": image[part], "text": text[~part, caption]}
                documents = EmbeddingArray.concatenate(documents)
                ids = [*np.flatnonzero(part), *np.flatnonzero(~part)]
                for centers in (RAW, means(documents) | asks, everything | asks):
                    score = ndcg(documents, ids, queries, relevance, centers)
                    scores.setdefault(name, []).append(score)
    rows = [
        [name, *(f"{x:.3f}" for x in np.reshape(by, (-1, 3)).mean(axis=0))]
        for name, by in scores.items()
    ]
    print_table(
        "Photos of some items and captions of the others: NDCG@10 on Flickr8k",
        ["divided by", "raw", "own means", "means of all photos and captions"],
        rows,
    )


def main():
    quiet()
    warnings.filterwarnings("ignore", message=".*length zero")  # a row that is its own mean
    print_query_mean()
    print_without_gap()
    print_few_rows()
    print_topics()


if __name__ == "__main__":
    main()
