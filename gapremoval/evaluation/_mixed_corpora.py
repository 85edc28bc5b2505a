"""mixed_corpus and pair_corpus: corpora made of items with a text and an image."""

from collections.abc import Mapping
from numbers import Real
from pathlib import Path

import numpy as np
from sklearn.utils import check_random_state

from .._embeddings import EmbeddingArray
from .._items import Query, is_item, is_picture
from .._modality import is_query
from .._warnings import shown
from ._corpus import Corpus, modalities_of, stack

DOCUMENT_MODALITIES = ("text", "image", "image+text")


def mixed_corpus(
    text,
    image,
    *,
    questions,
    proportions=None,
    extra_images=None,
    random_state=None,
):
    """Make a mixed corpus of items with a text and an image, and questions about them.

    Each item becomes one document: its text, its image or both. This is setting 3 of the
    paper (GR-CLIP, arXiv 2507.19054, section 5), for any mix.

    Parameters
    ----------
    text, image : array of shape (n_items, n_features), or list of n_items items
        Embeddings, or raw items for a pipeline that begins with an encoder. Rows of the same
        number belong to the same item.
    questions : array of shape (n_items, n_features) or (n_items, k, n_features), or list
        One question or `k` questions about each item. They are ``query:text`` rows, or those
        of an EmbeddingArray of n_items rows with other query modalities. Of raw items, a list
        of questions or of lists of them. Where some items have no question, or questions several
        answers: a tuple of an EmbeddingArray of questions and their relevance, in numbers of
        items.
    proportions : dict of str to float or sequence of str of length n_items, default=None
        Proportions of ``"text"``, ``"image"`` and ``"image+text"`` documents, or the modality
        of each item's document. By default equal proportions. Numbers are rounded such that
        all items are used, and dealt out at random.
    extra_images : array of shape (n_extra, n_features) or list, default=None
        Images that answer no question, as further documents.
    random_state : int, RandomState instance or None, default=None
        Determines which item becomes which document.

    Returns
    -------
    Corpus
        Ids are the numbers of the items; those of extra images follow.

    Raises
    ------
    ValueError
        If the numbers of texts, images and questions differ, or proportions are not positive
        numbers by these modalities.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval.evaluation import mixed_corpus
    >>> text, image, questions = np.random.default_rng(0).normal(size=(3, 10, 4))
    >>> mix = {"text": 1, "image": 4}
    >>> mixed_corpus(text, image, questions=questions, proportions=mix, random_state=0)
    Corpus(10 documents, 10 queries: 8 answered by image, 2 answered by text)
    """
    n_items = len(text)
    queries, relevance, item = _questions(questions)
    n_questions = n_items if item is None else len(questions)
    if not n_items == len(image) == n_questions:
        raise ValueError(
            f"text, image and questions must have one entry an item; got {n_items}, {len(image)} "
            f"and {n_questions}."
        )
    modality = _document_modalities(proportions, n_items, random_state)
    with_text = np.flatnonzero(modality != "image")
    with_image = np.flatnonzero(modality != "text")
    parts = [_rows(text, "text", with_text), _rows(image, "image", with_image)]
    ids = [*with_text.tolist(), *with_image.tolist()]
    if extra_images is not None and len(extra_images):
        parts.append(_rows(extra_images, "image", np.arange(len(extra_images))))
        ids += range(n_items, n_items + len(extra_images))
    return Corpus(stack(parts), ids, queries, relevance, groups=item)


def _document_modalities(proportions, n_items, random_state):
    """The modality of each item's document, an array of str."""
    if proportions is None:
        proportions = dict.fromkeys(DOCUMENT_MODALITIES, 1)
    if not isinstance(proportions, Mapping):
        modality = np.asarray(proportions, dtype=object)
        if modality.shape != (n_items,) or not set(modality) <= {*DOCUMENT_MODALITIES}:
            raise ValueError(
                f"proportions must give one of {', '.join(map(repr, DOCUMENT_MODALITIES))} for "
                f"each of {n_items} items, or a dict of numbers by them."
            )
        return modality
    names = list(proportions)
    shares = np.array([x if isinstance(x, Real) else np.nan for x in proportions.values()], float)
    is_wrong = not (np.isfinite(shares) & (shares >= 0)).all() or not shares.sum() > 0
    if is_wrong or not {*names} <= {*DOCUMENT_MODALITIES}:
        raise ValueError(
            "proportions must be numbers of at least 0, one of them above, by the modalities "
            f"{', '.join(map(repr, DOCUMENT_MODALITIES))}; got {proportions!r}."
        )
    # The borders between modalities are rounded, so every count is within one of its share.
    borders = np.rint(np.cumsum(shares) / shares.sum() * n_items).astype(int)
    modality = np.repeat(np.array(names, dtype=object), np.diff(borders, prepend=0))
    return check_random_state(random_state).permutation(modality)


