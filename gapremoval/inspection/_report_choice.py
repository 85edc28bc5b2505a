"""Which correction and which fusion weight rank best on the data of a report, and its code."""

import ast
from importlib import import_module
from itertools import takewhile

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ..evaluation import Corpus, compare, published_methods

# The name in `published_methods`, and what each does.
METHODS = {
    "raw": ("raw", "Plain cosine, no correction."),
    "gap removed": ("GR", "The mean of each modality subtracted (GR-CLIP)."),
    "standardizer": (
        "standardizer",
        "Mean and spread of each dimension made equal in each modality.",
    ),
    "whitener": ("whitener", "Mean and all covariances made equal in each modality."),
    "gap removed + z-scores": ("GR + z", "Then scores standardized by modality."),
    "recommended": (
        "GR + posterior odds",
        "The gap removed, then ranked by the probability to answer (posterior odds).",
    ),
}
DEFAULT = "recommended"
FUSION_WEIGHTS = (0, 0.25, 0.5, 0.75, 1)
DEFAULT_WEIGHT = 0.5
FEW_QUERIES, FEW_ANSWERS = 20, 5  # from which nothing is chosen


def methods():
    """The unfitted pipelines that are compared, by name."""
    published = published_methods()
    return {name: published[key] for name, (key, _) in METHODS.items()}


def choice_facts(data, has_gap, random_state):
    """The best correction and fusion weight, with paired intervals.

    Parameters
    ----------
    data : ReportData
        With queries.
    has_gap : bool
        Whether a correction is the default.
    random_state : int

    Returns
    -------
    dict
        ``methods`` and ``fusion_weight`` (None without judged queries, or documents of several
        parts), and ``advised``, the name of a method.
    """
    default = DEFAULT if has_gap else "raw"
    judged = data.with_queries(data.judged)
    groups = [str(sorted(map(str, gains))) for gains in judged.relevance]
    if len(groups) < FEW_QUERIES or len(set(groups)) < FEW_ANSWERS:
        return {"methods": None, "fusion_weight": None, "advised": default}
    corpus = Corpus(
        judged.documents, judged.ids, judged.queries, judged.relevance,
        teaching=data.queries, groups=groups,
    )  # fmt: skip
    pipelines = methods()
    table = _compared(pipelines, default, corpus, random_state)
    for row in table:
        row["meaning"] = METHODS[row["name"]][1]
    chosen = _chosen(table, default)
    facts = {"methods": chosen, "fusion_weight": None, "advised": chosen["advised"]}
    if any("+" in name for name in data.document_modality.values()):
        best = pipelines[facts["advised"]]
        facts["fusion_weight"] = _weights(best, corpus, random_state)
    return facts


def _weights(pipe, corpus, random_state):
    last = f"{pipe.steps[-1][0]}__fusion_weight"
    pipelines = {
        f"{weight:g}": clone(pipe).set_params(**{last: weight}) for weight in FUSION_WEIGHTS
    }
    default = f"{DEFAULT_WEIGHT:g}"
    table = _compared(pipelines, default, corpus, random_state)
    for row in table:
        row["weight"] = float(row["name"])
    return _chosen(table, default)


def _compared(pipelines, default, corpus, random_state):
    """NDCG@10 of each pipeline, and its difference to the default, with intervals."""
    result = compare(pipelines, {"": corpus}, random_state=random_state)
    tables = (result, result.difference_to(default).add_prefix("difference_"))
    own, paired = (table[result.answer_modality == "all"] for table in tables)
    columns = ["mean", "low", "high", *(f"difference_{x}" for x in ("mean", "low", "high"))]
    rows = own.join(paired)[["pipeline", *columns]]
    return rows.rename(columns={"pipeline": "name"}).to_dict("records")


def _chosen(table, default):
    """The best one, and whether it is better than the default by more than chance."""
    best = max(table, key=lambda row: (round(row["mean"], 9), row["name"] == default))
    is_clear = best["name"] != default and best["difference_low"] > 0
    return {
        "rows": table,
        "default": default,
        "best": best["name"],
        "is_clearly_better": bool(is_clear),
        "advised": best["name"] if is_clear else default,
    }


def code_of(facts, encoder, *, is_tagged=True, has_ids=True):
    """The code that makes the advised pipeline and searches with it, as text.

    Parameters
    ----------
    facts : dict
        With ``advised``, ``fusion_weight`` and ``data``.
    encoder : transformer or None
    is_tagged : bool, default=True
        Whether the rows carry their modality.
    has_ids : bool, default=True
        Whether there is a y.

    Returns
    -------
    str
    """
    name, weights = facts["advised"], facts["fusion_weight"]
    weight = float(weights["advised"]) if weights else DEFAULT_WEIGHT
    weighted = [] if weight == DEFAULT_WEIGHT else [f"fusion_weight={weight:g}"]
    pipe = methods()[name]
    if name == DEFAULT:
        names, call = {"gapremoval": {"make_search_pipeline"}}, "make_search_pipeline"
        steps = weighted
    else:
        pipe[-1].set_params(fusion_weight=weight)
        names, call = _imports([*pipe.get_params().values()]), "make_pipeline"
        names.setdefault("sklearn.pipeline", set()).add(call)
        steps = [repr(step) for _, step in pipe.steps]
    before, search = [], {"search"}
    if encoder is not None:
        written, imported = _written(encoder)
        steps, asked = [written, *steps], '"what to look for"'
        for module, some in imported.items():
            names.setdefault(module, set()).update(some)
    else:
        if not is_tagged:
            search.add("EmbeddingArray")
            before.append("X = EmbeddingArray(X, modality)")
        asked = "X[:1]  # rows that ask"
        for query_modality in list(facts["data"]["queries"])[:1]:
            asked = f"X[X.modality == {query_modality!r}]"
    names.setdefault("gapremoval", set()).update(search)
    lines = [f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names)]
    made = f"pipe = {call}({', '.join(steps)})"
    asked, _, why = asked.partition("  #")
    found = f"found = search(pipe, {asked})" + (f"  #{why}" if why else "")
    # Without queries, whose ids would be answers, the ids are written as `fit` asks for them.
    ids = ", y" if has_ids else "" if facts["data"]["queries"] else ", range(len(X))"
    return "\n".join([*lines, "", *before, made, f"pipe.fit(X{ids})", found])


def _written(encoder):
    """An encoder as code and the names to import for it; ``encoder`` if its repr is no code."""
    written, imported = repr(encoder), _imports([encoder])
    known = {name for names in imported.values() for name in names}
    try:
        nodes = [*ast.walk(ast.parse(written, mode="eval"))]
    except SyntaxError:
        return "encoder", {}
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return (written, imported) if names <= known else ("encoder", {})


def _imports(values):
    """The names to import by public module, of the estimators among some values."""
    names = {}
    for value in values:
        kind = type(value)
        if not hasattr(value, "get_params") or kind is Pipeline:
            continue
        package, *rooms = kind.__module__.split(".")
        if not hasattr(import_module(package), kind.__name__):
            package = ".".join([package, *takewhile(lambda x: x[0] != "_", rooms)])
        names.setdefault(package, set()).add(kind.__name__)
    return names
