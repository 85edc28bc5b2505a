"""What the gap does to a search: who fills the first places, the scores, the probabilities."""

import numpy as np

from .._ranking_metrics import ndcg_at_k
from .._relevance import relevant_ids
from .._search import search
from ..metrics import expected_calibration_error, ranking_bias
from ..metrics._rows import draw
from ..retrieval._results import PERHAPS
from ._report_choice import methods
from ._report_items import plain_id

K = 10
SCORED_QUERIES = 100  # whose cosines with documents are shown
SCORED_DOCUMENTS = 500
N_BINS = 40  # of cosines
STORED_QUERIES = 40
STORED_DOCUMENTS = 5
MOST_RIGHT = 200  # right answers of a modality whose cosines are marked
MOST_BINS = 10  # of probabilities
FEW_JUDGED = 20  # queries, from whose answers no probability is judged


def search_facts(data, random_state):
    """Search before and after the correction.

    Parameters
    ----------
    data : ReportData
        With queries.
    random_state : int

    Returns
    -------
    dict
        ``ranking``, ``cosines``, ``probabilities`` and ``queries``.
    """
    X, y = data.rows()
    pipes = {way: methods()[way].fit(X, y) for way in ("raw", "gap removed", "recommended")}
    found = {way: search(pipe, data.queries, K) for way, pipe in pipes.items()}
    return {
        "ranking": _ranking(pipes, found, data),
        "cosines": _cosines(pipes, data, random_state),
        "probabilities": _probabilities(found["recommended"], data),
        "queries": _stored(found, data, random_state),
    }


def _ranking(pipes, found, data):
    """Each modality's share of the first places, and of the corpus; NDCG by answer."""
    judged = data.judged.tolist()
    relevance = [gains if i in judged else None for i, gains in enumerate(data.relevance)]
    biases = {
        way: ranking_bias(pipe, data.queries, relevance if judged else None, k=K)
        for way, pipe in pipes.items()
    }
    changed = {}
    for way, result in found.items():
        pairs = list(zip(found["raw"].ids.tolist(), result.ids.tolist()))
        changed[way] = {
            "changed_top": float(np.mean([1 - len({*a} & {*b}) / len(a) for a, b in pairs])),
            "changed_first": float(np.mean([a[0] != b[0] for a, b in pairs])),
            "ndcg_all": None,
        }
        if judged:
            ndcg = ndcg_at_k(relevance, result.ids, K)
            changed[way]["ndcg_all"] = float(np.nanmean(ndcg))
    return {
        "k": K,
        "n_queries": len(data.queries),
        "n_judged": len(judged),
        "share_of_corpus": biases["raw"].share_of_corpus,
        "n_answered": biases["raw"].n_queries or {},
        "ways": [
            {"name": way, "share_of_top": bias.share_of_top, "ndcg": bias.ndcg or {}} | changed[way]
            for way, bias in biases.items()
        ],
    }


def _cosines(pipes, data, random_state):
    """Cosines of queries with documents, by the modality of the document."""
    random = np.random.default_rng(random_state)
    some = draw(np.arange(len(data.queries)), SCORED_QUERIES, random)
    answers = [x for i in some for x in relevant_ids(data.relevance[i])]
    every = [*data.document_modality]
    drawn = [every[i] for i in draw(np.arange(len(every)), SCORED_DOCUMENTS, random)]
    among, panels = [*dict.fromkeys([*answers, *drawn])], {}
    for way in ("raw", "gap removed"):
        found = search(pipes[way], data.queries[some], len(among), among=among)
        right = np.zeros(found.ids.shape, dtype=bool)
        for row, i in enumerate(some):
            wanted = set(relevant_ids(data.relevance[i]))
            right[row] = [x in wanted for x in found.ids[row].tolist()]
        low, high = float(found.scores.min()), float(found.scores.max())
        edges = np.linspace(low, max(high, low + 1e-9), N_BINS + 1)
        groups = {}
        for name in np.unique(found.modalities).tolist():
            at = found.modalities == name
            scores = found.scores[at & ~right]
            if not len(scores):
                continue
            counts, _ = np.histogram(scores, edges)
            of_right = found.scores[at & right]
            groups[name] = {
                "mean": float(scores.mean()),
                "deviation": float(scores.std()),
                "density": np.round(counts / counts.sum(), 5).tolist(),
                "right": np.round(draw(of_right, MOST_RIGHT, random), 4).tolist(),
                "right_mean": float(of_right.mean()) if len(of_right) else None,
            }
        panels[way] = {"low": low, "high": high, "groups": groups}
    return {"n_queries": len(some), "n_documents": len(among), **panels}


def _probabilities(found, data):
    """Whether the probability of the first document is how often it is right."""
    facts = {"n_judged": len(data.judged), "bins": [], "error": None}
    alarm = found.false_alarm
    known = np.isfinite(alarm) if alarm is not None else np.zeros(len(found), dtype=bool)
    facts["n_alarm_known"] = int(known.sum())
    facts["alarm_at"] = PERHAPS
    facts["n_certain"] = int((alarm[known] <= PERHAPS).sum()) if known.any() else 0
    probability = found.probabilities[:, 0]
    at = data.judged[np.isfinite(probability[data.judged])]
    facts["mean_probability"] = float(np.nanmean(probability)) if known.any() else None
    if len(at) < FEW_JUDGED:
        return facts
    right = np.array([(data.relevance[i] or {}).get(found.ids[i, 0], 0) > 0 for i in at])
    said = probability[at]
    facts["error"] = float(expected_calibration_error(right, said))
    facts["accuracy"], facts["mean_probability"] = float(right.mean()), float(said.mean())
    # Of equal size, so that none is of a few queries.
    for some in np.array_split(np.argsort(said, kind="stable"), min(MOST_BINS, len(said) // 10)):
        facts["bins"].append(
            {
                "probability": float(said[some].mean()),
                "accuracy": float(right[some].mean()),
                "n_queries": len(some),
            }
        )
    return facts


def _stored(found, data, random_state):
    """Some queries with what is found before and after, drawn and not chosen by what they show."""
    random = np.random.default_rng(random_state)
    ranks = {way: _ranks(found[way], data) for way in ("raw", "recommended")}
    some = draw(np.arange(len(data.queries)), STORED_QUERIES, random)
    return [
        {
            "number": int(data.numbers[i]),
            "modality": str(data.queries.modality[i]),
            "right": [plain_id(x) for x in relevant_ids(data.relevance[i])],
            "is_judged": data.relevance[i] is not None,
            "rank_before": ranks["raw"][i],
            "rank_after": ranks["recommended"][i],
            "before": _listed(found["raw"][int(i)], data.relevance[i]),
            "after": _listed(found["recommended"][int(i)], data.relevance[i]),
        }
        for i in some
    ]


def _ranks(found, data):
    """The rank of the first right answer among the first ten of each query, or None."""
    ranks = []
    for ids, gains in zip(found.ids.tolist(), data.relevance):
        at = [rank for rank, x in enumerate(ids, 1) if (gains or {}).get(x, 0) > 0]
        ranks.append(at[0] if at else None)
    return ranks


def _listed(found, gains):
    records = found.to_records()[:STORED_DOCUMENTS]
    return [
        {
            "id": plain_id(id_),
            "modality": record["modality"],
            "score": record["score"],
            "probability": record["probability"],
            "is_right": (gains or {}).get(id_, 0) > 0,
        }
        for id_, record in zip(found.ids[0].tolist(), records)
    ]
