"""An error about some items, with the embeddings of the others."""

from .._items import contents_of
from ..contents._error import reasons_by_owner


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

    def of_items(self, contents, owner, is_whole):
        """The same error for items of which some have several rows.

        Parameters
        ----------
        contents : list of items
            What each row was made of.
        owner : ndarray of int of shape (n_rows,)
            The item of each row.
        is_whole : ndarray of bool of shape (n_rows,)
            Whether a row is all of its item. Rows of others are not in the new error.

        Returns
        -------
        EncodingError
        """
        contents = [contents_of(item)[0] for item in contents]
        told, reasons = reasons_by_owner(self.reasons, contents, owner.tolist(), "row")
        kept = is_whole[self.rows]
        return EncodingError(
            f"{len(reasons)} items cannot be encoded. {told}. Mend or drop them; the others, but "
            "for combined queries, are this error's `embeddings`.",
            reasons,
            owner[self.rows[kept]],
            self.embeddings[kept],
        )
