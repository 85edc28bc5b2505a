"""Errors about some items, with what was made of the others."""

from pathlib import Path

from ._rows import listed


def reasons_by_owner(wrong, contents, owners, noun):
    """Why contents have no result.

    Parameters
    ----------
    wrong : dict of int to str
        By position, why a content has none.
    contents, owners : list
        The contents, and the row or the record of each.
    noun : str
        What an owner is.

    Returns
    -------
    told : str
        All reasons, for a message.
    reasons : dict of owner to str
        The first reason of each owner.
    """
    told, reasons = [], {}
    for i, why in sorted(wrong.items()):
        content, owner = contents[i], owners[i]
        is_named = isinstance(content, str | Path)
        label = repr(str(content))[:200] if is_named else type(content).__name__
        told.append(f"{noun} {owner!r} ({label}): {why}")
        reasons.setdefault(owner, why)
    return listed(told), reasons


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


class ReadingError(ValueError):
    """Some images could not be read; the texts that were read are kept.

    Attributes
    ----------
    reasons : dict of id to str
        By the id of the record, why an image of it has no text.
    records : list of dict
        All records, with the texts that were read.

    See Also
    --------
    gapremoval.add_texts : Raises it.

    Examples
    --------
    >>> from gapremoval import add_texts
    >>> from gapremoval.encoders import ReadingError
    >>> records = [{"id": "p1", "image": "gone.jpg"}, {"id": "p2", "text": "blue hat"}]
    >>> try:
    ...     records = add_texts(records, lambda images: ["a hat"] * len(images))
    ... except ReadingError as error:
    ...     records = [x for x in error.records if x["id"] not in error.reasons]
    >>> records
    [{'id': 'p2', 'text': 'blue hat', 'caption': None}]
    """

    def __init__(self, message, reasons, records):
        super().__init__(message, reasons, records)
        self.reasons, self.records = reasons, records

    def __str__(self):
        return self.args[0]
