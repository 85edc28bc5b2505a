"""What does it cost to take the means from another corpus?

Flickr8k photos and captions in the six settings, searched with means of Amazon products.

usage: python benchmarks/borrowed_means.py
"""

from dataclasses import replace

from corpora import PAIR_FILES, settings
from methods import GR, METHODS, OURS, rows, scores
from real_data import load_real
from tables import print_table, quiet, row_of

from gapremoval import EmbeddingArray, ModalityGapRemover, PosteriorOdds
from gapremoval.evaluation import compare

FIRST_FORM = "recenter=False"
SHOWN = {
    GR: METHODS[GR],
    OURS: METHODS[OURS],
    FIRST_FORM: scores(PosteriorOdds(recenter=False)),
}


def products():
    """The rows of the products: texts and images."""
    data = load_real(PAIR_FILES["products"])
    return EmbeddingArray.concatenate({name: data[name] for name in ("text", "image")})


def calibrations(corpus, other):
    """The rows that the means come from, by name."""
    texts = EmbeddingArray(other.values[other.modality == "text"], "query:text")
    rows = {
        "own": None,
        "own, without queries": [corpus.documents],
        "products' for queries": [corpus.documents, texts],
        "products' for documents": [other, corpus.queries],
        "products' for both": [other],
    }
    return {name: some and (EmbeddingArray.concatenate(some), None) for name, some in rows.items()}


def measure_borrowed(step=3, pipelines=SHOWN, **options):
    """By name of the calibration, a Comparison over the six settings.

    Of every `step`-th corpus; in 1:1:1, which has fewer, of three times as many.
    """
    quiet()
    other, measured = products(), {}
    corpora = settings(step=max(step // 3, 1))
    corpora = {k: x if k.startswith("1:1:1") else x[::3] for k, x in corpora.items()}
    for name in calibrations(corpora["1:1:1"][0], other):
        some = {
            setting: [replace(x, calibration=calibrations(x, other)[name]) for x in draws]
            for setting, draws in corpora.items()
        }
        measured[name] = compare(pipelines, some, **options)
    return measured


def print_borrowed(**options):
    """All 200 queries teach the score calibration; only the means are borrowed."""
    table = []
    for name, comparison in measure_borrowed(**options).items():
        every = comparison[comparison["answer_modality"] == "all"]
        by_setting = every.pivot(index="pipeline", columns="corpus", values="mean").loc[[*SHOWN]]
        figures = [*by_setting.mean(axis=1), *by_setting.min(axis=1)]
        table.append([name, *(f"{x:.3f}" for x in figures)])
    print_table(
        "NDCG@10 with means of the products: mean of the six settings, and the worst",
        ["means", *SHOWN, *(f"{name}, worst" for name in SHOWN)],
        table,
    )
    prior = ModalityGapRemover().fit(products()).centers_
    behind = {"own": METHODS[GR], "prior": rows(ModalityGapRemover(prior=prior))}
    comparison = compare(behind, settings(["1:1:1"]), **options)
    own, drawn = (row_of(comparison, pipeline=name, answer_modality="all") for name in behind)
    print(
        f"\nGR in 1:1:1 with the products' means behind its own as 16 rows: {drawn['mean']:.4f}, "
        f"without: {own['mean']:.4f}."
    )


if __name__ == "__main__":
    print_borrowed(n_jobs=2)
