"""Whether probabilities are true, and whether it shows that nothing answers a question."""

import numpy as np
from corpora import flickr8k, pairs, settings
from few_queries import halves, split
from methods import GR, OURS, fitted
from sklearn.metrics import roc_auc_score, roc_curve
from tables import each, print_table, signed, standard_error

from gapremoval import search
from gapremoval.metrics import expected_calibration_error


def top(corpus):
    """Of each tested query the top document's probability, whether it is right, the answer."""
    pipe = fitted(OURS, corpus.documents, corpus.ids, corpus.teaching)
    found = search(pipe, corpus.queries, 1)
    right = found.ids[:, 0] == np.array(corpus.relevance)
    return found.probabilities[:, 0], right, corpus.answer_modality


def reliability(tops):
    """Mean probability, share that is right, expected calibration error over ten equal bins."""
    said, right = (np.concatenate(part) for part in zip(*tops))
    error = expected_calibration_error(right, said, strategy="quantile")
    return said.mean(), right.mean(), error


def measure_probability(step=1, n_halves=4):
    """By corpora, what `reliability` gives where every second item teaches, and random halves.

    For pairs, whose order is drawn anyway, every second query, and the same twice.
    """
    corpora, measured = settings(step=step), {}
    for kind in ("text", "image"):
        corpora[f"{kind} documents only"] = flickr8k([[kind]])
    for name, draws in corpora.items():
        fixed = [split(x, x.groups % 2 == 0) for x in draws]
        measured[name] = tuple(
            reliability([x[:2] for x in each(top, ((x,) for x in some))])
            for some in (fixed, halves(draws, n_halves))
        )
    for name, draws in pairs().items():
        some = (split(x, np.arange(len(x.queries)) % 2 == 0) for x in draws)
        tops = each(top, ((x,) for x in some))
        for asks, answers in (("text", "image"), ("image", "text")):
            got = reliability([(p[m == answers], r[m == answers]) for p, r, m in tops])
            measured[f"{name}, {asks} queries"] = got, got
    return measured


def print_probability():
    """Taught by the queries of other documents, unlabeled."""
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


def tell_apart(corpus, seed):
    """How well figures tell answered questions from others, half of the items being absent.

    Returns
    -------
    ndarray of shape (n_teachings, n_figures, 2)
        The area under the ROC curve, and the share of questions without answer that is
        refused where so many with one are, `REFUSED`.
    """
    documents, ids, queries = corpus.documents, corpus.ids, corpus.queries
    random, relevance = np.random.default_rng(seed), np.array(corpus.relevance)
    items = np.unique(relevance)
    present = np.isin(relevance, random.permutation(items)[: len(items) // 2])
    teaching = np.isin(relevance, random.permutation(items)[: len(items) // 2])
    gone = set(relevance[~present].tolist())
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
            for method in (GR, OURS)
        )
        figures = [gr.scores[:, 0], ours.scores[:, 0], ours.probabilities[:, 0], ours.evidence]
        rows.append([_judge(present[tested], figure) for figure in figures])
    return rows


def _judge(present, figure):
    false, true, _ = roc_curve(present, figure, drop_intermediate=False)
    return roc_auc_score(present, figure), 1 - false[true >= 1 - REFUSED].min()


def measure_answered(n_draws=240):
    """By setting, shape (n_draws, n_teachings, n_figures, 2)."""
    measured = {}
    for setting, corpora in settings().items():
        at = np.random.default_rng(0).permutation(np.resize(np.arange(len(corpora)), n_draws))
        jobs = ((corpora[i], seed) for seed, i in enumerate(at))
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
            row = [teaching, setting, *(f"{x:.3f}" for x in auc.mean(axis=0))]
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
