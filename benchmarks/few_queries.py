"""How many queries have to teach, judged or not; and corpora of one modality only."""

import _tests  # noqa: F401
import numpy as np
from mixed_corpora import SETTINGS, mixed_corpora
from pair_corpora import PAIR_FILES, pair_corpora
from real_data import load_real
from score_methods import (
    OURS,
    each,
    fitted,
    ndcg,
    print_table,
    setting_name,
    signed,
    standard_error,
)

from gapremoval import EmbeddingArray

SIZES = [200, 64, 32, 16, 8, 0]


def gain(corpus, taught, tested=None):
    """NDCG@10 over GR of the recommended pipeline, both taught by the queries `taught`.

    All queries are tested, or the rows `tested`.
    """
    documents, queries, ids, relevance, _ = corpus
    tested = np.arange(len(queries)) if tested is None else tested
    relevance = [relevance[i] for i in tested]
    gr, ours = (
        ndcg(fitted(method, documents, ids, queries[taught]), queries[tested], relevance).mean()
        for method in ("GR", OURS)
    )
    return ours - gr


def draws(corpora, sizes, n_draws):
    """Gains by number of queries: a dict of int to array.

    All queries and none teach every corpus once. Other numbers are drawn from the queries
    `n_draws` times, for one corpus after the other in random order.
    """
    n_queries = len(corpora[0][1])
    gains = {}
    for size in sizes:
        if size in (0, n_queries):
            jobs = [(corpus, np.arange(size)) for corpus in corpora]
        else:
            random = np.random.default_rng(size)
            turns = random.permutation(len(corpora))[np.arange(n_draws) % len(corpora)]
            jobs = [(corpora[i], random.permutation(n_queries)[:size]) for i in turns]
        gains[size] = np.array(each(gain, jobs))
    return gains


def measure_teaching(sizes=SIZES, n_draws=300, step=1):
    """By setting, what `draws` gives with every `step`-th corpus."""
    data = load_real("flickr8k_clip_vitb32.npz")
    return {s: draws(list(mixed_corpora(data, *s))[::step], sizes, n_draws) for s in SETTINGS}


def measure_others(n_halves=4):
    """By setting, gains where a random half of the items teaches and the other is tested."""
    data, gains = load_real("flickr8k_clip_vitb32.npz"), {}
    for setting in SETTINGS:
        jobs = []
        for seed, corpus in enumerate(list(mixed_corpora(data, *setting)) * n_halves):
            item = np.unique(corpus[3], return_inverse=True)[1]
            teaches = np.isin(item, np.random.default_rng(seed).permutation(item.max() + 1)[::2])
            jobs.append((corpus, np.flatnonzero(teaches), np.flatnonzero(~teaches)))
        gains[setting] = np.array(each(gain, jobs))
    return gains


def print_teaching():
    """The queries that teach are a sample of those tested, unlabelled."""
    measured = measure_teaching()
    rows = [_row(size, [gains[size] for gains in measured.values()]) for size in SIZES]
    others = list(measure_others().values())
    n_taught = max(SIZES) // 2
    rows.append(_row(f"{n_taught} of other items", others))
    print_table(
        "PosteriorOdds minus GR, NDCG@10, by the number of queries that teach (300 draws each)",
        ["queries", *(setting_name(*s) for s in SETTINGS), "mean", "worst", "worst single draw"],
        rows,
    )


def _row(name, gains):
    means = [x.mean() for x in gains]
    error = np.sqrt(sum(standard_error(x) ** 2 for x in gains)) / len(gains)
    row = [name, *(signed(x) for x in gains), f"{np.mean(means):+.4f} ± {error:.4f}"]
    return [*row, f"{min(means):+.4f}", f"{min(x.min() for x in gains):+.3f}"]


JUDGED = [0, 8, 16, 64]


def judge_mixed(corpus, seed):
    """NDCG@10 of the queries left unjudged, by the number of judged ones."""
    documents, queries, ids, relevance, _ = corpus
    order = np.random.default_rng(seed).permutation(len(queries))
    tested = order[max(JUDGED) :]
    scores = []
    for n_judged in JUDGED:
        answers = [None] * len(queries)
        for row in order[:n_judged]:
            answers[row] = relevance[row]
        pipe = fitted(OURS, documents, ids, queries, answers)
        scores.append(ndcg(pipe, queries[tested], [relevance[i] for i in tested]).mean())
    return scores


