"""Whether probabilities are true, and whether it shows that nothing answers a question."""

import _tests  # noqa: F401
import numpy as np
from few_queries import one_modality_corpora
from mixed_corpora import SETTINGS, mixed_corpora
from pair_corpora import PAIR_FILES, pair_corpora
from real_data import load_real
from score_methods import OURS, each, fitted, print_table, setting_name, signed, standard_error
from sklearn.metrics import roc_auc_score, roc_curve

from gapremoval import search
from gapremoval.metrics import expected_calibration_error


def top_of_mixed(documents, queries, ids, relevance, _, seed=None):
    """Of each tested query the top document's probability and whether it is right.

    The queries of half of the items teach, unlabelled, those of the others are tested: every
    second item, or with a `seed` a random half.
    """
    n_items = len(set(relevance))
    items = np.arange(n_items)
    items = items if seed is None else np.random.default_rng(seed).permutation(items)
    # The queries of an item follow each other.
    teaches = np.repeat(items % 2 == 0, len(queries) // n_items)
    pipe = fitted(OURS, documents, ids, queries[teaches])
    found = search(pipe, queries[~teaches], 1)
    return found.probabilities[:, 0], found.ids[:, 0] == np.array(relevance)[~teaches]


def top_of_pairs(corpus):
    """The same by query modality: every second query of each teaches."""
    n = {name: len(asked) for name, asked in corpus.queries.items()}
    pipe = fitted(
        OURS,
        corpus.documents,
        corpus.ids,
        corpus.all_queries({name: np.arange(0, n[name], 2) for name in n}),
    )
    top = {}
    for name, asked in corpus.queries.items():
        found = search(pipe, asked[np.arange(1, n[name], 2)], 1)
        top[name] = found.probabilities[:, 0], found.ids[:, 0] == corpus.relevance[name][1::2]
    return top


def reliability(tops):
    """Mean probability, share that is right, expected calibration error over ten equal bins."""
    said, right = (np.concatenate(part) for part in zip(*tops))
    error = expected_calibration_error(right, said, strategy="quantile")
    return said.mean(), right.mean(), error


def measure_probability(step=1, n_halves=4):
    """By corpora, what `reliability` gives where every second item teaches, and random halves.

    For pairs, whose order is drawn anyway, the same twice.
    """
    data, measured = load_real("flickr8k_clip_vitb32.npz"), {}
    corpora = {setting_name(*s): list(mixed_corpora(data, *s))[::step] for s in SETTINGS}
    for kind in ("text", "image"):
        corpora[f"{kind} documents only"] = list(one_modality_corpora(data, kind, extra=False))
    for name, some in corpora.items():
        halves = ((*c, n_halves * i + seed) for i, c in enumerate(some) for seed in range(n_halves))
        measured[name] = (
            reliability(each(top_of_mixed, some)),
            reliability(each(top_of_mixed, halves)),
        )
    for name, file in PAIR_FILES.items():
        tops = each(top_of_pairs, ((corpus,) for corpus in pair_corpora(load_real(file), 6)))
        for asks in ("text", "image"):
            got = reliability([top[f"query:{asks}"] for top in tops])
            measured[f"{name}, {asks} queries"] = got, got
    return measured


def print_probability():
    """Taught by the queries of other documents, unlabelled."""
    rows = []
    for name, (fixed, drawn) in measure_probability().items():
        fixed = ("", "", "") if fixed is drawn else (f"{x:.3f}" for x in fixed)
        rows.append([name, *fixed, *(f"{x:.3f}" for x in drawn)])
    columns = ["said", "right", "calibration error"]
    print_table(
        "The top document: how probable it is said to be, how often it is right",
        ["", *(f"{column}, every second item teaches" for column in columns)]
        + [f"{column}, random halves" for column in columns],
        rows,
    )


TEACHINGS = ["all queries", "other items' queries", "answered queries"]
FIGURES = ["GR cosine", "PosteriorOdds score", "probability", "evidence"]
REFUSED = 0.05


def tell_apart(documents, queries, ids, relevance, _, seed):
    """How well figures tell answered questions from others, half of the items being absent.

    Returns
    -------
    ndarray of shape (n_teachings, n_figures, 2)
        The area under the ROC curve, and the share of questions without answer that is
        refused where so many with one are, `REFUSED`.
    """
    random = np.random.default_rng(seed)
    items = np.unique(relevance)
    present = np.isin(relevance, random.permutation(items)[: len(items) // 2])
    teaching = np.isin(relevance, random.permutation(items)[: len(items) // 2])
    gone = set(np.array(relevance)[~present])
    kept = [row for row, id_ in enumerate(ids) if id_ not in gone]
    everything = np.ones(len(relevance), dtype=bool)
    rows = []
    for taught, tested in (
        (everything, everything),
        (teaching, ~teaching),
        (present, everything),
    ):
        gr, ours = (
            search(
                fitted(method, documents[kept], [ids[row] for row in kept], queries[taught]),
                queries[tested],
                1,
            )
            for method in ("GR", OURS)
        )
        figures = [gr.scores[:, 0], ours.scores[:, 0], ours.probabilities[:, 0], ours.evidence]
        rows.append([_judge(present[tested], figure) for figure in figures])
    return rows


def _judge(present, figure):
    false, true, _ = roc_curve(present, figure, drop_intermediate=False)
    return roc_auc_score(present, figure), 1 - false[true >= 1 - REFUSED].min()


def measure_answered(n_draws=240):
    """By setting, shape (n_draws, n_teachings, n_figures, 2)."""
    data = load_real("flickr8k_clip_vitb32.npz")
    measured = {}
    for setting in SETTINGS:
        corpora = list(mixed_corpora(data, *setting))
        at = np.random.default_rng(0).permutation(np.resize(np.arange(len(corpora)), n_draws))
        jobs = ((*corpora[i], seed) for seed, i in enumerate(at))
        measured[setting] = np.array(each(tell_apart, jobs))
    return measured


def print_answered():
    """Half of the items' documents are taken away; all their queries are asked."""
    measured = measure_answered()
    rows, refusals = [], []
    for t, teaching in enumerate(TEACHINGS):
        for setting, got in measured.items():
            auc = got[:, t, :, 0]
            best = auc[:, :-1].mean(axis=0).argmax()
            row = [teaching, setting_name(*setting), *(f"{x:.3f}" for x in auc.mean(axis=0))]
            rows.append([*row, signed(auc[:, -1] - auc[:, best], 3), FIGURES[best]])
        mean = np.mean([got[:, t, :, 1].mean(axis=0) for got in measured.values()], axis=0)
        refusals.append([teaching, *(f"{x:.2f}" for x in mean)])
    print_table(
        "Answered against unanswered questions, area under the ROC curve",
        ["taught by", "setting", *FIGURES, "evidence over the best of the others", "which is"],
        rows,
    )
    errors = [standard_error(got[..., 0]).max() for got in measured.values()]
    print(f"\nStandard errors over the draws: at most {max(errors):.3f}.")
    print_table(
        "Share of the unanswered questions that is refused where 5 % of the answered ones are",
        ["taught by", *FIGURES],
        refusals,
    )
