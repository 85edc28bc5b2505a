"""EncodingError: some items could not be encoded, and what became of the others."""


class EncodingError(ValueError):
    """Some texts or pictures could not be encoded; the work on the others is not lost.

    Attributes
    ----------
    reasons : dict of int to str
        By row number, why an item has no embedding.
    rows : ndarray of int of shape (n_encoded,)
        The numbers of the other rows, ascending.
    embeddings : EmbeddingArray of shape (n_encoded, n_features)
        Their embeddings.

    Examples
    --------
    >>> from pathlib import Path
    >>> from gapremoval import CLIPEncoder
    >>> from gapremoval.encoders import EncodingError
    >>> items = ["a note", Path("gone.jpg"), Path("photo.jpg")]
    >>> try:  # doctest: +SKIP
    ...     X = CLIPEncoder().transform(items)
    ... except EncodingError as error:
    ...     X, items = error.embeddings, [items[row] for row in error.rows]
    """

    def __init__(self, message, reasons, rows, embeddings):
        # All of them as arguments, so that it can be pickled: it may come out of a worker.
        super().__init__(message, reasons, rows, embeddings)
        self.reasons, self.rows, self.embeddings = reasons, rows, embeddings

    def __str__(self):
        return self.args[0]