def judge_pairs(corpus, seed):
    """The same, of both query modalities: so many judged of each; shape (2, n_numbers)."""
    random = np.random.default_rng(seed)
    order = {name: random.permutation(len(asked)) for name, asked in corpus.queries.items()}
    scores = []
    for n_judged in JUDGED:
        answers = []
        for name, relevance in corpus.relevance.items():
            judged = set(order[name][:n_judged].tolist())
            answers += [x if i in judged else None for i, x in enumerate(relevance)]
        pipe = fitted(OURS, corpus.documents, corpus.ids, corpus.all_queries(), answers)
        tested = {name: rows[max(JUDGED) :] for name, rows in order.items()}
        scores.append(
            [
                ndcg(pipe, asked[tested[name]], [corpus.relevance[name][i] for i in tested[name]])
                for name, asked in corpus.queries.items()
            ]
        )
    return np.mean(scores, axis=2).T


def measure_judged(n_draws=60, n_pair_draws=12):
    """By corpora, an array of shape (n_draws, n_numbers)."""
    measured = {}
    for name in ("COCO", "products"):
        corpora = pair_corpora(load_real(PAIR_FILES[name]), n_pair_draws)
        scores = np.array(each(judge_pairs, ((c, seed) for seed, c in enumerate(corpora))))
        measured[f"{name}, text queries"] = scores[:, 0]
        measured[f"{name}, image queries"] = scores[:, 1]
    data = load_real("flickr8k_clip_vitb32.npz")
    for setting in SETTINGS:
        corpora = list(mixed_corpora(data, *setting))
        at = np.random.default_rng(0).integers(len(corpora), size=n_draws)
        jobs = [(corpora[i], seed) for seed, i in enumerate(at)]
        measured[setting_name(*setting)] = np.array(each(judge_mixed, jobs))
    return measured


def print_judged():
    """All queries teach; so many of them are judged, and the others tested."""
    rows = []
    for name, scores in measure_judged().items():
        more = scores[:, 1:] - scores[:, [0]]
        rows.append([name, f"{scores[:, 0].mean():.3f}", *(signed(x, 3) for x in more.T)])
    print_table(
        "PosteriorOdds, NDCG@10 with no judged query, and what judged ones add",
        ["", "0 judged", *(f"{n} judged" for n in JUDGED[1:])],
        rows,
    )


def one_modality_corpora(data, kind, extra):
    """Every document of one kind; as `mixed_corpora` yields them, one for each caption."""
    text, image = data["text"].astype(float), data["image"].astype(float)
    items = [f"item{i}" for i in range(len(text))]
    for caption in range(text.shape[1]):
        parts = {"text": text[:, caption], "image": image}
        parts = parts if kind == "both" else {kind: parts[kind]}
        documents, ids = EmbeddingArray.concatenate(parts), items * len(parts)
        if extra:
            more = EmbeddingArray(data["extra"].astype(float), "image")
            documents = EmbeddingArray.concatenate([documents, more])
            ids = ids + [f"extra{i}" for i in range(len(more))]
        asked = np.delete(text, caption, axis=1).reshape(-1, text.shape[-1])
        relevance = np.repeat(items, text.shape[1] - 1).tolist()
        queries = EmbeddingArray(asked, "query:text")
        yield documents, queries, ids, relevance, [kind] * len(relevance)


def measure_one_modality(sizes=(200, 16, 8, 0), n_draws=150):
    """By kind of documents and whether extra images are there, what `draws` gives.

    Images alone cannot do without queries: no text says what a query's mean is.
    """
    data, measured = load_real("flickr8k_clip_vitb32.npz"), {}
    for extra in (False, True):
        for kind in ("text", "image", "both"):
            corpora = list(one_modality_corpora(data, kind, extra))
            possible = [size for size in sizes if size or kind != "image"]
            measured[kind, extra] = draws(corpora, possible, n_draws)
    return measured


def print_one_modality():
    """Flickr8k with documents of one kind, with and without the extra images."""
    measured = measure_one_modality()
    sizes = list(measured["text", False])
    rows = [
        [setting_name(*key), *(signed(gains[n]) if n in gains else "refused" for n in sizes)]
        for key, gains in measured.items()
    ]
    print_table(
        "PosteriorOdds minus GR where all documents are of one modality, by queries that teach",
        ["documents", *(f"{size} queries" for size in sizes)],
        rows,
    )
