"""Another domain in the corpus."""

from dataclasses import replace

import numpy as np
from borrowed_means import FIRST_FORM
from corpora import PAIR_FILES, settings
from methods import GR, METHODS, OURS, scores
from real_data import load_real
from tables import interval, print_table, quiet, row_of

from gapremoval import EmbeddingArray, PosteriorOdds
from gapremoval.evaluation import compare

SIZES = [200, 64, 16, 8, 0]
SHOWN = {
    "raw": METHODS["raw"],
    GR: METHODS[GR],
    OURS: METHODS[OURS],
    FIRST_FORM: scores(PosteriorOdds(recenter=False)),
}
# How the products are documents; the Flickr8k items are 1:1:1 of texts, images and both.
PRODUCTS = {"texts, images and both": 3, "texts and images": 2}


def two_domain_corpora(n_draws, n_kinds):
    """Flickr8k items, 1:1:1, among all products, dealt out to their first kinds."""
    (corpora,) = settings(["1:1:1"]).values()
    products = load_real(PAIR_FILES["products"])
    for seed in range(n_draws):
        corpus = corpora[seed % len(corpora)]
        numbers = np.random.default_rng(seed).permutation(len(products["text"]))
        told, shown, *both = np.array_split(numbers, n_kinds)
        parts = {"text": np.concatenate([told, *both]), "image": np.concatenate([shown, *both])}
        others = EmbeddingArray.concatenate(
            {name: products[name][rows].astype(float) for name, rows in parts.items()}
        )
        ids = [*corpus.ids, *(f"product{i}" for rows in parts.values() for i in rows)]
        documents = EmbeddingArray.concatenate([corpus.documents, others])
        # One type for all ids.
        ids, relevance = ([str(x) for x in some] for some in (ids, corpus.relevance))
        yield replace(corpus, documents=documents, ids=ids, relevance=relevance)


def measure_two_domains(n_kinds, sizes=SIZES, n_draws=60, **options):
    """By number of queries that teach, the first of a draw: a Comparison."""
    quiet()
    corpora = {size: [] for size in sizes}
    for seed, corpus in enumerate(two_domain_corpora(n_draws, n_kinds)):
        order = np.random.default_rng(seed).permutation(len(corpus.queries))
        for size in sizes:
            corpora[size].append(replace(corpus, teaching=corpus.queries[order[:size]]))
    return compare(SHOWN, corpora, **options)


def print_two_domains(**options):
    """Taught by a sample of the tested queries, unlabeled."""
    table = []
    for name, n_kinds in PRODUCTS.items():
        measured = measure_two_domains(n_kinds, **options)
        gain = measured.difference_to(GR)
        for size in SIZES:
            keys = {"corpus": size, "answer_modality": "all"}
            means = [row_of(measured, pipeline=x, **keys)["mean"] for x in SHOWN]
            over = interval(row_of(gain, pipeline=OURS, **keys), 3, True)
            table.append([name, size, *(f"{x:.3f}" for x in means), over])
    print_table(
        "NDCG@10 of the Flickr8k queries in a corpus that is 95 % products",
        ["products are", "queries that teach", *SHOWN, "PosteriorOdds over GR"],
        table,
    )
