"""Questions to an index: encoded by the model that made it, answered by its embeddings."""

import warnings

from .._embeddings import EmbeddingArray
from .._search import make_search_pipeline, search
from ..calibration import ModalityGapRemover, drift
from ..datasets._folder import document_id
from ..encoders import EncodingError, make_encoder


def encode_question(index, question, model=None):
    """Embedding of a question, by the model that made the index.

    Parameters
    ----------
    index : IndexFile
    question : Query
    model : str, default=None
        Where the weights lie now, if they were moved.

    Returns
    -------
    EmbeddingArray of shape (1, n_features)

    Raises
    ------
    ValueError
        If the weights are not those that made the index, if the question cannot be encoded, or
        if it has a picture and the index holds none.
    """
    model = model or index.model
    encoder = make_encoder(model)
    if encoder._load()[0].fingerprint != index.fingerprint:
        raise ValueError(
            f"The index was made by {index.model!r} with other weights than {model!r} has now, so "
            "its scores would mean nothing. Name the old weights with --model, or make the index "
            "again."
        )
    try:
        encoded = encoder.transform([question])
    except EncodingError as error:
        raise ValueError(f"The question cannot be encoded: {error.reasons[0]}.") from error
    if "image" in encoded.modality[0] and "image" not in index.files.modality:
        raise ValueError(
            "The index holds no pictures, so there is no mean to center a picture on: ask in words."
        )
    return encoded


def ask(index, question, n, *, only=None, max_false_alarm=None):
    """Search an index by an encoded question.

    Parameters
    ----------
    index : IndexFile
    question : EmbeddingArray of shape (1, n_features)
    n : int
        Number of documents to find.
    only : str, default=None
        Modality of the documents to search.
    max_false_alarm : float, default=None
        Find nothing if the false alarm of the question is higher.

    Returns
    -------
    SearchResult
        Of one query; ids are those of ``index.documents``.
    """
    pipe = make_search_pipeline()
    if len(index.captions):
        # Centered on itself a single text would be zero, and never be found.
        pipe[0].set_params(prior={"text": index.captions.values.mean(axis=0)})
    y = [document_id(name) for name in index.names]
    y += [None] * (len(index.captions) + len(index.learned))
    X = EmbeddingArray.concatenate([index.files, index.captions, index.learned])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `gapremoval index` said what is too few
        pipe.fit(X, y)
    return search(pipe, question, n, document_modality=only, max_false_alarm=max_false_alarm)


def drift_of_questions(index):
    """Distance between the learned questions' mean and the mean that is used without them.

    Returns
    -------
    float
        In standard errors; NaN where nothing was learned, or there is nothing to compare.
    """
    texts = index.captions if len(index.captions) else index.files[index.files.modality == "text"]
    asked = index.learned[index.learned.modality == "query:text"]
    if not len(texts) or not len(asked):
        return float("nan")
    texts, asked = (EmbeddingArray(rows.values, "query:text") for rows in (texts, asked))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few rows
        return drift(ModalityGapRemover().fit(texts), asked)["query:text"]
