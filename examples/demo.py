"""Search a mixed corpus raw, with the modality gap removed, and as recommended.

usage: python examples/demo.py [FILE.npz] [--picture PICTURE.png]

Without a file it does the whole job from pixels, with the pocket model that comes with the
library. The corpus is drawn scenes, a third each as image, caption and both. The queries describe
them in other words, and demo.html shows what is found.

A file has your own embeddings: `text` (n, d) or, with several texts an item, (n, k, d); `image`
(n, d); and optionally `extra` (m, d), images that answer nothing. With one text an item, half of
the items are text documents and half are image documents, and the other part of each is the query.
With several, a third each are text, image and image+text documents, and the texts after the first
are the queries.
"""

import argparse
import sys
import zipfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.pipeline import make_pipeline

from gapremoval import (
    CLIPEncoder,
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    make_search_pipeline,
    search,
)
from gapremoval.datasets import make_scenes
from gapremoval.inspection import EmbeddingMapDisplay, RankingBiasDisplay, results_page
from gapremoval.metrics import ndcg_at_k

N_SCENES, SEED = 600, 7  # the pocket model was trained on scenes of another seed
N_ON_PAGE, PAGE = 12, "demo.html"


def make_corpus():
    """Scenes that the pocket model has not seen: the parts of each document, and the queries."""
    scenes = make_scenes(N_SCENES, random_state=SEED)
    contents, questions = {}, []
    for i, (image, captions) in enumerate(zip(scenes.images, scenes.captions)):
        contents[f"scene{i}"] = ([image], [captions[0]], [captions[0], image])[i % 3]
        questions.append(captions[1 + i // 3 % 3])
    return contents, questions


def encode(contents, questions):
    """Tagged rows of documents and queries and, for each row, its id or that of its answer."""
    items = [item for parts in contents.values() for item in parts]
    ids = [id_ for id_, parts in contents.items() for _ in parts]
    X = CLIPEncoder("pocket").transform([*items, *map(Query, questions)])
    return X, np.array([*ids, *contents], dtype=object)


def read_corpus(path):
    """Documents and queries of a file: tagged rows and, for each, its id or its answer's."""
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        sys.exit(f"{path} cannot be read as a .npz file: {error}")
    if missing := {"text", "image"} - data.keys():
        sys.exit(f"{path} has no array {' and '.join(sorted(missing))}; it holds {[*data]}.")
    text, image = data["text"], data["image"]
    extra = data.get("extra", image[:0])
    text = text[:, None] if text.ndim == 2 else text
    fits = text.ndim == 3 and image.shape == (len(text), text.shape[2]) and len(text) >= 3
    if not fits or extra.shape[1:] != image.shape[1:]:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in data.items())
        sys.exit(
            f"{path}: text must be (n, d) or (n, k, d), image (n, d) and extra (m, d), with n of "
            f"at least 3; got {shapes}."
        )
    if not all(np.isfinite(array).all() for array in (text, image, extra)):
        sys.exit(f"{path} holds NaN or infinity: encode those items again, or drop them.")
    items, others = np.arange(len(text)), [f"extra{i}" for i in range(len(extra))]
    if text.shape[1] == 1:
        is_text = np.random.default_rng(0).permutation(len(items)) % 2 == 0
        parts = {"text": is_text, "image": ~is_text, "query:text": ~is_text, "query:image": is_text}
    else:
        kind = items % 3
        parts = {"text": kind != 1, "image": kind != 0}
    rows = {name: (text[:, 0] if "text" in name else image)[has] for name, has in parts.items()}
    ids = [f"item{i}" for has in parts.values() for i in items[has]]
    arrays = [EmbeddingArray.concatenate(rows), EmbeddingArray(extra, "image")]
    ids += others
    if text.shape[1] > 1:
        asked = text[:, 1:].reshape(-1, text.shape[2])
        arrays.append(EmbeddingArray(asked, "query:text"))
        ids += [f"item{i}" for i in np.repeat(items, text.shape[1] - 1)]
    return EmbeddingArray.concatenate(arrays), np.array(ids, dtype=object)


def compare(pipelines, queries, answers):
    """NDCG@10 of each pipeline for each query, and the modality of its right answer."""
    retriever = next(iter(pipelines.values()))[-1]
    modality_of = dict(zip(retriever.ids_.tolist(), retriever.document_modality_.tolist()))
    kind = np.array([modality_of[answer] for answer in answers])
    ndcg = {name: ndcg_at_k(answers, search(pipe, queries).ids) for name, pipe in pipelines.items()}
    return ndcg, kind


def tabulate(ndcg, kind):
    """Means in all and by the modality of the right answer: a dict of rows."""
    groups = {"all": np.full(len(kind), True)} | {k: kind == k for k in sorted(set(kind))}
    return {
        name: {pipe: values[of].mean() for pipe, values in ndcg.items()}
        for name, of in groups.items()
    }


def print_table(table, kind):
    print(
        f"\nNDCG@10\n{'right answer':<14}{'queries':>9}" + "".join(f"{c:>14}" for c in table["all"])
    )
    for name, row in table.items():
        n_queries = len(kind) if name == "all" else np.count_nonzero(kind == name)
        print(f"{name:<14}{n_queries:>9}" + "".join(f"{value:>14.3f}" for value in row.values()))


def print_results(pipelines, queries, answers, ndcg, kind):
    """The top five of two queries: the one that gained most and the one that lost most."""
    before, *_, after = ndcg.values()
    for query, what in ((np.argmax(after - before), "most"), (np.argmin(after - before), "least")):
        print(f"\nQuery {query} ({queries.modality[query]}) gains the {what}. The right answer is")
        print(f"{answers[query]} ({kind[query]}).")
        for name, pipe in pipelines.items():
            found = search(pipe, queries[query : query + 1], 5)
            print(f"  {name}")
            for rank, (id_, score, modality) in enumerate(
                zip(found.ids[0], found.scores[0], found.modalities[0]), 1
            ):
                mark = "   <- the answer" if id_ == answers[query] else ""
                print(f"    {rank}  {id_:<12} {score:6.3f}  {modality}{mark}")


def draw(pipelines, X, queries, answers, path):
    """Rows before and after, and which modality fills the top of each pipeline."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    above, below = figure.subplots(2, 2)
    EmbeddingMapDisplay.from_estimator(pipelines["gap removed"], X, ax=above)
    RankingBiasDisplay.from_estimator(pipelines, queries, answers, ax=below)
    figure.savefig(path, dpi=100)


def write_page(pipelines, queries, answers, contents, questions, table, picture):
    """The first queries, with what is found before and after."""
    first, *_, last = pipelines
    found = {name: search(pipelines[name], queries[:N_ON_PAGE], 5) for name in (first, last)}
    rows = {name: [f"{table[name][pipe]:.2f}" for pipe in found] for name in ("all", "image")}
    what = (
        f"The corpus: {len(contents)} drawn scenes, a third each as image, caption and both. "
        "For each scene there is a query, in other words than its caption."
    )
    gap = (
        "The gap: CLIP-like encoders place images and texts in two separate clouds. So the raw "
        "search ranks texts, right or wrong, before any image. Subtracting each modality's mean "
        "makes the clouds one, and images are found. The recommended search also makes the scores "
        "of images and texts comparable."
    )
    figures = (
        f"The outcome: NDCG@10, 1 at best, rises from {rows['all'][0]} to {rows['all'][1]} over "
        f"all queries, and from {rows['image'][0]} to {rows['image'][1]} where an image answers."
    )
    page = results_page(
        questions[:N_ON_PAGE],
        found,
        contents,
        answers=answers[:N_ON_PAGE],
        title="Images and texts, searched before and after the gap is removed",
        introduction=[what, gap, figures, Path(picture)],
    )
    Path(PAGE).write_text(page, encoding="utf-8")
    print(f"Page: {PAGE}: open it in a browser")


def main():
    parser = argparse.ArgumentParser(description="Search a mixed corpus before and after.")
    parser.add_argument("file", nargs="?", help=".npz with text, image and optionally extra")
    parser.add_argument("--picture", default="gap_removed.png", help="where to save the picture")
    arguments = parser.parse_args()
    if arguments.file:
        X, y = read_corpus(arguments.file)
    else:
        contents, questions = make_corpus()
        X, y = encode(contents, questions)
    print(arguments.file or "Drawn scenes, encoded by the pocket model", X, sep="\n")

    is_query = np.char.startswith(X.modality, "query:")
    queries, answers = X[is_query], y[is_query]
    unjudged = np.where(is_query, None, y)  # nothing is learned from the answers
    pipelines = {
        "raw": make_pipeline(MixedModalityRetriever()),
        "gap removed": make_pipeline(ModalityGapRemover(), MixedModalityRetriever()),
        "recommended": make_search_pipeline(),
    }
    for pipe in pipelines.values():
        pipe.fit(X, unjudged)
    ndcg, kind = compare(pipelines, queries, answers)
    table = tabulate(ndcg, kind)
    print_table(table, kind)
    print_results(pipelines, queries, answers, ndcg, kind)
    draw(pipelines, X, queries, answers, arguments.picture)
    print(f"\nPicture: {arguments.picture}")
    if not arguments.file:
        write_page(pipelines, queries, answers, contents, questions, table, arguments.picture)


if __name__ == "__main__":
    main()
