"""Is "nothing here" honest? False alarms said and seen, where some questions have no answer.

Prints both tables, or the one that is named.

usage: python benchmarks/false_alarms.py [settings] [other_kinds]
"""

import argparse

import numpy as np
from corpora import PAIR_FILES, settings
from joblib import parallel_config
from methods import OURS, fitted
from real_data import load_real
from tables import each, print_table

from gapremoval import EmbeddingArray, search

SAID = (0.05, 0.1, 0.2, 0.5)


def asked(documents, ids, queries, present, teaches, unanswered=()):
    """The false alarms of questions without and with an answer: two arrays.

    Parameters
    ----------
    present, teaches : ndarray of bool of shape (n_queries,)
        Whether the corpus answers a question; whether it teaches, unlabeled. The others are
        asked.
    unanswered : collection of int
        The numbers of questions that teach, and say that nothing answers them.
    """
    answers = [[] if i in set(unanswered) else None for i in np.flatnonzero(teaches)]
    pipe = fitted(OURS, documents, ids, queries[teaches], answers)
    found = search(pipe, queries[~teaches], 1).false_alarm
    return found[~present[~teaches]], found[present[~teaches]]


def half_of_mixed(corpus, seed):
    """Half of the items are taken away; the questions of half of all items teach."""
    random, relevance = np.random.default_rng(seed), np.array(corpus.relevance)
    items = np.unique(relevance)
    present, teaches = (
        np.isin(relevance, random.permutation(items)[: len(items) // 2]) for _ in range(2)
    )
    gone = set(relevance[~present].tolist())
    kept = [row for row, id_ in enumerate(corpus.ids) if id_ not in gone]
    ids = [corpus.ids[row] for row in kept]
    return asked(corpus.documents[kept], ids, corpus.queries, present, teaches)


def thirds(text, image, asks, n_items, seed):
    """A third of the items are documents of the asking modality, a third of the other one.

    All items but the first third ask, so that every answer lies across the gap.
    """
    random = np.random.default_rng(seed)
    rows = {"text": text, "image": image}
    other = "image" if asks == "text" else "text"
    items = random.permutation(len(text))[:n_items]
    distractors, shown, absent = np.array_split(items, 3)
    documents = EmbeddingArray.concatenate(
        {asks: rows[asks][distractors], other: rows[other][shown]}
    )
    queries = EmbeddingArray(rows[asks][np.concatenate([shown, absent])], f"query:{asks}")
    present = np.arange(len(queries)) < len(shown)
    teaches = random.permutation(len(queries)) % 2 == 0
    return asked(documents, [*range(len(documents))], queries, present, teaches)


def photos_only(text, image, n_items, seed):
    """Half of the items are images, and all texts ask: no document is of their modality."""
    random = np.random.default_rng(seed)
    items = random.permutation(len(text))[:n_items]
    present = random.permutation(n_items) % 2 == 0
    documents = EmbeddingArray(image[items[present]], "image")
    queries = EmbeddingArray(text[items], "query:text")
    teaches = random.permutation(n_items) % 2 == 0
    return asked(documents, [*range(len(documents))], queries, present, teaches)


def one_text(data):
    """The first text of each item, and its image."""
    text, image = data["text"].astype(float), data["image"].astype(float)
    return text[:, 0] if text.ndim == 3 else text, image


def measure_false_alarms(n_draws=60):
    """By setting, the false alarms of each draw: a list of pairs of arrays."""
    measured = {}
    for setting, corpora in settings().items():
        at = np.random.default_rng(0).permutation(np.resize(np.arange(len(corpora)), n_draws))
        jobs = ((corpora[i], seed) for seed, i in enumerate(at))
        measured[f"Flickr8k {setting}"] = each(half_of_mixed, jobs)
    for name in ("COCO", "products"):
        text, image = one_text(load_real(PAIR_FILES[name]))
        for asks in ("text", "image"):
            for n_items in (30, 60, 120, len(text)):
                jobs = (
                    (text, image, asks, n_items, seed) for seed in range(_draws(n_items, n_draws))
                )
                measured[f"{name}, {n_items} items, {asks} asks"] = each(thirds, jobs)
        for n_items in (60, len(text)):
            jobs = ((text, image, n_items, seed) for seed in range(_draws(n_items, n_draws)))
            measured[f"{name}, {n_items} items, photos only"] = each(photos_only, jobs)
    return measured


def _draws(n_items, n_draws):
    """How many draws give about as many questions, and no fewer than a fifth of the draws."""
    return int(np.clip(100 * n_draws // n_items, n_draws // 5, 80))


def measure_other_kinds(numbers=(0, 5, 20, 50), n_draws=40):
    """The false alarms where documents and questions are of other kinds, by examples taught."""
    flickr, products = (load_real(PAIR_FILES[name]) for name in ("Flickr8k", "products"))
    measured = {}
    for n in numbers:
        for name, other_kind in (("captions", captions_ask), ("titles", titles_ask)):
            jobs = ((flickr, products, n, seed) for seed in range(n_draws))
            measured[name, n] = each(other_kind, jobs)
    return measured


def captions_ask(flickr, products, n_unanswered, seed):
    """Titles are the text documents, captions ask for photos of which half are there."""
    random = np.random.default_rng(seed)
    sold, there = random.permutation(len(products["text"])), random.permutation(50) < 25
    images = np.concatenate([products["image"][sold[150:300]], flickr["image"][there]])
    documents = EmbeddingArray.concatenate({"text": products["text"][sold[:150]], "image": images})
    captions = flickr["text"].reshape(-1, flickr["text"].shape[-1])
    return _other_kind(documents, captions, np.repeat(there, 5), n_unanswered, 5, random)


def titles_ask(flickr, products, n_unanswered, seed):
    """Captions are the text documents, titles ask for products of which half are there."""
    random = np.random.default_rng(seed)
    sold, there = random.permutation(len(products["text"]))[:200], random.permutation(200) < 100
    extra = flickr["extra"][random.permutation(len(flickr["extra"]))[:100]]
    images = np.concatenate([extra, products["image"][sold[there]]])
    captions = flickr["text"][np.arange(50), random.integers(0, 5, 50)]
    documents = EmbeddingArray.concatenate({"text": captions, "image": images})
    return _other_kind(documents, products["text"][sold], there, n_unanswered, 1, random)


def _other_kind(documents, texts, present, n_unanswered, n_of_item, random):
    """The questions of half of the items teach, and so many say that nothing answers them."""
    teaches = np.repeat(random.permutation(len(texts) // n_of_item) % 2 == 0, n_of_item)
    unanswered = random.permutation(np.flatnonzero(teaches & ~present))[:n_unanswered]
    queries = EmbeddingArray(texts, "query:text")
    ids = [*range(len(documents))]
    return asked(documents, ids, queries, present, teaches, unanswered.tolist())


def shares(draws):
    """The shares of the questions without an answer that pass, and of those with one."""
    return [[np.mean(np.concatenate(part) <= said) for said in SAID] for part in zip(*draws)]


HEADER = [*(f"seen at {x}" for x in SAID), *(f"answered, at {x}" for x in SAID)]


def print_settings():
    """Questions of the kind of the documents' texts."""
    measured = {name: np.ravel(shares(draws)) for name, draws in measure_false_alarms().items()}
    rows = [[name, *(f"{x:.3f}" for x in found)] for name, found in measured.items()]
    every = np.array([*measured.values()])
    rows.append(["mean", *(f"{x:.3f}" for x in every.mean(axis=0))])
    rows.append(
        ["largest", *(f"{x:.3f}" for x in every[:, : len(SAID)].max(axis=0)), *[""] * len(SAID)]
    )
    print_table(
        "Questions without an answer that pass, and questions with one", ["", *HEADER], rows
    )


def print_other_kinds():
    """Questions of another kind than the documents' texts."""
    rows = [
        [f"{kind} ask", n, *(f"{x:.3f}" for x in np.ravel(shares(draws)))]
        for (kind, n), draws in measure_other_kinds().items()
    ]
    header = ["", "unanswered examples", *HEADER]
    print_table("Questions of another kind, by the number of unanswered examples", header, rows)


TABLES = {"settings": print_settings, "other_kinds": print_other_kinds}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="table", help=", ".join(TABLES))
    chosen = parser.parse_args().tables or list(TABLES)
    with parallel_config(n_jobs=2):
        for name in chosen:
            TABLES[name]()


if __name__ == "__main__":
    main()
