"""An index answers: its embeddings, fitted; a question, encoded by the model that made it."""

import warnings

import numpy as np

from .._embeddings import EmbeddingArray
from .._pipeline import search
from .._search_pipeline import make_search_pipeline
from ..encoders import CLIPEncoder
from ..encoders._models import load_model


def fitted(index):
    """The recommended pipeline, fitted on an index; a document's id is its number.

    Parameters
    ----------
    index : IndexFile

    Returns
    -------
    Pipeline
        Takes embeddings; what was asked before teaches it.
    """
    document = np.empty(len(index.files), dtype=object)
    for number, rows in enumerate(index.documents()):
        document[rows] = number
    pipe = make_search_pipeline()
    if len(index.captions):
        # A single text is its own mean: it would lie on it, and never be found.
        pipe[0].set_params(prior={"text": index.captions.values.mean(axis=0)})
    asked = [None] * (len(index.captions) + len(index.learnt))
    X = EmbeddingArray.concatenate([index.files, index.captions, index.learnt])
    return pipe.fit(X, [*document, *asked])


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
        If the weights are not those that made the index, or a picture cannot be read.
    """
    model = model or index.model
    if load_model(model).fingerprint != index.fingerprint:
        raise ValueError(
            f"The index was made by {index.model!r} with other weights than {model!r} has now, so "
            "its scores would mean nothing. Name the old weights with --model, or make the index "
            "again."
        )
    return CLIPEncoder(model).transform([question])


def ask(index, question, n, *, only=None):
    """Search an index by an embedded question.

    Returns
    -------
    found : SearchResult
        With one row.
    documents : list of list of int
        The row numbers of the files of each document found, best first.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is too few the index's maker was warned
        pipe = fitted(index)
    found = search(pipe, question, n, document_modality=only)
    documents = index.documents()
    return found, [documents[number] for number in found.ids[0].tolist()]
