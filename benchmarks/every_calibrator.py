"""Every score calibration in the six settings, and where all answers lie across the gap."""

import _tests  # noqa: F401
import numpy as np
from mixed_corpora import SETTINGS, mixed_corpora
from pair_corpora import ANSWERS, PAIR_FILES, pair_corpora
from real_data import load_real
from score_methods import (
    METHODS,
    each,
    fitted,
    ndcg,
    print_table,
    setting_name,
    signed,
    standard_error,
)

KINDS = ["text", "image", "both"]


def score_mixed(documents, queries, ids, relevance, kind):
    """NDCG@10 by item, shape (n_methods, n_items), and the kind of each item's document."""
    n_items = len(set(relevance))
    rows = []
    for method in METHODS:
        pipe = fitted(method, documents, ids, queries)
        # The queries of an item follow each other.
        rows.append(ndcg(pipe, queries, relevance).reshape(n_items, -1).mean(axis=1))
    return np.array(rows), np.array(kind).reshape(n_items, -1)[:, 0]


def measure_settings(step=1):
    """By setting, what `score_mixed` gives of every `step`-th corpus, stacked."""
    data = load_real("flickr8k_clip_vitb32.npz")
    measured = {}
    for setting in SETTINGS:
        got = each(score_mixed, list(mixed_corpora(data, *setting))[::step])
        measured[setting] = np.array([a for a, _ in got]), np.array([kind for _, kind in got])
    return measured


def print_settings():
    """Taught by all 200 queries that are tested, unlabelled."""
    measured = measure_settings()
    names = [setting_name(*setting) for setting in SETTINGS]
    # Items are what differs by chance: the mean over a setting's corpora of each.
    items = np.array([scores.mean(axis=0) for scores, _ in measured.values()])
    gain = items - items[:, [1]]
    rows = []
    for m, method in enumerate(METHODS):
        row = [method, *(f"{x:.4f}" for x in items[:, m].mean(axis=1))]
        row += [f"{items[:, m].mean():.4f}", signed(gain[:, m].mean(axis=0))]
        worst = gain[:, m].mean(axis=1).argmin()
        rows.append([*row, signed(gain[worst, m])])
    print_table(
        "NDCG@10 in the six settings, and the difference to GR (standard errors over the items)",
        ["", *names, "mean", "over GR, mean", "over GR, worst setting"],
        rows,
    )
    rows = []
    for m, method in enumerate(METHODS):
        cells = []
        for scores, kind in measured.values():
            # The mean over the corpora of each corpus's mean, as for the reference numbers.
            split = [
                np.mean([x[k == one].mean() for x, k in zip(scores[:, m], kind)]) for one in KINDS
            ]
            cells.append(" / ".join(f"{x:.3f}" for x in split))
        rows.append([method, *cells])
    print_table("By the answer: text / image / both", ["", *names], rows)


def score_pairs(corpus):
    """NDCG@10, shape (2, n_methods + 1): by query modality, the ceiling last."""
    rows = []
    for method in METHODS:
        pipe = fitted(method, corpus.documents, corpus.ids, corpus.all_queries())
        rows.append([ndcg(pipe, q, corpus.relevance[m]).mean() for m, q in corpus.queries.items()])
        if method == "GR":
            told = [
                ndcg(pipe, asked, corpus.relevance[name], ANSWERS[name]).mean()
                for name, asked in corpus.queries.items()
            ]
    return np.array([*rows, told]).T


def measure_pairs(n_draws=6):
    """By file, shape (n_draws, 2, n_methods + 1)."""
    return {
        name: np.array(each(score_pairs, ((c,) for c in pair_corpora(load_real(file), n_draws))))
        for name, file in PAIR_FILES.items()
    }


def way_to_ceiling(scores):
    """The share of the way from GR to the ceiling, of the means over the draws: (2, n_methods)."""
    mean = scores.mean(axis=0)
    return (mean[:, :-1] - mean[:, [1]]) / (mean[:, [-1]] - mean[:, [1]])


def print_pairs():
    """Taught by all queries, unlabelled."""
    measured = measure_pairs()
    columns = [f"{name}, {asks} queries" for name in measured for asks in ("text", "image")]
    ways = np.concatenate([way_to_ceiling(scores) for scores in measured.values()])
    means = np.concatenate([scores.mean(axis=0) for scores in measured.values()])
    errors = np.concatenate(
        [standard_error(scores - scores[:, :, [1]]) for scores in measured.values()]
    )
    rows = []
    for m, method in enumerate([*METHODS, "GR, told the modality of the answer"]):
        row = [method, *(f"{x:.3f}" for x in means[:, m])]
        if m >= len(METHODS):
            row += ["1", "1"]
        elif m:
            row += [f"{ways[:, m].mean():.2f}", f"{ways[:, m].min():.2f}"]
        else:
            row += ["", ""]
        rows.append(row)
    print_table(
        "NDCG@10 across the gap, and the share of the way from GR to the ceiling",
        ["", *columns, "way, mean", "way, worst"],
        rows,
    )
    print(
        f"\nStandard errors of the differences to GR over the draws: at most {errors.max():.3f}, "
        f"for PosteriorOdds {errors[:, -2].max():.3f}."
    )
