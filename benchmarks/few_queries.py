"""How many queries have to teach, judged or not; and corpora of one modality only."""

from dataclasses import replace

import numpy as np
from corpora import SETTINGS, one_modality, pairs, settings
from methods import GR, METHODS, OURS
from tables import interval, print_table, quiet, row_of

from gapremoval.evaluation import Comparison, compare, sweep_teaching_size

SIZES = [np.inf, 64, 32, 16, 8, 0]  # infinity is all, of 200
BOTH = {name: METHODS[name] for name in (GR, OURS)}
JUDGED = [0, 8, 16, 64]


def gains(corpora, **options):
    """PosteriorOdds minus GR, a Comparison."""
    quiet()
    gain = compare(BOTH, corpora, **options).difference_to(GR)
    return gain[gain["pipeline"] == OURS]


def halves(draws, n_halves=4):
    """The queries of a random half of the items teach, and those of the others are tested."""
    corpora = []
    for seed, corpus in enumerate(draws * n_halves):
        item = np.unique(corpus.groups, return_inverse=True)[1]
        random = np.random.default_rng(seed)
        teaches = np.isin(item, random.permutation(item.max() + 1)[::2])
        corpora.append(split(corpus, teaches))
    return corpora


def split(corpus, teaches):
    """A corpus some of whose queries teach, unlabeled, while the others are tested."""
    tested = np.flatnonzero(~teaches)
    return replace(
        corpus,
        queries=corpus.queries[tested],
        relevance=[corpus.relevance[i] for i in tested],
        groups=np.asarray(corpus.groups)[tested],
        teaching=corpus.queries[teaches],
    )


def measure_teaching(sizes=SIZES, n_draws=100, step=1, **options):
    """By number of queries, the gains in the six settings."""
    return taught(settings(step=step), sizes, n_draws, **options)


def taught(corpora, sizes, n_draws, **options):
    """By number of queries, PosteriorOdds minus GR, a Comparison without that column."""
    quiet()
    options |= {"sizes": sizes, "n_draws": n_draws}
    every = sweep_teaching_size(BOTH, corpora, **options).difference_to(GR).by_query
    measured = {}
    for size in sizes:
        some = every[(every["n_teaching"] == size) & (every["pipeline"] == OURS)]
        measured[size] = Comparison.from_queries(some.drop(columns="n_teaching"))
    return measured


def print_teaching(**options):
    """The queries that teach are a sample of those tested, unlabeled."""
    measured = measure_teaching(**options)
    others = {name: halves(draws) for name, draws in settings().items()}
    measured["100 of other items"] = gains(others, **options)
    rows = []
    for size, gain in measured.items():
        some = [row_of(gain, corpus=c, answer_modality="all") for c in SETTINGS]
        mean = row_of(gain.over_corpora(same_items=True), pipeline=OURS, answer_modality="all")
        worst = gain.by_query.query("pipeline == @OURS").groupby(["corpus", "draw"])["value"]
        row = [
            200 if size == np.inf else size,
            *(interval(x, 4, True) for x in some),
            interval(mean, 4, True),
        ]
        row += [f"{min(x['mean'] for x in some):+.4f}", f"{worst.mean().min():+.3f}"]
        rows.append(row)
    print_table(
        "PosteriorOdds minus GR, NDCG@10, by the number of queries that teach",
        ["queries", *SETTINGS, "mean", "worst", "worst single draw"],
        rows,
    )


def judged(corpus, n_judged, seed):
    """All queries teach; so many of each query modality are judged, some others tested."""
    random, n = np.random.default_rng(seed), len(corpus.queries)
    modality = corpus.queries.modality
    order = [random.permutation(np.flatnonzero(modality == m)) for m in np.unique(modality)]
    answers = [None] * n
    for i in np.concatenate([rows[:n_judged] for rows in order]):
        answers[i] = corpus.relevance[i]
    teaches = ~np.isin(np.arange(n), np.concatenate([rows[max(JUDGED) :] for rows in order]))
    some = split(corpus, teaches)
    return replace(some, teaching=corpus.queries, teaching_relevance=answers)


def measure_judged(
    n_draws=60, n_pair_draws=12, numbers=JUDGED, names=("COCO", "products"), **options
):
    """NDCG@10 by number of judged queries, which is the name of the pipeline."""
    corpora = pairs(n_pair_draws, names) if names else {}
    for name, draws in settings().items():
        at = np.random.default_rng(0).integers(len(draws), size=n_draws)
        corpora[name] = [draws[i] for i in at] if n_draws else []
    corpora = {name: draws for name, draws in corpora.items() if draws}
    measured = {}
    for n in numbers:
        some = {k: [judged(c, n, i) for i, c in enumerate(x)] for k, x in corpora.items()}
        quiet()
        measured[n] = compare({OURS: METHODS[OURS]}, some, **options)
    return measured


def print_judged(**options):
    """All queries teach; so many of them are judged, and the others tested."""
    measured = measure_judged(**options)
    rows = []
    for name in measured[0]["corpus"].unique():
        for answers in ("image", "text") if name in ("COCO", "products") else ("all",):
            values = [
                row_of(x, corpus=name, answer_modality=answers)["mean"] for x in measured.values()
            ]
            label = name if answers == "all" else f"{name}, answered by {answers}"
            more = (f"{x - values[0]:+.3f}" for x in values[1:])
            rows.append([label, f"{values[0]:.3f}", *more])
    print_table(
        "PosteriorOdds, NDCG@10 with no judged query, and what judged ones add",
        ["", "0 judged", *(f"{n} judged" for n in JUDGED[1:])],
        rows,
    )


def measure_one_modality(sizes=(np.inf, 16, 8, 0), n_draws=50, **options):
    """By number of queries, the gains where all documents are of one modality.

    Images alone cannot do without queries: no text says what a query's mean is.
    """
    corpora = one_modality()
    asked = {k: x for k, x in corpora.items() if k not in ("image", "image + extra")}
    some = taught(corpora, [size for size in sizes if size], n_draws, **options)
    none = taught(asked, [0], n_draws, **options) if 0 in sizes else {}
    return some | none


def print_one_modality(**options):
    """Flickr8k with documents of one modality, with and without the extra images."""
    measured, rows = measure_one_modality(**options), []
    for name in measured[np.inf]["corpus"].unique():
        cells = []
        for gain in measured.values():
            some = gain[(gain["corpus"] == name) & (gain["answer_modality"] == "all")]
            cells.append("refused" if some.empty else interval(some.iloc[0], 4, True))
        rows.append([name, *cells])
    print_table(
        "PosteriorOdds minus GR where all documents are of one modality, by queries that teach",
        ["documents", *(f"{200 if n == np.inf else n} queries" for n in measured)],
        rows,
    )
