"""Another domain in the corpus, or only its means."""

import _tests  # noqa: F401
import numpy as np
from mixed_corpora import SETTINGS, mixed_corpora
from real_data import load_real
from score_methods import METHODS, OURS, each, fitted, ndcg, print_table, signed
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover, PosteriorOdds

SIZES = [200, 64, 16, 8, 0]
FIRST_FORM = "recenter=False"
METHODS_SHOWN = ["raw", "GR", OURS, FIRST_FORM]
first_form = MixedModalityRetriever(score_calibration=PosteriorOdds(recenter=False))
PIPELINES = METHODS | {FIRST_FORM: make_pipeline(ModalityGapRemover(), first_form)}


# How the products are documents; the Flickr8k items are 1:1:1 of texts, images and both.
PRODUCTS = {"texts, images and both": 3, "texts and images": 2}


def two_domain_corpora(n_draws, n_kinds):
    """Flickr8k items, 1:1:1, among all products, dealt out to their first kinds.

    Yields
    ------
    documents, queries, ids, relevance
        As `mixed_corpora` yields them; the products are dealt out anew, the Flickr8k corpora
        come in turn.
    """
    corpora = list(mixed_corpora(load_real("flickr8k_clip_vitb32.npz"), "1:1:1", extra=False))
    products = load_real("products_clip_vitb32.npz")
    for seed in range(n_draws):
        documents, queries, ids, relevance, _ = corpora[seed % len(corpora)]
        numbers = np.random.default_rng(seed).permutation(len(products["text"]))
        told, shown, *both = np.array_split(numbers, n_kinds)
        parts = {"text": np.concatenate([told, *both]), "image": np.concatenate([shown, *both])}
        others = EmbeddingArray.concatenate(
            {name: products[name][rows].astype(float) for name, rows in parts.items()}
        )
        other_ids = [f"product{i}" for rows in parts.values() for i in rows]
        yield EmbeddingArray.concatenate([documents, others]), queries, ids + other_ids, relevance


def score_two_domains(corpus, sizes, seed):
    """NDCG@10, shape (n_sizes, n_methods), each size taught by the first of the same draw."""
    documents, queries, ids, relevance = corpus
    order = np.random.default_rng(seed).permutation(len(queries))
    return [
        [
            ndcg(fitted(pipe, documents, ids, queries[order[:size]]), queries, relevance).mean()
            for pipe in map(PIPELINES.get, METHODS_SHOWN)
        ]
        for size in sizes
    ]


def measure_two_domains(n_kinds, sizes=SIZES, n_draws=60):
    """Shape (n_draws, n_sizes, n_methods)."""
    corpora = two_domain_corpora(n_draws, n_kinds)
    jobs = ((corpus, sizes, seed) for seed, corpus in enumerate(corpora))
    return np.array(each(score_two_domains, jobs))


def print_two_domains():
    """Taught by a sample of the tested queries, unlabelled."""
    rows = []
    for name, n_kinds in PRODUCTS.items():
        scores = measure_two_domains(n_kinds).transpose(1, 0, 2)
        rows += [
            [name, size, *(f"{x:.3f}" for x in got.mean(axis=0)), signed(got[:, 2] - got[:, 1], 3)]
            for size, got in zip(SIZES, scores)
        ]
    print_table(
        "NDCG@10 of the Flickr8k queries in a corpus that is 95 % products",
        ["products are", "queries that teach", *METHODS_SHOWN, "PosteriorOdds over GR"],
        rows,
    )


MEANS = ["own", "products' for queries", "products' for documents", "products' for both"]


def removers(other, queries):
    """One gap remover for each of `MEANS`."""
    asked = {"query:text": other.centers_["text"]}
    own = ModalityGapRemover(shrinkage=0).fit(queries).means_
    priors = [asked, {**other.centers_, **own}, {**other.centers_, **asked}]
    borrowed = [ModalityGapRemover(prior=prior, shrinkage=np.inf) for prior in priors]
    return [ModalityGapRemover(), *borrowed]


def score_borrowed(other, documents, queries, ids, relevance, _):
    """NDCG@10 of GR and of posterior odds in both forms, shape (n_removers, 3)."""
    rows = []
    for remover in removers(other, queries):
        row = []
        for method in METHODS_SHOWN[1:]:
            pipe = clone(PIPELINES[method]).set_params(modalitygapremover=remover)
            row.append(ndcg(fitted(pipe, documents, ids, queries), queries, relevance).mean())
        rows.append(row)
    return rows


def measure_borrowed(step=3):
    """Means over the corpora, shape (n_settings, n_removers, 3).

    Of every `step`-th corpus; in 1:1:1, which has fewer, of three times as many.
    """
    data, products = load_real("flickr8k_clip_vitb32.npz"), load_real("products_clip_vitb32.npz")
    other = ModalityGapRemover().fit(
        EmbeddingArray.concatenate({"text": products["text"], "image": products["image"]})
    )
    scores = []
    for setting in SETTINGS:
        some = max(step // 3, 1) if setting[0] == "1:1:1" else step
        corpora = list(mixed_corpora(data, *setting))[::some]
        got = each(score_borrowed, ((other, *corpus) for corpus in corpora))
        scores.append(np.mean(got, axis=0))
    return np.array(scores)


def print_borrowed():
    """All 200 queries teach the score calibration; only the means are borrowed."""
    scores = measure_borrowed()
    rows = [
        [name, *(f"{x:.3f}" for x in (*got.mean(axis=0), *got.min(axis=0)))]
        for name, got in zip(MEANS, scores.transpose(1, 0, 2))
    ]
    print_table(
        "NDCG@10 with means of the products: mean of the six settings, and the worst",
        ["means", *METHODS_SHOWN[1:], *(f"{name}, worst" for name in METHODS_SHOWN[1:])],
        rows,
    )
