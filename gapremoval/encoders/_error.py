"""An error about some items, with the embeddings of the others."""


class EncodingError(ValueError):
    """Some texts or pictures could not be encoded; the embeddings of the others are kept.

    Attributes
    ----------
    reasons : dict of int to str
        By row number, why the item has no embedding.
    rows : ndarray of int of shape (n_encoded,)
        Row numbers of the other items, ascending.
    embeddings : EmbeddingArray of shape (n_encoded, n_features)
        Embeddings of the other items.

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
        # Pickle passes the arguments of an exception on; a worker process may raise this one.
        super().__init__(message, reasons, rows, embeddings)
        self.reasons, self.rows, self.embeddings = reasons, rows, embeddings

    def __str__(self):
        return self.args[0]
