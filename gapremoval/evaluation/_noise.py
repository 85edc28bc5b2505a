"""Noise in queries: typing errors and dropped words, or noise on vectors."""

import numpy as np
from sklearn.utils import check_random_state

from .._array_api import to_numpy
from .._embeddings import EmbeddingArray
from .._items import Query


def noisy_queries(queries, amount, *, random_state=None):
    """Disturb queries, as hurried people type them.

    Of raw text queries each word is dropped with probability `amount` / 2 or gets a typing
    error with the same probability: two neighboring letters change places, or a letter is
    left out, typed twice or replaced. At least one word remains. Rows get normal noise instead:
    a vector of expected length `amount` is added to the unit row, which is scaled to unit length
    again.

    Parameters
    ----------
    queries : EmbeddingArray of shape (n_queries, n_features) or list of Query
        The queries. Images stay as they are.
    amount : float of at least 0
        The amount of noise, for texts at most 1.
    random_state : int, RandomState instance or None, default=None
        Determines the noise.

    Returns
    -------
    EmbeddingArray or list of Query
        As many queries, in the same order.

    Raises
    ------
    ValueError
        If `amount` is out of range.

    Examples
    --------
    >>> from gapremoval import Query
    >>> from gapremoval.evaluation import noisy_queries
    >>> noisy_queries([Query("a red bicycle in deep snow")], 0.5, random_state=1)
    [Query('h red ig')]
    """
    random, is_rows = check_random_state(random_state), isinstance(queries, EmbeddingArray)
    if not 0 <= amount <= (np.inf if is_rows else 1):
        raise ValueError(f"amount must be at least 0, and at most 1 for texts; got {amount!r}.")
    if not is_rows:
        return [_disturbed(query, amount, random) for query in queries]
    values = to_numpy(queries.values)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit = np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)
    noise = random.normal(scale=amount / np.sqrt(values.shape[1]), size=values.shape)
    noisy = unit + noise.astype(values.dtype) * (lengths > 0)
    noisy /= np.maximum(np.linalg.norm(noisy, axis=1, keepdims=True), np.finfo(noisy.dtype).tiny)
    return EmbeddingArray(noisy, queries.modality, queries.encoder)


def _disturbed(query, amount, random):
    if isinstance(query.item, str):
        return Query(_mistyped(query.item, amount, random))
    if isinstance(query.text, str):
        return Query(text=_mistyped(query.text, amount, random), image=query.image)
    return query


def _mistyped(text, amount, random):
    """A text with words dropped and typing errors."""
    words = text.split()
    fates = random.uniform(size=len(words))
    typed = [
        _with_error(word, random) if fate < amount else word
        for word, fate in zip(words, fates)
        if fate >= amount / 2
    ]
    return " ".join(typed or words[:1]) or text


def _with_error(word, random):
    at, error = random.randint(len(word)), random.randint(4)
    letters = list(word)
    if error == 0 and at + 1 < len(letters):
        letters[at : at + 2] = letters[at + 1], letters[at]
    elif error == 1 and len(letters) > 1:
        del letters[at]
    elif error == 2:
        letters.insert(at, letters[at])
    else:
        letters[at] = "abcdefghijklmnopqrstuvwxyz"[random.randint(26)]
    return "".join(letters)
