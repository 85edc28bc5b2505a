"""What cannot be read or encoded, named in one error that has all others."""

from pathlib import Path


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


def listed(reasons):
    """The first 20 of a list of sentences, for a message."""
    more = [f"and {len(reasons) - 20} more"] if len(reasons) > 20 else []
    return "; ".join(reasons[:20] + more)


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
    >>> from gapremoval.contents import ReadingError
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
