"""noisy_queries: typing errors and dropped words in texts, noise on vectors."""

from functools import partial

import numpy as np
from sklearn.utils import check_random_state

from .._array_api import to_numpy, unit_rows
from .._embeddings import EmbeddingArray
from .._items import Joint, Query, Tagged, contents_of
from .._validation import compute_dtype


def noisy_queries(queries, amount, *, random_state=None):
    """Add typing errors to texts, or noise to rows.

    Of raw text queries each word is dropped with probability `amount` / 2 or gets a typing
    error with the same probability: two neighboring letters change places, or a letter is
    left out, typed twice or replaced. At least one word remains. Rows get normal noise instead:
    a vector of expected length `amount` is added to the unit row, which is scaled to unit length
    again. Rows of queries of several parts keep their length, and get noise in proportion to it.

    Parameters
    ----------
    queries : EmbeddingArray of shape (n_queries, n_features) or list of Query
        The queries. Images stay as they are.
    amount : float of at least 0
        The amount of noise, for texts at most 1. With 0 queries are returned as they are.
    random_state : int, RandomState instance or None, default=None
        Determines the noise.

    Returns
    -------
    EmbeddingArray or list of Query
        As many queries, in the same order.

    Raises
    ------
    ValueError
        If `amount` is out of range, or `queries` are no queries.

    Examples
    --------
    >>> from gapremoval import Query
    >>> from gapremoval.evaluation import noisy_queries
    >>> noisy_queries([Query("a red bicycle in deep snow")], 0.5, random_state=1)
    [Query('h red ig')]
    """
    random, is_rows = check_random_state(random_state), isinstance(queries, EmbeddingArray)
    if not is_rows and not all(isinstance(query, Query) for query in queries):
        raise ValueError("queries must be an EmbeddingArray, or a list of Query.")
    if not 0 <= amount <= (np.inf if is_rows else 1):
        raise ValueError(f"amount must be at least 0, and at most 1 for texts; got {amount!r}.")
    if not is_rows:
        return [_disturbed(query, amount, random) for query in queries]
    if amount == 0:
        return queries
    values = to_numpy(queries.values)
    values = values.astype(compute_dtype(values))
    unit, lengths = unit_rows(values)
    noise = random.normal(scale=amount / np.sqrt(values.shape[1]), size=values.shape)
    noisy, _ = unit_rows(unit + noise.astype(values.dtype) * (lengths > 0)[:, None])
    # Only a query of several parts is more than its direction.
    lengths[np.char.find(queries.modality.astype(str), "+") < 0] = 1
    return EmbeddingArray(noisy * lengths[:, None], queries.modality, queries.encoder)


def _disturbed(item, amount, random):
    """An item with noise in its texts."""
    again = partial(_disturbed, amount=amount, random=random)
    if isinstance(item, str):
        return _mistyped(item, amount, random)
    if isinstance(item, Tagged):
        return Tagged(again(item.item), item.modality)
    if isinstance(item, Joint):
        return Joint(again(item.text), item.image)
    if not any(isinstance(content, str) for content in contents_of(item)):
        return item
    if item.item is not None:
        return Query(again(item.item))
    if item.add:
        add, subtract = [*map(again, item.add)], [*map(again, item.subtract)]
        return Query(add=add, subtract=subtract, weights=item.weights)
    text = None if item.text is None else again(item.text)
    return Query(text=text, image=item.image, weights=item.weights)


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
