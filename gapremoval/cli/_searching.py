"""An index answers: its embeddings, fitted; a question, encoded by the model that made it."""

import warnings

import numpy as np

from .._embeddings import EmbeddingArray
from .._search import make_search_pipeline, search
from ..calibration import ModalityGapRemover, drift
from ..encoders import CLIPEncoder, EncodingError
from ..encoders._models import load_model


def encode_question(index, question, model=None):
    """The embedding of a question, by the model that made the index and no other.

    Parameters
    ----------
    index : IndexFile
    question : Query
    model : str, default=None
        Where the same weights lie now, if not where they lay.

    Returns
    -------
    EmbeddingArray of shape (1, n_features)

    Raises
    ------
    ValueError
        If the weights are not those that made the index, a picture cannot be read, or asks
        where there are no pictures.
    """
    model = model or index.model
    if load_model(model).fingerprint != index.fingerprint:
        raise ValueError(
            f"The index was made by {index.model!r} with other weights than {model!r} has now, so "
            "its scores would mean nothing. Name the old weights with --model, or make the index "
            "again."
        )
    try:
        asked = CLIPEncoder(model).transform([question])
    except EncodingError as error:
        raise ValueError(f"The picture cannot be read: {error.reasons[0]}.") from error
    if "image" in asked.modality[0] and "image" not in index.files.modality:
        raise ValueError(
            "The index holds no pictures, so nothing tells how they compare with its texts: ask in "
            "words."
        )
    return asked


def ask(index, question, n, *, only=None):
    """Search an index by an embedded question.

    Parameters
    ----------
    index : IndexFile
    question : EmbeddingArray of shape (1, n_features)
    n : int
        How many documents to find.
    only : str, default=None
        The modality of documents to search.

    Returns
    -------
    SearchResult
        With one row; an id is a place in ``index.documents``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is too few the index's maker was warned
        return search(_fitted(index), question, n, document_modality=only)


def drift_of_questions(index):
    """How far the mean of the learnt questions lies from what would stand in for them.

    Returns
    -------
    drift : float
        In standard errors; NaN where nothing was learnt, or there is nothing to compare.
    kind : str
        What they are compared with: the ordinary captions, or the texts.
    """
    kind = "captions" if len(index.captions) else "texts"
    rows = index.captions if len(index.captions) else index.files[index.files.modality == "text"]
    asked = index.learnt[index.learnt.modality == "query:text"]
    if not len(rows) or not len(asked):
        return float("nan"), kind
    rows, asked = (EmbeddingArray(x.values, "query:text") for x in (rows, asked))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return drift(ModalityGapRemover().fit(rows), asked)["query:text"], kind


def _fitted(index):
    """The recommended pipeline, fitted on an index; what was asked before teaches it."""
    document = np.empty(len(index.files), dtype=object)
    for number, rows in enumerate(index.documents):
        document[rows] = number
    pipe = make_search_pipeline()
    if len(index.captions):
        # A single text is its own mean: it would lie on it, and never be found.
        pipe[0].set_params(prior={"text": index.captions.values.mean(axis=0)})
    asked = [None] * (len(index.captions) + len(index.learnt))
    X = EmbeddingArray.concatenate([index.files, index.captions, index.learnt])
    return pipe.fit(X, [*document, *asked])
