"""make_mixbench: a small data set in the files of MixBench, drawn here."""

import json
from numbers import Integral
from pathlib import Path

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from ._scenes import make_scenes


@validate_params(
    {
        "n_documents": [Interval(Integral, 3, None, closed="left")],
        "n_queries": [Interval(Integral, 1, None, closed="left"), None],
        "image_queries": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_mixbench(path, n_documents=60, *, n_queries=None, image_queries=False, random_state=None):
    """Write a small data set in the files of MixBench, of drawn scenes.

    Whatever runs on a subset of MixBench can be tried on it, without a download, with the
    pocket model. A document is a scene of `make_scenes` and its first caption; a third of the
    mixed corpus keeps the caption, a third the picture, a third both. A query is another
    caption of a scene.

    Parameters
    ----------
    path : str or Path
        Folder to write to, made where it does not exist.
    n_documents : int, default=60
        Number of documents, at least 3.
    n_queries : int, default=None
        Number of queries, at least 1 and at most one a document. By default one a document.
    image_queries : bool, default=False
        Whether a query also has a picture, as in the subset OVEN: the scene, smaller.
    random_state : int, RandomState instance or None, default=None
        Seed of the scenes and of the mix.

    Returns
    -------
    Path
        The folder, in the layout of 2025.

    Raises
    ------
    ValueError
        If there are more queries than documents.
    ImportError
        If pillow is not installed.

    See Also
    --------
    load_mixbench : Reads it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from gapremoval.datasets import load_mixbench, make_mixbench
    >>> with TemporaryDirectory() as folder:
    ...     subset = load_mixbench(make_mixbench(folder, 6, random_state=0))
    >>> len(set(subset.ids)), len(subset.documents), len(subset.pairs.texts)
    (6, 8, 6)
    """
    n_queries = n_documents if n_queries is None else n_queries
    if n_queries > n_documents:
        raise ValueError(f"n_queries={n_queries} is more than one a document ({n_documents}).")
    rng = check_random_state(random_state)
    scenes = make_scenes(n_documents, rng)
    path = Path(path)
    for folder in ("images", "qrels"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    pairs, queries, lines = [], [], ["query_id\tcorpus_id\tscore"]
    for i, (image, captions) in enumerate(zip(scenes.images, scenes.captions)):
        image.save(path / "images" / f"{i}.png")
        pairs.append({"corpus_id": f"d{i}", "text": captions[0], "image": f"{i}.png"})
        if i < n_queries:
            queries.append({"query_id": f"q{i}", "text": captions[1], "image": None})
            lines.append(f"q{i}\td{i}\t1")
            if image_queries:
                image.reduce(2).save(path / "images" / f"q{i}.png")
                queries[-1]["image"] = f"q{i}.png"
    mixed = [{**pair} for pair in pairs]
    thirds = rng.permutation(n_documents) % 3
    for i in np.flatnonzero(thirds < 2):
        mixed[i]["image" if thirds[i] == 0 else "text"] = None
    for name, records in {"queries": queries, "corpus": pairs, "mixed_corpus": mixed}.items():
        text = "".join(json.dumps(record) + "\n" for record in records)
        (path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (path / "qrels" / "qrels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