def _questions(questions):
    """The queries, the relevance of each, and its item unless the relevance was given."""
    if isinstance(questions, tuple) and len(questions) == 2 and len(questions[0]):
        rows, relevance = questions
        if isinstance(rows, EmbeddingArray) or is_items(rows):
            return _rows(rows, "query", np.arange(len(rows))), relevance, None
    if isinstance(questions, EmbeddingArray):
        queries, item = questions, np.arange(len(questions))
    elif not is_items(questions):
        questions = np.asarray(questions)
        if questions.ndim not in (2, 3):
            raise ValueError(
                "questions must have shape (n_items, n_features) or (n_items, k, n_features); got "
                f"{questions.shape}."
            )
        k = questions.shape[1] if questions.ndim == 3 else 1
        rows = questions.reshape(len(questions) * k, questions.shape[-1])
        queries = EmbeddingArray(rows, "query:text")
        item = np.repeat(np.arange(len(questions)), k)
    else:
        several = [
            list(x) if isinstance(x, list | tuple | np.ndarray) and not is_picture(x) else [x]
            for x in questions
        ]
        queries = [x if isinstance(x, Query) else Query(x) for some in several for x in some]
        item = np.repeat(np.arange(len(several)), [len(some) for some in several])
    return queries, item.tolist(), item


def pair_corpus(text, image, *, max_items=None, random_state=None):
    """Make a corpus in which every answer lies across the gap.

    Half of the items become text documents and half image documents. Each item asks with its
    other part: image queries are answered by texts, text queries by images.

    Parameters
    ----------
    text, image : array of shape (n_items, n_features)
        Rows of the same number belong to the same item.
    max_items : int, default=None
        The number of items that are drawn, if there are more.
    random_state : int, RandomState instance or None, default=None
        Determines which items are drawn, and which of them become texts.

    Returns
    -------
    Corpus
        Ids are the numbers of the items. `answer_modality` tells the two directions apart.

    Raises
    ------
    ValueError
        If the numbers of texts and images differ, or `max_items` is below 2.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval.evaluation import pair_corpus
    >>> text, image = np.random.default_rng(0).normal(size=(2, 10, 4))
    >>> pair_corpus(text, image, random_state=0)
    Corpus(10 documents, 10 queries: 5 answered by image, 5 answered by text)
    """
    if len(text) != len(image):
        raise ValueError(f"There are {len(text)} texts and {len(image)} images: give pairs.")
    if max_items is not None and max_items < 2:
        raise ValueError(f"max_items must be at least 2; got {max_items!r}.")
    items = check_random_state(random_state).permutation(len(text))[:max_items]
    told, shown = items[: len(items) // 2], items[len(items) // 2 :]
    return Corpus(
        stack([_rows(text, "text", told), _rows(image, "image", shown)]),
        [*told.tolist(), *shown.tolist()],
        stack([_rows(text, "query:text", shown), _rows(image, "query:image", told)]),
        [*shown.tolist(), *told.tolist()],
        groups=np.concatenate([shown, told]),
    )


def _rows(values, modality, at):
    """Some rows with a tag, or some raw items; of ``"query"``, with the tags that they have."""
    if is_items(values):
        values = list(values)
        some = [values[i] for i in at]
        if modality.endswith("image"):  # as in explode_documents, a string is a path there
            some = [Path(x) if isinstance(x, str) else x for x in some]
        if modality.startswith("query"):
            some = [x if isinstance(x, Query) else Query(x) for x in some]
        return some
    if isinstance(values, EmbeddingArray):
        given = set(values.modality.tolist())
        if modality == "query":
            return values[at]
        if not given <= {modality, modality.removeprefix("query:")}:
            raise ValueError(
                f"Rows that are taken as {modality!r} are tagged {shown(sorted(given))}: give them "
                "where they belong."
            )
        return EmbeddingArray(values.values[at], modality, values.encoder)
    values = np.asarray(values)
    if values.ndim != 2:
        raise ValueError(f"Embeddings must have shape (n_items, n_features); got {values.shape}.")
    return EmbeddingArray(values[at], modality)


def is_items(values):
    """Whether these are raw items, or lists of them, and not rows of numbers."""
    is_array = hasattr(values, "dtype") and getattr(values.dtype, "kind", "f") not in "OUT"
    if isinstance(values, EmbeddingArray) or (is_array and values.ndim < 4):
        return False
    first = next((x for x in values if not isinstance(x, list | tuple) or len(x)), None)
    while isinstance(first, list | tuple | np.ndarray) and len(first) and not is_picture(first):
        first = first[0]
    return is_item(first)


def sample_rows(X, y, size, random):
    """The numbers of at most `size` rows of each modality, in their order.

    Parts of a document are drawn together, as far as `size` allows.
    """
    names, lots = np.array(modalities_of(X), dtype=object), {}
    lot = [
        random.uniform()
        if is_query(name) or id_ is None
        else lots.setdefault(id_, random.uniform())
        for name, id_ in zip(names, y)
    ]
    by_lot = np.argsort(lot, kind="stable")
    kept = [by_lot[names[by_lot] == name][:size] for name in np.unique(names)]
    return np.sort(np.concatenate(kept))
