"""Does each language need a query mean of its own?

Drawn rows with the statistics of CLIP. German questions are English ones moved by an offset that
points into the space of the documents, as if their language had a place of its own.

usage: python benchmarks/languages.py
"""

import warnings

import numpy as np
from sklearn.pipeline import make_pipeline
from tables import print_table, quiet

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    make_search_pipeline,
)
from gapremoval.datasets import make_mixed_modality

PIPELINES = {
    "gap removed": lambda: make_pipeline(ModalityGapRemover(), MixedModalityRetriever()),
    "recommended": make_search_pipeline,
}
OFFSETS, NUMBERS, DRAWS = (0, 0.25, 0.5, 1.0), (1, 4, 16, 64, 150), 5


def draw_languages(offset, n_items=300, random_state=0):
    """A corpus, and a question in each of two languages for each of its documents.

    Returns
    -------
    documents, english, german : pairs of EmbeddingArray and list
        Rows with ids; English questions (``query:text``) and German ones (``query:german``), each
        with the ids of its answers. German rows were moved by a vector of length `offset`.
    """
    X, y = make_mixed_modality(n_items, queries={"text": 2}, random_state=random_state)
    at = np.flatnonzero(X.modality == "query:text")
    documents, asked, answers = X[: at[0]], X.values[at], list(y[at])
    # A direction in which documents differ: any other would change no ranking.
    modalities = [documents.values[documents.modality == m] for m in ("text", "image")]
    residuals = np.concatenate([rows - rows.mean(axis=0) for rows in modalities])
    direction = np.random.default_rng(random_state).standard_normal(len(residuals)) @ residuals
    moved = asked[1::2] + offset * direction / np.linalg.norm(direction)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    english = EmbeddingArray(asked[::2], "query:text")
    german = EmbeddingArray(moved.astype(asked.dtype), "query:german")
    return (documents, list(y[: at[0]])), (english, answers[::2]), (german, answers[1::2])


def retagged(X, modality):
    return EmbeddingArray(X.values, modality)


def fitted(make, documents, *questions):
    """A pipeline fitted on documents and on questions without their answers."""
    X, ids = documents
    n = sum(map(len, questions))
    return make().fit(EmbeddingArray.concatenate([X, *questions]), [*ids, *[None] * n])


def measure(make, offset, n_german, draw):
    """NDCG@10 of the second half of the German questions, by what was fitted; and of English."""
    documents, (english, english_answers), (german, answers) = draw_languages(
        offset, random_state=draw
    )
    half = len(german) // 2
    learn, test, answers = german[:n_german], german[half:], answers[half:]
    asked_as_text, common = retagged(test, "query:text"), retagged(learn, "query:text")
    only_english = fitted(make, documents, english[:half])
    both = fitted(make, documents, english[:half], learn)
    return {
        "English, with its own": only_english.score(english[half:], english_answers[half:]),
        "German, with the English": only_english.score(asked_as_text, answers),
        "German, with a common one": fitted(make, documents, english[:half], common).score(
            asked_as_text, answers
        ),
        "German, with its own": both.score(test, answers),
    }


def means(make, offset, n_german):
    """`measure` in the mean of several draws."""
    draws = [measure(make, offset, n_german, draw) for draw in range(DRAWS)]
    return {name: np.mean([draw[name] for draw in draws]) for name in draws[0]}


def main():
    quiet()
    warnings.filterwarnings("ignore", message="PosteriorOdds learned nothing")
    rows = [
        [name, offset, *(f"{x:.3f}" for x in means(make, offset, 150).values())]
        for name, make in PIPELINES.items()
        for offset in OFFSETS
    ]
    names = list(measure(PIPELINES["gap removed"], 0, 150, 0))
    print_table("Query means by language", ["pipeline", "offset", *names], rows)
    own = names[-1]
    rows = [
        [name, *(f"{means(make, 0.5, n)[own]:.3f}" for n in NUMBERS)]
        for name, make in PIPELINES.items()
    ]
    header = ["pipeline", *map(str, NUMBERS)]
    print_table("German with its own mean, by number of German questions", header, rows)


if __name__ == "__main__":
    main()
